"""Rows of the tables from what the recorder saw in one interval: one function a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.models.p2p import TradeOptions
from stackelgrid.controllers.networks.limits import GridLimits
from stackelgrid.controllers.networks.order import NetOrder
from stackelgrid.controllers.schedule import Plan, Trade
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import GridSeries
from stackelgrid.simulators.results.certificates import branch_columns, bus_columns

# trades up to this size are numerical noise of a solver
_LEAST_TRADE_MW = 1e-9


@dataclass(frozen=True)
class RecordedGrid:
    """Static data of a grid for the recorder; `branches` are (table, index) in order.

    `network_bus_index` and `order` map the order of the controller's network to the net's.
    """

    name: str
    level: str
    copies: int
    parent: str
    parent_bus: int
    parent_bus_position: int
    multiplicity: int
    boundary_kind: str
    base_mva: float
    bus_index: tuple[int, ...]
    branches: tuple[tuple[str, int], ...]
    network_bus_index: tuple[int, ...]
    order: NetOrder
    limits: GridLimits
    devices: Devices
    series: GridSeries
    curtailment_eur_per_mwh: float
    trade: TradeOptions | None
    nodal_pricing: bool = False


def largest(values: Floats) -> float:
    """Return the largest value, 0 for an empty array."""
    return float(values.max()) if len(values) else 0.0


def simultaneous_power(devices: Devices, plan: Plan | None) -> float:
    """Return the largest power a battery would charge and discharge at once in the plan, MW."""
    if plan is None or not len(devices.batteries.index):
        return 0.0
    both = np.minimum(plan.schedule.charge_mw, plan.schedule.discharge_mw)
    limit = tolerances.SIMULTANEOUS_SHARE * devices.batteries.rated_mw[:, None]
    return float(np.where(both > limit, both, 0.0).max())


def bus_rows(grid: RecordedGrid, seen: Mapping[str, Any], plan: Plan | None) -> dict[str, Any]:
    """Return voltages, power and nodal prices of all buses."""
    n = len(grid.bus_index)
    return {
        "grid": np.full(n, grid.name, dtype=object),
        "bus": np.array(grid.bus_index),
        "vm_pu": seen["bus_vm_pu"],
        "va_degree": seen["bus_va_degree"],
        "p_mw": seen["bus_p_total_mw"],
        "q_mvar": seen["bus_q_total_mvar"],
        "price_eur_per_mwh": _price_now(plan, n),
        **bus_columns(plan, grid.order, n),
    }


def _price_now(plan: Plan | None, buses: int) -> Floats:
    """Return nodal prices of the applied step at the first buses; NaN where there are none."""
    prices = plan.schedule.price_eur_per_mwh if plan is not None else None
    if plan is None or prices is None:
        return np.full(buses, np.nan)
    return prices[:buses, plan.step]


def branch_rows(grid: RecordedGrid, seen: Mapping[str, Any], plan: Plan | None) -> dict[str, Any]:
    """Return flows and loading of all lines, then transformers, with their certificate."""
    return {
        "grid": np.full(len(grid.branches), grid.name, dtype=object),
        "element": np.array([t for t, _ in grid.branches], dtype=object),
        "index": np.array([i for _, i in grid.branches], dtype=np.int64),
        "p_from_mw": seen["branch_p_from_mw"],
        "q_from_mvar": seen["branch_q_from_mvar"],
        "p_to_mw": seen["branch_p_to_mw"],
        "q_to_mvar": seen["branch_q_to_mvar"],
        "pl_mw": seen["branch_p_from_mw"] + seen["branch_p_to_mw"],
        "i_ka": seen["branch_i_ka"],
        "loading_percent": seen["branch_loading_percent"],
        **branch_columns(plan, grid.order, grid.limits),
    }


def device_rows(grid: RecordedGrid, seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return powers in the sign of their element: load and storage consuming, others injecting."""
    d = grid.devices
    loads, pv, battery, unit = d.loads, d.photovoltaics, d.batteries, d.units
    counts = [len(k.index) for k in (loads, pv, battery, unit)]
    nothing = [np.full(c, np.nan) for c in counts]
    sign = np.where(np.array(loads.table, dtype=object) == "sgen", -1.0, 1.0)
    unit_p = seen["unit_p_mw"].copy()
    unit_q = np.zeros(counts[3])
    gens = [k for k, t in enumerate(unit.table) if t == "gen"]
    unit_q[gens] = seen["gen_q_mvar"]
    slack = [k for k, t in enumerate(unit.table) if t == "ext_grid"]
    unit_p[slack], unit_q[slack] = seen["slack_p_mw"], seen["slack_q_mvar"]
    e = seen["battery_e_mwh"]
    kinds = ("load", "pv", "battery", "unit")
    return {
        "grid": np.full(sum(counts), grid.name, dtype=object),
        "element": np.array([
            *loads.table, *["sgen"] * counts[1], *["storage"] * counts[2], *unit.table
        ], dtype=object),
        "index": np.array([*loads.index, *pv.index, *battery.index, *unit.index], dtype=np.int64),
        "name": np.array([*loads.name, *pv.name, *battery.name, *unit.name], dtype=object),
        "kind": np.repeat(np.array(kinds, dtype=object), counts),
        "bus": np.concatenate([loads.bus, pv.bus, battery.bus, unit.bus]),
        "phase": np.array([
            *loads.phase, *pv.phase, *battery.phase, *["abc"] * counts[3]
        ], dtype=object),
        "p_mw": np.concatenate([
            sign * seen["load_p_mw"], seen["pv_p_mw"], seen["battery_p_mw"], unit_p
        ]),
        "q_mvar": np.concatenate([
            sign * seen["load_q_mvar"], seen["pv_q_mvar"], np.zeros(counts[2]), unit_q
        ]),
        "asked_mw": np.concatenate([
            nothing[0], seen["pv_asked_mw"], seen["battery_asked_mw"], seen["unit_asked_mw"]
        ]),
        "available_mw": np.concatenate([
            nothing[0], seen["pv_available_mw"], nothing[2], unit.p_max_mw
        ]),
        "limit_mw": np.concatenate([nothing[0], seen["pv_limit_mw"], *nothing[2:]]),
        "e_mwh": np.concatenate([nothing[0], nothing[1], e, nothing[3]]),
        "soc_percent": np.concatenate([
            nothing[0], nothing[1], 100.0 * e / battery.e_max_mwh, nothing[3]
        ]),
    }  # fmt: skip


def boundary_rows(
    grid: RecordedGrid,
    seen: Mapping[str, Any],
    plan: Plan | None,
    upper: Mapping[str, Any],
    interval: int,
) -> dict[str, Any]:
    """Return both sides of the interface and their mismatch after the loop."""
    power = np.hypot(
        seen["p_used_mw"] - seen["slack_p_mw"], seen["q_used_mvar"] - seen["slack_q_mvar"]
    )
    voltage = abs(seen["vm_solved_pu"] - seen["slack_vm_pu"])
    upper_plan: Plan | None = upper.get("plan")
    price = float(_price_now(upper_plan, grid.parent_bus_position + 1)[-1])
    planned = float(plan.schedule.p_import_mw[plan.step]) if plan else float("nan")
    row = {
        "grid": grid.name,
        "parent": grid.parent,
        "parent_bus": grid.parent_bus,
        "multiplicity": grid.multiplicity,
        "kind": grid.boundary_kind,
        "p_mw": seen["slack_p_mw"],
        "q_mvar": seen["slack_q_mvar"],
        "p_planned_mw": planned,
        "vm_pu": seen["slack_vm_pu"],
        "tap_pos": seen["tap_pos"],
        "mismatch_mva": float(power),
        "mismatch_pu": max(float(power) / grid.base_mva, float(voltage)),
        "import_eur_per_mwh": grid.series.import_eur_per_mwh[interval],
        "export_eur_per_mwh": grid.series.export_eur_per_mwh[interval],
        "nodal_price_eur_per_mwh": price,
    }
    return {key: np.array([value]) for key, value in row.items()}


def boundary_payment(
    grid: RecordedGrid,
    seen: Mapping[str, Any],
    plan: Plan | None,
    interface: Mapping[str, Any] | None,
    interval: int,
) -> float:
    """Return the payment of one copy at its boundary in EUR/h; NaN without a nodal price.

    Nodal prices bill the exchange, the tariff bills the exchange that no trade across has paid for
    (docs/formulation.md). `interface` is the row of `boundary_rows`, None for a root.
    """
    if grid.level == "transmission":
        return 0.0
    billed = float(seen["slack_p_mw"])
    if grid.nodal_pricing and interface is not None:
        return billed * float(interface["nodal_price_eur_per_mwh"][0])
    trade = plan.schedule.trade if plan is not None else None
    if plan is not None and trade is not None:
        billed -= float((trade.across_buy_mw - trade.across_sell_mw)[:, plan.step].sum())
    tariff = grid.series.export_eur_per_mwh if billed < 0.0 else grid.series.import_eur_per_mwh
    return billed * float(tariff[interval])


def trade_costs(grid: RecordedGrid, plan: Plan | None) -> tuple[float, float]:
    """Return retail margin and fees of one step in EUR/h."""
    trade = plan.schedule.trade if plan is not None else None
    if trade is None or plan is None or grid.trade is None:
        return 0.0, 0.0
    k = plan.step
    with_grid = float(trade.grid_buy_mw[:, k].sum() + trade.grid_sell_mw[:, k].sum())
    fees = grid.trade.fee_inside * float(trade.inside_buy_mw[:, k].sum())
    fees += grid.trade.fee_across * float(trade.across_buy_mw[:, k].sum())
    return grid.trade.retail_margin * with_grid, fees


def trade_rows(grid: RecordedGrid, plan: Plan, trade: Trade, interval: int) -> dict[str, Any]:
    """Return each prosumer's purchases and sales in the applied step, nonzero trades only."""
    assert grid.trade is not None
    k, margin = plan.step, grid.trade.retail_margin
    bought = grid.series.import_eur_per_mwh[interval] + margin
    sold = grid.series.export_eur_per_mwh[interval] - margin
    inside = float(trade.inside_price_eur_per_mwh[k])
    across = float(trade.across_price_eur_per_mwh[k])
    parts = (
        ("grid", "buy", trade.grid_buy_mw, float(bought), 0.0),
        ("grid", "sell", trade.grid_sell_mw, float(sold), 0.0),
        ("inside", "buy", trade.inside_buy_mw, inside, grid.trade.fee_inside),
        ("inside", "sell", trade.inside_sell_mw, inside, 0.0),
        ("across", "buy", trade.across_buy_mw, across, grid.trade.fee_across),
        ("across", "sell", trade.across_sell_mw, across, 0.0),
    )
    n = len(trade.bus)
    columns: dict[str, Any] = {
        "grid": np.full(6 * n, grid.name, dtype=object),
        "bus": np.tile(np.array(trade.bus, dtype=np.int64), 6),
        "market": np.repeat(np.array([p[0] for p in parts], dtype=object), n),
        "side": np.repeat(np.array([p[1] for p in parts], dtype=object), n),
        "p_mw": np.concatenate([p[2][:, k] for p in parts]),
        "price_eur_per_mwh": np.repeat([p[3] for p in parts], n),
        "fee_eur_per_mwh": np.repeat([p[4] for p in parts], n),
    }
    happens = columns["p_mw"] > _LEAST_TRADE_MW
    return {name: values[happens] for name, values in columns.items()}


def schedule_rows(grid: RecordedGrid, plan: Plan) -> dict[str, Any]:
    """Return the whole plan, steps within devices; the import as element `boundary`."""
    s, d = plan.schedule, grid.devices
    steps = len(s.dt_h)
    parts = [
        ("storage", d.batteries.index, s.battery_p_mw, None, s.battery_e_mwh),
        ("sgen", d.photovoltaics.index, s.pv_p_mw, s.pv_q_mvar, None),
    ]
    units = np.array(d.units.table, dtype=object)
    for table in ("ext_grid", "gen", "sgen"):
        at = np.flatnonzero(units == table)
        index = tuple(d.units.index[k] for k in at)
        parts.append((table, index, s.unit_p_mw[at] if len(at) else s.unit_p_mw[:0], None, None))
    if grid.level != "transmission":
        parts.append(("boundary", (0,), s.p_import_mw[None], s.q_import_mvar[None], None))
    element: list[Any] = []
    index_column: list[Any] = []
    columns: dict[str, list[Any]] = {"p_mw": [], "q_mvar": [], "e_mwh": []}
    for table, index, p, q, e in parts:
        count = len(index) * steps
        if not count:
            continue
        element.append(np.full(count, table, dtype=object))
        index_column.append(np.repeat(np.array(index, dtype=np.int64), steps))
        for name, values in (("p_mw", p), ("q_mvar", q), ("e_mwh", e)):
            columns[name].append(np.full(count, np.nan) if values is None else values.ravel())
    total = sum(len(e) for e in element)
    return {
        "grid": np.full(total, grid.name, dtype=object),
        "step": np.tile(np.arange(steps, dtype=np.int32), total // steps),
        "dt_h": np.tile(s.dt_h, total // steps),
        "element": np.concatenate(element),
        "index": np.concatenate(index_column),
        **{name: np.concatenate(values) for name, values in columns.items()},
    }
