"""The command line: exit status 0 done, 2 bad input (one line, no traceback), 1 anything else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.profiles.errors import ProfileError, StackelgridError
from stackelgrid.scenarios.ensemble_console import ensemble
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.forecast_console import forecast_lines
from stackelgrid.scenarios.load import LoadedScenario, load_scenario
from stackelgrid.scenarios.run_console import run_again, run_new
from stackelgrid.scenarios.scheme_names import (
    SCHEMES,
    pricing_name,
    quality_names,
    scheme_names,
)
from stackelgrid.scenarios.serve_console import serve

if TYPE_CHECKING:
    from stackelgrid.analysis.compare import Comparison

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Rolling-horizon transmission-distribution co-simulation.",
)
_BAD_INPUT = (ScenarioError, ProfileError, NetworkError)

ScenarioArgument = Annotated[
    str, typer.Argument(help="Path of a TOML file, or the name of a shipped scenario.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. weather.sky=cloudy."),
]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Override the seed.")]


@app.command()
def run(
    scenario: Annotated[
        str | None,
        typer.Argument(help="Path of a TOML file, or the name of a shipped scenario."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Directory for the results; default runs/NAME-TIME."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", help="Directory of an interrupted run to go on with."),
    ] = None,
    overrides: SetOption = None,
    seed: SeedOption = None,
) -> None:
    """Run a scenario and write its tables, or go on with a run that was interrupted."""
    if out is not None and resume is not None:
        raise ScenarioError("--out and --resume: one of them is accepted, not both")
    if scenario is None and resume is None:
        raise ScenarioError("SCENARIO is missing; a path, a shipped name or --resume is accepted")
    if scenario is None and (overrides or seed is not None):
        raise ScenarioError("--resume: goes on as begun; --set and --seed need SCENARIO, too")
    loaded = None if scenario is None else load_scenario(scenario, overrides or (), seed)
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False)

    def bar(name: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        return _progress(console, name, total)

    if resume is not None:
        run_again(resume, loaded, say, bar)
        return
    assert loaded is not None
    target = out or Path("runs") / f"{loaded.scenario.name}-{datetime.now():%Y%m%d-%H%M%S}"
    run_new(loaded, target, say, bar)


@app.command()
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
) -> None:
    """Compare coordination schemes, or qualities of communication, on one scenario."""
    if qualities is not None:
        if schemes is not None:
            raise ScenarioError("--schemes and --qualities: one of them is accepted, not both")
        if pricing is not None:
            overrides = [*(overrides or ()), f"pricing={pricing_name(pricing)}"]
        _compare_qualities(load_scenario(scenario, overrides or (), seed), qualities, out)
        return
    names = scheme_names(schemes if schemes is not None else ",".join(SCHEMES))
    loaded = load_scenario(scenario, overrides or (), seed)
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False)

    from stackelgrid.scenarios.compare import (
        CompareOptions,
        compare_schemes,
        project_schemes,
        steps_of,
    )

    options, decide = (
        CompareOptions(names, pricing_name(pricing or loaded.scenario.pricing), closed_loop),
        project_schemes(),
    )
    name = loaded.scenario.name
    target = out or Path("runs") / f"{name}-compare-{datetime.now():%Y%m%d-%H%M%S}"
    try:
        with _progress(console, name, steps_of(loaded, options), "steps") as advance:
            result = compare_schemes(loaded, target, options, decide, advance, say)
    except KeyboardInterrupt:  # typer would say nothing
        where = f"; {target} holds what was done" if target.exists() else ""
        print(f"stackelgrid: interrupted{where}", file=sys.stderr)
        raise typer.Exit(130) from None
    _show_comparison(result.comparison, name, say)
    print(result.directory)
    failed = result.comparison.failed()
    if failed:
        raise StackelgridError(
            f"{len(failed)} of {len(names)} schemes failed ({', '.join(failed)}); {target} says why"
        )


def _compare_qualities(loaded: LoadedScenario, qualities: str, out: Path | None) -> None:
    """Run a scenario once for each quality of communication."""
    names = quality_names(qualities)
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False)

    from stackelgrid.scenarios.compare_qualities import compare_qualities

    name = loaded.scenario.name
    target = out or Path("runs") / f"{name}-qualities-{datetime.now():%Y%m%d-%H%M%S}"
    try:
        with _progress(console, name, len(names) * loaded.scenario.time.intervals) as advance:
            result = compare_qualities(loaded, target, names, advance, say)
    except KeyboardInterrupt:  # typer would say nothing
        where = f"; {target} holds what was done" if target.exists() else ""
        print(f"stackelgrid: interrupted{where}", file=sys.stderr)
        raise typer.Exit(130) from None
    _show_comparison(result.comparison, name, say)
    print(result.directory)
    failed = result.comparison.failed()
    if failed:
        raise StackelgridError(
            f"{len(failed)} of {len(names)} runs failed ({', '.join(failed)}); {target} says why"
        )


def _show_comparison(comparison: "Comparison", name: str, say: Callable[[str], None]) -> None:
    """Print the totals of every basis, one column a scheme or quality."""
    from stackelgrid.analysis.compare import TITLES, total_table

    for basis in comparison.bases:
        table = Table("indicator", title=f"{name}: {TITLES[basis]}, total", title_justify="left")
        texts = total_table(comparison, basis)
        for column in texts.columns:
            table.add_column(column, justify="right")
        for indicator, *values in texts.itertuples():
            table.add_row(str(indicator), *values)
        # a table cut to the width of a pipe would lose its numbers
        Console(width=None if sys.stdout.isatty() else 200).print(table)
    say("results:")


@app.command()
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
) -> None:
    """Sweep a feeder's operating points: where the relaxation stops being exact, and why."""
    if out is not None and resume is not None:
        raise ScenarioError("--out and --resume: one of them is accepted, not both")
    loaded = load_scenario(scenario, overrides or (), seed)
    console = Console(stderr=True)

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False)

    from stackelgrid.scenarios.exactness import sweep_exactness
    from stackelgrid.scenarios.exactness_console import sweep_lines, sweep_tables
    from stackelgrid.scenarios.exactness_design import sweep_of

    sweep = sweep_of(loaded, size)
    name = loaded.scenario.name
    target = resume or out or Path("runs") / f"{name}-exactness-{datetime.now():%Y%m%d-%H%M%S}"
    try:
        with _progress(console, name, sweep.points_planned, "points") as advance:
            result = sweep_exactness(
                loaded, sweep, target, resume=resume is not None, progress=advance, say=say
            )
    except KeyboardInterrupt:  # typer would say nothing
        again = f"; --resume {target} finishes it" if target.exists() else ""
        print(f"stackelgrid: interrupted{again}", file=sys.stderr)
        raise typer.Exit(130) from None
    # a table cut to the width of a pipe would lose its numbers
    shown = Console(width=None if sys.stdout.isatty() else 200)
    for table in sweep_tables(result.tables, name):
        shown.print(table)
    for line in sweep_lines(result.summary):
        say(line)
    say("results:")
    print(result.directory)


app.command()(ensemble)
app.command()(serve)


@app.command()
def validate(scenario: ScenarioArgument, overrides: SetOption = None) -> None:
    """Check a scenario without running it: grids, devices, profiles and models are built."""
    loaded = load_scenario(scenario, overrides or ())
    from stackelgrid.scenarios.build import build_scenario

    built = build_scenario(loaded)
    for name, grid in built.grids.items():
        d = built.devices[name]
        where = (
            f"bus {grid.section.bus} of {grid.section.parent}" if grid.section.parent else "root"
        )
        print(
            f"{name}: {len(grid.net.bus)} buses, {len(d.loads.index)} loads, "
            f"{len(d.photovoltaics.index)} PV, {len(d.batteries.index)} batteries, "
            f"{len(d.units.index)} units; {where} x {grid.section.multiplicity}"
        )
    for line in forecast_lines(loaded.scenario):
        print(line)
    print(f"{loaded.source}: valid")


@app.command()
def solvers() -> None:
    """List solvers with version and licence, and which ones a run would take."""
    from stackelgrid.controllers.solvers.registry import solver_table

    print(solver_table())


@contextmanager
def _progress(
    console: Console, name: str, total: int, unit: str = "intervals"
) -> Iterator[Callable[[int], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=total)
        yield lambda done: bar.update(task, completed=done)


def main() -> None:
    """Entry point of the command `stackelgrid`."""
    try:
        sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:  # a wrong option or argument
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if not message:  # without a command the help has been shown
            sys.exit(2)
        _fail(StackelgridError(message), 2)
    except _BAD_INPUT as error:
        _fail(error, 2)
    except StackelgridError as error:
        _fail(error, 1)


def _fail(error: Exception, status: int) -> None:
    text = " ".join(str(error).split())
    print(f"stackelgrid: {text}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
