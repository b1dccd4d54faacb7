"""Separator and decimal sign of a text table, from its header and its cells."""

import csv
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stackelgrid.profiles.errors import ProfileError, shown

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
_FIRST_ROWS = 20
_LINE = 10_000_000  # characters of a line that are looked at

_SIGN, _POWER = r"^\s*[+-]?", r"(?:[eE][+-]?\d+)?\s*$"
# numbers with a decimal sign, with or without the other sign between thousands
_DECIMAL = {
    ",": rf"{_SIGN}(?:\d{{1,3}}(?:\.\d{{3}})+|\d*),\d+{_POWER}",
    ".": rf"{_SIGN}(?:\d{{1,3}}(?:,\d{{3}})+|\d*)\.\d+{_POWER}",
}
# numbers whose only sign stands where it may separate thousands
_EITHER = {
    ",": rf"{_SIGN}[1-9]\d{{0,2}},\d{{3}}\s*$",
    ".": rf"{_SIGN}[1-9]\d{{0,2}}\.\d{{3}}\s*$",
}
# numbers with several signs between thousands, by their decimal sign
_THOUSANDS = {
    ",": rf"{_SIGN}\d{{1,3}}(?:\.\d{{3}}){{2,}}\s*$",
    ".": rf"{_SIGN}\d{{1,3}}(?:,\d{{3}}){{2,}}\s*$",
}
_OTHER = {",": ".", ".": ","}


@dataclass(frozen=True)
class Dialect:
    """Separator of columns and decimal sign of a text table; empty for Parquet files."""

    separator: str = ""
    decimal: str = ""


def find_separator(path: Path) -> str:
    """Return the separator of a text table: comma, semicolon or tab.

    It occurs in the header; where several do, the one that splits header and first rows into
    equally many columns. Raises ProfileError if that is not one of them.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rest = iter(lambda: file.readline(_LINE), "")
        lines = [line for line in islice(rest, 1 + _FIRST_ROWS) if line.strip()]
    if not lines:
        return ","
    try:
        found = [s for s in SEPARATORS if _columns(lines[0], s) > 1]
        if len(found) > 1:
            found = [s for s in found if len({_columns(line, s) for line in lines}) == 1] or found
    except csv.Error as error:
        raise ProfileError(f"{path}: unreadable ({error}); a table is accepted") from error
    if len(found) > 1:
        names = " and ".join(SEPARATORS[s] for s in found)
        raise ProfileError(
            f"{path}: {names} may separate the columns; a header with one of them is accepted"
        )
    return found[0] if found else ","


def _columns(line: str, separator: str) -> int:
    return len(next(csv.reader([line.rstrip("\r\n")], delimiter=separator), []))


def with_decimal_points(path: Path, table: pa.Table, separator: str) -> tuple[pa.Table, str]:
    """Return a table of texts with decimal points in its numbers, and the sign that it had.

    The sign between thousands is left out. Raises ProfileError where cells contradict each other or
    can be read either way.
    """
    commas = any(_has(column, ",") for column in table.columns)
    if separator == "," and not commas:
        return table, "."
    decimal = _decimal_sign(path, table, separator)
    if decimal == "." and not commas:
        return table, "."
    return pa.table([_converted(c, decimal) for c in table.columns], table.column_names), decimal


def _decimal_sign(path: Path, table: pa.Table, separator: str) -> str:
    certain: dict[str, tuple[str, str]] = {}
    either: dict[str, tuple[str, str]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        for sign in _DECIMAL:
            if sign in certain or not _has(column, sign):
                continue
            both = pc.match_substring_regex(column, _EITHER[sign])
            decimal = pc.and_not(pc.match_substring_regex(column, _DECIMAL[sign]), both)
            thousands = pc.match_substring_regex(column, _THOUSANDS[_OTHER[sign]])
            _add_first(certain, sign, name, column, decimal)
            _add_first(certain, _OTHER[sign], name, column, thousands)
            _add_first(either, sign, name, column, both)
    if len(certain) > 1:
        (one, comma), (other, point) = certain[","], certain["."]
        raise ProfileError(
            f"{path}: {shown(comma)} in column {shown(one)} has a decimal comma, {shown(point)} "
            f"in column {shown(other)} a decimal point; one of them is accepted"
        )
    if certain:
        return next(iter(certain))
    # a comma within semicolons is the decimal sign, and so is a point within commas
    customary = {";": ",", ",": "."}.get(separator)
    for sign, (name, cell) in either.items():
        if sign != customary:
            raise ProfileError(
                f"{path}: {shown(cell)} in column {shown(name)} has a decimal sign or one between "
                "thousands, and no other value decides; values with another number of decimals "
                "are accepted"
            )
    return next(iter(either), ".")


def _add_first(
    found: dict[str, tuple[str, str]], sign: str, name: str, column: pa.ChunkedArray, mask: Any
) -> None:
    """Add name and value of the first cell of a mask, unless the sign has one."""
    if sign not in found and pc.any(mask).as_py():
        found[sign] = name, column.filter(mask)[0].as_py()


def _has(column: pa.ChunkedArray, sign: str) -> bool:
    return bool(pc.any(pc.match_substring(column, sign)).as_py())


def _converted(column: pa.ChunkedArray, decimal: str) -> pa.ChunkedArray:
    """Return texts with a decimal point, and nothing between thousands, in all numbers."""
    other, plain = _OTHER[decimal], column
    number = pc.match_substring_regex(column, _DECIMAL[decimal])
    if _has(column, other):
        grouped = rf"{_SIGN}\d{{1,3}}(?:\{other}\d{{3}})+\s*$"
        number = pc.or_(number, pc.match_substring_regex(column, grouped))
        plain = pc.replace_substring(column, other, "")
    return pc.if_else(number, pc.replace_substring(plain, decimal, "."), column)
