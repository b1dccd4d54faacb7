"""A second solve around a solution whose objective is small against its terms."""

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array, triu

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.checks import contradiction
from stackelgrid.controllers.solvers.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, Solution

_CANCELLED = 100.0  # terms of an objective that exceed it by this are worth a second solve


def recentred(program: ConicProgram, data: ProgramData, solution: Solution) -> Solution:
    """The solution again as a step from itself, where the objective's terms cancel.

    A solver's gap is relative to terms such as K^2 in (x - K)^2; around the solution they are gone
    (iterative refinement). The first solution is returned where nothing cancels or a check fails.
    """
    upper = program.quadratic
    x, curved = solution.x, csr_array(upper + triu(upper, 1).T)
    terms = float(np.abs(data.q) @ np.abs(x) + 0.5 * np.abs(x) @ (abs(curved) @ np.abs(x)))
    if terms <= _CANCELLED * max(1.0, abs(solution.objective)):
        return solution
    step_data = ProgramData(
        q=data.q + curved @ x, b=data.b - program.matrix @ x, offset=program.objective(x, data)
    )
    try:
        step = ClarabelSolver(program).solve(step_data)
    except Exception:  # a foreign solver may raise anything; the first solution stands
        return solution
    if step.status != "optimal" or contradiction(step, program, step_data) is not None:
        return solution
    if not program.violation(x + step.x, data.b)[0] <= tolerances.POINT_VIOLATION:
        return solution
    return replace(step, x=x + step.x)
