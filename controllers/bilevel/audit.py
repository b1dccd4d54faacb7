"""Audit of a bilevel point: an independent solver solves the follower again.

Nothing of the search is used: linear rows go to HiGHS, cones to a fresh conic solver. If that
solver fails, weak duality at the point's own multipliers still bounds the gap. If there is a
conic solution already, its multipliers prove a bound as well as another solve would.
"""

from dataclasses import dataclass

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.problem import BilevelData, BilevelProgram
from stackelgrid.controllers.errors import StackelgridError
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.backends.highs_qp import QuadraticSolver
from stackelgrid.controllers.solvers.checks import contradiction, in_dual_cone
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, Solution
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class Audit:
    """Verdict on one point z of the single level.

    `follower_gap` is (follower's objective at y - optimum) / size, where size is at least 1, the
    optimum's size, and SOLVER_GAP (tolerances.py) of the sum of the objective's absolute terms: a
    conic solver cannot resolve an optimum near 0 of large terms any better. `residual` is the
    largest relative violation of a single-level row or of s'nu = 0; `judge` names the solver.
    """

    follower_gap: float
    residual: float
    judge: str


def audit(form: KktForm, data: BilevelData, z: Floats) -> Audit:
    """Solve the follower at the point's x again and compare."""
    program, layout = form.bilevel, form.layout
    below = data.follower_data(program, z[layout.x])
    value = program.follower.objective(z[layout.y], below)
    optimum, judge = IndependentSolver(program.follower).optimum(below)
    if optimum is None:
        optimum, judge = _dual_value(program.follower, below, z[layout.y], z[layout.nu]), "duality"
    visible = tolerances.SOLVER_GAP / tolerances.FOLLOWER_GAP
    terms = _terms(program, data, z[layout.x], z[layout.y])
    gap = (value - optimum) / max(1.0, abs(optimum), visible * terms)
    return Audit(float(gap), _residual(form, data, z), judge)


def _terms(program: BilevelProgram, data: BilevelData, x: Floats, y: Floats) -> float:
    """Sum of the absolute terms of the follower's objective in y, constants left out."""
    follower, size = program.follower, np.abs(y)
    p = np.abs(data.follower_parameters + program.link @ x)
    linear = np.abs(follower.q0) + abs(follower.q_parameters) @ p
    return float(linear @ size + 0.5 * size @ (abs(follower.hessian) @ size))


class IndependentSolver:
    """Optimal values of one follower by solvers independent of a search; prepared once.

    HiGHS's active-set method may stop short of the optimum of a singular quadratic, so a curved
    follower's value is the lower of HiGHS's and a proven conic bound.
    """

    def __init__(self, program: ConicProgram) -> None:
        self.program = program
        self._linear: QuadraticSolver | None = None
        if not program.cones and not len(program.integer):
            self._linear = QuadraticSolver(program)

    def optimum(
        self, data: ProgramData, answer: Solution | None = None
    ) -> tuple[float | None, str]:
        """Return the optimal value (None if no solver finds it) and the solver's name.

        The bound of `answer` counts if its own multipliers prove it; else a new conic solve
        provides one.
        """
        linear = None
        if self._linear is not None:
            try:
                result = self._linear.solve(data)
            except StackelgridError:
                result = None
            if result is not None and result.status == "optimal":
                linear = result.objective
        if linear is not None and not self.program.quadratic.nnz:
            return linear, "highs"
        bound, by = None if answer is None else _proven(self.program, data, answer), "duality"
        if bound is None:
            bound, by = _conic_bound(self.program, data), "clarabel"
        if linear is None or bound is None:
            return (linear, "highs") if bound is None else (bound, by)
        return min(linear, bound), f"highs and {by}"


def _conic_bound(program: ConicProgram, data: ProgramData) -> float | None:
    if not program.rows or not program.variables:
        return None
    try:
        solution = ClarabelSolver(program).solve(data)
    except Exception:  # a foreign solver may raise anything; then there is no second value
        return None
    return _proven(program, data, solution)


def _proven(program: ConicProgram, data: ProgramData, solution: Solution) -> float | None:
    proven = solution.status == "optimal" and contradiction(solution, program, data) is None
    return solution.bound if proven else None


def _dual_value(program: ConicProgram, data: ProgramData, y: Floats, nu: Floats) -> float:
    """Return the dual objective at (y, nu): a lower bound if (y, nu) is stationary."""
    curved = program.hessian @ y
    return float(data.offset - 0.5 * y @ curved - data.b @ in_dual_cone(program, nu))


def _residual(form: KktForm, data: BilevelData, z: Floats) -> float:
    single = form.data(data)
    violation, _ = form.program.violation(z, single.b)
    slack = np.maximum(form.slacks(z, single.b), 0.0)
    multiplier = np.maximum(z[form.multipliers], 0.0)
    size = (1.0 + np.abs(single.b[form.slack_rows])) * max(1.0, float(multiplier.max(initial=0.0)))
    worst = float((slack * multiplier / size).max(initial=0.0))
    for cone, columns in enumerate(form.cone_multipliers):
        s, nu = form.cone_slack(cone, z, single.b), z[columns]
        worst = max(worst, abs(float(s @ nu)) / (max(1.0, abs(s[0])) * max(1.0, abs(nu[0]))))
    return max(violation, worst)
