"""The operator of a medium-voltage feeder as follower of its communities (arXiv 2606.17769)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from stackelgrid.controllers.certification.mixtures import MixtureVerdict, RadialMixtures
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.fallback import hold_schedule
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.models.mv_dispatch import (
    DISPATCHED,
    mv_dispatch_data,
    mv_dispatch_model,
)
from stackelgrid.controllers.models.objective_term import compile_with_term
from stackelgrid.controllers.schedule import BoundaryProfile, Measurement, Plan, Schedule
from stackelgrid.controllers.solvers import ClarabelSolver, Solution
from stackelgrid.controllers.solvers.conic import ConicProgram, ConicSolver, parameter_vector
from stackelgrid.controllers.solvers.convex_maximum import Exclusive
from stackelgrid.controllers.system import Feeder
from stackelgrid.controllers.tolerances import PRICE_SPREAD
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.time_axis import Horizon


class MvOperator(UpstreamAgent):
    """Dispatches units, PV and the exchange with the grid above; batteries rest; built once.

    When there is no solution the last schedule and its prices are held (fallback.py), and the
    report says so.
    """

    grid: Feeder

    def __init__(
        self,
        feeder: Feeder,
        horizon: Horizon,
        lower_buses: Mapping[str, int],
        solver: Callable[[ConicProgram], ConicSolver] = ClarabelSolver,
    ) -> None:
        network, devices = feeder.network, feeder.devices
        options = feeder.options
        model = mv_dispatch_model(
            network, devices, horizon.dt_h, options.curtailment_eur_per_mwh,
            exchange=options.exchange,
        )  # fmt: skip
        compiled = compile_with_term(
            model, mv_dispatch_data(model), options.objective, "follower", network, devices,
            horizon.dt_h,
        )  # fmt: skip
        compiled = compiled.with_rare(("v",), ("line_limit", *options.exchange.stated))
        super().__init__(feeder, horizon, lower_buses, compiled, solver)
        # devices without a place in this dispatch: their operator decides them in the stage after
        self._resting = [d for d in devices if d.names(Role.PLAN) and d.kind not in DISPATCHED]
        self._order = network.positions([int(b) for b in feeder.net.bus.index])
        self._mixtures: RadialMixtures | None = None

    def parameters(
        self,
        interval: int,
        measured: Measurement | None = None,
        vm_head_pu: Floats | None = None,
    ) -> Floats:
        """Loads, PV, tariff and head voltage; the measured one, or `vm_head_pu` (steps,).

        Controllable PV is available up to its inverter's rating. A spread between import and export
        price below PRICE_SPREAD is widened to it.
        """
        if measured is None:
            raise SolverError(f"grid {self.grid_name}: the MV dispatch needs a measured voltage")
        network, base, steps = self.grid.network, self._base, self.horizon.length
        forecast, (load_p, load_q) = self.grid.forecast.at(interval), self.own_load(interval)
        for member in self._resting:
            states = member.within(measured.devices)
            idle = member.held(None, forecast, states, self.horizon.dt_h)
            p, q = member.consumption(idle)
            np.add.at(load_p, network.positions(member.bus), p)
            if q is not None:
                np.add.at(load_q, network.positions(member.bus), q)
        vm = np.full(steps, measured.vm_pu) if vm_head_pu is None else vm_head_pu
        taps = self.grid.boundary.taps
        ratio = network.head_ratio if taps is None else taps.ratio(measured.tap_pos)
        systems = self.grid.devices.photovoltaics
        rating = np.where(systems.controllable, systems.sn_mva, np.inf)[:, None]
        bought = forecast.import_eur_per_mwh
        values_by_name = {
            "load_p": load_p / base,
            "load_q": load_q / base,
            "v_head": (vm / ratio) ** 2,
            "pv_available": np.minimum(forecast.pv_available_mw.T, rating) / base,
            "import_price": bought,
            "export_price": np.minimum(forecast.export_eur_per_mwh, bought - PRICE_SPREAD),
        }
        values_by_name |= self.term_values(interval, measured)
        return parameter_vector(self.compiled.parameters, values_by_name)

    def check_mixtures(
        self,
        interval: int,
        solution: Solution,
        choices: Mapping[str, Sequence[BoundaryProfile]],
        measured: Measurement | None = None,
        before_pu: Floats | None = None,
    ) -> MixtureVerdict:
        """AC power flows of the feeder at its dispatch; batteries rest."""
        network, base, steps = self.grid.network, self._base, self.horizon.length
        units, systems = self.grid.devices.units, self.grid.devices.photovoltaics
        p, at = self.parameters(interval, measured), self.compiled.parameters
        own_p, own_q = (base * p[at[name]].reshape(-1, steps) for name in ("load_p", "load_q"))
        pv_p = self.power(solution, "pv_p")
        np.add.at(own_p, network.positions(units.bus), -self.power(solution, "unit_p"))
        np.add.at(own_p, network.positions(systems.bus), -pv_p)
        np.add.at(own_q, network.positions(systems.bus), -systems.q_per_p[:, None] * pv_p)
        if self._mixtures is None:
            self._mixtures = RadialMixtures(self.grid, self.children)
        assert measured is not None
        taps = self.grid.boundary.taps
        ratio = None if taps is None else taps.ratio(measured.tap_pos)
        vm = np.full(steps, measured.vm_pu)
        return self._mixtures.check(own_p, own_q, vm, ratio, choices, before_pu)

    def exclusive(self) -> tuple[Exclusive, ...]:
        """Energy is bought or sold, not both."""
        columns = self.compiled.columns
        pairs = zip(columns["bought"].tolist(), columns["sold"].tolist(), strict=True)
        return tuple(Exclusive(first, second) for first, second in pairs)

    def plan(
        self,
        interval: int,
        p: Floats,
        solution: Solution,
        measured: Measurement | None = None,
    ) -> Plan:
        """Units, PV and import over the horizon, and prices (buses of the net, steps)."""
        base, steps, report = self._base, self.horizon.length, self.report(solution, p)
        devices = self.grid.devices
        states = devices.within(devices.initial if measured is None else measured.devices)
        if report.fallback:
            parameters = self.compiled.parameters
            load_p, load_q = (
                base * p[parameters[name]].reshape(-1, steps).sum(axis=0)
                for name in ("load_p", "load_q")
            )
            forecast = self.grid.forecast.at(interval)
            schedule = hold_schedule(
                self.grid, self.horizon, interval, forecast, states, self._last, load_p, load_q
            )
            schedule = replace(schedule, price_eur_per_mwh=self.held_prices(interval))
        else:
            schedule = self._schedule(interval, p, solution, states)
        self._last = schedule
        return Plan(schedule, schedule.set_points(), report)

    def _schedule(
        self, interval: int, p: Floats, solution: Solution, states: Mapping[str, Floats]
    ) -> Schedule:
        base, dt_h = self._base, self.horizon.dt_h
        steps, devices = len(dt_h), self.grid.devices

        dual = solution.dual[self.compiled.rows["active_balance"]].reshape(-1, steps)
        systems, pv_p = devices.photovoltaics, self.power(solution, "pv_p")
        available = base * p[self.compiled.parameters["pv_available"]].reshape(-1, steps)
        plan = devices.held(None, self.grid.forecast.at(interval), states, dt_h) | {
            "pv_p_mw": pv_p,
            "pv_q_mvar": systems.q_per_p[:, None] * pv_p,
            "pv_p_max_mw": systems.limit(pv_p, available),
            "unit_p_mw": self.power(solution, "unit_p"),
        }
        price = -dual[self._order] / (base * dt_h)
        p_import, q_import = (
            self.power(solution, "p_import")[0],
            self.power(solution, "q_import")[0],
        )
        return Schedule(interval, dt_h, p_import, q_import, plan, price_eur_per_mwh=price)
