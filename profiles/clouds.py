"""Clouds as a seeded clear-sky index: one regional series, a small local part per system."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from stackelgrid.profiles._checks import finite_array
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.random_processes import stationary_ar1
from stackelgrid.profiles.time_axis import TimeAxis

INDEX_LOW = 0.05
"""Smallest clear-sky index (-): a heavy overcast still passes diffuse light."""
INDEX_HIGH = 1.1
"""Largest clear-sky index (-): cloud edges enhance the irradiance beyond the clear sky."""

CloudVariant = Literal["clear", "sunny", "cloudy"]


@dataclass(frozen=True)
class CloudParameters:
    """Parameters of a cloud variant; the index is a logistic map of Gaussian AR(1) series.

    `median_logit` places the median of the index between its bounds, `regional_sigma` and
    `local_sigma` are the standard deviations of the common and of the per-system series before
    the map (-), the correlation times are in hours.
    """

    median_logit: float
    regional_sigma: float
    regional_correlation_h: float
    local_sigma: float
    local_correlation_h: float


# The medians are solved so that the regional index has the stated mean; spreads and
# correlation times are plausible magnitudes, not fitted to measurements.
_VARIANTS = MappingProxyType(
    {
        # mean 0.92, 5th percentile 0.63, 1st percentile 0.46: fair with rare dips
        "sunny": CloudParameters(1.867, 1.0, 1.5, 0.25, 0.25),
        # mean 0.35, standard deviation 0.21, 95th percentile 0.78: overcast with gaps
        "cloudy": CloudParameters(-1.169, 1.2, 1.0, 0.35, 0.25),
    }
)


@dataclass(frozen=True)
class CloudModel:
    """Cloudiness of a scenario: "clear" (index exactly 1), "sunny" or "cloudy".

    The clear-sky index is the ratio of global irradiance to that of a clear sky, within
    [0.05, 1.1]; its regional mean is about 0.92 for "sunny" and 0.35 for "cloudy". Raises
    ProfileError for another variant.
    """

    variant: CloudVariant

    def __post_init__(self) -> None:
        """Raise ProfileError for an unknown variant."""
        if self.variant != "clear" and self.variant not in _VARIANTS:
            raise ProfileError(
                f"CloudModel: variant is {self.variant!r}; one of clear, "
                f"{', '.join(_VARIANTS)} is accepted"
            )

    @property
    def parameters(self) -> CloudParameters | None:
        """Parameters of the variant; None for a clear sky, which has no random part."""
        return _VARIANTS.get(self.variant)


def regional_clear_sky_index(
    axis: TimeAxis, clouds: CloudModel, rng: np.random.Generator
) -> Floats:
    """Draw the clear-sky index common to all systems of a region, shape (n,), in [0.05, 1.1].

    A longer axis continues a shorter one. "clear" is 1 throughout and draws nothing.
    """
    parameters = clouds.parameters
    if parameters is None:
        return np.ones(axis.length)
    series = stationary_ar1(axis, parameters.regional_correlation_h, rng)
    return _index_of_logit(parameters.median_logit + parameters.regional_sigma * series)


def local_clear_sky_index(
    axis: TimeAxis,
    regional_index: npt.ArrayLike,
    clouds: CloudModel,
    rngs: list[np.random.Generator],
) -> Floats:
    """Add each system's own passing clouds to the regional index, shape (n, systems).

    axis: time axis of n steps.
    regional_index: index (n,) common to all systems; raises ProfileError if it leaves its bounds.
    clouds: cloudiness; "clear" returns the regional index.
    rngs: generators, one for each system.

    The values stay in [0.05, 1.1].
    """
    regional = finite_array(
        "clear_sky_index", "regional_index", regional_index, axis.length, INDEX_LOW, INDEX_HIGH
    )
    parameters = clouds.parameters
    if parameters is None:
        return np.repeat(regional[:, None], len(rngs), axis=1)
    share = (regional - INDEX_LOW) / (INDEX_HIGH - INDEX_LOW)
    # A given index may sit on a bound, where the logit is infinite.
    share = np.clip(share, 1e-9, 1.0 - 1e-9)
    logit = np.log(share / (1.0 - share))
    series = np.column_stack(
        [stationary_ar1(axis, parameters.local_correlation_h, rng) for rng in rngs]
    )
    return _index_of_logit(logit[:, None] + parameters.local_sigma * series)


def _index_of_logit(logit: Floats) -> Floats:
    index: Floats = INDEX_LOW + (INDEX_HIGH - INDEX_LOW) / (1.0 + np.exp(-logit))
    return index
