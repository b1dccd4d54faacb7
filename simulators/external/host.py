"""Host of users' simulators: it advances all of them through an interval, in the order of time.

mosaik would deliver what a simulator computes within an interval only after the interval's power
flow, which needs its mean. So the host, one simulator of the world, schedules the users' simulators
itself, by the rules of mosaik's API 3.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
from mosaik_api_v3.types import InputData

from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.external.connections import SHIFT_S, Connections, Measured, Port
from stackelgrid.simulators.external.history import NOTHING
from stackelgrid.simulators.external.order import order_of, triggering_distances
from stackelgrid.simulators.external.running import Link, RunningSimulator
from stackelgrid.simulators.external.wiring import UserSimulator


class ExternalPowers(NamedTuple):
    """Powers of the external devices of a grid in an interval, consumption positive.

    p_mw, q_mvar: means over the interval, (devices,), MW and MVAr.
    plan_mw: announced means of the next intervals, (devices, steps), NaN where none.
    """

    p_mw: Floats
    q_mvar: Floats
    plan_mw: Floats


class ExternalHost:
    """All users' simulators of a run.

    links: connections by the names of the simulators.
    simulators: what they create, and how it is connected.
    interval_s, intervals: length of an interval in s, number of intervals of the run.
    horizon_steps: number of intervals of a plan.
    start: beginning of the first interval.
    """

    def __init__(
        self,
        links: Mapping[str, Link],
        simulators: Sequence[UserSimulator],
        *,
        interval_s: int,
        intervals: int,
        horizon_steps: int,
        start: datetime,
    ) -> None:
        self._interval_s, self._until = interval_s, interval_s * intervals
        self._horizon_steps, self._start = horizon_steps, start
        self._simulators = {
            s.name: RunningSimulator(s, links[s.name], self._when) for s in simulators
        }

    def started(self) -> None:
        """Create and connect all entities; raises WiringError and RemoteError."""
        running = self._simulators.values()
        for simulator in running:
            simulator.begin_create()
        for simulator in running:
            simulator.end_create()
        self._connections = Connections(self._simulators)
        into = self._connections.into
        wires = [wire for own in into.values() for wire in own]
        self._order = order_of(list(self._simulators), wires)
        self._distances = triggering_distances(wires)
        for simulator in running:
            simulator.end_setup()
            # an event-based simulator waits for its first event, if any can come
            if simulator.meta.type != "event-based" or not into[simulator.name]:
                simulator.due.add(0)

    # ------------------------------------------------------------------ time

    def advance(
        self, interval: int, world: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, ExternalPowers]:
        """Advance all simulators through an interval; return the powers of its external devices.

        `world` holds arrays by grid and name; inputs without a value, None or NaN, are left out.
        Raises RemoteError for a simulator that is late, ends, or returns what cannot be used.
        """
        begin = interval * self._interval_s
        end = begin + self._interval_s
        for source, port in self._connections.world.items():
            values = world[source.grid].get(source.quantity)
            value = math.nan if values is None else float(values[source.position])
            self._deliver(port, begin, NOTHING if math.isnan(value) else source.factor * value)
        for series, port in self._connections.series:
            self._deliver(port, begin, float(series.values[interval]))
        while True:
            batch = self._next(end)
            if not batch:
                break
            time = min(batch[0].due)
            for simulator in batch:
                simulator.begin_step(
                    time, self._inputs(simulator, time), self._max_advance(simulator, time, end)
                )
            for simulator in batch:
                self._receive(simulator, time)
        powers = self._powers(begin, end)
        for port in self._connections.ports.values():
            port.values.forget(end - SHIFT_S)
        return powers

    def _next(self, end: int) -> list[RunningSimulator]:
        """Return the simulators of the next step: the earliest, independent of one another."""
        due = [s for s in self._simulators.values() if s.due and min(s.due) < end]
        if not due:
            return []
        time = min(min(s.due) for s in due)
        now = [s for s in due if min(s.due) == time]
        first = min(self._order[s.name] for s in now)
        return [s for s in now if self._order[s.name] == first]

    def _inputs(self, simulator: RunningSimulator, time: int) -> InputData:
        inputs: InputData = {}
        for wire in self._connections.into[simulator.name]:
            value = wire.value(time)
            if value is not NOTHING:
                attributes = inputs.setdefault(wire.eid, {})
                attributes.setdefault(wire.attribute, {})[wire.full_id] = value
        return inputs

    def _max_advance(self, simulator: RunningSimulator, time: int, end: int) -> int:
        """Return the time up to which nothing but the simulator itself starts a step of it."""
        following = [t for t in simulator.due if t != time]
        for source, distance in self._distances.get(simulator.name, {}).items():
            # the world has new values at the start of the next interval
            due = self._simulators[source].due if source else [end]
            following += [t + distance for t in due]
        return min([t for t in following if t < self._until] or [self._until + 1]) - 1

    def _receive(self, simulator: RunningSimulator, time: int) -> None:
        at, values = simulator.end_step(time)
        for (eid, attribute), given in values.items():
            port, value = self._connections.ports[simulator.name, eid, attribute], given
            if port.is_power:
                value = simulator.number(eid, attribute, given, time)
            if port.is_plan:
                value = self._plan_of(simulator, eid, attribute, given, time)
            self._deliver(port, at, value)

    def _deliver(self, port: Port, time: int, value: Any) -> None:
        """Record a value from a time on, and schedule the steps that it starts."""
        port.values.add(time, value)
        for wire in port.wires:
            if wire.triggers and value is not NOTHING:
                self._simulators[wire.target].due.add(time + wire.shift)

    # ------------------------------------------------------------------ powers

    def _plan_of(
        self, simulator: RunningSimulator, eid: str, attribute: str, value: Any, time: int
    ) -> list[float]:
        if not isinstance(value, list):
            raise simulator.error(
                f"{attribute} of {eid} is {value!r:.40}", time, "a list of finite numbers"
            )
        return [simulator.number(eid, attribute, entry, time) for entry in value]

    def _powers(self, begin: int, end: int) -> dict[str, ExternalPowers]:
        counts: dict[str, int] = {}
        for measured in self._connections.p:
            counts[measured.grid] = max(counts.get(measured.grid, 0), measured.position + 1)
        powers = {
            grid: ExternalPowers(
                np.zeros(n), np.zeros(n), np.full((n, self._horizon_steps), np.nan)
            )
            for grid, n in counts.items()
        }
        for m in self._connections.p:
            powers[m.grid].p_mw[m.position] = self._mean(m, begin, end)
        for m in self._connections.q:
            powers[m.grid].q_mvar[m.position] = self._mean(m, begin, end)
        for m in self._connections.plan:
            plan = m.port.values.at(end - 1)
            if plan is not NOTHING:
                announced = np.array(plan[: self._horizon_steps], dtype=float)
                powers[m.grid].plan_mw[m.position, : len(announced)] = announced * m.reading.factor
        return powers

    def _mean(self, measured: Measured, begin: int, end: int) -> float:
        if measured.port.values.at(begin) is NOTHING:
            raise measured.simulator.error(
                f"{measured.reading.attribute} of {measured.eid} has no value", begin,
                "a value from the start of the run on",
            )  # fmt: skip
        return measured.reading.factor * measured.port.values.mean(begin, end)

    def _when(self, time: int) -> str:
        return f"{self._start + timedelta(seconds=time):%Y-%m-%d %H:%M:%S}"

    # ------------------------------------------------------------------ state

    @property
    def unsaved(self) -> str:
        """Reason why the simulators cannot be resumed; empty if they can."""
        return next((s.unsaved for s in self._simulators.values() if s.unsaved), "")

    def state(self) -> dict[str, Any]:
        """Return the state between two intervals, as plain data; raises RemoteError."""
        return {
            "due": {name: sorted(s.due) for name, s in self._simulators.items()},
            "values": [list(p.values.entries) for p in self._connections.ports.values()],
            "simulators": {name: s.state() for name, s in self._simulators.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state in simulators that have been created again; raises RemoteError."""
        for name, simulator in self._simulators.items():
            simulator.due = set(state["due"][name])
            simulator.restore(state["simulators"][name])
        for port, entries in zip(self._connections.ports.values(), state["values"], strict=True):
            port.values.entries = [(time, value) for time, value in entries]
