"""The recorder as a time-based mosaik simulator: tables as the run goes, and totals at its end."""

import time as wall
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mosaik_api_v3
import numpy as np
import pandas as pd
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.models.p2p import TradeOptions
from stackelgrid.controllers.networks.devices import Devices
from stackelgrid.controllers.schedule import Plan, Trade
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import GridSeries
from stackelgrid.simulators.attributes import (
    AGENT,
    BOUNDARY,
    FLEET,
    GRID,
    Flow,
    names,
    only_value,
    time_based_model_meta,
)
from stackelgrid.simulators.tables import TableWriter
from stackelgrid.simulators.timings import Timings
from stackelgrid.simulators.totals import GridInterval, Totals

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {"Log": time_based_model_meta((), ["grid"], any_inputs=True)},
}
# what the recorder is connected to, and under which prefix it arrives
RECORDED_GRID = names(GRID, Flow.OUTPUT)
RECORDED_BOUNDARY = names(BOUNDARY, Flow.OUTPUT)
RECORDED_FLEET = [
    n for n in names(FLEET, Flow.OUTPUT) if n not in ("bus_p_mw", "bus_q_mvar", "gen_p_mw")
]
RECORDED_AGENT = ["plan", "energy_used_mwh"]
# a solver leaves trades of this size where there are none
_LEAST_TRADE_MW = 1e-9
assert set(RECORDED_AGENT) <= set(names(AGENT, Flow.OUTPUT))


@dataclass(frozen=True)
class RecordedGrid:
    """What the recorder knows of a grid beforehand; `branches` are (table, index) in order."""

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
    devices: Devices
    series: GridSeries
    curtailment_eur_per_mwh: float
    trade: TradeOptions | None
    pays_outside: bool


class Recorder(mosaik_api_v3.Simulator):
    """One entity a grid; rows of an interval are written when all its values are in."""

    def __init__(self) -> None:
        super().__init__(META)
        self._grids: list[str] = []
        self._energy_end: dict[str, Floats] = {}

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        interval_s: int,
        grids: Sequence[RecordedGrid],
        times: pd.DatetimeIndex,
        writer: TableWriter,
        totals: Totals,
        timings: Timings,
        progress: Callable[[int], None],
    ) -> Meta:
        """Take the grids to record, where to write, and whom to tell of the progress."""
        self._interval_s = interval_s
        self._known = {g.name: g for g in grids}
        self._times = times.tz_convert("UTC").as_unit("ms")
        self._writer, self._totals, self._timings = writer, totals, timings
        self._progress = progress
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        """Create the log of one grid."""
        self._grids.append(model_params["grid"])
        return [{"eid": model_params["grid"], "type": "Log"}]

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Give nothing: the recorder has no outputs."""
        return {}

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        """Write the rows of one interval."""
        started = wall.perf_counter()
        interval = time // self._interval_s
        values = {
            name: {a: only_value(sources) for a, sources in inputs[name].items()}
            for name in self._grids
        }
        rows: dict[str, list[dict[str, Any]]] = {
            t: [] for t in ("interval", "bus", "branch", "device", "boundary", "trade", "schedule")
        }
        for name in self._grids:
            grid, seen = self._known[name], values[name]
            upper = values.get(grid.parent, {})
            plan: Plan | None = seen["plan"]
            rows["bus"].append(_bus_rows(grid, seen, plan))
            rows["branch"].append(_branch_rows(grid, seen))
            rows["device"].append(_device_rows(grid, seen))
            if grid.parent:
                rows["boundary"].append(_boundary_rows(grid, seen, plan, upper, interval))
            if plan is not None:
                if plan.schedule.trade is not None:
                    rows["trade"].append(_trade_rows(grid, plan, plan.schedule.trade, interval))
                if plan.step == 0:
                    rows["schedule"].append(_schedule_rows(grid, plan))
            record = self._interval_row(grid, seen, plan, interval)
            interface = rows["boundary"][-1] if grid.parent else None
            self._totals.add(
                record,
                float(interface["mismatch_mva"][0]) if interface else 0.0,
                float(interface["mismatch_pu"][0]) if interface else 0.0,
            )
            rows["interval"].append({f: [v] for f, v in record.columns().items()})
            self._energy_end[name] = seen["battery_e_mwh"]
        for table, parts in rows.items():
            if any(len(p["grid"]) for p in parts):
                self._writer.write_part(table, interval, self._joined(parts, interval))
        self._totals.intervals_done = interval + 1
        self._timings.record_s += wall.perf_counter() - started
        self._progress(interval + 1)
        return time + self._interval_s

    def _joined(self, parts: list[dict[str, Any]], interval: int) -> dict[str, Any]:
        columns = {key: np.concatenate([np.asarray(p[key]) for p in parts]) for key in parts[0]}
        count = len(columns["grid"])
        columns["interval"] = np.full(count, interval, dtype=np.int32)
        columns["time"] = np.full(count, self._times[interval].to_datetime64())
        return columns

    def _interval_row(
        self, grid: RecordedGrid, seen: Mapping[str, Any], plan: Plan | None, interval: int
    ) -> GridInterval:
        d, dt_h = grid.devices, self._interval_s / 3600.0
        report = plan.report if plan else None
        verdict = plan.verdict if plan else None
        schedule = plan.schedule if plan else None
        # the slack unit of a transmission network delivers what the power flow leaves to it
        unit_p = seen["unit_p_mw"].copy()
        slack = [k for k, t in enumerate(d.units.table) if t == "ext_grid"]
        unit_p[slack] = seen["slack_p_mw"]
        curtailed = seen["pv_available_mw"] - seen["pv_p_mw"]
        lower = float(seen["bus_p_total_mw"].sum() - (
            seen["load_p_mw"].sum() + seen["battery_p_mw"].sum() - seen["pv_p_mw"].sum()
            - sum(unit_p[k] for k, t in enumerate(d.units.table) if t == "sgen")
        ))  # fmt: skip
        gen_p = float(sum(unit_p[k] for k, t in enumerate(d.units.table) if t == "gen"))
        # handed-over energy: where the last step ended, what the agent and this step began with
        start, used = seen["battery_e_start_mwh"], seen["energy_used_mwh"]
        before = self._energy_end.get(grid.name, start)
        handover = max(_most(np.abs(before - start)), _most(np.abs(used - start)))
        price = grid.series.import_eur_per_mwh[interval]
        if seen["slack_p_mw"] < 0.0:
            price = grid.series.export_eur_per_mwh[interval]
        feeder = grid.level != "transmission"
        cost = d.units.c2 * unit_p**2 + d.units.c1 * unit_p + d.units.c0
        retail, fees = _trade_costs(grid, plan)
        vm = seen["bus_vm_pu"]
        loading = seen["branch_loading_percent"]
        nan = float("nan")
        return GridInterval(
            grid=grid.name,
            level=grid.level,
            copies=grid.copies,
            pays_outside=grid.pays_outside,
            solver=report.solver if report else "",
            status=report.status if report else "",
            iterations=report.iterations if report else 0,
            gap=report.gap if report else nan,
            solver_violation=report.violation if report else nan,
            objective_eur=report.objective_eur if report else nan,
            gap_eur=report.gap_eur if report else nan,
            flexible_gap=report.flexible_gap if report else nan,
            nodes=report.nodes if report else 0,
            conic_solves=report.conic_solves if report else 0,
            fallback=bool(report.fallback) if report else False,
            fallback_reason=report.fallback if report else "",
            solve_s=report.solve_s if report else 0.0,
            simultaneous_mw=_simultaneous(d, plan),
            verdict=verdict.verdict if verdict else "",
            cone_gap_pu=verdict.cone_gap_pu if verdict else nan,
            fictitious_loss_mw=verdict.fictitious_loss_mw if verdict else nan,
            fictitious_loss_share=verdict.fictitious_loss_share if verdict else nan,
            voltage_error_pu=verdict.voltage_error_pu if verdict else nan,
            import_error_mw=verdict.import_error_mw if verdict else nan,
            violation_pu=verdict.violation_pu if verdict else nan,
            worst=verdict.worst if verdict else "",
            p_import_mw=seen["slack_p_mw"] if feeder else 0.0,
            q_import_mvar=seen["slack_q_mvar"] if feeder else 0.0,
            p_import_planned_mw=float(schedule.p_import_mw[plan.step])
            if plan and schedule and feeder
            else nan,
            load_p_mw=float(seen["load_p_mw"].sum()),
            load_q_mvar=float(seen["load_q_mvar"].sum()),
            lower_p_mw=lower,
            pv_p_mw=float(seen["pv_p_mw"].sum()),
            pv_available_mw=float(seen["pv_available_mw"].sum()),
            battery_p_mw=float(seen["battery_p_mw"].sum()),
            battery_e_mwh=float(seen["battery_e_mwh"].sum()),
            unit_p_mw=float(unit_p.sum()),
            loss_mw=seen["loss_mw"],
            balance_error_mw=float(
                seen["slack_p_mw"] + gen_p - seen["bus_p_total_mw"].sum() - seen["loss_mw"]
            ),
            min_vm_pu=float(vm.min()),
            max_vm_pu=float(vm.max()),
            max_loading_percent=_most(loading[np.isfinite(loading)]),
            rounds=seen["rounds"],
            energy_handover_error_mwh=handover,
            boundary_eur=dt_h * price * seen["slack_p_mw"] if feeder else 0.0,
            retail_eur=dt_h * retail,
            fee_eur=dt_h * fees,
            wear_eur=dt_h
            * float(np.sum(d.batteries.wear_eur_per_mwh * np.abs(seen["battery_p_mw"]))),
            curtailment_eur=dt_h * grid.curtailment_eur_per_mwh * float(curtailed.sum()),
            generation_eur=dt_h * float(cost.sum()),
        )


def _most(values: Floats) -> float:
    return float(values.max()) if len(values) else 0.0


def _simultaneous(devices: Devices, plan: Plan | None) -> float:
    """Largest power that a battery would charge and discharge at once in the plan, MW."""
    if plan is None or not len(devices.batteries.index):
        return 0.0
    both = np.minimum(plan.schedule.charge_mw, plan.schedule.discharge_mw)
    limit = tolerances.SIMULTANEOUS_SHARE * devices.batteries.p_max_mw[:, None]
    return float(np.where(both > limit, both, 0.0).max())


def _bus_rows(grid: RecordedGrid, seen: Mapping[str, Any], plan: Plan | None) -> dict[str, Any]:
    n = len(grid.bus_index)
    return {
        "grid": np.full(n, grid.name, dtype=object),
        "bus": np.array(grid.bus_index),
        "vm_pu": seen["bus_vm_pu"],
        "va_degree": seen["bus_va_degree"],
        "p_mw": seen["bus_p_total_mw"],
        "q_mvar": seen["bus_q_total_mvar"],
        "price_eur_per_mwh": _price_now(plan, n),
    }


def _price_now(plan: Plan | None, buses: int) -> Floats:
    """Nodal prices of the applied step at the first buses; NaN where there are none."""
    prices = plan.schedule.price_eur_per_mwh if plan is not None else None
    if plan is None or prices is None:
        return np.full(buses, np.nan)
    return prices[:buses, plan.step]


def _branch_rows(grid: RecordedGrid, seen: Mapping[str, Any]) -> dict[str, Any]:
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
    }


def _device_rows(grid: RecordedGrid, seen: Mapping[str, Any]) -> dict[str, Any]:
    """Powers in the sign of their element: loads and storages consuming, the others injecting."""
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
        "e_mwh": np.concatenate([nothing[0], nothing[1], e, nothing[3]]),
        "soc_percent": np.concatenate([
            nothing[0], nothing[1], 100.0 * e / battery.e_max_mwh, nothing[3]
        ]),
    }  # fmt: skip


def _boundary_rows(
    grid: RecordedGrid,
    seen: Mapping[str, Any],
    plan: Plan | None,
    upper: Mapping[str, Any],
    interval: int,
) -> dict[str, Any]:
    """Both sides of the interface; the mismatch is what they differ by when the loop has ended."""
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


def _trade_costs(grid: RecordedGrid, plan: Plan | None) -> tuple[float, float]:
    """Retail margin and fees of one step in EUR/h."""
    trade = plan.schedule.trade if plan is not None else None
    if trade is None or plan is None or grid.trade is None:
        return 0.0, 0.0
    k = plan.step
    with_grid = float(trade.grid_buy_mw[:, k].sum() + trade.grid_sell_mw[:, k].sum())
    fees = grid.trade.fee_inside * float(trade.inside_buy_mw[:, k].sum())
    fees += grid.trade.fee_across * float(trade.across_buy_mw[:, k].sum())
    return grid.trade.retail_margin * with_grid, fees


def _trade_rows(grid: RecordedGrid, plan: Plan, trade: Trade, interval: int) -> dict[str, Any]:
    """What each prosumer bought and sold in the applied step; only trades that happen."""
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


def _schedule_rows(grid: RecordedGrid, plan: Plan) -> dict[str, Any]:
    """The whole plan, steps within devices; the import as element `boundary`."""
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
