"""The user's own series: what is read and everything that is refused."""

import numpy as np
import pandas as pd
import pytest

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.sources import read_factors, read_series
from stackelgrid.profiles.time_axis import TimeAxis

BERLIN = "Europe/Berlin"
QUARTER = pd.Timedelta(minutes=15)
START = pd.Timestamp("2024-06-20", tz=BERLIN)
AXIS = TimeAxis(START, QUARTER, 4)


def stamps(count=4, start="2024-06-20", step="15min"):
    index = pd.date_range(start, periods=count, freq=step, tz=BERLIN)
    return [stamp.isoformat() for stamp in index]


def write(tmp_path, times, header="time,load_kw", values=None, name="series.csv"):
    values = values or [str(10 * (k + 1)) for k in range(len(times))]
    rows = [f"{stamp},{value}" for stamp, value in zip(times, values, strict=True)]
    path = tmp_path / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_csv_power_becomes_megawatts_on_the_axis(tmp_path):
    path = write(
        tmp_path, stamps(), "time,load_kw,pv_w,net_mw", [f"{k}0,{k}000000,{k}" for k in range(4)]
    )
    frame = read_series(path, AXIS, "mw")
    assert list(frame.columns) == ["load_mw", "pv_mw", "net_mw"]
    assert frame.index.equals(AXIS.index)
    np.testing.assert_allclose(frame["load_mw"], [0.0, 0.01, 0.02, 0.03], rtol=1e-15)
    np.testing.assert_allclose(frame["pv_mw"], [0.0, 1.0, 2.0, 3.0], rtol=1e-15)
    assert frame["net_mw"].tolist() == [0.0, 1.0, 2.0, 3.0]


def test_parquet_as_column_and_as_index_agree_with_csv(tmp_path):
    index = pd.date_range(START, periods=4, freq=QUARTER, name="time")
    frame = pd.DataFrame({"load_kw": [10, 20, 30, 40]}, index=index)
    frame.to_parquet(tmp_path / "index.parquet")
    frame.reset_index().to_parquet(tmp_path / "column.PARQUET", index=False)
    expected = read_series(write(tmp_path, stamps()), AXIS, "mw")
    for name in ("index.parquet", "column.PARQUET"):
        pd.testing.assert_frame_equal(read_series(tmp_path / name, AXIS, "mw"), expected)


def test_naive_stamps_need_a_timezone_argument(tmp_path):
    path = write(tmp_path, [stamp[:19] for stamp in stamps()])
    assert len(read_series(path, AXIS, "mw", timezone=BERLIN)) == 4
    with pytest.raises(ProfileError, match=r"2024-06-20 00:00:00 has no time zone; .*timezone="):
        read_series(path, AXIS, "mw")
    with pytest.raises(ProfileError, match="timezone is 'Berlin'; an IANA name"):
        read_series(path, AXIS, "mw", timezone="Berlin")


def test_finer_rows_are_averaged_and_longer_files_cut(tmp_path):
    path = write(
        tmp_path, stamps(24, "2024-06-19 23:00", "5min"), values=[str(k) for k in range(24)]
    )
    axis = TimeAxis(START, QUARTER, 3)
    # The axis starts at row 12; each step is the mean of three rows.
    np.testing.assert_allclose(
        read_series(path, axis, "mw")["load_mw"], [0.013, 0.016, 0.019], rtol=1e-14
    )


def test_offsets_cross_a_clock_change_and_utc_stamps_do(tmp_path):
    axis = TimeAxis(pd.Timestamp("2024-10-27", tz=BERLIN), pd.Timedelta(hours=1), 25)
    path = write(tmp_path, stamps(25, "2024-10-27", "60min"))
    assert len(read_series(path, axis, "mw")) == 25
    utc = pd.date_range("2024-10-26 22:00", periods=25, freq="60min", tz="UTC")
    path = write(tmp_path, [stamp.strftime("%Y-%m-%dT%H:%M:%SZ") for stamp in utc])
    assert read_series(path, axis, "mw").index.equals(axis.index)


@pytest.mark.parametrize(
    ("times", "row"),
    [
        (["2024-10-27 01:00:00", "2024-10-27 02:00:00", "2024-10-27 03:00:00"], 2),
        (["2024-03-31 01:00:00", "2024-03-31 02:00:00", "2024-03-31 03:00:00"], 2),
    ],
)
def test_ambiguous_and_skipped_stamps_are_refused(tmp_path, times, row):
    path = write(tmp_path, times)
    with pytest.raises(ProfileError, match=rf"{times[1]} in data row {row} is ambiguous or skip"):
        read_series(path, AXIS, "mw", timezone=BERLIN)


def test_only_chosen_columns_are_converted(tmp_path):
    path = write(tmp_path, stamps(), "time,load_kw,note", [f"{k},text" for k in range(4)])
    assert list(read_series(path, AXIS, "mw", ["load_kw"]).columns) == ["load_mw"]
    with pytest.raises(ProfileError, match=r"'note' does not convert to mw; .* _mw, _kw, _w"):
        read_series(path, AXIS, "mw")
    with pytest.raises(ProfileError, match="column 'pv_kw' is missing; load_kw, note present"):
        read_series(path, AXIS, "mw", ["pv_kw"])
    with pytest.raises(ProfileError, match="no value column"):
        read_series(path, AXIS, "mw", [])


def test_prices_and_factors_keep_their_unit(tmp_path):
    path = write(tmp_path, stamps(), "time,import_eur_per_mwh", ["-5", "0", "1e2", "7.5"])
    frame = read_series(path, AXIS, "eur_per_mwh")
    assert frame["import_eur_per_mwh"].tolist() == [-5.0, 0.0, 100.0, 7.5]
    with pytest.raises(ProfileError, match="'import_eur_per_mwh' does not convert to mw"):
        read_series(path, AXIS, "mw")
    with pytest.raises(ProfileError, match="unit is 'kwh'; one of mw, mvar, eur_per_mwh, factor"):
        read_series(path, AXIS, "kwh")


GOOD = stamps()


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([GOOD[0], GOOD[1], GOOD[1], GOOD[2], GOOD[3]], r"22:15:00\+00:00 in data row 3 repeats"),
        ([GOOD[1], GOOD[0], GOOD[2], GOOD[3]], "data row 2 is before the row above"),
        (
            [GOOD[0], GOOD[1], GOOD[3]],
            r"no row between .*22:15.* and .*22:45.* \(data rows 2 and 3\)",
        ),
        (GOOD[:3], r"covers .*T22:00:00\S+ to .*T22:45:00\S+ .*T23:00:00\S+ is needed"),
        (GOOD[1:], r"covers 2024-06-19T22:15.* 2024-06-19T22:00:00\+00:00 to .* is needed"),
        ([*GOOD[:3], "tomorrow"], "mix stamps with and without an offset"),
        ([*GOOD[:3], "2024-06-20T99:99:00+02:00"], "T99:99.* in data row 4 is not a time stamp"),
        (
            ["20.06.2024 00:00", "32.06.2024 00:15"],
            "'32.06.2024 00:15' in data row 2 is not a time stamp; ISO 8601 such as",
        ),
        ([GOOD[0]], "1 data rows; at least 2"),
        ([], "0 data rows; at least 2"),
    ],
)
def test_bad_time_columns_are_refused(tmp_path, times, message):
    path = write(tmp_path, times)
    with pytest.raises(ProfileError, match=message) as caught:
        read_series(path, AXIS, "mw")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "nan", "inf", "-inf", "1;5", "ten"])
def test_values_that_are_no_finite_number_name_row_and_time(tmp_path, value):
    path = write(tmp_path, GOOD, values=["1", "2", value, "4"])
    message = rf"'load_kw' is '{value}' at 2024-06-19T22:30:00\+00:00 \(data row 3\); finite"
    with pytest.raises(ProfileError, match=message):
        read_series(path, AXIS, "mw")


def test_parquet_values_and_stamps_are_checked_as_well(tmp_path):
    index = pd.date_range(START, periods=4, freq=QUARTER, name="time")
    path = tmp_path / "series.parquet"
    pd.DataFrame({"load_kw": [1.0, None, 3.0, 4.0]}, index=index).to_parquet(path)
    with pytest.raises(ProfileError, match=r"'load_kw' is 'nan' .*data row 2"):
        read_series(path, AXIS, "mw")
    pd.DataFrame({"load_kw": [True] * 4}, index=index).to_parquet(path)
    with pytest.raises(ProfileError, match="holds bool; numbers"):
        read_series(path, AXIS, "mw")
    pd.DataFrame({"load_kw": [1.0] * 4}, index=index.tz_localize(None)).to_parquet(path)
    with pytest.raises(ProfileError, match="has no time zone"):
        read_series(path, AXIS, "mw")
    assert len(read_series(path, AXIS, "mw", timezone=BERLIN)) == 4
    holes = pd.DataFrame({"time": index, "load_kw": 1.0})
    holes.loc[2, "time"] = pd.NaT
    holes.to_parquet(path, index=False)
    with pytest.raises(ProfileError, match="time in data row 3 is empty"):
        read_series(path, AXIS, "mw")
    years = pd.Series(np.array(["9998", "9999"], dtype="datetime64[us]")).dt.tz_localize("UTC")
    pd.DataFrame({"time": years, "load_kw": 1.0}).to_parquet(path, index=False)
    with pytest.raises(ProfileError, match="leaves the years 1678 to 2261"):
        read_series(path, AXIS, "mw")
    numbers = pd.DataFrame({"time": [1, 2, 3, 4], "load_kw": 1.0})
    numbers.to_parquet(path, index=False)
    with pytest.raises(ProfileError, match="holds int64; stamps are accepted"):
        read_series(path, AXIS, "mw")


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(ProfileError, match=r"absent.csv: no such file"):
        read_series(tmp_path / "absent.csv", AXIS, "mw")
    with pytest.raises(ProfileError, match=r"ending is '.xlsx'; .csv, .tsv, .txt or .parquet"):
        read_series(tmp_path / "table.xlsx", AXIS, "mw")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ProfileError, match="no such file"):
        read_series(tmp_path / "folder.csv", AXIS, "mw")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(ProfileError, match="unreadable"):
        read_series(broken, AXIS, "mw")
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(ProfileError, match="unreadable"):
        read_series(empty, AXIS, "mw")
    latin = tmp_path / "latin.csv"
    latin.write_bytes("time,größe_kw\n2024-06-20T00:00:00Z,1\n".encode("latin-1"))
    with pytest.raises(ProfileError, match=r"latin.csv: unreadable"):
        read_series(latin, AXIS, "mw")
    with pytest.raises(ProfileError, match=r"unreadable .*Expected 2 columns"):
        read_series(write(tmp_path, GOOD, values=["1", "2,5", "3", "4"]), AXIS, "mw")


def test_bad_headers_are_refused(tmp_path):
    with pytest.raises(ProfileError, match="first column is 'hour'; 'time', or timestamp"):
        read_series(write(tmp_path, GOOD, "hour,load_kw"), AXIS, "mw")
    two = [f"{k},{k}" for k in range(4)]
    with pytest.raises(ProfileError, match="column load_kw occurs twice"):
        read_series(write(tmp_path, GOOD, "time,load_kw,load_kw", two), AXIS, "mw")
    with pytest.raises(ProfileError, match="'load_kw' and 'load_mw' both become 'load_mw'"):
        read_series(write(tmp_path, GOOD, "time,load_kw,load_mw", two), AXIS, "mw")


def test_coarser_rows_are_held(tmp_path):
    """Hourly prices under quarters; the axis may begin inside an hour, and end in one."""
    path = write(tmp_path, stamps(3, step="60min"), "time,a_eur_per_mwh", ["10", "-5", "7"])
    axis = TimeAxis(START + 2 * QUARTER, QUARTER, 8)
    frame = read_series(path, axis, "eur_per_mwh")
    assert frame["a_eur_per_mwh"].tolist() == [10.0] * 2 + [-5.0] * 4 + [7.0] * 2
    with pytest.raises(ProfileError, match=r"covers .* is needed"):
        read_series(path, TimeAxis(START, QUARTER, 13), "eur_per_mwh")


def test_naive_stamps_are_told_apart_where_an_hour_is_there_twice(tmp_path):
    """The night of 2024-10-27 in Berlin has 02:00 to 02:45 twice, that of 2024-03-31 not at all."""
    start = pd.Timestamp("2024-10-27", tz=BERLIN)
    index = pd.date_range(start, periods=20, freq="15min")
    path = write(tmp_path, [t.isoformat()[:19] for t in index], values=[str(k) for k in range(20)])
    axis = TimeAxis(start, QUARTER, 20)
    frame = read_series(path, axis, "mw", timezone=BERLIN)
    np.testing.assert_allclose(frame["load_mw"], np.arange(20) / 1e3)
    assert frame.index[8].isoformat() == "2024-10-27T02:00:00+02:00"
    assert frame.index[12].isoformat() == "2024-10-27T02:00:00+01:00"
    once = [t.isoformat()[:19] for t in index if t.isoformat()[-6:] == "+02:00" or t.hour > 2]
    with pytest.raises(ProfileError, match="2024-10-27 02:00:00 in data row 9 is ambiguous or sk"):
        read_series(write(tmp_path, once), axis, "mw", timezone=BERLIN)
    start = pd.Timestamp("2024-03-31", tz=BERLIN)
    skipping = [t.isoformat()[:19] for t in pd.date_range(start, periods=12, freq="15min")]
    assert skipping[7:9] == ["2024-03-31T01:45:00", "2024-03-31T03:00:00"]
    axis = TimeAxis(start, QUARTER, 12)
    assert len(read_series(write(tmp_path, skipping), axis, "mw", timezone=BERLIN)) == 12


def test_devices_take_a_factor_or_a_power_each(tmp_path):
    """20 kW of 50 kW are 0.4; the nominal power of a device turns watts into factors."""
    path = write(
        tmp_path,
        stamps(),
        "time,a_factor,b_kw,c_mw,d_w",
        ["0.4,20,0.02,20000"] * 2 + ["0,5,0,1"] * 2,
    )
    nominal = np.array([9.0, 0.05, 0.05, 0.05])
    factors = read_factors(path, AXIS, ["a", "b", "c", "d"], nominal)
    np.testing.assert_allclose(factors[0], 0.4, rtol=1e-14)
    np.testing.assert_allclose(factors[2], [0.0, 0.1, 0.0, 2e-5], rtol=1e-14)
    message = (
        "'e_factor' is missing; one of e_factor, e_mw, e_kw, e_w, e_mwh, e_kwh, e_wh is accepted; "
        "a_factor, b_kw"
    )
    with pytest.raises(ProfileError, match=message):
        read_factors(path, AXIS, ["e"], nominal[:1])
    with pytest.raises(ProfileError, match="'b_kw' is a power, but b has a nominal power of 0 MW"):
        read_factors(path, AXIS, ["b"], np.zeros(1))
    negative = write(tmp_path, stamps(), "time,a_kw", ["1", "-2", "1", "1"], "negative.csv")
    with pytest.raises(
        ProfileError, match=r"a_kw is -2 at 2024-06-20 00:15:00\+02:00; values >= 0"
    ):
        read_factors(negative, AXIS, ["a"], nominal[:1])
    both = write(tmp_path, stamps(), "time,a_factor,a_kw", ["1,1"] * 4)
    with pytest.raises(ProfileError, match="'a_factor' occurs in several units"):
        read_factors(both, AXIS, ["a"], nominal[:1])
