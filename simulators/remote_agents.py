"""Agents in another process: the controller that asks them for each decision."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stackelgrid.controllers.decision import Decision
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.profiles.plain_state import StateError
from stackelgrid.simulators.connection import Connection, RemoteError
from stackelgrid.simulators.decision_text import DecisionError, decision_of


class RemoteController:
    """Controller whose decisions are those of a simulator of agents behind a connection.

    `agents` are kind and grid of each. Its first answers may take `start_deadline_s`, a decision
    `step_deadline_s`. `certificate_s` is the time spent on certificates there, if it is told;
    `unsaved` why the state of the agents cannot be saved, "" if it can.
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
        """Decision on these measurements; raises RemoteError."""
        inputs = {
            name: {
                "vm_pu": {"grid": m.vm_pu},
                "tap_pos": {"grid": m.tap_pos},
                "battery_e_mwh": {"fleet": np.asarray(m.battery_e_mwh)},
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
            raise RemoteError(f"simulator {link.name}: what it answers is {error}") from None

    def state(self) -> str:
        """What the agents carry, which only they can read; raises StateError if it is no state."""
        state = self._connection.call(self._deadline_s, "state")
        if state is None:
            raise StateError(str(self._connection.call(self._deadline_s, "unsaved")))
        return str(state)

    def restore(self, state: str) -> None:
        """Hand back what the agents carried."""
        self._connection.call(self._deadline_s, "restore", state)
