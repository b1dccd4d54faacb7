"""Some grids of a scenario as a simulator of their own, built from the scenario they are sent."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.profiles.plain_state import StateError, bytes_of_state, state_of_bytes
from stackelgrid.scenarios.grids import build_grids
from stackelgrid.scenarios.load import LoadedScenario
from stackelgrid.scenarios.physical import simulated_grid
from stackelgrid.scenarios.schema import Scenario
from stackelgrid.simulators.attributes import GRID
from stackelgrid.simulators.connection import plain
from stackelgrid.simulators.grid import META, GridSimulator
from stackelgrid.simulators.timings import Timings

_ARRAYS = {a.name for a in GRID if a.shape}


def loaded_content(scenario: Mapping[str, Any], folder: str) -> LoadedScenario:
    """Scenario of a resolved content; raises a pydantic ValidationError."""
    content = Scenario.model_validate(scenario)
    return LoadedScenario(content, content.name, Path(folder))


def plain_data(data: OutputData) -> OutputData:
    """Results with lists and numbers of Python in place of numpy's."""
    return {
        eid: {a: plain(v) if isinstance(v, np.ndarray | np.generic) else v for a, v in own.items()}
        for eid, own in data.items()
    }


def text_of_state(state: Any) -> str:
    """Text of a state."""
    return base64.b64encode(bytes_of_state(state)).decode("ascii")


def state_of_text(text: str) -> Any:
    """State of a text; raises StateError."""
    try:
        return state_of_bytes(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise StateError(f"no state ({error})") from error


class GridServer(GridSimulator):
    """Some grids of a scenario, built here."""

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
        """Take the resolved scenario; the grids are built when they are created."""
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
        """Step with arrays in place of the lists that came."""
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
        """Results as plain numbers."""
        return plain_data(super().get_data(outputs))

    def state(self, grid: str) -> dict[str, Any]:
        """What a grid carries to the next interval, and what its agent has measured of it."""
        simulated = self._grids[grid]
        return {
            "carried": text_of_state(simulated.state()),
            "vm_pu": simulated.vm_pu,
            "tap_pos": simulated.tap_pos,
        }

    def restore(self, grid: str, carried: str) -> None:
        """Take what a grid carried; raises StateError."""
        self._grids[grid].restore(state_of_text(carried))
