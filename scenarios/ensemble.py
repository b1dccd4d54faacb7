"""The verb `ensemble`: members x error levels x schemes x horizons, on many workers, resumable."""

import json
import os
import shutil
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w
from distributed import Client

from stackelgrid.analysis.ensemble import EnsembleTables, analyse, write_tables
from stackelgrid.analysis.ensemble_variants import PERFECT
from stackelgrid.analysis.pictures.ensemble import write_plots
from stackelgrid.analysis.studies import DATASET
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.build import build_scenario
from stackelgrid.scenarios.ensemble_cluster import (
    default_workers,
    local_workers,
    remote_workers,
    results_of,
)
from stackelgrid.scenarios.ensemble_design import Ensemble, MemberRun, ensemble_of, runs_of
from stackelgrid.scenarios.ensemble_member import MemberResult
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.load import LoadedScenario
from stackelgrid.scenarios.notices import notices
from stackelgrid.scenarios.run import RunLog, check_out, resolved, write_summary
from stackelgrid.scenarios.schema import Scenario

_UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Workers:
    """Who runs the members: a scheduler by its address, or `count` processes of this machine."""

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
    """Where an ensemble is, its tables (None where every run failed) and its summary."""

    directory: Path
    tables: EnsembleTables | None
    summary: dict[str, Any]


@dataclass
class _Work:
    """What all runs of one ensemble share."""

    loaded: LoadedScenario
    ensemble: Ensemble
    runs: tuple[MemberRun, ...]
    out: Path
    log: RunLog
    say: Callable[[str], None]
    earlier_s: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    done: int = 0
    workers: int = 0
    failed: dict[int, str] = field(default_factory=dict)


def run_ensemble(
    loaded: LoadedScenario,
    ensemble: Ensemble,
    out: Path,
    workers: Workers,
    *,
    resume: bool = False,
    progress: Callable[[int], None] = lambda done: None,
    say: Callable[[str], None] = lambda line: None,
) -> EnsembleResult:
    """Run all members into one directory and analyse them (docs/ensemble.md).

    With `resume` runs that the directory holds are kept. A run that fails is recorded with its
    reason, the others go on. Raises a StackelgridError for anything bad before anything is
    written, and when the workers are gone.
    """
    started = time.perf_counter()
    if not resume:
        check_out(out)
    runs = runs_of(loaded, ensemble)
    most = max(runs, key=_errors)  # what is said of its errors is no news of a world without
    built = build_scenario(_loaded(most, loaded))
    earlier_s = _read_summary(out)["wall_s"] if resume else 0.0
    with workers.open(ensemble.memory_per_worker_mb) as client:
        try:
            out.mkdir(parents=True, exist_ok=True)
            text = tomli_w.dumps(resolved(loaded))
            (out / "scenario.toml").write_text(text, encoding="utf-8")
        except OSError as error:
            raise ScenarioError(f"--out {out}: cannot be written ({error.strerror})") from error
        work = _Work(loaded, ensemble, runs, out, RunLog(out), say, earlier_s, started)
        work.workers = sum(client.nthreads().values())
        todo = [run for run in runs if not _is_done(out, run)]
        work.done = len(runs) - len(todo)
        work.log.event("start", scenario=loaded.scenario.name, runs=len(runs), kept=work.done)
        for line in notices(built):
            work.log.event("notice", text=line)
            say(line)
        progress(work.done)
        write_summary(out, _summary(work, "running"))
        status, tables = "interrupted", None
        try:
            for result in results_of(client, todo):
                _record(work, result)
                progress(work.done + len(work.failed))
                write_summary(out, _summary(work, "running"))
            tables = _analyse(work)
            status = "failed" if work.failed else "done"
        except OSError as error:
            raise StackelgridError(f"{out}: cannot be written ({error.strerror})") from error
        finally:
            summary = _summary(work, status)
            work.log.event(status, runs_done=work.done, runs_failed=len(work.failed))
            write_summary(out, summary)
    return EnsembleResult(out, tables, summary)


def resumed(out: Path, given: LoadedScenario | None) -> tuple[LoadedScenario, str | None, int]:
    """Scenario, size and members of the ensemble in a directory.

    Raises ScenarioError where there is none, or one of another scenario or version.
    """
    where = f"--resume {out}"
    before = _read_summary(out)
    known = _scenario_in((out / "scenario.toml").read_text(encoding="utf-8"))
    if before["version"] != version("stackelgrid"):
        raise ScenarioError(
            f"{where}: has version {before['version']!r}, this is {version('stackelgrid')!r}"
        )
    if given is not None and _scenario_in(tomli_w.dumps(resolved(given))) != known:
        raise ScenarioError(
            f"{where}: was started with another scenario; {out}/scenario.toml is accepted"
        )
    loaded = LoadedScenario(known, str(out / "scenario.toml"), Path(before["folder"]))
    return loaded, before["size"] or None, before["members"]


def unfinished_runs(loaded: LoadedScenario, ensemble: Ensemble, out: Path) -> int:
    """How many runs of an ensemble its directory does not hold."""
    return sum(not _is_done(out, run) for run in runs_of(loaded, ensemble))


def planned(loaded: LoadedScenario, size: str | None, members: int | None) -> tuple[Ensemble, int]:
    """Return the ensemble that is asked for and its number of runs; raises ScenarioError."""
    ensemble = ensemble_of(loaded, size, members)
    return ensemble, len(runs_of(loaded, ensemble))


def _read_summary(out: Path) -> dict[str, Any]:
    try:
        text = (out / "summary.json").read_text(encoding="utf-8")
        summary: dict[str, Any] = json.loads(text)
        if "runs_planned" not in summary or not (out / "scenario.toml").exists():
            raise ValueError
    except (OSError, ValueError) as error:
        raise ScenarioError(
            f"--resume {out}: holds no ensemble (no readable scenario.toml and summary.json of one)"
        ) from error
    return summary


def _scenario_in(text: str) -> Scenario:
    return Scenario.model_validate(tomllib.loads(text))


def _loaded(run: MemberRun, loaded: LoadedScenario) -> LoadedScenario:
    return LoadedScenario(_scenario_in(run.scenario), loaded.source, loaded.folder)


def _errors(run: MemberRun) -> float:
    """Largest error level that a run's controllers meet; below zero under perfect foresight."""
    return max((c.error_level for c in run.cells if c.variant != PERFECT), default=-1.0)


def _targets(out: Path, run: MemberRun) -> Iterator[Path]:
    for cell in run.cells:
        yield out / DATASET / cell.directory


def _is_done(out: Path, run: MemberRun) -> bool:
    """Whether all cells of a run are there: a directory appears whole or not at all."""
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
        scratch = out / _UNFINISHED / str(run.number)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        for name, content in result.files.items():
            if first is None or not _linked(first / name, scratch / name):
                (scratch / name).write_bytes(content)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch.rename(target)
        first = first or target


def _linked(source: Path, target: Path) -> bool:
    """Whether a file could be shared instead of written again."""
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
    write_plots(tables, work.out, work.loaded.scenario.name)
    return tables


def _summary(work: _Work, status: str) -> dict[str, Any]:
    """Contents of summary.json."""
    e = work.ensemble
    return {
        "scenario": work.loaded.scenario.name,
        "seed": work.loaded.scenario.seed,
        "version": version("stackelgrid"),
        "status": status,
        "size": e.size,
        "members": e.members,
        "error_levels": list(e.error_levels),
        "schemes": list(e.schemes),
        "variants": list(e.variants),
        "runs_planned": len(work.runs),
        "runs_done": work.done,
        "runs_failed": len(work.failed),
        "failed": [
            {**vars(cell), "reason": reason}
            for number, reason in sorted(work.failed.items())
            for cell in work.runs[number].cells
        ],
        "workers": work.workers,
        "wall_s": work.earlier_s + time.perf_counter() - work.started,
        "folder": str(work.loaded.folder.resolve()),
    }
