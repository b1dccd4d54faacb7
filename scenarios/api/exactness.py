"""The verb `exactness`: a sweep over the operating points of a feeder."""

from typing import TYPE_CHECKING

from stackelgrid.scenarios.api.call import Place, Settings, call_of, output_of
from stackelgrid.scenarios.api.output import Output

if TYPE_CHECKING:
    from stackelgrid.analysis.studies import SweepStudy
    from stackelgrid.scenarios.api.inputs import Source


def exactness(
    scenario: "Source | None" = None,
    *,
    size: str | None = None,
    out: Place | None = None,
    resume: Place | None = None,
    set: Settings | None = None,
    seed: int | None = None,
    report: bool = True,
    quiet: bool = False,
    output: Output | None = None,
) -> "SweepStudy":
    """Sweep a feeder's operating points for those where the relaxation is not exact.

    scenario: shipped name, path, `Scenario` or mapping; optional with `resume`.
    size: name of one of the scenario's sizes; default small.
    out: new or empty directory; default runs/NAME-exactness-TIME.
    resume: directory of an interrupted sweep.
    set: keys to override, for example {"time.intervals": 4}.
    seed: replaces the scenario's seed.
    report: whether to write report.html.
    quiet: whether to show no progress.
    output: destination of progress; default the cell of a notebook, else stderr.

    Raises a StackelgridError.
    """
    output = output or output_of(quiet)
    call = call_of(scenario, out, resume, set, seed, output, report=report)
    with output.loading():  # after the scenario has been validated
        from stackelgrid.analysis.studies import read_sweep
        from stackelgrid.scenarios.studies.begun import begun_sweep
        from stackelgrid.scenarios.studies.exactness import sweep_exactness
        from stackelgrid.scenarios.studies.exactness_design import sweep_begun, sweep_of

    with call.begin("exactness", begun_sweep) as (loaded, target, before):
        sweep = sweep_of(loaded, size) if before is None else sweep_begun(before, size)
        call.study(
            loaded, target, (sweep.points_planned, "points"),
            lambda advance: sweep_exactness(
                loaded, sweep, target, resume=before, progress=advance, say=output.say
            ),
            "exactness",
        )  # fmt: skip
    study = read_sweep(target)
    output.tell(study)
    call.write_report(target)
    output.results(study)
    return study
