"""The recorder as a time-based mosaik simulator: tables during the run, and totals at its end."""

import time as wall
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mosaik_api_v3
import numpy as np
import pandas as pd
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.controllers.schedule import Plan
from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.attributes import (
    AGENT,
    BOUNDARY,
    FLEET,
    GRID,
    LOG,
    Flow,
    names,
    only_value,
    time_based_model_meta,
)
from stackelgrid.simulators.results.certificates import (
    bus_columns,
    certificate_columns,
    certificate_rows,
    phase_rows,
)
from stackelgrid.simulators.results.grid_interval import GridInterval
from stackelgrid.simulators.results.rows import (
    RecordedGrid,
    boundary_payment,
    boundary_rows,
    branch_rows,
    bus_rows,
    device_rows,
    largest,
    schedule_rows,
    simultaneous_power,
    trade_costs,
    trade_rows,
)
from stackelgrid.simulators.results.tables import TableWriter
from stackelgrid.simulators.results.totals import Totals
from stackelgrid.simulators.timings import Timings

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {"Log": time_based_model_meta(LOG, ["grid"], any_inputs=True)},
}
# connected models, and the prefix of their values
RECORDED_GRID = names(GRID, Flow.OUTPUT)
RECORDED_BOUNDARY = names(BOUNDARY, Flow.OUTPUT)
RECORDED_FLEET = [
    n for n in names(FLEET, Flow.OUTPUT) if n not in ("bus_p_mw", "bus_q_mvar", "gen_p_mw")
]
RECORDED_AGENT = ["plan", "states_used"]
assert set(RECORDED_AGENT) <= set(names(AGENT, Flow.OUTPUT))


class Recorder(mosaik_api_v3.Simulator):
    """Recorder with one entity a grid; rows of an interval are written when it has all values."""

    def __init__(self) -> None:
        super().__init__(META)
        self._grids: list[str] = []

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
        progress: Callable[[int, Sequence[GridInterval]], None],
        first_interval: int = 0,
    ) -> Meta:
        """Store what the recorder needs; time 0 is the start of `first_interval`.

        interval_s: length of an interval in s.
        grids: grids to record.
        times: start of every interval.
        writer: destination of the rows.
        totals: totals of the run, updated with every row.
        timings: wall-clock accounting, updated.
        progress: called after every interval with its number and its rows.
        """
        self._interval_s, self._first_interval = interval_s, first_interval
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
        """Return the number of recorded intervals."""
        recorded = self._totals.intervals_done
        return {eid: dict.fromkeys(attributes, recorded) for eid, attributes in outputs.items()}

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        """Write the rows of one interval."""
        started = wall.perf_counter()
        interval = self._first_interval + time // self._interval_s
        values = {
            name: {a: only_value(sources) for a, sources in inputs[name].items()}
            for name in self._grids
        }
        rows: dict[str, list[dict[str, Any]]] = {
            t: [] for t in ("interval", "bus", "branch", "device", "boundary", "trade", "schedule",
                            "certificate", "phase")
        }  # fmt: skip
        records: list[GridInterval] = []
        for name in self._grids:
            grid, seen = self._known[name], values[name]
            upper = values.get(grid.parent, {})
            plan: Plan | None = seen["plan"]
            rows["bus"].append(bus_rows(grid, seen, plan))
            rows["branch"].append(branch_rows(grid, seen, plan))
            rows["device"].append(device_rows(grid, seen))
            if grid.parent:
                rows["boundary"].append(boundary_rows(grid, seen, plan, upper, interval))
            if plan is not None:
                if plan.schedule.trade is not None:
                    rows["trade"].append(trade_rows(grid, plan, plan.schedule.trade, interval))
                if plan.step == 0:
                    rows["schedule"].append(schedule_rows(grid, plan))
                    rows["certificate"].append(certificate_rows(name, plan))
                rows["phase"].append(phase_rows(name, plan, grid.network_bus_index))
            interface = rows["boundary"][-1] if grid.parent else None
            payment = boundary_payment(grid, seen, plan, interface, interval)
            record = self._interval_row(grid, seen, plan, payment)
            records.append(record)
            self._totals.add(
                record,
                float(interface["mismatch_mva"][0]) if interface else 0.0,
                float(interface["mismatch_pu"][0]) if interface else 0.0,
            )
            rows["interval"].append({f: [v] for f, v in record.columns().items()})
            self._totals.battery_e_mwh[name] = seen["battery_e_mwh"]
        for table, parts in rows.items():
            if any(len(p["grid"]) for p in parts):
                self._writer.write_part(table, interval, self._joined(parts, interval))
        self._totals.intervals_done = interval + 1
        self._timings.record_s += wall.perf_counter() - started
        self._progress(interval + 1, records)
        return time + self._interval_s

    def _joined(self, parts: list[dict[str, Any]], interval: int) -> dict[str, Any]:
        columns = {key: np.concatenate([np.asarray(p[key]) for p in parts]) for key in parts[0]}
        count = len(columns["grid"])
        columns["interval"] = np.full(count, interval, dtype=np.int32)
        columns["time"] = np.full(count, self._times[interval].to_datetime64())
        return columns

    def _interval_row(
        self, grid: RecordedGrid, seen: Mapping[str, Any], plan: Plan | None, payment: float
    ) -> GridInterval:
        d, dt_h = grid.devices, self._interval_s / 3600.0
        report = plan.report if plan else None
        schedule = plan.schedule if plan else None
        # the slack unit of a transmission network delivers the residual of the power flow
        unit_p = seen["unit_p_mw"].copy()
        slack = [k for k, t in enumerate(d.units.table) if t == "ext_grid"]
        unit_p[slack] = seen["slack_p_mw"]
        curtailed = seen["pv_available_mw"] - seen["pv_p_mw"]
        lower = float(seen["bus_p_total_mw"].sum() - (
            seen["load_p_mw"].sum() + seen["battery_p_mw"].sum() - seen["pv_p_mw"].sum()
            - sum(unit_p[k] for k, t in enumerate(d.units.table) if t == "sgen")
        ))  # fmt: skip
        gen_p = float(sum(unit_p[k] for k, t in enumerate(d.units.table) if t == "gen"))
        # energy of batteries: at the end of the last step, in the agent's plan, at the start of
        # this one
        start, used = seen["battery_e_start_mwh"], seen["states_used"]["battery_e_mwh"]
        before = self._totals.battery_e_mwh.get(grid.name, start)
        handover = max(largest(np.abs(before - start)), largest(np.abs(used - start)))
        feeder = grid.level != "transmission"
        cost = d.units.c2 * unit_p**2 + d.units.c1 * unit_p + d.units.c0
        retail, fees = trade_costs(grid, plan)
        vm = seen["bus_vm_pu"]
        loading = seen["branch_loading_percent"]
        happened = grid.limits.violation(vm, grid.limits.loading(loading))
        nan = float("nan")
        return GridInterval(
            grid=grid.name,
            level=grid.level,
            copies=grid.copies,
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
            simultaneous_mw=simultaneous_power(d, plan),
            certificate=certificate_columns(plan),
            realised_violation_pu=happened.amount,
            realised_worst=happened.where,
            realised_voltage_change_pu=_voltage_change(grid, plan, vm),
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
            max_loading_percent=largest(loading[np.isfinite(loading)]),
            tap_pos=seen["tap_pos"],
            rounds=seen["rounds"],
            energy_handover_error_mwh=handover,
            boundary_eur=dt_h * payment,
            retail_eur=dt_h * retail,
            fee_eur=dt_h * fees,
            wear_eur=dt_h
            * float(np.sum(d.batteries.wear_eur_per_mwh * np.abs(seen["battery_p_mw"]))),
            curtailment_eur=dt_h * grid.curtailment_eur_per_mwh * float(curtailed.sum()),
            generation_eur=dt_h * (float(cost.sum()) + d.units.fixed_eur_per_h),
        )


def _voltage_change(grid: RecordedGrid, plan: Plan | None, vm_pu: Floats) -> float:
    """Return the largest difference between realised and planned (AC) voltage, p.u."""
    planned = bus_columns(plan, grid.order, len(vm_pu))["vm_certified_pu"]
    change = np.abs(vm_pu - planned)
    return float(np.max(change)) if len(change) and not np.isnan(change).any() else float("nan")
