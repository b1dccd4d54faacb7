"""Resume an interrupted run from its saved state, or begin it again without one."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stackelgrid.analysis.results.files import check_held, study_kind
from stackelgrid.analysis.results.record import BASELINE
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.directory import locked
from stackelgrid.scenarios.run.progress import RunProgress
from stackelgrid.scenarios.run.run import RunResult, run_in
from stackelgrid.scenarios.run.state import (
    FORMAT,
    STATE_FILE,
    StateHeader,
    file_digests,
    libraries,
    load_state,
    read_header,
    remove_state,
)
from stackelgrid.scenarios.schema.load import LoadedScenario, load_scenario
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.simulators.results.manifest import FILE, Manifest, ManifestError
from stackelgrid.simulators.results.tables import SCHEMAS
from stackelgrid.simulators.results.whole_file import refuse_links


@dataclass(frozen=True)
class Resumable:
    """A run directory: its scenario, the header of its state if any, its summary if done."""

    directory: Path
    loaded: LoadedScenario
    header: StateHeader | None
    finished: dict[str, Any] | None


def resumable(directory: Path, loaded: LoadedScenario | None = None) -> Resumable:
    """Read the directory of a run and check that the run can be resumed.

    `loaded` is the scenario expected in the directory; by default any. Raises ScenarioError for a
    directory that does not hold a run, and for a state of another version or scenario, and a
    StackelgridError for files that are missing or changed.
    """
    check_no_links(directory)
    path = directory / "scenario.toml"
    header = read_header(directory)
    summary = _summary(directory, has_state=header is not None)
    study = study_kind(summary or {})
    if study is not None:
        how = (
            f"stackelgrid {study.verb} --resume {directory} goes on"
            if study.resumes
            else (f"stackelgrid {study.verb} begins a new one")
        )
        raise ScenarioError(f"--resume {directory}: holds {study.name}, not a run; {how}")
    if not path.is_file() or (summary is not None and "intervals_planned" not in summary):
        raise ScenarioError(
            f"--resume {directory}: is not a run; a directory that `stackelgrid run` has begun to "
            "write is accepted"
        )
    own = load_scenario(str(path))
    if loaded is not None:
        check_same(directory, own.resolved(), loaded.resolved(), "asked for")
    if summary is not None and summary.get("status") == "done":
        remove_state(directory)  # the process ended before it removed the state
        check_held(Manifest(directory), summary, tuple(SCHEMAS), own.scenario.time.intervals)
        return Resumable(directory, loaded or own, None, summary)
    # the module of a user's controller is in the folder of the original scenario file
    folder = None if summary is None else summary.get("folder")
    if header is not None:
        _check_header(directory, header, own.resolved())
        check_saved(directory, tuple(SCHEMAS), header.interval, before=header.interval)
        folder = header.folder
    if folder is not None:
        own = replace(own, folder=Path(folder))
    return Resumable(directory, loaded or own, header, None)


def check_saved(
    directory: Path,
    tables: Sequence[str],
    done: int = 0,
    before: int | None = None,
    *,
    missing: bool = False,
) -> Manifest:
    """Refuse a directory in which a file needed to resume is missing or changed.

    `done` intervals must be recorded; intervals from `before` on are computed again, and so are
    missing files if `missing` is set. Raises ScenarioError.
    """
    manifest = Manifest(directory)
    if not manifest.exists:
        raise ScenarioError(
            f"--resume {directory}: {FILE} is missing; put it back, or begin in a new directory"
        )
    try:
        manifest.check(tables, done=done, before=before, missing=missing)
    except ManifestError as error:
        raise ScenarioError(
            f"--resume {directory}: {error}; put it back, or begin in a new directory"
        ) from error
    return manifest


def check_no_links(directory: Path) -> None:
    """Refuse a directory that contains symbolic links; raises ScenarioError."""
    try:
        refuse_links(directory)
    except StackelgridError as error:
        raise ScenarioError(f"--resume {directory}: {error}") from error


def resume_run(
    found: Resumable,
    progress: Callable[[RunProgress], None] = lambda progress: None,
    say: Callable[[str], None] = lambda line: None,
    building: Callable[[str], None] = lambda text: None,
) -> RunResult:
    """Resume an unfinished run; the result equals that of a run without interruption."""
    directory, header = found.directory, found.header
    if found.finished is not None:
        raise ScenarioError(f"--resume {directory}: is finished")
    with locked(directory):
        if header is None:
            say(f"{directory} holds no saved state: the run begins again")
            empty = _emptied(directory)
            return run_in(found.loaded, directory, progress, say, empty, building=building)
        state = load_state(directory, header)
        say(f"goes on with interval {header.interval}")
        for name, now in other_libraries(header).items():
            before = header.libraries[name]
            say(f"saved with {name} {before}, goes on with {now}: last digits may differ")
        claim = nullcontext()
        return run_in(found.loaded, directory, progress, say, claim, state, building=building)


def other_libraries(header: StateHeader) -> dict[str, str]:
    """Return the present versions of libraries whose version differs from that of a state."""
    present = libraries()
    return {n: now for n, now in present.items() if now != header.libraries.get(n, now)}


@contextmanager
def _emptied(directory: Path) -> Iterator[None]:
    """Remove the results of a run without a state; keep its scenario and summary."""
    for table in SCHEMAS:
        shutil.rmtree(directory / table, ignore_errors=True)
        for name in (f"{table}.parquet", f"{table}.parquet.tmp"):
            (directory / name).unlink(missing_ok=True)
    for name in ("log.jsonl", FILE, f"{FILE}.tmp", "summary.json.tmp", f"{STATE_FILE}.tmp"):
        (directory / name).unlink(missing_ok=True)
    shutil.rmtree(directory / BASELINE, ignore_errors=True)
    yield


def _check_header(directory: Path, header: StateHeader, content: Mapping[str, Any]) -> None:
    present = version("stackelgrid")
    if (header.format, header.version) != (FORMAT, present):
        raise ScenarioError(
            f"--resume {directory}: was saved by version {header.version} (format "
            f"{header.format}); this is {present} (format {FORMAT}), which goes on with its own"
        )
    check_same(directory, header.scenario, content, "in scenario.toml")
    check_files(directory, header.files, content)


def check_files(directory: Path, saved: Mapping[str, str], content: Mapping[str, Any]) -> None:
    """Refuse files named by a resolved scenario that have changed since it was saved."""
    present = file_digests(content)
    for name, digest in saved.items():
        if present.get(name) != digest:
            what = "has changed" if name in present else "is missing"
            raise ScenarioError(f"--resume {directory}: {name} {what} since the run was saved")


def check_same(
    directory: Path, saved: Mapping[str, Any], now: Mapping[str, Any], where: str
) -> None:
    """Refuse another scenario; the message names the first difference."""
    difference = _difference(_normal(saved), _normal(now), ())
    if difference is not None:
        key, before, after = difference
        raise ScenarioError(
            f"--resume {directory}: {'.'.join(key)} is {_short(before)} in the saved run and "
            f"{_short(after)} {where}; the same scenario is accepted"
        )


def _normal(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content with one spelling of equal values, such as a day and its first second."""
    again = Scenario.model_validate(content)
    return again.model_dump(mode="json", by_alias=True, exclude_none=True)


def _difference(
    a: Any, b: Any, key: tuple[str, ...]
) -> tuple[tuple[str, ...], object, object] | None:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for name in [*a, *(n for n in b if n not in a)]:
            found = _difference(a.get(name, _NOTHING), b.get(name, _NOTHING), (*key, str(name)))
            if found is not None:
                return found
        return None
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            label = x.get("name", i) if isinstance(x, Mapping) else i
            found = _difference(x, y, (*key, str(label)))
            if found is not None:
                return found
        return None
    return None if a == b else (key, a, b)


_NOTHING = "not set"


def _short(value: object) -> str:
    text = value if value is _NOTHING else repr(value)
    return str(text) if len(str(text)) <= 60 else f"{str(text)[:57]}..."


def _summary(directory: Path, *, has_state: bool) -> dict[str, Any] | None:
    """Return summary.json; None if a loss of power left it incomplete beside a state."""
    path = directory / "summary.json"
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        if has_state:
            return None
        raise ScenarioError(f"{path}: is not JSON") from error
    return content if isinstance(content, dict) else {}
