"""Stochastic process that loads and clouds are built from."""

import math

import numpy as np
from scipy.signal import lfilter

from stackelgrid.profiles._checks import require_number
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.time_axis import TimeAxis


def stationary_ar1(axis: TimeAxis, correlation_h: float, rng: np.random.Generator) -> Floats:
    """Draw a stationary Gaussian AR(1) series with mean 0 and variance 1, shape (n,).

    Its autocorrelation over a time t is exp(-t / correlation_h) whatever the step; 0 h gives
    white noise. The draws are taken in the order of time, so a longer axis continues a shorter
    one. Raises ProfileError for a negative correlation time.
    """
    require_number("stationary_ar1", "correlation_h", correlation_h, 0.0, 8784.0)
    kept = math.exp(-axis.step_h / correlation_h) if correlation_h > 0.0 else 0.0
    innovations = rng.standard_normal(axis.length)
    # The first value has the stationary variance already; without this the series would need
    # a warm-up that depends on the correlation time.
    innovations[1:] *= math.sqrt(1.0 - kept**2)
    series: Floats = lfilter([1.0], [1.0, -kept], innovations)
    return series
