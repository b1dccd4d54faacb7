"""Runs from Python, in scripts and notebooks: the function `stackelgrid.run`.

Directories, defaults and errors are those of the command line (docs/library.md).
"""

from collections.abc import Callable
from pathlib import Path

from stackelgrid.analysis.report.run import write_run_report
from stackelgrid.analysis.run import Run
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
from stackelgrid.scenarios.cli.console import Output
from stackelgrid.scenarios.cli.report import try_report
from stackelgrid.scenarios.cli.run_panel import Listener, shown
from stackelgrid.scenarios.run.progress import RunProgress
from stackelgrid.scenarios.run.resume import resumable, resume_run
from stackelgrid.scenarios.run.run import RunResult, run_scenario
from stackelgrid.scenarios.schema.load import LoadedScenario

__all__ = ["run"]


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
    """Run a scenario into a new directory, or resume an interrupted run; return its results.

    `scenario` is a shipped name, a path, a `Scenario` or a mapping; `set` overrides keys, for
    example {"time.intervals": 4}. `out` is a new or empty directory, runs/NAME-TIME by default;
    `resume` is the directory of an interrupted run and replaces the scenario. Without `quiet`
    progress is shown: in the cell of a notebook, on stderr elsewhere. Raises a StackelgridError;
    after a KeyboardInterrupt the directory can be resumed.
    """
    output = output_of(quiet)
    if resume is not None:
        nothing_beside_resume(scenario, out, set, seed)
        target = Path(resume)
        found = resumable(target)
        if found.finished is None:
            _simulate(
                found.loaded, target, output,
                lambda shown: resume_run(
                    found, shown.interval_ended, output.say, shown.building
                ),
            )  # fmt: skip
    else:
        source = needed(scenario)
        loaded = check_source(source, set, seed)
        target = target_of(out, loaded)
        with placed(source, target, set, seed) as ready:
            _simulate(
                ready, target, output,
                lambda shown: run_scenario(
                    ready, target, shown.interval_ended, output.say, building=shown.building
                ),
            )  # fmt: skip
    if report:
        try_report(write_run_report, target, output)
        output.refresh()
    return Run(target)


class _StoppableListener:
    """Forwards the progress of a run to a listener, and stops the run on request."""

    def __init__(self, listener: Listener, stop: Stop) -> None:
        self._listener, self._stop = listener, stop

    def interval_ended(self, progress: RunProgress) -> None:
        """Forward the progress after an interval."""
        self._listener.interval_ended(progress)
        self._stop.check()

    def building(self, text: str) -> None:
        """Forward the name of the part that is built next."""
        self._listener.building(text)
        self._stop.check()


def _simulate(
    loaded: LoadedScenario,
    target: Path,
    output: Output,
    work: Callable[[_StoppableListener], RunResult],
) -> None:
    name, intervals, stop = loaded.scenario.name, loaded.scenario.time.intervals, Stop()
    hint = f"resume={str(target)!r} goes on"
    with interruptible(target, hint), shown(output, name, intervals) as listener:
        reports = _StoppableListener(listener, stop)
        beside_the_loop(lambda: work(reports), stop, output.refresh)
