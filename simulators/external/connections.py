"""Connections between users' simulators, to the world, and to the powers of its devices."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stackelgrid.simulators.external.history import NOTHING, History
from stackelgrid.simulators.external.running import RunningSimulator
from stackelgrid.simulators.external.wiring import (
    EntityGroup,
    FromEntity,
    FromSeries,
    FromWorld,
    Reading,
    Source,
)

# simulator of the world's quantities in the ids of sources
_WORLD = "stackelgrid"
# s by which a time-shifted connection delivers later: one unit of time, as mosaik's
SHIFT_S = 1


@dataclass(frozen=True)
class Wire:
    """Connection to an attribute of an entity.

    source: simulator of the values, "" for the world.
    values: where the values are.
    full_id: id of the source for the simulator that receives them.
    target, eid, attribute: simulator, entity and attribute that receive them.
    shift: delay in s.
    initial: value before the first one.
    triggers: a new value starts a step of the target.
    once: the value is an event, received in the step that it starts.
    """

    source: str
    values: History
    full_id: str
    target: str
    eid: str
    attribute: str
    shift: int
    initial: Any
    triggers: bool
    once: bool

    def value(self, time: int) -> Any:
        """Return the value for a step at a time, NOTHING if there is none."""
        if self.once:
            return self.values.event(time - self.shift)
        found = self.values.at(time - self.shift)
        return self.initial if found is NOTHING else found


@dataclass
class Port:
    """Attribute of an entity: its values and the connections that begin there."""

    values: History = field(default_factory=History)
    wires: list[Wire] = field(default_factory=list)
    is_power: bool = False
    is_plan: bool = False


class Measured(NamedTuple):
    """A power of a device: grid, position, where its values are, factor to MW or MVAr."""

    grid: str
    position: int
    simulator: RunningSimulator
    eid: str
    reading: Reading
    port: Port


class Connections:
    """All connections of running simulators; raises WiringError for unknown attributes.

    ports: attributes that are read, by simulator, entity and attribute.
    world, series: where the values of the world go.
    into: connections into each simulator.
    p, q, plan: readings of the external devices.
    """

    def __init__(self, simulators: Mapping[str, RunningSimulator]) -> None:
        self.ports: dict[tuple[str, str, str], Port] = {}
        self.world: dict[FromWorld, Port] = {}
        self.series: list[tuple[FromSeries, Port]] = []
        self.into: dict[str, list[Wire]] = {name: [] for name in simulators}
        self.p: list[Measured] = []
        self.q: list[Measured] = []
        self.plan: list[Measured] = []
        self._simulators = simulators
        for simulator in simulators.values():
            for group in simulator.groups.values():
                self._connect(simulator, group)

    def _connect(self, simulator: RunningSimulator, group: EntityGroup) -> None:
        for index in range(group.count):
            eid = simulator.entities[group.name][index]
            for attribute, sources in group.inputs.items():
                for source in sources[index]:
                    self._wire(simulator, group, eid, attribute, source)
            if group.grid is None:
                continue
            position = group.positions[index]
            for reading, measured in (
                (group.p, self.p),
                (group.q, self.q),
                (group.plan, self.plan),
            ):
                if reading is not None:
                    simulator.read(group.name, index, reading.attribute)
                    port = self._port(simulator.name, eid, reading.attribute)
                    port.is_plan |= measured is self.plan
                    port.is_power |= measured is not self.plan
                    measured.append(Measured(group.grid, position, simulator, eid, reading, port))

    def _wire(
        self,
        simulator: RunningSimulator,
        group: EntityGroup,
        eid: str,
        attribute: str,
        source: Source,
    ) -> None:
        name, full_id, initial, shift, event = "", "", NOTHING, 0, False
        if isinstance(source, FromEntity):
            name = source.simulator
            upper = self._simulators[name]
            from_eid = upper.read(source.group, source.index, source.attribute)
            port = self._port(name, from_eid, source.attribute)
            full_id = f"{name}.{from_eid}"
            event = source.attribute in upper.models[source.group].events
            if source.time_shifted:
                shift = SHIFT_S
                initial = NOTHING if source.initial is None else source.initial
        elif isinstance(source, FromWorld):
            port = self.world.setdefault(source, Port())
            full_id = f"{_WORLD}.{source.grid}"
        else:
            port, full_id = Port(), f"{_WORLD}.{source.grid}"
            self.series.append((source, port))
        triggers = attribute in simulator.models[group.name].triggers
        wire = Wire(
            name, port.values, full_id, simulator.name, eid, attribute, shift, initial, triggers,
            once=event and triggers,
        )  # fmt: skip
        port.wires.append(wire)
        self.into[simulator.name].append(wire)

    def _port(self, simulator: str, eid: str, attribute: str) -> Port:
        return self.ports.setdefault((simulator, eid, attribute), Port())
