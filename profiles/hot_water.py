"""Draw of hot water over a day."""

import numpy as np

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.time_axis import TimeAxis, wall_clock_parts

# shares of the daily draw by local hour: a peak in the morning and one in the evening; magnitudes
# of a household's tapping cycles (EN 16147, cycle M), smoothed over many homes
_SHARES = np.array(
    [0.5, 0.3, 0.2, 0.2, 0.5, 2.0, 7.0, 11.0, 9.0, 6.0, 4.5, 4.5,
     5.0, 4.0, 3.0, 3.0, 3.5, 5.0, 8.0, 8.5, 6.5, 4.0, 2.5, 1.3]
)  # fmt: skip


def draw_of_hot_water(axis: TimeAxis) -> Floats:
    """Return the power (n,) in kW of a draw of 1 kWh a day."""
    wall, parts = wall_clock_parts(axis, (0, 60))  # full hours
    shares = _SHARES[np.asarray(wall.hour)].reshape(axis.length, parts)
    return np.asarray(shares.mean(axis=1) / _SHARES.sum())


def largest_draw() -> float:
    """Return the largest power in kW of a draw of 1 kWh a day."""
    return float(_SHARES.max() / _SHARES.sum())
