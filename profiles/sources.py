"""The user's own time series from CSV and Parquet files, aligned to a time axis.

`profiles/tables/` reads the files: separators, time stamps, units and resampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stackelgrid.profiles.arrays import Bools, Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.tables.series_table import Column, SeriesTable, read_series_table
from stackelgrid.profiles.tables.units import (
    SERIES_UNITS,
    SeriesUnit,
    declared_unit,
    suffixes_of,
)
from stackelgrid.profiles.time_axis import TimeAxis

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
    columns: columns to read, with or without the suffix of their unit; None: all.
    timezone: zone of stamps without an offset.

    The first column (in Parquet also the index) holds the stamps of equal steps. Value columns end
    in their unit. Values are means over the steps of the axis (docs/howto/profiles.md).

    Raises ProfileError, naming file and column, row or time: missing, unreadable or other
    files; naive stamps without `timezone`, stamps a clock change makes ambiguous or skips;
    duplicate, unsorted or missing stamps; values that are missing or not finite numbers; units
    that do not convert to `unit`; files that do not cover `axis`.
    """
    if unit not in SERIES_UNITS:
        raise ProfileError(
            f"read_series: unit is {unit!r}; one of {', '.join(SERIES_UNITS)} is accepted"
        )
    table = read_series_table(path, timezone)
    wanted = table.chosen(columns, unit)
    origin: dict[str, Column] = {}
    for column in wanted:
        name = f"{column.name}_{unit}"
        if name in origin:
            raise ProfileError(
                f"{path}: columns {origin[name].header!r} and {column.header!r} both become "
                f"{name!r}; distinct names are accepted"
            )
        origin[name] = column
    series = table.on_axis((column.header for column in wanted), axis)
    scaled = {name: table.scale(c) * series[c.header] for name, c in origin.items()}
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

    A column is `<name>_factor`, or a power or an energy for each row that is divided by the nominal
    power: `<name>_kw`, `<name>_kwh` and so on. Raises ProfileError as `read_series` does, for a
    device without a column or with several, for a power where the nominal power is 0 or a hundredth
    of it, and for negative values.
    """
    table = read_series_table(path, timezone)
    columns = _device_columns(table, names)
    for k, column in enumerate(columns):
        if column.unit.series == "mw" and nominal_mw[k] == 0.0:
            raise ProfileError(
                f"{table.path}: column {column.header!r} is a power, but {column.name} has a "
                f"nominal power of 0 MW; {column.name}_factor is accepted"
            )
    return _factors(table, axis, columns, nominal_mw)


@dataclass(frozen=True)
class LoadPowers:
    """Powers of loads from a file, each (n, loads).

    factors: of the nominal active power.
    p_mw, q_mvar: active powers of loads without a nominal one, and reactive powers where the file
        has them; else NaN.
    """

    factors: Floats
    p_mw: Floats
    q_mvar: Floats


def read_loads(
    path: Path | str,
    axis: TimeAxis,
    names: Sequence[str],
    nominal_mw: Floats,
    nominal_mvar: Floats,
    timezone: str | None = None,
) -> LoadPowers:
    """Read the powers of loads.

    path, axis, names, nominal_mw, timezone: as for `read_factors`.
    nominal_mvar: nominal reactive powers (names,).

    A column of reactive power is `<name>_kvar`, `<name>_kvarh` and so on, or `<name>_q_factor` of
    the nominal one. Raises ProfileError as `read_factors` does; a load without a nominal power may
    have a column of power.
    """
    table = read_series_table(path, timezone)
    columns = _device_columns(table, names)
    values = _factors(table, axis, columns, nominal_mw)
    powers = np.array([column.unit.series == "mw" for column in columns], dtype=bool)
    free: Bools = powers & (nominal_mw == 0.0)
    reactive = np.full(values.shape, np.nan)
    for k, name in enumerate(names):
        if table.candidates(name, "mvar", "q_factor"):
            reactive[:, k] = _reactive(table, axis, name, nominal_mw[k], nominal_mvar[k])
    return LoadPowers(np.where(free, 0.0, values), np.where(free, values, np.nan), reactive)


def _reactive(
    table: SeriesTable, axis: TimeAxis, name: str, nominal_mw: float, nominal_mvar: float
) -> Floats:
    """Return the reactive power (n,) of a load in MVAr."""
    column = table.column(name, "mvar", "q_factor")
    values = table.on_axis([column.header], axis)[column.header]
    if column.unit.series == "q_factor":
        return values * nominal_mvar
    q_mvar: Floats = table.scale(column) * values
    nominal = float(np.hypot(nominal_mw, nominal_mvar))
    high = np.abs(q_mvar) > _MOST_OF_NOMINAL * nominal
    if nominal > 0.0 and high.any():
        row = int(np.argmax(high))
        raise ProfileError(
            f"{table.path}: {column.header} is {values[row]:g} at {axis.index[row]}, "
            f"{abs(q_mvar[row]) / nominal:.3g} times the nominal power of {nominal:g} MVA; at most "
            f"{_MOST_OF_NOMINAL:g} times is accepted: check the unit ({name}_kvar for kVAr)"
        )
    return q_mvar


def _device_columns(table: SeriesTable, names: Sequence[str]) -> list[Column]:
    """Return the columns of devices; raises ProfileError for one of a device without a unit."""
    known = set(names)
    for header in table.headers:
        name = header.rpartition("_")[0]
        if name in known and declared_unit(header) is None:
            accepted = ", ".join(f"_{s}" for s in suffixes_of("mw", "factor", "mvar", "q_factor"))
            raise ProfileError(
                f"{table.path}: column {header!r} of {name} ends in no known unit; {accepted} are "
                "accepted"
            )
    return [table.column(name, "factor", "mw") for name in names]


def _factors(
    table: SeriesTable, axis: TimeAxis, columns: Sequence[Column], nominal_mw: Floats
) -> Floats:
    """Return factors (n, columns) of nominal powers; powers in MW where these are 0."""
    path = table.path
    powers: Bools = np.array([c.unit.series == "mw" for c in columns], dtype=bool)
    powers &= nominal_mw != 0.0
    series = table.on_axis((column.header for column in columns), axis)
    values = np.column_stack([series[column.header] for column in columns])
    if (values < 0.0).any():
        row, k = np.argwhere(values < 0.0)[0]
        raise ProfileError(
            f"{path}: {columns[k].header} is {values[row, k]:g} at {axis.index[row]}; values >= 0 "
            "are accepted"
        )
    scale = np.array([table.scale(column) for column in columns])
    scale[powers] /= nominal_mw[powers]
    factors: Floats = scale * values
    high = powers & (np.abs(factors) > _MOST_OF_NOMINAL)
    if high.any():
        row, k = np.argwhere(high)[0]
        raise ProfileError(
            f"{path}: {columns[k].header} is {values[row, k]:g} at {axis.index[row]}, "
            f"{factors[row, k]:.3g} times the nominal power of {nominal_mw[k]:g} MW; at most "
            f"{_MOST_OF_NOMINAL:g} times is accepted: check the unit ({columns[k].name}_kw for kW)"
        )
    return factors
