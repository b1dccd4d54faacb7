"""Power limits that an agent is enrolled with, for the coordinator's checks."""

from collections.abc import Iterable

import numpy as np

from stackelgrid.controllers.negotiation.commit.messages import PowerLimits
from stackelgrid.controllers.system import Feeder

__all__ = ["enrolled_limits"]

# margin for losses, and for loads and voltages beyond those known beforehand
_MARGIN = 1.5


def enrolled_limits(feeder: Feeder, below: Iterable[tuple[float, PowerLimits]]) -> PowerLimits:
    """Return limits of one copy of a grid from its installed devices, in MW and MVAr.

    They are 1.5 times the power of its loads at their peaks and of its other devices
    (reactive: their apparent power, with lines and shunts), plus the limits of the grids below it,
    `below`, each with its number of copies.
    """
    devices, network = feeder.devices, feeder.network
    loads, peak = devices.loads, feeder.load_peak_mw
    nominal = np.abs(loads.p_mw)
    # a load without active power has no peak to scale its profile with
    scale = np.divide(peak, nominal, out=np.ones(len(peak)), where=nominal > 0.0)
    active = peak.sum() + sum(member.rated_mw.sum() for member in devices)
    apparent = (
        np.hypot(peak, scale * loads.q_mvar).sum()
        + sum(member.rated_mva.sum() for member in devices)
        + network.base_mva * np.abs(network.shunt_b).sum()
    )
    grids = tuple(below)
    return PowerLimits(
        _MARGIN * float(active) + sum(copies * limits.p_mw for copies, limits in grids),
        _MARGIN * float(apparent) + sum(copies * limits.q_mvar for copies, limits in grids),
    )
