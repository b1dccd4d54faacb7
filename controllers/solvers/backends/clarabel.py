"""Clarabel as conic solver; its solve releases the interpreter lock, so threads run in parallel.

A program is reduced and scaled once (reduce/), its rarely binding rows left out.
Every solution is mapped back and checked in the whole program: where a left-out row is violated all
rows are solved with, where another check fails the solve is repeated with refinement to rounding.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import clarabel
import numpy as np
from scipy.sparse import coo_array, csc_matrix

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.checks import in_dual_cone, stationarity
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, Solution, SolverStatus
from stackelgrid.controllers.solvers.reduce.dual_bound import DualBound
from stackelgrid.controllers.solvers.reduce.reduction import Reduction
from stackelgrid.controllers.solvers.reduce.scaling import cost_unit, equilibrate
from stackelgrid.profiles.arrays import Floats, Ints

_STATUS: dict[str, SolverStatus] = {
    "Solved": "optimal",
    "AlmostSolved": "optimal",
    "PrimalInfeasible": "infeasible",
    "AlmostPrimalInfeasible": "infeasible",
    "DualInfeasible": "unbounded",
    "AlmostDualInfeasible": "unbounded",
}
_WORTH_ORDERING = 0.8  # entries of the factor, relative to those without
WORTH_REDUCING = 1000  # rows; smaller programs are solved faster than they are reduced
_NAN = float("nan")


@dataclass(frozen=True)
class _Attempt:
    """A way to solve: tolerances, most steps of iterative refinement, shorter steps.

    `words` add to a message what was changed; `scaled` takes the objective in a unit of its size.
    """

    gap: float
    feasibility: float
    refinements: int
    cautious: bool = False
    scaled: bool = False
    words: str = ""


_TO_ROUNDING = 30
_GAP, _FEASIBILITY = tolerances.SOLVER_GAP, tolerances.SOLVER_FEASIBILITY
# one step of refinement mostly suffices, at a tenth of the tolerances, which closes thin cones;
# where it does not refinement goes to rounding
_PRECISE = (
    _Attempt(0.1 * _GAP, 0.1 * _FEASIBILITY, 1),
    _Attempt(_GAP, _FEASIBILITY, _TO_ROUNDING, words=" with refinement to rounding"),
    _Attempt(_GAP, _FEASIBILITY, _TO_ROUNDING, cautious=True, words=" with smaller steps"),
)


class ClarabelSolver:
    """Interior point method bound to one program; only vectors are replaced between solves."""

    name = "clarabel"
    version: str = clarabel.__version__

    def __init__(self, program: ConicProgram) -> None:
        self.program = program
        self.forms: dict[str, _Form] = {}
        self._bound: DualBound | None = None

    @property
    def dual_bound(self) -> DualBound:
        """Bounds that multipliers of the program prove, built when first needed."""
        self._bound = self._bound or DualBound(self.program)
        return self._bound

    def solve(self, data: ProgramData, tolerance: float | None = None) -> Solution:
        """Solve one instance and check the returned point independently.

        Without `tolerance` to rounding, with multipliers that are fit to be published as prices;
        else to this relative gap and feasibility, about twice as fast, where multipliers can prove
        a bound (reduce/dual_bound.py). A point that violates a row by more than the tolerance of
        every point is returned as "failed", whatever the solver called it.
        """
        started = time.perf_counter()
        attempts = self._attempts(tolerance if tolerance and tolerance > _FEASIBILITY else None)
        for form in self._candidates(data):
            solution, missed = self._tried(form, data, attempts)
            # a program without some rows that has no point has none with them either
            if solution.status == "infeasible" or missed <= tolerances.RARE_ROW:
                break
        return replace(solution, solve_s=time.perf_counter() - started)

    def _attempts(self, tolerance: float | None) -> tuple[_Attempt, ...]:
        """Ways to solve; to a tolerance only where multipliers can prove the bound."""
        if tolerance is None or not self.dual_bound.possible:
            return _PRECISE
        return (_Attempt(tolerance, tolerance, 0, scaled=True), *_PRECISE)

    def _candidates(self, data: ProgramData) -> Iterator["_Form"]:
        """Yield forms in the order in which they are tried, each built when first needed."""
        program = self.program
        makers: dict[str, Callable[[], _Form]] = {}
        if len(program.rare) and not len(data.binding):
            makers["lean"] = lambda: _Form(program, Reduction(program, program.rare), lean=True)
        if program.rows >= WORTH_REDUCING:
            makers["reduced"] = lambda: _Form(program, Reduction(program))
        makers["whole"] = lambda: _Form(program)
        for name, make in makers.items():
            if name not in self.forms:
                self.forms[name] = make()
            if self.forms[name].takes(data):
                yield self.forms[name]

    def _tried(
        self, form: "_Form", data: ProgramData, attempts: tuple[_Attempt, ...]
    ) -> tuple[Solution, float]:
        """Solution of the first attempt that stands every check, or else that of the first.

        What is only almost solved is tried again until it was refined to rounding. With it comes
        the violation of rows that the form leaves out, infinite where these may bound a program
        without a solution.
        """
        best, missed_by_best = Solution.without_values("failed", ""), np.inf
        iterations, message = 0, ""
        for attempt in attempts:
            solution, missed = self._checked(form, data, attempt)
            iterations += solution.iterations
            sound, almost = solution.status != "failed", solution.message.startswith("Almost")
            if not message or (sound and (best.status == "failed" or not almost)):
                best, missed_by_best = solution, missed
            message += f"; then {solution.message}{attempt.words}" if message else solution.message
            if sound and not (almost and attempt.refinements < _TO_ROUNDING):
                break
        return replace(best, message=message, iterations=iterations), missed_by_best

    def _checked(
        self, form: "_Form", data: ProgramData, attempt: _Attempt
    ) -> tuple[Solution, float]:
        """Solve, and call "failed" whatever violates a row by more than the tolerance."""
        result = form.solve(data, attempt)
        status, message = result.status, result.message
        violation = bound = _NAN
        left_out = np.zeros(0)
        program = self.program.at(data)
        if status == "optimal":
            worst = program.violations(result.x, data.b)
            if form.lean:
                left_out = worst[self.program.rare]
                worst[self.program.rare] = 0.0
            row = int(np.argmax(worst)) if len(worst) else 0
            violation = float(worst[row]) if len(worst) else 0.0
            bound = result.bound
            if not violation <= tolerances.POINT_VIOLATION:
                status = "failed"
                message = f"{message}, but row {row} is violated by {violation:.1e}"
            elif not attempt.refinements or message.startswith("Almost"):
                proven = self.dual_bound.value(result.x, result.dual, data)
                if proven > -np.inf:
                    bound = min(bound, proven) if attempt.refinements else proven
                elif not attempt.refinements:
                    status, message = "failed", f"{message}, but its multipliers prove no bound"
            if status == "optimal" and not attempt.refinements:
                # multipliers far from stationary may prove a bound, but are no prices
                residual = stationarity(program, data, result.x, in_dual_cone(program, result.dual))
                if not residual <= tolerances.SOLVER_REDUCED:
                    message = f"{message}, but its multipliers leave a residual of {residual:.1e}"
                    status = "failed"
        solved = status == "optimal"
        solution = replace(
            result,
            status=status,
            objective=self.program.objective(result.x, data) if solved else _NAN,
            bound=bound if solved else _NAN,
            violation=violation,
            message=message,
        )
        return solution, float(left_out.max(initial=0.0)) if solved or not form.lean else np.inf


class RefinedClarabelSolver(ClarabelSolver):
    """Solves to a tolerance of the gap alone, feasibility to rounding by a step of refinement.

    For programs with columns that nothing bounds, such as multipliers: the bound is the dual
    objective of multipliers that are stationary to rounding, as in a solve without tolerance.
    """

    def _attempts(self, tolerance: float | None) -> tuple[_Attempt, ...]:
        precise = tuple(replace(attempt, scaled=True) for attempt in _PRECISE)
        if tolerance is None:
            return precise
        return (_Attempt(tolerance, _FEASIBILITY, 1, scaled=True), *precise)


class _Form:
    """A program as Clarabel gets it: reduced or as it is, and scaled.

    `lean` says that rarely binding rows are left out.
    """

    def __init__(
        self, program: ConicProgram, reduction: Reduction | None = None, lean: bool = False
    ) -> None:
        self.lean, self._reduction = lean, reduction
        self._program = program if reduction is None else reduction.program
        self._scaling = equilibrate(self._program)
        p, a = self._scaling.matrices(self._program)
        self._p, self._a = csc_matrix(p), csc_matrix(a)
        self._curved, self._ordered = bool(self._p.nnz), not self._program.steps
        self._cones = [clarabel.ZeroConeT(self._program.zero)] if self._program.zero else []
        if self._program.nonneg:
            self._cones.append(clarabel.NonnegativeConeT(self._program.nonneg))
        self._cones += [clarabel.SecondOrderConeT(size) for size in self._program.cones]
        self._solvers: dict[_Attempt, Any] = {}

    def takes(self, data: ProgramData) -> bool:
        """Check if the reduction is exact for these data."""
        return self._reduction is None or self._reduction.holds(data)

    def solve(self, data: ProgramData, attempt: _Attempt) -> Solution:
        """Solve one instance and map the solution back to the whole program, unchecked."""
        own = data if self._reduction is None else self._reduction.data(data)
        q, b = self._scaling.column * own.q, self._scaling.row * own.b
        changed: dict[str, Any] = {}
        if own.coefficients is not None:
            self._a = csc_matrix(self._scaling.matrices(self._program.at(own))[1])
            changed["A"] = self._a
        # to rounding the tolerance is that of the objective in EUR, however small it is
        unit = cost_unit(q, b) if attempt.scaled else 1.0
        q = q / unit
        if attempt not in self._solvers:
            self._solvers[attempt] = self._bound(q, b, unit, attempt)
        else:
            if self._curved:
                changed["P"] = self._p / unit
            self._solvers[attempt].update(q=q, b=b, **changed)
        result = self._solvers[attempt].solve()
        x = self._scaling.column * np.array(result.x)
        dual = unit * self._scaling.row * np.array(result.z)
        if self._reduction is not None:
            x, dual = self._reduction.point(x, data.b), self._reduction.dual(dual, data.q)
        message, bound = str(result.status), unit * float(result.obj_val_dual) + own.offset
        status, iterations = _STATUS.get(message, "failed"), int(result.iterations)
        return Solution(status, x, dual, _NAN, bound, _NAN, iterations, 0.0, message)

    def _bound(self, q: Floats, b: Floats, unit: float, attempt: _Attempt) -> Any:
        """Return Clarabel's solver of some data.

        Its ordering by minimum degree eliminates long chains over time first, which couples all
        steps with the whole network. Stored zeros between the columns of `steps` keep it from that;
        they stay where they spare a good part of the factor.
        """

        def solver(p: csc_matrix) -> Any:
            return clarabel.DefaultSolver(p / unit, q, self._a, b, self._cones, _settings(attempt))

        found = solver(self._p)
        if self._ordered:
            return found
        self._ordered = True
        linked = _with_cliques(self._p, self._program.steps)
        other = solver(linked)
        if other.get_info().linsolver.nnzL > _WORTH_ORDERING * found.get_info().linsolver.nnzL:
            return found
        self._p = linked
        return other


def _with_cliques(p: csc_matrix, groups: Sequence[Ints]) -> csc_matrix:
    """Return an upper triangle with stored zeros between any two columns of a group."""
    pairs = [np.triu_indices(len(group), 1) for group in groups]
    ends = [np.stack([g[i], g[j]]) for g, (i, j) in zip(groups, pairs, strict=True)]
    both = np.sort(np.concatenate(ends, axis=1), axis=0)
    entries = coo_array(p)
    values = np.concatenate([entries.data, np.zeros(both.shape[1])])
    places = (np.concatenate([entries.coords[k], both[k]]) for k in (0, 1))
    return csc_matrix(coo_array((values, tuple(places)), shape=p.shape))


def _settings(attempt: _Attempt) -> Any:
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.presolve_enable = False  # it would drop rows, and dropped rows cannot be updated
    settings.equilibrate_enable = False  # done once, in scaling.py
    settings.chordal_decomposition_enable = False
    settings.input_sparse_dropzeros = False
    settings.max_threads = 1
    settings.iterative_refinement_enable = attempt.refinements > 0
    settings.iterative_refinement_max_iter = attempt.refinements
    settings.iterative_refinement_reltol = 1e-14
    settings.iterative_refinement_abstol = 1e-14
    settings.tol_gap_rel = attempt.gap
    settings.tol_gap_abs = attempt.gap
    settings.tol_feas = attempt.feasibility
    settings.reduced_tol_gap_rel = tolerances.SOLVER_REDUCED
    settings.reduced_tol_gap_abs = tolerances.SOLVER_REDUCED
    settings.reduced_tol_feas = tolerances.SOLVER_REDUCED
    if attempt.cautious:
        settings.max_step_fraction = 0.95
        settings.static_regularization_constant = 1e-7
    return settings
