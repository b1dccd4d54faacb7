"""Ensemble: members x error levels x schemes x horizons, run on the workers of a Dask cluster."""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from distributed import Client, get_worker

from stackelgrid.analysis.ensemble.statistics import EnsembleTables, analyse, write_tables
from stackelgrid.analysis.kpis.runs import run_indicators
from stackelgrid.analysis.pictures.studies import write_ensemble
from stackelgrid.analysis.run import Run
from stackelgrid.analysis.studies import DATASET
from stackelgrid.scenarios.build.notices import notices
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.run.directory import check_out
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.run.state import file_digests
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.studies.begun import Begun
from stackelgrid.scenarios.studies.cluster import (
    default_workers,
    local_workers,
    on_cluster,
    remote_workers,
)
from stackelgrid.scenarios.studies.ensemble_design import (
    Ensemble,
    MemberRun,
    representatives,
    runs_of,
)
from stackelgrid.scenarios.studies.study import (
    Advance,
    Attempt,
    Say,
    Study,
    StudyResult,
    study_directory,
    unseen,
)
from stackelgrid.simulators.results.manifest import FILE, ManifestWriter, entry_of
from stackelgrid.simulators.results.whole_file import own_folder

_UNFINISHED = "unfinished"
_KEPT = ("*.parquet", "summary.json", "scenario.toml", "log.jsonl")

Files = dict[str, bytes]


@dataclass(frozen=True)
class Workers:
    """Workers of an ensemble: a scheduler by its address, or `count` local processes."""

    address: str | None = None
    count: int | None = None

    def open(self, memory_mb: int | None) -> AbstractContextManager[Client]:
        """Connect or start; raises ScenarioError for a scheduler that does not answer."""
        if self.address is not None:
            return remote_workers(self.address)
        return local_workers(self.count or default_workers(), memory_mb)


class _EnsembleStudy(Study[MemberRun, Attempt[Files]]):
    """Runs of an ensemble; one that fails is recorded with its reason."""

    def __init__(
        self, ensemble: Ensemble, runs: tuple[MemberRun, ...], lines: Sequence[str],
        client: Client, *study: Any,
    ) -> None:  # fmt: skip
        super().__init__(*study)
        self.ensemble, self.runs, self.lines = ensemble, runs, lines
        self.failed: dict[int, str] = {}
        self.workers = sum(client.nthreads().values())
        self.files = file_digests(self.loaded.resolved())
        self.tables: EnsembleTables | None = None

    @property
    def _ended(self) -> int:
        return self.done - len(self.failed)

    def begin(self) -> Sequence[MemberRun]:
        self._list()  # without tables, which are analysed anew
        todo = [run for run in self.runs if not _is_done(self.out, run)]
        self.done = len(self.runs) - len(todo)
        name = self.loaded.scenario.name
        self.log.event("start", scenario=name, runs=len(self.runs), kept=self.done)
        self.notice(self.lines)
        return todo

    def keep(self, task: MemberRun, result: Attempt[Files]) -> None:
        if result.result is None:
            self.failed[task.number] = result.reason
            self.failures += 1
            for cell in task.cells:
                self.log.event("failed_member", **vars(cell), **result.failure)
            self.say(f"{task.cells[0].label}: failed: {result.reason}")
        else:
            _save(self.out, task, result.result)
            manifests = [target / FILE for target in _targets(self.out, task)]
            entries = {path.relative_to(self.out).as_posix(): entry_of(path) for path in manifests}
            ManifestWriter(self.out).add(task.number, entries, durable=False)
            for cell in task.cells:
                self.log.event("member", **vars(cell), wall_s=result.wall_s)
        self.done += 1

    def running(self) -> str:
        running = min(self.workers, len(self.runs) - self.done)
        return f"{running} running" if running else ""

    def finish(self) -> str:
        shutil.rmtree(self.out / _UNFINISHED, ignore_errors=True)
        scenario = self.loaded.scenario
        if self._ended:
            self.tables = analyse(self.out / DATASET, scenario.time.interval_min / 60.0)
            write_tables(self.tables, self.out, scenario.name)
            write_ensemble(self.tables, self.out, scenario.name)
            self._list("kpis.parquet", "statistics.parquet")
        return "failed" if self.failed else "done"

    def _list(self, *tables: str) -> None:
        """Write a manifest of the ensemble's tables and of the manifests of its runs."""
        runs = sorted(self.out.glob(f"{DATASET}/*/*/*/*/{FILE}"))
        names = [path.relative_to(self.out).as_posix() for path in runs]
        ManifestWriter(self.out).begin(["scenario.toml", *tables, *names])

    def counts(self) -> dict[str, Any]:
        return {"runs_done": self._ended, "runs_failed": len(self.failed)}

    def section(self, status: str) -> dict[str, Any]:
        e = self.ensemble
        return {
            "size": e.size,
            "members": e.members,
            "error_levels": list(e.error_levels),
            "schemes": list(e.schemes),
            "variants": list(e.variants),
            "intervals": e.intervals,
            "runs_planned": len(self.runs),
            **self.counts(),
            "failed": [
                {**vars(cell), "reason": reason}
                for number, reason in sorted(self.failed.items())
                for cell in self.runs[number].cells
            ],
            "workers": self.workers,
            "folder": str(self.loaded.folder.resolve()),
            "files": self.files,
        }


def run_ensemble(
    loaded: LoadedScenario,
    ensemble: Ensemble,
    out: Path,
    workers: Workers,
    *,
    resume: Begun | None = None,
    progress: Advance = unseen,
    say: Say = unseen,
) -> StudyResult[EnsembleTables | None]:
    """Run all members into one directory and analyse them (docs/ensemble.md).

    With `resume`, what was begun in the directory, its runs are kept. A run that fails is recorded
    with its reason, the others go on; without any finished run there are no tables. `progress`
    receives the runs that have ended. Raises a StackelgridError for anything bad before
    anything is written, when the workers are gone, and where nothing can be written any more.
    """
    started = time.perf_counter()
    if resume is None:
        check_out(out)
    else:
        started -= resume.summary["wall_s"]
    runs = runs_of(loaded, ensemble)
    lines = _check_builds(loaded, ensemble, runs)
    with (
        workers.open(ensemble.memory_per_worker_mb) as client,
        study_directory(loaded, out, resume=resume is not None),
    ):
        study = _EnsembleStudy(ensemble, runs, lines, client, loaded, out, started, progress, say)
        summary = study.conduct(partial(on_cluster, client, run_member))
    return StudyResult(out, study.tables, summary)


def unfinished_runs(loaded: LoadedScenario, ensemble: Ensemble, out: Path) -> int:
    """Return the number of an ensemble's runs missing in its directory."""
    return sum(not _is_done(out, run) for run in runs_of(loaded, ensemble))


def _check_builds(
    loaded: LoadedScenario, ensemble: Ensemble, runs: tuple[MemberRun, ...]
) -> list[str]:
    """Build runs that represent all; notices of the first. Raises a StackelgridError."""
    lines: list[str] | None = None
    for run in representatives(ensemble, runs):
        source = f"{loaded.source}: ensemble: {run.cells[0].label}"
        built = build_scenario(replace(run.loaded, source=source))
        lines = notices(built) if lines is None else lines
    return lines or []


def _targets(out: Path, run: MemberRun) -> Iterator[Path]:
    for cell in run.cells:
        yield out / DATASET / cell.directory


def _is_done(out: Path, run: MemberRun) -> bool:
    """Return True if all cells of a run exist; directories are written atomically."""
    return all(target.is_dir() for target in _targets(out, run))


def _save(out: Path, run: MemberRun, files: Files) -> None:
    """Write the files of a run into all its cells, each directory at once by renaming it."""
    first: Path | None = None
    for target in _targets(out, run):
        if not target.is_dir():
            scratch = own_folder(out / _UNFINISHED) / str(run.number)
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            for name, content in files.items():
                if first is None or not _linked(first / name, scratch / name):
                    (scratch / name).write_bytes(content)
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch.rename(target)
        first = first or target


def _linked(source: Path, target: Path) -> bool:
    """Hard-link a file; return False if it has to be written again."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def run_member(run: MemberRun) -> dict[str, bytes]:
    """Run a member on a worker, in a directory of its own; return its files by name."""
    with TemporaryDirectory(prefix="stackelgrid-member-", dir=_scratch()) as scratch:
        directory = Path(scratch) / "run"
        scenario = run_scenario(run.loaded, directory).built.scenario
        # realised indicators (docs/results.md); the partition says the scheme
        table = run_indicators(Run(directory), scenario.controller, scenario.pricing)
        table.drop(columns="scheme").to_parquet(directory / "indicators.parquet", index=False)
        found = [path for pattern in _KEPT for path in sorted(directory.glob(pattern))]
        listed = [path.name for path in found if path.suffix in (".parquet", ".toml")]
        ManifestWriter(directory).only(listed)
        return {path.name: path.read_bytes() for path in (*found, directory / FILE)}


def _scratch() -> str | None:
    """Return the directory of the worker: Dask removes it even where the worker is killed."""
    try:
        return str(get_worker().local_directory)
    except ValueError:  # not on a worker
        return None
