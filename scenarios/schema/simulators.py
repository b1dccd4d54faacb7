"""Section `simulators` of a scenario: users' mosaik simulators, and what connects them."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from stackelgrid.controllers.devices.externals import ExternalSection, PowerAttribute
from stackelgrid.profiles.errors import shown
from stackelgrid.profiles.section import ClassName, Index, Name, Positive, Section
from stackelgrid.scenarios.schema.remote import Command, host_and_port, require_address

SIGNALS = ("voltage", "loading", "price", "temperature", "set_point")
ENTITIES = "entities"  # key by which a kind of device finds the entities at its grid
_REFERENCE = re.compile(r"(?P<simulator>[^.]+)\.(?P<entities>[^.]+)\.(?P<attribute>.+)", re.DOTALL)


class Reference(NamedTuple):
    """Attribute of the entities of a group: `simulator.entities.attribute`."""

    simulator: str
    entities: str
    attribute: str


class InputSection(Section):
    """Source of an attribute of an entity; the short form is the text of `from`."""

    from_: Annotated[str, Field(alias="from", min_length=1)]
    """A value of the grid (`voltage`, ...), or `simulator.entities.attribute`."""
    bus: Index | None = None
    """Bus of `voltage`; default: that of the entity."""
    line: Index | None = None
    """Line of `loading`."""
    trafo: Index | None = None
    """Transformer of `loading`."""
    grid: str | None = None
    """Grid of the value; default: that of the entities."""
    time_shifted: bool = False
    """Take the attribute's value of the step before, from `initial` on; this breaks a circle."""
    initial: Any = None
    """Value before the first step of the source."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: object) -> object:
        return {"from": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        source, element = self.from_, (self.line is not None) + (self.trafo is not None)
        if self.reference is None and source not in SIGNALS:
            raise ValueError(
                f"from = {shown(source)}: one of {', '.join(SIGNALS)} or "
                "simulator.entities.attribute is accepted"
            )
        if element != (source == "loading"):
            raise ValueError("loading takes one of line and trafo, and no other value takes any")
        if self.bus is not None and source != "voltage":
            raise ValueError(f"bus is for voltage, not for {shown(source)}")
        if self.reference is not None and self.grid is not None:
            raise ValueError(f"grid is for {', '.join(SIGNALS[:3])}, not for {shown(source)}")
        if source in ("set_point", "temperature") and self.grid is not None:
            raise ValueError(f"grid is for {', '.join(SIGNALS[:3])}, not for {source}")
        if self.time_shifted != (self.initial is not None):
            raise ValueError("time_shifted = true and initial (the value before) come together")
        if self.time_shifted and self.reference is None:
            raise ValueError("time_shifted is for simulator.entities.attribute")
        return self

    @property
    def reference(self) -> Reference | None:
        """The attribute of other entities; None for a value of the grids."""
        found = _REFERENCE.fullmatch(self.from_)
        return None if found is None else Reference(**found.groupdict())


class EntitiesSection(ExternalSection):
    """Entities of one model of a simulator: one at each bus, or some without a grid.

    Entities at a grid are its devices of the kind `external`; they need `p`. Others only give
    values to entities.
    """

    name: Name | None = None
    """Name in references and messages; default: the model's."""
    model: Annotated[str, Field(min_length=1)]
    """Model of the simulator."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of the model, the same for all these entities."""
    child: Annotated[str, Field(min_length=1)] | None = None
    """Model of children: one entity of `model` is created, and its children are these entities."""
    grid: str | None = None
    """Grid of the buses; without it the entities give values to others only."""
    p: PowerAttribute | None = None
    """Attribute with the active power; required with `grid`."""
    q: PowerAttribute | None = None
    """Attribute with the reactive power; 0 without it."""
    inputs: dict[Annotated[str, Field(min_length=1)], InputSection] = Field(default_factory=dict)
    """Attributes that the entities receive, and their sources."""

    @field_validator("parameters")
    @classmethod
    def _plain(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        return plain_parameters(parameters)

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        rules = sum(v is not None for v in (self.buses, self.count, self.share))
        if self.grid is not None:
            if rules != 1 or self.buses == ():
                raise ValueError(
                    f"model {shown(self.model)} at grid {shown(self.grid)} needs exactly one of "
                    "buses, count and share"
                )
            if self.p is None:
                raise ValueError(
                    f"model {shown(self.model)} at grid {shown(self.grid)} needs p: the attribute "
                    "with its active power"
                )
            return self
        for key in (*ExternalSection.model_fields, "p", "q"):
            stated = getattr(self, key) != type(self).model_fields[key].default
            if stated and key != "count":  # entities without a grid have a number, too
                raise ValueError(f"{key} needs a grid")
        return self

    @model_validator(mode="after")
    def _units(self) -> Self:
        for key, power, reactive in (("p", self.p, False), ("q", self.q, True)):
            if power is not None and power.reactive not in (None, reactive):
                accepted = "MVAr, kVAr, VAr" if reactive else "MW, kW, W"
                raise ValueError(
                    f"{key}: unit of {shown(power.attribute)} is {power.shown_unit}; {accepted} "
                    "are accepted"
                )
        if self.planned and not any(s.from_ == "set_point" for s in self.inputs.values()):
            raise ValueError("p_min_mw and p_max_mw need an input set_point, which the agent sends")
        for attribute, source in self.inputs.items():
            where = f"inputs.{attribute}"
            if source.from_ == "set_point" and not self.planned:
                raise ValueError(f"{where}: set_point needs p_min_mw and p_max_mw")
            if source.from_ in SIGNALS[:3] and (source.grid or self.grid) is None:
                raise ValueError(f"{where}: {source.from_} needs a grid")
            at_own = source.grid in (None, self.grid) and self.grid is not None
            if source.from_ == "voltage" and source.bus is None and not at_own:
                raise ValueError(f"{where}: voltage in another grid needs a bus")
        return self

    @property
    def label(self) -> str:
        """Name of these entities."""
        return self.name or self.model


class SimulatorSection(Section):
    """A mosaik simulator of the user: a Python class, a program, or one that listens already."""

    name: Name
    """Name of the simulator."""
    python: ClassName | None = None
    """Class `package.module:Class`, run in a process of its own."""
    command: Command | None = None
    """Program and arguments, without a shell; `%(addr)s` stands for the address to connect to."""
    connect: str | None = None
    """`host:port` at which the simulator listens."""
    bind: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address at which the run waits for a program of `command`."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Parameters of its method `init`."""
    start_deadline_s: Positive = 60.0
    """Longest time for its start."""
    step_deadline_s: Positive = 30.0
    """Longest time for an answer."""
    entities: Annotated[tuple[EntitiesSection, ...], Field(min_length=1)]
    """Its entities by model."""

    @field_validator("parameters")
    @classmethod
    def _plain(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        return plain_parameters(parameters)

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.name == "stackelgrid":
            raise ValueError(
                "the name stackelgrid is that of the world in inputs; another is accepted"
            )
        if sum(v is not None for v in (self.python, self.command, self.connect)) != 1:
            raise ValueError("exactly one of python, command and connect is accepted")
        if self.connect is not None:
            host_and_port(self.connect)
        if self.command is not None:
            require_address(self.name, self.command)
        labels = [entities.label for entities in self.entities]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(
                f"entities {shown(twice[0])} given twice; a name for each section is accepted"
            )
        return self


def plain_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters that JSON can hold, dates as text; raises ValueError for others."""

    def plain(value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            return {str(k): plain(v, f"{key}.{k}") for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v, f"{key}.{i}") for i, v in enumerate(value)]
        if isinstance(value, datetime | date | time):
            return str(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{key} = {value}: finite numbers are accepted")
        if isinstance(value, bool | int | float | str):
            return value
        raise ValueError(
            f"{key} = {shown(value)}: text, numbers, true, false, lists and sections are accepted"
        )

    return {str(key): plain(value, str(key)) for key, value in parameters.items()}


def entities_at(
    simulators: Sequence[SimulatorSection], grid: str
) -> Iterator[tuple[str, EntitiesSection]]:
    """Yield the entities at a grid in the order of the file, with their full keys."""
    for simulator in simulators:
        for entities in simulator.entities:
            if entities.grid == grid:
                yield entities_key(simulator.name, entities), entities


def entities_key(simulator: str, entities: EntitiesSection) -> str:
    """Return the full key of entities."""
    return f"simulators.{simulator}.{entities.label}"


def full_key(grid: str, key: str) -> str:
    """Return the full key of a section of devices, for messages."""
    return key if key.startswith("simulators.") else f"grids.{grid}.{key}"


def check_simulators(simulators: Sequence[SimulatorSection], levels: Mapping[str, str]) -> None:
    """Refuse unknown grids and references, and circles of references; raises ValueError.

    `levels` holds the level of each grid of the scenario.
    """
    names = [simulator.name for simulator in simulators]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"simulator {twice[0]!r} given twice")
    groups = {(s.name, e.label): e for s in simulators for e in s.entities}
    for (simulator, label), entities in groups.items():
        where = f"{simulator}.{label}"
        _check_grid(entities.grid, where, levels)
        _check_feeder(entities.grid, where, levels)
        for attribute, source in entities.inputs.items():
            at = f"{where}: inputs.{attribute}"
            _check_grid(source.grid, at, levels)
            if source.from_ == "price":
                _check_feeder(source.grid or entities.grid, at, levels)
            if source.reference is not None and source.reference[:2] not in groups:
                known = ", ".join(f"{a}.{b}" for a, b in groups)
                raise ValueError(f"{at}: {source.from_!r} unknown; entities are: {known}")
    _check_circles(simulators)


def check_rated(simulators: Sequence[SimulatorSection]) -> None:
    """Refuse devices without a largest power; raises ValueError."""
    for simulator in simulators:
        for e in simulator.entities:
            if e.grid is not None and not e.planned and e.p_rated_mw is None:
                raise ValueError(
                    f"{simulator.name}.{e.label}: needs p_rated_mw, because agents that negotiate "
                    "by messages are enrolled with their largest power"
                )


def _check_feeder(grid: str | None, where: str, levels: Mapping[str, str]) -> None:
    if grid is not None and levels[grid] == "transmission":
        raise ValueError(f"{where}: grid {grid!r} is a transmission grid; mv and lv are accepted")


def _check_grid(grid: str | None, where: str, levels: Mapping[str, str]) -> None:
    if grid is not None and grid not in levels:
        raise ValueError(f"{where}: grid {grid!r} unknown; known: {', '.join(levels)}")


def _check_circles(simulators: Sequence[SimulatorSection]) -> None:
    """Refuse simulators that need each other's values of the same time."""
    needs = {
        simulator.name: [
            source.reference.simulator
            for entities in simulator.entities
            for source in entities.inputs.values()
            if source.reference is not None and not source.time_shifted
        ]
        for simulator in simulators
    }
    free: set[str] = set()
    while ready := {name for name in needs if name not in free and free.issuperset(needs[name])}:
        free |= ready
    circle = [name for name in needs if name not in free]
    if circle:
        raise ValueError(
            f"the values of {' and '.join(circle)} depend on each other at the same time; "
            "time_shifted = true with an initial value in one of them is accepted"
        )
