"""Time stamps of the user's files: with an offset, or local time of a zone."""

from bisect import bisect_left
from dataclasses import replace
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.tables.stamp_forms import ParsedStamps, parse_texts


def parse_stamps(
    path: Path, column: "pd.Series[str]", zone: tzinfo | None, *, ordered: bool = False
) -> pd.DatetimeIndex:
    """Return the stamps of a column in UTC, see `read_stamps`."""
    return read_stamps(path, column, zone, ordered=ordered).stamps


def read_stamps(
    path: Path, column: "pd.Series[str]", zone: tzinfo | None, *, ordered: bool = False
) -> ParsedStamps:
    """Parse the stamps of a column in UTC.

    path: the file, for messages.
    column: the stamps.
    zone: zone of stamps without an offset.
    ordered: whether the stamps are in order, with equal steps; the order then identifies a local
        hour that a clock change repeats.

    Raises ProfileError, naming file, column and row: no stamps, stamps with and without an
    offset, naive ones without a zone, and those that a clock change skips or makes ambiguous.
    """
    name = str(column.name)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.dtype.categories.dtype)
    if isinstance(column.dtype, pd.StringDtype):
        column = column.astype(object)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        found = ParsedStamps(
            pd.DatetimeIndex(column).tz_convert("UTC"), "times with a zone", local=False
        )
    elif pd.api.types.is_datetime64_dtype(column.dtype):
        found = ParsedStamps(pd.DatetimeIndex(column), "times", local=True)
    elif not pd.api.types.is_object_dtype(column.dtype):
        # numbers would be parsed as seconds or nanoseconds since an unstated epoch
        raise ProfileError(f"{path}: column {name!r} holds {column.dtype}; stamps are accepted")
    else:
        found = parse_texts(path, name, column.astype(str))
    stamps = found.stamps
    if found.local:
        stamps = _localise(path, stamps, zone, name, ordered)
    try:
        stamps = stamps.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime as error:
        raise ProfileError(
            f"{path}: column {name!r} leaves the years 1678 to 2261; stamps within are accepted"
        ) from error
    if stamps.hasnans:
        row = int(np.flatnonzero(stamps.isna())[0])
        raise ProfileError(f"{path}: {name} in data row {row + 1} is empty; a stamp is accepted")
    return replace(found, stamps=stamps)


def _localise(
    path: Path, naive: pd.DatetimeIndex, zone: tzinfo | None, name: object, ordered: bool
) -> pd.DatetimeIndex:
    if zone is None:
        raise ProfileError(
            f"{path}: {name} {naive[0]} has no time zone; stamps with an offset or a timezone= "
            "for them are accepted"
        )
    where = zone.key if isinstance(zone, ZoneInfo) else zone  # by name pandas is faster
    local = naive.tz_localize(where, ambiguous="NaT", nonexistent="NaT")
    if ordered and local.hasnans:
        # a repeated hour: summer time comes first
        first, twice = ~naive.duplicated(), naive.duplicated(keep=False)
        in_order = naive.tz_localize(where, ambiguous=first, nonexistent="NaT")
        local = local.where(local.notna() | ~twice, in_order)
        if local.hasnans:
            local = _by_neighbours(naive, local, where)
    bad = np.flatnonzero(np.asarray(local.isna()) & np.asarray(naive.notna()))
    if bad.size:
        raise ProfileError(
            f"{path}: {name} {naive[bad[0]]} in data row {bad[0] + 1} is ambiguous or skipped by a "
            f"clock change in {zone}; stamps with an offset are accepted there"
        )
    return local.tz_convert("UTC")


def _by_neighbours(
    naive: pd.DatetimeIndex, local: pd.DatetimeIndex, zone: tzinfo | str
) -> pd.DatetimeIndex:
    """Resolve hours that occur once, at the start or end of a file, by the steps to other rows.

    Stays NaT where the rows before and after contradict each other, which means a missing hour.
    """
    known = [int(row) for row in np.flatnonzero(local.notna())]
    steps = np.diff(naive.asi8)
    if not known or not len(steps):
        return local
    step = pd.Timedelta(int(np.median(steps)), unit=naive.unit)
    candidates = [
        naive.tz_localize(zone, ambiguous=np.full(len(naive), summer), nonexistent="NaT")
        for summer in (True, False)
    ]
    resolved = local.to_numpy(dtype=object)
    for row in map(int, np.flatnonzero(np.asarray(local.isna()))):
        at = bisect_left(known, row)
        beside = known[max(at - 1, 0) : at + 1]
        fitting = [
            stamps[row]
            for stamps in candidates
            if all(stamps[row] - local[k] == (row - k) * step for k in beside)
        ]
        if len(fitting) == 1:
            resolved[row] = fitting[0]
    return pd.DatetimeIndex(resolved, tz=zone)


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
