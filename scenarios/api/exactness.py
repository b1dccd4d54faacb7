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
    """Sweep a feeder's operating points: where the relaxation stops being exact.

    `size` names one of the scenario's sizes, small if left out. Other arguments as of `run`.
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
