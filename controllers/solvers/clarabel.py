"""Clarabel as conic solver; its solve releases the interpreter lock, so threads run in parallel."""

import time
from typing import Any

import clarabel
import numpy as np
from scipy.sparse import csc_matrix

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, Solution, SolverStatus
from stackelgrid.controllers.solvers.scaling import equilibrate
from stackelgrid.profiles.arrays import Floats

_STATUS: dict[str, SolverStatus] = {
    "Solved": "optimal",
    "AlmostSolved": "optimal",
    "PrimalInfeasible": "infeasible",
    "AlmostPrimalInfeasible": "infeasible",
    "DualInfeasible": "unbounded",
    "AlmostDualInfeasible": "unbounded",
}


class ClarabelSolver:
    """Interior point method bound to one program; only vectors are replaced between solves."""

    name = "clarabel"
    version: str = clarabel.__version__

    def __init__(self, program: ConicProgram) -> None:
        self.program = program
        self._scaling = equilibrate(program)
        p, a = self._scaling.matrices(program)
        self._p, self._a = csc_matrix(p), csc_matrix(a)
        self._cones = [clarabel.ZeroConeT(program.zero)] if program.zero else []
        if program.nonneg:
            self._cones.append(clarabel.NonnegativeConeT(program.nonneg))
        self._cones += [clarabel.SecondOrderConeT(size) for size in program.cones]
        self._solver: Any = None

    def solve(self, data: ProgramData) -> Solution:
        """Solve one instance and check the returned point independently.

        A point that violates a row by more than the tolerance is returned as "failed", whatever
        the solver called it.
        """
        started = time.perf_counter()
        q, b = self._scaling.column * data.q, self._scaling.row * data.b
        if self._solver is None:
            self._solver = self._fresh(q, b, _settings())
        else:
            self._solver.update(q=q, b=b)
        status, message, result, violation = self._checked(self._solver, data)
        if status == "failed":  # once more on a slower, more cautious path
            retry = self._checked(self._fresh(q, b, _cautious_settings()), data)
            if retry[0] != "failed":
                status, _, result, violation = retry
                message = f"{message}; then {retry[1]} with smaller steps"
        x = self._scaling.column * np.array(result.x)
        solved = status == "optimal"
        return Solution(
            status=status,
            x=x,
            dual=self._scaling.row * np.array(result.z),
            objective=self.program.objective(x, data) if solved else float("nan"),
            bound=float(result.obj_val_dual) + data.offset if solved else float("nan"),
            violation=violation,
            iterations=int(result.iterations),
            solve_s=time.perf_counter() - started,
            message=message,
        )

    def _fresh(self, q: Floats, b: Floats, settings: Any) -> Any:
        return clarabel.DefaultSolver(self._p, q, self._a, b, self._cones, settings)

    def _checked(self, solver: Any, data: ProgramData) -> tuple[SolverStatus, str, Any, float]:
        """Solve, and call "failed" whatever violates a row by more than the tolerance."""
        result = solver.solve()
        message = str(result.status)
        status: SolverStatus = _STATUS.get(message, "failed")
        violation = float("nan")
        if status == "optimal":
            violation, row = self.program.violation(
                self._scaling.column * np.array(result.x), data.b
            )
            if not violation <= tolerances.POINT_VIOLATION:
                status = "failed"
                message = f"{message}, but row {row} is violated by {violation:.1e}"
        return status, message, result, violation


def _settings() -> Any:
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.presolve_enable = False  # it would drop rows, and dropped rows cannot be updated
    settings.equilibrate_enable = False  # done once, in scaling.py
    settings.chordal_decomposition_enable = False
    settings.input_sparse_dropzeros = False
    settings.max_threads = 1
    # refinement to rounding: without it thin cones end a few digits short of the tolerance
    settings.iterative_refinement_max_iter = 30
    settings.iterative_refinement_reltol = 1e-14
    settings.iterative_refinement_abstol = 1e-14
    settings.tol_gap_rel = tolerances.SOLVER_GAP
    settings.tol_gap_abs = tolerances.SOLVER_GAP
    settings.tol_feas = tolerances.SOLVER_FEASIBILITY
    settings.reduced_tol_gap_rel = tolerances.SOLVER_REDUCED
    settings.reduced_tol_gap_abs = tolerances.SOLVER_REDUCED
    settings.reduced_tol_feas = tolerances.SOLVER_REDUCED
    return settings


def _cautious_settings() -> Any:
    settings = _settings()
    settings.max_step_fraction = 0.95
    settings.static_regularization_constant = 1e-7
    return settings
