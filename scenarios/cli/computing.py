"""The verbs that compute, on the command line: run, compare, exactness, ensemble.

Each calls the Python function of its name (`scenarios/api`).
"""

from pathlib import Path
from typing import Annotated

import typer

from stackelgrid.scenarios.cli.options import (
    JsonOption,
    OptionalScenarioArgument,
    QuietOption,
    ReportOption,
    ScenarioArgument,
    SeedOption,
    SetOption,
)
from stackelgrid.scenarios.cli.terminal import Terminal
from stackelgrid.scenarios.run.interrupts import loading


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
    with loading():
        from stackelgrid.scenarios.api.run import run as call

    call(
        scenario,
        out=out,
        resume=resume,
        set=overrides,
        seed=seed,
        report=report,
        output=Terminal(quiet, as_json=as_json),
    )


def compare(
    scenario: ScenarioArgument,
    schemes: Annotated[
        str | None,
        typer.Option("--schemes", metavar="A,B,...", help="Schemes in this order; default all."),
    ] = None,
    qualities: Annotated[
        str | None,
        typer.Option(
            "--qualities",
            metavar="A,B,...",
            help="Instead of schemes: runs by messages over links of these qualities.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Directory for the results; default runs/NAME-compare-TIME."),
    ] = None,
    closed_loop: Annotated[
        bool, typer.Option("--closed-loop", help="Also run every scheme through the whole day.")
    ] = False,
    pricing: Annotated[
        str | None,
        typer.Option("--pricing", help="Payment at the boundary: tariff or lmp; the scenario's."),
    ] = None,
    overrides: SetOption = None,
    seed: SeedOption = None,
    report: ReportOption = True,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare coordination schemes, or qualities of communication, on one scenario."""
    with loading():
        from stackelgrid.scenarios.api.compare import compare as call

    call(
        scenario,
        schemes=schemes,
        qualities=qualities,
        closed_loop=closed_loop,
        pricing=pricing,
        out=out,
        set=overrides,
        seed=seed,
        report=report,
        output=Terminal(quiet, as_json=as_json),
    )


def exactness(
    scenario: OptionalScenarioArgument = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Directory for the results; default runs/NAME-exactness-TIME."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="Directory of an unfinished sweep; SCENARIO not needed."),
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
    with loading():
        from stackelgrid.scenarios.api.exactness import exactness as call

    call(
        scenario,
        size=size,
        out=out,
        resume=resume,
        set=overrides,
        seed=seed,
        report=report,
        output=Terminal(quiet, as_json=as_json),
    )


def ensemble(
    scenario: OptionalScenarioArgument = None,
    members: Annotated[
        int | None, typer.Option("--members", metavar="N", help="Number of members.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", help="Size of the ensemble, e.g. small or full; small if there is."),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="ADDRESS", help="Address of a Dask scheduler."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", help="Processes of this machine; all by default."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Directory for the results; default runs/NAME-ensemble-TIME."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="Directory of an unfinished ensemble; SCENARIO not needed."),
    ] = None,
    overrides: SetOption = None,
    seed: SeedOption = None,
    report: ReportOption = True,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run many members with their own errors, and print costs with confidence intervals."""
    with loading():
        from stackelgrid.scenarios.api.ensemble import ensemble as call

    call(
        scenario,
        members=members,
        size=size,
        workers=workers,
        cluster=cluster,
        out=out,
        resume=resume,
        set=overrides,
        seed=seed,
        report=report,
        output=Terminal(quiet, as_json=as_json),
    )
