"""Time passed and left of a run or study, and durations as text."""

import time
from collections.abc import Callable
from datetime import timedelta

Clock = Callable[[], float]


class Pace:
    """Time passed, and time left at the mean pace since the first report."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock, self._began = clock, clock()
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, int] | None = None

    def take(self, done: int, planned: int) -> None:
        """Take a report: what is done of all."""
        if self._first is None:
            self._first = done, self._clock()
        self._last = done, planned

    @property
    def passed_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    @property
    def left_s(self) -> float | None:
        """Seconds left; None until two reports show a pace."""
        if self._last is None or self._first is None:
            return None
        done, planned = self._last
        since = done - self._first[0]
        if done == planned:
            return 0.0
        return None if since == 0 else (planned - done) * (self._clock() - self._first[1]) / since


def clock_text(seconds: float | None) -> str:
    """Format a duration as h:mm:ss; dashes if it is unknown."""
    return "-:--:--" if seconds is None else str(timedelta(seconds=round(seconds)))


def duration_text(seconds: float) -> str:
    """Format a duration as 12 s, 1:42 min or 1:02:03 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{timedelta(seconds=whole)} h"
