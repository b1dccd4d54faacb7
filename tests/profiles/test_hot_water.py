"""Draw of hot water: 1 kWh a day at any step."""

import numpy as np
import pandas as pd
import pytest

from stackelgrid.profiles.hot_water import draw_of_hot_water, largest_draw
from stackelgrid.profiles.time_axis import TimeAxis


@pytest.mark.parametrize("minutes", [15, 30, 60, 90, 180, 720])
@pytest.mark.parametrize("start", ["2025-01-13", "2025-01-13T17:00"])
def test_a_day_draws_one_kilowatt_hour(minutes, start):
    step = pd.Timedelta(minutes=minutes)
    axis = TimeAxis(pd.Timestamp(start, tz="Europe/Berlin"), step, 24 * 60 // minutes)
    found = draw_of_hot_water(axis)
    assert found.sum() * minutes / 60.0 == pytest.approx(1.0, rel=1e-12)
    assert found.min() > 0.0
    assert found.max() <= largest_draw() * (1.0 + 1e-12)


def test_hot_water_is_drawn_in_the_morning_and_in_the_evening():
    axis = TimeAxis(pd.Timestamp("2025-01-13", tz="Europe/Berlin"), pd.Timedelta(hours=1), 24)
    found = draw_of_hot_water(axis)
    assert int(np.argmax(found)) == 7
    assert found.max() == pytest.approx(largest_draw(), rel=1e-12)
    assert int(np.argmax(found[12:])) + 12 == 19
    assert found[:5].sum() < 0.03


def test_longer_steps_hold_the_mean_of_shorter_ones():
    start = pd.Timestamp("2025-01-13", tz="Europe/Berlin")
    day = [TimeAxis(start, pd.Timedelta(minutes=m), 24 * 60 // m) for m in (15, 60)]
    short, long = (draw_of_hot_water(axis) for axis in day)
    np.testing.assert_allclose(short.reshape(24, 4).mean(axis=1), long, rtol=1e-12)
