"""Forecasts from files: scenario sets by issue time and valid time, refused where they gape."""

import numpy as np
import pandas as pd
import pytest

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast import Updates
from stackelgrid.profiles.forecast_correlation import Label
from stackelgrid.profiles.forecast_table import read_forecast_table
from stackelgrid.profiles.time_axis import TimeAxis

START = pd.Timestamp("2025-06-21T12:00", tz="Europe/Berlin")
STEP = pd.Timedelta(hours=1)
AXIS = TimeAxis(START, STEP, 6)
COVERED = 3  # intervals of a horizon: forecasts are asked for at 0 to 3
EVERY = Updates.every(1, 6)
OUTLOOK = np.column_stack([np.arange(1.0, 7.0), 2.0 * np.arange(1.0, 7.0)])
TOTAL = OUTLOOK.sum(axis=1)
LOAD = Label("mv1", "load")


def rows(factor=lambda issue, valid: 1.0 + 0.1 * issue + 0.01 * valid, **columns):
    """Issued one hour before the start for 0 to 3, and at 13:30, in time for 14:00, for 2 to 5."""
    table = []
    for issue, hours, valid in ((0, -1.0, range(4)), (1, 1.5, range(2, 6))):
        for k in valid:
            table.append(
                {
                    "issue_time": (START + hours * STEP).isoformat(),
                    "valid_time": (START + k * STEP).isoformat(),
                    "grid": "mv1",
                    "quantity": "load",
                    "factor": factor(issue, k),
                }
            )
    return pd.DataFrame(table).assign(**columns)


@pytest.fixture
def read(tmp_path):
    def call(frame, member=None, ending="csv"):
        path = tmp_path / f"forecast.{ending}"
        if ending == "csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path)
        return read_forecast_table(path, AXIS, ("mv1", "lv1"), member)

    return call


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_latest_forecast_issued_counts(read, ending):
    table = read(rows(), ending=ending)
    np.testing.assert_array_equal(table.issued, [-1, 2])
    told = table.tabulated(LOAD, OUTLOOK, TOTAL, None, EVERY, COVERED)
    np.testing.assert_allclose(told.rows(1, 1, 3), OUTLOOK[1:4] * [[1.01], [1.02], [1.03]])
    np.testing.assert_allclose(told.rows(2, 2, 3), OUTLOOK[2:5] * [[1.12], [1.13], [1.14]])


def test_leads_in_minutes_say_the_same(read):
    frame = rows()
    lead = pd.to_datetime(frame["valid_time"]) - pd.to_datetime(frame["issue_time"])
    other = frame.drop(columns="valid_time").assign(lead_min=lead / pd.Timedelta(minutes=1))
    one, two = read(frame), read(other)
    np.testing.assert_array_equal(one.values[LOAD], two.values[LOAD])


def test_values_are_totals_of_the_grid(read):
    frame = rows().drop(columns="factor").assign(value=6.0)
    told = read(frame).tabulated(LOAD, OUTLOOK, TOTAL, None, EVERY, COVERED)
    np.testing.assert_allclose(told.rows(0, 0, 3), [[2.0, 4.0]] * 3)  # shared as in the profile


def test_prices_shift_both_ways_alike(read):
    price = np.column_stack([np.full(6, 80.0), np.full(6, 60.0)])
    frame = rows(quantity="price")
    told = read(frame.drop(columns="factor").assign(value=95.0))
    shifted = told.tabulated(Label("mv1", "price"), price, price[:, 0], None, EVERY, COVERED)
    np.testing.assert_allclose(shifted.rows(0, 0, 2), [[95.0, 75.0]] * 2)
    factors = read(frame).tabulated(Label("mv1", "price"), price, price[:, 0], None, EVERY, COVERED)
    np.testing.assert_allclose(factors.rows(0, 1, 1), [[80.8, 60.8]])


def test_a_member_of_a_set(read):
    both = pd.concat([rows(member=0), rows(lambda i, k: 0.5, member=7)])
    told = read(both, 7).tabulated(LOAD, OUTLOOK, TOTAL, None, EVERY, COVERED)
    np.testing.assert_allclose(told.rows(0, 0, 3), 0.5 * OUTLOOK[:3])
    with pytest.raises(ProfileError, match="no member 3; it has 0, 7"):
        read(both, 3)
    with pytest.raises(ProfileError, match="holds several members"):
        read(both)
    with pytest.raises(ProfileError, match="has no column 'member'"):
        read(rows(), 1)


def test_a_missing_interval_is_named(read):
    frame = rows().drop(index=5)  # of the second forecast: 15:00
    said = (
        r"load of grid mv1: the forecast available at 2025-06-21T14:00:00\+02:00 has no value for "
        r"2025-06-21T15:00:00\+02:00; every interval to 2025-06-21T17:00:00\+02:00"
    )
    with pytest.raises(ProfileError, match=said):
        read(frame).tabulated(LOAD, OUTLOOK, TOTAL, None, EVERY, COVERED)


def test_a_forecast_that_ends_before_the_next_is_used_up_is_named(read):
    frame = rows().drop(index=3)  # asked for at 13:00, before the second one
    with pytest.raises(ProfileError, match=r"no value for 2025-06-21T15:00"):
        read(frame).tabulated(LOAD, OUTLOOK, TOTAL, None, EVERY, COVERED)


def issued_every_hour(hours=range(6), reach=COVERED):
    """Issued at the start of each of some hours for as many as a horizon has."""
    table = [
        {
            "issue_time": (START + issue * STEP).isoformat(),
            "lead_min": 60 * lead,
            "grid": "mv1",
            "quantity": "load",
            "factor": 1.0 + 0.1 * issue,
        }
        for issue in hours
        for lead in range(reach)
        if issue + lead < 6
    ]
    return pd.DataFrame(table)


def test_a_forecast_that_is_kept_longer_must_reach_further(read):
    """Renewed every second hour, the forecast of 12:00 is the one known at 13:00 as well."""
    table = read(issued_every_hour())
    table.tabulated(LOAD, OUTLOOK, TOTAL, None, EVERY, COVERED)
    said = (
        r"forecast.csv: load of grid mv1: the forecast available at 2025-06-21T12:00:00\+02:00 has "
        r"no value for 2025-06-21T15:00:00\+02:00; every interval to 2025-06-21T15:00:00\+02:00"
    )
    with pytest.raises(ProfileError, match=said):
        table.tabulated(LOAD, OUTLOOK, TOTAL, None, Updates.every(2, 6), COVERED)


@pytest.mark.parametrize("intervals", [(0, 2, 4), (0, 3), (0, 1, 5), (0,)])
def test_what_is_accepted_has_a_value_for_every_question(read, intervals):
    """Forecasts that no update takes need not be complete."""
    updates = Updates(intervals)
    frame = issued_every_hour(reach=6)
    unused = [(START + k * STEP).isoformat() for k in range(6) if k not in intervals]
    assert unused
    frame = frame[~frame["issue_time"].isin(unused) | (frame["lead_min"] == 0)]
    told = read(frame).tabulated(LOAD, OUTLOOK, TOTAL, None, updates, COVERED)
    for k in range(4):
        issue = updates.issue(k)
        expected = (1.0 + 0.1 * issue) * OUTLOOK[k : k + COVERED]
        np.testing.assert_allclose(told.rows(issue, k, COVERED), expected)


def test_quantities_have_issue_times_of_their_own(read):
    """Loads every hour, prices once on the day before."""
    price = np.column_stack([np.full(6, 80.0), np.full(6, 60.0)])
    day_ahead = issued_every_hour((-1,), reach=7).assign(quantity="price", factor=2.0)
    table = read(pd.concat([issued_every_hour(), day_ahead]))
    load = table.tabulated(LOAD, OUTLOOK, TOTAL, None, EVERY, COVERED)
    of_price = Label("mv1", "price")
    shifted = table.tabulated(of_price, price, price[:, 0], None, EVERY, COVERED)
    for k in range(4):
        np.testing.assert_allclose(load.rows(k, k, 3), (1.0 + 0.1 * k) * OUTLOOK[k : k + 3])
        np.testing.assert_allclose(shifted.rows(k, k, 3), [[160.0, 140.0]] * 3)


def test_quantities_issued_within_one_interval_do_not_replace_one_another(read):
    """Of the same quantity the last counts."""
    load, later = (rows(lambda i, k, f=f: f) for f in (1.1, 1.2))
    pv = rows(lambda i, k: 0.5, quantity="pv")
    for frame, minutes in ((load, 2), (later, 5), (pv, 10)):
        moved = pd.to_datetime(frame["issue_time"]) + pd.Timedelta(minutes=minutes)
        frame["issue_time"] = moved.map(pd.Timestamp.isoformat)
    table = read(pd.concat([load, later, pv]))
    np.testing.assert_array_equal(table.issued, [0, 2])
    for label, factor in ((LOAD, 1.2), (Label("mv1", "pv"), 0.5)):
        told = table.tabulated(label, OUTLOOK, TOTAL, None, EVERY, COVERED)
        np.testing.assert_allclose(told.rows(0, 0, 3), factor * OUTLOOK[:3])


def test_nothing_issued_by_the_start_is_refused(read):
    with pytest.raises(ProfileError, match="no forecast issued by the start"):
        read(rows().iloc[4:]).tabulated(LOAD, OUTLOOK, TOTAL, None, EVERY, COVERED)


def test_a_grid_without_rows_is_refused(read):
    with pytest.raises(ProfileError, match=r"no rows for pv of grid lv1; it has mv1.load"):
        read(rows()).tabulated(Label("lv1", "pv"), OUTLOOK, TOTAL, None, EVERY, COVERED)


def test_impossible_values_are_refused(read):
    with pytest.raises(ProfileError, match=r"is -0.1 times its profile; at least 0"):
        read(rows(lambda i, k: -0.1)).tabulated(LOAD, OUTLOOK, TOTAL, None, EVERY, COVERED)
    rated = np.maximum(OUTLOOK, [[6.5, 13.0]])
    read(rows(lambda i, k: 1.08)).tabulated(LOAD, OUTLOOK, TOTAL, rated, EVERY, COVERED)
    said = r"at 2025-06-21T17:00:00\+02:00 is 1.2 times its profile; 0 to 1.083 is accepted"
    with pytest.raises(ProfileError, match=said):
        read(rows(lambda i, k: 1.2)).tabulated(LOAD, OUTLOOK, TOTAL, rated, EVERY, COVERED)
    night = OUTLOOK.copy()
    night[2] = 0.0
    frame = rows().drop(columns="factor").assign(value=6.0)
    with pytest.raises(ProfileError, match=r"is 6 at 2025-06-21T14:00.*where its profile is 0"):
        read(frame).tabulated(LOAD, night, night.sum(axis=1), None, EVERY, COVERED)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"grid": "mv9"}, "grid 'mv9' unknown; accepted: mv1, lv1"),
        ({"quantity": "wind"}, "quantity 'wind' unknown; accepted: load, pv, price"),
        ({"issue_time": "tomorrow"}, "issue_time 'tomorrow' in data row 1 is not a time stamp"),
        (
            {"valid_time": "2025-10-26T02:00:00"},
            "valid_time 2025-10-26 02:00:00 in data row 1 is amb",
        ),
        ({"valid_time": "2025-06-21T12:20:00+02:00"}, "starts no interval"),
        ({"factor": "much"}, "column 'factor' is 'much' in data row 1"),
        ({"value": 1.0}, "exactly one of the columns factor and value"),
        ({"valid_time": "2025-06-21T12:00:00+02:00"}, "two values for load of grid mv1"),
    ],
)
def test_bad_rows_are_refused(read, change, said):
    with pytest.raises(ProfileError, match=said):
        read(rows().assign(**change))


def test_a_missing_column_or_file_is_refused(read, tmp_path):
    with pytest.raises(ProfileError, match="column 'grid' is missing"):
        read(rows().drop(columns="grid"))
    with pytest.raises(ProfileError, match="has no rows"):
        read(rows().iloc[:0], ending="parquet")
    with pytest.raises(ProfileError, match="no such file"):
        read_forecast_table(tmp_path / "none.csv", AXIS, ("mv1",), None)


def test_valid_times_outside_the_run_are_named(read):
    """Twelve hours late: the file has rows of this grid, none of them within the run."""
    late = rows()
    late["valid_time"] = (pd.to_datetime(late["valid_time"]) + pd.Timedelta(hours=12)).astype(str)
    late["valid_time"] = late["valid_time"].str.replace(" ", "T")
    table = read(late)
    message = (
        r"load of grid mv1 is valid from 2025-06-22T00:00:00\+02:00 to 2025-06-22T05:00:00\+02:00, "
        r"outside the run; intervals from 2025-06-21T12:00:00\+02:00 to 2025-06-21T17:00:00\+02:00"
    )
    with pytest.raises(ProfileError, match=message):
        table.tabulated(LOAD, OUTLOOK, TOTAL, None, EVERY, COVERED)


def test_naive_stamps_are_local_time_of_the_run(read):
    naive = rows()
    for column in ("issue_time", "valid_time"):
        naive[column] = naive[column].str[:19]
    expected, found = read(rows()), read(naive)
    np.testing.assert_array_equal(found.issued, expected.issued)
    np.testing.assert_array_equal(found.values[LOAD], expected.values[LOAD])


def hourly(column="value", **columns):
    """Issued before the start: hourly totals of the load in MW."""
    times = [(START + k * STEP).isoformat() for k in range(-1, 3)]
    issued = (START - STEP).isoformat()
    table = {"issue_time": issued, "valid_time": times, "grid": "mv1", "quantity": "load"}
    return pd.DataFrame(table | {column: [1.0, 2.0, 4.0, 8.0]} | columns)


@pytest.mark.parametrize(("column", "scale"), [("value", 1.0), ("value_kW", 1e-3)])
def test_hourly_forecasts_are_held_in_quarters(tmp_path, column, scale):
    path = tmp_path / "forecast.csv"
    hourly(column).to_csv(path, index=False, sep=";", decimal=",")
    quarters = TimeAxis(START + STEP / 2, STEP / 4, 10)
    values = read_forecast_table(path, quarters, ("mv1",), None).values[LOAD]
    np.testing.assert_allclose(values, scale * np.array([[2.0] * 2 + [4.0] * 4 + [8.0] * 4]))


def test_a_missing_hour_is_not_held(read):
    """The second forecast of the file has every hour, so hours are its step."""
    table = read(rows().drop(index=[1, 3]))
    assert np.isnan(table.values[LOAD][0]).tolist() == [False, True, False, True, True, True]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (hourly("value_ct_per_kwh"), "column 'value_ct_per_kwh' does not hold load; value"),
        (hourly("value_kw", quantity="price"), "column 'value_kw' does not hold price"),
        (hourly("value_kwh"), "column 'value_kwh' does not hold powers"),
        (hourly("value_kw", value=1.0), "exactly one of the columns factor and value is needed"),
        (hourly("value_q_factor"), "column 'value_q_factor' does not hold load"),
    ],
)
def test_units_of_values_that_do_not_fit(read, frame, message):
    with pytest.raises(ProfileError, match=message):
        read(frame)


def test_prices_in_cents(read):
    frame = hourly("value_ct_per_kwh", quantity="price")
    values = read(frame).values[Label("mv1", "price")]
    np.testing.assert_allclose(values[0, :3], [20.0, 40.0, 80.0])
