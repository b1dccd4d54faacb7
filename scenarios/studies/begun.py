"""Read the directory of a sweep or ensemble and check that it can be resumed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stackelgrid.analysis.exactness.tables import SCHEMAS
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.files import check_members
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.resume import (
    check_files,
    check_no_links,
    check_same,
    check_saved,
)
from stackelgrid.scenarios.schema.load import LoadedScenario, load_scenario

# keys of summary.json that a resumed study needs; the first one identifies its kind
_SWEEP = ("points_planned", "status", "size", "wall_s", "files")
_ENSEMBLE = ("runs_planned", "status", "size", "members", "intervals", "wall_s", "folder", "files")


@dataclass(frozen=True)
class Begun:
    """A study that was begun in a directory: its scenario and its summary.json."""

    directory: Path
    loaded: LoadedScenario
    summary: Mapping[str, Any]

    @property
    def done(self) -> bool:
        """True if all requested tasks are done, and tables and pictures written."""
        return bool(self.summary["status"] == "done")


def begun_sweep(directory: Path, asked: LoadedScenario | None = None) -> Begun:
    """Read an unfinished sweep; raises ScenarioError as `begun_ensemble` and for a finished one."""
    found = _begun(directory, "interrupted sweep", _SWEEP, asked)
    if found.done:
        raise ScenarioError(f"--resume {directory}: is done; nothing is left to resume")
    check_saved(directory, tuple(SCHEMAS))
    return found


def begun_ensemble(directory: Path, asked: LoadedScenario | None = None) -> Begun:
    """Read an ensemble, finished or not.

    Raises ScenarioError for a directory without an ensemble, and for one of another version, of
    another scenario than `asked` or with other files; the message names the difference.
    """
    found = _begun(directory, "ensemble", _ENSEMBLE, asked)
    try:
        check_members(check_saved(directory, (), missing=True))
    except ResultsError as error:
        raise ScenarioError(
            f"--resume {directory}: {error}; remove the folder of that run, and it is run again"
        ) from error
    return replace(found, loaded=replace(found.loaded, folder=Path(found.summary["folder"])))


def _begun(
    directory: Path, what: str, needed: Sequence[str], asked: LoadedScenario | None
) -> Begun:
    """Read a study; `what` names it, `needed` are the keys of its summary."""
    check_no_links(directory)
    where, path = f"--resume {directory}", directory / "scenario.toml"
    try:
        summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
        if needed[0] not in summary or not path.is_file():
            raise ValueError
    except (OSError, ValueError) as error:
        raise ScenarioError(
            f"{where}: holds no {what} (no readable scenario.toml and summary.json of one)"
        ) from error
    before, present = summary.get("version"), version("stackelgrid")
    if before != present:
        raise ScenarioError(f"{where}: has version {before!r}, this is {present!r}")
    missing = [key for key in needed if key not in summary]
    if missing:
        raise ScenarioError(f"{where}: summary.json has no {missing[0]!r}; it is incomplete")
    own = load_scenario(str(path))
    if asked is not None:
        check_same(directory, own.resolved(), asked.resolved(), "asked for")
    check_files(directory, summary["files"], own.resolved())
    return Begun(directory, own, summary)
