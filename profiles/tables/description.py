"""Description of a file of time series: how it is read, and for what a scenario may use it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError, shown
from stackelgrid.profiles.tables.dialect import SEPARATORS, Dialect
from stackelgrid.profiles.tables.reading import read_table
from stackelgrid.profiles.tables.series_table import SeriesTable, series_table_of, zone_of
from stackelgrid.profiles.tables.stamps import parse_stamps
from stackelgrid.profiles.tables.units import Unit, declared_unit

# columns of stamps in the other tables of a scenario, by the columns that identify these
_OTHERS = {
    "trips": (("vehicle", "departure", "arrival"), ("departure", "arrival")),
    "forecasts": (("issue_time", "grid", "quantity"), ("issue_time", "valid_time")),
}
_USES = {
    "trips": "vehicles: file",
    "forecasts": "forecast: file",
}


@dataclass(frozen=True)
class ColumnDescription:
    """A column of values.

    column, name, unit: header, the name without its suffix, and the unit; None without a unit.
    min, mean, max: of the values in that unit; None if they are no numbers.
    energy_mwh: energy of all rows, for active powers and energies.
    use: keys of a scenario that may read it.
    """

    column: str
    name: str | None
    unit: str | None
    min: float | None
    mean: float | None
    max: float | None
    energy_mwh: float | None
    use: str


@dataclass(frozen=True)
class TableDescription:
    """A file as it is understood.

    file: its name.
    kind: series, trips or forecasts.
    rows: number of rows.
    separator, decimal: of a text file, in words and as a sign; None for Parquet.
    stamps: form of the stamps.
    edges: left or right edges of the rows, for series.
    timezone: zone of stamps without an offset; None if they have one.
    step_min: length of a row in minutes; None where lengths differ, and for other tables.
    first, last: first and last stamp.
    end: end of the last row.
    columns: columns of values.
    notes: readings that a user should check.
    problems: reasons for which a scenario refuses the file, or columns of it.
    used_by: keys of a scenario that name the file.
    """

    file: str
    kind: str
    rows: int
    separator: str | None
    decimal: str | None
    stamps: str
    edges: str | None
    timezone: str | None
    step_min: float | None
    first: str
    last: str
    end: str | None
    columns: tuple[ColumnDescription, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    used_by: tuple[str, ...] = ()


def describe_table(path: Path, timezone: str | None = None) -> TableDescription:
    """Describe a CSV or Parquet file of profiles, trips or forecasts.

    path: the file.
    timezone: zone of stamps without an offset; without one they are shown as they are.

    Raises ProfileError for a file that is no table, and one whose stamps cannot be read.
    """
    table = read_table(path)
    headers = {str(column) for column in table.frame.columns}
    for kind, (identifying, stamps) in _OTHERS.items():
        if headers >= set(identifying):
            return _of_rows(path, table.frame, table.dialect, kind, stamps, timezone)
    return _of_series(series_table_of(path, table, timezone or "UTC"), timezone)


def _of_series(table: SeriesTable, timezone: str | None) -> TableDescription:
    problems: list[str] = []
    local, zone = table.parsed.local, "UTC" if table.stamped.utc else timezone
    try:
        starts = table.stamps
    except ProfileError as error:
        problems.append(_without(table.path, error))
        if local and zone is None:
            problems[-1] += " (a clock change? --timezone states the zone)"
        starts = None
    columns = tuple(
        _column(table, header, starts is not None, problems) for header in table.headers
    )
    shown_in = timezone or "UTC"
    return TableDescription(
        file=str(table.path),
        kind="series",
        rows=len(table.labels),
        separator=SEPARATORS.get(table.dialect.separator),
        decimal=table.dialect.decimal or None,
        stamps=table.parsed.form,
        edges="right" if table.stamped.right else "left",
        timezone=zone if local else None,
        step_min=None if starts is None else table.step / pd.Timedelta(minutes=1),
        first=_text(table.labels[0], local, shown_in, zone),
        last=_text(table.labels[-1], local, shown_in, zone),
        end=None if starts is None else _text(starts[-1] + table.step, local, shown_in, zone),
        columns=columns,
        notes=tuple(_notes(table, starts, local, zone)),
        problems=tuple(problems),
    )


def _notes(
    table: SeriesTable, starts: pd.DatetimeIndex | None, local: bool, zone: str | None
) -> list[str]:
    notes = []
    if local and zone is None:
        notes.append("stamps have no offset: a scenario reads them in its time.timezone")
    if starts is None or table.stamped.right:
        return notes
    first, last = (t.tz_convert(zone or "UTC") for t in (starts[0], starts[-1]))
    if last == last.normalize() and first - first.normalize() == table.step:
        notes.append(
            f"rows begin at {first:%H:%M} and end with one at 00:00: if stamps are ends of rows, "
            "name their column time_end"
        )
    return notes


def _column(
    table: SeriesTable, header: str, equal_steps: bool, problems: list[str]
) -> ColumnDescription:
    split = declared_unit(header)
    if split is None:
        values = _numbers(table.frame[header])
        return _described(header, None, None, values, None, "none: no known unit")
    name, unit = split
    try:
        values = table.values(header)
    except ProfileError as error:
        problems.append(_without(table.path, error))
        values = None
    energy = None
    if values is not None and unit.series == "mw" and equal_steps:
        hours = len(values) * (table.step / pd.Timedelta(hours=1))
        energy = table.scale(next(c for c in table.columns if c.header == header))
        energy *= float(values.mean()) * hours
    if values is not None and unit.series in ("mw", "factor", "kg_per_mwh") and values.min() < 0:
        row = int(np.argmax(values < 0.0))
        problems.append(
            f"column {shown(header)} is {values[row]:g} in data row {row + 1}; values >= 0 are "
            f"accepted{' of loads, PV and sgen' if unit.series != 'kg_per_mwh' else ''}"
        )
    return _described(header, name, unit.symbol, values, energy, _use(name, unit))


def _use(name: str, unit: Unit) -> str:
    """Return the keys of a scenario that may read a column."""
    match unit.series:
        case "mw" | "factor":
            return f"load, PV or sgen {name!r}"
        case "mvar" | "q_factor":
            return f"reactive power of load {name!r}"
        case "eur_per_mwh":
            accepted = name in ("import", "export")
            return f"tariff: {name}" if accepted else "none: a tariff reads import and export"
        case "c":
            accepted = name == "outdoor"
            return "weather.temperature" if accepted else "none: weather.temperature reads outdoor"
        case "kg_per_mwh":
            return "emissions" if name == "import" else "none: emissions reads import"


def _of_rows(
    path: Path,
    frame: pd.DataFrame,
    dialect: Dialect,
    kind: str,
    stamped: tuple[str, ...],
    timezone: str | None,
) -> TableDescription:
    """Describe a table of trips or forecasts; which rows are accepted depends on the scenario."""
    if frame.empty:
        raise ProfileError(f"{path}: has no rows; at least one is needed")
    stamped = tuple(column for column in stamped if column in frame)
    zone = timezone or "UTC"
    stamps = [parse_stamps(path, frame[column], zone_of(path, zone)) for column in stamped]
    columns = tuple(
        _described(str(c), None, None, _numbers(frame[c]), None, _USES[kind])
        for c in frame.columns
        if str(c) not in stamped
    )
    first, last = min(s.min() for s in stamps), max(s.max() for s in stamps)
    return TableDescription(
        file=str(path),
        kind=kind,
        rows=len(frame),
        separator=SEPARATORS.get(dialect.separator),
        decimal=dialect.decimal or None,
        stamps=", ".join(stamped),
        edges=None,
        timezone=timezone,
        step_min=None,
        first=first.tz_convert(zone).isoformat(),
        last=last.tz_convert(zone).isoformat(),
        end=None,
        columns=columns,
        notes=(),
        problems=(),
    )


def _numbers(column: "pd.Series[float]") -> Floats | None:
    """Return a column as numbers; None if it holds others."""
    numbers = pd.to_numeric(column, errors="coerce")
    if not pd.api.types.is_numeric_dtype(numbers.dtype) or not np.isfinite(numbers).all():
        return None
    return numbers.to_numpy(dtype=np.float64)


def _described(
    column: str,
    name: str | None,
    unit: str | None,
    values: Floats | None,
    energy_mwh: float | None,
    use: str,
) -> ColumnDescription:
    low = mean = high = None
    if values is not None and len(values):
        low, mean, high = float(values.min()), float(values.mean()), float(values.max())
    return ColumnDescription(column, name, unit, low, mean, high, energy_mwh, use)


def _text(stamp: pd.Timestamp, local: bool, shown_in: str, zone: str | None) -> str:
    """Return a stamp in ISO 8601; without an offset where no zone is known."""
    if local and zone is None:
        return stamp.tz_localize(None).isoformat()
    return stamp.tz_convert(shown_in).isoformat()


def _without(path: Path, error: ProfileError) -> str:
    return str(error).removeprefix(f"{path}: ")
