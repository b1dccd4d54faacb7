"""Controller whose agents run in another process."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stackelgrid.controllers.decision import Decision
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.profiles.plain_state import StateError
from stackelgrid.simulators.remote.connection import Connection, RemoteError
from stackelgrid.simulators.remote.decision_text import DecisionError, decision_of


class RemoteController:
    """Controller that requests each decision from a simulator behind a connection.

    `certificate_s` is the time spent on certificates there, if it is reported; `unsaved` the reason
    why the state of the agents cannot be saved, "" if it can.

    connection: connection to the simulator.
    init: parameters of its `init`.
    agents: kind and grid of each agent.
    interval_s: length of an interval in s.
    start_deadline_s, step_deadline_s: deadlines of its first answers and of a decision, s.
    """

    def __init__(
        self,
        connection: Connection,
        init: Mapping[str, Any],
        agents: Sequence[tuple[str, str]],
        interval_s: int,
        start_deadline_s: float,
        step_deadline_s: float,
    ) -> None:
        self.certificate_s: float | None = None
        self.unsaved = f"simulator {connection.name} has no methods state and restore"
        self._connection, self._interval_s = connection, interval_s
        self._deadline_s = step_deadline_s
        start = start_deadline_s
        connection.send(start, "init", connection.name, time_resolution=1.0, **init)
        for kind, grid in agents:
            connection.send(start, "create", 1, kind, grid=grid)
        connection.send(start, "setup_done")
        self._starting = len(agents) + 2

    def started(self) -> None:
        """Wait until the agents are built; raises RemoteError."""
        if not self._starting:
            return
        meta = self._connection.receive()
        for _ in range(self._starting - 1):
            self._connection.receive()
        self._starting = 0
        methods = set(meta.get("extra_methods") or ()) if isinstance(meta, dict) else set()
        if "decision" not in methods:
            raise RemoteError(f"simulator {self._connection.name}: has no method decision")
        if {"state", "restore", "unsaved"} <= methods:
            self.unsaved = str(self._connection.call(self._deadline_s, "unsaved"))

    def decide(self, interval: int, measured: Mapping[str, Measurement]) -> Decision:
        """Return the decision on these measurements; raises RemoteError."""
        inputs = {
            name: {
                "vm_pu": {"grid": m.vm_pu},
                "tap_pos": {"grid": m.tap_pos},
                "p_import_mw": {"grid": m.peak_import_mw},  # agents keep the highest one
                **{state: {"fleet": np.asarray(v)} for state, v in m.devices.items()},
            }
            for name, m in measured.items()
        }
        time, link = interval * self._interval_s, self._connection
        link.call(self._deadline_s, "step", time, inputs, time + self._interval_s)
        answer = link.call(self._deadline_s, "decision")
        try:
            self.certificate_s = answer["certificate_s"]
            return decision_of(answer["decision"])
        except (TypeError, KeyError, DecisionError) as error:
            raise RemoteError(f"simulator {link.name}: its answer is {error}") from None

    def state(self) -> str:
        """Return the opaque state of the agents; raises StateError if it cannot be saved."""
        state = self._connection.call(self._deadline_s, "state")
        if state is None:
            raise StateError(str(self._connection.call(self._deadline_s, "unsaved")))
        return str(state)

    def restore(self, state: str) -> None:
        """Send the saved state back to the agents."""
        self._connection.call(self._deadline_s, "restore", state)
