"""Forecast errors and deviations of a scenario's grids: error paths and realised series."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.devices.registry import series_names
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast import PRICE, GridSeries, columns_of, series_of
from stackelgrid.profiles.forecast_correlation import Label, SiteCorrelation, read_correlation
from stackelgrid.profiles.forecast_errors import ErrorModel, ErrorPath
from stackelgrid.profiles.forecast_predictors import deviated
from stackelgrid.profiles.forecast_table import QUANTITIES
from stackelgrid.profiles.time_axis import TimeAxis
from stackelgrid.scenarios.build.grids import BuiltGrid
from stackelgrid.scenarios.build.random import generator, seed_of
from stackelgrid.scenarios.build.series import SeriesFactory
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.forecast import DeviationsSection, ForecastSection
from stackelgrid.scenarios.schema.scenario import Scenario

# all tariffs share the price errors of one market
_MARKET = ""


@dataclass(frozen=True)
class Profiles:
    """Profiles of a scenario's grids: the values expected at the start of the run.

    `names` lists the grids in the order of the scenario file.
    """

    names: tuple[str, ...]
    axis: TimeAxis
    grids: Mapping[str, BuiltGrid]
    devices: Mapping[str, Devices]
    series: Mapping[str, GridSeries]
    folder: Path

    def upper(self, name: str, quantity: str) -> Floats | None:
        """Return the largest values (n, columns) of a kind's series; None without a limit."""
        member = self.devices[name].of(quantity)
        return None if member is None else member.series_limit(self.series[name].devices)

    def with_errors(self, name: str, quantity: str) -> npt.NDArray[np.bool_]:
        """Return which columns of a kind's series have errors; constant powers have none."""
        member = self.devices[name].of(quantity)
        if member is None:
            return np.ones(2, dtype=bool)  # both prices
        return np.tile(member.uncertain, len(member.names(Role.SERIES)))

    def has_prices(self, name: str) -> bool:
        """Return True if a grid has a tariff; transmission grids have none."""
        return self.grids[name].section.tariff is not None


def labels_of(name: str) -> dict[str, Label]:
    """Return the labels of a grid's quantities with errors; all grids share that of the price."""
    return {q: Label(_MARKET if q == PRICE else name, q) for q in QUANTITIES}


def error_paths(
    profiles: Profiles,
    section: ForecastSection | DeviationsSection,
    models: Mapping[str, ErrorModel | None],
    seed: int,
    purpose: str,
) -> dict[Label, ErrorPath]:
    """Return the error paths of all grids of all quantities.

    A quantity whose model is None or has no error gets no path. Each grid and quantity of a
    `purpose` (the key of the section) has its own random stream. Raises ScenarioError for a
    correlation that does not fit the grids.
    """
    axis = profiles.axis
    drawn: dict[tuple[str, str], Floats] = {}

    def draw(site: str, quantity: str) -> Floats:
        if (site, quantity) not in drawn:
            consumer = (purpose, quantity, *([site] if site else []))
            drawn[site, quantity] = generator(seed, *consumer).standard_normal(axis.length)
        return drawn[site, quantity]

    names, where = profiles.names, f"{purpose}.correlation_sites"
    correlation = _correlation(section.correlation_sites, names, profiles.folder, where)
    wanted = {
        label: model
        for name in names
        for quantity, label in labels_of(name).items()
        if (model := models[quantity]) is not None and model.errs
    }
    try:
        noise = correlation.noise(tuple(wanted), draw)
    except ProfileError as error:
        raise ScenarioError(f"{where}: {error}") from error
    return {label: model.path(noise[label], axis.step_h) for label, model in wanted.items()}


def _correlation(
    given: float | str | tuple[tuple[float, ...], ...],
    names: tuple[str, ...],
    folder: Path,
    where: str,
) -> SiteCorrelation:
    if isinstance(given, str):
        return _correlation_from_file(folder / given, names, where)
    if isinstance(given, tuple):
        if len(given) != len(names):
            raise ScenarioError(
                f"{where}: the matrix has {len(given)} rows for {len(names)} grids; one for each "
                f"of {', '.join(names)} is accepted"
            )
        return SiteCorrelation(names=names, matrix=np.array(given))
    return SiteCorrelation(given)


def _correlation_from_file(path: Path, names: tuple[str, ...], where: str) -> SiteCorrelation:
    try:
        read = read_correlation(path)
    except ProfileError as error:
        raise ScenarioError(f"{where}: {error}") from error
    single = {label.text for name in names for label in labels_of(name).values()}
    accepted = set(names) if read.names and read.names[0] in names else single
    unknown = [name for name in read.names if name not in accepted]
    of_grids = [f"GRID.{q}" for q in QUANTITIES if q != PRICE]
    if unknown:
        raise ScenarioError(
            f"{where}: {path}: row {unknown[0]!r} unknown; names of grids ({', '.join(names)}), or "
            f"{', '.join(of_grids)} and {PRICE} are accepted"
        )
    return read


@dataclass(frozen=True)
class Reality:
    """Realised series by grid, and their deviations from the profiles.

    `outdoor_c` (n,) is the realised temperature, `temperature` its deviation, None without any.
    """

    series: Mapping[str, GridSeries]
    paths: Mapping[Label, ErrorPath]
    outdoor_c: Floats
    temperature: ErrorPath | None = None


def reality_of(scenario: Scenario, profiles: Profiles, factory: SeriesFactory) -> Reality:
    """Return the realised series: the profiles with the errors of the section `deviations`."""
    section = scenario.deviations
    if section is None:
        return Reality(profiles.series, {}, factory.temperature)
    seed = seed_of(scenario, section)
    paths = error_paths(profiles, section, section.error_models, seed, "deviations")
    path = temperature_path(section.temperature_model, profiles.axis, seed, "deviations")
    outdoor = factory.temperature + (0.0 if path is None else path.deviation)
    real = factory.at_temperature(outdoor)
    series = {n: _realised(n, profiles, paths, real, section) for n in profiles.grids}
    return Reality(series, paths, outdoor, path)


def temperature_path(
    model: ErrorModel | None, axis: TimeAxis, seed: int, purpose: str
) -> ErrorPath | None:
    """Return the error path of the temperature for a purpose; None without errors."""
    if model is None or not model.errs:
        return None
    white = generator(seed, purpose, "temperature").standard_normal(axis.length)
    return model.path(white, axis.step_h)


def _realised(
    name: str,
    profiles: Profiles,
    paths: Mapping[Label, ErrorPath],
    real: SeriesFactory,
    section: DeviationsSection,
) -> GridSeries:
    """Return the realised series of a grid.

    name: grid.
    profiles: expected series.
    paths: deviations of loads, PV and prices.
    real: maker of series at the realised temperature.
    section: further deviations of kinds of devices.
    """
    columns = columns_of(profiles.series[name], series_names())
    for quantity, label in labels_of(name).items():
        path = paths.get(label)
        if path is None or (quantity == PRICE and not profiles.has_prices(name)):
            continue
        at = profiles.with_errors(name, quantity)
        values = columns[quantity].copy()
        values[:, at] = deviated(
            values[:, at], path.deviation, relative=quantity != PRICE,
            upper=profiles.upper(name, quantity),
        )  # fmt: skip
        columns[quantity] = values
    series = series_of(columns, series_names())
    maker, placed = real.of(profiles.grids[name]), profiles.grids[name].placed
    own: dict[str, Floats] = {}
    for member in profiles.devices[name]:
        own |= member.realised(maker, placed.get(member.kind, ()), section)
    return GridSeries(
        series.import_eur_per_mwh, series.export_eur_per_mwh, {**series.devices, **own},
        emission_kg_per_mwh=real.emission_kg_per_mwh,
    )  # fmt: skip
