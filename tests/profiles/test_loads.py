"""Standard load profiles and the diversity around them."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from demandlib.bdew import H25

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.loads import LoadDiversity, diverse_loads, standard_load
from stackelgrid.profiles.random_processes import stationary_ar1
from stackelgrid.profiles.time_axis import TimeAxis

QUARTER = pd.Timedelta(minutes=15)
BERLIN = "Europe/Berlin"
KINDS = ["household", "commercial", "agriculture", "household_pv", "household_pv_storage"]


def axis_of(start, length=96, step=QUARTER, tz=BERLIN):
    return TimeAxis(pd.Timestamp(start, tz=tz), step, length)


@pytest.mark.parametrize("kind", KINDS)
def test_annual_maximum_is_one(kind):
    year = standard_load(kind, axis_of("2023-01-01", 365 * 96))
    assert year.max() == pytest.approx(1.0, abs=1e-15)
    assert year.min() > 0.0


def test_household_follows_demandlib_and_peaks_in_the_evening():
    load = standard_load("household", axis_of("2024-01-16"))  # a Tuesday
    naive = pd.date_range("2024-01-01", "2025-01-01", freq="15min", inclusive="left")
    direct = H25(naive)
    expected = direct.loc["2024-01-16"].to_numpy() / direct.max()
    np.testing.assert_allclose(load, expected, rtol=1e-14)
    hour = load.argmax() / 4
    assert 17.5 <= hour <= 20.0
    assert load[12:20].max() < 0.5 * load.max()  # 03:00 to 05:00 is the valley


def test_shops_work_by_day_and_rest_on_sunday_and_holidays():
    tuesday = standard_load("commercial", axis_of("2024-01-16"))
    sunday = standard_load("commercial", axis_of("2024-01-14"))
    assert 8.0 <= tuesday.argmax() / 4 <= 16.0
    assert sunday.sum() < 0.8 * tuesday.sum()
    holiday = standard_load("commercial", axis_of("2024-01-16"), [dt.date(2024, 1, 16)])
    np.testing.assert_array_equal(holiday, sunday)  # the commercial profile is static


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25)])
def test_clock_change_days_follow_the_wall_clock(day, hours):
    changed = standard_load("commercial", axis_of(day, hours * 4))
    # The Sunday a week earlier in the same month has the same profile without a clock change.
    plain = standard_load("commercial", axis_of(pd.Timestamp(day) - pd.Timedelta(days=7)))
    np.testing.assert_array_equal(changed[:8], plain[:8])
    np.testing.assert_array_equal(changed[-80:], plain[-80:])
    if hours == 25:
        np.testing.assert_array_equal(changed[8:12], changed[12:16])


def test_new_year_is_crossed_with_the_reference_of_the_first_year():
    across = standard_load("household", axis_of("2023-12-31", 192))
    first = standard_load("household", axis_of("2023-12-31"))
    second = standard_load("household", axis_of("2024-01-01"))
    np.testing.assert_array_equal(across[:96], first)
    ratio = across[96:] / second  # one constant: the quotient of the two annual maxima
    assert np.ptp(ratio) < 1e-12
    assert ratio[0] == pytest.approx(1.0, abs=0.02)


def test_coarse_fine_and_offset_steps_are_means_over_time():
    quarters = standard_load("household", axis_of("2024-01-16"))
    hours = standard_load("household", axis_of("2024-01-16", 24, pd.Timedelta(hours=1)))
    np.testing.assert_allclose(hours, quarters.reshape(24, 4).mean(axis=1), rtol=1e-14)
    fine = standard_load("household", axis_of("2024-01-16", 288, pd.Timedelta(minutes=5)))
    np.testing.assert_array_equal(fine, np.repeat(quarters, 3))
    shifted = standard_load("household", axis_of("2024-01-16 00:05", 95))
    expected = (2 * quarters[:-1] + quarters[1:]) / 3  # ten minutes of one, five of the next
    np.testing.assert_allclose(shifted, expected, rtol=1e-14)


def test_wall_clock_is_that_of_the_axis():
    local = standard_load("household", axis_of("2024-01-16", 96))
    in_utc = standard_load("household", axis_of("2024-01-15 23:00", 96, tz="UTC"))
    np.testing.assert_array_equal(local[:-4], in_utc[4:])


def test_unknown_kind_and_holiday_are_refused():
    with pytest.raises(ProfileError, match="kind is 'villa'; one of household, commercial"):
        standard_load("villa", axis_of("2024-01-16"))
    with pytest.raises(ProfileError, match="holiday is 'Easter'; a date"):
        standard_load("household", axis_of("2024-01-16"), ["Easter"])


def padded_loads(axis, count, seed=7, diversity=None):
    diversity = diversity or LoadDiversity()
    base = standard_load("household", diversity.padded(axis))
    return diverse_loads(base, axis, count, diversity, np.random.default_rng(seed))


def test_seed_reproduces_and_another_differs():
    axis = axis_of("2024-01-16")
    np.testing.assert_array_equal(padded_loads(axis, 5), padded_loads(axis, 5))
    assert not np.array_equal(padded_loads(axis, 5), padded_loads(axis, 5, seed=8))


def test_longer_axis_and_larger_fleet_keep_the_first_values_bitwise():
    short, long = axis_of("2024-01-16", 50), axis_of("2024-01-16", 192)
    few, many = padded_loads(short, 4), padded_loads(long, 9)
    np.testing.assert_array_equal(few, many[:50, :4])


def test_without_padding_only_steps_near_the_end_depend_on_it():
    diversity = LoadDiversity()
    axis = axis_of("2024-01-16")
    base = standard_load("household", axis_of("2024-01-16", 192))
    short = diverse_loads(base[:96], axis, 6, diversity, np.random.default_rng(7))
    long = diverse_loads(base, axis_of("2024-01-16", 192), 6, diversity, np.random.default_rng(7))
    margin = diversity.margin(axis)
    assert margin == 9  # three standard deviations of 45 min in steps of 15 min
    np.testing.assert_array_equal(short[:-margin], long[: 96 - margin])


def test_mean_of_many_customers_tends_to_the_smoothed_base():
    axis = axis_of("2024-01-16")
    loads = padded_loads(axis, 8000)
    assert loads.min() >= 0.0
    base = standard_load("household", axis)
    # Standard error of a customer's factor: sqrt(exp(0.35^2 + 0.25^2) - 1) / sqrt(8000) = 0.5 %.
    assert loads.mean() == pytest.approx(base.mean(), rel=0.02)
    diversity = LoadDiversity(shift_min_sigma=0.0)
    unshifted = padded_loads(axis, 8000, diversity=diversity).mean(axis=1)
    np.testing.assert_allclose(unshifted, base, rtol=0.025)


def test_no_diversity_is_the_base():
    axis = axis_of("2024-01-16")
    loads = padded_loads(axis, 3, diversity=LoadDiversity(0.0, 0.0, 0.0, 0.0))
    base = standard_load("household", axis)
    np.testing.assert_array_equal(loads, np.repeat(base[:, None], 3, axis=1))


def test_ar1_is_stationary_with_the_stated_correlation_whatever_the_step():
    for minutes in (5, 15):
        axis = axis_of("2024-01-01", 200_000, pd.Timedelta(minutes=minutes))
        series = stationary_ar1(axis, 1.0, np.random.default_rng(3))
        assert series.std() == pytest.approx(1.0, abs=0.03)
        lag = 60 // minutes
        correlation = np.corrcoef(series[:-lag], series[lag:])[0, 1]
        assert correlation == pytest.approx(np.exp(-1.0), abs=0.03)
    first = [
        stationary_ar1(axis_of("2024-01-01", 1), 9.0, rng)[0]
        for rng in np.random.default_rng(4).spawn(4000)
    ]
    assert np.std(first) == pytest.approx(1.0, abs=0.04)  # no warm-up needed


@pytest.mark.parametrize(
    "arguments",
    [
        {"level_sigma": -0.1},
        {"shift_min_sigma": float("nan")},
        {"noise_sigma": "much"},
        {"noise_correlation_h": float("inf")},
        {"noise_sigma": True},
    ],
)
def test_bad_diversity_is_refused_by_name(arguments):
    (name,) = arguments
    with pytest.raises(ProfileError, match=f"LoadDiversity: {name} is "):
        LoadDiversity(**arguments)


def test_bad_bases_are_refused():
    axis = axis_of("2024-01-16", 8)
    rng = np.random.default_rng(0)
    with pytest.raises(ProfileError, match=r"7 values; 8 .* or 26 "):
        diverse_loads(np.ones(7), axis, 2, LoadDiversity(), rng)
    with pytest.raises(ProfileError, match=r"base is -1\.0 at step 3"):
        diverse_loads([1, 1, 1, -1, 1, 1, 1, 1], axis, 2, LoadDiversity(), rng)
    with pytest.raises(ProfileError, match="base is nan at step 0"):
        diverse_loads([np.nan] * 8, axis, 2, LoadDiversity(), rng)
    with pytest.raises(ProfileError, match="base is not numeric"):
        diverse_loads(["a"] * 8, axis, 2, LoadDiversity(), rng)
    with pytest.raises(ProfileError, match="count is 0"):
        diverse_loads(np.ones(8), axis, 0, LoadDiversity(), rng)
