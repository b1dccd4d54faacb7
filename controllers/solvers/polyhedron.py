"""A program without cones as boxes and rows, split into what is connected."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, csr_array, triu
from scipy.sparse.csgraph import connected_components

from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.profiles.arrays import Floats, Ints

# rows without a variable that miss their right-hand side by more make the program infeasible
_EMPTY_ROW = 1e-9


@dataclass(frozen=True)
class Block:
    """min 1/2 y'Py + q'y  s.t.  lower <= y <= upper,  row_lower <= matrix y <= row_upper.

    `columns` are the places of y in the program; no row and no term of P leaves the block. P is
    the upper triangle.
    """

    columns: Ints
    lower: Floats
    upper: Floats
    matrix: csr_array
    row_lower: Floats
    row_upper: Floats
    quadratic: csc_array
    q: Floats

    def cost(self, y: Floats) -> float:
        """Objective at y."""
        upper = self.quadratic
        full = upper @ y + upper.T @ y - upper.diagonal() * y
        return float(0.5 * y @ full + self.q @ y)


@dataclass(frozen=True)
class Blocks:
    """All blocks of one instance; `consistent` is False where a row without variables fails."""

    blocks: tuple[Block, ...]
    consistent: bool


def split_blocks(program: ConicProgram, data: ProgramData) -> Blocks:
    """Split one instance; rows with one variable become bounds. Raises SolverError for cones."""
    if program.cones:
        raise SolverError(
            f"the program has {len(program.cones)} second-order cones; linear rows are accepted"
        )
    if len(program.integer):
        raise SolverError(
            f"the program has {len(program.integer)} integer variables; continuous ones are "
            "accepted"
        )
    n = program.variables
    matrix = csr_array(program.matrix)
    matrix.eliminate_zeros()
    entries = np.diff(matrix.indptr)
    equation = np.arange(program.rows) < program.zero
    low, high = np.where(equation, data.b, -np.inf), data.b

    lower, upper = np.full(n, -np.inf), np.full(n, np.inf)
    single = np.flatnonzero(entries == 1)
    at = matrix.indptr[single]
    column, value = matrix.indices[at], matrix.data[at]
    ends = np.sort(np.stack([low[single] / value, high[single] / value]), axis=0)
    np.maximum.at(lower, column, ends[0])
    np.minimum.at(upper, column, ends[1])

    empty = entries == 0
    missed = np.where(equation, np.abs(data.b), np.maximum(-data.b, 0.0))[empty]
    rows = np.flatnonzero(entries > 1)
    rest = csr_array(matrix[rows])
    links = abs(rest).T @ abs(rest) + abs(program.quadratic)
    count, label = connected_components(links, directed=False)
    row_label = label[rest.indices[rest.indptr[:-1]]] if len(rows) else np.zeros(0, dtype=int)
    blocks = []
    for k in range(count):
        columns, inside = np.flatnonzero(label == k), np.flatnonzero(row_label == k)
        blocks.append(
            Block(
                columns=columns.astype(np.int64),
                lower=lower[columns],
                upper=upper[columns],
                matrix=csr_array(rest[inside][:, columns]),
                row_lower=low[rows[inside]],
                row_upper=high[rows[inside]],
                quadratic=csc_array(triu(program.quadratic[columns][:, columns])),
                q=data.q[columns],
            )
        )
    return Blocks(tuple(blocks), bool((missed <= _EMPTY_ROW).all()))
