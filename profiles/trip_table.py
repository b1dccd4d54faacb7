"""Trips of electric vehicles in the user's files."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.tables.reading import read_columns
from stackelgrid.profiles.tables.stamps import parse_stamps
from stackelgrid.profiles.tables.units import declared_unit
from stackelgrid.profiles.time_axis import TimeAxis
from stackelgrid.profiles.trips import Trip

_COLUMNS = ("vehicle", "departure", "arrival", "energy_kwh")


def read_trips(
    names: Sequence[str],
    capacity_mwh: Floats,
    within: TimeAxis | None,
    path: Path | str,
    timezone: str,
) -> dict[str, tuple[Trip, ...]]:
    """Read the trips of vehicles from a CSV or Parquet file, one row for each trip.

    names: names of the vehicles; each may have any number of trips.
    capacity_mwh: usable energy of each one's battery.
    within: time axis that some trip has to meet; None for no such check.
    path: the file; columns vehicle, departure, arrival (stamps) and energy_kwh, _mwh or _wh.
    timezone: zone of stamps without an offset.

    Raises ProfileError, naming file and rows: columns that are missing, other vehicles, an arrival
    before its departure, trips that overlap, an energy that is negative or above the capacity, no
    trip within the axis.
    """
    path = Path(path)
    frame = read_columns(path)
    energy, mwh = _energy_column(path, frame)
    for column in (*_COLUMNS[:-1], energy):
        if column not in frame:
            present = ", ".join(str(name) for name in frame.columns)[:300]
            raise ProfileError(
                f"{path}: column {column!r} is missing; {', '.join(_COLUMNS)} are accepted; "
                f"{present} present"
            )
    zone = ZoneInfo(timezone)
    departures = parse_stamps(path, frame["departure"], zone)
    arrivals = parse_stamps(path, frame["arrival"], zone)
    energies = pd.to_numeric(frame[energy], errors="coerce").to_numpy(float)
    vehicles = frame["vehicle"].astype(str).to_numpy()
    capacity = dict(zip(names, capacity_mwh, strict=True))
    found: dict[str, list[tuple[Trip, int]]] = {name: [] for name in names}
    for row, vehicle in enumerate(vehicles):
        where = f"{path}: data row {row + 1}: vehicle {vehicle!r}"
        if vehicle not in found:
            raise ProfileError(f"{where} is unknown; accepted: {', '.join(names)[:300]}")
        if not arrivals[row] > departures[row]:
            raise ProfileError(
                f"{where} arrives at {_text(arrivals[row], zone)}, not after its departure at "
                f"{_text(departures[row], zone)}"
            )
        most = float(capacity[vehicle]) * (1.0 / mwh)
        if not 0.0 <= energies[row] <= most:
            raise ProfileError(
                f"{where}: {energy} is {str(frame[energy].iloc[row])!r}; 0 to {most:g}, "
                "the usable energy of its battery, is accepted"
            )
        trip = Trip(departures[row], arrivals[row], mwh * float(energies[row]))
        found[vehicle].append((trip, row + 1))
    if within is not None:
        _refuse_beside(path, [trip for own in found.values() for trip, _ in own], within)
    return {name: _in_order(path, name, trips, zone) for name, trips in found.items()}


def _energy_column(path: Path, frame: pd.DataFrame) -> tuple[str, float]:
    """Return the column of energies, and the MWh of one unit of it."""
    split = {str(column): declared_unit(str(column)) for column in frame.columns}
    found = {
        column: named[1].factor
        for column, named in split.items()
        if named and named[0] == "energy" and named[1].series == "mw" and named[1].energy
    }
    if len(found) > 1:
        raise ProfileError(
            f"{path}: has the columns {' and '.join(found)}; one of them is accepted"
        )
    return next(iter(found.items()), (_COLUMNS[-1], 1.0))


def _refuse_beside(path: Path, trips: Sequence[Trip], axis: TimeAxis) -> None:
    """Raise ProfileError for trips that all lie before or after a time axis."""
    before = all(trip.arrival <= axis.start for trip in trips)
    if trips and (before or all(trip.departure >= axis.end for trip in trips)):
        raise ProfileError(
            f"{path}: no trip lies between {axis.start.isoformat()} and {axis.end.isoformat()}; "
            "trips of the run are accepted, or a file without any"
        )


def _in_order(
    path: Path, name: str, trips: Sequence[tuple[Trip, int]], zone: ZoneInfo
) -> tuple[Trip, ...]:
    """Return the trips of a vehicle, given with their rows, in order.

    Raises ProfileError where two overlap.
    """
    ordered = sorted(trips, key=lambda pair: (pair[0].departure, pair[0].arrival))
    for (before, first), (after, row) in pairwise(ordered):
        if after.departure < before.arrival:
            raise ProfileError(
                f"{path}: data row {row}: vehicle {name!r} leaves at "
                f"{_text(after.departure, zone)} before it arrives at "
                f"{_text(before.arrival, zone)} from the trip of data row {first}; trips that do "
                "not overlap are accepted"
            )
    return tuple(trip for trip, _ in ordered)


def _text(stamp: pd.Timestamp, zone: ZoneInfo) -> str:
    """Return a time for a message, in local time as in most files."""
    return stamp.tz_convert(zone).isoformat()
