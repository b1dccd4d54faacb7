"""Values of rows on the steps of a time axis: means over time, so that energies are conserved."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from stackelgrid.profiles.arrays import Ints
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.size_limits import FILE_CELLS
from stackelgrid.profiles.tables.stamps import iso
from stackelgrid.profiles.time_axis import TimeAxis


def rows_of_steps(path: Path, stamps: pd.DatetimeIndex, axis: TimeAxis) -> Ints:
    """Return the row of each part of each step of an axis (n, parts).

    path: the file, for messages.
    stamps: left edges of rows of equal length, in UTC.
    axis: time axis.

    Parts are equally long and lie within one row, so the mean of the parts is the mean over time:
    of finer rows their mean, of coarser ones the value that is held, of others a mean weighted by
    time. Raises ProfileError for rows that do not cover the axis, or need too many parts.
    """
    step = stamps[1] - stamps[0]
    end = stamps[-1] + step
    if stamps[0] > axis.start or end < axis.end:
        raise ProfileError(
            f"{path}: covers {iso(stamps[0])} to {iso(end)}; "
            f"{iso(axis.start)} to {iso(axis.end)} is needed"
        )
    offset = axis.start - stamps[0]
    part = pd.Timedelta(math.gcd(step.value, axis.step.value, offset.value), unit="ns")
    parts = axis.step // part
    if parts > 1 and parts * axis.length > FILE_CELLS:
        raise ProfileError(
            f"{path}: rows every {step} from {iso(stamps[0])} and intervals every {axis.step} from "
            f"{iso(axis.start)} have only parts of {part} in common; stamps on full minutes are "
            "accepted"
        )
    at = offset // part + np.arange(axis.length * parts).reshape(axis.length, parts)
    return np.asarray(at // (step // part))
