"""Tables of a grid's devices in an interval, of their plans, and of their owners' trade."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.schedule import Schedule
from stackelgrid.simulators.results.columns import KEY, Table, count, label, number, table
from stackelgrid.simulators.results.grid_interval import GridInterval

# trades up to this size are numerical noise of a solver
_LEAST_TRADE_MW = 1e-9

STEP = (
    count("step", "step of the horizon, from 0"),
    number("dt_h", "h", "its length"),
)

DEVICE: Table = table(
    "device",
    "One row for each load, PV system, battery and unit.",
    *KEY,
    label("element", "pandapower's table"),
    count("index", "pandapower's index"),
    label("name", "pandapower's name"),
    label("kind", "load (generators of constant power too), pv, battery or unit"),
    count("bus", "pandapower's index of its bus"),
    label("phase", "a, b, c or abc; empty where none is stated"),
    number("p_mw", "MW", "delivered: loads and batteries positive when consuming, PV and units "
           "when injecting"),
    number("q_mvar", "MVAr", "the same, reactive"),
    number("asked_mw", "MW", "set point; of PV what the plan expects (`limit_mw` binds)"),
    number("available_mw", "MW", "power available from the sun, or a unit's limit"),
    number("limit_mw", "MW", "most that PV may feed in: its inverter's rating where the plan does "
           "not curtail"),
    number("e_mwh", "MWh", "energy at the end of the interval"),
    number("soc_percent", "%", "state of charge at the end of the interval"),
)  # fmt: skip

SCHEDULE = table(
    "schedule",
    "The plan made in that interval: one row for each device and step.",
    *KEY,
    *STEP,
    label("element", "pandapower's table; `boundary`: the import"),
    count("index", "pandapower's index"),
    number("p_mw", "MW", "planned power, signs as in `device`"),
    number("q_mvar", "MVAr", "the same, reactive; empty where it is not planned"),
    number("e_mwh", "MWh", "energy of a battery at the end of the step"),
)  # fmt: skip

DISPATCH = table(
    "dispatch",
    "Dispatch of the followers in their stages. A feeder that was a follower decides again as a "
    "leader of the grid above; the applied dispatch is in `schedule` and `device`.",
    *KEY,
    *STEP,
    label("element", "pandapower's table; `ext_grid`: the import from above, too"),
    count("index", "pandapower's index"),
    number("p_mw", "MW", "of units and PV, positive when injecting"),
)  # fmt: skip

TRADE = table(
    "trade",
    "One row for each prosumer, market and side in which it traded in the applied step (under a "
    "held schedule everything with the grid).",
    *KEY,
    count("bus", "bus of the prosumer"),
    label("market", "grid, inside (its feeder) or across (feeders)"),
    label("side", "buy or sell"),
    number("p_mw", "MW", "traded power"),
    number("price_eur_per_mwh", "EUR/MWh", "with the grid the tariff plus (less) the retail "
           "margin, inside a feeder midway between import and export price, across feeders the "
           "mean of that over the feeders of the group"),
    number("fee_eur_per_mwh", "EUR/MWh", "fee of the buyer"),
)  # fmt: skip


def device_rows(s: GridInterval) -> SimpleNamespace:
    """Return powers in the sign of their element: load and storage consuming, others injecting."""
    seen, d = s.seen, s.grid.devices
    loads, pv, battery, unit = d.loads, d.photovoltaics, d.batteries, d.units
    counts = [len(k.index) for k in (loads, pv, battery, unit)]
    nothing = [np.full(c, np.nan) for c in counts]
    sign = np.where(np.array(loads.table, dtype=object) == "sgen", -1.0, 1.0)
    unit_q = np.zeros(counts[3])
    unit_q[s.units("gen")] = seen["gen_q_mvar"]
    unit_q[s.units("ext_grid")] = seen["slack_q_mvar"]
    e = seen["battery_e_mwh"]
    kinds = ("load", "pv", "battery", "unit")
    return SimpleNamespace(
        element=np.array([
            *loads.table, *["sgen"] * counts[1], *["storage"] * counts[2], *unit.table
        ], dtype=object),
        index=np.array([*loads.index, *pv.index, *battery.index, *unit.index], dtype=np.int64),
        name=np.array([*loads.name, *pv.name, *battery.name, *unit.name], dtype=object),
        kind=np.repeat(np.array(kinds, dtype=object), counts),
        bus=np.concatenate([loads.bus, pv.bus, battery.bus, unit.bus]),
        phase=np.array([
            *loads.phase, *pv.phase, *battery.phase, *["abc"] * counts[3]
        ], dtype=object),
        p_mw=np.concatenate([
            sign * seen["load_p_mw"], seen["pv_p_mw"], seen["battery_p_mw"], s.unit_p_mw
        ]),
        q_mvar=np.concatenate([
            sign * seen["load_q_mvar"], seen["pv_q_mvar"], np.zeros(counts[2]), unit_q
        ]),
        asked_mw=np.concatenate([
            nothing[0], seen["pv_asked_mw"], seen["battery_asked_mw"], seen["unit_asked_mw"]
        ]),
        available_mw=np.concatenate([
            nothing[0], seen["pv_available_mw"], nothing[2], unit.p_max_mw
        ]),
        limit_mw=np.concatenate([nothing[0], seen["pv_limit_mw"], *nothing[2:]]),
        e_mwh=np.concatenate([nothing[0], nothing[1], e, nothing[3]]),
        soc_percent=np.concatenate([
            nothing[0], nothing[1], 100.0 * e / battery.e_max_mwh, nothing[3]
        ]),
    )  # fmt: skip


def planned_rows(schedule: Schedule, devices: Devices, level: str) -> SimpleNamespace:
    """Return the whole plan of a grid, steps within devices; the import as element `boundary`."""
    s, d = schedule, devices
    steps = len(s.dt_h)
    parts: list[tuple[str, tuple[int, ...], Any, Any, Any]] = [
        ("storage", d.batteries.index, s.battery_p_mw, None, s.battery_e_mwh),
        ("sgen", d.photovoltaics.index, s.pv_p_mw, s.pv_q_mvar, None),
    ]
    units = np.array(d.units.table, dtype=object)
    for name in ("ext_grid", "gen", "sgen"):
        at = np.flatnonzero(units == name)
        parts.append((name, tuple(d.units.index[k] for k in at), s.unit_p_mw[at], None, None))
    if level != "transmission":
        parts.append(("boundary", (0,), s.p_import_mw[None], s.q_import_mvar[None], None))
    names, indices, *values = zip(*parts, strict=True)
    counts = [len(index) for index in indices]
    p, q, e = (
        np.concatenate([
            np.full(n * steps, np.nan) if v is None else v.ravel()
            for v, n in zip(value, counts, strict=True)
        ])
        for value in values
    )  # fmt: skip
    return SimpleNamespace(
        step=np.tile(np.arange(steps), sum(counts)),
        dt_h=np.tile(s.dt_h, sum(counts)),
        element=np.repeat(np.array(names, dtype=object), np.array(counts) * steps),
        index=np.repeat(np.array([i for index in indices for i in index], dtype=np.int64), steps),
        p_mw=p,
        q_mvar=q,
        e_mwh=e,
    )


def dispatch_rows(schedule: Schedule, devices: Devices) -> SimpleNamespace:
    """Return units, PV and import of a follower over the horizon, as its stage decided them."""
    units, pv = devices.units, devices.photovoltaics
    tables = [*units.table, *("sgen" for _ in pv.index)]
    index = [*units.index, *pv.index]
    power = [*schedule.unit_p_mw, *schedule.pv_p_mw]
    if "ext_grid" not in units.table:  # a feeder's import comes from the grid above
        tables, index, power = ["ext_grid", *tables], [0, *index], [schedule.p_import_mw, *power]
    steps, count = len(schedule.dt_h), len(tables)
    return SimpleNamespace(
        step=np.tile(np.arange(steps), count),
        dt_h=np.tile(schedule.dt_h, count),
        element=np.repeat(np.array(tables, dtype=object), steps),
        index=np.repeat(np.array(index), steps),
        p_mw=np.concatenate(power) if power else np.zeros(0),
    )


def trade_rows(s: GridInterval) -> SimpleNamespace:
    """Return each prosumer's purchases and sales in the applied step, nonzero trades only."""
    trade = s.plan.schedule.trade if s.plan is not None else None
    options, series, k = s.grid.trade, s.grid.series, s.step
    assert trade is not None
    assert options is not None
    bought = series.import_eur_per_mwh[s.interval] + options.retail_margin
    sold = series.export_eur_per_mwh[s.interval] - options.retail_margin
    inside, across = trade.inside_price_eur_per_mwh[k], trade.across_price_eur_per_mwh[k]
    parts = (
        ("grid", "buy", trade.grid_buy_mw, bought, 0.0),
        ("grid", "sell", trade.grid_sell_mw, sold, 0.0),
        ("inside", "buy", trade.inside_buy_mw, inside, options.fee_inside),
        ("inside", "sell", trade.inside_sell_mw, inside, 0.0),
        ("across", "buy", trade.across_buy_mw, across, options.fee_across),
        ("across", "sell", trade.across_sell_mw, across, 0.0),
    )
    market, side, power, price, fee = zip(*parts, strict=True)
    traded = np.stack([p[:, k] for p in power])  # (markets and sides, prosumers)
    at, prosumer = np.nonzero(traded > _LEAST_TRADE_MW)
    return SimpleNamespace(
        bus=np.array(trade.bus, dtype=np.int64)[prosumer],
        market=np.array(market, dtype=object)[at],
        side=np.array(side, dtype=object)[at],
        p_mw=traded[at, prosumer],
        price_eur_per_mwh=np.array(price)[at],
        fee_eur_per_mwh=np.array(fee)[at],
    )
