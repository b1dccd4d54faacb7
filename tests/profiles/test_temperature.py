"""Outdoor temperature: course of a day, variation, days that follow, mean of a day."""

import numpy as np
import pandas as pd
import pytest

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.temperature import TemperatureModel, daily_mean
from stackelgrid.profiles.time_axis import TimeAxis

MONDAY = pd.Timestamp("2025-01-13", tz="Europe/Berlin")


def axis_of(days, minutes=60, start=MONDAY):
    step = pd.Timedelta(minutes=minutes)
    return TimeAxis(start, step, round(pd.Timedelta(days=days) / step))


def series(model, axis, seed=1):
    return model.series(axis, np.random.default_rng(seed))


@pytest.mark.parametrize("minutes", [5, 15, 60])
def test_a_day_is_coldest_at_six_and_warmest_at_fifteen(minutes):
    axis = axis_of(1, minutes)
    found = series(TemperatureModel(3.0, daily_range_k=8.0), axis)
    hour = np.arange(axis.length) * minutes / 60.0
    assert 6.0 - minutes / 60.0 <= hour[np.argmin(found)] <= 6.0
    assert 15.0 - minutes / 60.0 <= hour[np.argmax(found)] <= 15.0
    # the middle of a step misses the extreme by half a step at most
    assert found.min() == pytest.approx(-1.0, abs=0.15)
    assert found.max() == pytest.approx(7.0, abs=0.15)
    # both half cosines have no mean: the day has that of the model
    assert found.mean() == pytest.approx(3.0, abs=0.02)


def test_the_course_is_a_half_cosine_up_and_one_down():
    found = series(TemperatureModel(0.0, daily_range_k=2.0), axis_of(1, 30))
    assert found[21] == pytest.approx(-np.cos(np.pi * 4.75 / 9.0))  # 10:30 to 11:00
    assert found[40] == pytest.approx(np.cos(np.pi * 5.25 / 15.0))  # 20:00 to 20:30


def test_the_course_follows_the_clock_when_it_changes():
    night = pd.Timestamp("2025-03-30", tz="Europe/Berlin")  # 23 hours
    found = series(TemperatureModel(0.0, daily_range_k=2.0), axis_of(2, start=night))
    # the same local hours of both days have the same value
    np.testing.assert_allclose(found[5:23], found[29:47], atol=1e-12)
    assert int(np.argmax(found[:23])) == 14  # 15:00 to 16:00, the fifteenth hour of this day


def test_weather_varies_as_declared():
    """Mean, standard deviation and autocorrelation over 20 correlation times."""
    model = TemperatureModel(-1.0, sigma_k=3.0, correlation_h=6.0)
    found = series(model, axis_of(1000))
    independent = 24000 / (2 * 6.0)
    assert found.mean() == pytest.approx(-1.0, abs=4.0 * 3.0 / np.sqrt(independent))
    assert found.std() == pytest.approx(3.0, rel=4.0 / np.sqrt(independent))
    off = (found - found.mean()) / found.std()
    for lag in (1, 6):
        assert np.mean(off[lag:] * off[:-lag]) == pytest.approx(np.exp(-lag / 6.0), abs=0.05)


def test_a_longer_axis_continues_a_shorter_one():
    model = TemperatureModel(2.0, daily_range_k=6.0, sigma_k=3.0)
    short, long = series(model, axis_of(2)), series(model, axis_of(9))
    np.testing.assert_array_equal(long[: len(short)], short)
    assert not np.array_equal(series(model, axis_of(2), seed=2), short)


def test_without_variation_the_generator_is_left_alone():
    rng = np.random.default_rng(1)
    TemperatureModel(2.0, daily_range_k=6.0).series(axis_of(1), rng)
    assert rng.uniform() == np.random.default_rng(1).uniform()


@pytest.mark.parametrize("step_h", [0.25, 1.0, 2.0])
def test_the_mean_of_a_day_looks_back_24_hours(step_h):
    values = np.random.default_rng(3).normal(size=200)
    found, steps = daily_mean(values, step_h), round(24.0 / step_h)
    for k in (0, 1, steps - 1, steps, 150):
        expected = values[max(k + 1 - steps, 0) : k + 1].mean()
        assert found[k] == pytest.approx(expected, abs=1e-12)


def test_the_mean_of_a_day_is_causal():
    values = np.random.default_rng(4).normal(size=60)
    other = values.copy()
    other[40:] += 10.0
    np.testing.assert_array_equal(daily_mean(values, 1.0)[:40], daily_mean(other, 1.0)[:40])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"mean_c": 275.15}, "mean_c is 275.15"),
        ({"mean_c": np.nan}, "mean_c is nan"),
        ({"mean_c": 0.0, "daily_range_k": -1.0}, "daily_range_k is -1"),
        ({"mean_c": 0.0, "sigma_k": 31.0}, "sigma_k is 31"),
        ({"mean_c": 0.0, "correlation_h": -1.0}, "correlation_h is -1"),
    ],
)
def test_values_out_of_range_are_refused(values, said):
    with pytest.raises(ProfileError) as error:
        TemperatureModel(**values)
    assert f"TemperatureModel: {said}" in str(error.value)
