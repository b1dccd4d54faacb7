"""Time axis and horizon."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.time_axis import Horizon, TimeAxis, wall_clock_parts

QUARTER = pd.Timedelta(minutes=15)
BERLIN = "Europe/Berlin"
DAY_HORIZON = Horizon((15,) * 8 + (60,) * 22, 15)


def test_index_is_left_labelled_equidistant_and_has_a_freq():
    axis = TimeAxis(pd.Timestamp("2024-06-01", tz=BERLIN), QUARTER, 96)
    assert len(axis.index) == 96
    assert axis.index[0] == axis.start
    assert axis.index[-1] == pd.Timestamp("2024-06-01 23:45", tz=BERLIN)
    assert axis.end == pd.Timestamp("2024-06-02", tz=BERLIN)
    assert pd.Timedelta(axis.index.freq) == QUARTER
    assert axis.step_h == 0.25


@pytest.mark.parametrize("day", ["2024-03-31", "2024-10-27"])
def test_steps_are_elapsed_time_across_a_clock_change(day):
    axis = TimeAxis(pd.Timestamp(day, tz=BERLIN), QUARTER, 96)
    assert set(np.diff(axis.index.asi8)) == {QUARTER.value}
    # 24 h elapsed end an hour later (spring) or earlier (autumn) on the clock than midnight.
    assert axis.end.hour == (1 if day == "2024-03-31" else 23)


def test_daily_steps_do_not_follow_calendar_days():
    axis = TimeAxis(pd.Timestamp("2024-03-30", tz=BERLIN), pd.Timedelta(days=1), 3)
    assert set(np.diff(axis.index.asi8)) == {pd.Timedelta(days=1).value}
    assert axis.index[2].hour == 1


def test_window_is_a_slice_of_the_index():
    axis = TimeAxis(pd.Timestamp("2024-10-27", tz=BERLIN), QUARTER, 96)
    assert axis.window(10, 20).index.equals(axis.index[10:30])
    with pytest.raises(ProfileError, match=r"steps 90 to 96 .* steps 0 to 95"):
        axis.window(90, 7)
    with pytest.raises(ProfileError, match="k is -1"):
        axis.window(-1, 7)


@pytest.mark.parametrize(
    ("start", "step", "length", "message"),
    [
        (pd.Timestamp("2024-01-01"), QUARTER, 4, "time zone"),
        (pd.NaT, QUARTER, 4, "NaT"),
        (pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta(0), 4, "above zero"),
        (pd.Timestamp("2024-01-01", tz="UTC"), -QUARTER, 4, "above zero"),
        (pd.Timestamp("2024-01-01", tz="UTC"), pd.NaT, 4, "above zero"),
        (pd.Timestamp("2024-01-01", tz="UTC"), QUARTER, 0, "length is 0"),
        (pd.Timestamp("2024-01-01", tz="UTC"), QUARTER, True, "length is True"),
    ],
)
def test_bad_axes_are_refused(start, step, length, message):
    with pytest.raises(ProfileError, match=message):
        TimeAxis(start, step, length)


def test_wall_clock_parts_never_straddle_a_mark():
    axis = TimeAxis(pd.Timestamp("2024-06-01 00:10", tz=BERLIN), pd.Timedelta(minutes=60), 3)
    wall, parts = wall_clock_parts(axis, (0, 15))
    assert parts == 12  # 5 min is the coarsest part with an edge at every quarter-hour
    assert len(wall) == 36
    with pytest.raises(ProfileError, match="whole minutes"):
        wall_clock_parts(TimeAxis(axis.start, pd.Timedelta(seconds=90), 3), (0,))


def test_growing_horizon_covers_a_day():
    assert DAY_HORIZON.length == 30
    assert DAY_HORIZON.intervals_covered == 96
    assert DAY_HORIZON.dt_h.sum() == 24.0
    assert not DAY_HORIZON.dt_h.flags.writeable
    assert Horizon((15,) * 8 + (60,) * 22, 15) == DAY_HORIZON


def test_average_takes_the_mean_of_each_step():
    values = np.arange(8.0)
    # Steps of 1, 1 and 4 intervals from interval 2: 2, 3, mean(4..7) = 5.5.
    assert Horizon((15, 15, 60), 15).average(values, 2).tolist() == [2.0, 3.0, 5.5]


# No example database: tests write nowhere but in tmp_path.
@settings(max_examples=60)
@given(
    multiples=st.lists(st.integers(1, 8), min_size=0, max_size=12),
    interval=st.sampled_from([5, 15, 30]),
    k=st.integers(0, 5),
    width=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_average_keeps_the_energy(multiples, interval, k, width, seed):
    horizon = Horizon((interval, *(interval * m for m in multiples)), interval)
    covered = horizon.intervals_covered
    values = np.random.default_rng(seed).normal(size=(k + covered + 2, width))
    energy = values[k : k + covered].sum(axis=0) * interval / 60.0
    averaged = horizon.average(values, k)
    assert averaged.shape == (horizon.length, width)
    np.testing.assert_allclose(horizon.dt_h @ averaged, energy, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(horizon.average(values[:, 0], k), averaged[:, 0])


def test_average_does_not_change_its_input():
    values = np.ones(96)
    DAY_HORIZON.average(values, 0)
    assert (values == 1.0).all()


def test_too_short_values_name_needed_and_given():
    with pytest.raises(ProfileError, match=r"hold 100 intervals; interval 5 .* need 101"):
        DAY_HORIZON.average(np.zeros(100), 5)
    assert DAY_HORIZON.average(np.zeros(101), 5).shape == (30,)


@pytest.mark.parametrize(
    ("steps", "interval", "message"),
    [
        ((), 15, "at least one"),
        ([15, 60], 15, "tuple"),
        ((30, 60), 15, r"steps_min\[0\] is 30"),
        ((15, 20), 15, r"steps_min\[1\] is 20"),
        ((15, 0), 15, r"steps_min\[1\] is 0"),
        ((15, 15.0), 15, r"steps_min\[1\] is 15.0"),
        ((15,), 0, "interval_min is 0"),
    ],
)
def test_bad_horizons_are_refused(steps, interval, message):
    with pytest.raises(ProfileError, match=message):
        Horizon(steps, interval)
