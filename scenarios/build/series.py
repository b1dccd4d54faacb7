"""Build the series of every grid of a scenario: devices and tariffs."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.clouds import CloudModel, regional_clear_sky_index
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast import GridSeries
from stackelgrid.profiles.holidays import days_off
from stackelgrid.profiles.prices import (
    PRICE_NAMES,
    Tariff,
    flat_tariff,
    series_tariff,
    time_of_use_tariff,
)
from stackelgrid.profiles.site import Site
from stackelgrid.profiles.sources import read_factors, read_series
from stackelgrid.profiles.tables.units import SeriesUnit
from stackelgrid.profiles.temperature import TemperatureModel
from stackelgrid.profiles.time_axis import Horizon, TimeAxis
from stackelgrid.scenarios.build.grids import BuiltGrid
from stackelgrid.scenarios.build.placement import profile_names
from stackelgrid.scenarios.build.random import generator, seed_of
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.prices import TariffSection
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.scenarios.schema.simulators import full_key


def horizon_of(scenario: Scenario) -> Horizon:
    """Return the horizon of the scenario."""
    steps = tuple(s.minutes for s in scenario.horizon.steps for _ in range(s.count))
    t = scenario.time
    if scenario.horizon.mode == "day_ahead" and steps != (t.interval_min,) * t.intervals:
        raise ScenarioError(
            f"horizon.steps: a day-ahead horizon has one step for each of the {t.intervals} "
            f"intervals of {t.interval_min} min, found {len(steps)} steps of "
            f"{', '.join(str(m) for m in sorted(set(steps)))} min"
        )
    if steps[0] != t.interval_min:
        raise ScenarioError(
            f"horizon.steps: the first step has {steps[0]} min; one interval of "
            f"{t.interval_min} min (time.interval_min) is accepted"
        )
    try:
        return Horizon(steps, t.interval_min)
    except ProfileError as error:
        raise ScenarioError(f"horizon.steps: {error}") from error


def axis_of(scenario: Scenario, horizon: Horizon) -> TimeAxis:
    """Return the time axis of the simulated intervals and the horizon of the last one."""
    t = scenario.time
    try:
        start = pd.Timestamp(t.start).tz_localize(t.timezone)
    except Exception as error:  # unknown zone, or a local time that a clock change skips
        raise ScenarioError(
            f"time: start {t.start} cannot be placed in timezone {t.timezone!r} ({error}); an "
            "existing local time and an IANA name like Europe/Berlin are accepted"
        ) from error
    length = t.intervals - 1 + horizon.intervals_covered
    return TimeAxis(start, pd.Timedelta(minutes=t.interval_min), length)


T = TypeVar("T")


class SeriesFactory:
    """Makes the series of all grids of one scenario, which share regional sky and tariffs.

    `past`: make series of the same customers and sites before the run, with noise and clouds
    independent of those in the run.
    """

    def __init__(
        self, scenario: Scenario, axis: TimeAxis, folder: Path, *, past: bool = False
    ) -> None:
        self.scenario, self.axis, self.folder, self._past = scenario, axis, folder, past
        s = scenario.site
        self.site = Site(
            s.latitude,
            s.longitude,
            s.altitude_m,
            scenario.time.timezone,
            ambient_c=s.ambient_c,
            # profiles are looked up somewhat beyond the axis
            holidays=days_off(s.holidays, axis.start.year - 1, axis.end.year + 1),
        )
        self.clouds = CloudModel(scenario.weather.sky)
        self.regional = regional_clear_sky_index(
            axis, self.clouds, self.variation("sky") or generator(scenario.seed, "sky")
        )
        self.temperature = self._temperature()
        # nothing before the run depends on emissions
        self.emission_kg_per_mwh = np.zeros(0) if past else self._emissions()
        self._tariffs: dict[str, Tariff] = {}

    def _emissions(self) -> Floats:
        """Return the emissions of imported energy (n,) in kg/MWh; empty if they are not known."""
        section, axis = self.scenario.emissions, self.axis
        if section is None:
            return np.zeros(0)
        if section.file is None:
            return np.full(axis.length, section.kg_per_mwh)
        frame = self._read("emissions", section.file, "kg_per_mwh", ["import"])
        values = frame["import_kg_per_mwh"]
        return self._accepted(
            "emissions", section.file, values, values >= 0.0, "values >= 0 are accepted"
        )

    def _read(
        self, key: str, file: str, unit: SeriesUnit, columns: Sequence[str] | None
    ) -> pd.DataFrame:
        """Return the series of the file of a section; raises ScenarioError with its key."""
        try:
            zone = self.scenario.time.timezone
            return read_series(self.folder / file, self.axis, unit, columns, zone)
        except ProfileError as error:
            raise ScenarioError(f"{key}.file: {error}") from error

    def _accepted(
        self, key: str, file: str, values: "pd.Series[float]", good: "pd.Series[bool]", words: str
    ) -> Floats:
        """Return the values (n,) of a column; raises ScenarioError for one that is not good.

        key, file: section and its file.
        values: column of the file.
        good: whether each value is accepted.
        words: accepted values, for the message.
        """
        if not good.all():
            at = int(np.argmin(good))
            raise ScenarioError(
                f"{key}.file: {file}: {values.name} is {values.iloc[at]:g} at "
                f"{self.axis.index[at].isoformat()}; {words}"
            )
        return np.asarray(values, dtype=np.float64)

    def at_temperature(self, outdoor_c: Floats) -> "SeriesFactory":
        """Return the factory with another outdoor temperature (n,)."""
        other = copy.copy(self)
        other.temperature = outdoor_c
        return other

    def _temperature(self) -> Floats:
        """Return the outdoor temperature (n,) in degrees Celsius."""
        section, axis = self.scenario.weather.temperature, self.axis
        if section is None:
            return np.full(axis.length, self.scenario.site.ambient_c)
        if section.file is not None:
            key, words = "weather.temperature", "degrees Celsius from -60 to 60 are accepted"
            outdoor = self._read(key, section.file, "c", ["outdoor"])["outdoor_c"]
            return self._accepted(key, section.file, outdoor, outdoor.abs() <= 60.0, words)
        assert section.mean_c is not None
        model = TemperatureModel(
            section.mean_c, section.daily_range_k, section.sigma_k, section.correlation_h
        )
        rng = self.variation("temperature") or generator(self.scenario.seed, "temperature")
        return model.series(axis, rng)

    def series(self, grid: BuiltGrid, devices: Devices) -> GridSeries:
        """Return the series of one grid in the order of its devices."""
        section = grid.section
        tariff = self.tariff(section.tariff) if section.tariff is not None else None
        nothing = np.zeros(self.axis.length)
        maker = self.of(grid)
        found: dict[str, Floats] = {}
        for member in devices.members:
            found |= member.series(maker, grid.placed[member.kind])
        return GridSeries(
            tariff.import_eur_per_mwh if tariff else nothing,
            tariff.export_eur_per_mwh if tariff else nothing,
            found,
            emission_kg_per_mwh=self.emission_kg_per_mwh,
        )

    def of(self, grid: BuiltGrid) -> "GridSeriesMaker":
        """Return the data from which kinds of devices make the series of one grid."""
        return GridSeriesMaker(self, grid)

    def tariff(self, name: str) -> Tariff:
        """Return a tariff by name; each is computed once."""
        if name not in self._tariffs:
            section = self.scenario.tariffs[name]
            try:
                self._tariffs[name] = self._make_tariff(section)
            except ProfileError as error:
                raise ScenarioError(f"tariffs.{name}: {error}") from error
        return self._tariffs[name]

    def _make_tariff(self, section: TariffSection) -> Tariff:
        if section.kind == "flat":
            assert section.import_ is not None
            assert section.export is not None
            return flat_tariff(self.axis, section.import_, section.export)
        if section.kind == "time_of_use":
            periods = [(p.from_, p.import_, p.export) for p in section.periods]
            return time_of_use_tariff(self.axis, periods)
        assert section.file is not None
        zone = self.scenario.time.timezone
        frame = read_series(self.folder / section.file, self.axis, "eur_per_mwh", PRICE_NAMES, zone)
        return series_tariff(self.axis, frame)

    def variation(self, *consumer: str) -> np.random.Generator | None:
        """Return the generator of the day-to-day variation before the run; None in the run."""
        return generator(self.scenario.seed, *consumer, "past") if self._past else None


class GridSeriesMaker:
    """Data of a scenario from which kinds of devices make the series of a grid: `SeriesMaker`."""

    def __init__(self, factory: SeriesFactory, grid: BuiltGrid) -> None:
        self._factory, self._grid, self._section = factory, grid, grid.section
        self.axis, self.site = factory.axis, factory.site
        self.clouds, self.regional = factory.clouds, factory.regional
        self.temperature = factory.temperature

    def sections(self, key: str) -> Any:
        """Return the grid's section or sections under a key of the scenario."""
        return getattr(self._section, key)

    def generator(self, *consumer: str) -> np.random.Generator:
        """Return the grid's random generator of a named consumer."""
        return generator(self._factory.scenario.seed, self._section.name, *consumer)

    def variation(self, *consumer: str) -> np.random.Generator | None:
        """Return the generator of day-to-day variation before the run; None in the run."""
        return self._factory.variation(self._section.name, *consumer)

    def deviation(self, *consumer: str) -> np.random.Generator:
        """Return the grid's random generator of deviations, by the seed of that section."""
        scenario = self._factory.scenario
        seed = seed_of(scenario, scenario.deviations)
        return generator(seed, self._section.name, "deviations", *consumer)

    def factors(self, key: str, file: str, names: Sequence[str], nominal_mw: Floats) -> Floats:
        """Return factors (n, devices) of the nominal power from a file; raises ProfileError."""
        return self.from_file(
            key, file, lambda path, zone: read_factors(path, self.axis, names, nominal_mw, zone)
        )

    def of_net(self, table: str, index: Sequence[int]) -> tuple[Floats, Floats]:
        """Return factors (n, elements) of active and reactive power that came with the net.

        NaN for elements without such a profile; raises ProfileError, naming the grid.
        """
        if self._grid.profiles is None:
            nothing = np.full((self.axis.length, len(index)), np.nan)
            return nothing, nothing
        names = profile_names(self._grid.net, table).loc[list(index)].tolist()
        zone = self._factory.scenario.time.timezone
        try:
            return self._grid.profiles.factors(table, names, self.axis, zone)
        except ProfileError as error:
            raise ProfileError(f"grids.{self._section.name}: {error}") from error

    def from_file(self, key: str, file: str, read: Callable[[Path, str], T]) -> T:
        """Return `read(path, timezone)` of a file; raises ProfileError with the key."""
        try:
            return read(self._factory.folder / file, self._factory.scenario.time.timezone)
        except ProfileError as error:
            raise ProfileError(f"{self.where(key)}.file: {error}") from error

    def where(self, key: str) -> str:
        """Return the full key of a section, for messages."""
        return full_key(self._section.name, key)
