"""A program without cones as boxes and rows, split into what is connected."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csc_array, csr_array, triu
from scipy.sparse.csgraph import connected_components

from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.quadratics import product
from stackelgrid.profiles.arrays import Floats, Ints

# rows without a variable that miss their right-hand side by more make the program infeasible
_EMPTY_ROW = 1e-9


@dataclass(frozen=True)
class Block:
    """min 1/2 y'Py + q'y  s.t.  lower <= y <= upper,  row_lower <= matrix y <= row_upper.

    `columns` and `rows` are the places of y and the rows in the program; no row and no term of P
    leaves the block. `quadratic` is the upper triangle of P, `hessian` the same entries as lower
    triangle by columns. Of a block without data bounds and q are empty.
    """

    columns: Ints
    rows: Ints
    matrix: csr_array
    quadratic: csc_array
    hessian: csc_array
    lower: Floats
    upper: Floats
    row_lower: Floats
    row_upper: Floats
    q: Floats

    def cost(self, y: Floats) -> float:
        """Objective at y."""
        return float(0.5 * y @ product(self.quadratic, y) + self.q @ y)


class Splitting:
    """Blocks of one program, found once; rows with one variable become bounds.

    Raises SolverError for cones and integers.
    """

    def __init__(self, program: ConicProgram) -> None:
        if program.cones:
            raise SolverError(
                f"the program has {len(program.cones)} second-order cones; linear rows are accepted"
            )
        if len(program.integer):
            raise SolverError(
                f"the program has {len(program.integer)} integer variables; continuous ones are "
                "accepted"
            )
        self._variables = program.variables
        matrix = csr_array(program.matrix)
        matrix.eliminate_zeros()
        entries = np.diff(matrix.indptr)
        self._equation = np.arange(program.rows) < program.zero
        self._single = np.flatnonzero(entries == 1)
        at = matrix.indptr[self._single]
        self._column, self._value = matrix.indices[at], matrix.data[at]
        self._empty = entries == 0

        rows = np.flatnonzero(entries > 1)
        rest = csr_array(matrix[rows])
        links = abs(rest).T @ abs(rest) + abs(program.quadratic)
        count, label = connected_components(links, directed=False)
        row_label = label[rest.indices[rest.indptr[:-1]]] if len(rows) else np.zeros(0, dtype=int)
        none, shapes = np.zeros(0), []
        for k in range(count):
            columns, inside = np.flatnonzero(label == k), np.flatnonzero(row_label == k)
            quadratic = csc_array(triu(program.quadratic[columns][:, columns]))
            shapes.append(
                Block(
                    columns=columns.astype(np.int64),
                    rows=rows[inside].astype(np.int64),
                    matrix=csr_array(rest[inside][:, columns]),
                    quadratic=quadratic,
                    hessian=csc_array(quadratic.T),
                    lower=none,
                    upper=none,
                    row_lower=none,
                    row_upper=none,
                    q=none,
                )
            )
        self._shapes = tuple(shapes)

    def blocks(self, data: ProgramData) -> tuple[tuple[Block, ...], bool]:
        """Blocks of one instance, and whether all rows without variables hold."""
        low, high = np.where(self._equation, data.b, -np.inf), data.b
        lower, upper = np.full(self._variables, -np.inf), np.full(self._variables, np.inf)
        ends = np.sort(
            np.stack([low[self._single] / self._value, high[self._single] / self._value]), axis=0
        )
        np.maximum.at(lower, self._column, ends[0])
        np.minimum.at(upper, self._column, ends[1])
        missed = np.where(self._equation, np.abs(data.b), np.maximum(-data.b, 0.0))[self._empty]
        blocks = tuple(
            replace(
                shape,
                lower=lower[shape.columns],
                upper=upper[shape.columns],
                row_lower=low[shape.rows],
                row_upper=high[shape.rows],
                q=data.q[shape.columns],
            )
            for shape in self._shapes
        )
        return blocks, bool((missed <= _EMPTY_ROW).all())
