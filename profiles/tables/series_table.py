"""A table of time series: stamps of equal steps, and columns of numbers with units."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError, shown
from stackelgrid.profiles.size_limits import QUANTITY
from stackelgrid.profiles.tables.dialect import Dialect
from stackelgrid.profiles.tables.reading import Table, read_table
from stackelgrid.profiles.tables.resampling import rows_of_steps
from stackelgrid.profiles.tables.stamp_forms import (
    CLOCK,
    LEFT_EDGES,
    RIGHT_EDGES,
    ParsedStamps,
    StampColumn,
    stamp_column,
)
from stackelgrid.profiles.tables.stamps import iso, read_stamps, require_equal_steps
from stackelgrid.profiles.tables.units import SeriesUnit, Unit, declared_unit, suffixes_of
from stackelgrid.profiles.time_axis import TimeAxis


@dataclass(frozen=True)
class Column:
    """A column of values: its header, the name without the unit, and the unit."""

    header: str
    name: str
    unit: Unit


@dataclass(frozen=True, eq=False)
class SeriesTable:
    """Rows of equal length with values that are constant over each.

    path: the file, for messages.
    frame: columns of values as they were read.
    parsed: stamps as the file has them, in UTC.
    stamped: statements of the name of the column of stamps.
    dialect: separator and decimal sign.
    """

    path: Path
    frame: pd.DataFrame = field(repr=False)
    parsed: ParsedStamps = field(repr=False)
    stamped: StampColumn
    dialect: Dialect

    @property
    def labels(self) -> pd.DatetimeIndex:
        """Stamps as the file has them, in UTC."""
        return self.parsed.stamps

    @cached_property
    def stamps(self) -> pd.DatetimeIndex:
        """Left edges of the rows in UTC; raises ProfileError for steps that are not equal."""
        require_equal_steps(self.path, self.labels)
        return self.labels - self.step if self.stamped.right else self.labels

    @property
    def step(self) -> pd.Timedelta:
        """Length of a row."""
        return pd.Timedelta(self.labels[1] - self.labels[0])

    @property
    def headers(self) -> list[str]:
        """Headers of the columns of values."""
        return [str(column) for column in self.frame.columns]

    @cached_property
    def columns(self) -> list[Column]:
        """All columns that declare a unit."""
        found = ((header, declared_unit(header)) for header in self.headers)
        return [Column(header, *split) for header, split in found if split is not None]

    def candidates(self, name: str, *series: SeriesUnit) -> list[Column]:
        """Return the columns of a name whose units convert to one of the engine's."""
        return [c for c in self.columns if c.name == name and c.unit.series in series]

    def column(self, name: str, *series: SeriesUnit) -> Column:
        """Return the column of a name; raises ProfileError for none and for several."""
        found = self.candidates(name, *series)
        if len(found) != 1:
            accepted = [f"{name}_{suffix}" for suffix in suffixes_of(*series)]
            several = f"one of {', '.join(accepted)} is accepted; " if accepted[1:] else ""
            problem = "is missing" if not found else "occurs in several units"
            raise ProfileError(
                f"{self.path}: column {shown(accepted[0])} {problem}; {several}"
                f"{', '.join(self.headers)[:300] or 'none'} present"
            )
        return found[0]

    def values(self, header: str) -> Floats:
        """Return the numbers of a column as they are in the file; raises ProfileError."""
        name, column = header, self.frame[header]
        numeric = pd.to_numeric(column, errors="coerce")
        if (
            pd.api.types.is_bool_dtype(numeric.dtype)
            or pd.api.types.is_timedelta64_dtype(column.dtype)
            or not pd.api.types.is_numeric_dtype(numeric.dtype)
        ):
            raise ProfileError(
                f"{self.path}: column {name!r} holds {column.dtype}; numbers are accepted"
            )
        values = numeric.to_numpy(dtype=np.float64, na_value=np.nan)
        bad = np.flatnonzero(~(np.abs(values) <= QUANTITY))
        if bad.size:
            row = int(bad[0])
            raise ProfileError(
                f"{self.path}: column {name!r} is {str(column.iloc[row])!r} at "
                f"{iso(self.labels[row])} (data row {row + 1}); finite numbers (at most "
                f"{QUANTITY:g} in size) are accepted"
            )
        return values

    def scale(self, column: Column) -> float:
        """Return the factor from a column to the unit of the engine."""
        hours = self.step / pd.Timedelta(hours=1)
        return column.unit.factor / hours if column.unit.energy else column.unit.factor

    def on_axis(self, headers: Iterable[str], axis: TimeAxis) -> dict[str, Floats]:
        """Return columns on the steps of an axis, means over time, in their own units."""
        rows = rows_of_steps(self.path, self.stamps, axis)
        return {header: self.values(header)[rows].mean(axis=1) for header in headers}

    def chosen(self, columns: Sequence[str] | None, series: SeriesUnit) -> list[Column]:
        """Return columns by header or name, all for None; raises ProfileError."""
        wanted = self.headers if columns is None else list(columns)
        if not wanted:
            raise ProfileError(
                f"{self.path}: no value column; at least one beside 'time' is accepted"
            )
        return [self._chosen(header, series) for header in wanted]

    def _chosen(self, wanted: str, series: SeriesUnit) -> Column:
        if wanted not in self.headers:
            if declared_unit(wanted) is None:
                return self.column(wanted, series)
            raise ProfileError(
                f"{self.path}: column {shown(wanted)} is missing; "
                f"{', '.join(self.headers)[:300] or 'none'} present"
            )
        split = declared_unit(wanted)
        if split is None or split[1].series != series:
            endings = ", ".join(f"_{suffix}" for suffix in suffixes_of(series))
            raise ProfileError(
                f"{self.path}: column {wanted!r} does not convert to {series}; a name ending in "
                f"{endings} is accepted"
            )
        return Column(wanted, *split)


def read_series_table(path: Path | str, timezone: str | None = None) -> SeriesTable:
    """Read a CSV or Parquet file of time series.

    path: the file.
    timezone: zone of stamps without an offset.

    Raises ProfileError as `read_table` and `read_stamps` do, and for a first column that holds no
    stamps and fewer than two rows.
    """
    return series_table_of(Path(path), read_table(Path(path)), timezone)


def series_table_of(path: Path, table: Table, timezone: str | None) -> SeriesTable:
    """Return the time series of a table that was read, see `read_series_table`."""
    frame = _with_joined_stamps(_with_stamps_first(path, table.frame))
    first = str(frame.columns[0]) if len(frame.columns) else None
    stamped = None if first is None else stamp_column(first)
    if stamped is None:
        found = "none" if first is None else shown(first)
        raise ProfileError(
            f"{path}: the first column is {found}; 'time', or {', '.join(LEFT_EDGES[1:])} for left "
            f"edges, {', '.join(RIGHT_EDGES)} for right edges, is accepted"
        )
    if len(frame) < 2:
        raise ProfileError(
            f"{path}: {len(frame)} data rows; at least 2, which define the step, are accepted"
        )
    zone: tzinfo | None = ZoneInfo("UTC") if stamped.utc else zone_of(path, timezone)
    column = frame.iloc[:, 0].rename(first or "time")
    parsed = read_stamps(path, column, zone, ordered=True)
    return SeriesTable(path, frame.iloc[:, 1:], parsed, stamped, table.dialect)


def _with_stamps_first(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with an index of stamps as its first column."""
    name = str(frame.index.name or "")
    if not isinstance(frame.index, pd.DatetimeIndex) and not (name and stamp_column(name)):
        return frame
    name = name or "time"
    if name in frame.columns:
        raise ProfileError(
            f"{path}: has stamps in its index and in column {name!r}; one of them is accepted"
        )
    return frame.rename_axis(name).reset_index()


def _with_joined_stamps(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with stamps in place of a column of dates and one of clock times."""
    if len(frame.columns) < 3 or not len(frame):
        return frame
    (date, clock), names = (frame.iloc[:, k] for k in (0, 1)), frame.columns[:2]
    named = all(stamp_column(str(name)) for name in names)
    if not named or ":" in str(date.iloc[0]) or not CLOCK.match(str(clock.iloc[0])):
        return frame
    joined = date.astype(str).str.strip() + " " + clock.astype(str).str.strip()
    return pd.concat([joined.rename(names[1]), frame.iloc[:, 2:]], axis=1)


def zone_of(path: Path, timezone: str | None) -> ZoneInfo | None:
    """Return a zone by name; raises ProfileError, naming the file that needs it."""
    if timezone is None:
        return None
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise ProfileError(
            f"{path}: timezone is {timezone!r}; an IANA name such as 'Europe/Berlin' is accepted"
        ) from error
