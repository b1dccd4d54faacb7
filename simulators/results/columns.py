"""Declarations of result tables: each column with its unit, its meaning and how it is filled.

Rows, schemas, Parquet files and the documentation (`make schema`) derive from these declarations.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic

import numpy as np
import pandas as pd
import pyarrow as pa
from typing_extensions import TypeVar

INT, FLOAT, TEXT, BOOL = pa.int32(), pa.float64(), pa.string(), pa.bool_()
UTC_TIME = pa.timestamp("ms", tz="UTC")

# accepted units; a share or ratio is "1", a text or a number of things has none
UNITS = (
    "", "1", "%", "p.u.", "degree", "degC", "K", "MW", "MVAr", "MVA", "MWh", "kA", "kV", "km",
    "EUR", "EUR/MWh", "EUR/MW^2", "s", "h", "B", "kg",
)  # fmt: skip

# the object that rows are filled from
S = TypeVar("S", default=Any)
Source = TypeVar("Source", default=Any, contravariant=True)


@dataclass(frozen=True)
class Column(Generic[Source]):
    """Column of a table: its name, Arrow type, unit (of `UNITS`) and meaning.

    `fill` returns its value in the row of a source, or an array of its values in several rows; by
    default that is the attribute of the column's name. `missing` is the value in tables that lack
    the column (of earlier versions, or of runs without a kind of device), NaN for an empty one;
    None where they are refused.
    """

    name: str
    type: pa.DataType
    unit: str
    text: str
    fill: Callable[[Source], Any] | None = dataclasses.field(default=None, compare=False)
    missing: float | None = None

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"column {self.name}: unit {self.unit!r}; accepted: {UNITS}")
        if not self.text:
            raise ValueError(f"column {self.name}: has no text")

    def of(self, source: Source) -> Any:
        """Return the value in the row of a source, or an array for several rows."""
        return getattr(source, self.name) if self.fill is None else self.fill(source)

    @property
    def field(self) -> pa.Field:
        """Field of a schema, with unit and meaning as metadata of Parquet files."""
        metadata = {"unit": self.unit, "description": self.text}
        return pa.field(self.name, self.type, metadata=metadata)


@dataclass(frozen=True)
class Group(Generic[Source]):
    """Group of columns, with a heading where a table has more than one group."""

    columns: tuple[Column[Source], ...]
    title: str = ""
    text: str = ""


@dataclass(frozen=True)
class Table(Generic[Source]):
    """Table: its file's stem, the meaning of a row, and its columns by groups."""

    name: str
    row: str
    groups: tuple[Group[Source], ...]

    @cached_property
    def columns(self) -> tuple[Column[Source], ...]:
        """All columns in their order."""
        return tuple(column for group in self.groups for column in group.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns in their order."""
        return tuple(column.name for column in self.columns)

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema with units and meanings as metadata of the fields."""
        return pa.schema([column.field for column in self.columns])

    def rows(
        self, interval: int, time: np.datetime64, sources: Iterable[tuple[Any, Source]]
    ) -> dict[str, Any]:
        """Return the columns of an interval: `KEY`, and the others filled from the sources.

        Each source comes with its grid (or an array of them). It has as many rows as the column
        after `KEY` has values; a single value of another column holds for all of them.
        """
        grids, objects = zip(*pairs, strict=True) if (pairs := list(sources)) else ((), ())
        own = self.columns[len(KEY) :]
        found = {column.name: [column.of(source) for source in objects] for column in own}
        counts = [len(v) if isinstance(v, np.ndarray) else 1 for v in found[own[0].name]]
        return {
            "interval": np.full(sum(counts), interval, dtype=np.int32),
            "time": np.full(sum(counts), time),
            "grid": _joined(grids, counts),
            **{name: _joined(values, counts) for name, values in found.items()},
        }


# columns that the tables of a run begin with; `Table.rows` fills them
KEY: tuple[Column[Any], ...] = (
    Column("interval", INT, "", "number of the interval, from 0"),
    Column("time", UTC_TIME, "", "its start, UTC"),
    Column("grid", TEXT, "", "name of the grid"),
)


def _joined(values: Sequence[Any], counts: Sequence[int]) -> Any:
    """Return the values of all sources one after the other, single ones repeated."""
    if not any(isinstance(value, np.ndarray) for value in values):
        if all(n == 1 for n in counts):
            return values
        dtype = object if any(isinstance(value, str) for value in values) else None
        return np.repeat(np.array(values, dtype=dtype), counts)
    return np.concatenate([
        value if isinstance(value, np.ndarray) else np.full(n, value)
        for value, n in zip(values, counts, strict=True)
    ])  # fmt: skip


def completed(data: pa.Table, columns: Iterable[Column]) -> pa.Table:
    """Return a table with the columns that it may lack (`Column.missing`) added."""
    for column in columns:
        if column.missing is not None and column.name not in data.column_names:
            value = None if np.isnan(column.missing) else column.missing
            data = data.append_column(column.field, pa.array([value] * len(data), column.type))
    return data


def arrow_table(frame: pd.DataFrame, declared: Table) -> pa.Table:
    """Return a frame in the columns of a declaration; raises KeyError if one is missing."""
    return pa.Table.from_pandas(
        frame[list(declared.names)], declared.schema, preserve_index=False
    ).replace_schema_metadata(None)


def table(name: str, row: str, *parts: Column[S] | Group[S]) -> Table[S]:
    """Return a table of columns and groups; consecutive columns form a group without a heading."""
    groups: list[Group[S]] = []
    loose: list[Column[S]] = []
    for part in parts:
        if isinstance(part, Column):
            loose.append(part)
            continue
        if loose:
            groups.append(Group(tuple(loose)))
            loose = []
        groups.append(part)
    if loose:
        groups.append(Group(tuple(loose)))
    return Table(name, row, tuple(groups))


def group(title: str, text: str, *columns: Column[S]) -> Group[S]:
    """Return columns under a heading; the text states when they are empty, for example."""
    return Group(columns, title, text)


def number(
    name: str,
    unit: str,
    text: str,
    fill: Callable[[S], Any] | None = None,
    missing: float | None = None,
) -> Column[S]:
    """Return a column of floating-point numbers; NaN where a quantity does not exist."""
    return Column(name, FLOAT, unit, text, fill, missing)


def count(
    name: str, text: str, fill: Callable[[S], Any] | None = None, missing: float | None = None
) -> Column[S]:
    """Return a column of whole numbers of things."""
    return Column(name, INT, "", text, fill, missing)


def label(name: str, text: str, fill: Callable[[S], Any] | None = None) -> Column[S]:
    """Return a column of texts."""
    return Column(name, TEXT, "", text, fill)


def flag(name: str, text: str, fill: Callable[[S], Any] | None = None) -> Column[S]:
    """Return a column of truth values."""
    return Column(name, BOOL, "", text, fill)
