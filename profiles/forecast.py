"""What a controller is told of the future: series of one grid averaged over the horizon's steps."""

from dataclasses import dataclass
from typing import Protocol

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.time_axis import Horizon


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
    """Gives the forecast known at the start of an interval."""

    def at(self, interval: int) -> GridForecast:
        """Forecast over the horizon that starts with `interval`."""
        ...


@dataclass(frozen=True)
class PerfectForecast:
    """Foresight without error: the realised series, averaged over the steps."""

    series: GridSeries
    horizon: Horizon

    def at(self, interval: int) -> GridForecast:
        """Forecast over the horizon; raises ProfileError beyond the end of the series."""
        s, average = self.series, self.horizon.average
        return GridForecast(
            load_p_mw=average(s.load_p_mw, interval),
            load_q_mvar=average(s.load_q_mvar, interval),
            pv_available_mw=average(s.pv_available_mw, interval),
            import_eur_per_mwh=average(s.import_eur_per_mwh, interval),
            export_eur_per_mwh=average(s.export_eur_per_mwh, interval),
        )
