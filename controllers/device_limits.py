"""Physical limits of devices; one rule for the simulated devices and for fallbacks."""

from typing import Any

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.networks.devices import Batteries, Photovoltaics, Units
from stackelgrid.profiles.arrays import Floats


def battery_step(
    batteries: Batteries, energy_mwh: Floats, p_set_mw: Floats, dt_h: float
) -> tuple[Floats, Floats]:
    """Return delivered power (m,) in MW, positive when charging, and energy after `dt_h` hours.

    The set point is cut to the power limits and to the power that fills or empties the battery.
    """
    gain, drain = batteries.efficiency_charge, 1.0 / batteries.efficiency_discharge
    most = np.minimum(batteries.p_max_mw, (batteries.e_max_mwh - energy_mwh) / (gain * dt_h))
    least = np.maximum(
        -batteries.discharge_max_mw, (batteries.e_min_mwh - energy_mwh) / (drain * dt_h)
    )
    power = np.clip(p_set_mw, np.minimum(least, 0.0), np.maximum(most, 0.0))
    after = energy_mwh + dt_h * np.where(power > 0.0, gain, drain) * power
    return power, np.clip(after, batteries.e_min_mwh, batteries.e_max_mwh)


def pv_limit(systems: Photovoltaics, p_mw: Floats, available_mw: Floats) -> Floats:
    """Return the PV limit of a plan, MW (m, ...): planned power where it curtails, else rating.

    A plan curtails where its power `p_mw` is below the forecast of available power by more than
    CURTAILED of the inverter's rating.
    """
    rating = _per_device(systems.sn_mva, p_mw)
    curtailed = np.minimum(available_mw, rating) - p_mw > tolerances.CURTAILED * rating
    return np.where(curtailed, np.maximum(p_mw, 0.0), rating)


def pv_output(
    systems: Photovoltaics,
    available_mw: Floats,
    p_set_mw: Floats,
    q_set_mvar: Floats,
    p_max_mw: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Return active and reactive output (m, ...) in MW and MVAr; active power has priority.

    A system feeds in the available power up to its rating and `p_max_mw` (None: up to `p_set_mw`).
    `p_set_mw` is met where that differs by no more than CURTAILED of the rating, a solver's
    rounding. Reactive output stays in the inverter's circle and power factor at that active output.
    Systems that are not controllable deliver the available power at any set point.
    """
    rating = _per_device(systems.sn_mva, available_mw)
    limit = np.maximum(p_set_mw if p_max_mw is None else p_max_mw, 0.0)
    most = np.minimum(np.minimum(available_mw, limit), rating)
    more = most - p_set_mw > tolerances.CURTAILED * rating
    p = np.where(more, most, np.clip(p_set_mw, 0.0, most))
    room = np.sqrt(np.maximum(rating**2 - p**2, 0.0))
    factor = _per_device(systems.min_power_factor, available_mw)
    slope, limited = np.tan(np.arccos(factor)), factor > 0.0
    room = np.where(limited, np.minimum(room, slope * p), room)
    free = _per_device(systems.controllable, available_mw)
    ratio = _per_device(systems.q_per_p, available_mw)
    q = np.where(free, np.clip(q_set_mvar, -room, room), ratio * available_mw)
    return np.where(free, p, available_mw), q


def unit_output(units: Units, p_set_mw: Floats) -> Floats:
    """Return the output (m, ...) in MW inside the units' limits."""
    least, most = (_per_device(limit, p_set_mw) for limit in (units.p_min_mw, units.p_max_mw))
    return np.clip(p_set_mw, least, most)


def _per_device(values: "Floats | np.typing.NDArray[np.bool_]", like: Floats) -> Any:
    """Return values (m,) with the axes of `like` (m, ...) beyond the first added."""
    return values.reshape((-1,) + (1,) * (np.ndim(like) - 1))
