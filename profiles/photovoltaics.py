"""Photovoltaic feed-in per installed kilowatt from pvlib's clear sky and a clear-sky index."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pvlib

from stackelgrid.profiles._checks import (
    finite_array,
    require_count,
    require_number,
)
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.clouds import (
    INDEX_HIGH,
    INDEX_LOW,
    CloudModel,
    local_clear_sky_index,
    regional_clear_sky_index,
)
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.site import Site
from stackelgrid.profiles.time_axis import TimeAxis

__all__ = [
    "CloudModel",
    "Module",
    "Site",
    "pv_fleet",
    "pv_per_kwp",
    "pv_systems",
    "regional_clear_sky_index",
]


def azimuth_to_equator(latitude: float) -> float:
    """Return the azimuth, in degrees clockwise from north, of a system that faces the equator.

    180 (south) north of the equator and on it, 0 (north) south of it; `latitude` in degrees.
    """
    return 180.0 if latitude >= 0.0 else 0.0


@dataclass(frozen=True)
class Module:
    """A photovoltaic system of one orientation, per installed kilowatt.

    Tilt from the horizontal and azimuth clockwise from north (180 is south) in degrees;
    nominal inverter efficiency (-); temperature coefficient of the power (1/K); `system_loss`
    is the share of DC power lost to soiling, mismatch, wiring and reflection (-). The inverter
    is as large as the modules. Raises ProfileError for values out of range.
    """

    tilt_degree: float
    azimuth_degree: float
    inverter_efficiency: float = 0.96
    temperature_coefficient: float = -0.004
    system_loss: float = 0.08

    def __post_init__(self) -> None:
        """Raise ProfileError for values out of range."""
        require_number("Module", "tilt_degree", self.tilt_degree, 0.0, 90.0)
        require_number("Module", "azimuth_degree", self.azimuth_degree, 0.0, 360.0)
        require_number(
            "Module", "inverter_efficiency", self.inverter_efficiency, 0.0, 1.0, open_low=True
        )
        require_number(
            "Module", "temperature_coefficient", self.temperature_coefficient, -0.02, 0.0
        )
        require_number("Module", "system_loss", self.system_loss, 0.0, 0.9)


@dataclass(frozen=True)
class _Sky:
    """Sun and clear sky at the middle of every step, each array of shape (n, 1)."""

    up: npt.NDArray[np.bool_]
    zenith: Floats
    azimuth: Floats
    day_of_year: Floats
    dni_extra: Floats
    ghi: Floats
    dni: Floats


def pv_per_kwp(
    site: Site, module: Module, axis: TimeAxis, clear_sky_index: npt.ArrayLike | None
) -> Floats:
    """Return the AC feed-in of one system in kW per installed kWp, shape (n,).

    site, module: place and data of the system.
    axis: time axis of n steps.
    clear_sky_index: index (n,) in [0.05, 1.1]; None: a clear sky, the same as an index of one.

    See `pv_systems` for the model and the errors.
    """
    index = None
    if clear_sky_index is not None:
        index = finite_array(
            "pv_per_kwp", "clear_sky_index", clear_sky_index, axis.length, INDEX_LOW, INDEX_HIGH
        )[:, None]
    return pv_systems(site, [module], axis, index)[:, 0]


def pv_systems(
    site: Site,
    modules: Sequence[Module],
    axis: TimeAxis,
    clear_sky_index: Floats | None,
    outdoor_c: Floats | None = None,
) -> Floats:
    """Return the AC feed-in of several systems at one site in kW per kWp, shape (n, systems).

    site: place of the systems.
    modules: data of each system.
    axis: time axis of n steps.
    clear_sky_index: index (n, systems) or (n, 1) in [0.05, 1.1]; None: a clear sky.
    outdoor_c: temperature of the air (n,) in degrees Celsius; None: that of the site.

    Each value is taken at the middle of its step; it is never negative and exactly 0 while the sun
    is below the horizon. Raises ProfileError without modules and for an index of another shape or
    out of range.

    Source: pvlib - Ineichen clear sky with its bundled turbidity table, Erbs beam and diffuse
    shares, Hay-Davies transposition, Faiman cell temperature, PVWatts modules and inverter.
    """
    require_count("pv_systems", "number of modules", len(modules), 1)
    sky = _sky(site, axis)
    ghi, dni, dhi = _under_clouds(sky, clear_sky_index, len(modules))
    plane = pvlib.irradiance.get_total_irradiance(
        _row([module.tilt_degree for module in modules]),
        _row([module.azimuth_degree for module in modules]),
        sky.zenith,
        sky.azimuth,
        dni,
        ghi,
        dhi,
        dni_extra=sky.dni_extra,
        model="haydavies",
    )["poa_global"]
    air_c = site.ambient_c if outdoor_c is None else outdoor_c[:, None]
    cell_c = pvlib.temperature.faiman(plane, air_c, site.wind_m_per_s)
    dc = pvlib.pvsystem.pvwatts_dc(
        plane, cell_c, 1.0, _row([module.temperature_coefficient for module in modules])
    )
    dc = dc * (1.0 - _row([module.system_loss for module in modules]))
    ac = pvlib.inverter.pvwatts(dc, 1.0, _row([module.inverter_efficiency for module in modules]))
    return np.where(sky.up, ac, 0.0)


def pv_fleet(
    site: Site,
    axis: TimeAxis,
    count: int,
    module: Module,
    clouds: CloudModel,
    regional_index: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    cloud_rng: np.random.Generator | None = None,
    outdoor_c: Floats | None = None,
    tilt_sigma_degree: float = 8.0,
    azimuth_sigma_degree: float = 30.0,
) -> Floats:
    """Return the AC feed-in of many roofs in kW per kWp, shape (n, count).

    site: place of the roofs.
    axis: time axis of n steps.
    count: number of roofs.
    module: mean data of the roofs.
    clouds: cloudiness.
    regional_index: index (n,) of `regional_clear_sky_index`, possibly shared by several grids; each
        roof adds its own small local clouds.
    rng: every roof draws from its own child, so the first ones stay the same when `count` or the
        axis grows.
    cloud_rng: source of the local clouds instead: the same roofs on another day.
    outdoor_c: temperature of the air (n,) in degrees Celsius; None: that of the site.
    tilt_sigma_degree, azimuth_sigma_degree: standard deviations of the normal scatter of the
        orientation; tilts are clipped to [0, 90].

    Raises ProfileError as `pv_systems` does.
    """
    require_count("pv_fleet", "count", count, 1)
    require_number("pv_fleet", "tilt_sigma_degree", tilt_sigma_degree, 0.0, 90.0)
    require_number("pv_fleet", "azimuth_sigma_degree", azimuth_sigma_degree, 0.0, 360.0)
    children = rng.spawn(count)
    modules = []
    for child in children:
        tilt_draw, azimuth_draw = child.standard_normal(2)
        tilt = module.tilt_degree + tilt_sigma_degree * tilt_draw
        azimuth = module.azimuth_degree + azimuth_sigma_degree * azimuth_draw
        modules.append(
            Module(
                float(np.clip(tilt, 0.0, 90.0)),
                float(azimuth % 360.0),
                module.inverter_efficiency,
                module.temperature_coefficient,
                module.system_loss,
            )
        )
    passing = children if cloud_rng is None else cloud_rng.spawn(count)
    index = local_clear_sky_index(axis, regional_index, clouds, passing)
    return pv_systems(site, modules, axis, index, outdoor_c)


def south_window(site: Site, axis: TimeAxis, clear_sky_index: Floats) -> Floats:
    """Return the irradiance on a vertical plane that faces the equator in W/m2, shape (n,).

    site: place.
    axis: time axis of n steps.
    clear_sky_index: index (n,) in [0.05, 1.1].
    """
    sky = _sky(site, axis)
    ghi, dni, dhi = _under_clouds(sky, clear_sky_index[:, None], 1)
    plane = pvlib.irradiance.get_total_irradiance(
        90.0, azimuth_to_equator(site.latitude), sky.zenith, sky.azimuth, dni, ghi, dhi,
        dni_extra=sky.dni_extra, model="haydavies",
    )["poa_global"]  # fmt: skip
    return np.where(sky.up, np.maximum(plane, 0.0), 0.0)[:, 0]


@functools.lru_cache(maxsize=16)
def _sky(site: Site, axis: TimeAxis) -> _Sky:
    """Compute sun and clear sky once for all systems of a site."""
    middle = axis.index.tz_convert("UTC") + axis.step / 2
    location = pvlib.location.Location(
        site.latitude, site.longitude, tz="UTC", altitude=site.altitude_m
    )
    sun = location.get_solarposition(middle, temperature=site.ambient_c)
    clear = location.get_clearsky(middle, model="ineichen", solar_position=sun)
    return _Sky(
        up=_column(sun["apparent_elevation"]) > 0.0,
        zenith=_column(sun["apparent_zenith"]),
        azimuth=_column(sun["azimuth"]),
        day_of_year=_column(middle.dayofyear),
        dni_extra=_column(pvlib.irradiance.get_extra_radiation(middle)),
        ghi=_column(clear["ghi"]),
        dni=_column(clear["dni"]),
    )


def _under_clouds(sky: _Sky, index: Floats | None, systems: int) -> tuple[Floats, Floats, Floats]:
    """Return global, beam and diffuse irradiance in W/m2, broadcastable to (n, systems)."""
    if index is None:
        index = np.ones((sky.ghi.shape[0], 1))
    if index.ndim != 2 or index.shape[0] != sky.ghi.shape[0] or index.shape[1] not in (1, systems):
        raise ProfileError(
            f"pv_systems: clear_sky_index has shape {index.shape}; "
            f"({sky.ghi.shape[0]}, {systems}) or ({sky.ghi.shape[0]}, 1) is accepted"
        )
    finite_array("pv_systems", "clear_sky_index", index.ravel(), None, INDEX_LOW, INDEX_HIGH)
    ghi = sky.ghi * index
    # Erbs' beam share is used relative to that of a clear sky, so that an index of one is exactly
    # the clear sky. Near the horizon Erbs gives no beam: keep the ratio.
    cloudy = pvlib.irradiance.erbs(ghi, sky.zenith, sky.day_of_year)["dni"]
    clear = pvlib.irradiance.erbs(sky.ghi, sky.zenith, sky.day_of_year)["dni"]
    ratio = np.divide(cloudy, clear, out=index.copy(), where=clear > 0.0)
    cos_zenith = np.cos(np.radians(np.minimum(sky.zenith, 89.9)))
    dni = np.minimum(sky.dni * ratio, ghi / cos_zenith)
    return ghi, dni, ghi - dni * cos_zenith


def _column(values: pd.Series | pd.Index) -> Floats:
    return np.asarray(values, dtype=np.float64)[:, None]


def _row(values: list[float]) -> Floats:
    return np.array(values, dtype=np.float64)[None, :]
