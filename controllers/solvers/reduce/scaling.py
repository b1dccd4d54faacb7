"""Equilibration of a conic program, once, at compile time.

A solver's own equilibration keeps the scaling of the first data it saw, so an updated and a fresh
solver would differ in the last digits; ours of rows and columns depends on the matrices only, that
of the objective (cost_unit) on the data of the same solve.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, diags_array

from stackelgrid.controllers.solvers.conic import ConicProgram
from stackelgrid.profiles.arrays import Floats, Ints

_SWEEPS = 12  # with 4 hulls of disjunctions stop almost solved
_LIMITS = (1e-4, 1e4)
_LARGE = 0.99  # quantile of the linear costs that the objective is scaled by


@dataclass(frozen=True)
class Scaling:
    """x = column * x_scaled; scaled rows are row * (A x + s - b)."""

    column: Floats
    row: Floats

    def matrices(self, program: ConicProgram) -> tuple[csc_array, csc_array]:
        """Scaled upper triangle of P and scaled A."""
        d, e = diags_array(self.column), diags_array(self.row)
        return csc_array(d @ program.quadratic @ d), csc_array(e @ program.matrix @ d)


def equilibrate(program: ConicProgram) -> Scaling:
    """Ruiz scaling (Ruiz 2001) of [P A'; A 0] in the infinity norm, one factor a cone block."""
    upper = abs(program.quadratic).tocsc()
    a, p = _Entries.of(abs(program.matrix)), _Entries.of(csc_array(upper + upper.T))
    column, row = np.ones(program.variables), np.ones(program.rows)
    linear, starts = program.linear, program.heads - program.linear
    for _ in range(_SWEEPS):
        scaled_a = a.scaled(row, column)
        column_norm = np.maximum(a.column_max(scaled_a), p.column_max(p.scaled(column, column)))
        row_norm = a.row_max(scaled_a)
        if program.cones:  # a cone may only be scaled as a whole
            block = np.maximum.reduceat(row_norm[linear:], starts)
            row_norm[linear:] = np.repeat(block, program.cones)
        column /= np.sqrt(np.where(column_norm > 0.0, column_norm, 1.0))
        row /= np.sqrt(np.where(row_norm > 0.0, row_norm, 1.0))
    return Scaling(np.clip(column, *_LIMITS), np.clip(row, *_LIMITS))


def cost_unit(q: Floats, b: Floats) -> float:
    """Unit of the objective in which large linear costs of a scaled program are like its sides.

    Nearly the largest cost: a single one far above the others would make these vanish.
    """
    costs = np.abs(q[q != 0.0])
    if not len(costs):
        return 1.0
    side = max(1.0, float(np.abs(b).max(initial=0.0)))
    return float(np.clip(np.quantile(costs, _LARGE) / side, *_LIMITS))


@dataclass(frozen=True)
class _Entries:
    """Entries of a sparse matrix by column, and the order that sorts them by row."""

    values: Floats
    rows: Ints
    columns: Ints
    by_row: Ints
    column_ends: Ints
    row_ends: Ints

    @classmethod
    def of(cls, matrix: csc_array) -> "_Entries":
        m = csc_array(matrix)
        rows = m.indices.astype(np.int64)
        columns = np.repeat(np.arange(m.shape[1]), np.diff(m.indptr))
        return cls(
            values=m.data,
            rows=rows,
            columns=columns,
            by_row=np.argsort(rows, kind="stable"),
            column_ends=m.indptr.astype(np.int64),
            row_ends=np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=m.shape[0]))]),
        )

    def scaled(self, row: Floats, column: Floats) -> Floats:
        """Values after scaling rows and columns."""
        return row[self.rows] * self.values * column[self.columns]

    def column_max(self, values: Floats) -> Floats:
        """Largest value of each column, 0 for an empty one."""
        return _segment_max(values, self.column_ends)

    def row_max(self, values: Floats) -> Floats:
        """Largest value of each row, 0 for an empty one."""
        return _segment_max(values[self.by_row], self.row_ends)


def _segment_max(values: Floats, ends: Ints) -> Floats:
    largest = np.zeros(len(ends) - 1)
    filled = np.diff(ends) > 0
    if filled.any():
        largest[filled] = np.maximum.reduceat(values, ends[:-1][filled])
    return largest
