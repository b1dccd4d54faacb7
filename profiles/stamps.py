"""Time stamps of the user's files: with an offset, or local time of a zone."""

import re
from datetime import tzinfo
from pathlib import Path

import numpy as np
import pandas as pd

from stackelgrid.profiles.errors import ProfileError

_OFFSET = re.compile(r"[T ]\d{2}.*(?:Z|[+-]\d{2}(?::?\d{2})?)$")


def parse_stamps(
    path: Path, column: "pd.Series[str]", zone: tzinfo | None, *, ordered: bool = False
) -> pd.DatetimeIndex:
    """Parse the stamps of a column in UTC.

    path: the file, for messages.
    column: the stamps.
    zone: zone of stamps without an offset.
    ordered: whether the stamps are in order; the order then identifies a local hour that a clock
        change repeats.

    Raises ProfileError, naming file, column and row: no stamps, stamps with and without an
    offset, naive ones without a zone, and those that a clock change skips or makes ambiguous.
    """
    name = column.name
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        stamps = pd.DatetimeIndex(column).tz_convert("UTC")
    elif pd.api.types.is_datetime64_dtype(column.dtype):
        stamps = _localise(path, pd.DatetimeIndex(column), zone, name, ordered)
    elif not pd.api.types.is_object_dtype(column.dtype):
        # numbers would be parsed as seconds or nanoseconds since an unstated epoch
        raise ProfileError(f"{path}: column {name!r} holds {column.dtype}; stamps are accepted")
    else:
        text = column.astype(str)
        with_offset = text.str.contains(_OFFSET).to_numpy(dtype=bool)
        if with_offset.any() and not with_offset.all():
            row = int(np.flatnonzero(with_offset != with_offset[0])[0])
            raise ProfileError(
                f"{path}: {name} {text.iloc[row]!r} in data row {row + 1} and "
                f"{text.iloc[0]!r} in data row 1 mix stamps with and without an offset; "
                "one kind is accepted"
            )
        parsed = pd.DatetimeIndex(pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True))
        bad = np.flatnonzero(parsed.isna())
        if bad.size:
            raise ProfileError(
                f"{path}: {name} {text.iloc[bad[0]]!r} in data row {bad[0] + 1} is not a time "
                "stamp; ISO 8601 such as 2024-06-01T00:15:00+02:00 is accepted"
            )
        stamps = (
            parsed
            if with_offset.all()
            else _localise(path, parsed.tz_localize(None), zone, name, ordered)
        )
    try:
        stamps = stamps.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime as error:
        raise ProfileError(
            f"{path}: column {name!r} leaves the years 1678 to 2261; stamps within are accepted"
        ) from error
    if stamps.hasnans:
        row = int(np.flatnonzero(stamps.isna())[0])
        raise ProfileError(f"{path}: {name} in data row {row + 1} is empty; a stamp is accepted")
    return stamps


def _localise(
    path: Path, naive: pd.DatetimeIndex, zone: tzinfo | None, name: object, ordered: bool
) -> pd.DatetimeIndex:
    if zone is None:
        raise ProfileError(
            f"{path}: {name} {naive[0]} has no time zone; stamps with an offset or a timezone= "
            "for them are accepted"
        )
    local = naive.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    if ordered and local.hasnans:
        # a repeated hour: summer time comes first; an hour that occurs once stays ambiguous
        first, twice = ~naive.duplicated(), naive.duplicated(keep=False)
        in_order = naive.tz_localize(zone, ambiguous=first, nonexistent="NaT")
        local = local.where(local.notna() | ~twice, in_order)
    bad = np.flatnonzero(np.asarray(local.isna()) & np.asarray(naive.notna()))
    if bad.size:
        raise ProfileError(
            f"{path}: {name} {naive[bad[0]]} in data row {bad[0] + 1} is ambiguous or skipped by a "
            f"clock change in {zone}; stamps with an offset are accepted there"
        )
    return local.tz_convert("UTC")


def require_equal_steps(path: Path, stamps: pd.DatetimeIndex) -> None:
    """Raise ProfileError for stamps that repeat, step back or leave a gap."""
    steps = np.diff(stamps.asi8)
    if (steps == 0).any():
        row = int(np.flatnonzero(steps == 0)[0]) + 1
        raise ProfileError(
            f"{path}: time {iso(stamps[row])} in data row {row + 1} repeats the row before; "
            "one row per stamp is accepted"
        )
    if (steps < 0).any():
        row = int(np.flatnonzero(steps < 0)[0]) + 1
        raise ProfileError(
            f"{path}: time {iso(stamps[row])} in data row {row + 1} is before the row above; "
            "increasing stamps are accepted"
        )
    step = steps.min()
    if (steps != step).any():
        row = int(np.flatnonzero(steps != step)[0])
        raise ProfileError(
            f"{path}: no row between {iso(stamps[row])} and {iso(stamps[row + 1])} (data rows "
            f"{row + 1} and {row + 2}); a row every {pd.Timedelta(step)} is accepted"
        )


def iso(stamp: pd.Timestamp) -> str:
    """Format a stamp in UTC as ISO 8601."""
    return stamp.tz_convert("UTC").isoformat()
