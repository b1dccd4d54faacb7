"""Forms of time stamps in texts, and names of the columns that hold them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stackelgrid.profiles.arrays import Bools, Ints
from stackelgrid.profiles.errors import ProfileError, shown

ACCEPTED = "ISO 8601 such as 2024-06-01T00:15:00+02:00, or a form such as 01.06.2024 00:15"
ISO = "ISO 8601"
LEFT_EDGES = (
    "time", "timestamp", "datetime", "date", "start", "snapshot",
    "zeit", "zeitstempel", "zeitpunkt", "datum", "datum_von", "von", "uhrzeit",
)  # fmt: skip
RIGHT_EDGES = ("time_end", "timestamp_end", "datetime_end", "end", "ende", "datum_bis", "bis")

CLOCK = re.compile(r"^\s*\d{1,2}:\d{2}(?::\d{2})?\s*$")
_OFFSET = r"[T ]\d{2}.*(?:Z|[+-]\d{2}(?::?\d{2})?)$"
_CLOCK = (
    r"(?:[T ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"
    r"(?: ?(?P<half>[AaPp][Mm]))?)?$"
)
_DATES = {
    "dd.mm.yyyy": r"^(?P<first>\d{1,2})\.(?P<other>\d{1,2})\.(?P<year>\d{4})",
    "yyyy/mm/dd": r"^(?P<year>\d{4})/(?P<other>\d{1,2})/(?P<first>\d{1,2})",
    "//": r"^(?P<first>\d{1,2})/(?P<other>\d{1,2})/(?P<year>\d{4})",
    "--": r"^(?P<first>\d{1,2})-(?P<other>\d{1,2})-(?P<year>\d{4})",
}


@dataclass(frozen=True)
class StampColumn:
    """Statements of the name of a column of stamps: right edges instead of left ones, and UTC."""

    right: bool
    utc: bool


def stamp_column(name: str) -> StampColumn | None:
    """Return the statements of the name of a column of stamps; None for the name of another column.

    `time_utc`, `utc_timestamp` and the like hold UTC where stamps have no offset. A table that
    pandas wrote has no name above its index.
    """
    plain = re.sub(r"[^a-z]+", "_", name.lower()).strip("_")
    base = plain.removeprefix("utc_").removesuffix("_utc")
    if base not in LEFT_EDGES + RIGHT_EDGES and name.strip():
        return None
    return StampColumn(right=base in RIGHT_EDGES, utc=base != plain)


@dataclass(frozen=True)
class ParsedStamps:
    """Stamps of a file, their form, and whether they are local time: without an offset."""

    stamps: pd.DatetimeIndex
    form: str
    local: bool


def parse_texts(path: Path, name: str, text: "pd.Series[str]") -> ParsedStamps:
    """Parse texts of one form, all with an offset or none.

    Raises ProfileError, naming file, column and row.
    """
    first = text.iloc[0] if len(text) else ""
    form = next((f for f, date in _DATES.items() if re.match(date, first)), ISO)
    if form != ISO:
        return _by_numbers(path, name, text, form)
    with_offset: Bools = np.asarray(
        pc.match_substring_regex(pa.array(text, pa.string()), _OFFSET), dtype=bool
    )
    if with_offset.any() and not with_offset.all():
        row = int(np.flatnonzero(with_offset != with_offset[0])[0])
        raise ProfileError(
            f"{path}: {name} {text.iloc[row]!r} in data row {row + 1} and "
            f"{text.iloc[0]!r} in data row 1 mix stamps with and without an offset; "
            "one kind is accepted"
        )
    stamps = pd.DatetimeIndex(pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True))
    _refuse_bad(path, name, text, np.asarray(stamps.isna()))
    if with_offset.all():
        return ParsedStamps(stamps, f"{ISO} with offset", local=False)
    return ParsedStamps(stamps.tz_localize(None), ISO, local=True)


def _by_numbers(path: Path, name: str, text: "pd.Series[str]", form: str) -> ParsedStamps:
    texts = pc.utf8_trim_whitespace(pa.array(text, pa.string()))
    matched = pc.extract_regex(texts, _DATES[form] + _CLOCK)
    _refuse_bad(path, name, text, np.asarray(matched.is_null(), dtype=bool))
    parts = {field.name: matched.field(field.name) for field in matched.type}
    half = np.asarray(pc.utf8_lower(parts.pop("half")), dtype=object)
    numbers = {k: _whole_numbers(part) for k, part in parts.items()}
    hour, day, month = numbers["hour"], numbers["first"], numbers["other"]
    noon = half != ""
    wrong = np.where(noon, (hour < 1) | (hour > 12), hour > 23)
    wrong |= (numbers["minute"] > 59) | (numbers["second"] > 59)
    hour = np.where(noon, hour % 12 + 12 * (half == "pm"), hour)
    if form in ("//", "--"):
        form, day, month = _order(path, name, text, day, month, form[0])
    dates = pd.DataFrame({"year": numbers["year"], "month": month, "day": day})
    found = pd.to_datetime(dates, errors="coerce")
    _refuse_bad(path, name, text, wrong | found.isna().to_numpy())
    seconds = 3600 * hour + 60 * numbers["minute"] + numbers["second"]
    stamps = pd.DatetimeIndex(found) + pd.to_timedelta(seconds, unit="s")
    return ParsedStamps(pd.DatetimeIndex(stamps), f"{form} HH:MM", local=True)


def _whole_numbers(texts: Any) -> Ints:
    """Return digits as numbers; 0 for a part that a text leaves out."""
    digits = pc.if_else(pc.equal(texts, ""), "0", texts)
    return np.asarray(pc.cast(digits, pa.int64()), dtype=np.int64)


def _order(
    path: Path, name: str, text: "pd.Series[str]", first: Ints, other: Ints, mark: str
) -> tuple[str, Ints, Ints]:
    """Return the form, day and month of dates whose order only their numbers decide."""
    by_day, by_month = first > 12, other > 12
    accepted = "2024-06-01 or 01.06.2024 is accepted"
    if by_day.any() and by_month.any():
        one, two = text.iloc[int(np.argmax(by_day))], text.iloc[int(np.argmax(by_month))]
        raise ProfileError(f"{path}: {name} has the day first in {one!r} and the month in {two!r}")
    if by_month.any():
        return f"mm{mark}dd{mark}yyyy", other, first
    if not by_day.any() and (first != other).any():
        row = int(np.argmax(first != other))
        raise ProfileError(
            f"{path}: {name} {text.iloc[row]!r} in data row {row + 1} may have the day or the "
            f"month first, and no other row decides; {accepted}"
        )
    return f"dd{mark}mm{mark}yyyy", first, other


def _refuse_bad(path: Path, name: str, text: "pd.Series[str]", bad: Bools) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise ProfileError(
            f"{path}: {name} {shown(text.iloc[row])} in data row {row + 1} is not a time stamp; "
            f"{ACCEPTED} is accepted"
        )
