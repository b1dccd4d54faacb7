"""Users' simulators as one time-based simulator of the world, stepped before the devices."""

from typing import Any

import mosaik_api_v3
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.simulators.attributes import EXTERNAL, only_value, time_based_model_meta
from stackelgrid.simulators.external.host import ExternalHost, ExternalPowers

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {"Externals": time_based_model_meta(EXTERNAL, ["grid"])},
}


class ExternalSimulator(mosaik_api_v3.Simulator):
    """Simulator with one entity for each grid: its external devices; ids are names of grids."""

    def __init__(self) -> None:
        super().__init__(META)
        self._powers: dict[str, ExternalPowers] = {}

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        interval_s: int,
        host: ExternalHost,
        first_interval: int = 0,
    ) -> Meta:
        """Store the host, which has started; time 0 is the start of `first_interval`."""
        self._interval_s, self._first_interval = interval_s, first_interval
        self._host = host
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        """Create the external devices of one grid by its name."""
        return [{"eid": model_params["grid"], "type": model}]

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        """Advance the users' simulators through the interval."""
        interval = self._first_interval + time // self._interval_s
        world = {
            grid: {name: only_value(sources) for name, sources in attributes.items()}
            for grid, attributes in inputs.items()
        }
        self._powers = self._host.advance(interval, world)
        return time + self._interval_s

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Return the powers of the interval and the announced plans."""
        return {
            grid: {a: getattr(self._powers[grid], a.removeprefix("external_")) for a in attributes}
            for grid, attributes in outputs.items()
        }
