"""Names of schemes and qualities to compare, without imports of heavy modules."""

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
    """Return the name of a pricing; raises ScenarioError if it is unknown."""
    for name in PRICINGS:
        if text == name:
            return name
    raise ScenarioError(f"--pricing {text}: unknown; accepted: {', '.join(PRICINGS)}")


def scheme_names(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of schemes; raises ScenarioError if unknown or repeated."""
    names = _names("--schemes", text, f"accepted: {', '.join(SCHEMES)}")
    for name in names:
        if name not in SCHEMES:
            raise ScenarioError(f"--schemes {name}: no such scheme; accepted: {', '.join(SCHEMES)}")
    return names


def quality_names(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of qualities; raises ScenarioError if empty or repeated."""
    return _names("--qualities", text, "accepted: names of communication.qualities, or perfect")


def _names(option: str, text: str, accepted: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ScenarioError(f"{option} {text!r}: is empty; {accepted}")
    for name in names:
        if names.count(name) > 1:
            raise ScenarioError(f"{option} {name}: given twice; once is accepted")
    return names
