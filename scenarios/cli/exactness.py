"""The verb `exactness` on the command line: its options and its progress."""

from pathlib import Path
from typing import Annotated

import typer

from stackelgrid.scenarios.cli.console import (
    JsonOption,
    Output,
    QuietOption,
    ScenarioArgument,
    SeedOption,
    SetOption,
    interruptible,
    new_directory,
)
from stackelgrid.scenarios.cli.report import ReportOption, report_of_study
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.interrupts import loading


def exactness(
    scenario: ScenarioArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Directory for the results; default runs/NAME-exactness-TIME."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Directory of an interrupted sweep to finish.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", help="Size of the sweep, e.g. small or full; small if there is."),
    ] = None,
    overrides: SetOption = None,
    seed: SeedOption = None,
    report: ReportOption = True,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Sweep a feeder's operating points: where the relaxation stops being exact, and why."""
    if out is not None and resume is not None:
        raise ScenarioError("--out and --resume: one of them is accepted, not both")
    with loading():
        from stackelgrid.scenarios.schema.load import load_scenario

    loaded = load_scenario(scenario, overrides or (), seed)
    output = Output(quiet, as_json)
    with loading():  # after the scenario has been found good
        from stackelgrid.analysis.report.exactness import finding
        from stackelgrid.scenarios.cli.exactness_texts import sweep_lines, sweep_tables
        from stackelgrid.scenarios.studies.begun import begun_sweep
        from stackelgrid.scenarios.studies.exactness import sweep_exactness
        from stackelgrid.scenarios.studies.exactness_design import sweep_begun, sweep_of

    before = None if resume is None else begun_sweep(resume, loaded)
    sweep = sweep_of(loaded, size) if before is None else sweep_begun(before, size)
    name = loaded.scenario.name
    target = resume or out or new_directory(name, "exactness")
    bar = output.bar(name, sweep.points_planned, "points")
    with interruptible(target, f"--resume {target} finishes it"), bar as advance:
        result = sweep_exactness(
            loaded, sweep, target, resume=before, progress=advance, say=output.say
        )
    for table in sweep_tables(result.tables, name):
        output.show(table)
    for line in sweep_lines(result.summary):
        output.say(line)
    output.say(finding(result.tables))
    if report:
        report_of_study(result.directory, output)
    output.results(result.directory, result.summary)
