"""The verb `exactness`: a sweep over operating points of one feeder, parallel and resumable."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import pyarrow as pa
import tomli_w

from stackelgrid.analysis.exactness.analysis import TREE, SweepTables, judged, write_tables
from stackelgrid.analysis.exactness.evaluation import Evaluator, Study
from stackelgrid.analysis.exactness.feeder_tree import tree_table
from stackelgrid.analysis.exactness.points import Point
from stackelgrid.analysis.exactness.tables import (
    SCHEMAS,
    finished_chunks,
    merge_parts,
    read_parts,
    write_chunk,
)
from stackelgrid.analysis.pictures.studies import write_sweep
from stackelgrid.controllers.certification.a_priori import not_covered
from stackelgrid.controllers.verdict import EXACT, FEASIBLE, INFEASIBLE
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.build.notices import notices
from stackelgrid.scenarios.build.system import BuiltScenario, build_scenario
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.directory import RunLog, check_out, write_summary
from stackelgrid.scenarios.run.interrupts import without_interrupts
from stackelgrid.scenarios.run.resume import begun_study, check_saved
from stackelgrid.scenarios.run.state import file_digests
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.studies.exactness_design import Sweep, points_of, study_of
from stackelgrid.simulators.blas_threads import one_blas_thread
from stackelgrid.simulators.results.manifest import FILE, ManifestWriter
from stackelgrid.simulators.results.whole_file import whole_file

# points that are evaluated and saved together, a few seconds of work; least number of chunks of a
# small sweep, so that all workers have some
_CHUNK = 16
_CHUNKS = 8
# what summary.json says of a sweep and a resumed one needs
_NEEDED = ("points_planned", "status", "size", "wall_s", "files")
_TIMED = ("build_s", "solve_s", "certify_s")


@dataclass(frozen=True)
class SweepResult:
    """Directory of a sweep, its tables and its summary."""

    directory: Path
    tables: SweepTables
    summary: dict[str, Any]


@dataclass
class _Work:
    """Data shared by all chunks of a sweep."""

    loaded: LoadedScenario
    built: BuiltScenario
    sweep: Sweep
    files: dict[str, str]  # digests of the files that the scenario names
    out: Path
    log: RunLog
    earlier_s: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    done: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    predicted: int | None = None
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(_TIMED, 0.0))

    def count(self, chunks: Sequence[int]) -> None:
        """Count what is on disk: an interruption may come between saving and counting."""
        self.done, self.predicted = 0, None
        self.verdicts.clear()
        self.seconds = dict.fromkeys(_TIMED, 0.0)
        self.add(read_parts(self.out, "points", chunks))

    def add(self, points: pa.Table) -> None:
        """Count the points of one chunk."""
        frame = points.to_pandas()
        self.done += len(frame)
        self.verdicts.update(frame["verdict"])
        if judged(frame):
            self.predicted = (self.predicted or 0) + int(frame["predicted_exact"].sum())
        for name in _TIMED:
            self.seconds[name] += float(frame[name].sum())


@one_blas_thread()
def sweep_exactness(
    loaded: LoadedScenario,
    sweep: Sweep,
    out: Path,
    *,
    resume: bool = False,
    progress: Callable[[int], None] = lambda done: None,
    say: Callable[[str], None] = lambda line: None,
) -> SweepResult:
    """Evaluate every point of a sweep into one directory (docs/exactness.md).

    With `resume` the directory holds an interrupted sweep of the same scenario and size; what is
    done there is kept. Raises a StackelgridError for anything bad before anything is written.
    """
    started = time.perf_counter()
    earlier = _check_resume(loaded, sweep, out) if resume else None
    if not resume:
        check_out(out)
    built = build_scenario(loaded)
    points = points_of(sweep)
    try:
        study = study_of(built, sweep, points)
    except StackelgridError as error:
        raise type(error)(f"{loaded.source}: {error}") from error
    content, chunks = loaded.resolved(), chunks_of(points)
    try:
        out.mkdir(parents=True, exist_ok=True)
        if resume:  # without a last line that a full disk has cut: others are appended
            ManifestWriter(out).keep_before(len(chunks))
        else:
            with whole_file(out / "scenario.toml") as unfinished:
                unfinished.write_text(tomli_w.dumps(content), encoding="utf-8")
            ManifestWriter(out).begin(["scenario.toml"])
    except OSError as error:
        raise ScenarioError(f"--out {out}: cannot be written ({error.strerror})") from error
    work = _Work(
        loaded, built, sweep, file_digests(content), out, RunLog(out), earlier or 0.0, started
    )
    kept = finished_chunks(out, len(chunks))
    work.log.event("start", scenario=loaded.scenario.name, size=sweep.size, chunks_kept=len(kept))
    uncovered = not_covered(study.feeder.network)
    told = [f"{uncovered}; their columns stay empty"] if uncovered else []
    for line in (*notices(built), *told):
        work.log.event("notice", text=line)
        say(line)
    work.count(kept)
    progress(work.done)
    write_summary(out, _summary(work, "running"))

    def save(k: int, tables: dict[str, pa.Table]) -> None:
        write_chunk(out, k, tables)
        work.add(tables["points"])
        write_summary(out, _summary(work, "running"))
        progress(work.done)

    status = "interrupted"
    try:
        todo = [k for k in range(len(chunks)) if k not in kept]
        _evaluate(study, points, chunks, todo, loaded.scenario.solver.threads, save)
        merge_parts(out, len(chunks))
        tables = SweepTables.read(out)
        tree = tree_table(study.feeder.network)
        write_tables(tables, tree, out)
        write_sweep(tables, tree, out, _title(loaded, sweep))
        ManifestWriter(out).settle([TREE])
        status = "done"
    except OSError as error:
        raise StackelgridError(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        if status != "done":
            work.count(finished_chunks(out, len(chunks)))
        summary = _summary(work, status)
        work.log.event(status, points_done=work.done)
        write_summary(out, summary)
    return SweepResult(out, tables, summary)


def chunks_of(points: Sequence[Point]) -> list[tuple[Point, ...]]:
    """Points that are saved together; those of one model follow each other."""

    def key(p: Point) -> tuple[float, ...]:
        return (*p.structure, p.vm_max_pu or 0.0, p.number)

    ordered = sorted(points, key=key)
    size = min(_CHUNK, -(-len(ordered) // _CHUNKS))
    return [tuple(ordered[k : k + size]) for k in range(0, len(ordered), size)]


def _title(loaded: LoadedScenario, sweep: Sweep) -> str:
    size = f", size {sweep.size}" if sweep.size else ""
    return f"{loaded.scenario.name}, feeder {sweep.grid}{size}"


def _check_resume(loaded: LoadedScenario, sweep: Sweep, out: Path) -> float:
    """Refuse a directory that does not hold this sweep, unfinished; seconds spent on it so far."""
    where = f"--resume {out}"
    _, before = begun_study(out, "interrupted sweep", _NEEDED, loaded)
    if before["size"] != sweep.size:
        raise ScenarioError(f"{where}: has size {before['size']!r}, this would be {sweep.size!r}")
    if before["status"] == "done":
        raise ScenarioError(f"{where}: is done; nothing is left to resume")
    check_saved(out, tuple(SCHEMAS))
    return float(before["wall_s"])


_evaluator: Evaluator | None = None


def _start_worker(study: Study, points: tuple[Point, ...]) -> None:
    """Prepare a worker process; it ends when the process that started it is gone."""
    global _evaluator
    _evaluator = Evaluator(study, points)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@one_blas_thread()
def _work_on(chunk: tuple[Point, ...]) -> dict[str, pa.Table]:
    assert _evaluator is not None
    return _evaluator.evaluate(chunk)


def _evaluate(
    study: Study,
    points: tuple[Point, ...],
    chunks: Sequence[tuple[Point, ...]],
    todo: Sequence[int],
    workers: int,
    save: Callable[[int, dict[str, pa.Table]], None],
) -> None:
    """Evaluate chunks, in processes of their own where there are several of both."""
    workers = min(workers, len(todo))
    if workers <= 1:
        evaluator = Evaluator(study, points)
        for k in todo:
            save(k, evaluator.evaluate(chunks[k]))
        return
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=_start_worker, initargs=(study, points)
    )
    saved: set[int] = set()
    number: dict[Future[dict[str, pa.Table]], int] = {}

    def keep(future: Future[dict[str, pa.Table]]) -> None:
        saved.add(number[future])  # first: a chunk whose saving is interrupted is left to resume
        save(number[future], future.result())

    try:
        with without_interrupts():  # Ctrl-C is for this process: workers end their chunk
            number |= {pool.submit(_work_on, chunks[k]): k for k in todo}
        for future in as_completed(number):
            keep(future)
    except BrokenProcessPool as error:
        raise StackelgridError("a worker process died; --resume continues the sweep") from error
    except KeyboardInterrupt:
        pool.shutdown(wait=True, cancel_futures=True)
        for future, k in number.items():
            if k not in saved and future.done() and not future.cancelled():
                keep(future)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _summary(work: _Work, status: str) -> dict[str, Any]:
    """Contents of summary.json."""
    scenario, solver = work.loaded.scenario, work.built.solvers.mixed_integer
    return {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "version": version("stackelgrid"),
        "manifest": FILE,
        "status": status,
        "grid": work.sweep.grid,
        "size": work.sweep.size,
        "design": work.sweep.design,
        "dimensions": {
            name: {"from": d.lowest, "to": d.highest, "levels": d.levels_count or None}
            for name, d in work.sweep.dimensions.given.items()
        },
        "files": work.files,
        "points_planned": work.sweep.points_planned,
        "points_done": work.done,
        "exact": work.verdicts[EXACT],
        "feasible": work.verdicts[FEASIBLE],
        "infeasible": work.verdicts[INFEASIBLE],
        "unsolved": work.verdicts[""],
        "predicted_exact": work.predicted,
        "workers": scenario.solver.threads,
        "wall_s": work.earlier_s + time.perf_counter() - work.started,
        "timings": dict(work.seconds),
        "solver": {
            "mixed_integer": solver.name,
            "version": solver.version,
            "fallback_reason": solver.fallback_reason,
        },
    }
