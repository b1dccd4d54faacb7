"""Trips of electric vehicles: a seeded fleet, and the stays at home of any trips.

A trip takes a vehicle away between two times; the energy that it drives is booked when it leaves.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from stackelgrid.profiles._checks import require_number
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.time_axis import TimeAxis

_LONGEST_H = 8760.0  # of a delay
_DAYS_BEYOND = 2  # trips after the axis, so that the last stays know when they end


@dataclass(frozen=True)
class Trip:
    """One trip: times with a zone, and the energy it drives in MWh."""

    departure: pd.Timestamp
    arrival: pd.Timestamp
    energy_mwh: float


@dataclass(frozen=True)
class DayOfTrips:
    """Departures and returns of one kind of day, local hours; one trip a day at most.

    share: share of vehicles that leave on such a day.
    departure_h, departure_sigma_h: mean and standard deviation of the hour of departure.
    away_h, away_sigma_h: the same of the hours away, at least a quarter of an hour.
    distance_km, distance_sigma: median of the distance driven, and the standard deviation of its
        logarithm.
    """

    share: float
    departure_h: float
    departure_sigma_h: float
    away_h: float
    away_sigma_h: float
    distance_km: float
    distance_sigma: float


# plausible magnitudes of commuters and of weekends, not fitted to a survey
WEEKDAY = DayOfTrips(0.85, 7.5, 1.0, 9.5, 1.5, 30.0, 0.6)
WEEKEND = DayOfTrips(0.60, 11.0, 2.0, 5.0, 2.0, 25.0, 0.8)


@dataclass(frozen=True)
class Fleet:
    """Model of the trips of a fleet.

    weekday, weekend: days of trips.
    kwh_per_km: consumption at 20 degrees Celsius and above.
    rise_per_k: relative rise of the consumption for each K below 20 degrees Celsius (heating of
        the cabin and a cold battery).
    """

    weekday: DayOfTrips = WEEKDAY
    weekend: DayOfTrips = WEEKEND
    kwh_per_km: float = 0.17
    rise_per_k: float = 0.012

    def __post_init__(self) -> None:
        """Raise ProfileError for values out of range."""
        require_number("Fleet", "kwh_per_km", self.kwh_per_km, 0.0, 5.0)
        require_number("Fleet", "rise_per_k", self.rise_per_k, 0.0, 0.1)

    def consumption_mwh(self, distance_km: float, temperature_c: float) -> float:
        """Return the energy of a distance at an outdoor temperature in MWh."""
        rise = 1.0 + self.rise_per_k * max(20.0 - temperature_c, 0.0)
        return 1e-3 * self.kwh_per_km * distance_km * rise


def draw_trips(
    fleet: Fleet,
    axis: TimeAxis,
    temperature_c: Floats,
    rng: np.random.Generator,
    most_mwh: float,
    holidays: Collection[date] = (),
) -> tuple[Trip, ...]:
    """Draw the trips of one vehicle from the first day of an axis to some days beyond it.

    fleet: model of the trips.
    axis: time axis of the run.
    temperature_c: outdoor temperature (n,); the last one is held beyond the axis.
    rng: generator of this vehicle; days are drawn in order, so a longer axis continues a shorter
        one.
    most_mwh: usable energy of the battery; longer trips charge elsewhere and count with it.
    holidays: days with the trips of a weekend.
    """
    trips: list[Trip] = []
    days = pd.date_range(
        axis.start.date(), axis.end.date() + pd.Timedelta(days=_DAYS_BEYOND), freq="D"
    )
    for day in days:
        working = day.dayofweek < 5 and day.date() not in holidays
        own = fleet.weekday if working else fleet.weekend
        leaves = rng.uniform() < own.share
        hour = own.departure_h + own.departure_sigma_h * rng.standard_normal()
        away = own.away_h + own.away_sigma_h * rng.standard_normal()
        distance = own.distance_km * float(np.exp(own.distance_sigma * rng.standard_normal()))
        if not leaves:
            continue
        hour = min(max(hour, 0.0), 23.5)
        start = _local(day, hour, axis)
        end = start + pd.Timedelta(hours=max(away, 0.25))
        if trips and start <= trips[-1].arrival:
            start = trips[-1].arrival + pd.Timedelta(minutes=15)
            end = max(end, start + pd.Timedelta(minutes=15))
        at = int(np.clip((start - axis.start) // axis.step, 0, axis.length - 1))
        energy = fleet.consumption_mwh(distance, float(temperature_c[at]))
        trips.append(Trip(start, end, min(energy, most_mwh)))
    return tuple(trips)


def _local(day: pd.Timestamp, hour: float, axis: TimeAxis) -> pd.Timestamp:
    naive = day + pd.Timedelta(minutes=round(60.0 * hour))
    return naive.tz_localize(axis.start.tzinfo, ambiguous=True, nonexistent="shift_forward")


@dataclass(frozen=True)
class Stays:
    """Series of vehicles on a time axis, (n, vehicles).

    connected: share of each step during which the vehicle is at home.
    driven_mwh: energy of the trips that leave in a step.
    needed_mwh: most energy wanted at a departure in a step, 0 without one.
    required_mwh: least energy at the end of a step from which all later needs can be met by
        charging at full power whenever the vehicle is at home.
    """

    connected: Floats
    driven_mwh: Floats
    needed_mwh: Floats
    required_mwh: Floats


def stays_of(
    trips: Sequence[Sequence[Trip]],
    axis: TimeAxis,
    reserve_mwh: Floats,
    full_mwh: Floats,
    power_mw: Floats,
) -> Stays:
    """Return the stays of vehicles with some trips.

    trips: trips of each vehicle, in order.
    axis: time axis of n steps.
    reserve_mwh: energy that each wants to have left when it comes back.
    full_mwh: most energy of its battery; at a departure no more is wanted.
    power_mw: power at which its battery can be filled, losses deducted.
    """
    count, step = len(trips), axis.step
    length = axis.length + int(pd.Timedelta(days=_DAYS_BEYOND) // step)
    away = np.zeros((length, count))
    driven, needed = np.zeros((length, count)), np.zeros((length, count))
    for k, own in enumerate(trips):
        for trip in own:
            first, last = ((t - axis.start) / step for t in (trip.departure, trip.arrival))
            _cover(away[:, k], first, last)
            at = int(np.floor(first))
            if 0 <= at < length:
                # what several trips of one step need beyond a full battery they charge on the way
                driven[at, k] = min(driven[at, k] + trip.energy_mwh, full_mwh[k])
                needed[at, k] = min(driven[at, k] + reserve_mwh[k], full_mwh[k])
    connected = np.clip(1.0 - away, 0.0, 1.0)
    required = _required(connected, driven, needed, power_mw * axis.step_h, full_mwh)
    n = axis.length
    return Stays(connected[:n], driven[:n], needed[:n], required[:n])


def _cover(away: Floats, first: float, last: float) -> None:
    """Add the part of each step between two positions on the axis."""
    low, high = max(first, 0.0), min(last, float(len(away)))
    if high <= low:
        return
    begin, end = int(low), int(np.ceil(high))
    edges = np.clip(np.arange(begin, end + 1), low, high)
    away[begin:end] += np.diff(edges)


def _required(
    connected: Floats, driven: Floats, needed: Floats, filled_mwh: Floats, full_mwh: Floats
) -> Floats:
    """Return the least energy at the end of each step for all later needs, by going backwards."""
    required = np.zeros_like(connected)
    for i in range(len(connected) - 1, 0, -1):  # vehicles charge in a step before they leave
        leaving = np.maximum(needed[i], required[i] + driven[i])
        required[i - 1] = np.clip(leaving - connected[i] * filled_mwh, 0.0, full_mwh)
    return required


def deviated_trips(
    trips: Sequence[Trip], rng: np.random.Generator, late_h: float, skipped: float
) -> tuple[Trip, ...]:
    """Return trips as they come: some do not happen, the others end late.

    trips: planned trips, in order.
    rng: generator of this vehicle; two draws for each trip.
    late_h: mean delay of the arrival in hours, exponentially distributed; never into the next trip.
    skipped: share of trips that do not happen.
    """
    found = []
    for k, trip in enumerate(trips):
        skip, delay = rng.uniform() < skipped, min(late_h * rng.exponential(), _LONGEST_H)
        if skip:
            continue
        arrival = trip.arrival + pd.Timedelta(minutes=round(60.0 * delay))
        if k + 1 < len(trips):
            latest = trips[k + 1].departure - pd.Timedelta(minutes=15)
            arrival = max(min(arrival, latest), trip.arrival)
        found.append(Trip(trip.departure, arrival, trip.energy_mwh))
    return tuple(found)


@dataclass(frozen=True)
class ExpectedStays:
    """Forecast of stays: the planned ones, corrected by where the vehicles were last seen.

    `expected` and `realised` (n, 4 x vehicles) hold the series of `Stays` side by side. A vehicle
    that is late is expected one interval later; one that has not left is expected to stay until
    its planned arrival.
    """

    expected: Floats
    realised: Floats

    def rows(self, issue: int, first: int, count: int) -> Floats:
        """Return values (count, columns) from interval `first` on, as issued at `issue`."""
        values = self.expected[first : first + count].copy()
        if issue == 0:
            return values
        vehicles = self.expected.shape[1] // 4
        planned = self.expected[:, :vehicles] >= 0.5
        here = self.realised[issue - 1, :vehicles] >= 0.5
        late = np.flatnonzero(planned[issue - 1] & ~here)
        if first == issue:
            values[0, late] = 0.0
        for k in np.flatnonzero(~planned[issue - 1] & here):
            back = issue + int(np.argmax(np.append(planned[issue:, k], True)))
            stop = max(back - first, 0)
            values[:stop, k] = 1.0
        return values
