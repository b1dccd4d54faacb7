"""Proven ranges of linear functions over the rows of a program."""

from dataclasses import replace

import numpy as np

from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.problem import BilevelData
from stackelgrid.controllers.solvers.checks import contradiction
from stackelgrid.controllers.solvers.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.conic import NO_ROWS, ConicProgram, ProgramData
from stackelgrid.profiles.arrays import Floats

MARGIN = 1e-6  # added to a bound, relative to max(1, bound)


class Ranges:
    """Largest values of linear functions over a program's rows, its integers relaxed."""

    def __init__(self, program: ConicProgram, b: Floats) -> None:
        self._program = replace(program.without_objective(), integer=NO_ROWS)
        self._solver = ClarabelSolver(self._program)
        self._b = b

    def largest(self, cost: Floats) -> float:
        """Proven upper bound of cost'z: infinite without a proof, -infinite without a point."""
        data = ProgramData(-cost, self._b, 0.0)
        try:
            solution = self._solver.solve(data)
        except Exception:  # a foreign solver may raise anything: no proof then
            self._solver = ClarabelSolver(self._program)
            return np.inf
        if contradiction(solution, self._program, data) is not None:
            return np.inf
        if solution.status == "infeasible":
            return -np.inf
        if solution.status != "optimal":
            return np.inf
        return -solution.bound + MARGIN * max(1.0, abs(solution.bound))


def primal_ranges(form: KktForm, data: BilevelData) -> Ranges:
    """Ranges over the rows of leader and follower, without the follower's optimality."""
    rows = np.sort(np.concatenate([form.leader_rows, form.follower_rows]))
    return Ranges(form.program.only(rows), form.data(data).b[rows])
