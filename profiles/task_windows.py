"""Windows in which tasks of shiftable loads may run, on a time axis."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.time_axis import TimeAxis


@dataclass(frozen=True)
class Windows:
    """Series of daily tasks (n, devices).

    open: share of each step within a window.
    arrivals: tasks that arrive in a step.
    ends: 1 in the last step of a window, else 0.
    latest: 1 in the last step in which a task that must not pause can start, else 0.
    after_h: hours of a window that follow a step within it, else 0.
    """

    open: Floats
    arrivals: Floats
    ends: Floats
    latest: Floats
    after_h: Floats


def window_length(from_h: Floats, to_h: Floats) -> Floats:
    """Return the length in h of windows between local hours, a day where both are equal."""
    return 24.0 - (from_h - to_h) % 24.0


def daily_windows(
    axis: TimeAxis, from_h: Floats, to_h: Floats, run_h: Floats, shift_h: Floats | None = None
) -> Windows:
    """Return the windows of one task a day for each device.

    axis: time axis of n steps; windows begin and end with its steps, at clock times also where
        clocks change.
    from_h, to_h: local hours (devices,) of windows; those that end before they begin end the next
        day.
    run_h: length of a run (devices,) in hours; raises ProfileError where it exceeds the window.
    shift_h: shift of both hours (devices,).
    """
    count, step_h = len(from_h), axis.step_h
    shift_h = np.zeros(count) if shift_h is None else shift_h
    found = [np.zeros((axis.length, count)) for _ in range(5)]
    beyond = pd.Timedelta(days=1 + int(np.ceil(np.abs(shift_h).max(initial=0.0) / 24.0)))
    days = pd.date_range(axis.start.date() - beyond, axis.end.date() + beyond, freq="D")
    for k, length in enumerate(window_length(from_h, to_h)):
        if run_h[k] > length * (1.0 + 1e-9):
            raise ProfileError(
                f"a run of {run_h[k]:g} h does not fit in a window of {length:g} h that begins at "
                f"hour {from_h[k]:g}"
            )
        for day in days:
            hour = float(from_h[k] + shift_h[k])
            start, end = (_moment(day, h, axis) for h in (hour, hour + length))
            at = round((start - axis.start) / axis.step)
            stop = at + max(round((end - start) / axis.step), 1)
            run = int(np.ceil(run_h[k] / step_h - 1e-9))
            latest = max(stop - run, at)  # a night may lack an hour
            for series, position in zip(found[1:4], (at, stop - 1, latest), strict=True):
                if 0 <= position < axis.length:
                    series[position, k] = 1.0
            inside = np.arange(max(at, 0), min(max(stop, 0), axis.length))
            found[0][inside, k] = 1.0
            found[4][inside, k] = (stop - 1 - inside) * step_h
    return Windows(*found)


def _moment(day: pd.Timestamp, hour: float, axis: TimeAxis) -> pd.Timestamp:
    """Return a local hour of a day, which may lie before or after it."""
    naive = day + pd.Timedelta(minutes=round(60.0 * hour))
    return naive.tz_localize(axis.start.tzinfo, ambiguous=True, nonexistent="shift_forward")
