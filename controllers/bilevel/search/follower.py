"""Follower at a given decision of the leader: its solution, and the pattern of its rows."""

import numpy as np

from stackelgrid.controllers.bilevel.problem import BilevelData, BilevelProgram, Flags
from stackelgrid.controllers.bilevel.search.node import (
    MULTIPLIER_ZERO,
    SLACK_ZERO,
    ConeState,
    cone_side,
)
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.checks import contradiction
from stackelgrid.controllers.solvers.conic import ConicProgram, Solution
from stackelgrid.profiles.arrays import Floats, Ints


class FollowerResponse:
    """Solves the follower at given decisions; matrices are built once."""

    def __init__(self, program: BilevelProgram, data: BilevelData) -> None:
        self.program, self.data = program, data
        self._solver: ClarabelSolver | None = None
        if program.follower.rows and program.follower.variables:
            self._solver = ClarabelSolver(program.follower)

    def solve(self, x: Floats) -> Solution | None:
        """Return optimum and multipliers at x (n_x,), or None if the follower has no solution."""
        if self._solver is None:
            return None
        data = self.data.follower_data(self.program, x)
        try:
            solution = self._solver.solve(data)
        except Exception:  # a foreign solver may raise anything; there is no solution then
            self._solver = ClarabelSolver(self.program.follower)
            return None
        if solution.status != "optimal" or contradiction(solution, self.program.follower, data):
            return None
        return solution

    def pattern(self, x: Floats) -> tuple[Ints, tuple[ConeState, ...]] | None:
        """Return the sides of all pairs and states of the cones at the follower's response to x."""
        solution = self.solve(x)
        if solution is None:
            return None
        follower = self.program.follower
        b = self.data.follower_data(self.program, x).b
        slack = b - follower.matrix @ solution.x
        active = active_pairs(follower, solution, b)
        sides = np.where(active, SLACK_ZERO, MULTIPLIER_ZERO).astype(np.int64)
        cones, first = [], follower.zero + follower.nonneg
        for count in follower.cones:
            rows = slice(first, first + count)
            cones.append(cone_side(slack[rows], solution.dual[rows]))
            first += count
        return sides, tuple(cones)


def active_pairs(follower: ConicProgram, solution: Solution, b: Floats) -> Flags:
    """Return which inequalities (pairs,) are active: multiplier above slack in the solution."""
    pairs = slice(follower.zero, follower.zero + follower.nonneg)
    slack = (b - follower.matrix @ solution.x)[pairs]
    size = max(1.0, 1e-3 * float(np.abs(solution.dual).max(initial=0.0)))
    return np.asarray(slack / (1.0 + np.abs(b[pairs])) <= solution.dual[pairs] / size)
