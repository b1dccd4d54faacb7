"""Grids as a hybrid mosaik simulator: AC power flow, coupled within an interval to convergence.

Voltages go down and powers go up through same-time loops; a new value is emitted only when it
has changed by more than the tolerance, so the loop ends when the interface has converged.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import mosaik_api_v3
import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.controllers.errors import PowerFlowError
from stackelgrid.controllers.networks.power_flow import AcPowerFlow, AcState
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.simulators.attributes import BOUNDARY, GRID, model_meta, only_value
from stackelgrid.simulators.tap_changer import TapRegulator
from stackelgrid.simulators.timings import Timings

META: Meta = {
    "api_version": "3.0",
    "type": "hybrid",
    "models": {
        "Grid": model_meta(GRID, ["grid"]),
        "Boundary": model_meta(BOUNDARY, [], public=False),
    },
}


@dataclass(frozen=True)
class LowerGrid:
    """Grid connected below: its name, the position of its bus, and its copies."""

    name: str
    bus: int
    multiplicity: int


@dataclass
class SimulatedGrid(Carrying):
    """One grid of the physical world and its state.

    `vm_pu` and `va_degree` are the slack voltage in use. `tolerance_pu` is the change of an
    interface value, in p.u. of this grid's base, from which on it is sent again.
    """

    name: str
    base_mva: float
    power_flow: AcPowerFlow
    lower: tuple[LowerGrid, ...]
    tolerance_pu: float
    regulator: TapRegulator | None = None
    trafo: int = 0
    regulated_bus: int = 0
    vm_pu: float = 1.0
    va_degree: float = 0.0
    bus_p_mw: Floats = field(default_factory=lambda: np.zeros(0))
    bus_q_mvar: Floats = field(default_factory=lambda: np.zeros(0))
    gen_p_mw: Floats | None = None
    lower_p_mw: dict[str, float] = field(default_factory=dict)
    lower_q_mvar: dict[str, float] = field(default_factory=dict)
    # interface values as they were last sent, by entity and attribute
    sent: dict[tuple[str, str], float] = field(default_factory=dict)
    # the last power flow: the next one starts from its voltages, which affects the last bits
    solved: AcState | None = None
    rounds: int = 0

    carried: ClassVar[tuple[str, ...]] = (
        "vm_pu", "va_degree", "bus_p_mw", "bus_q_mvar", "gen_p_mw", "lower_p_mw", "lower_q_mvar",
        "sent", "solved",
    )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """Return the state that the grid carries to the next interval."""
        tap = None if self.regulator is None else self.regulator.state()
        return {**super().state(), "tap": tap}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of the grid."""
        super().restore(state)
        if self.regulator is not None:
            self.regulator.restore(state["tap"])
            self._set_tap(self.regulator)

    @property
    def tap_pos(self) -> int:
        """Tap position of the boundary transformer; 0 with an ideal boundary."""
        return self.regulator.tap_pos if self.regulator is not None else 0

    def _set_tap(self, regulator: TapRegulator) -> None:
        self.power_flow.set_ratio(self.trafo, regulator.ratio, regulator.shift_degree)

    def total_power(self) -> tuple[Floats, Floats]:
        """Return the consumption at each bus, devices and grids below together."""
        p, q = self.bus_p_mw.copy(), self.bus_q_mvar.copy()
        for grid in self.lower:
            p[grid.bus] += grid.multiplicity * self.lower_p_mw.get(grid.name, 0.0)
            q[grid.bus] += grid.multiplicity * self.lower_q_mvar.get(grid.name, 0.0)
        return p, q

    def solve(self) -> AcState:
        """Solve the power flow; the tap changer moves within its deadband and delay."""
        p, q = self.total_power()
        start = self.solved.voltage if self.solved is not None else None
        state = self.power_flow.solve(p, q, self.vm_pu, self.gen_p_mw, start)
        if self.regulator is not None:
            while step := self.regulator.wants(float(state.vm_pu[self.regulated_bus])):
                self.regulator.move(step)
                self._set_tap(self.regulator)
                state = self.power_flow.solve(p, q, self.vm_pu, self.gen_p_mw, state.voltage)
        self.solved = state
        self.rounds += 1
        return state


class GridSimulator(mosaik_api_v3.Simulator):
    """Simulator of all grids of one level, with a child entity for each grid below."""

    def __init__(self) -> None:
        super().__init__(META)
        self._grids: dict[str, SimulatedGrid] = {}
        self._below: dict[str, tuple[SimulatedGrid, LowerGrid]] = {}
        self._changed: set[str] = set()
        self._now = -1

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        interval_s: int,
        grids: Sequence[SimulatedGrid],
        timings: Timings,
        clock: Mapping[int, str],
        first_interval: int = 0,
    ) -> Meta:
        """Store the grids of this simulator; `clock` names intervals in messages.

        Time 0 is the start of `first_interval`.
        """
        self._interval_s, self._first_interval = interval_s, first_interval
        self._available = {g.name: g for g in grids}
        self._timings = timings
        self._clock = clock
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        """Create one grid by name, with its boundaries to lower grids as children."""
        grid = self._available[model_params["grid"]]
        self._grids[grid.name] = grid
        children: list[CreateResult] = []
        for lower in grid.lower:
            eid = boundary_eid(grid.name, lower.name)
            self._below[eid] = (grid, lower)
            children.append({"eid": eid, "type": "Boundary"})
        return [{"eid": grid.name, "type": "Grid", "children": children}]

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        """Solve every grid at the start of an interval, then those with new interface values."""
        if time != self._now:
            self._now = time
            self._changed = set(self._grids)
            for grid in self._grids.values():
                grid.rounds = 0
                if grid.regulator is not None:
                    if grid.solved is not None:
                        grid.regulator.end_interval(float(grid.solved.vm_pu[grid.regulated_bus]))
                    grid.regulator.begin_interval(self._interval_s)
        else:
            self._changed = set()
        for eid, attributes in inputs.items():
            self._take(eid, attributes)
        started = _clock()
        for name in self._grids:  # in order of creation, whatever the order of inputs
            if name in self._changed:
                try:
                    self._grids[name].solve()
                except PowerFlowError as error:
                    interval = self._first_interval + time // self._interval_s
                    when = self._clock.get(interval, "")
                    text = f"interval {interval} ({when}): {error}"
                    raise PowerFlowError(text, name, when) from error
        self._timings.power_flow_s += _clock() - started
        return (time // self._interval_s + 1) * self._interval_s

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Return results; interface values only where they have changed."""
        data: dict[str, dict[str, Any]] = {}
        for eid, attributes in outputs.items():
            values = self._boundary(eid) if eid in self._below else self._results(eid)
            data[eid] = {a: values[a] for a in attributes if a in values}
        return data

    def _take(self, eid: str, attributes: Mapping[str, dict[str, Any]]) -> None:
        if eid in self._below:
            grid, lower = self._below[eid]
            for name, table in (("p_mw", grid.lower_p_mw), ("q_mvar", grid.lower_q_mvar)):
                value = only_value(attributes.get(name, {}))
                if value is not None and value != table.get(lower.name):
                    table[lower.name] = value
                    self._changed.add(grid.name)
            return
        grid = self._grids[eid]
        for name in ("vm_pu", "va_degree"):
            value = only_value(attributes.get(name, {}))
            if value is not None and value != getattr(grid, name):
                setattr(grid, name, value)
                self._changed.add(eid)
        for name in ("bus_p_mw", "bus_q_mvar", "gen_p_mw"):
            values = only_value(attributes.get(name, {}))
            if values is not None:
                setattr(grid, name, values)

    @staticmethod
    def _interface(
        grid: SimulatedGrid, eid: str, values: Mapping[str, float], thresholds: Mapping[str, float]
    ) -> dict[str, float]:
        """Return both values of an interface if one of them has changed, else an empty dict."""

        def moved(name: str, value: float) -> bool:
            before = grid.sent.get((eid, name))
            return before is None or abs(value - before) > thresholds[name]

        if not any(moved(name, value) for name, value in values.items()):
            return {}
        grid.sent.update({(eid, n): v for n, v in values.items()})
        return dict(values)

    def _boundary(self, eid: str) -> dict[str, Any]:
        grid, lower = self._below[eid]
        assert grid.solved is not None
        voltage = {
            "vm_pu": float(grid.solved.vm_pu[lower.bus]),
            "va_degree": float(grid.solved.va_degree[lower.bus]) + grid.va_degree,
        }
        tolerance = grid.tolerance_pu
        thresholds = {"vm_pu": tolerance, "va_degree": float(np.rad2deg(tolerance))}
        return {
            **self._interface(grid, eid, voltage, thresholds),
            "p_used_mw": grid.lower_p_mw.get(lower.name, 0.0),
            "q_used_mvar": grid.lower_q_mvar.get(lower.name, 0.0),
            "vm_solved_pu": voltage["vm_pu"],
        }

    def _results(self, eid: str) -> dict[str, Any]:
        grid = self._grids[eid]
        state = grid.solved
        assert state is not None
        power = {"p_mw": state.slack_p_mw, "q_mvar": state.slack_q_mvar}
        threshold = grid.tolerance_pu * grid.base_mva
        p, q = grid.total_power()
        return {
            **self._interface(grid, eid, power, {"p_mw": threshold, "q_mvar": threshold}),
            "slack_p_mw": state.slack_p_mw,
            "slack_q_mvar": state.slack_q_mvar,
            "slack_vm_pu": grid.vm_pu,
            "bus_vm_pu": state.vm_pu,
            "bus_va_degree": state.va_degree + grid.va_degree,
            "bus_p_total_mw": p,
            "bus_q_total_mvar": q,
            "branch_p_from_mw": state.p_from_mw,
            "branch_q_from_mvar": state.q_from_mvar,
            "branch_p_to_mw": state.p_to_mw,
            "branch_q_to_mvar": state.q_to_mvar,
            "branch_i_ka": state.i_ka,
            "branch_loading_percent": state.loading_percent,
            "gen_q_mvar": state.gen_q_mvar,
            "loss_mw": state.loss_mw,
            "tap_pos": grid.tap_pos,
            "rounds": grid.rounds,
        }


def boundary_eid(upper: str, lower: str) -> str:
    """Return the entity id of the boundary at which `lower` is connected to `upper`."""
    return f"{upper}.{lower}"


def _clock() -> float:
    return time.perf_counter()
