"""Profiles that come with a net, as SimBench stores them; load profiles of that data set."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError, shown
from stackelgrid.profiles.extras import install_command
from stackelgrid.profiles.tables.dialect import Dialect
from stackelgrid.profiles.tables.reading import Table
from stackelgrid.profiles.tables.series_table import SeriesTable, series_table_of
from stackelgrid.profiles.time_axis import TimeAxis, wall_clock_parts

_QUARTER = pd.Timedelta(minutes=15)
_ENDING = "_pload"
# tables of profiles by table of pandapower, in the order in which a name is looked up
_TABLES = {
    "load": ("load",),
    "sgen": ("renewables", "powerplants"),
    "storage": ("storage",),
}
# the data set has the German wall clock, written as 31.12.2016 23:45
_WALL_CLOCK = "Europe/Berlin"
_GERMAN = r"\d\d\.\d\d\.\d{4} "


class NetProfiles:
    """Profiles of a net: tables with a column `time` and factors of the nominal power.

    The column `profile` of an element names its column: `NAME_pload` and `NAME_qload` of the table
    load, `NAME` of renewables, powerplants and storage.
    """

    def __init__(self, tables: Mapping[str, object]) -> None:
        self._tables = {k: v for k, v in tables.items() if isinstance(v, pd.DataFrame)}
        self._read: dict[tuple[str, str], SeriesTable] = {}

    @cached_property
    def known(self) -> Mapping[str, frozenset[str]]:
        """Names of the profiles by table of pandapower."""
        return {
            element: frozenset(
                str(column).removesuffix(_ENDING)
                for table in tables
                for column in self._tables.get(table, pd.DataFrame()).columns
                if column != "time" and not str(column).endswith("_qload")
            )
            for element, tables in _TABLES.items()
        }

    def factors(
        self, element: str, names: Sequence[str], axis: TimeAxis, timezone: str
    ) -> tuple[Floats, Floats]:
        """Return factors (n, names) of active and of reactive power.

        element: table of pandapower.
        names: profiles of elements; empty for one without, whose factors are NaN.
        axis: time axis.
        timezone: zone of stamps without an offset that are not in SimBench's form.

        Raises ProfileError for an unknown name, and for profiles that do not cover the axis.
        """
        p, q = np.full((2, axis.length, len(names)), np.nan)
        for name in sorted(set(names) - {""}):
            at = np.array([other == name for other in names], dtype=bool)
            active, reactive = self._columns(element, name)
            p[:, at] = self._values(active, axis, timezone)[:, None]
            q[:, at] = self._values(reactive, axis, timezone)[:, None]
        return p, q

    def _columns(self, element: str, name: str) -> tuple[tuple[str, str], tuple[str, str]]:
        """Return table and column of the active and of the reactive power of a profile."""
        for table in _TABLES[element]:
            columns = set(self._tables.get(table, pd.DataFrame()).columns)
            active = next((c for c in (f"{name}{_ENDING}", name) if c in columns), None)
            if active is not None:
                reactive = f"{name}_qload"
                return (table, active), (table, reactive if reactive in columns else active)
        known = ", ".join(sorted(self.known[element])[:12]) or "none"
        raise ProfileError(
            f"profiles of the net: {element} has the profile {shown(name)}, which is not there; "
            f"known: {known}"
        )

    def _values(self, place: tuple[str, str], axis: TimeAxis, timezone: str) -> Floats:
        table, column = place
        if (table, timezone) not in self._read:
            frame = self._tables[table]
            ordered = [c for c in frame.columns if c != "time"]
            if len(ordered) == len(frame.columns):
                raise ProfileError(f"profiles of the net: table {table} has no column 'time'")
            first = str(frame["time"].iloc[0]) if len(frame) else ""
            zone = _WALL_CLOCK if re.match(_GERMAN, first) else timezone
            found = Table(frame[["time", *ordered]], Dialect())
            where = Path(f"profiles of the net (table {table})")
            self._read[table, timezone] = series_table_of(where, found, zone)
        return self._read[table, timezone].on_axis([column], axis)[column]


def simbench_load(profile_name: str, axis: TimeAxis) -> Floats:
    """Return the active power of a SimBench load profile such as "H0-A", annual maximum 1.

    Shape (n,), per unit of the largest quarter-hour of the year. The data are quarter-hours of
    2016 by the German wall clock; they are looked up by month, day and wall-clock time of the
    axis, so weekdays are those of 2016 whatever the year. The hour 2016 skipped in March is
    filled with the quarter-hour before it, the one it repeated in October is averaged.

    Raises ProfileError if simbench is not installed or has no such profile.

    Source: Meinecke et al., SimBench - A Benchmark Dataset of Electric Power Systems to Compare
    Innovative Solutions Based on Power Flow Analysis, Energies 13 (2020) 3290.
    """
    try:
        import simbench
    except ImportError as error:
        raise ProfileError(
            f"simbench_load: profile {profile_name!r} needs the package simbench; "
            f"{install_command('simbench')} provides it"
        ) from error
    # The load profiles of the three scenarios are the same; scenario 0 is today's grid.
    data: pd.DataFrame = simbench.get_all_simbench_profiles(0)["load"]
    column = f"{profile_name}{_ENDING}"
    if column not in data.columns:
        known = sorted(
            name.removesuffix(_ENDING) for name in data.columns if name.endswith(_ENDING)
        )
        raise ProfileError(
            f"simbench_load: profile_name is {profile_name!r}; one of {', '.join(known)} is "
            "accepted"
        )
    stamps = pd.to_datetime(data["time"], format="%d.%m.%Y %H:%M")
    by_stamp = pd.Series(data[column].to_numpy(dtype=np.float64), index=pd.DatetimeIndex(stamps))
    year = pd.date_range("2016-01-01", "2017-01-01", freq=_QUARTER, inclusive="left")
    table = by_stamp.groupby(level=0).mean().reindex(year).ffill().to_numpy(dtype=np.float64)
    wall, parts = wall_clock_parts(axis, (0, 15))
    # 2016 is a leap year, so every month and day of any year is found in it.
    in_2016 = pd.to_datetime(
        pd.DataFrame(
            {
                "year": 2016,
                "month": wall.month,
                "day": wall.day,
                "hour": wall.hour,
                "minute": wall.minute,
            }
        )
    )
    position = (pd.DatetimeIndex(in_2016) - year[0]) // _QUARTER
    shape: Floats = table[position].reshape(axis.length, parts).mean(axis=1) / table.max()
    return shape
