"""Files of profiles and forecasts that are no tables or hold no numbers: one line."""

import pandas as pd
import pytest

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast_table import read_forecast_table
from stackelgrid.profiles.sources import read_series
from stackelgrid.profiles.tables import reading
from stackelgrid.profiles.time_axis import TimeAxis

START = pd.Timestamp("2025-06-21T00:00", tz="Europe/Berlin")
AXIS = TimeAxis(START, pd.Timedelta("15min"), 4)
STAMPS = [f"2025-06-21T0{k // 4}:{15 * (k % 4):02d}+02:00" for k in range(8)]
GOOD = "time,a_mw\n" + "\n".join(f"{stamp},1" for stamp in STAMPS)
FORECAST = "issue_time,lead_min,grid,quantity,value\n2025-06-21T00:00+02:00,{},mv1,load,{}\n"


def refused(read, path):
    with pytest.raises(ProfileError) as error:
        read(path)
    text = str(error.value)
    assert len(text) < 900
    assert "\n" not in text
    return text


def series(path):
    return read_series(path, AXIS, "mw")


def forecast(path):
    return read_forecast_table(path, AXIS, ["mv1"], None)


@pytest.mark.parametrize("read", [series, forecast])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "Empty CSV file"),
        (b"\n\n", "Empty CSV file"),
        (b"time,a_mw", "Empty CSV file"),
        (GOOD.replace("a_", "ä_").encode("latin-1"), "'utf-8' codec can't decode"),
        (GOOD.encode("utf-16"), "'utf-8' codec can't decode"),
        ((GOOD + ",3,4\n").encode(), "Expected 2 columns, got 4"),
        (b"time," + b"a" * 100_000 + b"_kwh\n1,2\n", "column"),
    ],
)
def test_texts(content, expected, read, tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    assert expected in refused(read, path)


@pytest.mark.parametrize("read", [series, forecast])
@pytest.mark.parametrize("content", [b"", b"PAR1" + b"\1" * 100 + b"PAR1", b"\0" * 3000])
def test_parquet_files_that_are_none(content, read, tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    assert "unreadable (" in refused(read, path)


@pytest.mark.parametrize("read", [series, forecast])
def test_names_that_are_no_files(read, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    assert "no such file" in refused(read, tmp_path / "folder.csv")
    assert "no such file" in refused(read, tmp_path / "a\0.csv")
    assert "File name too long" in refused(read, tmp_path / ("a" * 500 + ".csv"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[1.0]] * 8, "column 'a_mw' is '[1.]'"),
        ([{"x": 1}] * 8, "column 'a_mw' is \"{'x': 1}\""),
        ([None] * 8, "column 'a_mw' is 'None'"),
        ([True] * 8, "column 'a_mw' holds bool"),
        (pd.to_timedelta([1] * 8), "column 'a_mw' holds timedelta64"),
        ([1e308] * 8, "column 'a_mw' is '1e+308'"),
        ([float("inf")] * 8, "column 'a_mw' is 'inf'"),
    ],
)
def test_columns_that_hold_no_numbers(values, expected, tmp_path):
    path = tmp_path / "x.parquet"
    pd.DataFrame({"time": pd.to_datetime(STAMPS), "a_mw": values}).to_parquet(path)
    assert expected in refused(series, path)


@pytest.mark.parametrize(
    ("lead", "value", "expected"),
    [
        ("1e300", "1", "column 'lead_min' is '1e300' in data row 1"),
        ("1e12", "1", "at most 5.256e+06 in size"),
        ("0", "1e300", "column 'value' is '1e300' in data row 1"),
        ("0", "nan", "column 'value' is 'nan' in data row 1"),
    ],
)
def test_forecasts_beyond_all_measure(lead, value, expected, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(FORECAST.format(lead, value), encoding="utf-8")
    assert expected in refused(forecast, path)


def test_large_files_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    pd.DataFrame({"time": pd.to_datetime(STAMPS), "a_mw": 1.0}).to_parquet(path)
    monkeypatch.setattr(reading, "FILE_CELLS", 15)
    assert "8 rows x 2 columns = 16 values; at most 15 are accepted" in refused(series, path)
    path = tmp_path / "x.csv"
    with path.open("wb") as file:
        file.truncate(1_000_000_001)
    assert "has 1,000,000,001 bytes; at most 1,000,000,000" in refused(series, path)
