"""Names of the coordination schemes, known before anything heavy is imported."""

from typing import Literal

from stackelgrid.scenarios.errors import ScenarioError

SCHEMES = (
    "bottom_up",
    "feasibility_only",
    "top_down",
    "integrated",
    "uncoordinated",
    "diagonalization",
    "ldd_admm",
)
PRICINGS: tuple[Literal["tariff", "lmp"], ...] = ("tariff", "lmp")


def pricing_name(text: str) -> Literal["tariff", "lmp"]:
    """Name of a pricing; raises ScenarioError for one unknown."""
    for name in PRICINGS:
        if text == name:
            return name
    raise ScenarioError(f"--pricing {text}: unknown; accepted: {', '.join(PRICINGS)}")


def scheme_names(text: str) -> tuple[str, ...]:
    """Names of a comma-separated list; raises ScenarioError for one unknown or repeated."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ScenarioError(f"--schemes {text!r}: is empty; accepted: {', '.join(SCHEMES)}")
    for name in names:
        if name not in SCHEMES:
            raise ScenarioError(f"--schemes {name}: no such scheme; accepted: {', '.join(SCHEMES)}")
        if names.count(name) > 1:
            raise ScenarioError(f"--schemes {name}: given twice; once is accepted")
    return names
