"""Build the series of every grid of a scenario: loads, photovoltaics, tariffs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast import GridSeries
from stackelgrid.profiles.loads import LoadDiversity, diverse_loads, standard_load
from stackelgrid.profiles.photovoltaics import (
    CloudModel,
    Module,
    Site,
    azimuth_to_equator,
    pv_fleet,
    regional_clear_sky_index,
)
from stackelgrid.profiles.prices import (
    PRICE_COLUMNS,
    Tariff,
    flat_tariff,
    series_tariff,
    time_of_use_tariff,
)
from stackelgrid.profiles.sources import read_factors, read_series
from stackelgrid.profiles.time_axis import Horizon, TimeAxis
from stackelgrid.scenarios.build.grids import BuiltGrid
from stackelgrid.scenarios.build.placement import PlacedPv
from stackelgrid.scenarios.build.random import generator
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.devices import LoadsSection
from stackelgrid.scenarios.schema.prices import TariffSection
from stackelgrid.scenarios.schema.scenario import Scenario


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
    try:
        return Horizon(steps, scenario.time.interval_min)
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


class SeriesFactory:
    """Makes the series of all grids of one scenario, which share regional sky and tariffs.

    `past`: make series of the same customers and PV systems before the run, with noise and clouds
    independent of those in the run.
    """

    def __init__(
        self, scenario: Scenario, axis: TimeAxis, folder: Path, *, past: bool = False
    ) -> None:
        self.scenario, self.axis, self.folder, self._past = scenario, axis, folder, past
        s = scenario.site
        self._site = Site(
            s.latitude, s.longitude, s.altitude_m, scenario.time.timezone, ambient_c=s.ambient_c
        )
        self._clouds = CloudModel(scenario.weather.sky)
        self._regional = regional_clear_sky_index(
            axis, self._clouds, self._passing("sky") or generator(scenario.seed, "sky")
        )
        self._tariffs: dict[str, Tariff] = {}

    def series(self, grid: BuiltGrid, devices: Devices) -> GridSeries:
        """Return the series of one grid in the order of its devices."""
        load_p, load_q = self._loads(grid, devices)
        section = grid.section
        tariff = self.tariff(section.tariff) if section.tariff is not None else None
        nothing = np.zeros(self.axis.length)
        return GridSeries(
            load_p_mw=load_p,
            load_q_mvar=load_q,
            pv_available_mw=self._photovoltaics(grid, devices),
            import_eur_per_mwh=tariff.import_eur_per_mwh if tariff else nothing,
            export_eur_per_mwh=tariff.export_eur_per_mwh if tariff else nothing,
        )

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
        frame = read_series(
            self.folder / section.file, self.axis, "eur_per_mwh", PRICE_COLUMNS, zone
        )
        return series_tariff(self.axis, frame)

    def _loads(self, grid: BuiltGrid, devices: Devices) -> tuple[Floats, Floats]:
        loads, section = devices.loads, grid.section.loads
        factor = np.ones((self.axis.length, len(loads.index)))
        at = np.flatnonzero(loads.profiled)
        if len(at):
            names = [loads.name[i] for i in at]
            # a file holds powers before scaling
            nominal = loads.p_mw[at] / section.scale
            factor[:, at] = self._load_factors(grid.section.name, section, names, nominal)
        return factor * loads.p_mw, factor * loads.q_mvar

    def _load_factors(
        self, grid: str, section: LoadsSection, names: Sequence[str], nominal_mw: Floats
    ) -> Floats:
        """Return factors (n, loads) of the nominal power (loads,)."""
        if section.file is not None:
            return self._factors_from_file(f"grids.{grid}.loads", section.file, names, nominal_mw)
        d = section.diversity
        diversity = LoadDiversity(
            d.level_sigma, d.shift_min_sigma, d.noise_sigma, d.noise_correlation_h
        )
        padded = diversity.padded(self.axis)
        seed = self.scenario.seed
        if section.mix is not None:
            base = sum(
                share * self._standard(kind, padded, grid)
                for kind, share in _shares(section.mix).items()
            )
            rng = generator(seed, grid, "loads", "mix")
            noise = self._passing(grid, "loads", "mix")
            return diverse_loads(np.asarray(base), self.axis, len(names), diversity, rng, noise)
        assert section.assign is not None
        shares = _shares(section.assign)
        rng = generator(seed, grid, "loads", "assign")
        drawn = rng.choice(len(shares), size=len(names), p=list(shares.values()))
        factors = np.empty((self.axis.length, len(names)))
        for k, kind in enumerate(shares):
            members = np.flatnonzero(drawn == k)
            if not len(members):
                continue
            base = self._standard(kind, padded, grid)
            rng = generator(seed, grid, "loads", kind)
            noise = self._passing(grid, "loads", kind)
            drawn_loads = diverse_loads(base, self.axis, len(members), diversity, rng, noise)
            factors[:, members] = drawn_loads
        return factors

    def _standard(self, kind: str, axis: TimeAxis, grid: str) -> Floats:
        try:
            return standard_load(kind, axis)  # type: ignore[arg-type]
        except ProfileError as error:
            raise ScenarioError(f"grids.{grid}.loads: {error}") from error

    def clear_sky(self, grid: BuiltGrid, devices: Devices) -> Floats:
        """Return the available PV power of a grid under a clear sky, MW, shape (n, systems).

        Raises ScenarioError for systems from a file.
        """
        rated = devices.photovoltaics.p_rated_mw
        clear = np.empty((self.axis.length, len(rated)))
        index = np.ones(self.axis.length)
        for placed in grid.pv:
            if placed.section.file is not None:
                raise ScenarioError(
                    f"grids.{grid.section.name}.{placed.key}: a file has no clear sky; "
                    'persistence = "day_before" is accepted for forecasts of this grid'
                )
            part = slice(placed.first, placed.first + placed.count)
            clear[:, part] = rated[part] * self._fleet(grid, placed, CloudModel("clear"), index)
        return clear

    def _fleet(
        self, grid: BuiltGrid, placed: PlacedPv, clouds: CloudModel, regional: Floats
    ) -> Floats:
        """Return the feed-in of one PV section in kW per kWp, shape (n, systems)."""
        section = placed.section
        azimuth = section.azimuth_degree
        if azimuth is None:
            azimuth = azimuth_to_equator(self._site.latitude)
        module = Module(section.tilt_degree, azimuth)
        names = (grid.section.name, "sky", placed.key)
        rng = generator(self.scenario.seed, *names)
        return pv_fleet(
            self._site, self.axis, placed.count, module, clouds, regional, rng,
            cloud_rng=self._passing(*names),
        )  # fmt: skip

    def _passing(self, *consumer: str) -> np.random.Generator | None:
        """Return the generator of the day-to-day variation before the run; None in the run."""
        return generator(self.scenario.seed, *consumer, "past") if self._past else None

    def _photovoltaics(self, grid: BuiltGrid, devices: Devices) -> Floats:
        """Return the available PV power in MW, shape (n, systems)."""
        rated = devices.photovoltaics.p_rated_mw
        available = np.empty((self.axis.length, len(rated)))
        for placed in grid.pv:
            part = slice(placed.first, placed.first + placed.count)
            if placed.section.file is not None:
                names = [str(n) for n in devices.photovoltaics.name[part]]
                per_kw = self._factors_from_file(
                    f"grids.{grid.section.name}.{placed.key}",
                    placed.section.file,
                    names,
                    rated[part],
                )
            else:
                per_kw = self._fleet(grid, placed, self._clouds, self._regional)
            available[:, part] = per_kw * rated[part]
        return available

    def _factors_from_file(
        self, key: str, file: str, names: Sequence[str], nominal_mw: Floats
    ) -> Floats:
        zone = self.scenario.time.timezone
        try:
            return read_factors(self.folder / file, self.axis, names, nominal_mw, zone)
        except ProfileError as error:
            raise ScenarioError(f"{key}.file: {error}") from error


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {kind: weight / total for kind, weight in weights.items()}
