"""The recorder as a time-based mosaik simulator: tables during the run, and totals at its end."""

import time as wall
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mosaik_api_v3
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.controllers.decision import Decision
from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.simulators import attributes
from stackelgrid.simulators.attributes import Flow, names, only_value, time_based_model_meta
from stackelgrid.simulators.results.decision_tables import (
    COMMITMENT,
    NEGOTIATION,
    ROUND,
    STAGE,
    Committed,
)
from stackelgrid.simulators.results.device_tables import (
    DEVICE,
    DISPATCH,
    SCHEDULE,
    TRADE,
    dispatch_rows,
    planned_rows,
    trade_rows,
)
from stackelgrid.simulators.results.grid_interval import GridInterval
from stackelgrid.simulators.results.grid_tables import BOUNDARY, BRANCH, BUS
from stackelgrid.simulators.results.interval_table import CERTIFICATE, INTERVAL, PHASE, steps_of
from stackelgrid.simulators.results.recorded_grid import RecordedGrid
from stackelgrid.simulators.results.tables import RunTables
from stackelgrid.simulators.timings import Timings

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {"Log": time_based_model_meta(attributes.LOG, ["grid"], any_inputs=True)},
}
# connected models, and the prefix of their values
RECORDED_GRID = names(attributes.GRID, Flow.OUTPUT)
RECORDED_BOUNDARY = names(attributes.BOUNDARY, Flow.OUTPUT)
RECORDED_FLEET = [
    n
    for n in names(attributes.FLEET, Flow.OUTPUT)
    if n not in ("bus_p_mw", "bus_q_mvar", "gen_p_mw")
]
RECORDED_AGENT = ["plan", "states_used"]
assert set(RECORDED_AGENT) <= set(names(attributes.AGENT, Flow.OUTPUT))


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
        tables: RunTables,
        timings: Timings,
        progress: Callable[[int, Sequence[Mapping[str, Any]]], None],
        first_interval: int = 0,
    ) -> Meta:
        """Store what the recorder needs; time 0 is the start of `first_interval`.

        interval_s: length of an interval in s.
        grids: grids to record.
        tables: destination of the rows.
        timings: wall-clock accounting, updated.
        progress: called after every interval with its number and its rows of `interval`.
        """
        self._interval_s, self._first_interval = interval_s, first_interval
        self._known = {g.name: g for g in grids}
        self._tables, self._timings, self._progress = tables, timings, progress
        self._peaks = tables.highest_imports_mw()
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        """Create the log of one grid."""
        self._grids.append(model_params["grid"])
        return [{"eid": model_params["grid"], "type": "Log"}]

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Return the number of recorded intervals."""
        recorded = self._tables.intervals_done
        return {eid: dict.fromkeys(attributes, recorded) for eid, attributes in outputs.items()}

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        """Write the rows of one interval."""
        started = wall.perf_counter()
        interval = self._first_interval + time // self._interval_s
        values = {
            name: {a: only_value(sources) for a, sources in inputs[name].items()}
            for name in self._grids
        }
        dt_h = self._interval_s / 3600.0
        grids = []
        for name, seen in values.items():
            known = self._known[name]
            upper = values.get(known.parent, {}).get("plan")
            before = self._tables.states.get(name)
            peak = self._peaks.get(name, 0.0)
            grids.append((name, GridInterval(known, seen, interval, dt_h, upper, before, peak)))
            self._peaks[name] = max(peak, float(seen["slack_p_mw"]))
            kept = (*(q.name for q in attributes.STATES), *known.measured)
            self._tables.states[name] = {quantity: seen[quantity] for quantity in kept}
        rows = write_interval(self._tables, interval, grids)
        self._tables.intervals_done = interval + 1
        self._timings.record_s += wall.perf_counter() - started
        self._progress(interval + 1, rows)
        return time + self._interval_s


def write_interval(
    tables: RunTables, interval: int, grids: Sequence[tuple[str, GridInterval]]
) -> list[dict[str, Any]]:
    """Write the rows of an interval; returns those of `interval`."""
    plans = [(name, g, g.plan) for name, g in grids if g.plan is not None]
    made = [(name, g.grid, plan) for name, g, plan in plans if plan.step == 0]
    columns = tables.write(INTERVAL, interval, grids)
    tables.write(BUS, interval, grids)
    tables.write(BRANCH, interval, grids)
    tables.write(DEVICE, interval, grids)
    tables.write(BOUNDARY, interval, [(name, g) for name, g in grids if g.grid.parent])
    trading = [(name, g) for name, g, plan in plans if plan.schedule.trade is not None]
    tables.write(TRADE, interval, [(name, trade_rows(g)) for name, g in trading])
    planned = [(name, planned_rows(p.schedule, g.devices, g.level)) for name, g, p in made]
    tables.write(SCHEDULE, interval, planned)
    steps = [(name, step) for name, _, plan in made for step in steps_of(plan)]
    tables.write(CERTIFICATE, interval, steps)
    tables.write(PHASE, interval, [(name, g) for name, g, _ in plans if g.phases is not None])
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def write_decision(
    tables: RunTables, interval: int, decision: Decision, devices: Mapping[str, Devices]
) -> None:
    """Write the rows of a decision; a controller without stages leaves none.

    `devices` of all grids by name give the dispatch its elements. A scheme that negotiates within
    one process has rounds, but no messages.
    """
    outcomes = decision.outcomes
    negotiated = [(o.follower, o.negotiation) for o in outcomes if o.negotiation is not None]
    tables.write(STAGE, interval, [(o.follower, o) for o in outcomes])
    dispatch = [
        (name, dispatch_rows(o.plans[name].schedule, devices[name]))
        for o in outcomes
        if (name := o.follower) in o.plans
    ]
    tables.write(DISPATCH, interval, dispatch)
    tables.write(ROUND, interval, [(o.follower, one) for o in outcomes for one in o.history])
    tables.write(NEGOTIATION, interval, negotiated)
    agents = [Committed(agent, *one) for one in negotiated for agent in one[1].held]
    tables.write(COMMITMENT, interval, [(one.agent, one) for one in agents])
