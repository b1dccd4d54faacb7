"""The stated safe fallback: keep the last schedule, devices within their limits."""

from collections.abc import Mapping

import numpy as np

from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.devices.terms import Arrays
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
    states: Mapping[str, Floats],
    last: Schedule | None,
    load_p_mw: Floats,
    load_q_mvar: Floats,
) -> Schedule:
    """Continue the last schedule; without one, devices idle and available power is fed in.

    Each kind of device stays inside its limits (DeviceKind.held). The import is the sum of the
    parts without losses, and the schedule has no flows; the power flow computes both.
    """
    devices, before = feeder.devices, None
    if last is not None:
        age = interval - last.interval
        before = {name: shifted(values, horizon, age) for name, values in last.devices.items()}
    plan = devices.held(before, forecast, states, horizon.dt_h)
    p_import, q_import = load_p_mw, load_q_mvar
    for member in devices.consumers_first:
        if not member.names(Role.PLAN):  # devices without a plan are part of the loads
            continue
        p, q = member.consumption(plan)
        p_import = p_import + p.sum(axis=0)
        q_import = q_import if q is None else q_import + q.sum(axis=0)
    return Schedule(interval, horizon.dt_h, p_import, q_import, plan)


def held_cost(
    feeder: Feeder,
    schedule: Schedule,
    forecast: GridForecast,
    prosumers: Prosumers,
    prosumer_load_mw: Floats | None,
) -> float:
    """Cost of the steps of a schedule without trade in EUR, payment by the tariff included.

    `prosumer_load_mw` (prosumers, steps) is needed where prosumers pay a retail margin.
    """
    options, dt, x = feeder.options, schedule.dt_h, schedule.p_import_mw
    rate = forecast.import_eur_per_mwh * np.maximum(x, 0.0)
    rate += forecast.export_eur_per_mwh * np.minimum(x, 0.0)
    values = {**{name: series.T for name, series in forecast.devices.items()}, **schedule.devices}
    for member in feeder.devices.consumers_first:
        rate += member.hourly_cost(values, options)
    if options.trade is not None and prosumer_load_mw is not None:
        net = _prosumer_net(feeder, schedule, prosumers, prosumer_load_mw)
        rate += options.trade.retail_margin * np.abs(net).sum(axis=0)
    return float(dt @ rate)


def end_cost(
    feeder: Feeder, schedule: Schedule, forecast: GridForecast, states: Arrays, data: Arrays
) -> float:
    """Return the price in EUR of last states, the rise of the highest import, and emissions.

    feeder: the feeder.
    schedule: its schedule, one copy.
    forecast: forecast over the horizon.
    states: states at its start.
    data: data of the model of the boundary, p.u. and EUR/MWh.
    """
    options, dt, cost = feeder.options, schedule.dt_h, 0.0
    for member in feeder.devices:
        cost += member.end_cost(schedule.devices, forecast, states, dt)
    drawn = np.maximum(schedule.p_import_mw, 0.0)
    if options.capacity_eur_per_mw:
        before = feeder.network.base_mva * float(data["peak_before"][0])
        cost += options.capacity_eur_per_mw * max(float(drawn.max()) - before, 0.0)
    if options.emission_eur_per_t:
        cost += float(dt @ (data["emission_price"] * drawn))
    return cost


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
    """Return each prosumer's consumption (prosumers, steps) in MW: load and its devices."""
    net = prosumer_load_mw.copy()
    at = {bus: i for i, bus in enumerate(prosumers.bus)}
    for member in feeder.devices:
        if member.trading.any():
            power, _ = member.consumption(schedule.devices)
            own = member.trading
            np.add.at(net, [at[int(b)] for b in member.bus[own]], power[own])
    return net


def shifted(values: Floats, horizon: Horizon, age: int) -> Floats:
    """Values (m, steps) of a horizon that started `age` intervals ago, on the present horizon.

    Beyond its end the last value is held.
    """
    per_interval = np.repeat(values, horizon.intervals_per_step, axis=1)
    tail = np.repeat(per_interval[:, -1:], horizon.intervals_covered, axis=1)
    extended = np.concatenate([per_interval, tail], axis=1)
    return horizon.average(extended.T, min(age, per_interval.shape[1])).T
