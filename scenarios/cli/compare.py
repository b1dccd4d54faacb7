"""The verb `compare` on the command line: its options, its progress, its tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackelgrid.profiles.errors import StackelgridError
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
from stackelgrid.scenarios.schema.scheme_names import (
    SCHEMES,
    pricing_name,
    quality_names,
    scheme_names,
)

if TYPE_CHECKING:
    from stackelgrid.analysis.comparison.schemes import Comparison
    from stackelgrid.scenarios.schema.load import LoadedScenario
    from stackelgrid.scenarios.studies.study import StudyResult


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
        from stackelgrid.scenarios.schema.load import load_scenario

    output = Output(quiet, as_json)
    if qualities is not None:
        if schemes is not None:
            raise ScenarioError("--schemes and --qualities: one of them is accepted, not both")
        if closed_loop:
            raise ScenarioError("--closed-loop: belongs to --schemes; --qualities are whole runs")
        if pricing is not None:
            overrides = [*(overrides or ()), f"pricing={pricing_name(pricing)}"]
        loaded = load_scenario(scenario, overrides or (), seed)
        _qualities(loaded, quality_names(qualities), out, output, report=report)
        return
    names = scheme_names(schemes if schemes is not None else ",".join(SCHEMES))
    loaded = load_scenario(scenario, overrides or (), seed)
    with loading():
        from stackelgrid.analysis.report.comparison import finding
        from stackelgrid.scenarios.studies.compare import (
            CompareOptions,
            compare_schemes,
            steps_of,
        )

    price = pricing_name(pricing or loaded.scenario.pricing)
    options = CompareOptions(names, price, closed_loop)
    name = loaded.scenario.name
    target = out or new_directory(name, "compare")
    bar = output.bar(name, steps_of(loaded, options), "steps")
    with interruptible(target, f"{target} holds what was done"), bar as advance:
        advance(0)
        result = compare_schemes(loaded, target, options, advance, output.say)
    _show(result.tables, name, output)
    for basis in result.tables.bases:
        output.say(finding(result.tables, basis))
    _end(result, "schemes", output, report=report)


def _qualities(
    loaded: "LoadedScenario",
    names: tuple[str, ...],
    out: Path | None,
    output: Output,
    *,
    report: bool,
) -> None:
    """Run a scenario once for each quality of communication."""
    with loading():
        from stackelgrid.analysis.report.qualities import finding
        from stackelgrid.scenarios.studies.compare_qualities import compare_qualities

    name, intervals = loaded.scenario.name, loaded.scenario.time.intervals
    target = out or new_directory(name, "qualities")
    bar = output.bar(name, len(names) * intervals, "intervals")
    with interruptible(target, f"{target} holds what was done"), bar as advance:
        advance(0)
        result = compare_qualities(loaded, target, names, advance, output.say)
    _show(result.tables, name, output)
    output.say(finding(result.tables))
    _end(result, "runs", output, report=report)


def _end(result: "StudyResult[Comparison]", what: str, output: Output, *, report: bool) -> None:
    """Write the report and say where everything is; raises StackelgridError if a column failed."""
    if report:
        report_of_study(result.directory, output)
    output.results(result.directory, result.summary)
    check_columns(result, what)


def check_columns(result: "StudyResult[Comparison]", what: str) -> None:
    """Raise StackelgridError if a column of a comparison failed; `what` is what columns are."""
    failed = result.tables.failed()
    if failed:
        columns = len(result.tables.schemes(result.tables.bases[0]))
        raise StackelgridError(
            f"{len(failed)} of {columns} {what} failed ({', '.join(failed)}); "
            f"{result.directory} says why"
        )


def _show(comparison: "Comparison", name: str, output: Output) -> None:
    """Print the totals of every basis, one column a scheme or quality."""
    from rich.table import Table

    from stackelgrid.analysis.comparison.schemes import TITLES, total_table

    for basis in comparison.bases:
        table = Table("indicator", title=f"{name}: {TITLES[basis]}, total", title_justify="left")
        texts = total_table(comparison, basis)
        for column in texts.columns:
            table.add_column(column, justify="right")
        for indicator, *values in texts.itertuples():
            table.add_row(str(indicator), *values)
        output.show(table)
