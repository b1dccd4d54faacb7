"""Users' simulators as a scenario connects them: entities, sources of their inputs, powers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class Reading:
    """Attribute of an entity that gives a power.

    factor: MW or MVAr, consumption positive, of one unit of the attribute.
    """

    attribute: str
    factor: float = 1.0


@dataclass(frozen=True)
class FromWorld:
    """Quantity of the simulated world as the source of an input.

    grid: name of the grid.
    quantity: name of the array that the host receives for the grid.
    position: entry of the array.
    factor: value of the input for one unit of the quantity.
    """

    grid: str
    quantity: str
    position: int = 0
    factor: float = 1.0


@dataclass(frozen=True)
class FromSeries:
    """Values known ahead, one for each interval of the run, as the source of an input."""

    grid: str
    values: Floats


@dataclass(frozen=True)
class FromEntity:
    """Attribute of an entity of a user's simulator as the source of an input.

    simulator, group, index: the entity, by its position in a group of entities.
    attribute: name of the attribute.
    time_shifted: use the value that held a second before, so that a circle of simulators has an
        order.
    initial: value before the first one.
    """

    simulator: str
    group: str
    index: int
    attribute: str
    time_shifted: bool = False
    initial: Any = None


Source = FromWorld | FromSeries | FromEntity


@dataclass(frozen=True)
class EntityGroup:
    """Entities of one model that a simulator creates together.

    name: name of the group, unique in its simulator.
    model: name of the model in the simulator's META.
    count: number of entities.
    parameters: parameters of `create`.
    inputs: for each attribute, for each entity, the sources of its values.
    grid: grid in which they consume power, None if they only feed other entities.
    positions: position of each entity among the external devices of the grid.
    p, q: active and reactive power.
    plan: attribute with a list of active powers, beginning with the mean of the next interval.
    child: model of the children that are the entities; by default the entities themselves.
    """

    name: str
    model: str
    count: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, tuple[tuple[Source, ...], ...]] = field(default_factory=dict)
    grid: str | None = None
    positions: tuple[int, ...] = ()
    p: Reading | None = None
    q: Reading | None = None
    plan: Reading | None = None
    child: str = ""

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Powers that are read."""
        return tuple(reading for reading in (self.p, self.q) if reading is not None)


@dataclass(frozen=True)
class UserSimulator:
    """A user's simulator: its entities, and the deadline of an answer in s."""

    name: str
    groups: tuple[EntityGroup, ...]
    step_deadline_s: float = 30.0
