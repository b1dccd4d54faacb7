"""The agents of a scenario as a separate simulator, built from the scenario that it receives."""

from collections.abc import Mapping
from typing import Any

from mosaik_api_v3.types import CreateResult, Meta, OutputData, OutputRequest

from stackelgrid.profiles.plain_state import StateError
from stackelgrid.profiles.stateful import Stateful
from stackelgrid.scenarios.build.system import BuiltScenario, build_scenario
from stackelgrid.scenarios.remote.grid_server import (
    loaded_content,
    plain_data,
    state_of_text,
    text_of_state,
)
from stackelgrid.simulators.agents import META, AgentSimulator
from stackelgrid.simulators.remote.decision_text import decision_text
from stackelgrid.simulators.timings import Timings


class AgentServer(AgentSimulator):
    """Simulator of all agents of a scenario; it builds their controller in its own process."""

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        scenario: Mapping[str, Any],
        folder: str,
        **_: Any,
    ) -> Meta:
        """Receive the resolved scenario; the first agent created builds the controller."""
        self._content, self._folder, self._sid = scenario, folder, sid
        self._built: BuiltScenario | None = None
        self._no_state = ""
        return {**META, "extra_methods": ["decision", "state", "restore", "unsaved"]}

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        """Create the agent of one grid."""
        if self._built is None:
            loaded = loaded_content(self._content, self._folder)
            self._built = build_scenario(loaded)
            super().init(
                self._sid,
                interval_s=60 * loaded.scenario.time.interval_min,
                controller=self._built.controller,
                timings=Timings(),
                observe=lambda interval, decision: None,
            )
        grid = model_params["grid"]
        devices, forecast = self._built.devices[grid], self._built.system.forecast(grid)
        return super().create(num, model, grid=grid, devices=devices, forecast=forecast)

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Return set points as plain numbers; plans are sent with the decision."""
        numbers = {e: [a for a in attributes if a != "plan"] for e, attributes in outputs.items()}
        return plain_data(super().get_data(numbers))

    def decision(self) -> dict[str, Any]:
        """Return the whole decision of the last step, for the record."""
        assert self._decision is not None
        return {
            "decision": decision_text(self._decision),
            "certificate_s": getattr(self.controller, "certificate_s", None),
        }

    def unsaved(self) -> str:
        """Return the reason why the controller's state cannot be saved; empty if it can."""
        if isinstance(self.controller, Stateful):
            return self._no_state
        return f"controller {type(self.controller).__name__} has no methods state and restore"

    def state(self) -> str | None:
        """Return the controller's state as text; None if it is not plain data."""
        assert isinstance(self.controller, Stateful)
        try:
            return text_of_state(self.controller.state())
        except StateError as error:
            self._no_state = str(error)
            return None

    def restore(self, carried: str) -> None:
        """Restore the controller's state from its text; raises StateError."""
        assert isinstance(self.controller, Stateful)
        self.controller.restore(state_of_text(carried))
