"""Read and check summary.json and scenario.toml of a directory of results."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.kinds import no_run, results_in, study_kind
from stackelgrid.analysis.results.shapes import check_scenario_shape, check_summary_shape

__all__ = ["GridInfo", "read_summary", "run_scenario", "run_summary"]

_KEYS = ("scenario", "status", "intervals_planned", "intervals_done")


@dataclass(frozen=True)
class GridInfo:
    """A grid of a run: level (transmission, mv, lv), parent and bus there (None for the root)."""

    name: str
    level: str
    parent: str | None
    bus: int | None
    multiplicity: int


def run_summary(directory: Path) -> dict[str, Any]:
    """Return summary.json of a run, its keys and types checked; raises ResultsError."""
    content = read_summary(directory)
    study = study_kind(content)
    if study is not None:
        raise ResultsError(no_run(directory, study))
    missing = [key for key in _KEYS if content.get(key) is None]
    if missing:
        raise ResultsError(
            f"{directory}: summary.json has no {missing[0]!r} of a run; the directory of a run "
            "(stackelgrid run) is accepted"
        )
    try:
        check_summary_shape(content)
    except ValueError as error:
        raise ResultsError(
            f"{directory}: summary.json: {error}; the summary of a run (stackelgrid run) is "
            "accepted"
        ) from error
    return content


def read_summary(directory: Path) -> dict[str, Any]:
    """Return summary.json of a directory of results; raises a one-line ResultsError."""
    try:
        return _summary(directory)
    except OSError as error:  # no permission, a drive that is gone
        raise ResultsError(f"{directory}: cannot be read ({error.strerror})") from error


def _summary(directory: Path) -> dict[str, Any]:
    if not directory.exists():
        raise ResultsError(f"{directory}: does not exist; a directory of results is accepted")
    if not directory.is_dir():
        raise ResultsError(f"{directory}: is a file; a directory of results is accepted")
    if not any(directory.iterdir()):
        raise ResultsError(f"{directory}: is empty; a directory of results is accepted")
    path = directory / "summary.json"
    if not path.is_file():
        accepted = results_in(directory) or (
            "a directory that stackelgrid run, compare, exactness or ensemble has written"
        )
        raise ResultsError(
            f"{directory}: holds no results (summary.json is missing); accepted: {accepted}"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{path}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise ResultsError(f"{path}: holds no object; a summary of stackelgrid is accepted")
    return content


def run_scenario(directory: Path) -> tuple[dict[str, Any], dict[str, GridInfo]]:
    """Return scenario.toml of a run, and its grids by name; raises ResultsError."""
    path = directory / "scenario.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{path}: cannot be read ({error})") from error
    time = content.get("time")
    if not isinstance(time, Mapping) or "interval_min" not in time or "grids" not in content:
        raise ResultsError(f"{path}: has no time.interval_min or no grids; a run's is accepted")
    try:
        grids = check_scenario_shape(content)
    except ValueError as error:
        raise ResultsError(f"{path}: {error}") from error
    return content, {
        g.name: GridInfo(g.name, g.level, g.parent, g.bus, g.multiplicity) for g in grids
    }
