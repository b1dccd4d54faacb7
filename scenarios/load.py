"""From a TOML file and overrides to a validated Scenario, with errors that name file and key."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema import Scenario

# scenarios that may extend one another in a chain
_MOST_BASES = 8


@dataclass(frozen=True)
class LoadedScenario:
    """A scenario and where it came from: relative paths in it start at `folder`."""

    scenario: Scenario
    source: str
    folder: Path


def shipped_scenarios() -> tuple[str, ...]:
    """Names of the scenarios that come with the package."""
    folder = files("stackelgrid.scenarios")
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_scenario(
    source: str,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    seed: int | None = None,
) -> LoadedScenario:
    """Read a scenario by path or shipped name; `overrides` are `a.b=value` texts, or values by key.

    Raises ScenarioError with one line for anything that is wrong.
    """
    if isinstance(overrides, Mapping):
        given = list(overrides.items())
    else:
        given = [_parsed(override) for override in overrides]
    return _validated(_content(source, ()), given, seed)


def load_content(
    content: Mapping[str, Any], overrides: Mapping[str, Any], seed: int | None = None
) -> LoadedScenario:
    """Validate the content of a scenario that is no file; `overrides` are values by `a.b`.

    Relative paths in it start at the folder of the file that it `extends`, else at the working
    directory. Raises ScenarioError as `load_scenario` does.
    """
    data, name = dict(content), "scenario"
    folder = Path.cwd()
    base = data.get("extends")
    if isinstance(base, str) and base.endswith(".toml"):
        folder = Path(base).resolve().parent
        data["extends"] = str(Path(base).resolve())
    found = _extended(data, name, folder, (name,))
    return _validated(found, list(overrides.items()), seed)


def _validated(
    found: tuple[dict[str, Any], str, Path],
    overrides: Sequence[tuple[str, Any]],
    seed: int | None,
) -> LoadedScenario:
    data, name, folder = found
    for key, value in overrides:
        _override(data, key, value)
    if seed is not None:
        data["seed"] = seed
    _merge_templates(data, name)
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(_first_error(error, name, data)) from error
    return LoadedScenario(scenario, name, folder)


def _content(source: str, above: tuple[str, ...]) -> tuple[dict[str, Any], str, Path]:
    """Content of a file over that of the scenario it `extends`; relative paths are the file's."""
    text, name, folder = _read(source)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{name}: not valid TOML: {error}") from error
    return _extended(data, name, folder, (*above, source))


def _extended(
    data: dict[str, Any], name: str, folder: Path, above: tuple[str, ...]
) -> tuple[dict[str, Any], str, Path]:
    """Content over that of the scenario it `extends`; `above` ends with what it was read from."""
    if not data:
        raise ScenarioError(f"{name}: is empty; a scenario needs name, time, horizon, grids, ...")
    base = data.pop("extends", None)
    if base is None:
        return data, name, folder
    if not isinstance(base, str):
        raise ScenarioError(f"{name}: extends = {base!r}; a path or a shipped name is accepted")
    own = folder / base
    if base.endswith(".toml") and own.exists():
        base = str(own)
    if base in above or len(above) > _MOST_BASES:
        raise ScenarioError(f"{name}: extends {base}, which extends it in turn")
    below, _, base_folder = _content(base, above)
    if base_folder != folder and base.endswith(".toml"):
        raise ScenarioError(
            f"{name}: extends {base} in another folder, where its file names would be others; "
            "a file of the same folder or a shipped name is accepted"
        )
    return _merge(below, data), name, folder


def _read(source: str) -> tuple[str, str, Path]:
    path = Path(source)
    if path.suffix == ".toml" or path.exists():
        try:
            return path.read_text(encoding="utf-8"), str(path), path.resolve().parent
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a UTF-8 text file"
            raise ScenarioError(f"{path}: cannot be read ({reason})") from error
    if source in shipped_scenarios():
        shipped = files("stackelgrid.scenarios") / f"{source}.toml"
        return shipped.read_text(encoding="utf-8"), source, Path.cwd()
    raise ScenarioError(
        f"{source}: no such scenario; a path ending in .toml or one of "
        f"{', '.join(shipped_scenarios())} is accepted"
    )


def _parsed(text: str) -> tuple[str, Any]:
    """Key and value of an override `key=value`; what is no TOML value is a text."""
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ScenarioError(f"--set {text}: key=value is accepted, for example weather.sky=cloudy")
    try:
        return key, tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return key, raw.strip()


def _override(data: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.strip().split(".")
    target: Any = data
    for part in parents:
        target = _descend(target, part, key)
    if isinstance(target, list):
        target[_list_index(target, last, key)] = value
    else:
        target[last] = value


def _descend(target: Any, part: str, key: str) -> Any:
    if isinstance(target, list):
        return target[_list_index(target, part, key)]
    found = target.setdefault(part, {})
    if not isinstance(found, dict | list):
        raise ScenarioError(f"--set {key}: {part} is a value, not a section")
    return found


def _list_index(items: Sequence[Any], part: str, key: str) -> int:
    """Entry of a list by number, or by its name (`grids.mv1`)."""
    for i, item in enumerate(items):
        if isinstance(item, dict) and item.get("name") == part:
            return i
    if part.isdigit() and int(part) < len(items):
        return int(part)
    names = [i["name"] for i in items if isinstance(i, dict) and "name" in i]
    accepted = ", ".join(names) if names else f"0 to {len(items) - 1}"
    raise ScenarioError(f"--set {key}: no entry {part}; accepted: {accepted}")


def _merge_templates(data: dict[str, Any], name: str) -> None:
    """Replace `template = "x"` of a grid by the keys of [templates.x] that it does not set."""
    templates = data.pop("templates", {})
    grids = data.get("grids", [])
    if not isinstance(templates, dict) or not isinstance(grids, list):
        return
    merged = []
    for grid in grids:
        if isinstance(grid, dict) and "template" in grid:
            own = {k: v for k, v in grid.items() if k != "template"}
            label = grid["template"]
            if label not in templates:
                known = ", ".join(templates) or "none"
                raise ScenarioError(
                    f"{name}: grids.{grid.get('name', '?')}.template: {label!r} unknown; "
                    f"known: {known}"
                )
            grid = _merge(templates[label], own)
        merged.append(grid)
    data["grids"] = merged


def _merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Own keys win; sections merge, so do entries of equal name, other lists replace."""
    result = dict(base)
    for key, value in own.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            result[key] = _merge(before, value)
        elif _named(before) and _named(value):
            own_entries = {entry["name"]: entry for entry in value}
            kept = [_merge(entry, own_entries.pop(entry["name"], {})) for entry in before or ()]
            result[key] = [*kept, *own_entries.values()]
        else:
            result[key] = value
    return result


def _named(value: Any) -> bool:
    """Whether a value is a list of sections that all have a name."""
    return isinstance(value, list) and all(isinstance(v, dict) and "name" in v for v in value)


def _first_error(error: ValidationError, name: str, data: Mapping[str, Any]) -> str:
    """One line for the first error, and how many more there are."""
    # a list whose only entry is refused counts as too short besides; a list that is, is empty
    first, *others = (e for e in error.errors() if e["type"] != "too_short" or not e["input"])
    parts: list[str] = []
    at: Any = data
    for part in first["loc"]:
        if isinstance(at, list) and isinstance(part, int) and part < len(at):
            at = at[part]
            label = at.get("name") if isinstance(at, dict) else None
            parts.append(str(label or part))
        else:
            at = at.get(part) if isinstance(at, dict) else None
            parts.append(str(part))
    key = ".".join(parts) or "scenario"
    value = first["input"]
    if first["type"] == "missing":
        text = "is missing"
    elif first["type"] == "value_error":
        text = first["msg"].removeprefix("Value error, ")
    else:
        message = first["msg"][:1].lower() + first["msg"][1:]
        text = f"{_short(value)} is not accepted: {message}"
    more = f" (and {len(others)} more)" if others else ""
    return f"{name}: {key}: {text}{more}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
