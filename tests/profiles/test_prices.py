"""Tariffs."""

import numpy as np
import pandas as pd
import pytest

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.prices import Tariff, flat_tariff, series_tariff, time_of_use_tariff
from stackelgrid.profiles.time_axis import TimeAxis

BERLIN = "Europe/Berlin"
BANDS = [("00:00", 250.0, 70.0), ("06:00", 300.0, 80.0), ("18:30", 420.0, 90.0)]


def axis_of(start="2024-06-20", length=24, minutes=60):
    return TimeAxis(pd.Timestamp(start, tz=BERLIN), pd.Timedelta(minutes=minutes), length)


def test_flat_tariff_is_constant_and_read_only():
    tariff = flat_tariff(axis_of(), 320.0, 80.0)
    assert (tariff.import_eur_per_mwh == 320.0).all()
    assert tariff.export_eur_per_mwh.shape == (24,)
    with pytest.raises(ValueError, match="read-only"):
        tariff.import_eur_per_mwh[0] = 0.0


def test_tariff_copies_its_input_and_allows_negative_and_equal_prices():
    prices = np.array([-20.0, 50.0])
    tariff = Tariff(prices, prices)
    prices[0] = 1000.0
    assert tariff.import_eur_per_mwh.tolist() == [-20.0, 50.0]


def test_export_above_import_names_time_and_both_values():
    with pytest.raises(ProfileError, match=r"at step 1 export is 60 and import 50"):
        Tariff(np.array([50.0, 50.0]), np.array([50.0, 60.0]))
    message = r"step 1 \(2024-06-20T01:00:00\+02:00\) export is 60 and import 50 EUR/MWh"
    with pytest.raises(ProfileError, match=message):
        Tariff(np.array([50.0, 50.0]), np.array([50.0, 60.0]), axis_of(length=2))


def test_non_finite_and_unequal_lengths_are_refused():
    with pytest.raises(ProfileError, match="import_eur_per_mwh is nan at step 1"):
        Tariff(np.array([1.0, np.nan]), np.zeros(2))
    with pytest.raises(ProfileError, match=r"export_eur_per_mwh has shape \(3,\); \(2,\)"):
        Tariff(np.ones(2), np.zeros(3))
    with pytest.raises(ProfileError, match="import_eur_per_mwh is not numeric"):
        flat_tariff(axis_of(), "cheap", 0.0)


def test_bands_follow_the_wall_clock_and_split_steps_are_time_means():
    tariff = time_of_use_tariff(axis_of(), BANDS)
    expected = [250.0] * 6 + [300.0] * 12 + [360.0] + [420.0] * 5  # 18:00-19:00 is half and half
    assert tariff.import_eur_per_mwh.tolist() == expected
    assert tariff.export_eur_per_mwh[18] == 85.0


def test_bands_shift_with_the_clock_change():
    tariff = time_of_use_tariff(axis_of("2024-03-31", 23), BANDS)
    # The night band lasts five hours only on the day that skips 02:00 to 03:00.
    assert tariff.import_eur_per_mwh.tolist()[:6] == [250.0] * 5 + [300.0]
    two_hours = time_of_use_tariff(axis_of("2024-03-31", 3, 120), BANDS)
    assert two_hours.import_eur_per_mwh.tolist() == [250.0, 250.0, 275.0]


@pytest.mark.parametrize(
    ("periods", "message"),
    [
        ([], "periods is empty"),
        ([("06:00", 1.0, 0.0)], "first must start at 00:00"),
        ([("00:00", 1.0, 0.0), ("24:00", 1.0, 0.0)], r"periods\[1\] starts at '24:00'"),
        ([("00:00", 1.0, 0.0), ("6:00", 1.0, 0.0)], r"'6:00'; \"HH:MM\""),
        ([("00:00", 1.0, 0.0), (600, 1.0, 0.0)], "starts at 600"),
        ([("00:00", 1.0, 0.0), ("12:00", 1.0, 0.0), ("06:00", 1.0, 0.0)], "increasing"),
        ([("00:00", 1.0, 0.0), ("00:00", 1.0, 0.0)], "increasing"),
        ([("00:00", "much", 0.0)], r"periods\[0\] is \('00:00', 'much', 0.0\)"),
        ([("00:00", 1.0)], r"periods\[0\] is \('00:00', 1.0\)"),
        ([("00:00", 1.0, 2.0)], "export is 2 and import 1"),
    ],
)
def test_bad_bands_are_refused(periods, message):
    with pytest.raises(ProfileError, match=message):
        time_of_use_tariff(axis_of(), periods)


def test_series_tariff_takes_an_aligned_table_only():
    axis = axis_of(length=3)
    frame = pd.DataFrame(
        {"import_eur_per_mwh": [3.0, 2.0, 1.0], "export_eur_per_mwh": [1.0, 1.0, 1.0]},
        index=axis.index,
    )
    assert series_tariff(axis, frame).import_eur_per_mwh.tolist() == [3.0, 2.0, 1.0]
    with pytest.raises(ProfileError, match="column export_eur_per_mwh is missing"):
        series_tariff(axis, frame[["import_eur_per_mwh"]])
    with pytest.raises(ProfileError, match=r"2 rows covering .* the 3 steps"):
        series_tariff(axis, frame.iloc[1:])
    with pytest.raises(ProfileError, match="3 rows covering 0 to 2"):
        series_tariff(axis, frame.reset_index(drop=True))
