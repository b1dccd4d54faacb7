"""Windows in which tasks of shiftable loads may run, on a time axis."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.time_axis import TimeAxis

_DAYS_BEYOND = 1


@dataclass(frozen=True)
class Windows:
    """Series of daily tasks (n, devices).

    open: share of each step within a window.
    arrivals: tasks that arrive in a step.
    ends: 1 in the last step of a window, else 0.
    latest: 1 in the last step in which a task that must not pause can start, else 0.
    """

    open: Floats
    arrivals: Floats
    ends: Floats
    latest: Floats


def daily_windows(
    axis: TimeAxis, first: str, last: str, shift_min: Floats, run_h: Floats
) -> Windows:
    """Return the windows of one task a day for each device.

    axis: time axis of n steps; windows begin and end with its steps.
    first, last: clock times "HH:MM" of a window; one that ends before it begins ends the next day.
    shift_min: shift of both times (devices,) in minutes.
    run_h: length of a run (devices,) in hours; raises ProfileError where it exceeds the window.
    """
    begin, end = (60 * int(t[:2]) + int(t[3:]) for t in (first, last))
    length = (end - begin) % 1440 or 1440
    count, step_min = len(shift_min), axis.step / pd.Timedelta(minutes=1)
    found = [np.zeros((axis.length, count)) for _ in range(4)]
    days = pd.date_range(axis.start.date() - pd.Timedelta(days=1), axis.end.date(), freq="D")
    for k in range(count):
        if 60.0 * run_h[k] > length:
            raise ProfileError(
                f"a run of {run_h[k]:g} h does not fit between {first} and {last}; at most "
                f"{length / 60:g} h are accepted"
            )
        for day in days:
            start = (day + pd.Timedelta(minutes=begin + round(float(shift_min[k])))).tz_localize(
                axis.start.tzinfo, ambiguous=True, nonexistent="shift_forward"
            )
            at = round((start - axis.start) / axis.step)
            stop = at + max(round(length / step_min), 1)
            run = int(np.ceil(60.0 * run_h[k] / step_min - 1e-9))
            for series, position in zip(found[1:], (at, stop - 1, stop - run), strict=True):
                if 0 <= position < axis.length:
                    series[position, k] = 1.0
            found[0][max(at, 0) : max(stop, 0), k] = 1.0
    return Windows(*found)
