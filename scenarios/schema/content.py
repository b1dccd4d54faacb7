"""Plain content of a scenario: from files, with `extends`, `--set` and templates; its limits."""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from stackelgrid.profiles.errors import shown
from stackelgrid.profiles.size_limits import SCENARIO_BYTES, SCENARIO_DEPTH
from stackelgrid.scenarios.errors import ScenarioError

# longest chain of scenarios that extend one another
_MOST_BASES = 8
_LARGEST = 2**63 - 1


def shipped_scenarios() -> tuple[str, ...]:
    """Return the names of the shipped scenarios."""
    return tuple(sorted(_files(_PACKAGE)))


def shipped_bases() -> tuple[str, ...]:
    """Return the names of the shipped files without grids, which a scenario extends."""
    return tuple(sorted(_files(_PACKAGE / "bases")))


_PACKAGE = files("stackelgrid.scenarios")


def _files(folder: Traversable) -> dict[str, Traversable]:
    return {f.name[:-5]: f for f in folder.iterdir() if f.name.endswith(".toml")}


def scenario_content(
    source: str, overrides: Sequence[str] | Mapping[str, Any] = ()
) -> tuple[dict[str, Any], str, Path]:
    """Read a scenario by path or shipped name; return its content, source and folder.

    Templates are not merged. `overrides` are `a.b=value` texts, or values by key. Raises
    ScenarioError for a file that cannot be read or parsed, and for overrides of unknown entries.
    """
    if isinstance(overrides, Mapping):
        given = list(overrides.items())
    else:
        given = [override_of(override) for override in overrides]
    return _overridden(_content(source, ()), given)


def plain_content(
    content: Mapping[str, Any], overrides: Mapping[str, Any]
) -> tuple[dict[str, Any], str, Path]:
    """Return content given in memory, merged over the scenario it `extends`."""
    data, name = dict(content), "scenario"
    folder = Path.cwd()
    base = data.get("extends")
    if isinstance(base, str) and base.endswith(".toml"):
        try:
            data["extends"] = str(Path(base).resolve())
        except (OSError, ValueError) as error:
            raise ScenarioError(f"{name}: extends: {_bare(base)} cannot be read") from error
        folder = Path(data["extends"]).parent
    return _overridden(_extended(data, name, folder, (name,)), list(overrides.items()))


def _overridden(
    found: tuple[dict[str, Any], str, Path], overrides: Sequence[tuple[str, Any]]
) -> tuple[dict[str, Any], str, Path]:
    for key, value in overrides:
        _override(found[0], key, value)
    return found


def _content(source: str, above: tuple[str, ...]) -> tuple[dict[str, Any], str, Path]:
    """Read a file and merge it over the scenario it `extends`; paths are relative to the file."""
    try:
        text, name, folder = _read(source)
    except ScenarioError as error:
        if not above:
            raise
        raise ScenarioError(f"{above[-1]}: extends: {error}") from error
    return _extended(_parsed(text, name), name, folder, (*above, source))


def _extended(
    data: dict[str, Any], name: str, folder: Path, above: tuple[str, ...]
) -> tuple[dict[str, Any], str, Path]:
    """Merge content over the scenario it `extends`; `above` lists the sources read so far."""
    if not data:
        raise ScenarioError(f"{name}: is empty; a scenario needs name, time, horizon, grids, ...")
    check_content(data, name)
    base = data.pop("extends", None)
    if base is None:
        return data, name, folder
    if not isinstance(base, str) or not base:
        raise ScenarioError(
            f"{name}: extends = {shown(base)}; a path or a shipped name is accepted"
        )
    if base.endswith(".toml"):
        base = str(folder / base)
    if base in above:
        raise ScenarioError(f"{name}: extends {shown(base)}, which extends it in turn")
    if len(above) > _MOST_BASES:
        raise ScenarioError(
            f"{name}: extends {shown(base)} and is itself the {_MOST_BASES}th of a chain; at most "
            f"{_MOST_BASES} scenarios that extend one another are accepted"
        )
    below, _, base_folder = _content(base, above)
    if base_folder != folder and base.endswith(".toml"):
        raise ScenarioError(
            f"{name}: extends {shown(base)} in another folder, which would change the "
            "files that it names; a file of the same folder or a shipped name is accepted"
        )
    return _merge(below, data), name, folder


def _read(source: str) -> tuple[str, str, Path]:
    path = Path(source)
    try:
        if path.suffix == ".toml" or path.exists():
            size = path.stat().st_size
            if path.is_file() and size > SCENARIO_BYTES:
                raise ScenarioError(
                    f"{_bare(str(path))}: has {size:,} bytes; a scenario of at most "
                    f"{SCENARIO_BYTES:,} is accepted"
                )
            if path.exists() and not (path.is_file() or path.is_dir()):
                raise ScenarioError(f"{_bare(str(path))}: cannot be read (not a file)")
            return path.read_text(encoding="utf-8-sig"), str(path), path.resolve().parent
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or NUL in the name
        reason = getattr(error, "strerror", None) or (
            "not a UTF-8 text file" if isinstance(error, UnicodeDecodeError) else str(error)
        )
        raise ScenarioError(f"{_bare(str(path))}: cannot be read ({reason})") from error
    shipped = _files(_PACKAGE) | _files(_PACKAGE / "bases")
    if source in shipped:
        return shipped[source].read_text(encoding="utf-8"), source, Path.cwd()
    raise ScenarioError(
        f"{_bare(str(path))}: no such scenario; a path ending in .toml or one of "
        f"{', '.join(shipped_scenarios())} is accepted"
    )


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ScenarioError(f"{name}: is nested too deeply to be read") from error
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise ScenarioError(f"{name}: not valid TOML: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    text = str(error).partition(";")[0] if "digits" in str(error) else str(error)
    return " ".join(text.split())[:300]


def override_of(text: str) -> tuple[str, Any]:
    """Split an override `key=value`; a value that is not TOML is text."""
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ScenarioError(
            f"--set {_bare(text)}: key=value is accepted, for example weather.sky=cloudy"
        )
    try:
        return key, tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return key, raw.strip()
    except (RecursionError, ValueError) as error:
        raise ScenarioError(
            f"--set {_bare(key)}: {shown(raw)} is not a value of TOML ({_first_line(error)})"
        ) from error


def _override(data: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.strip().split(".")
    target: Any = data
    for part in parents:
        target = _descend(target, part, key)
    if isinstance(target, list):
        target[_list_index(target, last, key)] = value
    else:
        target[last] = value
    check_content(data, f"--set {_bare(key)}")


def _bare(text: str) -> str:
    """Return a text for messages, without quotes and shortened if long."""
    return shown(text, limit=300)[1:-1]


def _descend(target: Any, part: str, key: str) -> Any:
    if isinstance(target, list):
        found = target[_list_index(target, part, key)]
    else:
        found = target.setdefault(part, {})
    if not isinstance(found, dict | list):
        raise ScenarioError(f"--set {_bare(key)}: {_bare(part)} is a value, not a section")
    return found


def _list_index(items: Sequence[Any], part: str, key: str) -> int:
    """Return the position of a list's entry, given by number or name (`grids.mv1`)."""
    for i, item in enumerate(items):
        if isinstance(item, dict) and item.get("name") == part:
            return i
    if part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(items):
        return int(part)
    names = [str(i["name"]) for i in items if isinstance(i, dict) and "name" in i]
    accepted = ", ".join(names) if names else f"0 to {len(items) - 1}" if items else "none"
    raise ScenarioError(f"--set {_bare(key)}: no entry {_bare(part)}; accepted: {accepted}")


def merge_templates(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Replace `template = "x"` of a grid by the keys of [templates.x] that it does not set.

    Raises ScenarioError for templates and grids that are not sections, and for unknown templates.
    """
    merged = dict(data)
    templates = merged.pop("templates", {})
    if not isinstance(templates, dict):
        raise ScenarioError(f"{name}: templates: {shown(templates)}; sections are accepted")
    for label, template in templates.items():
        if not isinstance(template, dict):
            raise ScenarioError(
                f"{name}: templates.{_bare(label)}: {shown(template)}; a section is accepted"
            )
    grids = merged.get("grids")
    if not isinstance(grids, list | tuple):
        return merged  # refused with the rest of the schema
    merged["grids"] = [_with_template(grid, templates, name) for grid in grids]
    return merged


def with_only_tariff(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return content in which mv and lv grids without a tariff have the only one that there is."""
    tariffs, grids = content.get("tariffs"), content.get("grids")
    if not (isinstance(tariffs, dict) and len(tariffs) == 1 and isinstance(grids, list | tuple)):
        return dict(content)
    (only,) = tariffs
    found = [
        {**grid, "tariff": only}
        if isinstance(grid, dict) and grid.get("level") in ("mv", "lv") and "tariff" not in grid
        else grid
        for grid in grids
    ]
    return {**content, "grids": found}


def _with_template(grid: Any, templates: Mapping[str, Any], name: str) -> Any:
    if isinstance(grid, dict) and isinstance(grid.get("lower"), dict):  # keys of the grids below
        grid = {**grid, "lower": _with_template(grid["lower"], templates, name)}
    if not isinstance(grid, dict) or "template" not in grid:
        return grid
    own = {k: v for k, v in grid.items() if k != "template"}
    label = grid["template"]
    if not isinstance(label, str) or label not in templates:
        known = ", ".join(_bare(t) for t in templates) or "none"
        raise ScenarioError(
            f"{name}: grids.{_bare(str(grid.get('name', '?')))}.template: {shown(label)} unknown; "
            f"known: {known}"
        )
    return _merge(templates[label], own)


def _merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Merge sections and entries of equal name; other values and empty lists of `own` replace."""
    result = dict(base)
    for key, value in own.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            result[key] = _merge(before, value)
        elif value and _named(before) and _named(value):
            own_entries = {entry["name"]: entry for entry in value}
            kept = [_merge(entry, own_entries.pop(entry["name"], {})) for entry in before or ()]
            result[key] = [*kept, *own_entries.values()]
        else:
            result[key] = value
    return result


def _named(value: Any) -> bool:
    """Return True if a value is a list of sections with different names."""
    if not isinstance(value, list):
        return False
    names = [v.get("name") if isinstance(v, dict) else None for v in value]
    return all(isinstance(n, str) for n in names) and len(set(names)) == len(names)


def check_content(data: Mapping[str, Any], name: str) -> None:
    """Refuse content that no key of a scenario accepts; raises ScenarioError with the key.

    Refused: sections nested deeper than `SCENARIO_DEPTH`, keys that are not text, text with control
    characters, and whole numbers beyond 64 bits.
    """
    left: list[tuple[tuple[str, ...], Any]] = [((), data)]
    while left:
        at, value = left.pop()
        if isinstance(value, str):
            _check_text(value, at, name)
        elif isinstance(value, int) and not isinstance(value, bool):
            if not -_LARGEST <= value <= _LARGEST:
                raise ScenarioError(
                    f"{name}: {_key(at)}: {shown(value)}; whole numbers of 64 bits are accepted"
                )
        elif isinstance(value, Mapping | list | tuple):
            if len(at) >= SCENARIO_DEPTH:
                raise ScenarioError(
                    f"{name}: {_key(at)}: is nested {len(at)} deep; less than {SCENARIO_DEPTH} "
                    "is accepted"
                )
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            for key, entry in items:
                if not isinstance(key, str | int):
                    raise ScenarioError(f"{name}: {_key(at)}: the key {shown(key)} is not text")
                _check_text(str(key), at, name)
                left.append(((*at, str(key)), entry))
        elif isinstance(value, date) and not 1 <= value.year <= 9999:
            raise ScenarioError(f"{name}: {_key(at)}: {shown(value)} is not a date")


def _check_text(text: str, at: tuple[str, ...], name: str) -> None:
    bad = next((c for c in text if (c < " " and c not in "\t\n\r") or c == "\x7f"), None)
    if bad is not None:
        raise ScenarioError(
            f"{name}: {_key(at)}: {shown(text)} holds the control character {bad!r}; text is "
            "accepted"
        )


def _key(at: tuple[str, ...]) -> str:
    parts = [shown(part)[1:-1] for part in at]
    return ".".join(parts if len(parts) <= 8 else [*parts[:7], "..."]) or "scenario"
