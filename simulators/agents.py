"""TSO, DSO and LMO agents as one time-based mosaik simulator around the mosaik-free controller.

One simulator contains all agents: their negotiation happens inside a step, mosaik delivers
measurements and takes set points.
"""

import time as wall
from collections.abc import Callable, Mapping
from typing import Any

import mosaik_api_v3
import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.controllers.decision import Decision
from stackelgrid.controllers.device_limits import pv_limit
from stackelgrid.controllers.errors import StackelgridError
from stackelgrid.controllers.networks.devices import Devices
from stackelgrid.controllers.protocol import Controller
from stackelgrid.controllers.schedule import Measurement, Plan
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import ForecastSource
from stackelgrid.simulators.attributes import AGENT, only_value, time_based_model_meta
from stackelgrid.simulators.timings import Timings

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        kind: time_based_model_meta(AGENT, ["grid", "devices", "forecast"])
        for kind in ("Tso", "Dso", "Lmo")
    },
}


class ControllerError(StackelgridError):
    """Raised when a controller returns an unusable decision."""


class AgentSimulator(mosaik_api_v3.Simulator):
    """Simulator with one entity for each agent; entity ids are the names of their grids."""

    def __init__(self) -> None:
        super().__init__(META)
        self._devices: dict[str, Devices] = {}
        self._forecasts: dict[str, ForecastSource] = {}
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
        observe: Callable[[int, Decision], None],
        first_interval: int = 0,
    ) -> Meta:
        """Store the controller that decides for all agents; time 0 starts `first_interval`."""
        self._interval_s, self._first_interval = interval_s, first_interval
        self._controller = controller
        self._timings = timings
        self._observe = observe
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        """Create the agent of one grid."""
        self._devices[model_params["grid"]] = model_params["devices"]
        self._forecasts[model_params["grid"]] = model_params["forecast"]
        return [{"eid": model_params["grid"], "type": model}]

    def step(self, time: int, inputs: InputData, max_advance: int) -> int:
        """Let the controller decide on the measurements of the interval before."""
        interval = self._first_interval + time // self._interval_s
        self._measured = {
            name: self._measurement(name, inputs.get(name, {})) for name in self._devices
        }
        started = wall.perf_counter()
        self._decision = self._controller.decide(interval, self._measured)
        self._timings.solve_s += wall.perf_counter() - started
        self._check(self._decision)
        self._observe(interval, self._decision)
        return time + self._interval_s

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Return set points, and the plan for the record."""
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
                    "pv_p_max_mw": self._pv_limit(eid, plan),
                    "pv_q_set_mvar": s.pv_q_mvar,
                    "unit_p_set_mw": s.unit_p_mw,
                }
            data[eid] = {a: values.get(a) for a in attributes}
        return data

    def _pv_limit(self, name: str, plan: Plan) -> Floats:
        """Return the limit of PV feed-in; if the plan has none, the forecast for the step."""
        points = plan.set_points
        if points.pv_p_max_mw is not None:
            return points.pv_p_max_mw
        forecast = self._forecasts[name].at(plan.schedule.interval)
        available = forecast.pv_available_mw[plan.step]
        return pv_limit(self._devices[name].photovoltaics, points.pv_p_mw, available)

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

    def _check(self, decision: object) -> None:
        """Raise ControllerError for a decision that cannot be applied or recorded."""
        kind = f"controller {type(self._controller).__name__}"
        if not isinstance(decision, Decision):
            raise ControllerError(
                f"{kind}: decide returned {type(decision).__name__}; a Decision is accepted"
            )
        for name, plan in decision.plans.items():
            if name not in self._devices:
                known = ", ".join(self._devices)
                raise ControllerError(f"{kind}: plan for unknown grid {name!r}; known: {known}")
            d, s, p = self._devices[name], plan.set_points, plan.schedule
            batteries, systems = len(d.batteries.index), len(d.photovoltaics.index)
            units, steps = len(d.units.index), len(p.dt_h)
            expected: tuple[tuple[str, Floats, tuple[int, ...]], ...] = (
                ("battery_p_mw", s.battery_p_mw, (batteries,)),
                ("pv_p_mw", s.pv_p_mw, (systems,)),
                ("pv_q_mvar", s.pv_q_mvar, (systems,)),
                ("unit_p_mw", s.unit_p_mw, (units,)),
                ("schedule p_import_mw", p.p_import_mw, (steps,)),
                ("schedule q_import_mvar", p.q_import_mvar, (steps,)),
                ("schedule charge_mw", p.charge_mw, (batteries, steps)),
                ("schedule discharge_mw", p.discharge_mw, (batteries, steps)),
                ("schedule battery_e_mwh", p.battery_e_mwh, (batteries, steps)),
                ("schedule pv_p_mw", p.pv_p_mw, (systems, steps)),
                ("schedule pv_q_mvar", p.pv_q_mvar, (systems, steps)),
                ("schedule unit_p_mw", p.unit_p_mw, (units, steps)),
            )
            if s.pv_p_max_mw is not None:
                expected += (("pv_p_max_mw", s.pv_p_max_mw, (systems,)),)
            if p.pv_p_max_mw is not None:
                expected += (("schedule pv_p_max_mw", p.pv_p_max_mw, (systems, steps)),)
            for quantity, values, shape in expected:
                if np.shape(values) != shape or not np.isfinite(values).all():
                    raise ControllerError(
                        f"{kind}: {quantity} for grid {name} has shape {np.shape(values)} or "
                        f"values that are not finite; finite values of shape {shape} are accepted"
                    )
