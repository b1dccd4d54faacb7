"""Load series: BDEW standard profiles and the spread of single customers around them."""

import datetime as dt
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from demandlib import bdew

from stackelgrid.profiles._checks import (
    finite_array,
    require_count,
    require_number,
)
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.random_processes import stationary_ar1
from stackelgrid.profiles.time_axis import TimeAxis, wall_clock_parts

LoadKind = Literal["household", "commercial", "agriculture", "household_pv", "household_pv_storage"]

_PROFILES = {
    "household": bdew.H25,
    "commercial": bdew.G25,
    "agriculture": bdew.L25,
    "household_pv": bdew.P25,
    "household_pv_storage": bdew.S25,
}
_QUARTER = pd.Timedelta(minutes=15)
# time shifts are cut at three standard deviations, so that a finite margin suffices
_SHIFT_LIMIT = 3.0


def standard_load(
    kind: LoadKind, axis: TimeAxis, holidays: Sequence[dt.date] | None = None
) -> Floats:
    """Return the BDEW 2025 standard load profile of a customer group, annual maximum 1.

    Shape (n,), per unit of the largest quarter-hour of the calendar year in which the axis
    starts; a later year on the same axis keeps that reference and may exceed it slightly. The
    profiles are defined on local wall-clock time, so they are looked up by the wall clock of
    the axis: a repeated hour repeats its values, a skipped hour is left out. `holidays` count
    as Sundays. Raises ProfileError for an unknown kind or a holiday that is no date.

    Source: BDEW standard load profiles H25, G25, L25, P25 and S25 (2025), from demandlib.
    """
    if kind not in _PROFILES:
        raise ProfileError(
            f"standard_load: kind is {kind!r}; one of {', '.join(_PROFILES)} is accepted"
        )
    for holiday in holidays or ():
        if not isinstance(holiday, dt.date):
            raise ProfileError(f"standard_load: holiday is {holiday!r}; a date is accepted")
    wall, parts = wall_clock_parts(axis, (0, 15))
    days_off = tuple(pd.Timestamp(day).normalize() for day in holidays or ())
    years, table, annual_maximum = _years(kind, wall[0].year, wall.max().year, days_off)
    position = (wall - years[0]) // _QUARTER
    shape: Floats = table[position].reshape(axis.length, parts).mean(axis=1) / annual_maximum
    return shape


@functools.lru_cache(maxsize=64)
def _years(
    kind: str, first: int, last: int, days_off: tuple[pd.Timestamp, ...]
) -> tuple[pd.DatetimeIndex, Floats, float]:
    """Quarter-hours of whole years, their values and the maximum of the first year."""
    # demandlib reads the stamps as wall-clock time and shortens an incomplete last step, so it
    # receives only naive quarter-hours of whole years
    years = pd.date_range(f"{first}-01-01", f"{last + 1}-01-01", freq=_QUARTER, inclusive="left")
    table = np.asarray(_PROFILES[kind](years, holidays=list(days_off) or None), dtype=np.float64)
    table.flags.writeable = False
    return years, table, float(table[years.year == first].max())


@dataclass(frozen=True)
class LoadDiversity:
    """Deviation of single customers from the profile of their group.

    `level_sigma` and `noise_sigma` are standard deviations of the logarithm of a customer's
    level and of its noise (-), `shift_min_sigma` that of its habits' shift in time (min) and
    `noise_correlation_h` the correlation time of the noise (h, 0 for white noise). The defaults
    are plausible magnitudes for households, not fitted to measurements.
    """

    level_sigma: float = 0.35
    shift_min_sigma: float = 45.0
    noise_sigma: float = 0.25
    noise_correlation_h: float = 1.0

    def __post_init__(self) -> None:
        """Raise ProfileError for spreads that are negative or too large."""
        require_number("LoadDiversity", "level_sigma", self.level_sigma, 0.0, 3.0)
        require_number("LoadDiversity", "shift_min_sigma", self.shift_min_sigma, 0.0, 480.0)
        require_number("LoadDiversity", "noise_sigma", self.noise_sigma, 0.0, 3.0)
        require_number("LoadDiversity", "noise_correlation_h", self.noise_correlation_h, 0.0, 168.0)

    def margin(self, axis: TimeAxis) -> int:
        """Return the steps that a base needs before and after `axis` for the largest shift."""
        return math.ceil(_SHIFT_LIMIT * self.shift_min_sigma / (axis.step_h * 60.0))

    def padded(self, axis: TimeAxis) -> TimeAxis:
        """Return `axis` with the margin on both sides, the axis to compute a base on."""
        margin = self.margin(axis)
        first = axis.start.tz_convert("UTC") - axis.step * margin
        return TimeAxis(first.tz_convert(axis.start.tzinfo), axis.step, axis.length + 2 * margin)


def diverse_loads(
    base: npt.ArrayLike,
    axis: TimeAxis,
    count: int,
    diversity: LoadDiversity,
    rng: np.random.Generator,
    noise_rng: np.random.Generator | None = None,
) -> Floats:
    """Spread customers around a base; shape (n, count), in the unit of the base.

    base: non-negative values on `diversity.padded(axis)` or on `axis`. With the padded base a
        longer axis reproduces the first values bit by bit; without it the base is held constant
        beyond its ends, so that only steps within the margin of the end depend on that end.
    axis: time axis of n steps.
    count: number of customers.
    diversity: spread of the customers.
    rng: every customer draws from its own child: the first customers stay the same when `count`
        grows, but each call consumes children, so pass a fresh generator to reproduce a fleet.
    noise_rng: source of the noise instead: the same customers on another day.

    Each customer is level x base(t - shift) x noise(t): a lognormal level with mean 1, a
    Gaussian shift clipped at three standard deviations (linear interpolation), and lognormal noise
    with mean 1 whose logarithm is a stationary AR(1) process. Many customers average to the
    base smoothed by the shifts.

    Raises ProfileError for a base of another length, a negative or non-finite one.
    """
    require_count("diverse_loads", "count", count, 1)
    margin = diversity.margin(axis)
    values = finite_array("diverse_loads", "base", base, low=0.0)
    padded_length = axis.length + 2 * margin
    if values.size not in (axis.length, padded_length):
        raise ProfileError(
            f"diverse_loads: base holds {values.size} values; {axis.length} (the axis) or "
            f"{padded_length} (the axis padded by the diversity) are accepted"
        )
    offset = margin if values.size == padded_length else 0
    steps = np.arange(axis.length, dtype=np.float64) + offset
    known = np.arange(values.size, dtype=np.float64)
    loads = np.empty((axis.length, count))
    children = rng.spawn(count)
    noises = children if noise_rng is None else noise_rng.spawn(count)
    for customer, (child, noisy) in enumerate(zip(children, noises, strict=True)):
        level_draw, shift_draw = child.standard_normal(2)
        level = math.exp(diversity.level_sigma * level_draw - 0.5 * diversity.level_sigma**2)
        shift_min = diversity.shift_min_sigma * np.clip(shift_draw, -_SHIFT_LIMIT, _SHIFT_LIMIT)
        shift = shift_min / (axis.step_h * 60.0)
        log_noise = diversity.noise_sigma * stationary_ar1(
            axis, diversity.noise_correlation_h, noisy
        )
        noise = np.exp(log_noise - 0.5 * diversity.noise_sigma**2)
        loads[:, customer] = level * np.interp(steps - shift, known, values) * noise
    return loads
