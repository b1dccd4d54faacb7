"""Equilibration of a conic program, once, at compile time.

A solver's own equilibration keeps the scaling of the first data it saw, so an updated and a fresh
solver would differ in the last digits; ours depends on the matrices only, never on the data.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, diags_array

from stackelgrid.controllers.solvers.conic import ConicProgram
from stackelgrid.profiles.arrays import Floats

_SWEEPS = 12
_LIMITS = (1e-4, 1e4)


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
    a = abs(program.matrix).tocsc()
    p = abs(program.quadratic).tocsc()
    p = csc_array(p + p.T)
    column, row = np.ones(program.variables), np.ones(program.rows)
    linear = program.zero + program.nonneg
    sizes = np.array(program.cones, dtype=int)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int) if len(sizes) else sizes
    for _ in range(_SWEEPS):
        scaled_a = diags_array(row) @ a @ diags_array(column)
        scaled_p = diags_array(column) @ p @ diags_array(column)
        column_norm = np.maximum(_max(scaled_a, 0), _max(scaled_p, 0))
        row_norm = _max(scaled_a, 1)
        if len(sizes):  # a cone may only be scaled as a whole
            block = np.maximum.reduceat(row_norm[linear:], starts)
            row_norm[linear:] = np.repeat(block, sizes)
        column /= np.sqrt(np.where(column_norm > 0.0, column_norm, 1.0))
        row /= np.sqrt(np.where(row_norm > 0.0, row_norm, 1.0))
    return Scaling(np.clip(column, *_LIMITS), np.clip(row, *_LIMITS))


def _max(matrix: csc_array, axis: int) -> Floats:
    if 0 in matrix.shape:
        return np.zeros(matrix.shape[1 - axis])
    return np.asarray(matrix.max(axis=axis).todense()).ravel()
