"""The transmission system operator: a DC optimal power flow over the feeders' imports."""

from collections.abc import Callable, Mapping

import numpy as np

from stackelgrid.controllers.agents.fallback import shifted
from stackelgrid.controllers.device_limits import unit_output
from stackelgrid.controllers.models.dc_opf import dc_opf_model, nodal_prices
from stackelgrid.controllers.schedule import (
    EMPTY,
    BoundaryProfile,
    Plan,
    Schedule,
    SetPoints,
    solve_report,
)
from stackelgrid.controllers.solvers import ClarabelSolver, compile_model
from stackelgrid.controllers.solvers.conic import ConicProgram, ConicSolver, parameter_vector
from stackelgrid.controllers.system import Transmission
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.time_axis import Horizon


class TsoAgent:
    """Dispatches the generators at least cost and prices every bus; built once."""

    def __init__(
        self,
        grid: Transmission,
        horizon: Horizon,
        lower_buses: Mapping[str, int],
        solver: Callable[[ConicProgram], ConicSolver] = ClarabelSolver,
    ) -> None:
        self.grid, self.horizon = grid, horizon
        network = grid.network
        where = {b: i for i, b in enumerate(network.bus_index)}
        self._load_at = np.array([where[int(b)] for b in grid.devices.loads.bus], dtype=np.int64)
        self._lower = {name: where[bus] for name, bus in lower_buses.items()}
        model = dc_opf_model(network, grid.devices.units, horizon.dt_h)
        self.compiled = compile_model(model, [model.load_p])
        self._solver = solver(self.compiled.program)
        self._last: Schedule | None = None

    def decide(self, interval: int, lower: Mapping[str, BoundaryProfile]) -> Plan:
        """Dispatch for the horizon; `lower` are the feeders' exchanges, all copies.

        When the DC-OPF has no solution, the last dispatch is kept (before the first one every
        unit takes the same share of its range) and the report says so: the slack bus balances.
        """
        network, base = self.grid.network, self.grid.network.base_mva
        forecast = self.grid.forecast.at(interval)
        load = np.zeros((network.buses, self.horizon.length))
        np.add.at(load, self._load_at, forecast.load_p_mw.T)
        for name, bus in self._lower.items():
            load[bus] += lower[name].p_mw
        p = parameter_vector(self.compiled.parameters, {"load_p": load / base})
        solution = self._solver.solve(self.compiled.program.data(p))
        report = solve_report(self._solver.name, solution)
        price = None
        if report.fallback:
            unit_p = self._held(interval, load)
        else:
            steps = self.horizon.length
            unit_p = base * solution.x[self.compiled.columns["unit_p"]].reshape(-1, steps)
            dual = solution.dual[self.compiled.rows["balance"]].reshape(-1, steps)
            price = nodal_prices(dual, base, self.horizon.dt_h)
        nothing = np.zeros((0, self.horizon.length))
        schedule = Schedule(
            interval=interval,
            dt_h=self.horizon.dt_h,
            p_import_mw=np.zeros(self.horizon.length),
            q_import_mvar=np.zeros(self.horizon.length),
            charge_mw=nothing,
            discharge_mw=nothing,
            battery_e_mwh=nothing,
            pv_p_mw=nothing,
            pv_q_mvar=nothing,
            unit_p_mw=unit_p,
            price_eur_per_mwh=price,
        )
        self._last = schedule
        set_points = SetPoints(EMPTY, EMPTY, EMPTY, unit_p[:, 0])
        return Plan(schedule, set_points, report)

    def _held(self, interval: int, load_mw: Floats) -> Floats:
        units = self.grid.devices.units
        if self._last is not None:
            age = interval - self._last.interval
            return unit_output(units, shifted(self._last.unit_p_mw, self.horizon, age))
        room = np.where(np.isfinite(units.p_max_mw), units.p_max_mw, 0.0)
        share = load_mw.sum(axis=0) / max(room.sum(), 1e-9)
        return unit_output(units, room[:, None] * share[None, :])
