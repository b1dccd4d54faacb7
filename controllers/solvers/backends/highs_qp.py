"""HiGHS as an independent solver of convex quadratic programs, block by block."""

import time
from typing import Any

import highspy
import numpy as np
from scipy.sparse import triu

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.backends.highs import load, run_highs
from stackelgrid.controllers.solvers.backends.polyhedron import Block, Splitting
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, Solution, SolverStatus
from stackelgrid.profiles.arrays import Floats

# tangents: relative gap at which a block is solved, and most rounds
_TANGENT_GAP = 1e-9
_TANGENT_ROUNDS = 100
_NOTHING = np.full(1, np.nan)

_STATUS: dict[Any, SolverStatus] = {
    highspy.HighsModelStatus.kOptimal: "optimal",
    highspy.HighsModelStatus.kInfeasible: "infeasible",
    highspy.HighsModelStatus.kUnbounded: "unbounded",
    highspy.HighsModelStatus.kUnboundedOrInfeasible: "unbounded",
}


class QuadraticSolver:
    """HiGHS's simplex and active-set methods bound to one program without cones.

    Nothing is shared with the conic solvers but the program, and nothing is kept of a solve. The
    active-set method slows down with size, so blocks that no row connects (periods without ramps)
    are solved one by one. Where it loses feasibility (with free variables it does now and then,
    and says so) the block is solved by tangents of its quadratic terms and the simplex method
    instead (Kelley 1960). Raises SolverError for cones and integers.
    """

    def __init__(self, program: ConicProgram) -> None:
        self.program = program
        self._splitting = Splitting(program)

    def solve(self, data: ProgramData) -> Solution:
        """Solve one instance; there are no multipliers, so the bound is the objective."""
        started = time.perf_counter()
        program, (blocks, consistent) = self.program, self._splitting.blocks(data)
        x = np.full(program.variables, np.nan)
        status: SolverStatus = "optimal" if consistent else "infeasible"
        message = "" if consistent else "a row without variables is violated"
        for k, block in enumerate(blocks):
            if status != "optimal":
                break
            status, message, x[block.columns] = _solve(block)
            message = f"block {k}: {message}"
        violation, objective = float("nan"), float("nan")
        if status == "optimal":
            violation, row = program.violation(x, data.b)
            objective = program.objective(x, data)
            if not violation <= tolerances.POINT_VIOLATION:
                status, message = "failed", f"row {row} is violated by {violation:.1e}"
        none, seconds = np.zeros(0), time.perf_counter() - started
        return Solution(status, x, none, objective, objective, violation, 0, seconds, message)


def load_block(block: Block, *, quadratic: bool) -> Any:
    """Return a Highs object that holds a block, with or without its quadratic terms."""
    highs = load(
        block.q,
        (block.lower, block.upper),
        block.matrix,
        (block.row_lower, block.row_upper),
        {"qp_regularization_value": 0.0},
    )
    if quadratic and block.quadratic.nnz:
        lower = block.hessian
        hessian = highspy.HighsHessian()
        hessian.dim_ = len(block.q)
        hessian.format_ = highspy.HessianFormat.kTriangular
        hessian.start_ = lower.indptr.astype(np.int32)
        hessian.index_ = lower.indices.astype(np.int32)
        hessian.value_ = lower.data
        highs.passHessian(hessian)
    return highs


def _solve(block: Block) -> tuple[SolverStatus, str, Floats]:
    highs = load_block(block, quadratic=True)
    run_highs(highs)
    model = highs.getModelStatus()
    if model not in _STATUS and not triu(block.quadratic, 1).nnz:
        return minimise_by_tangents(block)
    status: SolverStatus = _STATUS.get(model, "failed")
    x = np.array(highs.getSolution().col_value) if status == "optimal" else _NOTHING
    return status, str(highs.modelStatusToString(model)), x


def minimise_by_tangents(block: Block) -> tuple[SolverStatus, str, Floats]:
    """Minimise a separable block: every square is replaced by its tangents at points visited."""
    n, curvature = len(block.q), block.quadratic.diagonal()
    curved = np.flatnonzero(curvature)
    highs = load_block(block, quadratic=False)
    for k, _ in enumerate(curved):
        highs.addVar(0.0, np.inf)  # a square is never negative
        highs.changeColCost(n + k, 1.0)
    for _ in range(_TANGENT_ROUNDS):
        run_highs(highs)
        model = highs.getModelStatus()
        status: SolverStatus = _STATUS.get(model, "failed")
        if status != "optimal":
            return status, f"tangents: {highs.modelStatusToString(model)}", _NOTHING
        point = np.array(highs.getSolution().col_value)
        x, squares = point[:n], 0.5 * curvature[curved] * point[curved] ** 2
        missing = squares - point[n:]
        if missing.sum() <= _TANGENT_GAP * max(1.0, abs(block.cost(x))):
            return "optimal", "tangents", x
        for k in np.flatnonzero(missing > 0.0).tolist():
            slope = curvature[curved[k]] * x[curved[k]]
            columns = np.array([curved[k], n + k], dtype=np.int32)
            highs.addRow(-squares[k], np.inf, 2, columns, np.array([-slope, 1.0]))
    return "failed", f"tangents: not closed after {_TANGENT_ROUNDS} rounds", _NOTHING
