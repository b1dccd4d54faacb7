"""Autoregressive forecast errors that grow with lead time and are consistent over updates."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from stackelgrid.profiles._checks import require_number
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class ErrorModel:
    """Errors of standard deviation `std` at a lead of `lead_h` hours, growing from 0.

    `std` and `bias` are relative (-) or in EUR/MWh, as the quantity is; `phi` is the correlation
    over one hour, in [0, 1]. Raises ProfileError for values out of range.

    One path y(t) = phi^dt y(t-1) + s w(t) from y(-1) = 0, with independent standard normal w,
    generates the errors of all forecasts. The forecast issued at the start of interval u, when the
    last observed interval is u-1, has in interval t the error

        e(u, t) = bias + y(t) - phi^l y(u-1),    lead l = (t - u + 1) dt hours,

    the change of y after it is issued. Its variance is s^2 (1 - phi^(2 l)) / (1 - phi^(2 dt)),
    with s from std^2 = s^2 (1 - phi^(2 lead_h)) / (1 - phi^(2 dt)); in the limit phi = 1 it is
    std^2 l / lead_h, a random walk. An update changes the error at t by phi^((t - s) dt) s w(s)
    for every interval s observed since: revisions are independent of one another and of earlier
    forecasts, the martingale model of forecast evolution (Heath and Jackson 1994, IIE
    Transactions 26(3), 17-30) with revisions of an AR(1) process.
    """

    std: float
    lead_h: float
    phi: float
    bias: float = 0.0

    def __post_init__(self) -> None:
        """Raise ProfileError for parameters out of range."""
        require_number("ErrorModel", "std", self.std, 0.0, 1e6)
        require_number("ErrorModel", "lead_h", self.lead_h, 0.0, 8784.0, open_low=True)
        require_number("ErrorModel", "phi", self.phi, 0.0, 1.0)
        require_number("ErrorModel", "bias", self.bias, -1e6, 1e6)

    @property
    def errs(self) -> bool:
        """Return whether the standard deviation or the bias differs from zero."""
        return self.std > 0.0 or self.bias != 0.0

    def scaled(self, level: float) -> "ErrorModel":
        """Return the model with standard deviation and bias times `level`."""
        require_number("ErrorModel", "level", level, 0.0, 1e6)
        return replace(self, std=level * self.std, bias=level * self.bias)

    def std_at(self, lead_h: npt.ArrayLike) -> Floats:
        """Return the standard deviation at leads in hours, the shape of `lead_h`."""
        lead = np.asarray(lead_h, dtype=np.float64)
        return self.std * np.sqrt(self._grown(lead) / self._grown(np.float64(self.lead_h)))

    def path(self, white: Floats, step_h: float) -> "ErrorPath":
        """Return the error path of independent standard normal draws (n,), one each interval."""
        kept = self.phi**step_h
        scale = float(self.std_at(step_h))
        path: Floats = lfilter([scale], [1.0, -kept], white)
        return ErrorPath(path, kept, self.bias)

    def _grown(self, lead: npt.NDArray[np.float64] | np.float64) -> Floats:
        """Return 1 - phi^(2 lead), or the lead, to which it is proportional, for phi = 1."""
        if self.phi == 1.0:
            return np.asarray(lead)
        if self.phi == 0.0:
            return np.asarray(lead > 0.0, dtype=np.float64)
        return np.asarray(-np.expm1(2.0 * math.log(self.phi) * lead))


@dataclass(frozen=True)
class ErrorPath:
    """One realisation of an ErrorModel: y (n,), its autocorrelation over an interval, the bias."""

    path: Floats
    kept: float
    bias: float

    @property
    def deviation(self) -> Floats:
        """Return the error of the forecast issued at interval 0, shape (n,)."""
        return self.bias + self.path

    def of(self, issue: int, first: int, count: int) -> Floats:
        """Return errors (count,) from interval `first` on of the forecast issued at `issue`."""
        errors = self.bias + self.path[first : first + count]
        if issue > 0:
            leads = np.arange(first - issue + 1, first - issue + 1 + len(errors))
            errors -= self.kept**leads * self.path[issue - 1]
        return errors
