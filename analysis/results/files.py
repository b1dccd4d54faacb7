"""Read and check summary.json, scenario.toml and the manifest of a directory of results."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.shapes import check_scenario_shape, check_summary_shape
from stackelgrid.analysis.results.summaries import RunSummary
from stackelgrid.simulators.results.manifest import FILE, Manifest, ManifestError


@dataclass(frozen=True)
class StudyKind:
    """A kind of study: its name, the key of its summary that identifies it, and its verb."""

    name: str
    key: str
    of: type
    verb: str
    resumes: bool


# the summary of an ensemble also has the key schemes, but as a list
STUDIES = (
    StudyKind("a sweep", "points_planned", int, "exactness", resumes=True),
    StudyKind("an ensemble", "runs_planned", int, "ensemble", resumes=True),
    StudyKind("a comparison of schemes", "schemes", dict, "compare", resumes=False),
    StudyKind("a comparison of qualities", "qualities", dict, "compare", resumes=False),
)
_NAMED = 4  # largest number of directories named in a message


def study_kind(summary: Mapping[str, Any]) -> StudyKind | None:
    """Return the kind of study that a summary belongs to; None for runs and other content."""
    return next((k for k in STUDIES if isinstance(summary.get(k.key), k.of)), None)


def no_run(directory: Path, kind: StudyKind) -> str:
    """Return a message for a study given in place of a run: the verb to use, and its runs."""
    text = f"{directory}: holds {kind.name}, not a run; stackelgrid report {directory} shows it"
    runs = results_in(directory)
    return f"{text}, and its runs are {runs}" if runs else text


def results_in(directory: Path) -> str:
    """Return a text with the directories of results below a directory; empty without any."""
    found = sorted({path.parent for path in directory.glob("*/summary.json")})
    found = found or sorted({path.parent for path in directory.glob("*/*/*/*/*/summary.json")})
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(str(path) for path in found[:_NAMED]) + more


def check_held(
    manifest: Manifest, summary: Mapping[str, Any], tables: Sequence[str], done: int
) -> str:
    """Check a directory of results against its manifest.

    manifest: the manifest.
    summary: content of summary.json.
    tables: names of the tables.
    done: number of recorded parts.

    Returns a notice if there is no manifest, which version 0.1 did not write. Raises ResultsError
    that names the first missing or changed file.
    """
    if not manifest.exists:
        if summary.get("manifest") is not None:
            raise ResultsError(f"{manifest.directory / FILE}: is missing; summary.json names it")
        return notice_of(manifest.directory, summary)
    try:
        manifest.check(tables, done=done)
    except ManifestError as error:
        raise ResultsError(str(error)) from error
    return ""


def notice_of(directory: Path, summary: Mapping[str, Any]) -> str:
    """Return a notice for a directory that cannot be checked; empty for any other."""
    if "manifest" in summary:
        return ""
    return f"{directory} has no {FILE} (version 0.1 wrote none): its files are not checked"


def check_members(manifest: Manifest) -> None:
    """Check the runs listed in a study's manifest, after the study itself has been checked.

    Raises ResultsError.
    """
    for files in (manifest.base, *manifest.parts.values()):
        for name in files:
            path = manifest.directory / name
            if path.name == FILE and path.exists():
                check_member(path.parent)


def check_member(directory: Path) -> None:
    """Check one run of a study; raises ResultsError."""
    check_held(Manifest(directory), {"manifest": FILE}, (), 0)


_KEYS = ("scenario", "status", "intervals_planned", "intervals_done")


@dataclass(frozen=True)
class GridInfo:
    """A grid of a run: level (transmission, mv, lv), parent and bus there (None for the root)."""

    name: str
    level: str
    parent: str | None
    bus: int | None
    multiplicity: int


def run_summary(directory: Path) -> RunSummary:
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
    return cast(RunSummary, content)


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
