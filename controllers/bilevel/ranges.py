"""Proven ranges of linear functions over the rows of a program."""

from dataclasses import replace

import numpy as np
from scipy.sparse import csc_array, csr_array

from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.problem import BilevelData
from stackelgrid.controllers.solvers.checks import contradiction
from stackelgrid.controllers.solvers.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.conic import NO_ROWS, ConicProgram, ProgramData
from stackelgrid.profiles.arrays import Floats, Ints

MARGIN = 1e-6  # added to a bound, relative to max(1, bound)


class Ranges:
    """Largest values of linear functions over a program's rows, its integers relaxed."""

    def __init__(self, program: ConicProgram, b: Floats) -> None:
        n = program.variables
        self._program = replace(
            program, quadratic=csc_array((n, n)), integer=np.zeros(0, dtype=np.int64)
        )
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
    return Ranges(_rows_of(form.program, rows), form.data(data).b[rows])


def _rows_of(program: ConicProgram, rows: Ints) -> ConicProgram:
    """Return the program with some of its rows (cones as a whole), without parameters."""
    linear = program.zero + program.nonneg
    sizes, first, kept = [], linear, set(rows[rows >= linear].tolist())
    for count in program.cones:
        if first in kept:
            sizes.append(count)
        first += count
    return replace(
        program,
        matrix=csc_array(csr_array(program.matrix)[rows]),
        b0=np.zeros(len(rows)),
        b_parameters=csr_array((len(rows), 0)),
        zero=int((rows < program.zero).sum()),
        nonneg=int(((rows >= program.zero) & (rows < linear)).sum()),
        rare=NO_ROWS,
        cones=tuple(sizes),
    )
