"""A user's simulator that runs: its entities, its steps, and checks of what it returns."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from mosaik_api_v3.types import InputData, OutputRequest

from stackelgrid.simulators.external.errors import WiringError
from stackelgrid.simulators.external.meta import Model, SimulatorMeta
from stackelgrid.simulators.external.wiring import EntityGroup, UserSimulator
from stackelgrid.simulators.remote.connection import Connection, RemoteError

_STATE_METHODS = frozenset({"state", "restore"})
_LARGEST = 1e300  # integers of JSON may be too large for a float
_SHORT = 40  # characters of a wrong value in a message


@dataclass(frozen=True)
class Link:
    """Connection to a user's simulator to which `init` has been sent.

    start_deadline_s: deadline in s of each answer before the run begins.
    """

    connection: Connection
    start_deadline_s: float

    @classmethod
    def begun(
        cls, connection: Connection, parameters: Mapping[str, Any], start_deadline_s: float
    ) -> Self:
        """Send `init` with these parameters; times are in s."""
        init = {"time_resolution": 1.0, **parameters}
        connection.send(start_deadline_s, "init", connection.name, **init)
        return cls(connection, start_deadline_s)


class RunningSimulator:
    """Requests to one user's simulator, whose entities are created by `begin_create`.

    described: its groups of entities and its deadline.
    link: connection to it.
    when: name of a simulated time, for messages.

    `entities` holds the entity ids of each group, `models` their model, `outputs` the attributes
    that are read after each step, and `due` the times in s of the steps that are known.
    """

    def __init__(self, described: UserSimulator, link: Link, when: Callable[[int], str]) -> None:
        self.name = described.name
        self.groups = {group.name: group for group in described.groups}
        self.entities: dict[str, tuple[str, ...]] = {}
        self.models: dict[str, Model] = {}
        self.outputs: OutputRequest = {}
        self.due: set[int] = set()
        self._connection, self._when = link.connection, when
        self._deadline_s, self._start_s = described.step_deadline_s, link.start_deadline_s

    # ------------------------------------------------------------------ before the run

    def begin_create(self) -> None:
        """Check META and send the requests for all entities; raises WiringError, RemoteError."""
        self.meta = SimulatorMeta(self.name, self._connection.receive())
        for group in self.groups.values():
            created = self.meta.model(group.model)
            self.meta.check_parameters(created, group.parameters)
            model = self.meta.model(group.child, public=False) if group.child else created
            self.models[group.name] = model
            for attribute in group.inputs:
                self.meta.check_attribute(model, attribute, model.inputs)
            for reading in (*group.readings, group.plan):
                if reading is not None:
                    self.meta.check_attribute(model, reading.attribute, model.outputs)
        for group in self.groups.values():
            number = 1 if group.child else group.count
            self._connection.send(self._start_s, "create", number, group.model, **group.parameters)

    def end_create(self) -> None:
        """Wait for the entities; raises WiringError unless they are those requested."""
        for group in self.groups.values():
            self.entities[group.name] = self._created(group, self._connection.receive())
        ids = [eid for own in self.entities.values() for eid in own]
        twice = next((eid for eid in ids if ids.count(eid) > 1), None)
        if twice is not None:
            raise self._misfit(f"create returned the entity {twice} twice")
        self._model_of = {
            eid: self.models[group] for group, own in self.entities.items() for eid in own
        }
        self._connection.send(self._start_s, "setup_done")

    def read(self, group: str, index: int, attribute: str) -> str:
        """Read an attribute of an entity after each step; return the id of the entity."""
        model, eid = self.models[group], self.entities[group][index]
        self.meta.check_attribute(model, attribute, model.outputs)
        attributes = self.outputs.setdefault(eid, [])
        if attribute not in attributes:
            attributes.append(attribute)
        return eid

    def end_setup(self) -> None:
        """Wait until the simulator has finished its set-up."""
        self._connection.receive()

    def _created(self, group: EntityGroup, answer: object) -> tuple[str, ...]:
        number = 1 if group.child else group.count
        found = answer if isinstance(answer, list) else []
        if len(found) != number:
            raise self._misfit(
                f"create returned {len(found)} entities of {group.model}; {number} are accepted"
            )
        if group.child:
            children = found[0].get("children") or [] if isinstance(found[0], Mapping) else []
            found = [c for c in children if isinstance(c, Mapping) and c.get("type") == group.child]
            if len(found) != group.count:
                raise self._misfit(
                    f"{group.model} has {len(found)} children of the model {group.child}; "
                    f"{group.count} are accepted"
                )
        ids: list[str] = []
        for entity in found:
            eid = entity.get("eid") if isinstance(entity, Mapping) else None
            if not isinstance(eid, str):
                raise self._misfit(
                    f"create returned an entity of {group.model} with the eid {eid!r:.{_SHORT}}; "
                    "text is accepted"
                )
            ids.append(eid)
        return tuple(ids)

    def _misfit(self, text: str) -> WiringError:
        return WiringError(f"simulator {self.name}: {text}")

    # ------------------------------------------------------------------ steps

    def begin_step(self, time: int, inputs: InputData, max_advance: int) -> None:
        """Send the inputs of a step and the request for its outputs."""
        self.due.discard(time)
        try:
            self._connection.send(self._deadline_s, "step", time, inputs, max_advance)
            if self.outputs:
                self._connection.send(self._deadline_s, "get_data", self.outputs)
        except RemoteError as error:
            raise self._at(error, time) from None

    def end_step(self, time: int) -> tuple[int, dict[tuple[str, str], Any]]:
        """Wait for a step; return the time of its outputs, and these by entity and attribute.

        Raises RemoteError for a next step that is not later, and for missing outputs.
        """
        try:
            following = self._connection.receive()
            data = self._connection.receive() if self.outputs else {}
        except RemoteError as error:
            raise self._at(error, time) from None
        if type(following) is not int and (following is not None or self.meta.type == "time-based"):
            raise self.error(
                f"step returned {following!r:.{_SHORT}} as the time of the next step", time,
                "an integer in s" + ("" if self.meta.type == "time-based" else " or None"),
            )  # fmt: skip
        if following is not None:
            if following <= time:
                raise self.error(
                    f"step returned {following} as the time of the next step, not later than "
                    f"{time}, the present one,", time, f"a time from {time + 1} on",
                )  # fmt: skip
            self.due.add(following)
        return self._outputs(time, data)

    def _outputs(self, time: int, data: object) -> tuple[int, dict[tuple[str, str], Any]]:
        given = data if isinstance(data, Mapping) else {}
        at = given.get("time", time) if "time" not in self.outputs else time
        if type(at) is not int or at < time:
            raise self.error(
                f"get_data returned the time {at!r:.{_SHORT}}", time, f"a time from {time} on"
            )
        values: dict[tuple[str, str], Any] = {}
        for eid, attributes in self.outputs.items():
            own = given.get(eid)
            for attribute in attributes:
                if isinstance(own, Mapping) and attribute in own:
                    values[eid, attribute] = own[attribute]
                elif attribute not in self._model_of[eid].events:
                    raise self.error(f"{attribute} of {eid} is missing", time, "a value")
        return at, values

    def number(self, eid: str, attribute: str, value: object, time: int) -> float:
        """Return a finite number; raises RemoteError for anything else."""
        accepted = "a finite number"
        if isinstance(value, int | float) and not isinstance(value, bool):
            if abs(value) < _LARGEST:  # neither NaN nor infinite
                return float(value)
            if isinstance(value, int) or math.isfinite(value):
                accepted = f"a number below {_LARGEST:g} in size"
        raise self.error(f"{attribute} of {eid} is {value!r:.{_SHORT}}", time, accepted)

    def error(self, text: str, time: int, accepted: str) -> RemoteError:
        """Return the error for an answer to the step at a time."""
        return RemoteError(
            f"simulator {self.name}: {text} at {self._when(time)}; {accepted} is accepted"
        )

    def _at(self, error: RemoteError, time: int) -> RemoteError:
        return RemoteError(f"{error} (step at {self._when(time)})")

    # ------------------------------------------------------------------ state

    @property
    def unsaved(self) -> str:
        """Reason why its state cannot be saved; empty if it can."""
        if self.meta.extra_methods >= _STATE_METHODS:
            return ""
        return f"simulator {self.name} has no extra methods state and restore"

    def state(self) -> Any:
        """Return the state of the simulator, as JSON carries it."""
        try:
            return self._connection.call(self._deadline_s, "state")
        except RemoteError as error:
            raise RemoteError(f"{error} (in its method state)") from error

    def restore(self, state: Any) -> None:
        """Send a saved state back to the simulator."""
        self._connection.call(self._deadline_s, "restore", state)
