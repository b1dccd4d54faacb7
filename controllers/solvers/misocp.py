"""Mixed-integer conic programs with a proven gap (docs/formulation.md).

Joined programs are tried part by part at given prices of their links (decomposition.py). Relax,
snap, restrict; then Lagrangian bounds (priced_rows.py); then outer approximation with HiGHS as
master. Every returned point is checked against the program, every bound is a conic dual objective
or follows from one and a proven bound of HiGHS.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csc_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.checks import check_data, check_program, contradiction
from stackelgrid.controllers.solvers.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.conic import (
    ConicProgram,
    ConicSolver,
    ProgramData,
    Solution,
)
from stackelgrid.controllers.solvers.decomposition import Decomposition
from stackelgrid.controllers.solvers.mixed_search import (
    Incumbent,
    MixedOptions,
    MixedSolution,
    Snap,
)
from stackelgrid.controllers.solvers.outer_approximation import MasterForm, OuterApproximation
from stackelgrid.controllers.solvers.priced_rows import Bound, Limits, PricedRows
from stackelgrid.controllers.solvers.restricted import (
    BoundRows,
    IntegerBounds,
    RestrictedProgram,
    least_violation,
)
from stackelgrid.controllers.solvers.scaling import equilibrate
from stackelgrid.profiles.arrays import Floats

AT_PRICES = "closed part by part at the given prices"
_PRICED_NODES = 200  # most nodes for the Lagrangian bound; the master takes over from there


class MixedIntegerConicSolver:
    """Bound to one program and reused for new data; `snap` maps a relaxed x to integer values.

    Raises ModelError, before any solver is called, for non-finite data, a cone without rows, or
    an integer column that lacks a bound; `row_names` makes the message name the row.
    `decomposition` takes a joined program apart before it is relaxed or restricted as a whole.
    """

    def __init__(
        self,
        program: ConicProgram,
        snap: Snap | None = None,
        *,
        row_names: Sequence[str] | None = None,
        conic_solver: Callable[[ConicProgram], ConicSolver] = ClarabelSolver,
        decomposition: Decomposition | None = None,
    ) -> None:
        check_program(program, row_names)
        self.program = program
        self.snap = snap
        self.row_names = row_names
        self.conic_solver = conic_solver
        self.decomposition = decomposition
        self._relaxed: ConicSolver | None = None
        self.bound_rows = BoundRows(program)
        self._restricted: RestrictedProgram | None = None
        self._fixed: ConicSolver | None = None
        self._form: MasterForm | None = None
        self._priced: PricedRows | None = None
        self._feasibility: MixedIntegerConicSolver | None = None

    @property
    def relaxed(self) -> ConicSolver:
        """Conic solver of the relaxation, built when first needed."""
        if self._relaxed is None:
            self._relaxed = self.conic_solver(self.program)
        return self._relaxed

    @property
    def restricted(self) -> RestrictedProgram:
        """The program with its integers fixed, built when first needed."""
        if self._restricted is None:
            self._restricted = RestrictedProgram(self.program)
        return self._restricted

    @property
    def fixed(self) -> ConicSolver:
        """Conic solver of the restricted program, built when first needed."""
        if self._fixed is None:
            self._fixed = self.conic_solver(self.restricted.program)
        return self._fixed

    @property
    def form(self) -> MasterForm:
        """The part of the masters that does not depend on data, built when first needed."""
        if self._form is None:
            self._form = MasterForm(self.program, equilibrate(self.program))
        return self._form

    @property
    def priced(self) -> PricedRows:
        """The integers' linear rows for the Lagrangian bound, built when first needed."""
        if self._priced is None:
            self._priced = PricedRows(self.program, self.bound_rows)
        return self._priced

    @property
    def feasibility(self) -> "MixedIntegerConicSolver":
        """The same constraints without an objective."""
        if self._feasibility is None:
            n = self.program.variables
            self._feasibility = MixedIntegerConicSolver(
                replace(self.program, quadratic=csc_array((n, n))),
                self.snap,
                row_names=self.row_names,
                conic_solver=self.conic_solver,
            )
        return self._feasibility

    def solve(
        self,
        data: ProgramData,
        options: MixedOptions | None = None,
        prices: Floats | None = None,
    ) -> MixedSolution:
        """Solve one instance; raises ModelError for data that are not finite.

        `prices` (links,) of a joined program's links are tried before the whole is relaxed.
        """
        check_data(self.program, data, self.row_names)
        return _Search(self, data, options or MixedOptions(), prices).run()


class _Search(Incumbent):
    """One solve."""

    def __init__(
        self,
        solver: MixedIntegerConicSolver,
        data: ProgramData,
        options: MixedOptions,
        prices: Floats | None = None,
    ) -> None:
        super().__init__(solver.program, data, options, prices)
        self.solver = solver
        self.excluded = np.inf  # lowest bound among assignments the master no longer holds
        self.known: dict[bytes, float] = {}  # bound of an assignment once restricted
        self.visits: dict[bytes, int] = {}  # how often the master proposed it
        self.tolerance = tolerances.relaxation(options.gap)

    def run(self) -> MixedSolution:
        if self._closed_at_prices():
            return self.end("optimal", AT_PRICES)
        relaxation = self.relaxation = self._conic("relaxation", self.solver.relaxed, self.data,
                                                   self.program)  # fmt: skip
        if relaxation.status == "unbounded":
            return self._unbounded()
        if relaxation.status != "optimal":
            return self.end(relaxation.status, relaxation.message)
        self.raise_bound(relaxation.bound)
        if self.solver.decomposition is not None:
            self.prices = relaxation.dual[: self.solver.decomposition.links]
        if not len(self.program.integer):
            self.offer(relaxation.x)
            return self.end("optimal" if self.closed() else "limit", relaxation.message)
        bounds = self._integer_bounds()
        if bounds.empty:
            return self.end("infeasible", "an integer column has no value within its bounds")
        values = self._snapped(relaxation.x, bounds)
        snapped = relaxation.x.copy()
        snapped[self.program.integer] = values
        self.offer(snapped)
        self.note("snap")
        if self.closed():
            return self.end("optimal", "the snapped relaxed point satisfies every row")
        self._take_apart(snapped)
        if self.closed():
            return self.end("optimal", "closed part by part at the prices of the links")
        restricted = self._restrict(values)
        if self.closed():
            return self.end("optimal", "closed by the restricted program")
        if self.options.price_restricted:
            self._price_restricted(values, restricted)
            if self.closed():
                return self.end("optimal", "closed by the prices of the restricted program")
        if self.exhausted():
            return self.end("limit", "stopped by a limit before the outer approximation")
        self._price_relaxed()
        if self.closed():
            return self.end("optimal", "closed by the Lagrangian bound")
        return self._approximate(bounds, restricted)

    # ------------------------------------------------------------------ parts

    def _integer_bounds(self) -> IntegerBounds:
        return self.solver.bound_rows.integer_bounds(self.program.integer, self.data.b)

    def _snapped(self, x: Floats, bounds: IntegerBounds) -> Floats:
        snap = self.solver.snap
        values = least_violation(self.program, self.data, x) if snap is None else snap(x)
        return np.clip(np.round(values), bounds.lower, bounds.upper)

    def _conic(
        self, phase: str, solver: ConicSolver, data: ProgramData, program: ConicProgram
    ) -> Solution:
        """Solve, and believe nothing: an "optimal" point is checked against the program."""
        try:
            solution = solver.solve(data, self.tolerance)
        except Exception as error:  # a foreign solver may raise anything
            solution = _crashed(f"{type(error).__name__}: {error}")
        self.conic_solves += 1
        names = self.solver.row_names if program is self.program else None
        lie = contradiction(solution, program, data, names)
        if lie is not None:
            told = f"{phase}: {solver.name} reported {solution.message}, but {lie}"
            solution = replace(solution, status="failed", message=told)
        self.note(phase)
        return solution

    def _closed_at_prices(self) -> bool:
        """Solve the parts alone at the given prices; whether these leave next to nothing open."""
        parts, gap = self.solver.decomposition, self.options.gap
        if parts is None or self.prices is None or gap < tolerances.LINK_PRICES:
            return False
        found = parts.at_prices(self.data, self.prices, gap)
        self.conic_solves += 1
        self.raise_bound(found.bound)
        if found.x is not None:
            self.offer(found.x)
        self.note("prices")
        if found.relaxation is None:
            return False
        size = max(1.0, abs(self.objective))
        share = (self.objective - self.bound) / size
        if found.own_gap > tolerances.LINK_PRICES * size:  # integers, not prices, leave it
            share -= found.own_gap / size
        if not share <= tolerances.LINK_PRICES:
            return False
        self.relaxation = found.relaxation
        return self.closed()

    def _take_apart(self, snapped: Floats) -> None:
        """Bounds and points from the parts of a joined program, until the gap is closed."""
        parts = self.solver.decomposition
        if parts is None:
            return
        gap = self.options.gap
        for found in parts.improvements(self.data, self.relaxation, snapped, gap):
            self.raise_bound(found.bound)
            if found.x is not None:
                self.offer(found.x)
            self.note("parts")
            if self.closed() or self.late():
                return

    def _restrict(self, values: Floats) -> Solution | None:
        """Solve with the integers fixed; None if rows of integers alone forbid these values."""
        restricted = self.solver.restricted
        key = values.tobytes()
        if not restricted.admits(self.data, values):
            self.known[key] = np.inf
            return None
        data = restricted.data(self.data, values)
        if not restricted.program.variables:
            self.offer(restricted.join(np.zeros(0), values))
            self.known[key] = data.offset
            return None
        solution = self._conic("restricted", self.solver.fixed, data, restricted.program)
        if solution.status == "optimal":
            self.offer(restricted.join(solution.x, values))
            self.known[key] = solution.bound
        else:
            self.known[key] = np.inf if solution.status == "infeasible" else -np.inf
        self.note("restricted")
        return solution

    def _price_restricted(self, values: Floats, restricted: Solution | None) -> None:
        """Raise the bound by the integers' own rows at the restricted program's multipliers."""
        if restricted is None or restricted.status != "optimal" or not self.solver.priced.useful:
            return
        self._raise_to(
            self.solver.priced.at_restricted(
                self.data,
                self.solver.restricted.join_dual(restricted.dual),
                restricted.bound,
                values,
                self._priced_limits(),
            )
        )

    def _price_relaxed(self) -> None:
        """Raise the bound by the integers' own rows at the relaxation's multipliers."""
        if self.solver.priced.useful:
            limits = self._priced_limits()
            self._raise_to(self.solver.priced.at_relaxation(self.data, self.relaxation, limits))

    def _priced_limits(self) -> Limits:
        size = max(1.0, abs(self.objective) if np.isfinite(self.objective) else abs(self.bound))
        left = self.nodes_left()
        return Limits(
            absolute_gap=0.05 * self.options.gap * size,
            nodes=_PRICED_NODES if left is None else min(left, _PRICED_NODES),
            seconds=self.seconds_left(),
        )

    def _raise_to(self, found: Bound) -> None:
        bound, nodes = found
        self.nodes += nodes
        self.raise_bound(bound)
        self.note("priced rows")

    # ------------------------------------------------------------------ outer approximation

    def _approximate(self, bounds: IntegerBounds, first: Solution | None) -> MixedSolution:
        master = OuterApproximation(self.solver.form, self.data, bounds)
        self._cut(master, self.relaxation, self.relaxation.x)
        if first is not None:
            self._cut(master, first, self.x)
        self._cut_rounds(master)
        tight = False
        while not self.closed():
            if self.exhausted():
                return self.end("limit", "stopped by a limit")
            self.rounds += 1
            result = master.solve(
                relaxed=False,
                absolute_gap=self._master_gap(tight),
                node_limit=self.nodes_left(),
                time_limit_s=self.seconds_left(),
                incumbent=self.x if len(self.x) else None,
            )
            self.nodes += result.nodes
            if result.status == "failed":
                return self.end("limit" if len(self.x) else "failed", result.message)
            if result.status == "infeasible":
                return self._emptied()
            if result.status == "unbounded":
                master.add_floor(self.bound)
                self.note("master")
                continue
            self.raise_bound(min(result.bound, self.excluded))
            self.note("master")
            if self.closed():
                break
            if result.x is None:
                return self.end("limit", f"the master stopped without a point: {result.message}")
            tight = self._follow(master, result.x, bounds)
        return self.end("optimal", "closed by outer approximation")

    def _follow(self, master: OuterApproximation, x: Floats, bounds: IntegerBounds) -> bool:
        """Restrict and cut at the master's point; True asks for a tighter master next."""
        values = np.clip(np.round(x[self.program.integer]), bounds.lower, bounds.upper)
        key = values.tobytes()
        visits = self.visits[key] = self.visits.get(key, 0) + 1
        master.cut_point(x)
        if key not in self.known:
            solution = self._restrict(values)
            if solution is not None:
                self._cut(master, solution, self.solver.restricted.join(solution.x, values))
            return False
        if visits > 2:
            # its cuts are in place and it still returns: it leaves with the bound it has
            self.excluded = min(self.excluded, max(self.known[key], self.bound))
            master.exclude(values)
        return True

    def _cut(self, master: OuterApproximation, solution: Solution, x: Floats) -> None:
        """Add the cuts of a conic solve: they carry its bound, or its infeasibility, over."""
        if len(solution.dual) != self.program.rows:
            solution = replace(solution, dual=self.solver.restricted.join_dual(solution.dual))
        if solution.status == "optimal":
            master.cut_objective(x)
        if solution.status in ("optimal", "infeasible"):
            master.cut_multipliers(solution.dual)

    def _cut_rounds(self, master: OuterApproximation) -> None:
        """Cut off points of the master's linear relaxation before any branching."""
        for _ in range(self.options.cut_rounds):
            if self.exhausted():
                return
            result = master.solve(relaxed=True, time_limit_s=self.seconds_left())
            if result.status != "optimal" or result.x is None or not master.cut_point(result.x):
                break
        self.note("cut rounds")

    def _master_gap(self, tight: bool) -> float:
        """Absolute gap at which a master may stop: coarse while the incumbent is far."""
        found = np.isfinite(self.objective)
        wanted = 0.25 * self.options.gap * max(1.0, abs(self.objective if found else self.bound))
        if tight:
            return wanted
        distance = self.objective - self.bound if found else max(1.0, abs(self.bound))
        return float(max(wanted, 0.1 * distance))

    def _emptied(self) -> MixedSolution:
        """End where the master has no assignment left."""
        if len(self.x):
            if self.excluded < np.inf:
                self.raise_bound(min(self.excluded, self.objective))
            return self.end("optimal" if self.closed() else "limit", "the master is exhausted")
        if self.excluded < np.inf:
            return self.end("failed", "an assignment of the integers could not be decided")
        return self.end("infeasible", "no assignment of the integers satisfies the master")

    # ------------------------------------------------------------------ ends

    def _unbounded(self) -> MixedSolution:
        """End where the relaxation is unbounded: so is the program if it has any point."""
        data = ProgramData(np.zeros_like(self.data.q), self.data.b, 0.0)
        found = self.solver.feasibility.solve(data, self.options)
        self.conic_solves += found.conic_solves
        self.nodes, self.rounds = found.nodes, found.rounds
        if len(found.x):
            return self.end("unbounded", "the relaxation has a ray and the integers a point")
        return self.end(found.status, f"the relaxation is unbounded; {found.message}")


def _crashed(message: str) -> Solution:
    nan, none = float("nan"), np.zeros(0)
    return Solution("failed", none, none, nan, nan, nan, 0, 0.0, message)
