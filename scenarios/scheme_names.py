"""Names of schemes and qualities to compare, known before anything heavy is imported."""

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
    names = _names("--schemes", text, f"accepted: {', '.join(SCHEMES)}")
    for name in names:
        if name not in SCHEMES:
            raise ScenarioError(f"--schemes {name}: no such scheme; accepted: {', '.join(SCHEMES)}")
    return names


def quality_names(text: str) -> tuple[str, ...]:
    """Names of a comma-separated list; raises ScenarioError for one repeated, or none."""
    return _names("--qualities", text, "accepted: names of communication.qualities, or perfect")


def _names(option: str, text: str, accepted: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ScenarioError(f"{option} {text!r}: is empty; {accepted}")
    for name in names:
        if names.count(name) > 1:
            raise ScenarioError(f"{option} {name}: given twice; once is accepted")
    return names
