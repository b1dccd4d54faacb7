"""The verb `profiles`: how a file of time series is understood."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from stackelgrid.profiles.errors import ProfileError, StackelgridError
from stackelgrid.profiles.tables.description import TableDescription, describe_table

if TYPE_CHECKING:
    from stackelgrid.scenarios.api.inputs import Source
    from stackelgrid.scenarios.schema.load import LoadedScenario

_FRAME = "frame in memory"


def describe_profiles(
    file: "str | os.PathLike[str] | pd.DataFrame | pd.Series[Any]",
    *,
    timezone: str | None = None,
    scenario: "Source | None" = None,
) -> TableDescription:
    """Describe a file of time series: rows, zone, step, units, ranges, energies and problems.

    file: path of a CSV or Parquet file, or a pandas frame.
    timezone: zone of stamps without an offset; default that of the scenario.
    scenario: shipped name, path, `Scenario` or mapping; its keys that name the file are listed, and
        it is built, so that coverage and names of columns are checked as by `validate`.

    Raises a StackelgridError for a file that is no table or whose stamps cannot be read.
    """
    loaded: LoadedScenario | None = None
    if scenario is not None:
        from stackelgrid.scenarios.api.inputs import check_source

        loaded = check_source(scenario, None, None)
        timezone = timezone or loaded.scenario.time.timezone
    if isinstance(file, pd.DataFrame | pd.Series):
        from stackelgrid.scenarios.api.inputs import write_table

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "frame.parquet"
            write_table(file, path)
            try:
                return replace(describe_table(path, timezone), file=_FRAME)
            except ProfileError as error:
                raise ProfileError(str(error).replace(str(path), _FRAME)) from error
    found = describe_table(Path(file), timezone)
    return found if loaded is None else _used(found, loaded, Path(file))


def _used(found: TableDescription, loaded: "LoadedScenario", path: Path) -> TableDescription:
    """Return a description with the keys of a scenario that name the file, and its first error."""
    from stackelgrid.scenarios.build.system import build_scenario

    keys = tuple(_keys(loaded.resolved(), str(path.resolve())))
    problems = found.problems
    if keys:
        try:
            build_scenario(loaded)
        except StackelgridError as error:
            problems += (" ".join(str(error).split()),)
    return replace(found, used_by=keys, problems=problems)


def _keys(content: Any, path: str, key: str = "") -> Iterator[str]:
    """Yield the keys whose value is a path."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield from _keys(value, path, f"{key}.{name}" if key else str(name))
    elif isinstance(content, list | tuple):
        for k, value in enumerate(content):
            label = value.get("name", k) if isinstance(value, Mapping) else k
            yield from _keys(value, path, f"{key}.{label}")
    elif isinstance(content, str) and content == path:
        yield key
