"""Runs and studies from Python, in scripts and notebooks: what `stackelgrid` exports.

Directories, defaults and errors are those of the command line (docs/library.md).
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from stackelgrid.analysis.report.kinds import write_study_report
from stackelgrid.analysis.report.run import write_run_report
from stackelgrid.analysis.run import Run
from stackelgrid.analysis.studies import (
    ComparisonStudy,
    EnsembleStudy,
    SweepStudy,
    read_comparison,
    read_ensemble,
    read_sweep,
)
from stackelgrid.scenarios.compare import CompareOptions, compare_schemes, project_schemes, steps_of
from stackelgrid.scenarios.compare_console import check_columns
from stackelgrid.scenarios.compare_qualities import compare_qualities
from stackelgrid.scenarios.console import Output, new_directory
from stackelgrid.scenarios.ensemble import Workers, run_ensemble
from stackelgrid.scenarios.ensemble_console import check_runs
from stackelgrid.scenarios.ensemble_design import ensemble_of, runs_of
from stackelgrid.scenarios.ensemble_resume import begun
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.exactness import sweep_exactness
from stackelgrid.scenarios.exactness_design import sweep_of
from stackelgrid.scenarios.inputs import Scenario, Source, check_source, placed
from stackelgrid.scenarios.load import LoadedScenario, load_scenario
from stackelgrid.scenarios.notebook import NotebookOutput, Stop, beside_the_loop, in_notebook
from stackelgrid.scenarios.progress import RunProgress
from stackelgrid.scenarios.report_console import try_report
from stackelgrid.scenarios.resume import resumable, resume_run
from stackelgrid.scenarios.run import RunResult, run_scenario
from stackelgrid.scenarios.run_panel import Listener, shown
from stackelgrid.scenarios.scheme_names import SCHEMES, pricing_name, quality_names, scheme_names

__all__ = ["Scenario", "compare", "ensemble", "exactness", "run"]

Place = str | os.PathLike[str]
Settings = Mapping[str, Any]
Advance = Callable[[int], None]
T = TypeVar("T")


def run(
    scenario: Source | None = None,
    *,
    out: Place | None = None,
    resume: Place | None = None,
    set: Settings | None = None,
    seed: int | None = None,
    report: bool = True,
    quiet: bool = False,
) -> Run:
    """Run a scenario into a new directory, or go on with an interrupted run; returns its results.

    `scenario` is a shipped name, a path, a `Scenario` or a mapping; `set` overrides keys, for
    example {"time.intervals": 4}. `out` is a new or empty directory, runs/NAME-TIME if left out;
    `resume` is that of an interrupted run, in place of a scenario. Without `quiet` progress is
    shown: in the cell of a notebook, on stderr elsewhere. Raises a StackelgridError; after a
    KeyboardInterrupt the directory can be resumed.
    """
    output = _output(quiet)
    if resume is not None:
        _nothing_beside_resume(scenario, out, set, seed)
        target = Path(resume)
        found = resumable(target)
        if found.finished is None:
            _simulate(
                found.loaded, target, output,
                lambda heard: resume_run(found, heard.told, output.say, heard.building),
            )  # fmt: skip
    else:
        source = _needed(scenario)
        loaded = check_source(source, set, seed)
        target = _target(out, loaded)
        with placed(source, target, set, seed) as ready:
            _simulate(
                ready, target, output,
                lambda heard: run_scenario(
                    ready, target, heard.told, output.say, building=heard.building
                ),
            )  # fmt: skip
    if report:
        try_report(write_run_report, target, output)
        output.refresh()
    return Run(target)


def compare(
    scenario: Source,
    *,
    schemes: Sequence[str] = SCHEMES,
    qualities: Sequence[str] | None = None,
    closed_loop: bool = False,
    pricing: str | None = None,
    out: Place | None = None,
    set: Settings | None = None,
    seed: int | None = None,
    report: bool = True,
    quiet: bool = False,
) -> ComparisonStudy:
    """Compare coordination schemes on one scenario, or runs over links of several `qualities`.

    With `closed_loop` every scheme also runs through the whole day; `pricing` is tariff or lmp.
    Other arguments as of `run`. Raises a StackelgridError, also if a column failed.
    """
    if qualities is not None and pricing is not None:
        set = {**(set or {}), "pricing": pricing_name(pricing)}
    loaded = check_source(scenario, set, seed)
    target = _target(out, loaded, "compare" if qualities is None else "qualities")
    output = _output(quiet)
    with placed(scenario, target, set, seed) as ready:
        if qualities is not None:
            names, intervals = quality_names(",".join(qualities)), ready.scenario.time.intervals
            found = _study(
                ready, target, output, (len(names) * intervals, "intervals"),
                lambda advance: compare_qualities(ready, target, names, advance, output.say),
            )  # fmt: skip
            check_columns(found, "runs")
        else:
            price = pricing_name(pricing or ready.scenario.pricing)
            options = CompareOptions(scheme_names(",".join(schemes)), price, closed_loop)
            result = _study(
                ready, target, output, (steps_of(ready, options), "steps"),
                lambda advance: compare_schemes(
                    ready, target, options, project_schemes(), advance, output.say
                ),
            )  # fmt: skip
            check_columns(result, "schemes")
    return _reported(target, output, read_comparison, report=report)


def exactness(
    scenario: Source | None = None,
    *,
    size: str | None = None,
    out: Place | None = None,
    resume: Place | None = None,
    set: Settings | None = None,
    seed: int | None = None,
    report: bool = True,
    quiet: bool = False,
) -> SweepStudy:
    """Sweep a feeder's operating points: where the relaxation stops being exact.

    `size` names one of the scenario's sizes, small if left out. Other arguments as of `run`.
    """
    output = _output(quiet)

    def sweep(loaded: LoadedScenario, target: Path) -> None:
        wanted = sweep_of(loaded, size)
        _study(
            loaded, target, output, (wanted.points_planned, "points"),
            lambda advance: sweep_exactness(
                loaded, wanted, target, resume=resume is not None, progress=advance, say=output.say
            ),
        )  # fmt: skip

    if resume is not None:
        _nothing_beside_resume(scenario, out, set, seed)
        target = Path(resume)
        sweep(load_scenario(str(target / "scenario.toml")), target)
    else:
        source = _needed(scenario)
        target = _target(out, check_source(source, set, seed), "exactness")
        with placed(source, target, set, seed) as ready:
            sweep(ready, target)
    return _reported(target, output, read_sweep, report=report)


def ensemble(
    scenario: Source | None = None,
    *,
    members: int | None = None,
    size: str | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    out: Place | None = None,
    resume: Place | None = None,
    set: Settings | None = None,
    seed: int | None = None,
    report: bool = True,
    quiet: bool = False,
) -> EnsembleStudy:
    """Run many members with forecast errors of their own, on all processors or a Dask cluster.

    `workers` limits the processes of this machine, `cluster` is the address of a Dask scheduler;
    `size` names one of the scenario's sizes, small if left out. Other arguments as of `run`. Raises
    a StackelgridError, also if a run failed.
    """
    output = _output(quiet)
    if resume is not None:
        _nothing_beside_resume(scenario, out, set, seed)
        target = Path(resume)
        before = begun(target, None)
        loaded, wanted = before.loaded, before.ensemble(size, members)
    else:
        before = None
        loaded = check_source(_needed(scenario), set, seed)
        target = _target(out, loaded, "ensemble")

    def study(ready: LoadedScenario) -> None:
        design = ensemble_of(ready, size, members) if before is None else wanted
        result = _study(
            ready, target, output, (len(runs_of(ready, design)), "runs"),
            lambda advance: run_ensemble(
                ready, design, target, Workers(cluster, workers),
                resume=before, progress=advance, say=output.say,
            ),
        )  # fmt: skip
        check_runs(result.summary, target)

    if before is not None:
        study(loaded)
    else:
        with placed(_needed(scenario), target, set, seed) as ready:
            study(ready)
    return _reported(target, output, read_ensemble, report=report)


class _Heard:
    """Passes on what a run tells, and stops it where that is wished."""

    def __init__(self, listener: Listener, stop: Stop) -> None:
        self._listener, self._stop = listener, stop

    def told(self, progress: RunProgress) -> None:
        """Take an interval that has ended."""
        self._listener.told(progress)
        self._stop.look()

    def building(self, text: str) -> None:
        """Take what is built next."""
        self._listener.building(text)
        self._stop.look()


def _simulate(
    loaded: LoadedScenario, target: Path, output: Output, work: Callable[[_Heard], RunResult]
) -> None:
    name, intervals, stop = loaded.scenario.name, loaded.scenario.time.intervals, Stop()
    hint = f"resume={str(target)!r} goes on"
    with _interruptible(target, hint), shown(output, name, intervals) as listener:
        heard = _Heard(listener, stop)
        beside_the_loop(lambda: work(heard), stop, output.refresh)


def _study(
    loaded: LoadedScenario,
    target: Path,
    output: Output,
    total: tuple[int, str],
    work: Callable[[Advance], T],
) -> T:
    stop, (count, unit) = Stop(), total
    bar = output.bar(loaded.scenario.name, count, unit)
    with _interruptible(target, f"{target} holds what was done"), bar as shown_advance:

        def advance(done: int) -> None:
            shown_advance(done)
            stop.look()

        return beside_the_loop(lambda: work(advance), stop, output.refresh)


@contextmanager
def _interruptible(target: Path, hint: str) -> Iterator[None]:
    """Say with a KeyboardInterrupt what is left; the hint is given once something has begun."""
    try:
        yield
    except KeyboardInterrupt:
        more = f"; {hint}" if (target / "scenario.toml").exists() else ""
        raise KeyboardInterrupt(f"interrupted{more}") from None


def _reported(target: Path, output: Output, read: Callable[[Path], T], *, report: bool) -> T:
    if report:
        try_report(write_study_report, target, output)
        output.refresh()
    return read(target)


def _output(quiet: bool) -> Output:
    return NotebookOutput(quiet) if in_notebook() else Output(quiet)


def _target(out: Place | None, loaded: LoadedScenario, verb: str = "") -> Path:
    return Path(out) if out is not None else new_directory(loaded.scenario.name, verb)


def _needed(scenario: Source | None) -> Source:
    if scenario is None:
        raise ScenarioError(
            "scenario: is missing; a shipped name, a path, a Scenario, a mapping or resume is "
            "accepted"
        )
    return scenario


def _nothing_beside_resume(*others: object) -> None:
    if any(other is not None for other in others):
        raise ScenarioError(
            "resume: goes on as begun; scenario, out, set and seed are not accepted"
        )
