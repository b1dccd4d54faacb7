"""Outdoor temperature of a scenario: constant, a seeded daily course, or the user's file."""

from dataclasses import dataclass

import numpy as np

from stackelgrid.profiles._checks import require_number
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.random_processes import stationary_ar1
from stackelgrid.profiles.time_axis import TimeAxis

COLDEST_HOUR, WARMEST_HOUR = 6.0, 15.0
"""Local hours of the least and the largest value of the daily course."""


@dataclass(frozen=True)
class TemperatureModel:
    """Mean, daily range and day-to-day variation of the air temperature.

    mean_c: mean of the run in degrees Celsius.
    daily_range_k: warmest less coldest hour of a mean day, K.
    sigma_k: standard deviation of slow weather changes, K.
    correlation_h: their correlation time in hours.

    The course of a day is a half cosine from the coldest to the warmest hour and one back; weather
    changes are an AR(1) process. Raises ProfileError for values out of range.
    """

    mean_c: float
    daily_range_k: float = 0.0
    sigma_k: float = 0.0
    correlation_h: float = 48.0

    def __post_init__(self) -> None:
        """Raise ProfileError for values out of range."""
        require_number("TemperatureModel", "mean_c", self.mean_c, -60.0, 60.0)
        require_number("TemperatureModel", "daily_range_k", self.daily_range_k, 0.0, 60.0)
        require_number("TemperatureModel", "sigma_k", self.sigma_k, 0.0, 30.0)
        require_number("TemperatureModel", "correlation_h", self.correlation_h, 0.0, 8784.0)

    def series(self, axis: TimeAxis, rng: np.random.Generator) -> Floats:
        """Return the temperature (n,) in degrees Celsius; a longer axis continues a shorter one."""
        slow = self.sigma_k * stationary_ar1(axis, self.correlation_h, rng) if self.sigma_k else 0.0
        course: Floats = self.mean_c + 0.5 * self.daily_range_k * _daily_course(axis) + slow
        return course


def _daily_course(axis: TimeAxis) -> Floats:
    """Return the course of a day (n,) between -1 and 1, at the middle of every step."""
    middle = axis.index + axis.step / 2
    hour = np.asarray(middle.hour + middle.minute / 60.0 + middle.second / 3600.0)
    rise = WARMEST_HOUR - COLDEST_HOUR
    since = (hour - COLDEST_HOUR) % 24.0
    rising = -np.cos(np.pi * since / rise)
    falling = np.cos(np.pi * (since - rise) / (24.0 - rise))
    return np.where(since < rise, rising, falling)


def daily_mean(temperature_c: Floats, step_h: float) -> Floats:
    """Return the mean of the 24 hours up to and including each step (n,), fewer at the start.

    Heating curves and the ground follow the mean of a day rather than the hour.
    """
    steps = max(round(24.0 / step_h), 1)
    total = np.concatenate([[0.0], np.cumsum(temperature_c)])
    last = np.arange(1, len(total))
    first = np.maximum(last - steps, 0)
    mean: Floats = (total[last] - total[first]) / (last - first)
    return mean
