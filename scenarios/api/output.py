"""Output of a verb: notices and progress on stderr; the command line and notebooks extend it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import Any, Protocol

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from stackelgrid.scenarios.api.plain_lines import StudyLines, speaking
from stackelgrid.scenarios.run.progress import StudyProgress

_REFRESHES_PER_S = 4
# s of progress from which the time left of a study is estimated
_PACE_S = 86400.0


class Drawing(Protocol):
    """Live drawing on a terminal; cleared at the end if it is transient."""

    transient: bool


@dataclass(frozen=True)
class Output:
    """Streams and verbosity of a verb called from Python."""

    quiet: bool = False
    console: Console = field(default_factory=lambda: Console(stderr=True))

    def __post_init__(self) -> None:
        self.console.quiet = self.console.quiet or self.quiet

    @property
    def live(self) -> bool:
        """True if progress is drawn on a terminal."""
        return self.console.is_terminal and not self.quiet

    def loading(self) -> AbstractContextManager[None]:
        """Handle Ctrl-C while modules load; from Python it is left to the caller."""
        return nullcontext()

    @contextmanager
    def ending(self, target: Path, hint: str) -> Iterator[None]:
        """Add a hint to a KeyboardInterrupt once `target` holds a scenario: work has begun."""
        try:
            yield
        except KeyboardInterrupt:
            raise KeyboardInterrupt(interrupted(target, hint)) from None

    def how_to_resume(self, verb: str, target: Path) -> str:
        """Return the hint for a directory that can be resumed."""
        return f"resume={str(target)!r} goes on"

    def say(self, text: str) -> None:
        """Print one line of text on stderr; a terminal gets it wrapped between words."""
        if self.live:  # a path longer than a line stays whole, to be copied
            wrapped = wrap(text, self.console.width, break_long_words=False, break_on_hyphens=False)
            text = "\n".join(wrapped)
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)

    def tell(self, found: Any) -> None:
        """Print the results of a run or study; from Python they are returned."""

    def results(self, found: Any) -> None:
        """Print the directory of a run or study; from Python it is returned."""

    @contextmanager
    def drawing(self, what: RenderableType) -> Iterator[Drawing]:
        """Draw on the terminal repeatedly until the block ends."""
        with Live(what, console=self.console, refresh_per_second=_REFRESHES_PER_S) as live:
            yield live

    def refresh(self) -> None:
        """Redraw what has changed; only outputs without their own refresh need it."""

    @contextmanager
    def bar(self, name: str, total: int, unit: str) -> Iterator[Callable[[StudyProgress], None]]:
        """Show the progress of a study of `total` steps; yield the function that receives it.

        A bar on a terminal, lines elsewhere, nothing if quiet.
        """
        if not self.live:
            lines = StudyLines(name, total, unit, self.say)
            with nullcontext() if self.quiet else speaking(lines):
                yield unseen if self.quiet else lines.take
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[details]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        shown = Progress(
            *columns, console=self.console, auto_refresh=False, speed_estimate_period=_PACE_S
        )
        task = shown.add_task(name, total=total, details=unit)

        def take(progress: StudyProgress) -> None:
            details = ", ".join([unit, *progress.details])
            shown.update(task, completed=progress.done, details=details)

        with self.drawing(shown):
            yield take


def unseen(progress: StudyProgress) -> None:
    """Show no progress."""


def interrupted(target: Path, hint: str) -> str:
    """Return the message of an interruption; the hint is for a directory that holds a scenario."""
    return f"interrupted; {hint}" if (target / "scenario.toml").exists() else "interrupted"
