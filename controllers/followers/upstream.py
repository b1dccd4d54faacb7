"""An upstream network as follower: a convex dispatch over the exchanges of the grids below."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from stackelgrid.controllers.certification.mixtures import MixtureVerdict
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.fallback import shifted
from stackelgrid.controllers.models.conflicts import RowWords, conflict_words
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
from stackelgrid.profiles.arrays import Floats, Ints
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.profiles.time_axis import Horizon

# limits in conflict that a message names
_CONFLICTS = 5


@dataclass(frozen=True)
class FollowerSolution:
    """Answer of a conic solver to the follower's program; cost in EUR over the horizon."""

    solver: str
    solution: Solution

    @property
    def status(self) -> str:
        """Status in the words of the conic solvers."""
        return self.solution.status

    @property
    def cost_eur(self) -> float:
        """Cost; NaN without a solution."""
        return self.solution.objective

    @property
    def x(self) -> Floats:
        """Columns of the program."""
        return self.solution.x

    @property
    def dual(self) -> Floats:
        """Multipliers of the rows; the derivative of the cost by a right-hand side is -dual."""
        return self.solution.dual

    @property
    def gap(self) -> float:
        """Relative gap between cost and bound."""
        return self.solution.gap

    @property
    def seconds(self) -> float:
        """Time of the solve."""
        return self.solution.solve_s

    @property
    def report(self) -> SolveReport:
        """Report of the solve; it names a fallback where there is no solution."""
        return solve_report(self.solver, self.solution)


class UpstreamAgent(Carrying, ABC):
    """Follower of the grids below; its program is built once, data are replaced.

    `children` are the pandapower buses of the grids below by name. Their active exchange x (MW,
    import of the child positive, all its copies) enters the program's parameters p as load.
    """

    carried: ClassVar[tuple[str, ...]] = ("_last",)

    def __init__(
        self,
        grid_name: str,
        horizon: Horizon,
        children: Mapping[str, int],
        compiled: CompiledModel,
        load_row: Mapping[str, int],
        base_mva: float,
        solver: Callable[[ConicProgram], ConicSolver] = ClarabelSolver,
    ) -> None:
        """`load_row` is the row of the parameter `load_p` (rows, steps) of every child."""
        self.grid_name, self.horizon, self.children = grid_name, horizon, dict(children)
        self.compiled = compiled
        self._base = base_mva
        rows = compiled.parameters["load_p"].reshape(-1, horizon.length)
        self._exchange = {name: rows[row] for name, row in load_row.items()}
        # a DC model has no reactive loads
        reactive = compiled.parameters.get("load_q", np.zeros(0, np.int64))
        rows = reactive.reshape(-1, horizon.length)
        self._reactive = {name: rows[row] for name, row in load_row.items() if len(rows)}
        self._solver = solver(compiled.program)
        self._last: Schedule | None = None
        self._answered: tuple[Floats, FollowerSolution] | None = None

    @property
    @abstractmethod
    def words(self) -> RowWords:
        """Names of what the rows of the program are about."""

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
        solution: FollowerSolution,
        measured: Measurement | None = None,
    ) -> Plan:
        """Plan from a solution, or the stated fallback where there is none."""

    @abstractmethod
    def check_mixtures(
        self,
        interval: int,
        solution: FollowerSolution,
        choices: Mapping[str, Sequence[BoundaryProfile]],
        measured: Measurement | None = None,
        before_pu: Floats | None = None,
    ) -> MixtureVerdict:
        """Check that every mixture of the children's exchanges keeps this grid's AC limits.

        At the units and PV of a solution; exchanges of all copies, the held one first. `before_pu`
        (steps,) is how far it is beyond them without a new schedule.
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

    def solve(self, p: Floats) -> FollowerSolution:
        """Dispatch at least cost; the last answer again for the same parameters.

        An interval asks the same up to three times: whether leaders can be served, at what price,
        and what is dispatched. An answer depends on p alone, so nothing of it is carried.
        """
        if self._answered is None or not np.array_equal(p, self._answered[0]):
            solution = self._solver.solve(self.compiled.program.data(p))
            self._answered = p.copy(), FollowerSolution(self._solver.name, solution)
        return self._answered[1]

    def explained(self, p: Floats, solution: FollowerSolution) -> FollowerSolution:
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
        message = "; ".join(text for text in (solution.solution.message, reason) if text)
        return replace(solution, solution=replace(solution.solution, message=message))

    def prices(self, solution: FollowerSolution) -> dict[str, Floats]:
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
