"""The verb `ensemble` on the command line: its options, its progress, its table."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.cli.console import (
    JsonOption,
    OptionalScenarioArgument,
    Output,
    QuietOption,
    SeedOption,
    SetOption,
    check_resume,
    interruptible,
    new_directory,
)
from stackelgrid.scenarios.cli.report import ReportOption, report_of_study
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.interrupts import loading

if TYPE_CHECKING:
    from rich.table import Table

    from stackelgrid.analysis.ensemble.statistics import EnsembleTables


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
    """Run many members with errors of their own, and say with what confidence they cost what."""
    check_resume(scenario, out, resume, overrides, seed)
    _check_options(members, cluster, workers)
    output = Output(quiet, as_json)
    with loading():
        from stackelgrid.scenarios.schema.load import load_scenario

    given = load_scenario(scenario, overrides or (), seed) if scenario is not None else None
    with loading():  # after the scenario has been found good
        from stackelgrid.analysis.report.ensemble import finding
        from stackelgrid.scenarios.studies.begun import begun_ensemble
        from stackelgrid.scenarios.studies.ensemble import Workers, run_ensemble, unfinished_runs
        from stackelgrid.scenarios.studies.ensemble_design import (
            ensemble_begun,
            ensemble_of,
            runs_of,
        )

    before = None if resume is None else begun_ensemble(resume, given)
    if before is not None:
        loaded, wanted = before.loaded, ensemble_begun(before, size, members)
    else:
        assert given is not None
        loaded, wanted = given, ensemble_of(given, size, members)
    name, runs = loaded.scenario.name, len(runs_of(loaded, wanted))
    target = resume or out or new_directory(name, "ensemble")
    if before is not None and before.done and not unfinished_runs(loaded, wanted, target):
        output.say(f"{resume}: all {runs} runs are done; nothing is left to resume")
        output.results(target, before.summary)
        return
    bar = output.bar(name, runs, "runs")
    with interruptible(target, f"--resume {target} goes on"), bar as advance:
        result = run_ensemble(
            loaded, wanted, target, Workers(cluster, workers),
            resume=before, progress=advance, say=output.say,
        )  # fmt: skip
    s = result.summary
    if result.tables is not None:
        output.show(_overview(result.tables, name))
        output.say(finding(result.tables))
    output.say(
        f"{name}: {s['runs_done']} of {s['runs_planned']} runs in {s['wall_s']:.1f} s "
        f"({s['workers']} workers)"
    )
    if report:
        report_of_study(result.directory, output)
    output.results(result.directory, s)
    check_runs(s, target)


def check_runs(s: Mapping[str, Any], target: Path) -> None:
    """Raise StackelgridError if a run of an ensemble failed."""
    if s["runs_failed"]:
        first = s["failed"][0]
        raise StackelgridError(
            f"{s['runs_failed']} of {s['runs_planned']} runs failed (the first: error level "
            f"{first['error_level']:g}, {first['scheme']}, {first['variant']}, member "
            f"{first['member']}: {first['reason']}); --resume {target} tries them again"
        )


def _check_options(members: int | None, cluster: str | None, workers: int | None) -> None:
    for option, value in (("--members", members), ("--workers", workers)):
        if value is not None and value < 1:
            raise ScenarioError(f"{option} {value}: at least 1 is accepted")
    if cluster is not None and workers is not None:
        raise ScenarioError("--cluster and --workers: one of them is accepted, not both")


def _overview(tables: "EnsembleTables", name: str) -> "Table":
    """Key figures with their confidence intervals."""
    from rich.table import Table

    from stackelgrid.analysis.ensemble.statistics import overview

    texts = overview(tables)
    title = f"{name}: mean and 95 % confidence interval of the members (scenario: its own horizon)"
    table = Table(title=title, title_justify="left")
    for column in texts.columns:
        table.add_column(str(column), justify="right")
    for row in texts.itertuples(index=False):
        table.add_row(*(str(cell) for cell in row))
    return table
