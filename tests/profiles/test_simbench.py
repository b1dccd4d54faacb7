"""SimBench profiles; the data set itself is replaced by a small stand-in of the same layout."""

import sys
import types

import numpy as np
import pandas as pd
import pytest

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.simbench_source import simbench_load
from stackelgrid.profiles.time_axis import TimeAxis

QUARTER = pd.Timedelta(minutes=15)


@pytest.fixture
def stand_in(monkeypatch):
    """Quarter-hours of 2016 by the German wall clock; the value is the position in the year."""
    local = pd.date_range(
        "2016-01-01", "2017-01-01", freq=QUARTER, tz="Europe/Berlin", inclusive="left"
    )
    frame = pd.DataFrame(
        {"time": local.strftime("%d.%m.%Y %H:%M"), "H0-A_pload": np.arange(len(local)) * 2.0}
    )
    module = types.ModuleType("simbench")
    module.get_all_simbench_profiles = lambda scenario: {"load": frame}
    monkeypatch.setitem(sys.modules, "simbench", module)


def axis_of(start, length=4, minutes=15):
    step = pd.Timedelta(minutes=minutes)
    return TimeAxis(pd.Timestamp(start, tz="Europe/Berlin"), step, length)


def test_values_are_found_by_month_day_and_clock_of_any_year(stand_in):
    largest = 35135.0  # the last of 366 * 96 quarter-hours, the annual maximum
    january = simbench_load("H0-A", axis_of("2024-01-02 01:00"))
    np.testing.assert_allclose(january * largest, [100.0, 101.0, 102.0, 103.0], rtol=1e-13)
    # 1 March lies behind 29 February of 2016 in a common year, too.
    march = simbench_load("H0-A", axis_of("2023-03-01", 1, 60))
    np.testing.assert_allclose(march * largest, [60 * 96 + 1.5], rtol=1e-13)
    assert simbench_load("H0-A", axis_of("2025-12-31 23:45", 1))[0] == 1.0


def test_clock_changes_of_2016_leave_no_hole(stand_in):
    largest = 35135.0
    spring = (31 + 29 + 26) * 96  # quarter-hours before 27 March
    hole = simbench_load("H0-A", axis_of("2024-03-27 01:45", 6))
    expected = [spring + 7] * 5 + [spring + 8]
    np.testing.assert_allclose(hole * largest, expected, rtol=1e-13)
    autumn = (31 + 29 + 31 + 30 + 31 + 30 + 31 + 31 + 30 + 29) * 96 - 4
    twice = simbench_load("H0-A", axis_of("2024-10-30 02:00", 1))
    np.testing.assert_allclose(twice * largest, [autumn + 8 + 2], rtol=1e-13)


def test_unknown_profile_and_missing_package_are_refused(stand_in, monkeypatch):
    with pytest.raises(ProfileError, match="profile_name is 'H9'; one of H0-A is accepted"):
        simbench_load("H9", axis_of("2024-01-01"))
    monkeypatch.setitem(sys.modules, "simbench", None)
    with pytest.raises(ProfileError, match="pip install 'simbench"):
        simbench_load("H0-A", axis_of("2024-01-01"))


def test_installed_data_set_has_an_annual_maximum_of_one():
    pytest.importorskip("simbench")
    load = simbench_load("H0-A", axis_of("2024-01-01", 366 * 96))
    assert load.max() == pytest.approx(1.0)
    assert 0.0 <= load.min() < 0.2
