"""Some grids of a scenario as a separate simulator, built from the scenario that it receives."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.profiles.plain_state import StateError, bytes_of_state, state_of_bytes
from stackelgrid.scenarios.build.grids import build_grids
from stackelgrid.scenarios.build.physical import simulated_grid
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.simulators.attributes import GRID
from stackelgrid.simulators.grid import META, GridSimulator
from stackelgrid.simulators.remote.connection import plain
from stackelgrid.simulators.timings import Timings

_ARRAYS = {a.name for a in GRID if a.shape}


def loaded_content(scenario: Mapping[str, Any], folder: str) -> LoadedScenario:
    """Return the scenario of resolved content; raises a pydantic ValidationError."""
    content = Scenario.model_validate(scenario)
    return LoadedScenario(content, content.name, Path(folder))


def plain_data(data: OutputData) -> OutputData:
    """Return results with Python lists and numbers in place of numpy's."""
    return {
        eid: {a: plain(v) if isinstance(v, np.ndarray | np.generic) else v for a, v in own.items()}
        for eid, own in data.items()
    }


def text_of_state(state: Any) -> str:
    """Encode a state as text."""
    return base64.b64encode(bytes_of_state(state)).decode("ascii")


def state_of_text(text: str) -> Any:
    """Decode a state from its text; raises StateError."""
    try:
        return state_of_bytes(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise StateError(f"no state ({error})") from error


class GridServer(GridSimulator):
    """Simulator of some grids of a scenario; it builds them in its own process."""

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        scenario: Mapping[str, Any],
        folder: str,
        clock: list[str],
        **_: Any,
    ) -> Meta:
        """Receive the resolved scenario; the grids are built when they are created."""
        self._content, self._folder = scenario, folder
        self._start: tuple[str, dict[int, str]] | None = (sid, dict(enumerate(clock)))
        return {**META, "extra_methods": ["state", "restore"]}

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        """Create one grid by name; the first one builds all nets."""
        if self._start is not None:
            (sid, clock), self._start = self._start, None
            loaded = loaded_content(self._content, self._folder)
            scenario, nets = loaded.scenario, build_grids(loaded)
            super().init(
                sid,
                interval_s=60 * scenario.time.interval_min,
                grids=[simulated_grid(net, nets, scenario) for net in nets.values()],
                timings=Timings(),
                clock=clock,
            )
        return super().create(num, model, **model_params)

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        """Convert received lists to arrays and step."""
        arrays: InputData = {
            eid: {
                attribute: {
                    source: np.array(value, dtype=np.float64) if attribute in _ARRAYS else value
                    for source, value in sources.items()
                }
                for attribute, sources in attributes.items()
            }
            for eid, attributes in inputs.items()
        }
        return super().step(time, arrays, max_advance)

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Return results as plain numbers."""
        return plain_data(super().get_data(outputs))

    def state(self, grid: str) -> dict[str, Any]:
        """Return a grid's state after the interval, and the measurements of its agent."""
        simulated = self._grids[grid]
        return {
            "carried": text_of_state(simulated.state()),
            "vm_pu": simulated.vm_pu,
            "tap_pos": simulated.tap_pos,
        }

    def restore(self, grid: str, carried: str) -> None:
        """Restore the state of a grid; raises StateError."""
        self._grids[grid].restore(state_of_text(carried))
