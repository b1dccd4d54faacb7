"""Forecasts that a controller receives: series of one grid averaged over the horizon's steps."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, Self

import numpy as np
import pandas as pd

from stackelgrid.profiles._checks import require_count
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast_predictors import Predictor
from stackelgrid.profiles.time_axis import Horizon, TimeAxis

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


@dataclass(frozen=True)
class GridSeries:
    """Series of one grid over the day and the horizon beyond it, first axis time.

    load_p_mw, load_q_mvar (n, loads); pv_available_mw (n, systems); prices (n,) in EUR/MWh.
    """

    load_p_mw: Floats
    load_q_mvar: Floats
    pv_available_mw: Floats
    import_eur_per_mwh: Floats
    export_eur_per_mwh: Floats


@dataclass(frozen=True)
class GridForecast(GridSeries):
    """The same quantities averaged over each step of a horizon, first axis step."""


class ForecastSource(Protocol):
    """Provides the forecast that is available at the start of an interval."""

    def at(self, interval: int) -> GridForecast:
        """Return the forecast over the horizon that starts with `interval`."""
        ...


@dataclass(frozen=True)
class PerfectForecast:
    """Forecast without error: the realised series, averaged over the steps."""

    series: GridSeries
    horizon: Horizon

    def at(self, interval: int) -> GridForecast:
        """Return the forecast over the horizon; raises ProfileError beyond the series' end."""
        s, average = self.series, self.horizon.average
        return GridForecast(
            load_p_mw=average(s.load_p_mw, interval),
            load_q_mvar=average(s.load_q_mvar, interval),
            pv_available_mw=average(s.pv_available_mw, interval),
            import_eur_per_mwh=average(s.import_eur_per_mwh, interval),
            export_eur_per_mwh=average(s.export_eur_per_mwh, interval),
        )


@dataclass(frozen=True)
class Updates:
    """Intervals at which forecasts are renewed: increasing, the first of them 0.

    A forecast is issued at the start of each and used until the next one. Raises ProfileError for
    other intervals.
    """

    intervals: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raise ProfileError unless the intervals increase from 0."""
        increasing = all(a < b for a, b in pairwise(self.intervals))
        if not increasing or not self.intervals or self.intervals[0] != 0:
            raise ProfileError(
                f"Updates: intervals are {self.intervals}; increasing ones from 0 are accepted"
            )

    @classmethod
    def every(cls, count: int, length: int) -> Self:
        """Return updates every `count` of `length` intervals."""
        require_count("Updates", "count", count, 1)
        require_count("Updates", "length", length, 1)
        return cls(tuple(range(0, length, count)))

    @classmethod
    def at_clock_times(cls, axis: TimeAxis, clock: Sequence[str]) -> Self:
        """Return updates at the first interval and at the first one from each "HH:MM" on every day.

        Raises ProfileError for other texts. A time that a clock change skips moves to the next
        existing one; of a repeated time the first occurrence counts.
        """
        days = pd.date_range(axis.start.date(), axis.end.date(), freq="D")
        at: set[int] = {0}
        for text in clock:
            if not _CLOCK.fullmatch(text):
                raise ProfileError(f"Updates: {text!r} is not a clock time; HH:MM is accepted")
            naive = days + pd.Timedelta(hours=int(text[:2]), minutes=int(text[3:]))
            moments = naive.tz_localize(
                axis.start.tzinfo,
                ambiguous=np.ones(len(naive), dtype=bool),
                nonexistent="shift_forward",
            )
            position = -((axis.start - moments) // axis.step)  # rounded up
            at |= {int(k) for k in position if 0 <= k < axis.length}
        return cls(tuple(sorted(at)))

    def issue(self, interval: int) -> int:
        """Return the interval at whose start the forecast used in `interval` was issued."""
        return self.intervals[bisect_right(self.intervals, interval) - 1]


@dataclass(frozen=True)
class UpdatedForecast:
    """Forecasts of loads, photovoltaics and prices, renewed at the updates.

    `load` predicts (n, 2 loads) active then reactive powers in MW and MVAr, `pv` (n, systems) MW,
    `price` (n, 2) import and export prices in EUR/MWh; `length` is n. It has no state, so intervals
    can be requested in any order.
    """

    load: Predictor
    pv: Predictor
    price: Predictor
    updates: Updates
    horizon: Horizon
    length: int

    def at(self, interval: int) -> GridForecast:
        """Return the forecast over the horizon; raises ProfileError beyond the series' end."""
        require_count("forecast", "interval", interval, 0)
        covered = self.horizon.intervals_covered
        if interval + covered > self.length:
            raise ProfileError(
                f"forecast: series hold {self.length} intervals; interval {interval} and a horizon "
                f"of {covered} need {interval + covered}"
            )
        issue = self.updates.issue(interval)
        load, pv, price = (
            self.horizon.average(predictor.rows(issue, interval, covered), 0)
            for predictor in (self.load, self.pv, self.price)
        )
        loads = load.shape[1] // 2
        return GridForecast(
            load_p_mw=load[:, :loads],
            load_q_mvar=load[:, loads:],
            pv_available_mw=pv,
            import_eur_per_mwh=price[:, 0],
            export_eur_per_mwh=price[:, 1],
        )


def columns_of(series: GridSeries) -> tuple[Floats, Floats, Floats]:
    """Return load (active, then reactive), PV and price (import, export), each (n, columns)."""
    return (
        np.hstack([series.load_p_mw, series.load_q_mvar]),
        series.pv_available_mw,
        np.column_stack([series.import_eur_per_mwh, series.export_eur_per_mwh]),
    )


def series_of(load: Floats, pv: Floats, price: Floats) -> GridSeries:
    """Return the series of the columns that `columns_of` returns."""
    loads = load.shape[1] // 2
    return GridSeries(load[:, :loads], load[:, loads:], pv, price[:, 0], price[:, 1])
