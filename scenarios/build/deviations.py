"""Forecast errors and deviations of a scenario's grids: error paths and realised series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stackelgrid.controllers.networks.devices import Devices
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast import GridSeries, columns_of, series_of
from stackelgrid.profiles.forecast_correlation import Label, SiteCorrelation, read_correlation
from stackelgrid.profiles.forecast_errors import ErrorModel, ErrorPath
from stackelgrid.profiles.forecast_predictors import deviated
from stackelgrid.profiles.time_axis import TimeAxis
from stackelgrid.scenarios.build.grids import BuiltGrid
from stackelgrid.scenarios.build.random import generator
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

    def pv_upper(self, name: str) -> Floats:
        """Return the largest PV power (n, systems) in MW: the rated power, or a higher profile."""
        rated = self.devices[name].photovoltaics.p_rated_mw
        return np.maximum(rated, self.series[name].pv_available_mw)

    def loads_only(self, name: str) -> npt.NDArray[np.bool_]:
        """Return a mask of the load columns; generators of constant power have no errors."""
        return np.tile(self.devices[name].loads.profiled, 2)

    def has_prices(self, name: str) -> bool:
        """Return True if a grid has a tariff; transmission grids have none."""
        return self.grids[name].section.tariff is not None


def labels_of(name: str) -> tuple[Label, Label, Label]:
    """Return the labels of a grid's loads and PV, and of the price shared by all grids."""
    return Label(name, "load"), Label(name, "pv"), Label(_MARKET, "price")


def error_paths(
    profiles: Profiles,
    section: ForecastSection | DeviationsSection,
    models: Sequence[ErrorModel | None],
    scenario_seed: int,
    purpose: str,
) -> dict[Label, ErrorPath]:
    """Return the error paths of all grids for load, PV and price.

    A quantity whose model is None or has no error gets no path. Each grid and quantity of a
    `purpose` (the key of the section) has its own random stream. Raises ScenarioError for a
    correlation that does not fit the grids.
    """
    axis, seed = profiles.axis, scenario_seed if section.seed is None else section.seed
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
        for label, model in zip(labels_of(name), models, strict=True)
        if model is not None and model.errs
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
    single = {label.text for name in names for label in labels_of(name)}
    accepted = set(names) if read.names and read.names[0] in names else single
    unknown = [name for name in read.names if name not in accepted]
    if unknown:
        raise ScenarioError(
            f"{where}: {path}: row {unknown[0]!r} unknown; names of grids ({', '.join(names)}), or "
            "GRID.load, GRID.pv and price are accepted"
        )
    return read


@dataclass(frozen=True)
class Reality:
    """Realised series by grid, and their deviations from the profiles."""

    series: Mapping[str, GridSeries]
    paths: Mapping[Label, ErrorPath]


def reality_of(scenario: Scenario, profiles: Profiles) -> Reality:
    """Return the realised series: the profiles with the errors of the section `deviations`."""
    section = scenario.deviations
    if section is None:
        return Reality(profiles.series, {})
    paths = error_paths(profiles, section, section.error_models, scenario.seed, "deviations")
    return Reality({n: _realised(n, profiles, paths) for n in profiles.grids}, paths)


def _realised(name: str, profiles: Profiles, paths: Mapping[Label, ErrorPath]) -> GridSeries:
    load, pv, price = columns_of(profiles.series[name])
    of_load, of_pv, of_price = (paths.get(label) for label in labels_of(name))
    if of_load is not None:
        at = profiles.loads_only(name)
        load = load.copy()
        load[:, at] = deviated(load[:, at], of_load.deviation, relative=True)
    if of_pv is not None:
        pv = deviated(pv, of_pv.deviation, relative=True, upper=profiles.pv_upper(name))
    if of_price is not None and profiles.has_prices(name):
        price = deviated(price, of_price.deviation, relative=False)
    return series_of(load, pv, price)
