"""Progress of a run: a live panel on a terminal, a few plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from math import isnan

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stackelgrid.scenarios.api.output import Output
from stackelgrid.scenarios.run.progress import NegotiationProgress, RunProgress, counted

Clock = Callable[[], float]

# a plain line is printed after this share of the intervals, at intervals of at least the first
# of these seconds, and in any case after the second
_SHARE_A_LINE = 0.1
_SECONDS_A_LINE = (5.0, 30.0)
_WIDEST = 100


class Listener:
    """Receives the progress of a run; shows nothing."""

    def building(self, text: str) -> None:
        """Receive the name of the part that is built next, before the first interval."""

    def interval_ended(self, progress: RunProgress) -> None:
        """Receive the progress after an interval."""


class Pace:
    """Time passed, and time left at the mean pace since the first reported interval."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock, self._began = clock, clock()
        self._first: tuple[int, float] | None = None
        self._last: RunProgress | None = None

    def interval_ended(self, progress: RunProgress) -> None:
        """Take an interval that has ended."""
        if self._first is None:
            self._first = progress.intervals_done, self._clock()
        self._last = progress

    @property
    def passed_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    @property
    def left_s(self) -> float | None:
        """Seconds left; None until two intervals have been reported."""
        if self._last is None or self._first is None:
            return None
        left = self._last.intervals_planned - self._last.intervals_done
        done = self._last.intervals_done - self._first[0]
        if left == 0:
            return 0.0
        return None if done == 0 else left * (self._clock() - self._first[1]) / done


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
        self._pace.interval_ended(progress)
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


class PlainLines(Listener):
    """Progress lines for a file or pipe: one for each tenth of a run, more often in slow runs."""

    def __init__(self, say: Callable[[str], None], clock: Clock = time.monotonic) -> None:
        self._say, self._clock, self._pace = say, clock, Pace(clock)
        self._line: tuple[int, float] | None = None
        self._built_s = 0.0

    def building(self, text: str) -> None:
        """Print a line with the part that is built next, if one is due."""
        passed_s = self._pace.passed_s
        if passed_s - self._built_s >= _SECONDS_A_LINE[0]:
            self._built_s = passed_s
            self._say(f"building {text}")

    def interval_ended(self, progress: RunProgress) -> None:
        """Print a line on the progress, if one is due."""
        self._pace.interval_ended(progress)
        now, done = self._clock(), progress.intervals_done
        if self._line is None:
            self._line = done - 1, now - self._pace.passed_s
        if done == progress.intervals_planned:  # the results are printed at the end
            return
        soon, late = _SECONDS_A_LINE
        share = (done - self._line[0]) / progress.intervals_planned
        waited = now - self._line[1]
        if waited >= late or (waited >= soon and share >= _SHARE_A_LINE):
            self._line = done, now
            self._say(plain_line(progress, self._pace.left_s))


@contextmanager
def shown(output: Output, name: str, intervals: int) -> Iterator[Listener]:
    """Show the progress of a run; yield the listener that receives it."""
    if not output.live:
        yield Listener() if output.quiet else PlainLines(output.say)
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


def plain_line(progress: RunProgress, left_s: float | None) -> str:
    """Return one line on the progress after an interval."""
    p, v = progress, progress.verdicts
    share = p.intervals_done / p.intervals_planned
    left = "" if left_s is None else f", {clock_text(left_s)} left"
    text = (
        f"{p.scenario}: {p.intervals_done} of {counted(p.intervals_planned, 'interval')} "
        f"({share:.0%}){left}; "
        f"{p.time:%Y-%m-%d %H:%M}: {_decision(p)}; "
        f"{v.exact} exact, {v.feasible} feasible, {v.infeasible} infeasible, "
        f"{v.recovered} recovered, {v.fallback} by fallback"
    )
    if p.worst is not None:
        text += f"; {p.worst.grid}: {p.worst.text}"
    return text


def clock_text(seconds: float | None) -> str:
    """Format a duration as h:mm:ss; dashes if it is unknown."""
    return "-:--:--" if seconds is None else str(timedelta(seconds=round(seconds)))


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
    return f"{d.solver or 'no solver'}, {gap}, {d.solve_s:.2f} s"


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
