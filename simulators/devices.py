"""The devices of all kinds as a time-based mosaik simulator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import mosaik_api_v3
import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.networks.power_flow import bus_power
from stackelgrid.profiles.arrays import Floats, Ints
from stackelgrid.profiles.forecast import GridSeries
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.simulators.attributes import (
    FLEET,
    GIVEN,
    SET_POINTS,
    only_value,
    time_based_model_meta,
)

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {"Fleet": time_based_model_meta(FLEET, ["grid"])},
}


@dataclass
class Fleet(Carrying):
    """All devices of one grid in the physical world, and their physics.

    `bus_index` orders the arrays over buses; `gens` are the positions, among all devices, of the
    voltage-controlling generators of the net in its order (without the slack). `given` are the
    values of other simulators for the interval.
    """

    name: str
    devices: Devices
    bus_index: tuple[int, ...]
    gens: Ints
    series: GridSeries
    states: dict[str, Floats] = field(init=False)
    set_points: dict[str, Floats] = field(init=False, default_factory=dict)
    given: dict[str, Floats] = field(init=False, default_factory=dict)

    carried: ClassVar[tuple[str, ...]] = ("states", "set_points")

    def __post_init__(self) -> None:
        self.states = {name: values.copy() for name, values in self.devices.initial.items()}
        where = {b: i for i, b in enumerate(self.bus_index)}
        self._members = [
            (member, np.array([where[int(b)] for b in member.bus], dtype=np.int64))
            for member in sorted(self.devices.members, key=lambda member: member.injects)
        ]

    def step(self, interval: int, dt_h: float) -> dict[str, Any]:
        """Apply set points for one interval; devices without any run as they are delivered."""
        n, series = len(self.bus_index), {**self.series.row(interval), **self.given}
        bus_p, bus_q = np.zeros((2, n))
        outputs: dict[str, Floats] = {}
        for member, at in self._members:
            own = member.deliver(self.set_points, series, self.states, dt_h)
            p, q = member.consumption(own)
            bus_p = bus_p + bus_power(n, at, p)
            if q is not None:
                bus_q = bus_q + bus_power(n, at, q)
            outputs |= own
        before, self.states = self.states, {name: outputs[name] for name in self.states}
        gen_p = self.devices.column(outputs, "p_mw")[self.gens]
        powers = {"bus_p_mw": bus_p, "bus_q_mvar": bus_q, "gen_p_mw": gen_p}
        return {**powers, "states_before": before, **outputs}


class DeviceSimulator(mosaik_api_v3.Simulator):
    """Simulator with one entity for each grid: its fleet of devices."""

    def __init__(self) -> None:
        super().__init__(META)
        self._fleets: dict[str, Fleet] = {}
        self._results: dict[str, dict[str, Any]] = {}

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        interval_s: int,
        fleets: Sequence[Fleet],
        first_interval: int = 0,
    ) -> Meta:
        """Store the fleets of this simulator; time 0 is the start of `first_interval`."""
        self._interval_s, self._first_interval = interval_s, first_interval
        self._available = {f.name: f for f in fleets}
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        """Create one fleet by the name of its grid."""
        fleet = self._available[model_params["grid"]]
        self._fleets[fleet.name] = fleet
        return [{"eid": fleet.name, "type": "Fleet"}]

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        """Take the set points and apply them until the next interval."""
        for eid, attributes in inputs.items():
            self._take(self._fleets[eid], attributes)
        interval = self._first_interval + time // self._interval_s
        dt_h = self._interval_s / 3600.0
        self._results = {n: f.step(interval, dt_h) for n, f in self._fleets.items()}
        return time + self._interval_s

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Return the delivered powers and states of the devices."""
        return {e: {a: self._results[e][a] for a in attrs} for e, attrs in outputs.items()}

    @staticmethod
    def _take(fleet: Fleet, attributes: Mapping[str, dict[str, Any]]) -> None:
        for quantity in SET_POINTS:
            values = only_value(attributes.get(quantity.attribute, {}))
            if values is not None:
                fleet.set_points[quantity.name] = np.asarray(values, dtype=float)
        for quantity in GIVEN:
            values = only_value(attributes.get(quantity.name, {}))
            if values is not None:
                fleet.given[quantity.name] = np.asarray(values, dtype=float)
