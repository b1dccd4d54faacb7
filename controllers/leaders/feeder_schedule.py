"""Conversion of a point of a feeder's model to a schedule and contracts."""

from collections.abc import Mapping

import numpy as np

from stackelgrid.controllers.device_limits import pv_limit
from stackelgrid.controllers.networks.devices import Photovoltaics
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
    systems: Photovoltaics,
    pv_available_mw: Floats,
) -> Schedule:
    """Schedule of a point x (columns by component), expanded to the full network; no trade.

    `pv_available_mw` (systems, steps) is the forecast that the point was found for.
    """
    base, steps = reduction.full.base_mva, len(dt_h)

    def values(name: str) -> Floats:
        return x[columns[name]].reshape(-1, steps)

    at = reduced_flows(x, columns, steps)
    flows = reduction.expand(at.p, at.q, at.current2, at.v)
    pv_p = base * values("pv_p")
    return Schedule(
        interval=interval,
        dt_h=dt_h,
        p_import_mw=base * values("p_import")[0],
        q_import_mvar=base * values("q_import")[0],
        charge_mw=base * values("charge"),
        discharge_mw=base * values("discharge"),
        battery_e_mwh=base * values("energy"),
        pv_p_mw=pv_p,
        pv_q_mvar=base * values("pv_q"),
        unit_p_mw=base * values("unit_p"),
        flows=flows,
        pv_p_max_mw=pv_limit(systems, pv_p, pv_available_mw),
    )


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
    """Contracts of the prosumers at `bus`; prices (steps,) in EUR/MWh.

    The model knows sums of a feeder, they are split over its prosumers in proportion.
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
