"""Output of all verbs: progress and notices on stderr, tables and the directory on stdout.

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
from stackelgrid.scenarios.run.directory import json_text

# columns of a table written to a pipe; rich's default of 80 would cut off numbers
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
    bool, typer.Option("--quiet", help="Print only errors and the directory of the results.")
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
    """Raised when the process receives SIGTERM."""


class Drawing(Protocol):
    """Live drawing on a terminal; cleared at the end if it is transient."""

    transient: bool


@dataclass(frozen=True)
class Output:
    """Streams and verbosity of a verb's output."""

    quiet: bool = False
    as_json: bool = False
    console: Console = field(default_factory=lambda: Console(stderr=True))

    def __post_init__(self) -> None:
        self.console.quiet = self.console.quiet or self.quiet

    @property
    def live(self) -> bool:
        """True if progress is drawn on a terminal."""
        return self.console.is_terminal and not self.quiet

    def say(self, text: str) -> None:
        """Print one line of text on stderr."""
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)

    def show(self, table: Table) -> None:
        """Print a table on stdout; on stderr if stdout is reserved for JSON."""
        if self.quiet:
            return
        stream = sys.stderr if self.as_json else sys.stdout
        width = None if stream.isatty() else _WIDTH_OF_A_PIPE
        Console(file=stream, width=width).print(table)

    def results(self, directory: Path, summary: Mapping[str, Any]) -> None:
        """Print the directory of the results; with `--json` the summary with its `directory`."""
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
        """Draw on the terminal repeatedly until the block ends."""
        with Live(what, console=self.console, refresh_per_second=_REFRESHES_PER_S) as live:
            yield live

    def refresh(self) -> None:
        """Redraw what has changed; only outputs without their own refresh need it."""

    @contextmanager
    def bar(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Show the progress bar of a study; its first call gives the steps done before."""
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
        """Return the text of the column."""
        done = task.completed - task.fields.get("kept", 0)
        if done <= 0 or task.total is None:
            return Text("-:--:-- left")
        pace = (time.monotonic() - task.fields["began"]) / done
        return Text(f"{timedelta(seconds=round(pace * (task.total - task.completed)))} left")


def new_directory(name: str, verb: str = "") -> Path:
    """Return the default directory of results; milliseconds keep simultaneous runs apart."""
    kind, now = f"-{verb}" if verb else "", datetime.now()
    return Path("runs") / f"{name}{kind}-{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}"


def check_resume(
    scenario: str | None,
    out: Path | None,
    resume: Path | None,
    overrides: Sequence[str] | None,
    seed: int | None,
) -> None:
    """Refuse options that contradict --resume or have no effect with it.

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

    The line includes the hint once `target` holds a scenario, which means that work has begun.
    """
    try:
        yield
    except KeyboardInterrupt as error:  # typer would print nothing
        more = f"; {hint}" if (target / "scenario.toml").exists() else ""
        print(f"stackelgrid: interrupted{more}", file=sys.stderr)
        raise typer.Exit(143 if isinstance(error, Terminated) else 130) from None
