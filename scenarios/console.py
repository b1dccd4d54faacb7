"""How every verb speaks: progress and notices on stderr, tables and the directory on stdout.

With `--quiet` only errors and the directory remain; with `--json` stdout holds one JSON object.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from rich.console import Console, RenderableType
from rich.live import Live
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

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.json_text import json_text

# width of a table that goes into a pipe: cut to 80 columns it would lose its numbers
_WIDTH_OF_A_PIPE = 200
_REFRESHES_PER_S = 4

ScenarioArgument = Annotated[
    str, typer.Argument(help="Path of a TOML file, or the name of a shipped scenario.")
]
OptionalScenarioArgument = Annotated[
    str | None, typer.Argument(help="Path of a TOML file, or the name of a shipped scenario.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. weather.sky=cloudy."),
]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Override the seed.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", help="Say nothing but errors and where the results are.")
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON object on stdout: the directory and its summary.json."
    ),
]


def say_notice(line: str) -> None:
    """Print a notice, if there is one, on stderr."""
    if line:
        print(line, file=sys.stderr)


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM."""


class Drawing(Protocol):
    """Live drawing on a terminal; cleared at the end if it is transient."""

    transient: bool


@dataclass(frozen=True)
class Output:
    """What a verb says, and where: one rule for all of them."""

    quiet: bool = False
    as_json: bool = False
    console: Console = field(default_factory=lambda: Console(stderr=True))

    def __post_init__(self) -> None:
        self.console.quiet = self.console.quiet or self.quiet

    @property
    def live(self) -> bool:
        """Whether somebody looks at a terminal."""
        return self.console.is_terminal and not self.quiet

    def say(self, text: str) -> None:
        """Say one line for people, on stderr."""
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)

    def show(self, table: Table) -> None:
        """Print a table on stdout; on stderr where stdout is kept for JSON."""
        if self.quiet:
            return
        stream = sys.stderr if self.as_json else sys.stdout
        width = None if stream.isatty() else _WIDTH_OF_A_PIPE
        Console(file=stream, width=width).print(table)

    def results(self, directory: Path, summary: Mapping[str, Any]) -> None:
        """Print where the results are; with `--json` the summary and its `directory`."""
        if self.as_json:
            print(json_text({"directory": str(directory), **summary}))
            return
        if not self.quiet:
            together = self.console.is_terminal and sys.stdout.isatty()
            end = " " if together else "\n"
            print("results:", end=end, file=sys.stderr, flush=True)
        print(directory)

    @contextmanager
    def drawing(self, what: RenderableType) -> Iterator[Drawing]:
        """Draw something on the terminal, again and again, until the end of the block."""
        with Live(what, console=self.console, refresh_per_second=_REFRESHES_PER_S) as live:
            yield live

    def refresh(self) -> None:
        """Show what has changed, where nothing does so by itself."""

    @contextmanager
    def bar(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Progress bar of a study; its first call says what was there already."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            _TimeLeft(),
        )
        shown = Progress(*columns, console=self.console, auto_refresh=False)
        task = shown.add_task(name, total=total)

        def advance(done: int) -> None:
            told = "began" in shown.tasks[0].fields
            first: dict[str, Any] = {} if told else {"kept": done, "began": time.monotonic()}
            shown.update(task, completed=done, **first)

        with self.drawing(shown) if self.live else nullcontext():
            yield advance


class _TimeLeft(ProgressColumn):
    """Time left at the mean pace since the first call."""

    def render(self, task: Task) -> Text:
        """Text of the column."""
        done = task.completed - task.fields.get("kept", 0)
        if done <= 0 or task.total is None:
            return Text("-:--:-- left")
        pace = (time.monotonic() - task.fields["began"]) / done
        return Text(f"{timedelta(seconds=round(pace * (task.total - task.completed)))} left")


def new_directory(name: str, verb: str = "") -> Path:
    """Directory of results where --out names none; milliseconds tell runs begun at once apart."""
    kind, now = f"-{verb}" if verb else "", datetime.now()
    return Path("runs") / f"{name}{kind}-{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}"


def check_resume(
    scenario: str | None,
    out: Path | None,
    resume: Path | None,
    overrides: Sequence[str] | None,
    seed: int | None,
) -> None:
    """Refuse options of a verb with --resume that contradict one another or would have no effect.

    Raises ScenarioError.
    """
    if out is not None and resume is not None:
        raise ScenarioError("--out and --resume: one of them is accepted, not both")
    if scenario is None and resume is None:
        raise ScenarioError("SCENARIO is missing; a path, a shipped name or --resume is accepted")
    if scenario is None and (overrides or seed is not None):
        raise ScenarioError("--resume: goes on as begun; --set and --seed need SCENARIO, too")


@contextmanager
def interruptible(target: Path, hint: str) -> Iterator[None]:
    """End with one line and status 130 at Ctrl-C, 143 at SIGTERM.

    The hint is given once something has begun: then `target` holds a scenario.
    """
    try:
        yield
    except KeyboardInterrupt as error:  # typer would say nothing
        more = f"; {hint}" if (target / "scenario.toml").exists() else ""
        print(f"stackelgrid: interrupted{more}", file=sys.stderr)
        raise typer.Exit(143 if isinstance(error, Terminated) else 130) from None
