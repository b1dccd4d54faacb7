"""Progress as plain lines for a file or pipe: at least one a minute, whatever is computed."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from math import isnan
from threading import Event, Lock, Thread

from stackelgrid.controllers.networks.naming import counted
from stackelgrid.scenarios.api.pace import Clock, Pace, duration_text
from stackelgrid.scenarios.run.progress import (
    Listener,
    RunProgress,
    StudyProgress,
    VerdictCounts,
)

# a line is printed after this share of the work, at intervals of at least the first of these
# seconds; after the second when a part has ended; after the third while a part is computed
_SHARE_A_LINE = 0.1
_SOON_S, _LATE_S, _SILENT_S = 5.0, 30.0, 60.0
_POLL_S = 1.0


class PlainLines(ABC):
    """Lines on the progress of a run or study; `say` prints one, also from a second thread."""

    def __init__(self, say: Callable[[str], None], clock: Clock) -> None:
        self._say, self._clock, self._pace, self._lock = say, clock, Pace(clock), Lock()
        self._said_at = self._ended_at = clock()  # last line, last part that ended
        self._said_done: int | None = None  # at the last line

    def beat(self) -> None:
        """Print a line if there was none for a minute."""
        with self._lock:
            if self._clock() - self._said_at >= _SILENT_S:
                self._print(self._silent())

    @abstractmethod
    def _silent(self) -> str:
        """Return a line while a part is computed."""

    def _due(self, done: int, planned: int, before: int) -> bool:
        """Take what is done; return whether a line is due. `before` is done at the first line."""
        self._pace.take(done, planned)
        self._ended_at = self._clock()
        if self._said_done is None:
            self._said_done = before
        if done == planned:  # the results are printed at the end
            return False
        waited = self._ended_at - self._said_at
        share = (done - self._said_done) / planned
        if waited < _LATE_S and (waited < _SOON_S or share < _SHARE_A_LINE):
            return False
        self._said_done = done
        return True

    def _print(self, text: str) -> None:
        self._said_at = self._clock()
        self._say(text)

    def _left(self) -> str:
        left_s = self._pace.left_s
        return "" if not left_s else f", {duration_text(left_s)} left"


class RunLines(PlainLines, Listener):
    """Lines on the progress of a run."""

    def __init__(
        self, name: str, say: Callable[[str], None], clock: Clock = time.monotonic
    ) -> None:
        super().__init__(say, clock)
        self._name, self._building = name, ""
        self._last: RunProgress | None = None
        self._first_day: date | None = None

    def building(self, text: str) -> None:
        """Print a line with the part that is built next, if one is due."""
        with self._lock:
            self._building = text
            if self._clock() - self._said_at >= _SOON_S:
                self._print(f"building {text}")

    def interval_ended(self, progress: RunProgress) -> None:
        """Print a line on the progress, if one is due."""
        with self._lock:
            p, self._last = progress, progress
            self._first_day = self._first_day or p.time.date()
            if self._due(p.intervals_done, p.intervals_planned, p.intervals_done - 1):
                self._print(f"{self._progress(p)}{_so_far(p.verdicts)}; {self._interval(p)}")

    def _silent(self) -> str:
        if self._last is None:
            what = f"{self._name}: building {self._building}".rstrip()
            return f"{what}; {duration_text(self._pace.passed_s)} so far"
        waited = duration_text(self._clock() - self._ended_at)
        if self._last.intervals_done == self._last.intervals_planned:
            return f"{self._progress(self._last)}; writing the results takes {waited} so far"
        return f"{self._progress(self._last)}; the next one takes {waited} so far"

    def _progress(self, p: RunProgress) -> str:
        intervals = counted(p.intervals_planned, "interval")
        return f"{self._name}: {p.intervals_done} of {intervals}{self._left()}"

    def _interval(self, p: RunProgress) -> str:
        """Return the last interval: its time, and its verdict and gap or what is wrong."""
        at = f"{p.time:%H:%M}" if p.time.date() == self._first_day else f"{p.time:%d %b %H:%M}"
        if p.worst is not None:
            return f"{at} {p.worst.grid}: {p.worst.text}"
        gap = "" if isnan(p.decision.gap) else f", gap {p.decision.gap:.1e}"
        return f"{at} {p.verdict or 'within limits'}{gap}"


class StudyLines(PlainLines):
    """Lines on the progress of a study of `total` parts; `unit` is their name."""

    def __init__(
        self,
        name: str,
        total: int,
        unit: str,
        say: Callable[[str], None],
        clock: Clock = time.monotonic,
    ) -> None:
        super().__init__(say, clock)
        self._name, self._total, self._unit = name, total, unit
        self._last = StudyProgress(0)

    def take(self, progress: StudyProgress) -> None:
        """Print a line on the progress, if one is due."""
        with self._lock:
            self._last = progress
            if self._due(progress.done, self._total, progress.done):
                self._print(self._silent())

    def _silent(self) -> str:
        p = self._last
        facts = [f"{self._name}: {p.done} of {self._total} {self._unit}", *p.details]
        passed = f"{duration_text(self._pace.passed_s)} so far"
        if p.done == self._total:
            return f"{', '.join(facts)}; writing the results, {passed}"
        return f"{', '.join(facts)}; {passed}{self._left()}"


@contextmanager
def speaking(lines: PlainLines) -> Iterator[None]:
    """Let `lines` print at least one line a minute until the block ends."""
    ended = Event()

    def beat() -> None:
        with suppress(OSError):  # the reader of the pipe has ended
            while not ended.wait(_POLL_S):
                lines.beat()

    thread = Thread(target=beat, name="stackelgrid-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _so_far(v: VerdictCounts) -> str:
    """List the intervals that were not exact, or not at once; empty without any."""
    counts = (
        (v.feasible, "feasible"),
        (v.infeasible, "infeasible"),
        (v.recovered, "recovered"),
        (v.fallback, "by fallback"),
    )
    found = ", ".join(f"{count} {name}" for count, name in counts if count)
    return f"; {found}" if found else ""
