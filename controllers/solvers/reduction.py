"""Exact reduction of a conic program: fewer rows and columns, the same solutions.

Found once from the arrays, as linear maps of rows and columns:

- a column that an equation alone determines becomes data;
- a column without cost between one row from below and one from above is projected out, the two
  rows become their sum (Fourier-Motzkin); the relaxed binary that switches two powers is one;
- a row that other rows imply goes (implied_rows.py); this is checked again for every data;
- rows in `without` are left out on the word of the caller, who checks them at the solution.

Points and multipliers are mapped back to the whole program.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, diags_array, eye_array, hstack

from stackelgrid.controllers.solvers.conic import NO_ROWS, ConicProgram, ProgramData
from stackelgrid.controllers.solvers.implied_rows import (
    CONE,
    EQUATION,
    INEQUALITY,
    ImpliedRows,
    implied_rows,
)
from stackelgrid.profiles.arrays import Bools, Floats, Ints


class Reduction:
    """What remains of a program (`program`), and the maps between both.

    A row of what remains is a combination of rows of the whole program.
    """

    def __init__(self, program: ConicProgram, without: Ints = NO_ROWS) -> None:
        rows = _Rows.of(program).without(without)
        self._fixed, rows = _fix(program, rows)
        self._switched, within, rows = _project(program, rows)
        implied = implied_rows(rows.matrix, rows.right, rows.kind)
        self._implied = [within, (implied, rows.combination)]
        rows = rows.without(implied.claimed)
        gone = np.concatenate([self._fixed.columns, self._switched.columns])
        left = np.setdiff1d(np.arange(program.variables, dtype=np.int64), gone)
        self._columns, self._rows = left, rows.combination
        self._back = csr_array(rows.combination.T)
        self._variables = program.variables
        upper = csc_array(program.quadratic)
        self.program = ConicProgram(
            quadratic=csc_array(upper[left, :][:, left]),
            matrix=csc_array(csc_array(rows.matrix)[:, left]),
            zero=int((rows.kind == EQUATION).sum()),
            nonneg=int((rows.kind == INEQUALITY).sum()),
            cones=program.cones,
            q0=program.q0[left],
            q_parameters=csr_array((len(left), 0)),
            b0=rows.combination @ program.b0,
            b_parameters=csr_array((len(rows.kind), 0)),
            offset0=0.0,
            offset_linear=np.zeros(0),
            offset_quadratic=csr_array((0, 0)),
            integer=NO_ROWS,
        )

    def holds(self, data: ProgramData) -> bool:
        """Whether these data leave removed rows implied and projected columns without cost."""
        free = not data.q[self._switched.columns].any()
        return free and all(found.hold(rows @ data.b) for found, rows in self._implied)

    def data(self, data: ProgramData) -> ProgramData:
        """Vectors of what remains."""
        fixed = self._fixed.values(data.b)
        return ProgramData(
            q=data.q[self._columns],
            b=self._rows @ data.b,
            offset=data.offset + float(data.q[self._fixed.columns] @ fixed),
        )

    def point(self, x: Floats, b: Floats) -> Floats:
        """Point of the whole program; a projected column lies midway between its two rows."""
        whole = np.zeros(self._variables)
        whole[self._columns] = x
        whole[self._fixed.columns] = self._fixed.values(b)
        whole[self._switched.columns] = self._switched.values(whole, b)
        return whole

    def dual(self, z: Floats, q: Floats) -> Floats:
        """Multipliers of the whole program's rows, stationary in every column that is gone."""
        whole: Floats = self._back @ z
        return self._fixed.completed(whole, q)


@dataclass(frozen=True)
class _Rows:
    """Rows under reduction: combinations of a program's rows, their coefficients, sides, kinds.

    `right` holds right-hand sides as columns (constant, by each parameter).
    """

    combination: csr_array
    matrix: csr_array
    right: csr_array
    kind: Ints

    @classmethod
    def of(cls, program: ConicProgram) -> "_Rows":
        kind = np.full(program.rows, CONE, dtype=np.int64)
        kind[: program.zero + program.nonneg] = INEQUALITY
        kind[: program.zero] = EQUATION
        right = csr_array(hstack([csr_array(program.b0[:, None]), -program.b_parameters]))
        matrix = csr_array(program.matrix)
        matrix.eliminate_zeros()
        return cls(csr_array(eye_array(program.rows)), matrix, right, kind)

    def without(self, rows: Ints) -> "_Rows":
        """All but some rows."""
        left = np.ones(len(self.kind), dtype=bool)
        left[rows] = False
        return _Rows(
            csr_array(self.combination[left, :]),
            csr_array(self.matrix[left, :]),
            csr_array(self.right[left, :]),
            self.kind[left],
        )

    def combined(self, change: csr_array, gone: Ints) -> "_Rows":
        """Combinations `change` (rows, rows) of these rows, in which the columns `gone` cancel."""
        left = np.ones(self.matrix.shape[1])
        left[gone] = 0.0
        matrix = csr_array(csr_array(change @ self.matrix) @ diags_array(left))
        matrix.eliminate_zeros()
        return _Rows(
            csr_array(change @ self.combination), matrix, csr_array(change @ self.right), self.kind
        )


@dataclass(frozen=True)
class _Fixed:
    """Columns that one equation each determines: its row, its coefficient."""

    columns: Ints
    rows: Ints
    pivots: Floats
    others: csr_array  # entries of each column in all other rows

    def values(self, b: Floats) -> Floats:
        """Values of the columns."""
        return b[self.rows] / self.pivots

    def completed(self, z: Floats, q: Floats) -> Floats:
        """Multipliers whose rows of these columns take what the other rows leave."""
        if len(self.columns):
            z[self.rows] = -(q[self.columns] + self.others @ z) / self.pivots
        return z


def _fix(program: ConicProgram, rows: _Rows) -> tuple[_Fixed, _Rows]:
    """Substitute columns that an equation with no other column determines."""
    matrix = rows.matrix
    single = np.flatnonzero((rows.kind == EQUATION) & (np.diff(matrix.indptr) == 1))
    columns, first = np.unique(matrix.indices[matrix.indptr[single]], return_index=True)
    linear = ~_curved(program)[columns]
    columns, single = columns[linear].astype(np.int64), single[first[linear]]
    pivots = matrix.data[matrix.indptr[single]]
    own = rows.combination.indices[rows.combination.indptr[single]].astype(np.int64)
    entries = coo_array(csc_array(program.matrix)[:, columns])
    other = entries.coords[0] != own[entries.coords[1]]
    others = coo_array(
        (entries.data[other], (entries.coords[1][other], entries.coords[0][other])),
        shape=(len(columns), program.rows),
    )
    fixed = _Fixed(columns, own, pivots, csr_array(others))
    # every row less its multiple of the equations
    count = len(rows.kind)
    picked = csr_array(eye_array(count, format="csr")[single, :])
    moved = csr_array(csc_array(matrix)[:, columns]) @ diags_array(1.0 / pivots)
    change = csr_array(eye_array(count, format="csr") - moved @ picked)
    return fixed, rows.combined(change, columns).without(single)


@dataclass(frozen=True)
class _Switched:
    """Columns between a row from below and one from above, as values of the other columns."""

    columns: Ints
    rows: tuple[csr_array, csr_array]  # rows of each side divided by the column's coefficient
    right: tuple[csr_array, csr_array]

    def values(self, x: Floats, b: Floats) -> Floats:
        """Midpoints; x is 0 in these columns, b are right-hand sides of the whole program."""
        sides = [r @ b - m @ x for m, r in zip(self.rows, self.right, strict=True)]
        return np.asarray(0.5 * (sides[0] + sides[1]))


def _project(
    program: ConicProgram, rows: _Rows
) -> tuple[_Switched, tuple[ImpliedRows, csr_array], _Rows]:
    """Add up the two rows between which a column without cost lies, its bounds implied by them."""
    free = (program.q0 == 0.0) & (np.diff(csr_array(program.q_parameters).indptr) == 0)
    free &= ~_curved(program)
    of_rows = csc_array(rows.matrix)
    entry_column = np.repeat(np.arange(program.variables), np.diff(of_rows.indptr))
    kind, single = rows.kind[of_rows.indices], (np.diff(rows.matrix.indptr) == 1)[of_rows.indices]
    up = of_rows.data > 0.0

    def count(chosen: Bools) -> Ints:
        return np.bincount(entry_column[chosen], minlength=program.variables)

    free &= count(kind != INEQUALITY) == 0
    free &= (count(~single & up) == 1) & (count(~single & ~up) == 1)
    within = implied_rows(rows.matrix, rows.right, rows.kind, free)
    removed = np.zeros(len(rows.kind), dtype=bool)
    removed[within.claimed] = True
    free &= count(single & ~removed[of_rows.indices]) == 0
    columns = np.flatnonzero(free).astype(np.int64)
    chosen = free[entry_column] & ~single
    low, high = of_rows.indices[chosen & ~up], of_rows.indices[chosen & up]
    # a row may serve one column only
    once = np.bincount(np.concatenate([low, high]), minlength=len(rows.kind))
    alone = (once[low] == 1) & (once[high] == 1)
    columns, low, high = columns[alone], low[alone], high[alone]
    below, above = of_rows.data[chosen & ~up][alone], of_rows.data[chosen & up][alone]
    bounded = rows.matrix.indices[rows.matrix.indptr[within.claimed]]
    within = within.only(np.isin(bounded, columns))
    unit = csr_array(eye_array(len(rows.kind), format="csr"))
    scaled = [
        csr_array(diags_array(1.0 / pivots) @ unit[at, :])
        for at, pivots in ((low, below), (high, above))
    ]
    left = np.ones(program.variables)
    left[columns] = 0.0
    switched = _Switched(
        columns,
        tuple(csr_array(side @ rows.matrix @ diags_array(left)) for side in scaled),
        tuple(csr_array(side @ rows.combination) for side in scaled),
    )
    own = np.ones(len(rows.kind))
    own[low] = -1.0 / below
    added = coo_array((1.0 / above, (low, high)), shape=(len(own), len(own)))
    added_up = rows.combined(csr_array(diags_array(own) + added), columns)
    return (
        switched,
        (within, rows.combination),
        added_up.without(np.concatenate([high, within.claimed])),
    )


def _curved(program: ConicProgram) -> Bools:
    """Columns with a quadratic cost."""
    curved = np.zeros(program.variables, dtype=bool)
    upper = coo_array(program.quadratic)
    for index in upper.coords:
        curved[index[upper.data != 0.0]] = True
    return curved
