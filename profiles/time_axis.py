"""The time axis of a series and the growing steps of an optimisation horizon."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt
import pandas as pd

from stackelgrid.profiles._checks import require_count
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError

_MINUTE = pd.Timedelta(minutes=1)


class Over(Enum):
    """Value of a series over a step of several intervals."""

    MEAN = "mean"
    SUM = "sum"
    LARGEST = "largest"
    LAST = "last"


@dataclass(frozen=True)
class TimeAxis:
    """Equidistant steps of absolute time; every value of a series is the mean over its step.

    `start` is the left edge of the first step and carries the time zone in which wall-clock
    profiles are read; `step` is elapsed time, so a daylight-saving change neither repeats nor
    skips a step. Raises ProfileError for a naive start or a step or length that is not positive.
    """

    start: pd.Timestamp
    step: pd.Timedelta
    length: int

    def __post_init__(self) -> None:
        """Raise ProfileError for an invalid time axis."""
        if not isinstance(self.start, pd.Timestamp) or self.start.tzinfo is None:
            raise ProfileError(
                f"TimeAxis: start is {self.start!r}; a pandas Timestamp with a time zone is "
                "accepted"
            )
        if not isinstance(self.step, pd.Timedelta) or not self.step > pd.Timedelta(0):
            raise ProfileError(
                f"TimeAxis: step is {self.step!r}; a pandas Timedelta above zero is accepted"
            )
        require_count("TimeAxis", "length", self.length, 1)

    @property
    def index(self) -> pd.DatetimeIndex:
        """Left edges of the steps, shape (length,), in the time zone of `start`, with a freq."""
        # Counted in UTC: pandas would step a daily range by calendar days across a DST change.
        utc = pd.date_range(self.start.tz_convert("UTC"), periods=self.length, freq=self.step)
        return utc.tz_convert(self.start.tzinfo)

    @property
    def end(self) -> pd.Timestamp:
        """Right edge of the last step."""
        return (self.start.tz_convert("UTC") + self.step * self.length).tz_convert(
            self.start.tzinfo
        )

    @property
    def step_h(self) -> float:
        """Length of a step in hours."""
        return self.step / pd.Timedelta(hours=1)

    def window(self, k: int, n: int) -> "TimeAxis":
        """Return the axis of the `n` steps from step `k`; raises ProfileError beyond its ends."""
        require_count("TimeAxis.window", "k", k, 0)
        require_count("TimeAxis.window", "n", n, 1)
        if k + n > self.length:
            raise ProfileError(
                f"TimeAxis.window: steps {k} to {k + n - 1} are requested; "
                f"steps 0 to {self.length - 1} are accepted"
            )
        first = (self.start.tz_convert("UTC") + self.step * k).tz_convert(self.start.tzinfo)
        return TimeAxis(first, self.step, n)


@dataclass(frozen=True)
class Horizon:
    """Steps of an optimisation horizon in minutes; they may grow towards its end.

    The first step is one market interval and every step a whole multiple of it, for example
    8 x 15 min followed by 22 x 60 min for 24 h. Raises ProfileError for anything else.
    """

    steps_min: tuple[int, ...]
    interval_min: int
    dt_h: Floats = field(init=False, repr=False, compare=False)
    """Step lengths in hours, shape (T,), read-only."""
    intervals_covered: int = field(init=False, repr=False, compare=False)
    """Number of market intervals the horizon spans."""
    _counts: Floats = field(init=False, repr=False, compare=False)
    _starts: npt.NDArray[np.intp] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the steps and precompute the constants of `average`."""
        require_count("Horizon", "interval_min", self.interval_min, 1)
        if not isinstance(self.steps_min, tuple) or not self.steps_min:
            raise ProfileError(
                f"Horizon: steps_min is {self.steps_min!r}; a tuple of at least one step in "
                "minutes is accepted"
            )
        for position, step in enumerate(self.steps_min):
            require_count("Horizon", f"steps_min[{position}]", step, 1)
            if step % self.interval_min:
                raise ProfileError(
                    f"Horizon: steps_min[{position}] is {step}; positive multiples of the "
                    f"interval of {self.interval_min} min are accepted"
                )
        if self.steps_min[0] != self.interval_min:
            raise ProfileError(
                f"Horizon: steps_min[0] is {self.steps_min[0]}; the first step must be one "
                f"interval of {self.interval_min} min"
            )
        counts = np.array(self.steps_min, dtype=np.intp) // self.interval_min
        dt_h = np.array(self.steps_min, dtype=np.float64) / 60.0
        dt_h.setflags(write=False)
        object.__setattr__(self, "dt_h", dt_h)
        object.__setattr__(self, "intervals_covered", int(counts.sum()))
        object.__setattr__(self, "_counts", counts.astype(np.float64))
        object.__setattr__(self, "_starts", np.cumsum(counts) - counts)

    @property
    def length(self) -> int:
        """Number of steps T."""
        return len(self.steps_min)

    @property
    def intervals_per_step(self) -> npt.NDArray[np.intp]:
        """Number of market intervals in each step, shape (T,)."""
        return self._counts.astype(np.intp)

    def average(self, values: npt.ArrayLike, k: int, over: Over = Over.MEAN) -> Floats:
        """Average `values` over each step of the horizon that begins at interval `k`.

        values: (n, ...), a value for each interval.
        k: first interval of the horizon.
        over: what a step has of its intervals instead of the mean.

        Returns (T, ...) in the unit of `values`; the energy over the horizon is kept. Raises
        ProfileError if `values` ends before the horizon does.
        """
        array = np.asarray(values, dtype=np.float64)
        require_count("Horizon.average", "k", k, 0)
        needed = k + self.intervals_covered
        given = array.shape[0] if array.ndim else 0
        if given < needed:
            raise ProfileError(
                f"Horizon.average: values hold {given} intervals; interval {k} and a horizon of "
                f"{self.intervals_covered} need {needed}"
            )
        if over is Over.LARGEST:
            return np.asarray(np.maximum.reduceat(array[k:needed], self._starts, axis=0))
        if over is Over.LAST:
            last: Floats = array[k + self._starts + self.intervals_per_step - 1]
            return last.copy()
        sums: Floats = np.add.reduceat(array[k:needed], self._starts, axis=0)
        if over is Over.SUM:
            return sums
        sums /= self._counts.reshape((-1,) + (1,) * (array.ndim - 1))
        return sums


def wall_clock_parts(axis: TimeAxis, marks_min: Sequence[int]) -> tuple[pd.DatetimeIndex, int]:
    """Split every step into equal parts that never straddle a wall-clock mark.

    `marks_min` are minutes after midnight. Returns the naive local left edges of the parts,
    shape (length * parts,), and the number of parts of a step. Raises ProfileError if the axis
    does not lie on whole minutes.
    """
    minutes = axis.step // _MINUTE
    if axis.step != minutes * _MINUTE or axis.start != axis.start.floor("min"):
        raise ProfileError(
            f"TimeAxis: start {axis.start.isoformat()} and step {axis.step}; "
            "whole minutes are accepted for wall-clock profiles"
        )
    local = axis.start.tz_localize(None)
    minute_of_day = local.hour * 60 + local.minute
    # A clock change moves all later steps by 30 or 60 min against the marks, hence the 30.
    part_min = math.gcd(minutes, 30, *(minute_of_day - mark for mark in marks_min))
    parts = minutes // part_min
    fine = TimeAxis(axis.start, pd.Timedelta(minutes=part_min), axis.length * parts)
    return fine.index.tz_localize(None), parts
