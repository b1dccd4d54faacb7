"""Forecasts that a controller receives: series of one grid averaged over the horizon's steps."""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Protocol, Self

import numpy as np
import pandas as pd

from stackelgrid.profiles._checks import require_count
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast_predictors import Predictor
from stackelgrid.profiles.quantities import WithQuantities
from stackelgrid.profiles.time_axis import Horizon, Over, TimeAxis

PRICE = "price"  # beside the kinds of devices
SeriesNames = Mapping[str, tuple[str, ...]]  # series of each kind of device

_NOT_KNOWN = np.zeros(0)
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


@dataclass(frozen=True, init=False)
class GridSeries(WithQuantities):
    """Series of one grid over the day and the horizon beyond it, first axis time.

    import_eur_per_mwh, export_eur_per_mwh: prices (n,) in EUR/MWh.
    devices: series (n, devices) of the kinds of devices by name, also as keywords:
        `GridSeries(import, export, NAME=...)`.
    emission_kg_per_mwh: emissions (n,) of imported energy; empty if they are not known.
    """

    import_eur_per_mwh: Floats
    export_eur_per_mwh: Floats
    devices: Mapping[str, Floats]
    emission_kg_per_mwh: Floats

    def __init__(
        self,
        import_eur_per_mwh: Floats,
        export_eur_per_mwh: Floats,
        devices: Mapping[str, Floats] = MappingProxyType({}),
        *,
        emission_kg_per_mwh: Floats = _NOT_KNOWN,
        **quantities: Floats,
    ) -> None:
        object.__setattr__(self, "import_eur_per_mwh", import_eur_per_mwh)
        object.__setattr__(self, "export_eur_per_mwh", export_eur_per_mwh)
        object.__setattr__(self, "devices", {**devices, **quantities})
        object.__setattr__(self, "emission_kg_per_mwh", emission_kg_per_mwh)

    def row(self, interval: int) -> dict[str, Floats]:
        """Return the series of devices in one interval."""
        return {name: values[interval] for name, values in self.devices.items()}


@dataclass(frozen=True, init=False)
class GridForecast(GridSeries):
    """The same quantities averaged over each step of a horizon, first axis step."""


class ForecastSource(Protocol):
    """Provides the forecast that is available at the start of an interval."""

    def at(self, interval: int) -> GridForecast:
        """Return the forecast over the horizon that starts with `interval`."""
        ...


@dataclass(frozen=True)
class PerfectForecast:
    """Forecast without error: the realised series over the steps.

    `over` names the series of which a step has another value than their mean.
    """

    series: GridSeries
    horizon: Horizon
    over: Mapping[str, Over] = field(default_factory=dict)

    def at(self, interval: int) -> GridForecast:
        """Return the forecast over the horizon; raises ProfileError beyond the series' end."""
        s, average = self.series, self.horizon.average
        return GridForecast(
            average(s.import_eur_per_mwh, interval),
            average(s.export_eur_per_mwh, interval),
            {n: average(v, interval, self.over.get(n, Over.MEAN)) for n, v in s.devices.items()},
            emission_kg_per_mwh=_emissions(self.horizon, s.emission_kg_per_mwh, interval),
        )


def _emissions(horizon: Horizon, emission_kg_per_mwh: Floats, interval: int) -> Floats:
    """Return emissions over the horizon, which are known ahead; empty if they are not known."""
    known = len(emission_kg_per_mwh) > 0
    return horizon.average(emission_kg_per_mwh, interval) if known else _NOT_KNOWN


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
    """Forecasts of devices and prices, renewed at the updates.

    It has no state, so intervals can be requested in any order.

    devices: by kind of device a predictor of (n, columns), the kind's series side by side.
    price: predictor of (n, 2), import and export prices in EUR/MWh.
    names: series of each kind.
    updates: intervals at which a forecast is issued.
    horizon: horizon of the forecasts.
    length: number n of intervals.
    over: value over a step of the series that have another one than their mean.
    emission_kg_per_mwh: emissions (n,) of imported energy, known ahead; empty if they are not.
    """

    devices: Mapping[str, Predictor]
    price: Predictor
    names: SeriesNames
    updates: Updates
    horizon: Horizon
    length: int
    over: Mapping[str, Over] = field(default_factory=dict)
    emission_kg_per_mwh: Floats = field(default_factory=lambda: _NOT_KNOWN)

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

        def predicted(predictor: Predictor) -> Floats:
            return predictor.rows(issue, interval, covered)

        rows = split_columns({k: predicted(p) for k, p in self.devices.items()}, self.names)
        average = self.horizon.average
        devices = {n: average(v, 0, self.over.get(n, Over.MEAN)) for n, v in rows.items()}
        price = average(predicted(self.price), 0)
        emissions = _emissions(self.horizon, self.emission_kg_per_mwh, interval)
        return GridForecast(price[:, 0], price[:, 1], devices, emission_kg_per_mwh=emissions)


def columns_of(series: GridSeries, names: SeriesNames) -> dict[str, Floats]:
    """Return by kind its series side by side (n, columns), and the prices as `price` (n, 2)."""
    columns = {
        kind: np.hstack([series.devices[name] for name in of_kind])
        for kind, of_kind in names.items()
    }
    price = np.column_stack([series.import_eur_per_mwh, series.export_eur_per_mwh])
    return {**columns, PRICE: price}


def series_of(columns: Mapping[str, Floats], names: SeriesNames) -> GridSeries:
    """Return the series of the columns that `columns_of` returns."""
    price = columns[PRICE]
    return GridSeries(price[:, 0], price[:, 1], split_columns(columns, names))


def split_columns(columns: Mapping[str, Floats], names: SeriesNames) -> dict[str, Floats]:
    """Return the series by name of columns by kind, in which they stand side by side."""
    return {
        name: part
        for kind, of_kind in names.items()
        for name, part in zip(of_kind, np.hsplit(columns[kind], len(of_kind)), strict=True)
    }
