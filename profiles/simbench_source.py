"""Load profiles of the SimBench data set (optional package simbench)."""

import numpy as np
import pandas as pd

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.extras import install_command
from stackelgrid.profiles.time_axis import TimeAxis, wall_clock_parts

_QUARTER = pd.Timedelta(minutes=15)
_ENDING = "_pload"


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
