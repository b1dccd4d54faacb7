"""An upstream network as follower: a convex dispatch over the exchanges of the grids below."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from stackelgrid.controllers.certification.mixtures import MixtureVerdict
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.fallback import shifted
from stackelgrid.controllers.models.conflicts import RowWords, conflict_words
from stackelgrid.controllers.models.objective_term import ObjectiveTerm, term_eur
from stackelgrid.controllers.schedule import (
    BoundaryProfile,
    Measurement,
    Plan,
    Schedule,
    SolveReport,
    solve_report,
)
from stackelgrid.controllers.solvers import ClarabelSolver, CompiledModel, Solution
from stackelgrid.controllers.solvers.conic import ConicProgram, ConicSolver
from stackelgrid.controllers.solvers.convex_maximum import Exclusive, Maximum, convex_maximum
from stackelgrid.controllers.solvers.infeasibility import conflicting_rows
from stackelgrid.controllers.solvers.payment import exchange_payment
from stackelgrid.controllers.system import Feeder, Transmission
from stackelgrid.profiles.arrays import Floats, Ints
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.profiles.time_axis import Horizon

# limits in conflict that a message names
_CONFLICTS = 5


class UpstreamAgent(Carrying, ABC):
    """Follower of the grids below; its program is built once, data are replaced.

    `children` are the pandapower buses of the grids below by name. Their active exchange x (MW,
    import of the child positive, all its copies) enters the program's parameters p as load.
    """

    carried: ClassVar[tuple[str, ...]] = ("_last",)

    def __init__(
        self,
        grid: Feeder | Transmission,
        horizon: Horizon,
        children: Mapping[str, int],
        compiled: CompiledModel,
        solver: Callable[[ConicProgram], ConicSolver] = ClarabelSolver,
    ) -> None:
        network = grid.network
        self.grid, self.grid_name = grid, grid.name
        self.horizon, self.children, self.compiled = horizon, dict(children), compiled
        self._base = network.base_mva
        where = {b: i for i, b in enumerate(network.bus_index)}
        self._load_at = np.array([where[int(b)] for b in grid.devices.loads.bus], dtype=np.int64)
        self._child_at = {name: where[bus] for name, bus in children.items()}
        rows = compiled.parameters["load_p"].reshape(-1, horizon.length)
        self._exchange = {name: rows[row] for name, row in self._child_at.items()}
        # a DC model has no reactive loads
        reactive = compiled.parameters.get("load_q", np.zeros(0, np.int64))
        rows = reactive.reshape(-1, horizon.length)
        self._reactive = {name: rows[row] for name, row in self._child_at.items() if len(rows)}
        self._solver = solver(compiled.program)
        self._last: Schedule | None = None
        self._answered: tuple[Floats, Solution] | None = None

    @property
    def words(self) -> RowWords:
        """Names of the elements of the program's rows."""
        return RowWords(self.grid_name, self.grid.network, self.grid.devices)

    def own_load(self, interval: int) -> tuple[Floats, Floats]:
        """Own loads (buses, steps) in MW and MVAr over the horizon from an interval on."""
        forecast = self.grid.forecast.at(interval)
        p, q = np.zeros((2, self.grid.network.buses, self.horizon.length))
        np.add.at(p, self._load_at, forecast.load_p_mw.T)
        np.add.at(q, self._load_at, forecast.load_q_mvar.T)
        return p, q

    @property
    def term(self) -> ObjectiveTerm | None:
        """The user's term of the objective."""
        grid = self.grid
        return grid.objective if isinstance(grid, Transmission) else grid.options.objective

    def term_values(self, interval: int, measured: Measurement | None) -> dict[str, Floats]:
        """Values of the parameters of the user's term."""
        if self.term is None:
            return {}
        forecast = self.grid.forecast.at(interval)
        known = self.term.values(interval, self.horizon, forecast, measured)
        return {name: v for name, v in known.items() if name in self.compiled.parameters}

    def power(self, solution: Solution, component: str) -> Floats:
        """A component of a solution (elements, steps) in MW or MVAr."""
        values = solution.x[self.compiled.columns[component]]
        return self._base * values.reshape(-1, self.horizon.length)

    def report(self, solution: Solution, p: Floats) -> SolveReport:
        """Report of a solve at parameters p; it names a fallback where there is no solution."""
        report = solve_report(self._solver.name, solution)
        if solution.status != "optimal":
            return report
        return replace(report, objective_term_eur=term_eur(self.compiled, solution.x, p))

    @abstractmethod
    def parameters(
        self,
        interval: int,
        measured: Measurement | None = None,
        vm_head_pu: Floats | None = None,
    ) -> Floats:
        """Parameter vector p for the horizon from `interval` on, without any exchange.

        `vm_head_pu` (steps,) replaces the measured head voltage where a model has one.
        """

    @abstractmethod
    def plan(
        self,
        interval: int,
        p: Floats,
        solution: Solution,
        measured: Measurement | None = None,
    ) -> Plan:
        """Plan from a solution, or the stated fallback where there is none.

        interval: first interval of the horizon.
        p: parameters of the solved program.
        solution: its solution.
        measured: measurements of the grid; None for a grid without any.
        """

    @abstractmethod
    def check_mixtures(
        self,
        interval: int,
        solution: Solution,
        choices: Mapping[str, Sequence[BoundaryProfile]],
        measured: Measurement | None = None,
        before_pu: Floats | None = None,
    ) -> MixtureVerdict:
        """Check that every mixture of the children's exchanges keeps this grid's AC limits.

        interval: first interval of the horizon.
        solution: solution with the dispatch.
        choices: possible exchanges of each grid below, all copies, the held one first.
        measured: measurements of the grid; None for a grid without any.
        before_pu: violation (steps,) without a new schedule.
        """

    def exclusive(self) -> tuple[Exclusive, ...]:
        """Pairs of columns of which one is zero in every dispatch that could be billed."""
        return ()

    def exchange(self, name: str) -> tuple[Ints, float]:
        """Positions in p (steps,) of a child's active exchange, and the entry of one MW."""
        if name not in self._exchange:
            raise SolverError(
                f"grid {self.grid_name}: no grid {name} below; accepted are "
                f"{', '.join(self._exchange) or 'none'}"
            )
        return self._exchange[name], 1.0 / self._base

    def with_exchange(self, p: Floats, p_mw: Mapping[str, Floats]) -> Floats:
        """Copy of p with exchanges (steps,) in MW added; grids not named stay at zero."""
        changed = p.copy()
        for name, values in p_mw.items():
            at, per_mw = self.exchange(name)
            changed[at] += per_mw * self._profile(name, values, "MW")
        return changed

    def with_reactive(self, p: Floats, q_mvar: Mapping[str, Floats]) -> Floats:
        """Copy of p with reactive exchanges (steps,) in MVAr added; a DC model takes none."""
        changed = p.copy()
        for name, values in q_mvar.items():
            _, per_mvar = self.exchange(name)
            given = self._profile(name, values, "MVAr")
            if name in self._reactive:
                changed[self._reactive[name]] += per_mvar * given
        return changed

    def with_boundaries(self, p: Floats, exchange: Mapping[str, BoundaryProfile]) -> Floats:
        """Copy of p with active and reactive exchanges (steps,) added, all copies."""
        reactive = self.with_reactive(p, {name: b.q_mvar for name, b in exchange.items()})
        return self.with_exchange(reactive, {name: b.p_mw for name, b in exchange.items()})

    def _profile(self, name: str, values: Floats, unit: str) -> Floats:
        given = np.asarray(values, dtype=float)
        steps = self.horizon.length
        if given.shape != (steps,) or not np.isfinite(given).all():
            raise SolverError(
                f"grid {self.grid_name}: the exchange of {name} has shape {given.shape}; "
                f"{steps} finite values in {unit} are accepted"
            )
        return given

    def solve(self, p: Floats) -> Solution:
        """Dispatch at least cost; the last solution is returned for the same parameters.

        An interval needs the same solution up to three times: for feasibility, prices and dispatch.
        A solution depends on p alone, so it is no state.
        """
        if self._answered is None or not np.array_equal(p, self._answered[0]):
            solution = self._solver.solve(self.compiled.program.data(p))
            self._answered = p.copy(), solution
        return self._answered[1]

    def explained(self, p: Floats, solution: Solution) -> Solution:
        """Solution without an optimum whose message names the limits in conflict."""
        program = self.compiled.program
        try:
            rows = conflicting_rows(program, program.data(p), self.compiled.row_names)
        except SolverError:
            rows = []
        if rows:
            reason = "limits in conflict: " + conflict_words(rows, {"": self.words}, _CONFLICTS)
        elif solution.status == "optimal":
            return solution
        else:
            free = self.words.devices.units
            endless = ~(np.isfinite(free.p_min_mw) & np.isfinite(free.p_max_mw))
            if not endless.any():
                return solution
            names = (f"{free.table[u]} {free.index[u]}" for u in np.flatnonzero(endless))
            reason = f"no least cost: {', '.join(names)} without limits"
        message = "; ".join(text for text in (solution.message, reason) if text)
        return replace(solution, message=message)

    def prices(self, solution: Solution) -> dict[str, Floats]:
        """Prices (steps,) in EUR/MWh at the children: derivative of the cost by their import."""
        slope = self.compiled.program.b_parameters.T @ solution.dual
        return {
            name: slope[at] / (self._base * self.horizon.dt_h)
            for name, at in self._exchange.items()
        }

    def payment(self, y: Floats, nu: Floats, p: Floats) -> float:
        """Payment of all children in EUR at the follower's prices, at an optimum (y, nu).

        `p` are the parameters without active exchange; see `exchange_payment`.
        """
        program = self.compiled.program
        return exchange_payment(program, program.data(p), y, nu)

    def largest_cost(self, p: Floats, gap: float = 1e-6, node_limit: int = 2000) -> Maximum:
        """Largest cost in EUR over all feasible dispatches; with `solve` the range of the cost."""
        program = self.compiled.program
        return convex_maximum(program, program.data(p), self.exclusive(), gap, node_limit)

    def held_prices(self, interval: int) -> Floats | None:
        """Nodal prices (buses, steps) of the last schedule; None where it had none."""
        if self._last is None or self._last.price_eur_per_mwh is None:
            return None
        age = interval - self._last.interval
        return shifted(self._last.price_eur_per_mwh, self.horizon, age)

    def decide(
        self,
        interval: int,
        lower: Mapping[str, BoundaryProfile],
        measured: Measurement | None = None,
    ) -> Plan:
        """Dispatch for the horizon; `lower` are the exchanges of the grids below, all copies."""
        own = self.parameters(interval, measured)
        p = self.with_boundaries(own, {name: lower[name] for name in self.children})
        return self.plan(interval, p, self.solve(p), measured)
