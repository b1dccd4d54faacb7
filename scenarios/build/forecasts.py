"""Forecast sources and realised series of all grids of a scenario."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.registry import series_names, series_over
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast import (
    PRICE,
    ForecastSource,
    GridSeries,
    PerfectForecast,
    UpdatedForecast,
    Updates,
    columns_of,
)
from stackelgrid.profiles.forecast_correlation import Label
from stackelgrid.profiles.forecast_errors import ErrorPath
from stackelgrid.profiles.forecast_predictors import (
    ClearSkyShare,
    Known,
    LastSeen,
    Observed,
    OutlookWithErrors,
    PartlyKnown,
    Predictor,
    SameTimeDayBefore,
    SeenBefore,
    Tabulated,
    require_day,
)
from stackelgrid.profiles.forecast_table import QUANTITIES, ForecastTable, read_forecast_table
from stackelgrid.profiles.time_axis import Horizon, TimeAxis
from stackelgrid.scenarios.build.deviations import (
    Profiles,
    Reality,
    error_paths,
    labels_of,
    reality_of,
    temperature_path,
)
from stackelgrid.scenarios.build.grids import BuiltGrid
from stackelgrid.scenarios.build.random import seed_of
from stackelgrid.scenarios.build.series import SeriesFactory
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.forecast import ForecastSection
from stackelgrid.scenarios.schema.scenario import Scenario

# relative errors are cut at +-100 %: a forecast is at most this factor times the profile's peak
_LOAD_HEADROOM = 2.0
_LOAD = "load"


@dataclass(frozen=True)
class World:
    """Realised series, forecast sources and bounds (loads,) of load forecasts, by grid.

    `outdoor_c` (n,) is the realised outdoor temperature.
    """

    realised: Mapping[str, GridSeries]
    forecasts: Mapping[str, ForecastSource]
    load_peak_mw: Mapping[str, Floats]
    outdoor_c: Floats


def build_world(
    scenario: Scenario,
    axis: TimeAxis,
    horizon: Horizon,
    grids: Mapping[str, BuiltGrid],
    devices: Mapping[str, Devices],
    folder: Path,
) -> World:
    """Build realised series and forecasts of all grids; raises ScenarioError and ProfileError.

    Realised series depend on the seeds of the scenario and its deviations, not on the forecast's.
    """
    factory = SeriesFactory(scenario, axis, folder)
    series = {name: factory.series(grids[name], devices[name]) for name in grids}
    names = tuple(grid.name for grid in scenario.grids)
    profiles = Profiles(names, axis, grids, devices, series, folder)
    reality = reality_of(scenario, profiles, factory)
    section = scenario.forecast
    forecasts: dict[str, ForecastSource] = {}
    if section is None or section.perfect:
        over = series_over()
        forecasts = {n: PerfectForecast(s, horizon, over) for n, s in reality.series.items()}
        peaks = {n: _peak(s.load_p_mw, None) for n, s in series.items()}
        return World(reality.series, forecasts, peaks, reality.outdoor_c)
    sources = _ForecastFactory(scenario, section, factory, horizon, profiles, reality)
    peaks = {}
    for name in grids:
        source = sources.forecast(name)
        forecasts[name], peaks[name] = source, _peak(series[name].load_p_mw, source.devices[_LOAD])
    return World(reality.series, forecasts, peaks, reality.outdoor_c)


def _peak(profile_mw: Floats, forecast: Predictor | None) -> Floats:
    """Return an upper bound (loads,) of all forecasts of the loads, before any is made."""
    if isinstance(forecast, PartlyKnown):
        peak: Floats = np.abs(profile_mw).max(axis=0)
        at = forecast.at[: len(peak)]
        peak[at] = _peak(profile_mw[:, at], forecast.predictor)
        return peak
    loads = profile_mw.shape[1]
    most: Floats = np.abs(profile_mw).max(axis=0)
    peak = _LOAD_HEADROOM * most
    if isinstance(forecast, SameTimeDayBefore | LastSeen):
        peak = np.maximum(peak, np.abs(forecast.past[:, :loads]).max(axis=0))
    elif isinstance(forecast, Tabulated):
        peak = np.maximum(peak, (1.0 + float(np.nanmax(forecast.shifts))) * most)
    return peak


class _ForecastFactory:
    """Makes the forecast sources described by the section `forecast`."""

    def __init__(
        self,
        scenario: Scenario,
        section: ForecastSection,
        factory: SeriesFactory,
        horizon: Horizon,
        profiles: Profiles,
        reality: Reality,
    ) -> None:
        self._scenario, self._section, self._factory = scenario, section, factory
        self._horizon, self._profiles, self._reality = horizon, profiles, reality
        self._errors = self._error_paths()
        self._outdoor = self._temperature()
        self._updates = _updates(section, profiles.axis)
        self._table = self._read_table() if "file" in section.models.values() else None
        past = "persistence" in section.models.values()
        self._past = self._day_before() if past else None

    def forecast(self, name: str) -> UpdatedForecast:
        """Return the forecast source of one grid."""
        expected = columns_of(self._profiles.series[name], series_names())
        realised = columns_of(self._reality.series[name], series_names())
        found = {k: self._partly(name, k, expected[k], realised[k]) for k in expected}
        price, length = found.pop(PRICE), self._profiles.axis.length
        names, horizon = series_names(), self._horizon
        over, emissions = series_over(), self._factory.emission_kg_per_mwh
        return UpdatedForecast(found, price, names, self._updates, horizon, length, over, emissions)

    def _partly(self, name: str, k: str, expected: Floats, realised: Floats) -> Predictor:
        """Return the predictor of a quantity; constant powers are known."""
        at = self._profiles.with_errors(name, k)
        if k not in QUANTITIES:
            return self._of_kind(name, k, expected, realised)
        if not at.any():
            return Known(realised)
        predictor = self._predictor(name, k, expected[:, at], realised[:, at])
        return predictor if at.all() else PartlyKnown(realised, at, predictor)

    def _of_kind(self, name: str, k: str, expected: Floats, realised: Floats) -> Predictor:
        """Return the predictor that a kind of device brings; without one its series is known."""
        member, grid = self._profiles.devices[name].of(k), self._profiles.grids[name]
        if member is None or not len(member.index) or self._section.model == "perfect":
            return Known(realised)
        maker, placed = self._factory.of(grid), grid.placed.get(k, ())
        found = member.predictor(maker, placed, expected, realised, self._outdoor)
        return found or Known(realised)

    def _temperature(self) -> Predictor:
        """Return the predictor (n, 1) of the outdoor temperature."""
        section, reality = self._section, self._reality
        outlook, real = self._factory.temperature[:, None], reality.outdoor_c[:, None]
        seed = seed_of(self._scenario, section)
        axis, strayed = self._profiles.axis, reality.temperature
        errors = temperature_path(section.temperature_model, axis, seed, "forecast")
        observed = None
        if strayed is not None:
            observed = Observed(real, outlook, strayed.kept, relative=False)
        return SeenBefore(real, OutlookWithErrors(outlook, False, errors, observed))

    def _predictor(self, name: str, k: str, expected: Floats, realised: Floats) -> Predictor:
        """Return the predictor of a grid's quantity from its profile and realised series."""
        model, label = self._section.models[k], labels_of(name)[k]
        nothing = not self._profiles.has_prices(name) if k == PRICE else not expected.shape[1]
        if model == "perfect" or nothing:
            return Known(realised)
        if model == "persistence":
            return self._persistence(name, k, realised)
        upper = self._profiles.upper(name, k)
        if model == "file":
            assert self._table is not None
            total = expected[:, 0] if k == PRICE else expected.sum(axis=1)
            if k == _LOAD:  # the first half of the columns is active power, the second reactive
                total = expected[:, : expected.shape[1] // 2].sum(axis=1)
            covered, of_grid = self._horizon.intervals_covered, Label(name, label.quantity)
            try:
                return self._table.tabulated(
                    of_grid, expected, total, upper, self._updates, covered
                )
            except ProfileError as error:
                raise ScenarioError(f"forecast.file: {error}") from error
        relative, strayed = k != PRICE, self._reality.paths.get(label)
        observed = None
        if strayed is not None:
            observed = Observed(realised, expected, strayed.kept, relative)
        return OutlookWithErrors(expected, relative, self._errors.get(label), observed, upper)

    def _persistence(self, name: str, k: str, realised: Floats) -> Predictor:
        assert self._past is not None
        past = columns_of(self._past[1][name], series_names())[k]
        past = past[:, self._profiles.with_errors(name, k)]
        rule = getattr(self._section, k).persistence
        if rule == "last":
            return LastSeen(past, realised)
        grid, member = self._profiles.grids[name], self._profiles.devices[name].of(k)
        placed = grid.placed.get(k, ())
        if member is None or not (member.has_clear_sky(placed) or rule == "clear_sky"):
            return SameTimeDayBefore(past, realised)
        clear = member.clear_sky(self._factory.of(grid), placed)
        if rule == "day_before":
            return SameTimeDayBefore(past, realised, dark=clear == 0.0)
        clear_past = member.clear_sky(self._past[0].of(grid), placed)
        return ClearSkyShare(past, realised, clear_past, clear, member.rated_mw)

    def _error_paths(self) -> dict[Label, ErrorPath]:
        models, seed = self._section.error_models, seed_of(self._scenario, self._section)
        return error_paths(self._profiles, self._section, models, seed, "forecast")

    def _read_table(self) -> ForecastTable:
        section, profiles = self._section, self._profiles
        assert section.file is not None
        path = profiles.folder / section.file
        try:
            return read_forecast_table(path, profiles.axis, profiles.names, section.member)
        except ProfileError as error:
            raise ScenarioError(f"forecast.file: {error}") from error

    def _day_before(self) -> tuple[SeriesFactory, dict[str, GridSeries]]:
        """Return the series of the 24 hours before the run."""
        profiles = self._profiles
        axis = profiles.axis
        try:
            length = require_day(self._scenario.time.interval_min)
        except ProfileError as error:
            raise ScenarioError(f"forecast: {error}") from error
        first = axis.start.tz_convert("UTC") - pd.Timedelta(days=1)
        before = TimeAxis(first.tz_convert(axis.start.tzinfo), axis.step, length)
        try:
            factory = SeriesFactory(self._scenario, before, profiles.folder, past=True)
            series = {n: factory.series(g, profiles.devices[n]) for n, g in profiles.grids.items()}
        except (ScenarioError, ProfileError) as error:
            raise ScenarioError(
                f"forecast: persistence needs the profiles of the day before the start: {error}"
            ) from error
        return factory, series


def _updates(section: ForecastSection, axis: TimeAxis) -> Updates:
    if section.update_at is not None:
        return Updates.at_clock_times(axis, section.update_at)
    step_min = round(60 * axis.step_h)
    return Updates.every((section.update_min or step_min) // step_min, axis.length)
