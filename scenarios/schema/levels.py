"""Section `lower` of a grid: a net of several levels becomes one grid section for each part.

Its keys are those of all grids below; `lower` in it has other keys for those below the next level.

The sections are written into the content of a scenario before it is validated, so that the
scenario of a run lists them.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from stackelgrid.controllers.networks.levels import lower_limit_kv
from stackelgrid.profiles.errors import shown
from stackelgrid.scenarios.errors import ScenarioError

# the parts of a net need pandapower, which few scenarios need before they are built
if TYPE_CHECKING:
    from stackelgrid.controllers.networks.sources.parts import LowerPart, Parts

LOWER = "lower"
# keys that the cut states
_STATED = ("name", "case", "level", "parent", "bus", "part", "replaces_load", "multiplicity")
_LEVELS = ("transmission", "mv")


def with_lower_grids(
    content: Mapping[str, Any], read: "Callable[[str, str], Parts]"
) -> dict[str, Any]:
    """Return content with a grid section for each part below a grid with the section `lower`.

    A section of the scenario with the name of such a grid adds its keys to it.

    content: content of a scenario, templates merged.
    read: returns the parts of the net of a case; the second argument is the name of the grid.

    Raises ScenarioError, and what `read` raises.
    """
    grids = content.get("grids")
    if not isinstance(grids, list) or not any(isinstance(g, dict) and LOWER in g for g in grids):
        return dict(content)
    own = {g["name"]: g for g in grids if isinstance(g, dict) and isinstance(g.get("name"), str)}
    found: list[Any] = []
    for grid in grids:
        if isinstance(grid, dict) and LOWER in grid:
            found += _cut(grid, own, read, top=True)
        else:
            found.append(grid)
    made = {g["name"] for g in found if isinstance(g, dict) and "part" in g and "case" in g}
    kept = [g for g in found if not (isinstance(g, dict) and "case" not in g and g["name"] in made)]
    return {**content, "grids": kept}


def _cut(
    grid: dict[str, Any], own: Mapping[str, Any], read: "Callable[[str, str], Parts]", *, top: bool
) -> list[dict[str, Any]]:
    """Return a grid without its section `lower`, and the grids below it."""
    upper = {key: value for key, value in grid.items() if key != LOWER}
    lower, case, level, name = (grid.get(key) for key in (LOWER, "case", "level", "name"))
    where = f"grids.{shown(str(name))[1:-1]}.{LOWER}"
    if not isinstance(lower, Mapping):
        raise ScenarioError(
            f"{where}: {shown(lower)}; a section with keys of the grids below is accepted"
        )
    taken = next((key for key in _STATED if key in lower), None)
    if taken is not None:
        raise ScenarioError(f"{where}.{taken}: is stated by the cut; leave it out")
    if not isinstance(case, str) or not isinstance(name, str) or level not in _LEVELS:
        if level == "lv":
            raise ScenarioError(f"{where}: an lv grid has no grids below")
        return [upper]  # refused with the rest of the schema
    part = grid.get("part")
    parts = read(case, name).lower(part if isinstance(part, str) else None, level, name)
    if not parts and top:
        limit = lower_limit_kv(level)
        raise ScenarioError(
            f"{where}: {case} has no transformer from above {limit:g} kV to at most {limit:g} kV, "
            f"at which an {level} grid is cut"
        )
    keys = {key: value for key, value in lower.items() if key != LOWER}
    nested = lower.get(LOWER, {})
    sections = [upper]
    for below in parts:
        section = _section(upper, keys, below)
        section |= {k: v for k, v in own.get(section["name"], {}).items() if k not in _STATED}
        if section["level"] in _LEVELS:
            further = {**keys, **nested} if isinstance(nested, Mapping) else nested
            section = {LOWER: further, **section}
            sections += _cut(section, own, read, top=False)
        else:
            sections.append(section)
    return sections


def _section(
    upper: Mapping[str, Any], lower: Mapping[str, Any], below: "LowerPart"
) -> dict[str, Any]:
    """Return the section of a grid below, with the upper one's tariff if `lower` states none."""
    stated = {
        "name": f"{upper['name']}_trafo{below.trafo}",
        "case": upper["case"],
        "part": f"trafo {below.trafo}",
        "level": below.level,
        "parent": upper["name"],
        "bus": below.bus,
        "replaces_load": False,
    }
    tariff = {"tariff": upper["tariff"]} if "tariff" in upper else {}
    return stated | tariff | dict(lower)
