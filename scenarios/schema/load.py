"""Load a Scenario from a TOML file with overrides, or from plain content."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.levels import PART
from stackelgrid.profiles.errors import shown
from stackelgrid.profiles.file_names import FILE_NAME
from stackelgrid.profiles.section import CLOCK_TIME, IMPORT_NAME
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.content import (
    check_content,
    merge_templates,
    plain_content,
    scenario_content,
    shipped_scenarios,
    with_only_tariff,
)
from stackelgrid.scenarios.schema.levels import with_lower_grids
from stackelgrid.scenarios.schema.named import with_names
from stackelgrid.scenarios.schema.scenario import Scenario

__all__ = ["LoadedScenario", "load_content", "load_scenario", "scenario_of", "shipped_scenarios"]


# nets are read only for scenarios that cut one into its levels
if TYPE_CHECKING:
    from pandapower.auxiliary import pandapowerNet

    from stackelgrid.controllers.networks.sources.parts import Parts

Nets = Mapping[str, "pandapowerNet"]


@dataclass(frozen=True)
class LoadedScenario:
    """A scenario and its source; relative paths in it start at `folder`."""

    scenario: Scenario
    source: str
    folder: Path

    def resolved(self) -> dict[str, Any]:
        """Return the content with absolute file names, independent of its folder."""
        content = self.scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
        found: dict[str, Any] = absolute_names(content, self.folder.resolve())
        return found


def absolute_names(content: Any, folder: Path) -> Any:
    """Return plain content in which all names of files are absolute, from a folder on."""
    return with_names(content, lambda text, mark: str(folder / text) if mark.file(text) else text)


def load_scenario(
    source: str,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    seed: int | None = None,
    nets: Nets | None = None,
) -> LoadedScenario:
    """Read a scenario by path or shipped name; `overrides` are `a.b=value` texts, or values by key.

    source, overrides, seed: the scenario.
    nets: nets in memory by the absolute name of their file, which may not exist yet.

    Raises ScenarioError with one line that names file and key.
    """
    return _validated(scenario_content(source, overrides), seed, nets)


def load_content(
    content: Mapping[str, Any],
    overrides: Mapping[str, Any],
    seed: int | None = None,
    nets: Nets | None = None,
) -> LoadedScenario:
    """Validate the content of a scenario without a file; `overrides` are values by `a.b`.

    content, overrides, seed: the scenario.
    nets: nets in memory by the absolute name of their file, which may not exist yet.

    Relative paths start at the folder of the file that it `extends`, otherwise at the working
    directory. Raises ScenarioError as `load_scenario` does.
    """
    return _validated(plain_content(content, overrides), seed, nets)


def _validated(
    found: tuple[dict[str, Any], str, Path], seed: int | None, nets: Nets | None = None
) -> LoadedScenario:
    data, name, folder = found
    if seed is not None:
        data["seed"] = seed
    check_content(data, name)
    merged = merge_templates(data, name)
    try:
        merged = with_lower_grids(merged, partial(_parts, folder, nets or {}))
    except (NetworkError, ScenarioError) as error:
        raise type(error)(f"{name}: {error}") from error
    return LoadedScenario(scenario_of(with_only_tariff(merged), name), name, folder)


def _parts(folder: Path, nets: Nets, case: str, grid: str) -> "Parts":
    """Return the parts of the net of a case, in memory or by a name relative to a folder."""
    from stackelgrid.controllers.networks.sources.cases import located, read_case, source_of

    place = located(case, folder)
    return (source_of(nets[place], grid) if place in nets else read_case(place, grid)).parts


def scenario_of(data: Mapping[str, Any], name: str) -> Scenario:
    """Validate the content of a scenario; messages begin with `name`.

    Raises ScenarioError with one line: key, value and what is accepted.
    """
    check_content(data, name)
    merged = merge_templates(data, name)
    try:
        return Scenario.model_validate(merged)
    except ValidationError as error:
        raise ScenarioError(_first_error(error, name, merged)) from error


# replacements for pydantic's messages that name Python types
_PATTERNS = {
    CLOCK_TIME: "a clock time HH:MM, such as 17:00,",
    IMPORT_NAME: "package.module:name",
    FILE_NAME: "a letter, then letters, digits, _ and - (text)",
    PART: '"ext_grid 1" or "trafo 7" (with the index in the net)',
}
_SHAPES = {"tuple_type": "a list", "dict_type": "a section", "model_type": "a section"}


def _first_error(error: ValidationError, name: str, data: Mapping[str, Any]) -> str:
    """Return one line with the first error and the number of further ones."""
    # a list whose only entry is refused is also reported as too short; keep that error only for
    # empty lists
    first, *others = (e for e in error.errors() if e["type"] != "too_short" or not e["input"])
    parts: list[str] = []
    at: Any = data
    for part in first["loc"]:
        if isinstance(at, list) and isinstance(part, int) and part < len(at):
            at = at[part]
            label = at.get("name") if isinstance(at, dict) else None
            parts.append(shown(str(label or part))[1:-1])
        else:
            at = at.get(part) if isinstance(at, dict) else None
            parts.append(shown(str(part))[1:-1])
    key = ".".join(parts) or "scenario"
    value = first["input"]
    if first["type"] == "missing":
        text = "is missing"
    elif first["type"] in _SHAPES:
        text = f"{shown(value)} is not accepted: {_SHAPES[first['type']]} is"
    elif first["type"] == "string_pattern_mismatch" and first["ctx"]["pattern"] in _PATTERNS:
        text = f"{shown(value)} is not accepted: {_PATTERNS[first['ctx']['pattern']]} is"
    elif first["type"] == "too_short":
        least = first["ctx"]["min_length"]
        text = f"{shown(value)} is not accepted: a list of at least {least} is"
    elif first["type"] == "value_error":
        text = first["msg"].removeprefix("Value error, ")
    else:
        message = first["msg"][:1].lower() + first["msg"][1:]
        text = f"{shown(value)} is not accepted: {message}"
    more = f" (and {len(others)} more)" if others else ""
    return f"{name}: {key}: {text}{more}"
