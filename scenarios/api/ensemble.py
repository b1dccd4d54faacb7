"""The verb `ensemble`: many members with errors of their own."""

from typing import TYPE_CHECKING

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.api.call import Place, Settings, call_of, output_of
from stackelgrid.scenarios.api.output import Output
from stackelgrid.scenarios.errors import ScenarioError

if TYPE_CHECKING:
    from stackelgrid.analysis.studies import EnsembleStudy
    from stackelgrid.scenarios.api.inputs import Source


def ensemble(
    scenario: "Source | None" = None,
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
    output: Output | None = None,
) -> "EnsembleStudy":
    """Run many members, each with its own forecast errors, on all processors or a Dask cluster.

    scenario: shipped name, path, `Scenario` or mapping; optional with `resume`.
    members: number of members; default that of the size or the section.
    size: name of one of the scenario's sizes; default small.
    workers: processes of this machine; default one for each processor.
    cluster: address of a Dask scheduler to use instead.
    out: new or empty directory; default runs/NAME-ensemble-TIME.
    resume: directory of an interrupted ensemble.
    set: keys to override, for example {"time.intervals": 4}.
    seed: replaces the scenario's seed.
    report: whether to write report.html.
    quiet: whether to show no progress.
    output: destination of progress; default the cell of a notebook, else stderr.

    Raises a StackelgridError, also if a run failed.
    """
    for option, value in (("--members", members), ("--workers", workers)):
        if value is not None and (type(value) is not int or value < 1):
            raise ScenarioError(f"{option} {value!r}: a whole number from 1 is accepted")
    if cluster is not None and workers is not None:
        raise ScenarioError("--cluster and --workers: one of them is accepted, not both")
    output = output or output_of(quiet)
    call = call_of(scenario, out, resume, set, seed, output, report=report)
    with output.loading():  # after the scenario has been validated
        from stackelgrid.analysis.studies import read_ensemble
        from stackelgrid.scenarios.studies.begun import begun_ensemble
        from stackelgrid.scenarios.studies.ensemble import Workers, run_ensemble, unfinished_runs
        from stackelgrid.scenarios.studies.ensemble_design import (
            ensemble_begun,
            ensemble_of,
            runs_of,
        )

    with call.begin("ensemble", begun_ensemble) as (loaded, target, before):
        if before is None:
            wanted = ensemble_of(loaded, size, members)
        else:
            wanted = ensemble_begun(before, size, members)
        runs = len(runs_of(loaded, wanted))
        left = before is None or not before.done or unfinished_runs(loaded, wanted, target)
        if left:
            call.study(
                loaded, target, (runs, "runs"),
                lambda advance: run_ensemble(
                    loaded, wanted, target, Workers(cluster, workers),
                    resume=before, progress=advance, say=output.say,
                ),
                "ensemble",
            )  # fmt: skip
    study = read_ensemble(target)
    if left:
        output.tell(study)
        call.write_report(target)
    else:
        output.say(f"{target}: all {runs} runs are done; nothing is left to resume")
    output.results(study)
    s = study.summary
    if s["runs_failed"]:
        first = s["failed"][0]
        raise StackelgridError(
            f"{s['runs_failed']} of {s['runs_planned']} runs failed (the first: error level "
            f"{first['error_level']:g}, {first['scheme']}, {first['variant']}, member "
            f"{first['member']}: {first['reason']}); --resume {target} tries them again"
        )
    return study
