"""Mixed-integer conic programs with a proven gap (docs/formulation.md).

Joined programs are tried part by part at given prices of their links (decomposition.py). Relax,
snap, restrict; then Lagrangian bounds (priced_rows.py); then outer approximation with HiGHS as
master. Every returned point is checked against the program, every bound is a conic dual objective
or follows from one and a proven bound of HiGHS.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.bound_rows import BoundRows, IntegerBounds
from stackelgrid.controllers.solvers.checks import check_data, check_program, contradiction
from stackelgrid.controllers.solvers.conic import (
    ConicProgram,
    ConicSolver,
    ProgramData,
    Solution,
)
from stackelgrid.controllers.solvers.mixed_integer.decomposition import Decomposition, Improvement
from stackelgrid.controllers.solvers.mixed_integer.incumbent import (
    Incumbent,
    MixedOptions,
    MixedSolution,
    Snap,
)
from stackelgrid.controllers.solvers.mixed_integer.master import Master, MasterForm
from stackelgrid.controllers.solvers.mixed_integer.outer_approximation import OuterApproximation
from stackelgrid.controllers.solvers.mixed_integer.priced_rows import PricedRows
from stackelgrid.controllers.solvers.reduce.restricted import (
    RestrictedProgram,
    least_violation,
)
from stackelgrid.controllers.solvers.reduce.scaling import equilibrate
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
        self.bound_rows = BoundRows(program)

    @cached_property
    def relaxed(self) -> ConicSolver:
        """Conic solver of the relaxation."""
        return self.conic_solver(self.program)

    @cached_property
    def restricted(self) -> RestrictedProgram:
        """The program with its integers fixed."""
        return RestrictedProgram(self.program)

    @cached_property
    def fixed(self) -> ConicSolver:
        """Conic solver of the restricted program."""
        return self.conic_solver(self.restricted.program)

    @cached_property
    def form(self) -> MasterForm:
        """The part of the masters that does not depend on data."""
        return MasterForm(self.program, equilibrate(self.program))

    @cached_property
    def priced(self) -> PricedRows:
        """The integers' linear rows for the Lagrangian bound."""
        return PricedRows(self.program, self.bound_rows)

    @cached_property
    def feasibility(self) -> "MixedIntegerConicSolver":
        """Solver of the same constraints without an objective."""
        return MixedIntegerConicSolver(
            self.program.without_objective(),
            self.snap,
            row_names=self.row_names,
            conic_solver=self.conic_solver,
        )

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
        super().__init__(solver.program.at(data), data, options, prices)
        self.solver = solver
        self.known: dict[bytes, float] = {}  # bound of an assignment once restricted
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
        bounds = self.solver.bound_rows.integer_bounds(self.program.integer, self.data.b)
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
        solved = restricted if restricted and restricted.status == "optimal" else None
        if solved is not None and self.options.price_restricted:
            self._price(self.solver.restricted.join_dual(solved.dual), solved.bound, values)
            if self.closed():
                return self.end("optimal", "closed by the prices of the restricted program")
        if self.exhausted():
            return self.end("limit", "stopped by a limit before the outer approximation")
        self._price(relaxation.dual, relaxation.bound)
        if self.closed():
            return self.end("optimal", "closed by the Lagrangian bound")
        master = Master(self._form(), self.data, bounds)
        loop = OuterApproximation(self, master, self.solver.restricted, self._restrict, self.known)
        return loop.run(bounds, restricted)

    # ------------------------------------------------------------------ parts

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
            message = f"{type(error).__name__}: {error}"
            solution = Solution.without_values("failed", message)
        self.conic_solves += 1
        names = self.solver.row_names if program is self.program else None
        lie = contradiction(solution, program, data, names)
        if lie is not None:
            message = f"{phase}: {solver.name} reported {solution.message}, but {lie}"
            solution = replace(solution, status="failed", message=message)
        self.note(phase)
        return solution

    def _closed_at_prices(self) -> bool:
        """Solve the parts alone at the given prices; whether these leave next to nothing open."""
        parts, gap = self.solver.decomposition, self.options.gap
        if parts is None or self.prices is None or gap < tolerances.LINK_PRICES:
            return False
        found = parts.at_prices(self.data, self.prices, gap)
        self.conic_solves += 1
        self._improve(found, "prices")
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
            self._improve(found, "parts")
            if self.closed() or self.deadline.passed:
                return

    def _improve(self, found: Improvement, phase: str) -> None:
        self.raise_bound(found.bound)
        if found.x is not None:
            self.offer(found.x)
        self.note(phase)

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
        program = restricted.program.at(data)
        solution = self._conic("restricted", self.solver.fixed, data, program)
        if solution.status == "optimal":
            self.offer(restricted.join(solution.x, values))
            self.known[key] = solution.bound
        else:
            self.known[key] = np.inf if solution.status == "infeasible" else -np.inf
        self.note("restricted")
        return solution

    def _price(self, dual: Floats, bound: float, fixed: Floats | None = None) -> None:
        """Raise the bound by the integers' own rows at multipliers of the program's rows."""
        priced = self._priced_rows()
        if not priced.useful:
            return
        size = max(1.0, abs(self.objective) if np.isfinite(self.objective) else abs(self.bound))
        left = self.nodes_left()
        found, nodes = priced.bound(
            self.data,
            dual,
            bound,
            fixed,
            absolute_gap=0.05 * self.options.gap * size,
            nodes=_PRICED_NODES if left is None else min(left, _PRICED_NODES),
            seconds=self.deadline.left,
        )
        self.nodes += nodes
        self.raise_bound(found)
        self.note("priced rows")

    def _form(self) -> MasterForm:
        """Return the solver's form of masters; a new one where coefficients are data."""
        constant = self.data.coefficients is None
        return self.solver.form if constant else MasterForm(self.program, equilibrate(self.program))

    def _priced_rows(self) -> PricedRows:
        """Return the integers' linear rows of the solver; new ones where coefficients are data."""
        constant = self.data.coefficients is None
        return self.solver.priced if constant else PricedRows(self.program, self.solver.bound_rows)

    # ------------------------------------------------------------------ ends

    def _unbounded(self) -> MixedSolution:
        """End where the relaxation is unbounded: so is the program if it has any point."""
        data = replace(self.data, q=np.zeros(self.program.variables), offset=0.0)
        found = self.solver.feasibility.solve(data, self.options)
        self.conic_solves += found.conic_solves
        self.nodes, self.rounds = found.nodes, found.rounds
        if len(found.x):
            return self.end("unbounded", "the relaxation has a ray and the integers a point")
        return self.end(found.status, f"the relaxation is unbounded; {found.message}")
