"""TSO, DSO and LMO agents as one time-based mosaik simulator around the mosaik-free controller.

One simulator contains all agents: their negotiation happens inside a step, mosaik delivers
measurements and takes set points.
"""

import time as wall
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import mosaik_api_v3
import numpy as np
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.controllers.decision import Decision
from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.errors import StackelgridError
from stackelgrid.controllers.protocol import Controller
from stackelgrid.controllers.schedule import Measurement, Plan, Schedule, SetPoints
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import ForecastSource
from stackelgrid.simulators.attributes import (
    AGENT,
    SET_POINTS,
    STATES,
    only_value,
    time_based_model_meta,
)
from stackelgrid.simulators.timings import Timings

META: Meta = {
    "api_version": "3.0",
    "type": "time-based",
    "models": {
        kind: time_based_model_meta(AGENT, ["grid", "devices", "forecast"])
        for kind in ("Tso", "Dso", "Lmo")
    },
}


_Expected = tuple[str, Floats | None, tuple[int, ...]]  # name, values, shape


class ControllerError(StackelgridError):
    """Raised when a controller returns an unusable decision."""


_NOTHING = np.zeros(0)  # set points of a kind without devices


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
        peaks_mw: Mapping[str, float] = MappingProxyType({}),
    ) -> Meta:
        """Store what the agents need.

        interval_s: length of an interval in s.
        controller: decides for all agents.
        timings: wall-clock accounting, updated.
        observe: called with every interval and its decision.
        first_interval: interval that starts at time 0.
        peaks_mw: highest imports of the intervals before, by grid.
        """
        self._interval_s, self._first_interval = interval_s, first_interval
        self.controller = controller
        self._timings = timings
        self._observe, self._peaks = observe, dict(peaks_mw)
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
        self._decision = self.controller.decide(interval, self._measured)
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
                "states_used": self._measured[eid].devices,
            }
            if plan is not None:
                prices = plan.schedule.price_eur_per_mwh
                if prices is not None:
                    values["node_price_eur_per_mwh"] = prices[:, plan.step]
                points = self._completed(eid, plan)
                values |= {q.attribute: points.get(q.name, _NOTHING) for q in SET_POINTS}
            data[eid] = {a: values.get(a) for a in attributes}
        return data

    def _completed(self, name: str, plan: Plan) -> dict[str, Floats]:
        """Return all set points of a plan; those left out follow from the forecast of the step."""
        points: dict[str, Floats] = {}

        def forecast() -> dict[str, Floats]:
            return self._forecasts[name].at(plan.schedule.interval).row(plan.step)

        for member in self._devices[name]:
            points |= member.completed(plan.set_points.devices, forecast)
        return points

    def _measurement(self, name: str, inputs: Mapping[str, dict[str, Any]]) -> Measurement:
        initial = self._devices[name].initial
        states = {}
        for quantity in STATES:
            values = only_value(inputs.get(quantity.name, {}))
            values = initial[quantity.name] if values is None else values
            states[quantity.name] = np.asarray(values, dtype=float)
        vm = only_value(inputs.get("vm_pu", {}))
        tap = only_value(inputs.get("tap_pos", {}))
        drawn = only_value(inputs.get("p_import_mw", {}))
        peak = self._peaks[name] = max(self._peaks.get(name, 0.0), float(drawn or 0.0))
        voltage = 1.0 if vm is None else float(vm)
        return Measurement(voltage, int(tap or 0), states, peak_import_mw=peak)

    def _check(self, decision: object) -> None:
        """Raise ControllerError for a decision that cannot be applied or recorded."""
        kind = f"controller {type(self.controller).__name__}"
        if not isinstance(decision, Decision):
            raise ControllerError(
                f"{kind}: decide returned {type(decision).__name__}; a Decision is accepted"
            )
        for name, plan in decision.plans.items():
            if name not in self._devices:
                known = ", ".join(self._devices)
                raise ControllerError(f"{kind}: plan for unknown grid {name!r}; known: {known}")
            schedule = plan.schedule
            steps = len(schedule.dt_h)
            expected: list[_Expected] = [
                ("schedule p_import_mw", schedule.p_import_mw, (steps,)),
                ("schedule q_import_mvar", schedule.q_import_mvar, (steps,)),
            ]
            for member in self._devices[name].members:
                count = len(member.index)
                expected += _expected("", member, Role.SET_POINT, plan.set_points, (count,))
                expected += _expected("schedule ", member, Role.PLAN, schedule, (count, steps))
            for quantity, values, shape in expected:
                found = () if values is None else np.shape(values)
                if values is None or found != shape or not np.isfinite(values).all():
                    raise ControllerError(
                        f"{kind}: {quantity} for grid {name} has shape {found} or "
                        f"values that are not finite; finite values of shape {shape} are accepted"
                    )


def _expected(
    where: str, member: DeviceKind, role: Role, holder: SetPoints | Schedule, shape: tuple[int, ...]
) -> Iterator[_Expected]:
    """Yield the quantities of one kind that a plan must hold, and the optional ones that it has.

    Those of a kind without devices are optional.
    """
    for q in member.quantities:
        values = holder.devices.get(q.name)
        optional = Role.OPTIONAL in q.roles or not len(member.index)
        if role in q.roles and not (optional and values is None):
            yield where + q.name, values, shape
