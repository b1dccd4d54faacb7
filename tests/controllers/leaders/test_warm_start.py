"""Prices of trade that later intervals begin with: which earlier horizon they are taken from."""

import numpy as np
import pytest

from stackelgrid.controllers.leaders.warm_start import WarmStart, WarmStarts
from stackelgrid.controllers.solvers.conic import NO_ROWS
from stackelgrid.profiles.time_axis import Horizon

GROWING = Horizon((15, 15, 15, 15, 60, 60), 15)
QUARTERS = GROWING.dt_h
NOTHING = 0.0


def cleared(interval, prices, weight):
    return WarmStart(interval, NO_ROWS, prices, weight)


def test_nothing_is_expected_before_the_first_interval():
    assert WarmStarts(GROWING).prices(0) is None


def test_hours_of_an_earlier_horizon_are_hours_of_the_present_one():
    prices = WarmStarts(GROWING)
    prices.keep(cleared(0, np.array([10.0, 11.0, 12.0, 13.0, 50.0, 90.0]) * QUARTERS, NOTHING))
    # an hour later: the hour of 50 is now four quarters; nobody knew the last hour
    expected = np.array([50.0, 50.0, 50.0, 50.0, 90.0, 90.0]) * QUARTERS
    np.testing.assert_allclose(prices.prices(4), expected, rtol=1e-12)
    # a quarter later hours are other hours: nothing to go by
    for interval in (1, 2, 3, 5):
        assert prices.prices(interval) is None


def test_equal_steps_are_those_of_the_interval_before():
    prices = WarmStarts(Horizon((60, 60, 60), 60))
    prices.keep(cleared(7, np.array([1.0, 2.0, 3.0]), 0.0))
    np.testing.assert_allclose(prices.prices(8), [2.0, 3.0, 3.0])


def test_prices_that_would_have_cost_too_much_are_not_expected_until_they_would_not():
    prices = WarmStarts(Horizon((60, 60), 60))
    share = 1e-3  # MW traded over EUR of all costs
    prices.keep(cleared(0, np.array([10.0, 20.0]), share))
    prices.keep(cleared(1, np.array([20.05, 20.0]), share))  # off by 0.05: 5e-5 of all costs
    assert prices.prices(2) is not None
    prices.keep(cleared(2, np.array([20.0, 20.2]), share))  # off by 0.2 in a step
    assert prices.prices(3) is None
    # an amended instance of the same interval begins where it ended
    np.testing.assert_allclose(prices.prices(2), [20.0, 20.2])
    prices.keep(cleared(3, np.array([20.2, 20.2]), share))
    np.testing.assert_allclose(prices.prices(4), [20.2, 20.2])


def test_a_state_is_taken_over_and_not_shared():
    prices, other = WarmStarts(GROWING), WarmStarts(GROWING)
    prices.keep(cleared(0, QUARTERS, NOTHING))
    other.restore(prices.state())
    other.keep(cleared(0, 2.0 * QUARTERS, NOTHING))
    assert prices.prices(0) == pytest.approx(QUARTERS)
    assert other.prices(0) == pytest.approx(2.0 * QUARTERS)
