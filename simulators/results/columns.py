"""Declarations of result tables: each column with its unit and meaning, declared once.

Schemas, Parquet files and the documentation (`make schema`) are derived from these declarations.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

INT, FLOAT, TEXT, BOOL = pa.int32(), pa.float64(), pa.string(), pa.bool_()
UTC_TIME = pa.timestamp("ms", tz="UTC")

# accepted units; a share or ratio is "1", a text or a number of things has none
UNITS = (
    "", "1", "%", "p.u.", "degree", "MW", "MVAr", "MVA", "MWh", "kA", "kV", "km", "EUR", "EUR/MWh",
    "EUR/MW^2", "s", "h", "B",
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """Column of a table: its name, Arrow type, unit (of `UNITS`) and meaning."""

    name: str
    type: pa.DataType
    unit: str
    text: str

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"column {self.name}: unit {self.unit!r}; accepted: {UNITS}")
        if not self.text:
            raise ValueError(f"column {self.name}: has no text")

    @property
    def field(self) -> pa.Field:
        """Field of a schema, with unit and meaning as metadata of Parquet files."""
        metadata = {"unit": self.unit, "description": self.text}
        return pa.field(self.name, self.type, metadata=metadata)


@dataclass(frozen=True)
class Group:
    """Group of columns, with a heading where a table has more than one group."""

    columns: tuple[Column, ...]
    title: str = ""
    text: str = ""


@dataclass(frozen=True)
class Table:
    """Table: its file's stem, the meaning of a row, and its columns by groups."""

    name: str
    row: str
    groups: tuple[Group, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns in their order."""
        return tuple(self._columns())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns in their order."""
        return tuple(column.name for column in self._columns())

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema with units and meanings as metadata of the fields."""
        return pa.schema([column.field for column in self._columns()])

    def _columns(self) -> Iterator[Column]:
        for group in self.groups:
            yield from group.columns


def arrow_table(frame: pd.DataFrame, declared: Table) -> pa.Table:
    """Return a frame in the columns of a declaration; raises KeyError if one is missing."""
    return pa.Table.from_pandas(
        frame[list(declared.names)], declared.schema, preserve_index=False
    ).replace_schema_metadata(None)


def table(name: str, row: str, *parts: Column | Group) -> Table:
    """Return a table of columns and groups; consecutive columns form a group without a heading."""
    groups: list[Group] = []
    loose: list[Column] = []
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


def group(title: str, text: str, *columns: Column) -> Group:
    """Return columns under a heading; the text states when they are empty, for example."""
    return Group(columns, title, text)


def number(name: str, unit: str, text: str) -> Column:
    """Return a column of floating-point numbers; NaN where a quantity does not exist."""
    return Column(name, FLOAT, unit, text)


def count(name: str, text: str) -> Column:
    """Return a column of whole numbers of things."""
    return Column(name, INT, "", text)


def label(name: str, text: str) -> Column:
    """Return a column of texts."""
    return Column(name, TEXT, "", text)


def flag(name: str, text: str) -> Column:
    """Return a column of truth values."""
    return Column(name, BOOL, "", text)
