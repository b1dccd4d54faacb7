"""Progress of a run: a live panel on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from math import isnan

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stackelgrid.controllers.words import words
from stackelgrid.scenarios.api.output import Output
from stackelgrid.scenarios.api.pace import Clock, Pace, clock_text
from stackelgrid.scenarios.api.plain_lines import RunLines, speaking
from stackelgrid.scenarios.run.progress import Listener, NegotiationProgress, RunProgress

_WIDEST = 100


class RunPanel(Listener):
    """Live panel: progress, last decision, verdicts of certificates, worst grid and warnings."""

    def __init__(self, name: str, intervals: int, clock: Clock = time.monotonic) -> None:
        self._name, self._intervals = name, intervals
        self._pace = Pace(clock)
        self._now: RunProgress | None = None
        self._building = ""
        self.state = "running"

    def building(self, text: str) -> None:
        """Show the name of the part in the title."""
        self._building = text

    def interval_ended(self, progress: RunProgress) -> None:
        """Show the progress."""
        self._pace.take(progress.intervals_done, progress.intervals_planned)
        self._now = progress

    @property
    def empty(self) -> bool:
        """True until the first interval has ended."""
        return self._now is None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = self._now
        content = Group(self._bar(), *([] if now is None else [_lines(now)]))
        state = self.state
        if now is None and state == "running":
            state = f"building {self._building}".rstrip()
        title, width = Text(f"{self._name}: {state}"), min(options.max_width, _WIDEST)
        yield Panel(content, title=title, title_align="left", width=width)

    def _bar(self) -> Table:
        done = self._now.intervals_done if self._now else 0
        left = self._pace.left_s
        row = Table.grid(padding=(0, 2), expand=True)
        row.add_column(ratio=1)
        row.add_column(no_wrap=True)
        row.add_column(no_wrap=True)
        row.add_row(
            ProgressBar(total=self._intervals, completed=done),
            Text(f"interval {done} of {self._intervals}"),
            Text(f"{clock_text(self._pace.passed_s)}, {clock_text(left)} left"),
        )
        return row


@contextmanager
def shown(output: Output, name: str, intervals: int) -> Iterator[Listener]:
    """Show the progress of a run; yield the listener that receives it."""
    if not output.live:
        lines = RunLines(name, output.say)
        with nullcontext() if output.quiet else speaking(lines):
            yield Listener() if output.quiet else lines
        return
    panel = RunPanel(name, intervals)
    with output.drawing(panel) as live:
        try:
            yield panel
            panel.state = "done"
        except KeyboardInterrupt:
            panel.state = "interrupted"
            raise
        except BaseException:
            panel.state = "failed"
            live.transient = panel.empty  # bad input: only the error line remains
            raise


def _lines(p: RunProgress) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("last interval", Text(f"{p.time:%Y-%m-%d %H:%M}"))
    table.add_row("decision", Text(_decision(p)))
    table.add_row("verdicts", _verdicts(p))
    if p.worst is None:
        table.add_row("worst grid", Text("none: within limits, plans of feeders exact", "green"))
    else:
        table.add_row("worst grid", Text(f"{p.worst.grid}: {p.worst.text}", "bold"))
    table.add_row("grids", Text(_extremes(p)))
    if p.negotiations is not None:
        table.add_row("negotiations", Text(_negotiations(p.negotiations)))
    table.add_row("last warning", Text(p.warning or "none", "yellow" if p.warning else ""))
    return table


def _decision(p: RunProgress) -> str:
    d = p.decision
    gap = "no gap" if isnan(d.gap) else f"gap {d.gap:.1e}"
    solver = ", ".join(words(name) for name in d.solver.split(", ")) or "no solver"
    return f"{solver}, {gap}, {d.solve_s:.2f} s"


def _verdicts(p: RunProgress) -> Text:
    """Return counts by verdict; counts above zero are coloured, and every count has its name."""
    v = p.verdicts
    parts = (
        (v.exact, "exact", "green"),
        (v.feasible, "feasible", "yellow"),
        (v.infeasible, "infeasible", "bold red"),
        (v.recovered, "recovered", "cyan"),
        (v.fallback, "by fallback", "yellow"),
    )
    pieces = [Text(f"{n} {name}", style if n else "dim") for n, name, style in parts]
    return Text("  ").join(pieces)


def _extremes(p: RunProgress) -> str:
    return (
        f"{p.min_vm.value:.3f} p.u. ({p.min_vm.grid}) to {p.max_vm.value:.3f} p.u. "
        f"({p.max_vm.grid}); loading at most {p.max_loading.value:.0f} % ({p.max_loading.grid})"
    )


def _negotiations(n: NegotiationProgress) -> str:
    if not n.negotiations:  # in one process, without messages
        return f"{n.last_rounds} rounds in the last"
    doubt = f", {n.in_doubt} in doubt" if n.in_doubt else ""
    return (
        f"{n.agreements} of {n.negotiations} agreed{doubt}, {n.last_rounds} rounds in the last; "
        f"{n.messages} messages, {n.lost} lost"
    )
