"""The user's own time series from CSV and Parquet files, aligned to a time axis."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.time_axis import TimeAxis

SeriesUnit = Literal["mw", "eur_per_mwh", "factor"]

# Factor from a column's unit to the wanted unit; what is missing here is not convertible.
_CONVERSIONS = {
    "mw": {"mw": 1.0, "kw": 1e-3, "w": 1e-6},
    "eur_per_mwh": {"eur_per_mwh": 1.0},
    "factor": {"factor": 1.0},
}
_OFFSET = re.compile(r"[T ]\d{2}.*(?:Z|[+-]\d{2}(?::?\d{2})?)$")


def read_series(
    path: Path | str,
    axis: TimeAxis,
    unit: SeriesUnit,
    columns: Sequence[str] | None = None,
    timezone: str | None = None,
) -> pd.DataFrame:
    """Read value columns of a CSV or Parquet file on the steps of `axis`.

    The first column (in Parquet also the index) is named `time` and holds ISO stamps of the
    left edges of equal steps, each with an offset; `timezone` is the zone of stamps without
    one. Value columns end in their unit: `_mw`, `_kw`, `_w`, `_eur_per_mwh` or `_factor`. The
    result holds `columns` (all if None) in `unit`, renamed to end in it, indexed by
    `axis.index`. A file of finer steps is averaged if they divide the axis' step.

    Raises ProfileError, naming file and column, row or time: missing, unreadable or other
    files; naive stamps without `timezone`, stamps a clock change makes ambiguous or skips;
    duplicate, unsorted or missing stamps; values that are missing or not finite numbers; units
    that do not convert to `unit`; coarser or misaligned steps; files that do not cover `axis`.
    """
    path = Path(path)
    if unit not in _CONVERSIONS:
        raise ProfileError(
            f"read_series: unit is {unit!r}; one of {', '.join(_CONVERSIONS)} is accepted"
        )
    table = _read_table(path)
    wanted = _wanted_columns(path, list(table.columns), columns)
    names = _converted_names(path, wanted, unit)
    stamps = _parse_times(path, table["time"], timezone)
    first, parts = _align(path, stamps, axis)
    series: dict[str, Floats] = {}
    for column in wanted:
        values = _parse_values(path, column, table[column], stamps)
        window = values[first : first + axis.length * parts]
        means = window.reshape(axis.length, parts).mean(axis=1)
        name, factor = names[column]
        series[name] = means * factor
    return pd.DataFrame(series, index=axis.index)


def read_columns(path: Path) -> pd.DataFrame:
    """Read a whole CSV or Parquet file; CSV cells stay text, so that errors can quote them.

    Raises ProfileError for a missing, unreadable or other file, one without columns and one with a
    column twice.
    """
    ending = path.suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise ProfileError(f"{path}: ending is {ending!r}; .csv and .parquet are accepted")
    if not path.is_file():
        raise ProfileError(f"{path}: no such file; an existing .csv or .parquet is accepted")
    try:
        if ending == ".csv":
            header = pa_csv.open_csv(path).schema.names
            as_text = pa_csv.ConvertOptions(column_types={name: pa.string() for name in header})
            arrow = pa_csv.read_csv(path, convert_options=as_text)
        else:
            arrow = pa_parquet.read_table(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ProfileError(
            f"{path}: unreadable ({reason}); a comma-separated UTF-8 table or a Parquet file "
            "is accepted"
        ) from error
    names = list(arrow.column_names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ProfileError(f"{path}: column {twice[0]} occurs twice; distinct names are accepted")
    if not names:
        raise ProfileError(f"{path}: has no columns; a table is accepted")
    frame: pd.DataFrame = arrow.to_pandas()
    return frame


def _read_table(path: Path) -> pd.DataFrame:
    """Read the whole file, its first column `time`."""
    frame = read_columns(path)
    if frame.index.name == "time":
        frame = frame.reset_index()
    if frame.columns.empty or frame.columns[0] != "time":
        found = repr(str(frame.columns[0])) if len(frame.columns) else "none"
        raise ProfileError(f"{path}: the first column is {found}; 'time' is accepted")
    if len(frame) < 2:
        raise ProfileError(
            f"{path}: {len(frame)} data rows; at least 2, which define the step, are accepted"
        )
    return frame


def _wanted_columns(path: Path, present: list[str], columns: Sequence[str] | None) -> list[str]:
    values = present[1:]
    wanted = values if columns is None else list(columns)
    for column in wanted:
        if column not in values:
            raise ProfileError(
                f"{path}: column {column!r} is missing; {', '.join(values) or 'none'} present"
            )
    if not wanted:
        raise ProfileError(f"{path}: no value column; at least one beside 'time' is accepted")
    return wanted


def _converted_names(
    path: Path, columns: list[str], unit: SeriesUnit
) -> dict[str, tuple[str, float]]:
    """Map each column to its name in the wanted unit and the factor to get there."""
    accepted = _CONVERSIONS[unit]
    names: dict[str, tuple[str, float]] = {}
    origin: dict[str, str] = {}
    for column in columns:
        suffix = next((known for known in accepted if column.endswith(f"_{known}")), None)
        if suffix is None:
            endings = ", ".join(f"_{known}" for known in accepted)
            raise ProfileError(
                f"{path}: column {column!r} does not convert to {unit}; a name ending in "
                f"{endings} is accepted"
            )
        name = f"{column.removesuffix(suffix)}{unit}"
        if name in origin:
            raise ProfileError(
                f"{path}: columns {origin[name]!r} and {column!r} both become {name!r}; "
                "distinct names are accepted"
            )
        origin[name] = column
        names[column] = (name, accepted[suffix])
    return names


def _parse_times(path: Path, column: "pd.Series[str]", timezone: str | None) -> pd.DatetimeIndex:
    """Return the stamps in UTC, checked to be unambiguous, sorted and without a gap."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        stamps = pd.DatetimeIndex(column).tz_convert("UTC")
    elif pd.api.types.is_datetime64_dtype(column.dtype):
        stamps = _localise(path, pd.DatetimeIndex(column), timezone)
    elif not pd.api.types.is_object_dtype(column.dtype):
        # Numbers would parse as seconds or nanoseconds of an epoch nobody stated.
        raise ProfileError(f"{path}: column 'time' holds {column.dtype}; stamps are accepted")
    else:
        text = column.astype(str)
        with_offset = text.str.contains(_OFFSET).to_numpy(dtype=bool)
        if with_offset.any() and not with_offset.all():
            row = int(np.flatnonzero(with_offset != with_offset[0])[0])
            raise ProfileError(
                f"{path}: time {text.iloc[row]!r} in data row {row + 1} and "
                f"{text.iloc[0]!r} in data row 1 mix stamps with and without an offset; "
                "one kind is accepted"
            )
        parsed = pd.DatetimeIndex(pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True))
        bad = np.flatnonzero(parsed.isna())
        if bad.size:
            raise ProfileError(
                f"{path}: time {text.iloc[bad[0]]!r} in data row {bad[0] + 1} is no stamp; "
                "ISO 8601 such as 2024-06-01T00:15:00+02:00 is accepted"
            )
        stamps = (
            parsed if with_offset.all() else _localise(path, parsed.tz_localize(None), timezone)
        )
    try:
        stamps = stamps.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime as error:
        raise ProfileError(
            f"{path}: column 'time' leaves the years 1678 to 2261; stamps within are accepted"
        ) from error
    if stamps.hasnans:
        row = int(np.flatnonzero(stamps.isna())[0])
        raise ProfileError(f"{path}: time in data row {row + 1} is empty; a stamp is accepted")
    _require_equal_steps(path, stamps)
    return stamps


def _localise(path: Path, naive: pd.DatetimeIndex, timezone: str | None) -> pd.DatetimeIndex:
    if timezone is None:
        raise ProfileError(
            f"{path}: time {naive[0]} has no time zone; stamps with an offset or a timezone= "
            "for them are accepted"
        )
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise ProfileError(
            f"{path}: timezone is {timezone!r}; an IANA name such as 'Europe/Berlin' is accepted"
        ) from error
    local = naive.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    bad = np.flatnonzero(np.asarray(local.isna()) & np.asarray(naive.notna()))
    if bad.size:
        raise ProfileError(
            f"{path}: time {naive[bad[0]]} in data row {bad[0] + 1} is ambiguous or skipped by a "
            f"clock change in {timezone}; stamps with an offset are accepted there"
        )
    return local.tz_convert("UTC")


def _require_equal_steps(path: Path, stamps: pd.DatetimeIndex) -> None:
    steps = np.diff(stamps.asi8)
    if (steps == 0).any():
        row = int(np.flatnonzero(steps == 0)[0]) + 1
        raise ProfileError(
            f"{path}: time {_iso(stamps[row])} in data row {row + 1} repeats the row before; "
            "one row per stamp is accepted"
        )
    if (steps < 0).any():
        row = int(np.flatnonzero(steps < 0)[0]) + 1
        raise ProfileError(
            f"{path}: time {_iso(stamps[row])} in data row {row + 1} is before the row above; "
            "increasing stamps are accepted"
        )
    step = steps.min()
    if (steps != step).any():
        row = int(np.flatnonzero(steps != step)[0])
        raise ProfileError(
            f"{path}: no row between {_iso(stamps[row])} and {_iso(stamps[row + 1])} (data rows "
            f"{row + 1} and {row + 2}); a row every {pd.Timedelta(step)} is accepted"
        )


def _align(path: Path, stamps: pd.DatetimeIndex, axis: TimeAxis) -> tuple[int, int]:
    """Return the row of the axis' start and the number of rows of each of its steps."""
    step = stamps[1] - stamps[0]
    if step > axis.step or axis.step % step != pd.Timedelta(0):
        raise ProfileError(
            f"{path}: rows are {step} apart; {axis.step} or a whole fraction of it is accepted"
        )
    end = stamps[-1] + step
    if stamps[0] > axis.start or end < axis.end:
        raise ProfileError(
            f"{path}: covers {_iso(stamps[0])} to {_iso(end)}; "
            f"{_iso(axis.start)} to {_iso(axis.end)} is needed"
        )
    if (axis.start - stamps[0]) % step != pd.Timedelta(0):
        raise ProfileError(
            f"{path}: rows every {step} from {_iso(stamps[0])} miss the start "
            f"{_iso(axis.start)}; a file with a row at that time is accepted"
        )
    return (axis.start - stamps[0]) // step, axis.step // step


def _parse_values(
    path: Path, name: str, column: "pd.Series[float]", stamps: pd.DatetimeIndex
) -> Floats:
    numeric = pd.to_numeric(column, errors="coerce")
    if pd.api.types.is_bool_dtype(numeric.dtype) or not pd.api.types.is_numeric_dtype(
        numeric.dtype
    ):
        raise ProfileError(f"{path}: column {name!r} holds {column.dtype}; numbers are accepted")
    values = numeric.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        row = int(bad[0])
        raise ProfileError(
            f"{path}: column {name!r} is {str(column.iloc[row])!r} at {_iso(stamps[row])} (data "
            f"row {row + 1}); finite numbers are accepted"
        )
    return values


def _iso(stamp: pd.Timestamp) -> str:
    return stamp.tz_convert("UTC").isoformat()
