"""Simulator of all grids of a level in the world, local and remote ones.

mosaik cannot couple two remote simulators in one same-time loop ("cannot progress backwards"), so
remote grids are behind this proxy: it sends all requests at once, then waits for each answer.
"""

import math
import time as wall
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import mosaik_api_v3
import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.controllers.networks.power_flow import AcPowerFlow, AcState
from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.attributes import BOUNDARY, GRID, Flow, names
from stackelgrid.simulators.grid import META, GridSimulator, SimulatedGrid, boundary_eid
from stackelgrid.simulators.remote.connection import Connection, RemoteError
from stackelgrid.simulators.timings import Timings

_SHAPES = {a.name: a.shape for a in GRID if a.shape}
# quantities that may be empty: a branch without a rating has no loading
_UNRATED = "branch_loading_percent"
# quantities that are present only when they have changed
_EVENTS = {*names(GRID, Flow.EVENT), *names(BOUNDARY, Flow.EVENT)}


class GridHost(Protocol):
    """Host of some grids; a request begins with one call and ends with another."""

    entities: set[str]

    def begin_step(self, time: int, inputs: InputData, max_advance: int) -> None:
        """Begin a step."""
        ...

    def end_step(self) -> None:
        """Wait for the step."""
        ...

    def begin_data(self, outputs: OutputRequest) -> None:
        """Begin to fetch data."""
        ...

    def end_data(self) -> OutputData:
        """Wait for the data."""
        ...


@dataclass(frozen=True)
class GridState:
    """State of a remote grid: that of its host, and the measurements of its agent."""

    carried: str
    vm_pu: float
    tap_pos: int


class LocalGrids:
    """Grids simulated in this process."""

    def __init__(self, simulator: GridSimulator, grids: Sequence[SimulatedGrid]) -> None:
        self.simulator = simulator
        self.entities = entities(grids)
        for grid in grids:
            simulator.create(1, "Grid", grid=grid.name)
        self._data: OutputData = {}

    def begin_step(self, time: int, inputs: InputData, max_advance: int) -> None:
        """Step at once."""
        self.simulator.step(time, inputs, max_advance)

    def end_step(self) -> None:
        """Do nothing: the step is done."""

    def begin_data(self, outputs: OutputRequest) -> None:
        """Fetch data at once."""
        self._data = self.simulator.get_data(outputs)

    def end_data(self) -> OutputData:
        """Return the data fetched before."""
        return self._data


class RemoteGrids:
    """Grids behind a connection: any simulator of mosaik's API 3 with the models of `grid.META`.

    connection: connection to the simulator.
    init: parameters of its `init`.
    grids: names of the grids that it creates.
    start_deadline_s, step_deadline_s: deadlines of its first answers and of all later ones, s.
    """

    def __init__(
        self,
        connection: Connection,
        init: Mapping[str, Any],
        grids: Sequence[str],
        start_deadline_s: float,
        step_deadline_s: float,
    ) -> None:
        self.connection, self.names = connection, tuple(grids)
        self.entities: set[str] = set()
        self._counts: dict[str, dict[str, int]] = {}
        self.unsaved = f"simulator {connection.name} has no methods state and restore"
        self._deadline_s, self._interval_s = step_deadline_s, 0
        self._end = 0
        self._asked: OutputRequest = {}
        start = start_deadline_s
        connection.send(start, "init", connection.name, time_resolution=1.0, **init)
        for name in grids:
            connection.send(start, "create", 1, "Grid", grid=name)
        connection.send(start, "setup_done")

    def started(self, known: Mapping[str, SimulatedGrid], interval_s: int) -> None:
        """Wait until the grids are built; raises RemoteError if they differ from `known`."""
        self._interval_s = interval_s
        grids = [known[name] for name in self.names]
        self.entities = entities(grids)
        self._counts = {g.name: _counts(g.power_flow) for g in grids}
        meta = self.connection.receive()
        self._check_meta(meta)
        if {"state", "restore"} <= set(meta.get("extra_methods") or ()):
            self.unsaved = ""
        for grid in grids:
            created = self.connection.receive()
            expected = [boundary_eid(grid.name, lower.name) for lower in grid.lower]
            try:
                (entity,) = created
                found = [entity["eid"], *(child["eid"] for child in entity.get("children") or ())]
            except (TypeError, KeyError, ValueError):
                found = [str(created)]
            if sorted(found) != sorted([grid.name, *expected]):
                raise self._error(
                    f"created {', '.join(found)}; entity {grid.name} with the children "
                    f"{', '.join(expected) or 'none'} is accepted"
                )
        self.connection.receive()  # setup_done

    def begin_step(self, time: int, inputs: InputData, max_advance: int) -> None:
        """Send the inputs."""
        self._end = (time // self._interval_s + 1) * self._interval_s
        self.connection.send(self._deadline_s, "step", time, inputs, max_advance)

    def end_step(self) -> None:
        """Wait for the step; raises RemoteError unless it ends at the next interval."""
        following = self.connection.receive()
        if following not in (None, self._end):
            raise self._error(
                f"its step returned {following!r}; {self._end} (the next interval) is accepted"
            )

    def begin_data(self, outputs: OutputRequest) -> None:
        """Request the data."""
        self._asked = outputs
        self.connection.send(self._deadline_s, "get_data", outputs)

    def end_data(self) -> OutputData:
        """Return the data; raises RemoteError for missing results or numbers not finite."""
        answer = self.connection.receive()
        data: dict[str, dict[str, Any]] = {}
        for eid, attributes in self._asked.items():
            values = answer.get(eid) if isinstance(answer, dict) else None
            given = values if isinstance(values, dict) else {}
            missing = [a for a in attributes if a not in given and a not in _EVENTS]
            if missing:
                raise self._error(f"gave no {missing[0]} of {eid}")
            data[eid] = {a: self._value(eid, a, given[a]) for a in attributes if a in given}
        return data

    def state(self, grid: str) -> Any:
        """Return the opaque state of a grid."""
        state = self.connection.call(self._deadline_s, "state", grid)
        try:
            return GridState(str(state["carried"]), float(state["vm_pu"]), int(state["tap_pos"]))
        except (TypeError, KeyError, ValueError):
            raise self._error(f"its answer for the state of {grid} is not a state") from None

    def restore(self, grid: str, state: GridState) -> None:
        """Send a grid's saved state back to its host."""
        self.connection.call(self._deadline_s, "restore", grid, state.carried)

    def _value(self, eid: str, attribute: str, value: Any) -> Any:
        shape = _SHAPES.get(attribute) if eid in self.names else None
        if shape is not None:
            return self._array(f"{attribute} of {eid}", attribute, value, self._counts[eid][shape])
        try:
            number = value if isinstance(value, int) else float(value)
            finite = math.isfinite(number)
        except (TypeError, ValueError, OverflowError):
            finite = False
        if not finite:
            raise self._error(f"{attribute} of {eid} is {value!r:.40}; a finite number is accepted")
        return number

    def _array(self, what: str, attribute: str, value: Any, count: int) -> Floats:
        try:
            array = np.array(value, dtype=np.float64).reshape(-1)
        except (TypeError, ValueError):
            text = f"{value!r:.40}"
            raise self._error(f"{what} is {text}; a list of numbers is accepted") from None
        if len(array) != count:
            raise self._error(f"{what} has {len(array)} entries; {count} are accepted")
        bad = np.flatnonzero(~np.isfinite(array))
        if len(bad) and attribute != _UNRATED:
            raise self._error(
                f"{what} is {array[bad[0]]} at position {bad[0]}; finite numbers are accepted"
            )
        return array

    def _check_meta(self, meta: Any) -> None:
        for model in ("Grid", "Boundary"):
            wanted = META["models"][model]["attrs"]
            try:
                missing = [a for a in wanted if a not in meta["models"][model]["attrs"]]
            except (TypeError, KeyError):
                raise self._error(f"has no model {model} in its meta") from None
            if missing:
                raise self._error(f"its model {model} has no attribute {missing[0]}")

    def _error(self, text: str) -> RemoteError:
        return RemoteError(f"simulator {self.connection.name}: {text}")


@dataclass
class GridElsewhere(SimulatedGrid):
    """Placeholder for a grid that `host` simulates."""

    host: RemoteGrids = field(kw_only=True)
    last_tap_pos: int | None = None

    @property
    def unsaved(self) -> str:
        """Reason why the state of the grid cannot be saved; empty if it can."""
        return self.host.unsaved

    @property
    def tap_pos(self) -> int:
        """Position of the tap changer when the grid was built or restored; 0 without one."""
        return super().tap_pos if self.last_tap_pos is None else self.last_tap_pos

    def state(self) -> Any:
        """Return the state that the grid carries to the next interval."""
        return self.host.state(self.name)

    def restore(self, state: Any) -> None:
        """Restore the state of the grid at its host."""
        self.vm_pu, self.last_tap_pos = state.vm_pu, state.tap_pos
        self.host.restore(self.name, state)

    def solve(self) -> AcState:
        """Raise NotImplementedError: the host solves the power flow."""
        raise NotImplementedError(f"grid {self.name} is simulated by {self.host.connection.name}")


class GridProxy(mosaik_api_v3.Simulator):
    """Simulator of all grids of one level, local and remote ones."""

    def __init__(self) -> None:
        super().__init__(META)
        self._hosts: list[GridHost] = []
        self._results: dict[str, dict[str, Any]] = {}
        self._stepped: list[GridHost] = []
        self._now, self._offset_s = -1, 0

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
        """Store the grids of the level, as `GridSimulator` does.

        Remote simulators receive the time since interval 0, also in a resumed run.
        """
        self._offset_s = first_interval * interval_s
        self._interval_s, self._timings = interval_s, timings
        self._available = {g.name: g for g in grids}
        here = [g for g in grids if not isinstance(g, GridElsewhere)]
        self._hosts = list(
            {g.host.connection.name: g.host for g in grids if isinstance(g, GridElsewhere)}.values()
        )
        if here:
            local = GridSimulator()
            local.init(sid, interval_s=interval_s, grids=here, timings=Timings(), clock=clock)
            self._hosts.append(LocalGrids(local, here))
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        """Return the entity of one grid by name, with its boundaries to lower grids."""
        grid = self._available[model_params["grid"]]
        children: list[CreateResult] = [
            {"eid": boundary_eid(grid.name, lower.name), "type": "Boundary"} for lower in grid.lower
        ]
        return [{"eid": grid.name, "type": "Grid", "children": children}]

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        """Step every host at the start of an interval, then those with new interface values."""
        started = wall.perf_counter()
        fresh, self._now = time != self._now, time
        self._stepped = []
        for host in self._hosts:
            own = {eid: values for eid, values in inputs.items() if eid in host.entities}
            if fresh or own:
                host.begin_step(self._offset_s + time, own, self._offset_s + max_advance)
                self._stepped.append(host)
        for host in self._stepped:
            host.end_step()
        self._timings.power_flow_s += wall.perf_counter() - started
        return (time // self._interval_s + 1) * self._interval_s

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Return results of all hosts; interface values only where they changed in this step."""
        started = wall.perf_counter()
        for host in self._stepped:
            host.begin_data({e: a for e, a in outputs.items() if e in host.entities})
        moved: dict[str, dict[str, Any]] = {}
        for host in self._stepped:
            for eid, values in host.end_data().items():
                moved[eid] = {a: v for a, v in values.items() if a in _EVENTS}
                self._results[eid] = {a: v for a, v in values.items() if a not in _EVENTS}
        self._timings.power_flow_s += wall.perf_counter() - started
        return {eid: {**moved.get(eid, {}), **self._results[eid]} for eid in outputs}


def _counts(power_flow: AcPowerFlow) -> dict[str, int]:
    """Return the number of entries of an array by its shape."""
    branches = power_flow.lines + power_flow.trafos
    return {"bus": len(power_flow.bus_index), "branch": branches, "gen": power_flow.gens}


def entities(grids: Sequence[SimulatedGrid]) -> set[str]:
    """Return the ids of the entities of grids: themselves and their boundaries."""
    found = {g.name for g in grids}
    return found | {boundary_eid(g.name, lower.name) for g in grids for lower in g.lower}
