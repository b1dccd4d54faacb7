"""What devices can do with a set point; one rule for the simulated devices and for fallbacks."""

import numpy as np

from stackelgrid.controllers.networks.devices import Batteries, Photovoltaics, Units
from stackelgrid.profiles.arrays import Floats


def battery_step(
    batteries: Batteries, energy_mwh: Floats, p_set_mw: Floats, dt_h: float
) -> tuple[Floats, Floats]:
    """Power delivered (m,) in MW, positive when charging, and energy after `dt_h` hours.

    The set point is cut to the rated power and to what fills or empties the battery in one step.
    """
    gain, drain = batteries.efficiency_charge, 1.0 / batteries.efficiency_discharge
    most = np.minimum(batteries.p_max_mw, (batteries.e_max_mwh - energy_mwh) / (gain * dt_h))
    least = np.maximum(-batteries.p_max_mw, (batteries.e_min_mwh - energy_mwh) / (drain * dt_h))
    power = np.clip(p_set_mw, np.minimum(least, 0.0), np.maximum(most, 0.0))
    after = energy_mwh + dt_h * np.where(power > 0.0, gain, drain) * power
    return power, np.clip(after, batteries.e_min_mwh, batteries.e_max_mwh)


def pv_output(
    systems: Photovoltaics, available_mw: Floats, p_set_mw: Floats, q_set_mvar: Floats
) -> tuple[Floats, Floats]:
    """Active and reactive output (m, ...) in MW and MVAr: active first, then what is left for q."""
    shape = (-1,) + (1,) * (np.ndim(available_mw) - 1)
    rating = systems.sn_mva.reshape(shape)
    p = np.clip(p_set_mw, 0.0, np.minimum(available_mw, rating))
    room = np.sqrt(np.maximum(rating**2 - p**2, 0.0))
    slope = np.tan(np.arccos(systems.min_power_factor)).reshape(shape)
    limited = (systems.min_power_factor > 0.0).reshape(shape)
    room = np.where(limited, np.minimum(room, slope * p), room)
    return p, np.clip(q_set_mvar, -room, room)


def unit_output(units: Units, p_set_mw: Floats) -> Floats:
    """Output (m, ...) in MW inside the units' limits."""
    shape = (-1,) + (1,) * (np.ndim(p_set_mw) - 1)
    return np.clip(p_set_mw, units.p_min_mw.reshape(shape), units.p_max_mw.reshape(shape))
