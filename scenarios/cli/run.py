"""The verb `run` on the command line: options, output and interruption."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stackelgrid.scenarios.cli.console import (
    JsonOption,
    OptionalScenarioArgument,
    Output,
    QuietOption,
    SeedOption,
    SetOption,
    Terminated,
    check_resume,
    interruptible,
    new_directory,
)
from stackelgrid.scenarios.cli.report import ReportOption, report_of_run
from stackelgrid.scenarios.run.interrupts import loading

if TYPE_CHECKING:
    from stackelgrid.scenarios.schema.load import LoadedScenario

_LEAST_STORED_MWH = 5e-4  # a smaller difference is not visible in the line


def run(
    scenario: OptionalScenarioArgument = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Directory for the results; default runs/NAME-TIME."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="Directory of an interrupted run to resume."),
    ] = None,
    overrides: SetOption = None,
    seed: SeedOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    report: ReportOption = True,
) -> None:
    """Run a scenario and write its tables, or resume an interrupted run."""
    check_resume(scenario, out, resume, overrides, seed)
    with loading():
        from stackelgrid.scenarios.schema.load import load_scenario

    loaded = None if scenario is None else load_scenario(scenario, overrides or (), seed)
    output = Output(quiet, as_json)
    if resume is not None:
        _again(resume, loaded, output, report=report)
        return
    assert loaded is not None
    _new(loaded, out or new_directory(loaded.scenario.name), output, report=report)


def _new(loaded: "LoadedScenario", target: Path, output: Output, *, report: bool) -> None:
    """Run a scenario into a new directory."""
    with loading():
        from stackelgrid.scenarios.cli.run_panel import shown
        from stackelgrid.scenarios.remote.start import started_early

    name, intervals = loaded.scenario.name, loaded.scenario.time.intervals
    display = shown(output, name, intervals)
    with _ending(target), started_early(loaded.scenario.remote) as early, display as listener:
        listener.building("libraries")
        with loading():  # after the scenario has been validated
            from stackelgrid.scenarios.run.run import run_scenario

        result = run_scenario(
            loaded, target, listener.interval_ended, output.say, early, listener.building
        )
    if report:
        report_of_run(target, output)
    _print_results(result.summary, target, output)


def _again(
    directory: Path, loaded: "LoadedScenario | None", output: Output, *, report: bool
) -> None:
    """Resume an interrupted run; print the results again if the run is already done."""
    with loading():
        from stackelgrid.scenarios.cli.run_panel import shown
        from stackelgrid.scenarios.run.resume import resumable, resume_run

    found = resumable(directory, loaded)
    if found.finished is not None:
        output.say(f"{directory} is finished: nothing is left to do")
        _print_results(found.finished, directory, output)
        return
    scenario = found.loaded.scenario
    with _ending(directory), shown(output, scenario.name, scenario.time.intervals) as listener:
        result = resume_run(found, listener.interval_ended, output.say, listener.building)
    if report:
        report_of_run(directory, output)
    _print_results(result.summary, directory, output)


@contextmanager
def _ending(target: Path) -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with interruptible(target, f"stackelgrid run --resume {target} goes on"):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_results(s: Mapping[str, Any], directory: Path, output: Output) -> None:
    """Print the results of a run and their directory."""
    from stackelgrid.scenarios.cli.negotiation import negotiation_lines
    from stackelgrid.scenarios.run.progress import counted

    say, c, t = output.say, s["certificate"], s["timings"]
    say(
        f"{s['scenario']}: {counted(s['intervals_done'], 'interval')} in {s['wall_s']:.1f} s "
        f"(build {t['build_s']:.1f}, solve {t['solve_s']:.1f}, power flow {t['power_flow_s']:.1f}, "
        f"co-simulation {t['cosimulation_s']:.1f}, state {t['state_s']:.1f}, "
        f"other {t['other_s']:.1f})"
    )
    say(
        f"cost {s['cost_eur']['total']:.2f} EUR; certificate: {c['exact']} exact, "
        f"{c['feasible']} feasible, {c['infeasible']} infeasible; {c['recovered']} recovered; "
        f"{counted(s['intervals_fallback'], 'interval')} by fallback"
    )
    stored = s["stored_energy"]
    if abs(stored["end_mwh"] - stored["start_mwh"]) >= _LEAST_STORED_MWH:
        say(
            f"stored energy: {stored['start_mwh']:.3f} MWh at the start, "
            f"{stored['end_mwh']:.3f} MWh at the end; cost corrected by its worth "
            f"{s['cost_eur']['total_corrected']:.2f} EUR"
        )
    phases = c["three_phase"]
    if phases is not None:
        say(
            f"phase by phase: {phases['feasible']} feasible, {phases['infeasible']} infeasible; "
            f"at most {phases['max_unbalance_pu']:.3f} p.u. from the balanced voltage"
        )
    for line in negotiation_lines(s["negotiation"]):
        say(line)
    output.results(directory, s)
