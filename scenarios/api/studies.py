"""Studies from Python: what `stackelgrid.compare`, `exactness` and `ensemble` are."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from stackelgrid.analysis.report.kinds import write_study_report
from stackelgrid.analysis.studies import (
    ComparisonStudy,
    EnsembleStudy,
    SweepStudy,
    read_comparison,
    read_ensemble,
    read_sweep,
)
from stackelgrid.scenarios.api.calls import (
    Place,
    Settings,
    interruptible,
    needed,
    nothing_beside_resume,
    output_of,
    target_of,
)
from stackelgrid.scenarios.api.inputs import Source, check_source, placed
from stackelgrid.scenarios.api.notebook import Stop, beside_the_loop
from stackelgrid.scenarios.cli.compare import check_columns
from stackelgrid.scenarios.cli.console import Output
from stackelgrid.scenarios.cli.ensemble import check_runs
from stackelgrid.scenarios.cli.report import try_report
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.schema.scheme_names import (
    SCHEMES,
    pricing_name,
    quality_names,
    scheme_names,
)
from stackelgrid.scenarios.studies.begun import Begun, begun_ensemble, begun_sweep
from stackelgrid.scenarios.studies.compare import (
    CompareOptions,
    compare_schemes,
    steps_of,
)
from stackelgrid.scenarios.studies.compare_qualities import compare_qualities
from stackelgrid.scenarios.studies.ensemble import Workers, run_ensemble
from stackelgrid.scenarios.studies.ensemble_design import ensemble_begun, ensemble_of, runs_of
from stackelgrid.scenarios.studies.exactness import sweep_exactness
from stackelgrid.scenarios.studies.exactness_design import sweep_begun, sweep_of

__all__ = ["compare", "ensemble", "exactness"]

Advance = Callable[[int], None]
T = TypeVar("T")


def compare(
    scenario: Source,
    *,
    schemes: str | Sequence[str] = SCHEMES,
    qualities: str | Sequence[str] | None = None,
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
    target = target_of(out, loaded, "compare" if qualities is None else "qualities")
    output = output_of(quiet)
    with placed(scenario, target, set, seed) as ready:
        if qualities is not None:
            names, intervals = quality_names(_listed(qualities)), ready.scenario.time.intervals
            found = _study(
                ready, target, output, (len(names) * intervals, "intervals"),
                lambda advance: compare_qualities(ready, target, names, advance, output.say),
            )  # fmt: skip
            check_columns(found, "runs")
        else:
            price = pricing_name(pricing or ready.scenario.pricing)
            options = CompareOptions(scheme_names(_listed(schemes)), price, closed_loop)
            result = _study(
                ready, target, output, (steps_of(ready, options), "steps"),
                lambda advance: compare_schemes(
                    ready, target, options, advance, output.say
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
    output = output_of(quiet)

    def sweep(loaded: LoadedScenario, target: Path, before: Begun | None = None) -> None:
        wanted = sweep_of(loaded, size) if before is None else sweep_begun(before, size)
        _study(
            loaded, target, output, (wanted.points_planned, "points"),
            lambda advance: sweep_exactness(
                loaded, wanted, target, resume=before, progress=advance, say=output.say
            ),
        )  # fmt: skip

    if resume is not None:
        nothing_beside_resume(scenario, out, set, seed)
        target = Path(resume)
        before = begun_sweep(target)
        sweep(before.loaded, target, before)
    else:
        source = needed(scenario)
        target = target_of(out, check_source(source, set, seed), "exactness")
        with placed(source, target, set, seed) as ready:
            sweep(ready, target)
    return _reported(target, output, read_sweep, report=report)


def _listed(names: str | Sequence[str]) -> str:
    return names if isinstance(names, str) else ",".join(map(str, names))


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
    output = output_of(quiet)
    if resume is not None:
        nothing_beside_resume(scenario, out, set, seed)
        target = Path(resume)
        before = begun_ensemble(target)
        loaded, wanted = before.loaded, ensemble_begun(before, size, members)
    else:
        before = None
        loaded = check_source(needed(scenario), set, seed)
        target = target_of(out, loaded, "ensemble")

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
        with placed(needed(scenario), target, set, seed) as ready:
            study(ready)
    return _reported(target, output, read_ensemble, report=report)


def _study(
    loaded: LoadedScenario,
    target: Path,
    output: Output,
    total: tuple[int, str],
    work: Callable[[Advance], T],
) -> T:
    stop, (count, unit) = Stop(), total
    bar = output.bar(loaded.scenario.name, count, unit)
    with interruptible(target, f"{target} holds what was done"), bar as shown_advance:

        def advance(done: int) -> None:
            shown_advance(done)
            stop.check()

        return beside_the_loop(lambda: work(advance), stop, output.refresh)


def _reported(target: Path, output: Output, read: Callable[[Path], T], *, report: bool) -> T:
    if report:
        try_report(write_study_report, target, output)
        output.refresh()
    return read(target)
