"""The verb `run`: `stackelgrid.run` from Python, `stackelgrid run` on the command line."""

from typing import TYPE_CHECKING

from stackelgrid.scenarios.api.call import Place, Report, Settings, call_of, output_of
from stackelgrid.scenarios.api.output import Output
from stackelgrid.scenarios.remote.start import started_early
from stackelgrid.scenarios.run.progress import RunProgress

if TYPE_CHECKING:
    from stackelgrid.analysis.run import Run
    from stackelgrid.scenarios.api.inputs import Source


def run(
    scenario: "Source | None" = None,
    *,
    out: Place | None = None,
    resume: Place | None = None,
    set: Settings | None = None,
    seed: int | None = None,
    report: bool = True,
    quiet: bool = False,
    output: Output | None = None,
) -> "Run":
    """Run a scenario into a new directory, or resume an interrupted run; return its results.

    scenario: shipped name, path, `Scenario` or mapping; optional with `resume`.
    out: new or empty directory; default runs/NAME-TIME.
    resume: directory of an interrupted run.
    set: keys to override, for example {"time.intervals": 4}.
    seed: replaces the scenario's seed.
    report: whether to write report.html.
    quiet: whether to show no progress.
    output: destination of progress; default the cell of a notebook, else stderr.

    Raises a StackelgridError; after a KeyboardInterrupt the directory can be resumed.
    """
    output, done = output or output_of(quiet), False
    call = call_of(scenario, out, resume, set, seed, output, report=report)
    if call.resume is not None:
        target = call.resume
        with output.loading():
            from stackelgrid.scenarios.run.resume import resumable, resume_run

        found = resumable(target, call.asked)
        done = found.finished is not None
        if done:
            output.say(f"{target} is finished: nothing is left to do")
        else:
            call.simulate(
                found.loaded,
                target,
                lambda progress, building: resume_run(found, progress, output.say, building),
            )
    else:
        with call.begin() as (loaded, target, _):

            def work(progress: Report[RunProgress], building: Report[str]) -> None:
                with started_early(loaded.scenario.remote) as early:
                    building("libraries")
                    with output.loading():  # after the scenario has been validated
                        from stackelgrid.scenarios.run.run import run_scenario

                    run_scenario(loaded, target, progress, output.say, early, building)

            call.simulate(loaded, target, work)
    from stackelgrid.analysis.run import Run

    finished = Run(target)
    output.tell(finished)
    if not done:
        call.write_report(target, study=False)
    output.results(finished)
    return finished
