"""Photovoltaic feed-in and clouds."""

import time

import numpy as np
import pandas as pd
import pvlib
import pytest
from support.machine import in_time

from stackelgrid.profiles.clouds import local_clear_sky_index
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.photovoltaics import (
    CloudModel,
    Module,
    Site,
    pv_fleet,
    pv_per_kwp,
    pv_systems,
    regional_clear_sky_index,
)
from stackelgrid.profiles.time_axis import TimeAxis

SITE = Site(50.0, 10.0, 200.0, "Europe/Berlin")
SOUTH = Module(35.0, 180.0)
QUARTER = pd.Timedelta(minutes=15)


def axis_of(start="2024-06-20", length=96, step=QUARTER):
    return TimeAxis(pd.Timestamp(start, tz=SITE.timezone), step, length)


def sun_at(times):
    return pvlib.solarposition.get_solarposition(times, 50.0, 10.0, 200.0, temperature=15.0)


def test_clear_sky_matches_pvlib_called_directly():
    axis = axis_of()
    middle = axis.index + pd.Timedelta(minutes=7, seconds=30)
    sun = sun_at(middle)
    location = pvlib.location.Location(50.0, 10.0, SITE.timezone, 200.0)
    sky = location.get_clearsky(middle, model="ineichen", solar_position=sun)
    plane = pvlib.irradiance.get_total_irradiance(
        35.0,
        180.0,
        sun["apparent_zenith"],
        sun["azimuth"],
        sky["dni"],
        sky["ghi"],
        sky["dhi"],
        dni_extra=pvlib.irradiance.get_extra_radiation(middle),
        model="haydavies",
    )["poa_global"]
    dc = pvlib.pvsystem.pvwatts_dc(plane, pvlib.temperature.faiman(plane, 15.0, 1.0), 1.0, -0.004)
    expected = pvlib.inverter.pvwatts(dc * 0.92, 1.0, 0.96).fillna(0.0).to_numpy()
    feed_in = pv_per_kwp(SITE, SOUTH, axis, None)
    np.testing.assert_allclose(feed_in, expected, rtol=1e-9, atol=1e-12)


def test_south_roof_in_june_peaks_at_noon_within_the_usual_range():
    axis = axis_of()
    feed_in = pv_per_kwp(SITE, SOUTH, axis, None)
    assert 0.7 < feed_in.max() < 0.95
    noon = axis.index[feed_in.argmax()]
    # 10 degrees east is 40 min solar time after UTC: solar noon is near 13:22 summer time.
    assert abs(noon - pd.Timestamp("2024-06-20 13:15", tz=SITE.timezone)) <= QUARTER
    assert 5.0 < feed_in.sum() / 4 < 7.5  # kWh per kWp on a clear June day


@pytest.mark.parametrize("day", ["2024-06-20", "2024-12-21"])
def test_day_length_agrees_with_sunrise_and_sunset(day):
    axis = axis_of(day)
    rise_set = pvlib.solarposition.sun_rise_set_transit_spa(
        pd.DatetimeIndex([axis.start]), 50.0, 10.0
    )
    sunrise, sunset = rise_set["sunrise"].iloc[0], rise_set["sunset"].iloc[0]
    # A flat system sees the whole sky, but a PVWatts inverter only starts at 0.6 % load, which
    # the low sun takes up to 40 min to reach.
    on = np.flatnonzero(pv_per_kwp(SITE, Module(0.0, 180.0), axis, None))
    assert -QUARTER < axis.index[on[0]] - sunrise < pd.Timedelta(minutes=40)
    assert -QUARTER < sunset - (axis.index[on[-1]] + QUARTER) < pd.Timedelta(minutes=40)


def test_night_is_exactly_zero_and_nothing_is_negative():
    axis = axis_of("2024-01-01", 366 * 24, pd.Timedelta(hours=1))
    index = np.full(axis.length, 1.1)
    feed_in = pv_per_kwp(SITE, Module(80.0, 90.0), axis, index)
    sun = sun_at(axis.index + axis.step / 2)
    assert (feed_in[sun["apparent_elevation"].to_numpy() <= 0.0] == 0.0).all()
    assert np.isfinite(feed_in).all()
    assert feed_in.min() >= 0.0
    assert feed_in.max() <= 0.96  # the inverter's limit


def test_middle_of_the_step_makes_morning_and_evening_symmetric():
    # At longitude 0 the sun culminates 12:00 UTC minus the equation of time, which vanishes in
    # mid-June; taking left edges would skew the two halves by a quarter-hour.
    site = Site(50.0, 0.0, 0.0, "UTC")
    axis = TimeAxis(pd.Timestamp("2024-06-13", tz="UTC"), QUARTER, 96)
    feed_in = pv_per_kwp(site, SOUTH, axis, None)
    assert np.abs(feed_in - feed_in[::-1]).max() < 0.005


def test_east_roof_leads_west_roof_and_index_one_is_the_clear_sky():
    axis = axis_of()
    both = pv_systems(SITE, [Module(40.0, 90.0), Module(40.0, 270.0)], axis, None)
    assert both[:, 0].argmax() + 16 < both[:, 1].argmax()
    clear = pv_per_kwp(SITE, SOUTH, axis, None)
    np.testing.assert_array_equal(pv_per_kwp(SITE, SOUTH, axis, np.ones(96)), clear)
    dark = pv_per_kwp(SITE, SOUTH, axis, np.full(96, 0.3))
    assert 0.2 < dark.sum() / clear.sum() < 0.35


@pytest.mark.parametrize(("variant", "mean"), [("sunny", 0.92), ("cloudy", 0.35)])
def test_cloud_index_has_the_stated_mean_and_bounds(variant, mean):
    index = regional_clear_sky_index(
        axis_of(length=200_000), CloudModel(variant), np.random.default_rng(1)
    )
    assert index.mean() == pytest.approx(mean, abs=0.02)
    assert index.min() >= 0.05
    assert index.max() <= 1.1
    if variant == "sunny":
        assert 0.02 < (index < 0.6).mean() < 0.08  # dips are there and rare
    else:
        assert index.std() > 0.18


def test_clear_variant_is_one_and_draws_nothing():
    rng = np.random.default_rng(1)
    assert (regional_clear_sky_index(axis_of(), CloudModel("clear"), rng) == 1.0).all()
    assert rng.random() == np.random.default_rng(1).random()


def test_local_clouds_are_small_against_the_common_ones():
    axis = axis_of(length=20_000)
    clouds = CloudModel("cloudy")
    regional = regional_clear_sky_index(axis, clouds, np.random.default_rng(1))
    local = local_clear_sky_index(axis, regional, clouds, np.random.default_rng(2).spawn(2))
    assert 0.9 < np.corrcoef(local.T)[0, 1] < 0.99
    assert local.min() >= 0.05
    assert local.max() <= 1.1
    edges = np.tile([0.05, 1.1], 10_000)
    on_bounds = local_clear_sky_index(axis, edges, clouds, np.random.default_rng(2).spawn(1))
    np.testing.assert_allclose(on_bounds[:, 0], edges, atol=1e-6)


def fleet(axis, count, variant="sunny", seed=3):
    clouds = CloudModel(variant)
    regional = regional_clear_sky_index(axis, clouds, np.random.default_rng(2))
    return pv_fleet(SITE, axis, count, SOUTH, clouds, regional, np.random.default_rng(seed))


def test_fleet_is_reproducible_prefix_stable_and_diverse():
    axis = axis_of(length=96)
    np.testing.assert_array_equal(fleet(axis, 6), fleet(axis, 6))
    grown = fleet(axis_of(length=192), 11)
    np.testing.assert_array_equal(fleet(axis, 6), grown[:96, :6])
    assert not np.array_equal(fleet(axis, 6), fleet(axis, 6, seed=4))
    assert np.ptp(fleet(axis, 40, "clear").sum(axis=0)) > 0.0


def test_150_systems_over_two_days_take_less_than_a_second():
    begin = time.perf_counter()
    assert fleet(axis_of(length=192), 150).shape == (192, 150)
    assert in_time(time.perf_counter() - begin, 1.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Site(91.0, 0.0, 0.0, "UTC"), "latitude is 91.0"),
        (lambda: Site(0.0, 181.0, 0.0, "UTC"), "longitude is 181.0"),
        (lambda: Site(0.0, 0.0, float("nan"), "UTC"), "altitude_m is nan"),
        (lambda: Site(0.0, 0.0, 0.0, "Berlin"), "timezone is 'Berlin'"),
        (lambda: Site(0.0, 0.0, 0.0, ""), "timezone is ''"),
        (lambda: Site(0.0, 0.0, 0.0, 3), "timezone is 3"),
        (lambda: Module(91.0, 180.0), "tilt_degree is 91.0"),
        (lambda: Module(30.0, -1.0), "azimuth_degree is -1.0"),
        (lambda: Module(30.0, 180.0, 0.0), r"inverter_efficiency is 0.0; .* \(0, 1\]"),
        (lambda: Module(30.0, 180.0, 0.96, 0.004), "temperature_coefficient is 0.004"),
        (lambda: Module(30.0, 180.0, system_loss=1.0), "system_loss is 1.0"),
        (lambda: CloudModel("foggy"), "variant is 'foggy'; one of clear, sunny, cloudy"),
        (lambda: pv_per_kwp(SITE, SOUTH, axis_of(), np.ones(95)), r"shape \(95,\); \(96,\)"),
        (lambda: pv_per_kwp(SITE, SOUTH, axis_of(), np.full(96, 1.2)), "1.2 at step 0"),
        (lambda: pv_systems(SITE, [], axis_of(), None), "number of modules is 0"),
        (lambda: pv_systems(SITE, [SOUTH], axis_of(), np.ones((96, 2))), r"shape \(96, 2\)"),
        (lambda: fleet(axis_of(), 0), "count is 0"),
    ],
)
def test_bad_input_is_refused_by_name_and_value(build, message):
    with pytest.raises(ProfileError, match=message):
        build()


def test_cold_air_raises_the_feed_in_by_the_temperature_coefficient():
    axis = axis_of()
    warm, cold = (
        pv_systems(SITE, [SOUTH], axis, None, np.full(axis.length, celsius))[:, 0]
        for celsius in (SITE.ambient_c, SITE.ambient_c - 20.0)
    )
    np.testing.assert_array_equal(warm, pv_systems(SITE, [SOUTH], axis, None)[:, 0])
    noon = int(np.argmax(warm))
    # a cell is as much colder as the air; the inverter's efficiency hardly changes with its load
    gain = cold[noon] / warm[noon] - 1.0
    assert gain == pytest.approx(-20.0 * SOUTH.temperature_coefficient, rel=0.15)
