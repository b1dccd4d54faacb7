"""TSO, DSO and LMO agents as one time-based mosaik simulator around the mosaik-free controller.

All agents live in one simulator: their negotiation happens inside a step, mosaik sees measurements
in and set points out.
"""

import time as wall
from collections.abc import Mapping
from typing import Any

import mosaik_api_v3
import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.controllers.coordination.protocol import Controller
from stackelgrid.controllers.errors import StackelgridError
from stackelgrid.controllers.networks.devices import Devices
from stackelgrid.controllers.schedule import Decision, Measurement, Plan
from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.attributes import AGENT, only_value, time_based_model_meta
from stackelgrid.simulators.timings import Timings

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        kind: time_based_model_meta(AGENT, ["grid", "devices"]) for kind in ("Tso", "Dso", "Lmo")
    },
}


class ControllerError(StackelgridError):
    """A controller returned something that cannot be applied."""


class AgentSimulator(mosaik_api_v3.Simulator):
    """One entity an agent; entity ids are the names of their grids."""

    def __init__(self) -> None:
        super().__init__(META)
        self._devices: dict[str, Devices] = {}
        self._measured: dict[str, Measurement] = {}
        self._decision: Decision | None = None

    def init(  # type: ignore[override]
        self,
        sid: str,
        time_resolution: float = 1.0,
        *,
        interval_s: int,
        controller: Controller,
        timings: Timings,
    ) -> Meta:
        """Take the controller that decides for all agents."""
        self._interval_s = interval_s
        self._controller = controller
        self._timings = timings
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        """Create the agent of one grid."""
        self._devices[model_params["grid"]] = model_params["devices"]
        return [{"eid": model_params["grid"], "type": model}]

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        """Let the controller decide on the measurements of the interval before."""
        interval = time // self._interval_s
        self._measured = {
            name: self._measurement(name, inputs.get(name, {})) for name in self._devices
        }
        started = wall.perf_counter()
        self._decision = self._controller.decide(interval, self._measured)
        self._timings.solve_s += wall.perf_counter() - started
        for name, plan in self._decision.plans.items():
            self._check(name, plan)
        return time + self._interval_s

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Set points, and the plan for the record."""
        assert self._decision is not None
        data: dict[str, dict[str, Any]] = {}
        for eid, attributes in outputs.items():
            plan = self._decision.plans.get(eid)
            values: dict[str, Any] = {
                "plan": plan,
                "energy_used_mwh": self._measured[eid].battery_e_mwh,
            }
            if plan is not None:
                s = plan.set_points
                values |= {
                    "battery_p_set_mw": s.battery_p_mw,
                    "pv_p_set_mw": s.pv_p_mw,
                    "pv_q_set_mvar": s.pv_q_mvar,
                    "unit_p_set_mw": s.unit_p_mw,
                }
            data[eid] = {a: values.get(a) for a in attributes}
        return data

    def _measurement(self, name: str, inputs: Mapping[str, dict[str, Any]]) -> Measurement:
        energy = only_value(inputs.get("battery_e_mwh", {}))
        if energy is None:
            energy = self._devices[name].batteries.e_initial_mwh
        vm = only_value(inputs.get("vm_pu", {}))
        tap = only_value(inputs.get("tap_pos", {}))
        return Measurement(
            vm_pu=1.0 if vm is None else float(vm),
            tap_pos=0 if tap is None else int(tap),
            battery_e_mwh=np.asarray(energy, dtype=float),
        )

    def _check(self, name: str, plan: Plan) -> None:
        """Refuse set points that are not finite, of a user's controller above all."""
        kind = type(self._controller).__name__
        if name not in self._devices:
            known = ", ".join(self._devices)
            raise ControllerError(
                f"controller {kind}: plan for unknown grid {name!r}; known: {known}"
            )
        s, d = plan.set_points, self._devices[name]
        batteries, systems, units = d.batteries.index, d.photovoltaics.index, d.units.index
        arrays: tuple[tuple[str, Floats, int], ...] = (
            ("battery_p_mw", s.battery_p_mw, len(batteries)),
            ("pv_p_mw", s.pv_p_mw, len(systems)),
            ("pv_q_mvar", s.pv_q_mvar, len(systems)),
            ("unit_p_mw", s.unit_p_mw, len(units)),
        )
        for quantity, values, count in arrays:
            if np.shape(values) != (count,) or not np.isfinite(values).all():
                raise ControllerError(
                    f"controller {kind}: {quantity} for grid {name} has shape {np.shape(values)} "
                    f"or values that are not finite; {count} finite set points are accepted"
                )
