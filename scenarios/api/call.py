"""The call of a verb: its scenario, its directory, its progress and its report."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stackelgrid.scenarios.api.notebook import NotebookOutput, beside_the_loop, in_notebook
from stackelgrid.scenarios.api.output import Output
from stackelgrid.scenarios.api.run_panel import shown
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.progress import RunProgress, StudyProgress
from stackelgrid.scenarios.schema.load import LoadedScenario, load_scenario

if TYPE_CHECKING:
    from stackelgrid.scenarios.api.inputs import Source
    from stackelgrid.scenarios.studies.begun import Begun

T = TypeVar("T")
Report = Callable[[T], None]
"""Receives progress."""
Place = str | os.PathLike[str]
Settings = Mapping[str, Any] | Sequence[str]
"""Overrides of keys: values by `a.b`, or texts `a.b=value`."""


@dataclass(frozen=True)
class Call:
    """A call of a verb.

    output: shows progress and results.
    asked: the scenario; None if only `resume` is given.
    placed: yields the scenario after writing its objects in memory to a new directory.
    out: new directory of the results; a default one if None.
    resume: directory of an unfinished run or study.
    report: whether report.html is written at the end.
    """

    output: Output
    asked: LoadedScenario | None
    placed: Callable[[Path], AbstractContextManager[LoadedScenario]] | None
    out: Path | None
    resume: Path | None
    report: bool

    @contextmanager
    def begin(
        self,
        verb: str = "",
        begun: "Callable[[Path, LoadedScenario | None], Begun] | None" = None,
    ) -> "Iterator[tuple[LoadedScenario, Path, Begun | None]]":
        """Yield scenario, directory of the results, and what `begun` reads there to resume it."""
        if self.resume is not None and begun is not None:
            before = begun(self.resume, self.asked)
            yield before.loaded, self.resume, before
            return
        assert self.asked is not None
        target = self.out or new_directory(self.asked.scenario.name, verb)
        with nullcontext(self.asked) if self.placed is None else self.placed(target) as loaded:
            yield loaded, target, None

    def simulate(
        self,
        loaded: LoadedScenario,
        target: Path,
        work: Callable[[Report[RunProgress], Report[str]], object],
    ) -> None:
        """Call the work of a run, which reports its progress and what it builds."""
        name, intervals = loaded.scenario.name, loaded.scenario.time.intervals
        ending = self.output.ending(target, self.output.how_to_resume("run", target))
        with ending, shown(self.output, name, intervals) as listener:
            beside_the_loop(
                lambda stop: work(stop.at(listener.interval_ended), stop.at(listener.building)),
                self.output.refresh,
            )

    def study(
        self,
        loaded: LoadedScenario,
        target: Path,
        steps: tuple[int, str],
        work: Callable[[Report[StudyProgress]], object],
        resumed_by: str = "",
    ) -> None:
        """Call the work of a study, which reports its progress in steps.

        steps: their number and unit.
        resumed_by: verb that resumes the study; empty for a study that cannot be resumed.
        """
        hint = f"{target} has the finished part"
        if resumed_by:
            hint = self.output.how_to_resume(resumed_by, target)
        bar = self.output.bar(loaded.scenario.name, *steps)
        with self.output.ending(target, hint), bar as advance:
            beside_the_loop(lambda stop: work(stop.at(advance)), self.output.refresh)

    def write_report(self, directory: Path, *, study: bool = True) -> None:
        """Write report.html; a failure is printed and logged, the results are complete."""
        if not self.report:
            return
        hint = f"the results are complete; stackelgrid report {directory} reports them"
        with self.output.ending(directory, hint):
            if study:
                from stackelgrid.analysis.report.kinds import write_study_report as write
            else:
                from stackelgrid.analysis.report.run import write_run_report as write
            try:
                self.output.say(f"report: {write(directory)}")
            except Exception as error:
                from stackelgrid.scenarios.run.directory import RunLog

                text = " ".join(f"no report was written: {type(error).__name__}: {error}".split())
                self.output.say(f"{text}; stackelgrid report {directory} tries again")
                with suppress(OSError):  # a full disk may be the reason
                    RunLog(directory).event("warning", text=text)
        self.output.refresh()


def output_of(quiet: bool) -> Output:
    """Return the output of a call from Python: the cell of a notebook, or stderr."""
    return NotebookOutput(quiet) if in_notebook() else Output(quiet)


def call_of(
    scenario: "Source | None",
    out: Place | None,
    resume: Place | None,
    overrides: Settings | None,
    seed: int | None,
    output: Output,
    *,
    report: bool,
) -> Call:
    """Load the scenario; refuse arguments that contradict each other.

    Arguments are those of a verb (`scenarios/api/run.py`). Raises ScenarioError.
    """
    if out is not None and resume is not None:
        raise ScenarioError("--out and --resume: one of them is accepted, not both")
    asked = placed = None
    if scenario is None:
        if resume is None:
            raise ScenarioError(
                "SCENARIO is missing; a shipped name, a path or --resume is accepted"
            )
        if overrides or seed is not None:
            raise ScenarioError(
                "--resume: continues with the saved scenario; --set and --seed need SCENARIO, too"
            )
    elif isinstance(scenario, str) and not isinstance(overrides, Mapping):
        asked = load_scenario(scenario, overrides or (), seed)
    else:
        from stackelgrid.scenarios.api import inputs

        given = (scenario, overrides, seed)
        asked = inputs.check_source(*given)
        placed = partial(inputs.placed, *given)
    return Call(
        output,
        asked,
        placed,
        None if out is None else Path(out),
        None if resume is None else Path(resume),
        report,
    )


def new_directory(name: str, verb: str = "") -> Path:
    """Return the default directory of results; milliseconds keep simultaneous runs apart."""
    kind, now = f"-{verb}" if verb else "", datetime.now()
    return Path("runs") / f"{name}{kind}-{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}"
