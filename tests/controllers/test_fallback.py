"""Shifting a schedule to a later horizon."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stackelgrid.controllers.fallback import shifted
from stackelgrid.profiles.time_axis import Horizon


@st.composite
def horizons(draw):
    """Steps that grow from one interval of 15 min to two hours."""
    first = draw(st.integers(1, 5))
    later = draw(st.lists(st.sampled_from([15, 30, 60, 120]), max_size=5))
    return Horizon((15,) * first + tuple(sorted(later)), 15)


@st.composite
def profiles(draw):
    horizon = draw(horizons())
    value = st.floats(-2.0, 2.0)
    rows = draw(
        st.lists(
            st.lists(value, min_size=horizon.length, max_size=horizon.length),
            min_size=1, max_size=3,
        )
    )  # fmt: skip
    return horizon, np.array(rows)


def value_at(values, horizon, hour):
    """The staircase that a schedule is, held beyond its end; `hour` from its start."""
    ends = np.cumsum(horizon.dt_h)
    return values[:, min(int(np.searchsorted(ends, hour, side="right")), horizon.length - 1)]


@settings(max_examples=120)
@given(profile=profiles(), age=st.integers(0, 60))
def test_shifting_averages_the_staircase(profile, age):
    horizon, values = profile
    moved = shifted(values, horizon, age)
    assert moved.shape == values.shape
    start = age * 0.25
    for step, dt in enumerate(horizon.dt_h):
        # means over quarter hours of the staircase as it stands at their middles
        middles = start + np.arange(round(dt / 0.25)) * 0.25 + 0.125
        mean = np.mean([value_at(values, horizon, hour) for hour in middles], axis=0)
        np.testing.assert_allclose(moved[:, step], mean, rtol=0, atol=1e-12)
        start += dt


@settings(max_examples=60)
@given(profile=profiles(), age=st.integers(1, 3), again=st.integers(1, 3))
def test_shifting_twice_is_shifting_once_where_steps_are_single_intervals(profile, age, again):
    horizon, values = profile
    twice = shifted(shifted(values, horizon, age), horizon, again)
    once = shifted(values, horizon, age + again)
    single = int(np.argmax([*(horizon.intervals_per_step > 1), True]))  # leading single intervals
    known = max(single - again, 0)
    np.testing.assert_allclose(twice[:, :known], once[:, :known], rtol=0, atol=1e-12)


def test_numbers_by_hand():
    horizon = Horizon((15, 15, 30, 60), 15)
    values = np.array([[1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_allclose(shifted(values, horizon, 0), values)
    # after a quarter: 2; 3; 3 and 4; 4 4 4 and the held 4
    np.testing.assert_allclose(shifted(values, horizon, 1), [[2.0, 3.0, 3.5, 4.0]])
    np.testing.assert_allclose(shifted(values, horizon, 100), [[4.0] * 4])
    assert shifted(np.zeros((0, 4)), horizon, 1).shape == (0, 4)
