"""Predictors of one quantity: forecasts issued at an update for the intervals to come.

Values are rows of time over columns: the series of a kind of device side by side, or
the import and the export price. An update at the start of interval `issue` uses realised values of
earlier intervals only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from stackelgrid.profiles._checks import require_count
from stackelgrid.profiles.arrays import Floats, Ints
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast_errors import ErrorPath

# below these shares of the largest value of the day the ratio of two powers is not used
_LEAST_OUTLOOK_SHARE = 1e-3
_LEAST_CLEAR_SHARE = 0.05


class Predictor(Protocol):
    """Predicts one quantity."""

    def rows(self, issue: int, first: int, count: int) -> Floats:
        """Return values (count, columns) from interval `first` on, as issued at `issue`."""
        ...


@dataclass(frozen=True)
class Known:
    """Perfect foresight of `realised` (n, columns)."""

    realised: Floats

    def rows(self, issue: int, first: int, count: int) -> Floats:
        """Return the realised values, whatever the time of issue."""
        return self.realised[first : first + count]


@dataclass(frozen=True)
class PartlyKnown:
    """Predicts the columns `at` (columns,); the other columns are known without error."""

    realised: Floats
    at: npt.NDArray[np.bool_]
    predictor: Predictor

    def rows(self, issue: int, first: int, count: int) -> Floats:
        """Return values of all columns."""
        values = self.realised[first : first + count].copy()
        values[:, self.at] = self.predictor.rows(issue, first, count)
        return values


def deviated(outlook: Floats, shift: Floats, relative: bool, upper: Floats | None = None) -> Floats:
    """Apply deviations to an outlook.

    outlook: values (n, columns).
    shift: deviations (n,); relative ones are clipped to [-1, 1], so that signs stay.
    relative: whether deviations are relative; else they are in the unit of the outlook.
    upper: upper limits (n, columns) of the result.
    """
    if not relative:
        return outlook + shift[:, None]
    values = outlook * (1.0 + np.clip(shift, -1.0, 1.0))[:, None]
    return values if upper is None else np.minimum(values, upper)


@dataclass(frozen=True)
class Observed:
    """Observed deviation of the realised values from the outlook, common to all columns.

    `realised` and `outlook` (n, columns); `kept` is the share of a deviation that is left after
    one interval. While the outlook is close to zero (the sun at night) there is no
    observation, and the last one counts.
    """

    realised: Floats = field(repr=False)
    outlook: Floats = field(repr=False)
    kept: float
    relative: bool
    _deviation: Floats = field(init=False, repr=False)
    _seen: Ints = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compute the deviation of every interval from that interval alone."""
        if self.relative:
            size = np.abs(self.outlook).sum(axis=1)
            usable = size > _LEAST_OUTLOOK_SHARE * size.max(initial=0.0)
            seen = np.abs(self.realised).sum(axis=1)
            ratio = np.divide(seen, size, out=np.ones_like(size), where=usable)
            deviation = ratio - 1.0
        else:
            deviation = (self.realised - self.outlook).mean(axis=1)
            usable = np.ones(len(deviation), dtype=bool)
        object.__setattr__(self, "_deviation", deviation)
        object.__setattr__(self, "_seen", _last_true(usable))

    def expected(self, issue: int, first: int, count: int) -> Floats:
        """Return the expected deviation (count,) given observations before `issue`; it decays."""
        at = int(self._seen[issue - 1]) if issue > 0 else -1
        if at < 0:
            return np.zeros(count)
        later = np.arange(first - at, first - at + count)
        expected: Floats = self._deviation[at] * self.kept**later
        return expected


@dataclass(frozen=True)
class OutlookWithErrors:
    """Outlook corrected by observed deviations, with the errors of the forecast.

    `outlook` (n, columns) is known beforehand. If the realised values deviate from it as an AR(1)
    process, the correction is its conditional mean. Without `errors` and `observed` the forecast
    is the outlook.
    """

    outlook: Floats = field(repr=False)
    relative: bool
    errors: ErrorPath | None = None
    observed: Observed | None = None
    upper: Floats | None = field(default=None, repr=False)

    def rows(self, issue: int, first: int, count: int) -> Floats:
        """Return the outlook with the errors of the forecast issued at `issue`."""
        part = slice(first, first + count)
        outlook = self.outlook[part]
        shift = np.zeros(len(outlook))
        if self.observed is not None:
            shift += self.observed.expected(issue, first, len(outlook))
        if self.errors is not None:
            shift += self.errors.of(issue, first, len(outlook))
        upper = None if self.upper is None else self.upper[part]
        return deviated(outlook, shift, self.relative, upper)


@dataclass(frozen=True)
class SeenBefore:
    """Realised values (n, columns) up to the time of issue, from then on those of `predictor`."""

    realised: Floats = field(repr=False)
    predictor: Predictor

    def rows(self, issue: int, first: int, count: int) -> Floats:
        """Return values; intervals before `issue` are known."""
        later = max(first, issue)
        known = self.realised[first : min(first + count, later)]
        return np.concatenate([known, self.predictor.rows(issue, later, count - len(known))])


@dataclass(frozen=True)
class Derived:
    """Series computed from the forecast of another quantity.

    outlook: series (n, columns) for the values `assumed` (n,) of that quantity.
    of: forecast of that quantity, with its values before the issue (`SeenBefore`).
    back: intervals before one on whose values its series depends.
    series: returns the series (m, columns) from an interval on for values (m,).
    """

    outlook: Floats = field(repr=False)
    assumed: Floats = field(repr=False)
    of: Predictor
    back: int
    series: Callable[[int, Floats], Floats]

    def rows(self, issue: int, first: int, count: int) -> Floats:
        """Return the series at the predicted values."""
        begin = max(first - self.back, 0)
        values = self.of.rows(issue, begin, first + count - begin)[:, 0]
        if np.array_equal(values, self.assumed[begin : first + count]):
            return self.outlook[first : first + count]
        return self.series(begin, values)[first - begin :]


@dataclass(frozen=True)
class SameTimeDayBefore:
    """Persistence of the daily course: the latest value observed at that time of a day.

    `past` (day, columns) are the values of the day before the first interval, `realised`
    (n, columns) the realised values from then on. Days are 24 h of elapsed time. Where `dark`
    (n, columns) is true the sun is below the horizon and the forecast is 0.
    """

    past: Floats = field(repr=False)
    realised: Floats = field(repr=False)
    dark: npt.NDArray[np.bool_] | None = field(default=None, repr=False)
    _history: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Put the day before in front of the realised values."""
        object.__setattr__(self, "_history", np.concatenate([self.past, self.realised]))

    def rows(self, issue: int, first: int, count: int) -> Floats:
        """Return values of the day before, beyond a lead of a day those of two days before, etc."""
        day = len(self.past)
        at = np.arange(first, min(first + count, len(self.realised)))
        # whole days back, until the value lies before `issue`
        source = at - day * (1 + (at - issue) // day)
        values: Floats = self._history[day + source]
        return values if self.dark is None else np.where(self.dark[at], 0.0, values)


@dataclass(frozen=True)
class LastSeen:
    """Persistence of the last observed value; `past` and `realised` as above."""

    past: Floats = field(repr=False)
    realised: Floats = field(repr=False)

    def rows(self, issue: int, first: int, count: int) -> Floats:
        """Return the last value before `issue` for all intervals."""
        last = self.realised[issue - 1] if issue > 0 else self.past[-1]
        return np.repeat(last[None, :], min(count, len(self.realised) - first), axis=0)


@dataclass(frozen=True)
class ClearSkyShare:
    """Persistence of the clear-sky share observed last in daylight; 0 at night.

    `past` and `realised` as above, `clear_past` and `clear` the values under a clear sky. One share
    for all columns; without any sun in the past a clear sky is expected. Values are cut at
    `rated` (columns,), or at the clear sky's where that is larger.
    """

    past: Floats = field(repr=False)
    realised: Floats = field(repr=False)
    clear_past: Floats = field(repr=False)
    clear: Floats = field(repr=False)
    rated: Floats = field(repr=False)
    _share: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compute the share of every interval from the observations up to it."""
        seen = np.concatenate([self.past, self.realised]).sum(axis=1)
        clear = np.concatenate([self.clear_past, self.clear]).sum(axis=1)
        usable = clear > _LEAST_CLEAR_SHARE * clear.max(initial=0.0)
        ratio = np.divide(seen, clear, out=np.ones_like(clear), where=usable)
        last = _last_true(usable)
        share = np.where(last >= 0, ratio[np.maximum(last, 0)], 1.0)
        object.__setattr__(self, "_share", share)

    def rows(self, issue: int, first: int, count: int) -> Floats:
        """Return the clear sky times the last share observed before `issue`."""
        clear = self.clear[first : first + count]
        share = self._share[len(self.past) + issue - 1]
        values: Floats = np.minimum(share * clear, np.maximum(self.rated, clear))
        return values


@dataclass(frozen=True)
class Tabulated:
    """Forecasts of a table: shifts (issues, n) against the outlook, relative or in its unit.

    `issued` (issues,) are the intervals at whose start each is available, increasing and possibly
    negative; the table holds NaN where a forecast has no value.
    """

    outlook: Floats = field(repr=False)
    issued: Ints
    shifts: Floats = field(repr=False)
    relative: bool

    def rows(self, issue: int, first: int, count: int) -> Floats:
        """Return the latest forecast available at `issue`; raises ProfileError for a gap."""
        at = int(np.searchsorted(self.issued, issue, side="right")) - 1
        shift = self.shifts[at, first : first + count] if at >= 0 else np.full(count, np.nan)
        if np.isnan(shift).any():
            missing = first + int(np.flatnonzero(np.isnan(shift))[0])
            raise ProfileError(
                f"forecast table: no value for interval {missing} at the update of interval {issue}"
            )
        outlook = self.outlook[first : first + count]
        # nothing is cut: values out of range are refused when the table is read
        return outlook * (1.0 + shift)[:, None] if self.relative else outlook + shift[:, None]


def require_day(interval_min: int) -> int:
    """Return the number of intervals of a day; raises ProfileError if they do not divide it."""
    require_count("persistence", "interval_min", interval_min, 1)
    if 1440 % interval_min:
        raise ProfileError(
            f"persistence: interval_min is {interval_min}; a length that divides the 1440 min of a "
            "day is accepted"
        )
    return 1440 // interval_min


def _last_true(usable: npt.NDArray[np.bool_]) -> Ints:
    """Return the position of the last true entry up to each entry, -1 before the first."""
    last: Ints = np.maximum.accumulate(np.where(usable, np.arange(len(usable)), -1))
    return last
