"""Exactness sweep: the operating points of one feeder, evaluated in chunks."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from stackelgrid.analysis.exactness.analysis import TREE, SweepTables, judged, write_tables
from stackelgrid.analysis.exactness.evaluation import Evaluator
from stackelgrid.analysis.exactness.evaluation import Study as PointsData
from stackelgrid.analysis.exactness.feeder_tree import tree_table
from stackelgrid.analysis.exactness.points import Point
from stackelgrid.analysis.exactness.tables import (
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
from stackelgrid.scenarios.run.directory import beginning, check_out
from stackelgrid.scenarios.run.state import file_digests
from stackelgrid.scenarios.run.summary import solver_section
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.studies.begun import Begun
from stackelgrid.scenarios.studies.exactness_design import Sweep, points_of, study_of
from stackelgrid.scenarios.studies.study import (
    Advance,
    Say,
    Study,
    StudyResult,
    in_processes,
    study_directory,
    unseen,
)
from stackelgrid.simulators.blas_threads import one_blas_thread
from stackelgrid.simulators.results.manifest import ManifestWriter

# points that are evaluated and saved together, a few seconds of work; least number of chunks of a
# small sweep, so that all workers have some
_CHUNK = 16
_CHUNKS = 8
_TIMED = ("build_s", "solve_s", "certify_s")

Tables = dict[str, pa.Table]


@dataclass(frozen=True)
class Chunk:
    """Points that are saved together, and the number of their parts."""

    number: int
    points: tuple[Point, ...]


class _SweepStudy(Study[Chunk, Tables]):
    """Chunks of a sweep, evaluated in processes of this machine."""

    def __init__(
        self, sweep: Sweep, built: BuiltScenario, data: PointsData, points: tuple[Point, ...],
        *study: Any,
    ) -> None:  # fmt: skip
        super().__init__(*study)
        self.sweep, self.built, self.data = sweep, built, data
        self.chunks = chunks_of(points)
        self.files = file_digests(self.loaded.resolved())

    def begin(self) -> Sequence[Chunk]:
        self.recount()
        kept = set(finished_chunks(self.out, len(self.chunks)))
        scenario, size = self.loaded.scenario.name, self.sweep.size
        self.log.event("start", scenario=scenario, size=size, chunks_kept=len(kept))
        uncovered = not_covered(self.data.feeder.network)
        empty = [f"{uncovered}; their columns stay empty"] if uncovered else []
        self.notice([*notices(self.built), *empty])
        return [chunk for chunk in self.chunks if chunk.number not in kept]

    def recount(self) -> None:
        self.done, self.verdicts = 0, Counter[str]()
        self.predicted: int | None = None
        self.seconds = dict.fromkeys(_TIMED, 0.0)
        kept = finished_chunks(self.out, len(self.chunks))
        self._count(read_parts(self.out, "points", kept))

    def _count(self, points: pa.Table) -> None:
        frame = points.to_pandas()
        self.done += len(frame)
        self.verdicts.update(frame["verdict"])
        if judged(frame):
            self.predicted = (self.predicted or 0) + int(frame["predicted_exact"].sum())
        for name in _TIMED:
            self.seconds[name] += float(frame[name].sum())

    def keep(self, task: Chunk, result: Tables) -> None:
        write_chunk(self.out, task.number, result)
        self._count(result["points"])

    def finish(self) -> str:
        merge_parts(self.out, len(self.chunks))
        self.tables = SweepTables.read(self.out)
        tree = tree_table(self.data.feeder.network)
        write_tables(self.tables, tree, self.out)
        size = f", size {self.sweep.size}" if self.sweep.size else ""
        title = f"{self.loaded.scenario.name}, feeder {self.sweep.grid}{size}"
        write_sweep(self.tables, tree, self.out, title)
        ManifestWriter(self.out).settle([TREE])
        return "done"

    def counts(self) -> dict[str, Any]:
        return {"points_done": self.done}

    def section(self, status: str) -> dict[str, Any]:
        sweep = self.sweep
        return {
            "grid": sweep.grid,
            "size": sweep.size,
            "design": sweep.design,
            "dimensions": {
                name: {"from": d.lowest, "to": d.highest, "levels": d.levels_count or None}
                for name, d in sweep.dimensions.given.items()
            },
            "files": self.files,
            "points_planned": sweep.points_planned,
            "points_done": self.done,
            "exact": self.verdicts[EXACT],
            "feasible": self.verdicts[FEASIBLE],
            "infeasible": self.verdicts[INFEASIBLE],
            "unsolved": self.verdicts[""],
            "predicted_exact": self.predicted,
            "workers": self.loaded.scenario.solver.threads,
            "timings": dict(self.seconds),
            "solver": solver_section(self.built),
        }


def _evaluation(data: PointsData, points: tuple[Point, ...]) -> Callable[[Chunk], Tables]:
    """Return the function that evaluates a chunk; each process has its own models."""
    evaluator = Evaluator(data, points)
    return lambda chunk: evaluator.evaluate(chunk.points)


@one_blas_thread()
def sweep_exactness(
    loaded: LoadedScenario,
    sweep: Sweep,
    out: Path,
    *,
    resume: Begun | None = None,
    progress: Advance = unseen,
    say: Say = unseen,
) -> StudyResult[SweepTables]:
    """Evaluate every point of a sweep into one directory (docs/exactness.md).

    With `resume`, what was begun in the directory, finished chunks are kept. `progress` receives
    the finished points. Raises a StackelgridError for anything bad before anything is
    written.
    """
    started = time.perf_counter()
    if resume is None:
        check_out(out)
    else:
        started -= resume.summary["wall_s"]
    built = build_scenario(loaded)
    points = points_of(sweep)
    try:
        data = study_of(built, sweep, points)
    except StackelgridError as error:
        raise type(error)(f"{loaded.source}: {error}") from error
    with study_directory(loaded, out, resume=resume is not None):
        study = _SweepStudy(sweep, built, data, points, loaded, out, started, progress, say)
        with beginning(out):
            if resume is None:
                ManifestWriter(out).begin(["scenario.toml"])
            else:  # without a last line that a full disk has cut: others are appended
                ManifestWriter(out).keep_before(len(study.chunks))
        prepared = partial(_evaluation, data, points)
        summary = study.conduct(partial(in_processes, loaded.scenario.solver.threads, prepared))
    return StudyResult(out, study.tables, summary)


def chunks_of(points: Sequence[Point]) -> list[Chunk]:
    """Divide points into chunks; points of one model follow each other."""

    def key(p: Point) -> tuple[float, ...]:
        return (*p.structure, p.vm_max_pu or 0.0, p.number)

    ordered = sorted(points, key=key)
    size = min(_CHUNK, -(-len(ordered) // _CHUNKS))
    starts = range(0, len(ordered), size)
    return [Chunk(k, tuple(ordered[start : start + size])) for k, start in enumerate(starts)]
