"""Files as people have them: units by suffix, separators, decimal signs, stamps and steps."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.sources import read_factors, read_loads, read_series
from stackelgrid.profiles.tables.series_table import read_series_table
from stackelgrid.profiles.time_axis import TimeAxis

BERLIN = "Europe/Berlin"
START = pd.Timestamp("2025-06-21", tz=BERLIN)


def minutes(count):
    return pd.Timedelta(minutes=count)


AXIS = TimeAxis(START, minutes(15), 4)


def write(tmp_path, *lines, name="series.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes("\n".join([*lines, ""]).encode(encoding))
    return path


def quarters(*cells, separator=",", header="time,a_mw"):
    """Lines of four quarters from the start, local time."""
    return [header, *(f"2025-06-21 00:{15 * k:02d}{separator}{c}" for k, c in enumerate(cells))]


@pytest.mark.parametrize(
    ("suffix", "unit", "value", "expected"),
    [  # 12 of each unit by hand; a row has a quarter of an hour
        ("mw", "mw", "12", 12.0),
        ("kw", "mw", "12", 0.012),
        ("w", "mw", "12", 12e-6),
        ("MW", "mw", "12", 12.0),
        ("kW", "mw", "12", 0.012),
        ("mwh", "mw", "12", 48.0),
        ("kwh", "mw", "12", 0.048),
        ("kWh", "mw", "12", 0.048),
        ("wh", "mw", "12", 48e-6),
        ("mvar", "mvar", "-12", -12.0),
        ("kvar", "mvar", "12", 0.012),
        ("var", "mvar", "12", 12e-6),
        ("kvarh", "mvar", "12", 0.048),
        ("eur_per_mwh", "eur_per_mwh", "12", 12.0),
        ("eur_per_kwh", "eur_per_mwh", "12", 12000.0),
        ("ct_per_kwh", "eur_per_mwh", "12", 120.0),
        ("factor", "factor", "12", 12.0),
        ("c", "c", "12", 12.0),
        ("kg_per_mwh", "kg_per_mwh", "12", 12.0),
        ("g_per_kwh", "kg_per_mwh", "12", 12.0),
    ],
)
def test_suffixes_declare_units(tmp_path, suffix, unit, value, expected):
    path = write(tmp_path, *quarters(*[value] * 4, header=f"time,a_{suffix}"))
    frame = read_series(path, AXIS, unit, ["a"], BERLIN)
    assert list(frame.columns) == [f"a_{unit}"]
    np.testing.assert_allclose(frame[f"a_{unit}"], expected, rtol=1e-14)


@pytest.mark.parametrize("suffix", ["mW", "mWh", "usd_per_mwh", "k", "percent", "Kw h"])
def test_other_suffixes_are_refused(tmp_path, suffix):
    path = write(tmp_path, *quarters("1", "1", "1", "1", header=f"time,a_{suffix}"))
    for unit in ("mw", "eur_per_mwh"):
        with pytest.raises(ProfileError, match=f"does not convert to {unit}; a name ending in _"):
            read_series(path, AXIS, unit, None, BERLIN)


@pytest.mark.parametrize(
    ("cells", "separator", "expected"),
    [
        (["1.5", "2", "3.25", "4"], ",", [1.5, 2, 3.25, 4]),
        (["1.500", "2.125", "3.250", "4.000"], ",", [1.5, 2.125, 3.25, 4]),
        (["1,5", "2", "3,25", "4"], ";", [1.5, 2, 3.25, 4]),
        (["1,500", "2,125", "3,250", "4,000"], ";", [1.5, 2.125, 3.25, 4]),
        (["1.5", "2", "3.25", "4"], ";", [1.5, 2, 3.25, 4]),
        (["1.234,5", "2", "1.234.567", "-,5"], ";", [1234.5, 2, 1234567, -0.5]),
        (["1.234", "0,5", "1,5e3", "4"], ";", [1234, 0.5, 1500, 4]),
        (["1,234.5", "1,234", "3.25", "4"], ";", [1234.5, 1234, 3.25, 4]),
        (["1,5", "2", "3,25", "4"], "\t", [1.5, 2, 3.25, 4]),
        (["0.125", "1.250", " 3.250 ", "4"], "\t", [0.125, 1.25, 3.25, 4]),
        (['"1,5"', '"2"', '"3,25"', '"4"'], ",", [1.5, 2, 3.25, 4]),
        (["1", "2", "3", "4"], ";", [1, 2, 3, 4]),
    ],
)
def test_separators_and_decimal_signs(tmp_path, cells, separator, expected):
    lines = quarters(*cells, separator=separator, header=f"time{separator} a_mw ")
    for name, encoding in (("a.csv", "utf-8"), ("b.txt", "utf-8-sig")):
        path = write(tmp_path, *lines, name=name, encoding=encoding)
        frame = read_series(path, AXIS, "mw", None, BERLIN)
        assert frame["a_mw"].tolist() == expected


@pytest.mark.parametrize(
    ("cells", "separator", "message"),
    [
        (["1,5", "2.5", "3", "4"], ";", "'1,5' in column 'a_mw' has a decimal comma, '2.5' in col"),
        (["1.500", "2.500", "3", "4"], ";", "'1.500' in column 'a_mw' has a decimal sign or one b"),
        (["1,500", "2,500", "3", "4"], "\t", "no other value decides"),
        (['"1,500"', "2", "3", "4"], ",", "no other value decides"),
        (["1,500", "2.500", "3", "4"], ";", "no other value decides"),
        (["1,5", "2", "3", "4"], ",", "Expected 2 columns, got 3"),
    ],
)
def test_ambiguous_decimal_signs_are_refused(tmp_path, cells, separator, message):
    path = write(tmp_path, *quarters(*cells, separator=separator, header=f"time{separator}a_mw"))
    with pytest.raises(ProfileError, match=message) as caught:
        read_series(path, AXIS, "mw", None, BERLIN)
    assert "\n" not in str(caught.value)


def test_the_rows_decide_between_separators_of_the_header(tmp_path):
    path = write(tmp_path, *quarters(*["1;2"] * 4, separator=";", header='time;"a, b_mw";c_mw'))
    assert read_series(path, AXIS, "mw", None, BERLIN)["a, b_mw"].tolist() == [1.0] * 4
    path = write(tmp_path, "time,a;b_mw", "2025-06-21,1;2", "2025-06-22,1;2")
    with pytest.raises(ProfileError, match="comma and semicolon may separate the columns"):
        read_series(path, AXIS, "mw", None, BERLIN)


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M",
        "%d.%m.%Y %H:%M:%S", "%Y/%m/%d %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M",
        "%m/%d/%Y %I:%M %p", "%d-%m-%Y %H:%M",
    ],
)  # fmt: skip
def test_forms_of_stamps(tmp_path, form):
    """From 21 June on, the order of day and month is plain."""
    index = pd.date_range(START, periods=100, freq="15min")
    rows = [f"{t.strftime(form)},{k}" for k, t in enumerate(index)]
    path = write(tmp_path, "Zeitstempel,a_mw", *rows)
    axis = TimeAxis(START + minutes(45), minutes(15), 97)
    frame = read_series(path, axis, "mw", None, BERLIN)
    assert frame["a_mw"].tolist() == list(range(3, 100))


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["05/06/2025 00:00", "05/06/2025 00:15"], "may have the day or the month first, and no"),
        (["13/06/2025 00:00", "06/14/2025 00:15"], "has the day first in '13/06/2025 00:00' and"),
        (["21.06.2025 00:00", "06/21/2025 00:15"], "'06/21/2025 00:15' in data row 2 is not"),
        (["21.06.2025 24:00", "22.06.2025 00:15"], "'21.06.2025 24:00' in data row 1 is not"),
        (["21.06.25 00:00", "21.06.25 00:15"], "'21.06.25 00:00' in data row 1 is not"),
        (["06/21/2025 13:15 PM", "06/21/2025 13:30 PM"], "'06/21/2025 13:15 PM' in data row 1 is"),
        (["31.06.2025 00:00", "01.07.2025 00:15"], "'31.06.2025 00:00' in data row 1 is not"),
        (["45829.25", "45829.26"], "'45829.25' in data row 1 is not a time stamp"),
    ],
)  # fmt: skip
def test_stamps_that_are_ambiguous_or_none(tmp_path, times, message):
    path = write(tmp_path, "time,a_mw", *(f"{t},1" for t in times))
    with pytest.raises(ProfileError, match=message):
        read_series(path, AXIS, "mw", None, BERLIN)
    same = write(tmp_path, "time,a_mw", *(f"06/06/2025 {h:02d}:00,{h}" for h in range(3)))
    assert read_series_table(same, BERLIN).stamps[0] == pd.Timestamp("2025-06-06", tz=BERLIN)


@pytest.mark.parametrize(
    ("header", "first", "zone"),
    [
        ("time", "2025-06-21 00:00", BERLIN),
        ("Datum von", "2025-06-21 00:00", BERLIN),
        ("", "2025-06-21 00:00", BERLIN),
        ("time_end", "2025-06-21 00:15", BERLIN),
        ("Bis", "2025-06-21 00:15", BERLIN),
        ("utc_timestamp", "2025-06-20 22:00", None),
        ("Time (UTC)", "2025-06-20 22:00", BERLIN),
        ("time_end_utc", "2025-06-20 22:15", None),
    ],
)
def test_the_name_of_the_column_of_stamps_states_edges_and_zone(tmp_path, header, first, zone):
    index = pd.date_range(first, periods=4, freq="15min")
    rows = [f"{t:%d.%m.%Y %H:%M};{k}" for k, t in enumerate(index)]
    path = write(tmp_path, f"{header};a_mw", *rows)
    assert read_series(path, AXIS, "mw", None, zone)["a_mw"].tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("header", "first", "date"),
    [
        ("Datum;Uhrzeit", "2025-06-21 00:00", "%d.%m.%Y"),
        ("Datum;von", "2025-06-21 00:00", "%d.%m.%Y"),
        ("date;time_end", "2025-06-21 00:15", "%Y-%m-%d"),
    ],
)
def test_dates_and_clock_times_in_two_columns(tmp_path, header, first, date):
    index = pd.date_range(first, periods=4, freq="15min")
    rows = [f"{t.strftime(date)};{t:%H:%M};{k}" for k, t in enumerate(index)]
    path = write(tmp_path, f"{header};a_mw", *rows)
    assert read_series(path, AXIS, "mw", None, BERLIN)["a_mw"].tolist() == [0.0, 1.0, 2.0, 3.0]


NIGHTS = {"2025-03-30": 23, "2025-10-26": 25}


@pytest.mark.parametrize("step", [1, 5, 10, 15, 20, 30, 60])
@pytest.mark.parametrize("day", NIGHTS)
def test_local_days_with_a_clock_change(tmp_path, day, step):
    """Row k of a day holds k; hours of the axis are means of the rows of an elapsed hour."""
    start, hours = pd.Timestamp(day, tz=BERLIN), NIGHTS[day]
    count = hours * 60 // step
    index = pd.date_range(start, periods=count, freq=f"{step}min")
    path = write(tmp_path, "time;a_kw", *(f"{t:%d.%m.%Y %H:%M};{k}" for k, t in enumerate(index)))
    axis = TimeAxis(start, minutes(60), hours)
    values = read_series(path, axis, "mw", None, BERLIN)["a_mw"]
    expected = np.arange(count).reshape(hours, -1).mean(axis=1) / 1e3
    np.testing.assert_allclose(values, expected, rtol=1e-14)


def test_an_hour_that_clocks_repeat_at_the_end_or_the_start_of_a_file(tmp_path):
    night = pd.date_range("2025-10-26", periods=24, freq="15min", tz=BERLIN)
    for part in (night[:12], night[12:]):  # to 02:45 summer time, from 02:00 winter time
        rows = [f"{t:%Y-%m-%d %H:%M},{k}" for k, t in enumerate(part)]
        table = read_series_table(write(tmp_path, "time,a_mw", *rows), BERLIN)
        assert table.stamps.equals(part.tz_convert("UTC"))
    rows = [f"{t:%Y-%m-%d %H:%M},1" for t in night[8:12]]  # nothing beside it decides
    with pytest.raises(ProfileError, match="02:00:00 in data row 1 is ambiguous or skipped"):
        read_series_table(write(tmp_path, "time,a_mw", *rows), BERLIN)


def test_ten_minutes_and_twenty_minutes_under_quarters(tmp_path):
    """0 to 15 min: 10 min of row 1 and 5 of row 2; rows of 20 min alike."""
    for step, expected in (
        (10, [(10 * 1 + 5 * 2) / 15, (5 * 2 + 10 * 4) / 15]),
        (20, [1.0, (5 * 1 + 10 * 2) / 15]),
    ):
        index = pd.date_range(START, periods=6, freq=f"{step}min")
        rows = [f"{t.isoformat()},{2**k}" for k, t in enumerate(index)]
        frame = read_series(write(tmp_path, "time,a_mw", *rows), AXIS, "mw")
        np.testing.assert_allclose(frame["a_mw"][:2], expected, rtol=1e-14)


def test_rows_beside_the_edges_of_intervals(tmp_path):
    """Hourly prices from ten past: an interval across two rows has the mean over its time."""
    index = pd.date_range(START - minutes(50), periods=3, freq="60min")
    rows = [f"{t.isoformat()},{p}" for t, p in zip(index, (30, 60, 90), strict=True)]
    frame = read_series(write(tmp_path, "time,import_ct_per_kwh", *rows), AXIS, "eur_per_mwh")
    assert frame["import_eur_per_mwh"].tolist() == [400.0, 600.0, 600.0, 600.0]
    with pytest.raises(ProfileError, match=r"2025-06-20T22:00:00\+00:00 to .* is needed"):
        read_series(tmp_path / "series.csv", TimeAxis(START, minutes(15), 9), "eur_per_mwh")


STEPS = st.sampled_from([1, 2, 5, 6, 10, 12, 15, 20, 30, 60])


@settings(deadline=None, max_examples=60)
@given(
    row=STEPS,
    interval=STEPS,
    offset=st.integers(0, 59),
    energy=st.booleans(),
    values=st.lists(st.floats(0.0, 50.0), min_size=130, max_size=130),
)
def test_resampling_conserves_energy(tmp_path_factory, row, interval, offset, energy, values):
    """Energies of intervals are differences of the file's cumulative energy at their edges."""
    count = math.ceil(120 / row) + 1
    values = np.array(values[:count])
    index = pd.date_range(START, periods=count, freq=f"{row}min")
    column = "a_mwh" if energy else "a_mw"
    path = tmp_path_factory.getbasetemp() / "energy.parquet"
    pd.DataFrame({column: values}, index=index.rename("time")).to_parquet(path)
    length = (count * row - offset) // interval
    axis = TimeAxis(START + minutes(offset), minutes(interval), length)
    found = read_series(path, axis, "mw", ["a"])["a_mw"] * axis.step_h
    cumulative = np.concatenate([[0.0], np.cumsum(values if energy else values * row / 60.0)])
    edges = offset + interval * np.arange(length + 1)
    expected = np.diff(np.interp(edges, row * np.arange(count + 1), cumulative))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert found.sum() == pytest.approx(expected.sum(), rel=1e-12)


def test_reactive_powers_beside_active_ones(tmp_path):
    header = "time,a_kw,a_kvar,b_factor,b_q_factor,c_kwh"
    path = write(tmp_path, *quarters(*["20,-5,0.5,0.25,2"] * 4, header=header))
    p, q = np.array([0.04, 0.1, 0.016]), np.array([0.01, 0.02, 0.004])
    found = read_loads(path, AXIS, ["a", "b", "c"], p, q, BERLIN)
    np.testing.assert_allclose(found.factors[0], [0.5, 0.5, 0.5], rtol=1e-14)
    np.testing.assert_allclose(found.q_mvar[3], [-0.005, 0.005, np.nan], rtol=1e-14)
    assert np.isnan(found.p_mw).all()
    nothing = np.zeros(3)  # loads of 0 MW in the net take the powers of the file
    found = read_loads(path, AXIS, ["a", "b", "c"], nothing, nothing, BERLIN)
    np.testing.assert_allclose(found.factors[0], [0.0, 0.5, 0.0], rtol=1e-14)
    np.testing.assert_allclose(found.p_mw[0], [0.02, np.nan, 0.008], rtol=1e-14)
    np.testing.assert_allclose(found.q_mvar[0], [-0.005, 0.0, np.nan], rtol=1e-14)
    path = write(tmp_path, *quarters(*["20,5"] * 4, header="time,a_kw,a_mvar"))
    with pytest.raises(ProfileError, match=r"a_mvar is 5 at .* check the unit \(a_kvar for kVAr\)"):
        read_loads(path, AXIS, ["a"], p[:1], q[:1], BERLIN)
    path = write(tmp_path, *quarters(*["20,5,5"] * 4, header="time,a_kw,a_kvar,a_var"))
    with pytest.raises(ProfileError, match="'a_mvar' occurs in several units"):
        read_loads(path, AXIS, ["a"], p[:1], q[:1], BERLIN)
    path = write(tmp_path, *quarters(*["20,5,5"] * 4, header="time,a_kw,a_kvah,other_kvah"))
    with pytest.raises(ProfileError, match=r"column 'a_kvah' of a ends in no known unit; _mw, "):
        read_loads(path, AXIS, ["a"], p[:1], q[:1], BERLIN)


def test_energies_of_devices_are_checked_as_powers(tmp_path):
    path = write(tmp_path, *quarters(*["2.5"] * 4, header="time,a_mwh"))
    assert read_factors(path, AXIS, ["a"], np.array([20.0]), BERLIN).tolist() == [[0.5]] * 4
    with pytest.raises(ProfileError, match=r"1e\+03 times the nominal power of 0\.01 MW"):
        read_factors(path, AXIS, ["a"], np.array([0.01]), BERLIN)
