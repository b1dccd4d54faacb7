"""Windows of tasks: clock times, midnight, changes of the clock, shifts, runs that fit."""

import numpy as np
import pandas as pd
import pytest

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.task_windows import daily_windows
from stackelgrid.profiles.time_axis import TimeAxis


def axis_of(start, hours, minutes=60):
    step = pd.Timedelta(minutes=minutes)
    return TimeAxis(pd.Timestamp(start, tz="Europe/Berlin"), step, hours * 60 // minutes)


def windows(axis, first, last, run=1.0, shift=None):
    one = (np.array([float(v)]) for v in (first, last, run))
    return daily_windows(axis, *one, None if shift is None else np.array([shift]))


def steps(series):
    return np.flatnonzero(series[:, 0]).tolist()


def test_a_window_of_a_day():
    found = windows(axis_of("2025-01-13", 48), 10, 16, run=2.5)
    assert steps(found.open) == [*range(10, 16), *range(34, 40)]
    assert steps(found.arrivals) == [10, 34]
    assert steps(found.ends) == [15, 39]
    assert steps(found.latest) == [13, 37]  # three steps for a run of 2.5 h
    np.testing.assert_array_equal(found.after_h[9:17, 0], [0, 5, 4, 3, 2, 1, 0, 0])


def test_a_window_over_midnight_belongs_to_the_day_it_begins():
    found = windows(axis_of("2025-01-13T12:00", 36), 22, 6, run=2.0)
    assert steps(found.open) == [*range(10, 18), *range(34, 36)]
    assert steps(found.arrivals) == [10, 34]
    assert steps(found.ends) == [17]
    assert steps(found.latest) == [16]


def test_a_run_that_begins_within_a_window_has_its_end_but_no_task():
    found = windows(axis_of("2025-01-13T02:00", 10), 22, 6, run=2.0)
    assert steps(found.open) == [0, 1, 2, 3]
    np.testing.assert_array_equal(found.after_h[:5, 0], [3, 2, 1, 0, 0])
    assert steps(found.arrivals) == []
    assert steps(found.ends) == [3]


def test_a_window_of_a_whole_day():
    found = windows(axis_of("2025-01-13", 48), 7, 7, run=24.0)
    assert steps(found.open) == list(range(48))
    assert steps(found.arrivals) == [7, 31]
    assert steps(found.ends) == [6, 30]
    assert steps(found.latest) == [7, 31]


@pytest.mark.parametrize(("start", "hours"), [("2025-03-29T12:00", 11), ("2025-10-25T12:00", 13)])
def test_a_window_ends_at_its_clock_time_when_clocks_change(start, hours):
    """18:00 to 06:00: eleven or thirteen hours in those nights."""
    axis = axis_of(start, 36)
    found = windows(axis, 18, 6, run=12.0)
    last = steps(found.ends)[0]
    assert axis.index[last].hour == 5
    assert steps(found.open)[:hours] == list(range(6, 6 + hours))
    assert last == 6 + hours - 1
    # a run of twelve hours begins at once where the night has eleven
    assert steps(found.latest)[0] == 6 + hours - min(hours, 12)


def test_windows_of_whole_days_meet_when_clocks_change():
    for start in ("2025-03-29", "2025-10-25"):
        found = windows(axis_of(start, 72), 7, 7)
        assert [k + 1 for k in steps(found.ends)] == steps(found.arrivals)


@pytest.mark.parametrize(
    ("clock", "begins"), [("2025-03-30T02:30", "03:00"), ("2025-10-26T02:30", "02:30")]
)
def test_hours_that_are_skipped_or_occur_twice(clock, begins):
    axis = axis_of(clock[:10], 12, 30)
    found = windows(axis, 2.5, 6)
    (at,) = steps(found.arrivals)
    assert axis.index[at].strftime("%H:%M") == begins
    assert at == (4 if begins == "03:00" else 5)  # of the two, the first
    assert axis.index[steps(found.ends)[0]].strftime("%H:%M") == "05:30"


@pytest.mark.parametrize("shift", [-1.5, 0.5, 4.0, -26.0, 30.0])
def test_a_shift_moves_the_whole_window(shift):
    hours = (shift + np.array([20.0, 23.0])) % 24.0
    found = windows(axis_of("2025-01-13", 72, 30), 20, 23, shift=shift)
    moved = windows(axis_of("2025-01-13", 72, 30), *hours)
    for name in ("open", "arrivals", "ends", "latest"):
        np.testing.assert_array_equal(getattr(found, name), getattr(moved, name))
    assert found.arrivals.sum() == 3.0


@pytest.mark.parametrize("minutes", [15, 30, 60, 120])
def test_windows_begin_and_end_with_steps(minutes):
    found = windows(axis_of("2025-01-13", 24, minutes), 10.25, 13.25, run=1.0)
    assert found.open.sum() * minutes / 60.0 == pytest.approx(3.0, abs=minutes / 120.0)
    assert steps(found.open)[0] == steps(found.arrivals)[0]
    assert steps(found.open)[-1] == steps(found.ends)[0]
    assert steps(found.open)[0] <= steps(found.latest)[0] <= steps(found.ends)[0]


def test_a_run_that_does_not_fit_is_refused():
    with pytest.raises(ProfileError) as error:
        windows(axis_of("2025-01-13", 24), 22, 1, run=3.5)
    assert str(error.value) == (
        "a run of 3.5 h does not fit in a window of 3 h that begins at hour 22"
    )
