"""The user's own time series from CSV and Parquet files, aligned to a time axis."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from stackelgrid.profiles.arrays import Floats, Ints
from stackelgrid.profiles.errors import ProfileError, shown
from stackelgrid.profiles.size_limits import FILE_BYTES, FILE_CELLS, QUANTITY
from stackelgrid.profiles.stamps import iso, parse_stamps, require_equal_steps
from stackelgrid.profiles.time_axis import TimeAxis

SeriesUnit = Literal["mw", "eur_per_mwh", "factor", "c", "kg_per_mwh"]

# factor from a column's unit to the wanted unit; pairs that are missing cannot be converted
_CONVERSIONS = {
    "mw": {"mw": 1.0, "kw": 1e-3, "w": 1e-6},
    "eur_per_mwh": {"eur_per_mwh": 1.0},
    "factor": {"factor": 1.0},
    "c": {"c": 1.0},
    "kg_per_mwh": {"kg_per_mwh": 1.0, "g_per_kwh": 1.0},
}

# a power above this multiple of the nominal one is taken for one in another unit, such as kW in a
# column of MW; peaks of single homes reach some 50 times their mean
_MOST_OF_NOMINAL = 100.0


def read_series(
    path: Path | str,
    axis: TimeAxis,
    unit: SeriesUnit,
    columns: Sequence[str] | None = None,
    timezone: str | None = None,
) -> pd.DataFrame:
    """Read value columns of a CSV or Parquet file on the steps of a time axis.

    path: the file.
    axis: time axis; the result is indexed by `axis.index`.
    unit: unit of the result; its columns are renamed to end in it.
    columns: columns to read; None: all.
    timezone: zone of stamps without an offset.

    The first column (in Parquet also the index) is named `time` and holds ISO stamps of the
    left edges of equal steps. Value columns end in their unit: `_mw`, `_kw`, `_w`, `_eur_per_mwh`
    or `_factor`. Finer steps that divide the axis' step are averaged, values of coarser ones that
    are a multiple of it are held.

    Raises ProfileError, naming file and column, row or time: missing, unreadable or other
    files; naive stamps without `timezone`, stamps a clock change makes ambiguous or skips;
    duplicate, unsorted or missing stamps; values that are missing or not finite numbers; units
    that do not convert to `unit`; steps that do not fit; files that do not cover `axis`.
    """
    path = Path(path)
    if unit not in _CONVERSIONS:
        raise ProfileError(
            f"read_series: unit is {unit!r}; one of {', '.join(_CONVERSIONS)} is accepted"
        )
    table = _read_table(path)
    wanted = _wanted_columns(path, list(table.columns), columns)
    names = _converted_names(path, wanted, unit)
    series = _on_axis(path, table, wanted, axis, timezone)
    scaled = {names[column][0]: names[column][1] * series[column] for column in wanted}
    return pd.DataFrame(scaled, index=axis.index)


def read_factors(
    path: Path | str,
    axis: TimeAxis,
    names: Sequence[str],
    nominal_mw: Floats,
    timezone: str | None = None,
) -> Floats:
    """Read one column for each device as factors of its nominal power, shape (n, names).

    path, axis, timezone: as for `read_series`.
    names: names of the devices.
    nominal_mw: nominal powers (names,).

    A column is `<name>_factor`, or a power that is divided by the nominal one: `<name>_mw`, `_kw`
    or `_w`. Raises ProfileError as `read_series` does, for a device without a column or with
    several, for a power where the nominal power is 0 or a hundredth of it, and for negative values.
    """
    path = Path(path)
    table = _read_table(path)
    present = [str(c) for c in table.columns[1:]]
    units = {"factor": 1.0} | _CONVERSIONS["mw"]
    columns: list[str] = []
    scale = np.empty(len(names))
    for k, name in enumerate(names):
        found = [unit for unit in units if f"{name}_{unit}" in present]
        if len(found) != 1:
            accepted = ", ".join(f"{name}_{unit}" for unit in units)
            problem = "is missing" if not found else "occurs in several units"
            raise ProfileError(
                f"{path}: column {name + '_factor'!r} {problem}; one of {accepted} is accepted; "
                f"{', '.join(present) or 'none'} present"
            )
        columns.append(f"{name}_{found[0]}")
        scale[k] = units[found[0]]
        if found[0] != "factor":
            if nominal_mw[k] == 0.0:
                raise ProfileError(
                    f"{path}: column {columns[-1]!r} is a power, but {name} has a nominal power of "
                    f"0 MW; {name}_factor is accepted"
                )
            scale[k] /= nominal_mw[k]
    series = _on_axis(path, table, columns, axis, timezone)
    values = np.column_stack([series[column] for column in columns])
    if (values < 0.0).any():
        row, k = np.argwhere(values < 0.0)[0]
        raise ProfileError(
            f"{path}: {columns[k]} is {values[row, k]:g} at {axis.index[row]}; values >= 0 are "
            "accepted"
        )
    factors = scale * values
    powers = ~np.array([column.endswith("_factor") for column in columns], dtype=bool)
    high = powers & (np.abs(factors) > _MOST_OF_NOMINAL)
    if high.any():
        row, k = np.argwhere(high)[0]
        raise ProfileError(
            f"{path}: {columns[k]} is {values[row, k]:g} at {axis.index[row]}, "
            f"{factors[row, k]:.3g} times the nominal power of {nominal_mw[k]:g} MW; at most "
            f"{_MOST_OF_NOMINAL:g} times is accepted: check the unit ({names[k]}_kw for kW)"
        )
    return factors


def _on_axis(
    path: Path, table: pd.DataFrame, columns: Sequence[str], axis: TimeAxis, timezone: str | None
) -> dict[str, Floats]:
    """Return values of columns on the steps of `axis`: means of finer steps, coarser ones held."""
    stamps = parse_stamps(path, table["time"], _zone(path, timezone), ordered=True)
    require_equal_steps(path, stamps)
    rows = _rows_of_steps(path, stamps, axis)
    return {
        column: _parse_values(path, column, table[column], stamps)[rows].mean(axis=1)
        for column in columns
    }


def _zone(path: Path, timezone: str | None) -> ZoneInfo | None:
    if timezone is None:
        return None
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise ProfileError(
            f"{path}: timezone is {timezone!r}; an IANA name such as 'Europe/Berlin' is accepted"
        ) from error


def read_columns(path: Path) -> pd.DataFrame:
    """Read a whole CSV or Parquet file; CSV cells stay text, so that errors can quote them.

    Raises ProfileError for a missing, unreadable or other file, one without columns and one with a
    column twice.
    """
    ending = path.suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise ProfileError(f"{path}: ending is {ending!r}; .csv and .parquet are accepted")
    try:
        if not path.is_file():
            raise ProfileError(f"{path}: no such file; an existing .csv or .parquet is accepted")
        _check_size(path, ending)
        if ending == ".csv":
            header = pa_csv.open_csv(path).schema.names
            as_text = pa_csv.ConvertOptions(column_types={name: pa.string() for name in header})
            arrow = pa_csv.read_csv(path, convert_options=as_text)
        else:
            arrow = pa_parquet.read_table(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
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


def _check_size(path: Path, ending: str) -> None:
    """Raise ProfileError for a file whose table would take too much memory."""
    size = path.stat().st_size
    if size > FILE_BYTES:
        raise ProfileError(
            f"{path}: has {size:,} bytes; at most {FILE_BYTES:,} are accepted (leave out columns "
            "and times that are not used)"
        )
    if ending == ".parquet":
        held = pa_parquet.read_metadata(path)
        if held.num_rows * held.num_columns > FILE_CELLS:
            raise ProfileError(
                f"{path}: holds {held.num_rows:,} rows x {held.num_columns:,} columns = "
                f"{held.num_rows * held.num_columns:,} values; at most {FILE_CELLS:,} are accepted"
            )


def _read_table(path: Path) -> pd.DataFrame:
    """Read the whole file; its first column is named `time`."""
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
                f"{path}: column {shown(column)} is missing; {', '.join(values)[:300] or 'none'} "
                "present"
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


def _rows_of_steps(path: Path, stamps: pd.DatetimeIndex, axis: TimeAxis) -> Ints:
    """Return the rows (n, parts) averaged over each step of the axis; one if steps are longer."""
    step, nothing = stamps[1] - stamps[0], pd.Timedelta(0)
    if axis.step % step != nothing and step % axis.step != nothing:
        raise ProfileError(
            f"{path}: rows are {step} apart; {axis.step}, a whole fraction or a multiple of it is "
            "accepted"
        )
    end = stamps[-1] + step
    if stamps[0] > axis.start or end < axis.end:
        raise ProfileError(
            f"{path}: covers {iso(stamps[0])} to {iso(end)}; "
            f"{iso(axis.start)} to {iso(axis.end)} is needed"
        )
    offset, part = axis.start - stamps[0], min(step, axis.step)
    if offset % part != nothing:
        raise ProfileError(
            f"{path}: rows every {step} from {iso(stamps[0])} miss the start "
            f"{iso(axis.start)}; a file with a row at that time is accepted"
        )
    parts = axis.step // part
    at = offset // part + np.arange(axis.length * parts).reshape(axis.length, parts)
    return np.asarray(at // (step // part))


def _parse_values(
    path: Path, name: str, column: "pd.Series[float]", stamps: pd.DatetimeIndex
) -> Floats:
    numeric = pd.to_numeric(column, errors="coerce")
    if (
        pd.api.types.is_bool_dtype(numeric.dtype)
        or pd.api.types.is_timedelta64_dtype(column.dtype)
        or not pd.api.types.is_numeric_dtype(numeric.dtype)
    ):
        raise ProfileError(f"{path}: column {name!r} holds {column.dtype}; numbers are accepted")
    values = numeric.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(~(np.abs(values) <= QUANTITY))
    if bad.size:
        row = int(bad[0])
        raise ProfileError(
            f"{path}: column {name!r} is {str(column.iloc[row])!r} at {iso(stamps[row])} (data "
            f"row {row + 1}); finite numbers (at most {QUANTITY:g} in size) are accepted"
        )
    return values
