"""Names of schemes and qualities to compare, without imports of heavy modules."""

from collections.abc import Sequence
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


def scheme_names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return names, also of a comma-separated text; raises ScenarioError if unknown or repeated."""
    names = _names("--schemes", given, f"accepted: {', '.join(SCHEMES)}")
    for name in names:
        if name not in SCHEMES:
            raise ScenarioError(f"--schemes {name}: no such scheme; accepted: {', '.join(SCHEMES)}")
    return names


def quality_names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Return names, also of a comma-separated text; raises ScenarioError if empty or repeated."""
    return _names("--qualities", given, "accepted: names of communication.qualities, or perfect")


def _names(option: str, given: str | Sequence[str], accepted: str) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    names = tuple(name.strip() for name in parts if name.strip())
    if not names:
        raise ScenarioError(f"{option} {given!r}: is empty; {accepted}")
    for name in names:
        if names.count(name) > 1:
            raise ScenarioError(f"{option} {name}: given twice; once is accepted")
    return names
