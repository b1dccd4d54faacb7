"""The stated safe fallback: keep the last schedule, devices within their limits."""

import numpy as np

from stackelgrid.controllers.device_limits import battery_step, pv_output, unit_output
from stackelgrid.controllers.models.p2p import Prosumers
from stackelgrid.controllers.schedule import Schedule, Trade
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

    PV keeps the limits of the last schedule where that curtailed and feeds in what is available
    elsewhere, inside its inverter; units and batteries stay inside their power and energy limits.
    The import is the sum of the parts without losses: the power flow knows better, and no schedule
    of flows is claimed.
    """
    devices = feeder.devices
    pv, batteries, units = devices.photovoltaics, devices.batteries, devices.units
    steps = horizon.length
    if last is None:
        battery = np.zeros((len(batteries.index), steps))
        pv_p = forecast.pv_available_mw.T
        pv_q = np.zeros_like(pv_p)
        pv_max = np.repeat(pv.sn_mva[:, None], steps, axis=1)
        unit_p = np.zeros((len(units.index), steps))
    else:
        age = interval - last.interval
        battery = shifted(last.battery_p_mw, horizon, age)
        pv_p = shifted(last.pv_p_mw, horizon, age)
        pv_q = shifted(last.pv_q_mvar, horizon, age)
        limits = last.pv_p_mw if last.pv_p_max_mw is None else last.pv_p_max_mw
        pv_max = shifted(limits, horizon, age)
        unit_p = shifted(last.unit_p_mw, horizon, age)
    pv_p, pv_q = pv_output(pv, forecast.pv_available_mw.T, pv_p, pv_q, pv_max)
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
        pv_p_max_mw=pv_max,
    )


def held_cost(
    feeder: Feeder,
    schedule: Schedule,
    forecast: GridForecast,
    prosumers: Prosumers,
    prosumer_load_mw: Floats | None,
) -> float:
    """Cost of a schedule without trade over its horizon in EUR, payment by the tariff included.

    `prosumer_load_mw` (prosumers, steps) is needed where prosumers pay a retail margin.
    """
    devices, options, dt = feeder.devices, feeder.options, schedule.dt_h
    x = schedule.p_import_mw
    rate = forecast.import_eur_per_mwh * np.maximum(x, 0.0)
    rate += forecast.export_eur_per_mwh * np.minimum(x, 0.0)
    throughput = schedule.charge_mw + schedule.discharge_mw
    rate += devices.batteries.wear_eur_per_mwh @ throughput
    curtailed = (forecast.pv_available_mw.T - schedule.pv_p_mw).sum(axis=0)
    rate += options.curtailment_eur_per_mwh * curtailed
    units = devices.units
    rate += units.fixed_eur_per_h
    for p, c2, c1, c0 in zip(schedule.unit_p_mw, units.c2, units.c1, units.c0, strict=True):
        rate += c2 * p**2 + c1 * p + c0
    if options.trade is not None and prosumer_load_mw is not None:
        net = _prosumer_net(feeder, schedule, prosumers, prosumer_load_mw)
        rate += options.trade.retail_margin * np.abs(net).sum(axis=0)
    return float(dt @ rate)


def held_trade(
    feeder: Feeder,
    schedule: Schedule,
    prosumers: Prosumers,
    prosumer_load_mw: Floats,
    price_eur_per_mwh: Floats,
) -> Trade:
    """Return contracts under a held schedule: none are agreed, all energy is the grid's.

    `prosumer_load_mw` (prosumers, steps); `price_eur_per_mwh` (steps,) of trades that are none.
    """
    net = _prosumer_net(feeder, schedule, prosumers, prosumer_load_mw)
    nothing = np.zeros_like(net)
    return Trade(
        bus=prosumers.bus,
        grid_buy_mw=np.maximum(net, 0.0),
        grid_sell_mw=np.maximum(-net, 0.0),
        inside_buy_mw=nothing,
        inside_sell_mw=nothing,
        across_buy_mw=nothing,
        across_sell_mw=nothing,
        inside_price_eur_per_mwh=price_eur_per_mwh,
        across_price_eur_per_mwh=price_eur_per_mwh,
    )


def _prosumer_net(
    feeder: Feeder, schedule: Schedule, prosumers: Prosumers, prosumer_load_mw: Floats
) -> Floats:
    """Return each prosumer's consumption (prosumers, steps) in MW: load and charging less PV."""
    net = prosumer_load_mw.copy()
    at = {bus: i for i, bus in enumerate(prosumers.bus)}
    devices = feeder.devices
    own = ((devices.photovoltaics.bus, -schedule.pv_p_mw),
           (devices.batteries.bus, schedule.battery_p_mw))  # fmt: skip
    for buses, power in own:
        np.add.at(net, [at[int(b)] for b in buses], power)
    return net


def shifted(values: Floats, horizon: Horizon, age: int) -> Floats:
    """Values (m, steps) of a horizon that started `age` intervals ago, on the present horizon.

    Beyond its end the last value is held.
    """
    per_interval = np.repeat(values, horizon.intervals_per_step, axis=1)
    tail = np.repeat(per_interval[:, -1:], horizon.intervals_covered, axis=1)
    extended = np.concatenate([per_interval, tail], axis=1)
    return horizon.average(extended.T, min(age, per_interval.shape[1])).T
