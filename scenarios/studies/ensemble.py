"""The verb `ensemble`: members x error levels x schemes x horizons, on many workers, resumable."""

import os
import shutil
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w
from distributed import Client

from stackelgrid.analysis.ensemble.statistics import EnsembleTables, analyse, write_tables
from stackelgrid.analysis.pictures.studies import write_ensemble
from stackelgrid.analysis.studies import DATASET
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.build.notices import notices
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.directory import RunLog, check_out, locked, write_summary
from stackelgrid.scenarios.run.state import file_digests
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.scenarios.studies.ensemble_cluster import (
    default_workers,
    local_workers,
    remote_workers,
    results_of,
)
from stackelgrid.scenarios.studies.ensemble_design import (
    Ensemble,
    MemberRun,
    representatives,
    runs_of,
)
from stackelgrid.scenarios.studies.ensemble_member import MemberResult
from stackelgrid.scenarios.studies.ensemble_resume import Begun
from stackelgrid.simulators.results.manifest import FILE, Entry, ManifestWriter, entry_of
from stackelgrid.simulators.results.whole_file import own_folder, whole_file

_UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Workers:
    """Workers of an ensemble: a scheduler by its address, or `count` local processes."""

    address: str | None = None
    count: int | None = None

    def open(self, memory_mb: int | None) -> AbstractContextManager[Client]:
        """Connect or start; raises ScenarioError for a scheduler that does not answer."""
        if self.address is not None:
            return remote_workers(self.address)
        return local_workers(self.local_count, memory_mb)

    @property
    def local_count(self) -> int:
        """Number of processes on this machine."""
        return self.count or default_workers()


@dataclass(frozen=True)
class EnsembleResult:
    """Directory of an ensemble, its tables (None if every run failed) and its summary."""

    directory: Path
    tables: EnsembleTables | None
    summary: dict[str, Any]


@dataclass
class _Work:
    """Data shared by all runs of an ensemble."""

    loaded: LoadedScenario
    ensemble: Ensemble
    runs: tuple[MemberRun, ...]
    out: Path
    log: RunLog
    say: Callable[[str], None]
    progress: Callable[[int], None]
    files: dict[str, str]
    started: float
    done: int = 0
    workers: int = 0
    failed: dict[int, str] = field(default_factory=dict)


def run_ensemble(
    loaded: LoadedScenario,
    ensemble: Ensemble,
    out: Path,
    workers: Workers,
    *,
    resume: Begun | None = None,
    progress: Callable[[int], None] = lambda done: None,
    say: Callable[[str], None] = lambda line: None,
) -> EnsembleResult:
    """Run all members into one directory and analyse them (docs/ensemble.md).

    With `resume`, what was begun in the directory, its runs are kept. A run that fails is recorded
    with its reason, the others go on. Raises a StackelgridError for anything bad before anything
    is written, when the workers are gone, and where nothing can be written any more.
    """
    started = time.perf_counter()
    if resume is None:
        check_out(out)
    else:
        started -= resume.summary["wall_s"]
    runs = runs_of(loaded, ensemble)
    lines = _check_builds(loaded, ensemble, runs)
    with workers.open(ensemble.memory_per_worker_mb) as client:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ScenarioError(f"--out {out}: cannot be written ({error.strerror})") from error
        with locked(out):
            content = loaded.resolved()
            if resume is None:
                check_out(out)  # others may have begun there in the meantime
                _write_scenario(out, content)
            files = file_digests(content)
            log = RunLog(out)
            work = _Work(loaded, ensemble, runs, out, log, say, progress, files, started)
            return _run(work, client, lines)


def unfinished_runs(loaded: LoadedScenario, ensemble: Ensemble, out: Path) -> int:
    """Return the number of an ensemble's runs missing in its directory."""
    return sum(not _is_done(out, run) for run in runs_of(loaded, ensemble))


def _check_builds(
    loaded: LoadedScenario, ensemble: Ensemble, runs: tuple[MemberRun, ...]
) -> list[str]:
    """Build what stands for all runs; notices of the first. Raises a StackelgridError."""
    lines: list[str] | None = None
    for run in representatives(ensemble, runs):
        source = f"{loaded.source}: ensemble: {run.cells[0].label}"
        built = build_scenario(LoadedScenario(_scenario_in(run.scenario), source, loaded.folder))
        lines = notices(built) if lines is None else lines
    return lines or []


def _write_scenario(out: Path, content: dict[str, Any]) -> None:
    try:
        with whole_file(out / "scenario.toml") as unfinished:
            unfinished.write_text(tomli_w.dumps(content), encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"--out {out}: cannot be written ({error.strerror})") from error


def _run(work: _Work, client: Client, lines: list[str]) -> EnsembleResult:
    """Run what is left and analyse all; whatever ends it, the summary says how far it came."""
    out = work.out
    try:
        todo = _begin(work, client, lines)
        for result in results_of(client, todo):
            _record(work, result)
            work.progress(work.done + len(work.failed))
            write_summary(out, _summary(work, "running"))
        tables = _analyse(work)
        return EnsembleResult(out, tables, _end(work, "failed" if work.failed else "done"))
    except BaseException as error:
        with suppress(OSError):  # a full disk may be what has ended it
            _end(work, "interrupted")
        if isinstance(error, OSError):
            reason = error.strerror or error
            raise StackelgridError(f"{out}: cannot be written ({reason})") from error
        raise


def _begin(work: _Work, client: Client, lines: list[str]) -> list[MemberRun]:
    """Say what is run; runs that are left."""
    _list(work.out)  # without tables, which are analysed anew
    todo = [run for run in work.runs if not _is_done(work.out, run)]
    work.workers = sum(client.nthreads().values())
    work.done = len(work.runs) - len(todo)
    name = work.loaded.scenario.name
    work.log.event("start", scenario=name, runs=len(work.runs), kept=work.done)
    for line in lines:
        work.log.event("notice", text=line)
        work.say(line)
    work.progress(work.done)
    write_summary(work.out, _summary(work, "running"))
    return todo


def _end(work: _Work, status: str) -> dict[str, Any]:
    """Say how it ended; returns the summary."""
    work.log.event(status, runs_done=work.done, runs_failed=len(work.failed))
    summary = _summary(work, status)
    write_summary(work.out, summary)
    return summary


def _scenario_in(text: str) -> Scenario:
    return Scenario.model_validate(tomllib.loads(text))


def _targets(out: Path, run: MemberRun) -> Iterator[Path]:
    for cell in run.cells:
        yield out / DATASET / cell.directory


def _is_done(out: Path, run: MemberRun) -> bool:
    """Return True if all cells of a run exist; directories are written atomically."""
    return all(target.is_dir() for target in _targets(out, run))


def _record(work: _Work, result: MemberResult) -> None:
    run = work.runs[result.number]
    if result.reason:
        work.failed[run.number] = result.reason
        trace = {"traceback": result.traceback} if result.traceback else {}
        for cell in run.cells:
            work.log.event("failed_member", **vars(cell), reason=result.reason, **trace)
        work.say(f"{run.cells[0].label}: failed: {result.reason}")
        return
    _save(work.out, run, result)
    ManifestWriter(work.out).add(run.number, _entries(work.out, run), durable=False)
    work.done += 1
    for cell in run.cells:
        work.log.event("member", **vars(cell), wall_s=result.wall_s)


def _save(out: Path, run: MemberRun, result: MemberResult) -> None:
    """Write the files of a run into all its cells, each directory at once by renaming it."""
    first: Path | None = None
    for target in _targets(out, run):
        if target.is_dir():
            first = first or target
            continue
        scratch = own_folder(out / _UNFINISHED) / str(run.number)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        for name, content in result.files.items():
            if first is None or not _linked(first / name, scratch / name):
                (scratch / name).write_bytes(content)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch.rename(target)
        first = first or target


def _list(out: Path, *tables: str) -> None:
    """Write a manifest of an ensemble's tables and of the manifests of its runs."""
    runs = sorted(out.glob(f"{DATASET}/*/*/*/*/{FILE}"))
    names = [path.relative_to(out).as_posix() for path in runs]
    ManifestWriter(out).begin(["scenario.toml", *tables, *names])


def _entries(out: Path, run: MemberRun) -> dict[str, Entry]:
    """Entries of the manifests of a run's cells, which list their tables."""
    manifests = [target / FILE for target in _targets(out, run)]
    return {path.relative_to(out).as_posix(): entry_of(path) for path in manifests}


def _linked(source: Path, target: Path) -> bool:
    """Hard-link a file; return False if it has to be written again."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def _analyse(work: _Work) -> EnsembleTables | None:
    shutil.rmtree(work.out / _UNFINISHED, ignore_errors=True)
    if not work.done:
        return None
    step_h = work.loaded.scenario.time.interval_min / 60.0
    tables = analyse(work.out / DATASET, step_h)
    write_tables(tables, work.out, work.loaded.scenario.name)
    write_ensemble(tables, work.out, work.loaded.scenario.name)
    _list(work.out, "kpis.parquet", "statistics.parquet")
    return tables


def _summary(work: _Work, status: str) -> dict[str, Any]:
    """Contents of summary.json."""
    e = work.ensemble
    return {
        "scenario": work.loaded.scenario.name,
        "seed": work.loaded.scenario.seed,
        "version": version("stackelgrid"),
        "manifest": FILE,
        "status": status,
        "size": e.size,
        "members": e.members,
        "error_levels": list(e.error_levels),
        "schemes": list(e.schemes),
        "variants": list(e.variants),
        "intervals": e.intervals,
        "runs_planned": len(work.runs),
        "runs_done": work.done,
        "runs_failed": len(work.failed),
        "failed": [
            {**vars(cell), "reason": reason}
            for number, reason in sorted(work.failed.items())
            for cell in work.runs[number].cells
        ],
        "workers": work.workers,
        "wall_s": time.perf_counter() - work.started,
        "folder": str(work.loaded.folder.resolve()),
        "files": work.files,
    }
