"""Loads, photovoltaics, batteries and dispatchable units as a time-based mosaik simulator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import mosaik_api_v3
import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.controllers.device_limits import battery_step, pv_output, unit_output
from stackelgrid.controllers.networks.devices import Devices
from stackelgrid.controllers.networks.power_flow import bus_power
from stackelgrid.profiles.arrays import Floats, Ints
from stackelgrid.profiles.forecast import GridSeries
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.simulators.attributes import FLEET, Flow, names, only_value, time_based_model_meta

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {"Fleet": time_based_model_meta(FLEET, ["grid"])},
}
_SET_POINTS = names(FLEET, Flow.INPUT)


@dataclass
class Fleet(Carrying):
    """All devices of one grid in the physical world, and their physics.

    `bus_index` orders the arrays over buses; `gens` are the positions of those units that are
    voltage-controlling generators of the net, in its order (without the slack unit).
    """

    name: str
    devices: Devices
    bus_index: tuple[int, ...]
    gens: Ints
    series: GridSeries
    battery_e_mwh: Floats = field(init=False)
    set_points: dict[str, Floats] = field(init=False, default_factory=dict)

    carried: ClassVar[tuple[str, ...]] = ("battery_e_mwh", "set_points")

    def __post_init__(self) -> None:
        self.battery_e_mwh = self.devices.batteries.e_initial_mwh.copy()
        where = {b: i for i, b in enumerate(self.bus_index)}

        def positions(bus: Ints) -> Ints:
            return np.array([where[int(b)] for b in bus], dtype=np.int64)

        d = self.devices
        self._load_at, self._pv_at = positions(d.loads.bus), positions(d.photovoltaics.bus)
        self._battery_at, self._unit_at = positions(d.batteries.bus), positions(d.units.bus)
        # generators and the slack enter the power flow on their own
        self._injecting = np.array([t == "sgen" for t in d.units.table], dtype=bool)

    def step(self, interval: int, dt_h: float) -> dict[str, Floats]:
        """Apply set points for one interval; without any, batteries idle and PV runs free."""
        d, s = self.devices, self.series
        load_p, load_q = s.load_p_mw[interval], s.load_q_mvar[interval]
        available = s.pv_available_mw[interval]
        zeros = np.zeros(len(d.units.index))
        asked_battery = self.set_points.get("battery_p_set_mw", np.zeros(len(d.batteries.index)))
        asked_pv = self.set_points.get("pv_p_set_mw", available)
        limit = self.set_points.get("pv_p_max_mw", d.photovoltaics.sn_mva)
        asked_q = self.set_points.get("pv_q_set_mvar", np.zeros_like(available))
        asked_unit = self.set_points.get("unit_p_set_mw", zeros)
        before = self.battery_e_mwh
        battery_p, self.battery_e_mwh = battery_step(d.batteries, before, asked_battery, dt_h)
        pv_p, pv_q = pv_output(d.photovoltaics, available, asked_pv, asked_q, limit)
        unit_p = unit_output(d.units, asked_unit)

        n = len(self.bus_index)
        injecting = np.where(self._injecting, unit_p, 0.0)
        bus_p = (
            bus_power(n, self._load_at, load_p)
            + bus_power(n, self._battery_at, battery_p)
            - bus_power(n, self._pv_at, pv_p)
            - bus_power(n, self._unit_at, injecting)
        )
        bus_q = bus_power(n, self._load_at, load_q) - bus_power(n, self._pv_at, pv_q)
        return {
            "bus_p_mw": bus_p,
            "bus_q_mvar": bus_q,
            "gen_p_mw": unit_p[self.gens],
            "load_p_mw": load_p,
            "load_q_mvar": load_q,
            "battery_asked_mw": asked_battery,
            "battery_p_mw": battery_p,
            "battery_e_start_mwh": before,
            "battery_e_mwh": self.battery_e_mwh,
            "pv_available_mw": available,
            "pv_asked_mw": asked_pv,
            "pv_limit_mw": limit,
            "pv_p_mw": pv_p,
            "pv_q_mvar": pv_q,
            "unit_asked_mw": asked_unit,
            "unit_p_mw": unit_p,
        }


class DeviceSimulator(mosaik_api_v3.Simulator):
    """Simulator with one entity for each grid: its fleet of devices."""

    def __init__(self) -> None:
        super().__init__(META)
        self._fleets: dict[str, Fleet] = {}
        self._results: dict[str, dict[str, Floats]] = {}

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
        for name in _SET_POINTS:
            values = only_value(attributes.get(name, {}))
            if values is not None:
                fleet.set_points[name] = np.asarray(values, dtype=float)
