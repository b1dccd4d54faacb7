"""Output of the command line: progress and notices on stderr, tables and the directory on stdout.

With `--quiet` only errors and the directory remain; with `--json` stdout holds one JSON object.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from stackelgrid.scenarios.api.output import Output, interrupted
from stackelgrid.scenarios.run.directory import json_text
from stackelgrid.scenarios.run.interrupts import INTERRUPTED, loading

_WIDTH_OF_A_PIPE = 80  # characters of a table written to a pipe or file
_TERMINATED = 143


class _Terminated(KeyboardInterrupt):
    """Raised when the process receives SIGTERM."""


@dataclass(frozen=True)
class Terminal(Output):
    """Streams and verbosity of a command."""

    as_json: bool = False

    def loading(self) -> AbstractContextManager[None]:
        """End the process at Ctrl-C while modules load."""
        return loading()

    @contextmanager
    def ending(self, target: Path, hint: str) -> Iterator[None]:
        """End with one line and status 130 at Ctrl-C, 143 at SIGTERM."""

        def terminate(number: int, frame: FrameType | None) -> None:
            raise _Terminated

        before = signal.signal(signal.SIGTERM, terminate)
        try:
            yield
        except KeyboardInterrupt as error:  # typer would print nothing
            print(f"stackelgrid: {interrupted(target, hint)}", file=sys.stderr)
            status = _TERMINATED if isinstance(error, _Terminated) else INTERRUPTED
            raise typer.Exit(status) from None
        finally:
            signal.signal(signal.SIGTERM, before)

    def how_to_resume(self, verb: str, target: Path) -> str:
        """Return the command that resumes."""
        return f"stackelgrid {verb} --resume {target} goes on"

    def tell(self, found: Any) -> None:
        """Print tables and lines on a run or study."""
        from stackelgrid.scenarios.cli.texts import texts_of

        for text in texts_of(found):
            if isinstance(text, str):
                self.say(text)
            elif not self.quiet:  # stdout is reserved for JSON
                stream = sys.stderr if self.as_json else sys.stdout
                print_table(text, stream)

    def results(self, found: Any) -> None:
        """Print the directory of the results; with `--json` the summary with its `directory`."""
        if self.as_json:
            print(json_text({"directory": str(found.directory), **found.summary}))
            return
        if not self.quiet:
            together = self.console.is_terminal and sys.stdout.isatty()
            end = " " if together else "\n"
            print("results:", end=end, file=sys.stderr, flush=True)
        print(found.directory)


def print_table(table: Table, stream: TextIO) -> None:
    """Print a table within the terminal's width; wider if numbers would be cut off otherwise."""
    console = Console(file=stream, width=None if stream.isatty() else _WIDTH_OF_A_PIPE)
    wide = console.options.update(max_width=10 * console.width)
    needed = Measurement.get(console, wide, table).minimum
    console.print(table, width=max(console.width, needed), crop=False)


def say_notice(line: str) -> None:
    """Print a notice, if there is one, on stderr."""
    if line:
        print(line, file=sys.stderr)
