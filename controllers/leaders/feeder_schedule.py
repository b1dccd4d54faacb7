"""Conversion of a point of a feeder's model to a schedule and contracts."""

from collections.abc import Mapping

import numpy as np

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.networks.reduction import FlowState, Reduction
from stackelgrid.controllers.schedule import Schedule, Trade
from stackelgrid.profiles.arrays import Floats, Ints
from stackelgrid.profiles.forecast import GridForecast


def feeder_schedule(
    interval: int,
    reduction: Reduction,
    dt_h: Floats,
    x: Floats,
    columns: Mapping[str, Ints],
    devices: Devices,
    forecast: GridForecast,
) -> Schedule:
    """Schedule of a point x, expanded to the full network; no trade.

    interval: first interval of the horizon.
    reduction: the network that the model was built for, and the full one.
    dt_h: length of the steps in h.
    x: point of the model, p.u.
    columns: columns of x by component.
    devices: devices of the feeder.
    forecast: forecast that the point was found for.
    """
    base, steps = reduction.full.base_mva, len(dt_h)

    def mw(name: str) -> Floats:
        return base * x[columns[name]].reshape(-1, steps)

    plan = devices.without_devices(steps)
    for member in devices:
        plan |= member.planned(mw, forecast)
    at = reduced_flows(x, columns, steps)
    flows = reduction.expand(at.p, at.q, at.current2, at.v)
    p_import, q_import = mw("p_import")[0], mw("q_import")[0]
    return Schedule(interval, dt_h, p_import, q_import, plan, flows=flows)


def reduced_flows(x: Floats, columns: Mapping[str, Ints], steps: int) -> FlowState:
    """Flows of a point x in the reduced network that its model was built for."""
    names = ("p_branch", "q_branch", "current2", "v")
    p, q, current2, v = (x[columns[name]].reshape(-1, steps) for name in names)
    return FlowState(p, q, current2, v)


def feeder_trade(
    bus: tuple[int, ...],
    base_mva: float,
    x: Floats,
    columns: Mapping[str, Ints],
    inside_price: Floats,
    across_price: Floats,
) -> Trade:
    """Contracts of a feeder's prosumers: the sums of its model, split in proportion.

    bus: buses of the prosumers.
    base_mva: base of the per-unit values.
    x: point of the model.
    columns: columns of the model's variables by name.
    inside_price, across_price: prices (steps,) in EUR/MWh.
    """
    steps = len(inside_price)
    shares = {side: _shares(x[columns[side]].reshape(-1, steps)) for side in ("buy", "sell")}

    def values(name: str, side: str) -> Floats:
        if name not in columns:
            return np.zeros_like(shares[side])
        return base_mva * shares[side] * x[columns[name]]

    return Trade(
        bus=bus,
        grid_buy_mw=values("grid_buy", "buy"),
        grid_sell_mw=values("grid_sell", "sell"),
        inside_buy_mw=values("inside", "buy"),
        inside_sell_mw=values("inside", "sell"),
        across_buy_mw=values("across_buy", "buy"),
        across_sell_mw=values("across_sell", "sell"),
        inside_price_eur_per_mwh=inside_price,
        across_price_eur_per_mwh=across_price,
    )


def middle_price(forecast: GridForecast) -> Floats:
    """Price of trade by the stated rule (steps,): midway between import and export price."""
    price: Floats = (forecast.import_eur_per_mwh + forecast.export_eur_per_mwh) / 2
    return price


def _shares(power: Floats) -> Floats:
    """Share of each prosumer (prosumers, steps) in the sum; zero where nothing is traded."""
    positive = np.maximum(power, 0.0)
    total = positive.sum(axis=0)
    return np.asarray(positive / np.where(total > 0.0, total, 1.0))
