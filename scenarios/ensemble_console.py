"""The verb `ensemble` on the command line: its options, its progress, its table."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.load import load_scenario

if TYPE_CHECKING:
    from stackelgrid.analysis.ensemble import EnsembleTables


def ensemble(
    scenario: Annotated[
        str | None,
        typer.Argument(help="Path of a TOML file, or the name of a shipped scenario."),
    ] = None,
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
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Override the seed.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors and the directory.")] = False,
) -> None:
    """Run many members with errors of their own, and say with what confidence they cost what."""
    _check_options(members, cluster, workers, out, resume)
    console = Console(stderr=True, quiet=quiet)

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, highlight=False)

    given = load_scenario(scenario, overrides or (), seed) if scenario is not None else None
    # heavy imports come after the scenario has been found good
    from stackelgrid.scenarios.ensemble import Workers, planned, resumed, run_ensemble
    from stackelgrid.scenarios.ensemble import unfinished_runs as unfinished

    if resume is not None:
        loaded, before, count = resumed(resume, given)
        size, members = size or before, members or count
    elif given is not None:
        loaded = given
    else:
        raise ScenarioError("SCENARIO: is missing; a path, a shipped name or --resume is accepted")
    wanted, runs = planned(loaded, size, members)
    name = loaded.scenario.name
    target = resume or out or Path("runs") / f"{name}-ensemble-{datetime.now():%Y%m%d-%H%M%S}"
    if resume is not None and not unfinished(loaded, wanted, resume) and _is_done(resume):
        say(f"{resume}: all {runs} runs are done; nothing is left to resume")
        print(resume)
        return
    try:
        with _progress(console, name, runs) as advance:
            result = run_ensemble(
                loaded, wanted, target, Workers(cluster, workers),
                resume=resume is not None, progress=advance, say=say,
            )  # fmt: skip
    except KeyboardInterrupt:  # typer would say nothing
        again = f"; --resume {target} goes on" if target.exists() else ""
        print(f"stackelgrid: interrupted{again}", file=sys.stderr)
        raise typer.Exit(130) from None
    s = result.summary
    if result.tables is not None and not quiet:
        _show(result.tables, name)
    say(
        f"{name}: {s['runs_done']} of {s['runs_planned']} runs in {s['wall_s']:.1f} s "
        f"({s['workers']} workers)"
    )
    say("results:")
    print(result.directory)
    if s["runs_failed"]:
        first = s["failed"][0]
        raise StackelgridError(
            f"{s['runs_failed']} of {s['runs_planned']} runs failed (the first: error level "
            f"{first['error_level']:g}, {first['scheme']}, {first['variant']}, member "
            f"{first['member']}: {first['reason']}); --resume {target} tries them again"
        )


def _check_options(
    members: int | None,
    cluster: str | None,
    workers: int | None,
    out: Path | None,
    resume: Path | None,
) -> None:
    for option, value in (("--members", members), ("--workers", workers)):
        if value is not None and value < 1:
            raise ScenarioError(f"{option} {value}: at least 1 is accepted")
    if cluster is not None and workers is not None:
        raise ScenarioError("--cluster and --workers: one of them is accepted, not both")
    if out is not None and resume is not None:
        raise ScenarioError("--out and --resume: one of them is accepted, not both")


def _is_done(directory: Path) -> bool:
    """Whether the tables of a finished ensemble are there as well."""
    return (directory / "kpis.parquet").exists()


class _TimeLeft(ProgressColumn):
    """Time left at the mean pace since the first call, which told what was there already."""

    def render(self, task: Task) -> Text:
        """Text of the column."""
        done = task.completed - task.fields.get("kept", 0)
        if done <= 0 or task.total is None:
            return Text("-:--:-- left")
        pace = (time.monotonic() - task.fields["began"]) / done
        return Text(f"{timedelta(seconds=round(pace * (task.total - task.completed)))} left")


@contextmanager
def _progress(console: Console, name: str, total: int) -> Iterator[Callable[[int], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs"),
        TimeElapsedColumn(),
        _TimeLeft(),
    )
    hidden = console.quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden) as bar:
        task = bar.add_task(name, total=total)

        def advance(done: int) -> None:
            told = "began" in bar.tasks[0].fields
            first: dict[str, Any] = {} if told else {"kept": done, "began": time.monotonic()}
            bar.update(task, completed=done, **first)

        yield advance


def _show(tables: "EnsembleTables", name: str) -> None:
    """Print the key figures with their confidence intervals."""
    from stackelgrid.analysis.ensemble import overview

    texts = overview(tables)
    title = f"{name}: mean and 95 % confidence interval of the members"
    table = Table(title=title, title_justify="left")
    for column in texts.columns:
        table.add_column(str(column), justify="right")
    for row in texts.itertuples(index=False):
        table.add_row(*(str(cell) for cell in row))
    # a table cut to the width of a pipe would lose its numbers
    Console(width=None if sys.stdout.isatty() else 200).print(table)
