"""The transmission system operator: a DC optimal power flow over the feeders' imports."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from stackelgrid.controllers.certification.mixtures import MixtureVerdict, TransmissionMixtures
from stackelgrid.controllers.certification.transmission import TransmissionCertifier
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.fallback import shifted
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.models.dc_opf import dc_opf_data, dc_opf_model, nodal_prices
from stackelgrid.controllers.models.objective_term import compile_with_term
from stackelgrid.controllers.schedule import (
    BoundaryProfile,
    Measurement,
    Plan,
    Schedule,
)
from stackelgrid.controllers.solvers import ClarabelSolver, Solution
from stackelgrid.controllers.solvers.conic import ConicProgram, ConicSolver, parameter_vector
from stackelgrid.controllers.system import Transmission
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.time_axis import Horizon


class TsoAgent(UpstreamAgent):
    """Dispatches the generators at least cost and prices every bus; built once.

    When the DC-OPF has no solution, the last dispatch and its prices are kept (before the first one
    every unit takes the same share of its range, without prices) and the report says so: the slack
    bus balances. With `ramp_mw_per_h` (units,) the output before the first decision,
    `unit_p_before_mw` (units,), is needed; later it is what the last dispatch planned.
    """

    grid: Transmission
    carried = ("_last", "certificate_s")

    def __init__(
        self,
        grid: Transmission,
        horizon: Horizon,
        lower_buses: Mapping[str, int],
        solver: Callable[[ConicProgram], ConicSolver] = ClarabelSolver,
        ramp_mw_per_h: Floats | None = None,
        unit_p_before_mw: Floats | None = None,
    ) -> None:
        network = grid.network
        if ramp_mw_per_h is not None and unit_p_before_mw is None:
            raise SolverError(f"grid {grid.name}: ramps need the output before the first decision")
        model = dc_opf_model(network, grid.devices.units, horizon.dt_h, ramp_mw_per_h)
        compiled = compile_with_term(
            model, dc_opf_data(model), grid.objective, "follower", network, grid.devices,
            horizon.dt_h,
        )  # fmt: skip
        super().__init__(grid, horizon, lower_buses, compiled, solver)
        self._certifier = TransmissionCertifier(grid.net, network, grid.devices, grid.name)
        self.certificate_s = 0.0
        self._before_mw = unit_p_before_mw
        self._mixtures: TransmissionMixtures | None = None

    def parameters(
        self,
        interval: int,
        measured: Measurement | None = None,
        vm_head_pu: Floats | None = None,
    ) -> Floats:
        """Own loads of the forecast; a DC model takes no measurement."""
        values = {"load_p": self.own_load(interval)[0] / self._base}
        values |= self.term_values(interval, measured)
        if "unit_p_before" in self.compiled.parameters:
            values["unit_p_before"] = self._output_before(interval) / self._base
        return parameter_vector(self.compiled.parameters, values)

    def plan(
        self,
        interval: int,
        p: Floats,
        solution: Solution,
        measured: Measurement | None = None,
    ) -> Plan:
        """Units and nodal prices over the horizon."""
        base, steps, report = self._base, self.horizon.length, self.report(solution, p)
        if report.fallback:
            load = base * p[self.compiled.parameters["load_p"]].reshape(-1, steps)
            unit_p, price = self._held(interval, load), self.held_prices(interval)
        else:
            unit_p = self.power(solution, "unit_p")
            units = self.grid.devices.units  # an interior point ends a rounding beside a limit
            unit_p = np.clip(unit_p, units.p_min_mw[:, None], units.p_max_mw[:, None])
            dual = solution.dual[self.compiled.rows["balance"]].reshape(-1, steps)
            price = nodal_prices(dual, base, self.horizon.dt_h)
        dt_h, none = self.horizon.dt_h, np.zeros(steps)
        devices, forecast = self.grid.devices, self.grid.forecast.at(interval)
        plan = devices.held(None, forecast, devices.initial, dt_h) | {"unit_p_mw": unit_p}
        schedule = Schedule(interval, dt_h, none, none, plan, price_eur_per_mwh=price)
        self._last = schedule
        return Plan(schedule, schedule.set_points(), report)

    def certified(self, plan: Plan, lower: Mapping[str, BoundaryProfile]) -> Plan:
        """Plan with the certificate of its dispatch; `lower` are the exchanges below, all copies.

        The slack unit covers the losses in AC.
        """
        started = time.perf_counter()
        p, q = self.own_load(plan.schedule.interval)
        for name, exchange in lower.items():
            p[self._child_at[name]] += exchange.p_mw
            q[self._child_at[name]] += exchange.q_mvar
        certificate = self._certifier.certify(plan.schedule.unit_p_mw, p, q)
        self.certificate_s += time.perf_counter() - started
        return replace(plan, transmission=certificate, verdict=certificate.step(plan.step))

    def check_mixtures(
        self,
        interval: int,
        solution: Solution,
        choices: Mapping[str, Sequence[BoundaryProfile]],
        measured: Measurement | None = None,
        before_pu: Floats | None = None,
    ) -> MixtureVerdict:
        """AC power flows of the network at its dispatch; the slack unit balances."""
        if self._mixtures is None:
            self._mixtures = TransmissionMixtures(self.grid, self.children)
        unit_p = self.power(solution, "unit_p")
        return self._mixtures.check(unit_p, *self.own_load(interval), choices, before_pu)

    def _output_before(self, interval: int) -> Floats:
        """Output of the units (units,) in MW in the interval before this one."""
        if self._last is None or interval <= self._last.interval:
            assert self._before_mw is not None
            return self._before_mw
        age = interval - self._last.interval - 1
        return shifted(self._last.unit_p_mw, self.horizon, age)[:, 0]

    def _held(self, interval: int, load_mw: Floats) -> Floats:
        units = self.grid.devices.units
        if self._last is not None:
            age = interval - self._last.interval
            held: Floats = units.output(shifted(self._last.unit_p_mw, self.horizon, age))
            return held
        room = np.where(np.isfinite(units.p_max_mw), units.p_max_mw, 0.0)
        share = load_mw.sum(axis=0) / max(room.sum(), 1e-9)
        started: Floats = units.output(room[:, None] * share[None, :])
        return started
