"""The stated safe fallback: keep the last schedule, devices within their limits."""

import numpy as np

from stackelgrid.controllers.device_limits import battery_step, pv_output, unit_output
from stackelgrid.controllers.schedule import Schedule
from stackelgrid.controllers.system import Feeder
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import GridForecast
from stackelgrid.profiles.time_axis import Horizon


def hold_schedule(
    feeder: Feeder,
    horizon: Horizon,
    interval: int,
    forecast: GridForecast,
    energy_mwh: Floats,
    last: Schedule | None,
    load_p_mw: Floats,
    load_q_mvar: Floats,
) -> Schedule:
    """Continue the last schedule; without one, batteries rest and PV runs free.

    PV stays below what is available and inside its inverter, units and batteries inside their
    power and energy limits. The import is the sum of the parts without losses: the power flow
    knows better, and no schedule of flows is claimed.
    """
    devices = feeder.devices
    pv, batteries, units = devices.photovoltaics, devices.batteries, devices.units
    steps = horizon.length
    if last is None:
        battery = np.zeros((len(batteries.index), steps))
        pv_p = forecast.pv_available_mw.T
        pv_q = np.zeros_like(pv_p)
        unit_p = np.zeros((len(units.index), steps))
    else:
        age = interval - last.interval
        battery = shifted(last.battery_p_mw, horizon, age)
        pv_p = shifted(last.pv_p_mw, horizon, age)
        pv_q = shifted(last.pv_q_mvar, horizon, age)
        unit_p = shifted(last.unit_p_mw, horizon, age)
    pv_p, pv_q = pv_output(pv, forecast.pv_available_mw.T, pv_p, pv_q)
    unit_p = unit_output(units, unit_p)

    power, energy = np.empty_like(battery), np.empty_like(battery)
    state = energy_mwh
    for t in range(steps):
        power[:, t], state = battery_step(devices.batteries, state, battery[:, t], horizon.dt_h[t])
        energy[:, t] = state
    return Schedule(
        interval=interval,
        dt_h=horizon.dt_h,
        p_import_mw=load_p_mw + power.sum(axis=0) - pv_p.sum(axis=0) - unit_p.sum(axis=0),
        q_import_mvar=load_q_mvar - pv_q.sum(axis=0),
        charge_mw=np.maximum(power, 0.0),
        discharge_mw=np.maximum(-power, 0.0),
        battery_e_mwh=energy,
        pv_p_mw=pv_p,
        pv_q_mvar=pv_q,
        unit_p_mw=unit_p,
    )


def shifted(values: Floats, horizon: Horizon, age: int) -> Floats:
    """Values (m, steps) of a horizon that started `age` intervals ago, on the present horizon.

    Beyond its end the last value is held.
    """
    per_interval = np.repeat(values, horizon.intervals_per_step, axis=1)
    tail = np.repeat(per_interval[:, -1:], horizon.intervals_covered, axis=1)
    extended = np.concatenate([per_interval, tail], axis=1)
    return horizon.average(extended.T, min(age, per_interval.shape[1])).T
