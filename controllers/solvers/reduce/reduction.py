"""Exact reduction of a conic program: fewer rows and columns, the same solutions.

Found once from the arrays, as linear maps of rows and columns:

- a column that an equation alone determines becomes data; one without cost that an equation
  determines from others is substituted, where this adds no entries to the matrix;
- a column without cost between one row from below and one from above is projected out, the two
  rows become their sum (Fourier-Motzkin); the relaxed binary that switches two powers is one;
- a row that other rows imply goes (implied_rows.py); this is checked again for every data;
- rows in `without` are left out on the word of the caller, who checks them at the solution.

Rows with a coefficient that depends on data, and columns with one, stay; other columns of these
rows may be substituted. Points and multipliers are mapped back to the whole program.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, diags_array, eye_array, hstack

from stackelgrid.controllers.solvers.conic import NO_ROWS, ConicProgram, ProgramData
from stackelgrid.controllers.solvers.quadratics import curved
from stackelgrid.controllers.solvers.reduce.implied_rows import (
    CONE,
    EQUATION,
    INEQUALITY,
    ImpliedRows,
    implied_rows,
)
from stackelgrid.controllers.solvers.varying import Varying
from stackelgrid.profiles.arrays import Bools, Floats, Ints

_PIVOT = 0.5  # least coefficient of a substituted column, relative to the largest of its equation
_WORTHWHILE = 0.02  # least share of all columns that a round of substitutions is for


class Reduction:
    """Reduced program (`program`), and the maps between both.

    A row of the reduced program is a combination of rows of the whole program, a column of the
    whole program an affine function of the columns that remain.
    """

    def __init__(self, program: ConicProgram, without: Ints = NO_ROWS) -> None:
        rows, back = _Rows.of(program).without(without), _Columns.of(program)
        rows, back = _without_given(program, rows, back)
        within, projected, rows, back = _projected(program, rows, back)
        implied = implied_rows(rows.matrix, rows.right, rows.usable)
        self._implied = [within, (implied, rows.combination)]
        self._free = projected
        rows, back = _without_dependent(program, rows.without(implied.claimed), back)
        left = np.flatnonzero(back.left)
        self._rows, self._rows_back = rows.combination, csr_array(rows.combination.T)
        self._point = csr_array(csc_array(back.of_columns)[:, left])
        self._cost, self._shift = csr_array(self._point.T), back.of_rows
        self._shift_back = csr_array(back.of_rows.T)
        upper = csc_array(program.quadratic)  # a column with quadratic cost stays
        matrix = csc_array(csc_array(rows.matrix)[:, left])
        varying = None if program.varying is None else _moved(program.varying, program, rows, left)
        if varying is not None:
            matrix = varying.stored(matrix)
        self._moved = np.zeros(0)
        reduced = ConicProgram.constant(
            matrix,
            rows.combination @ program.b0,
            int((rows.kind == EQUATION).sum()),
            int((rows.kind == INEQUALITY).sum()),
            program.cones,
            quadratic=csc_array(upper[left, :][:, left]),
            q=self._cost @ program.q0,
        )
        if varying is not None and program.varying is not None:
            before = program.matrix.data[program.varying.places(program.matrix)]
            self._moved = matrix.data[varying.places(matrix)] - before
            varying = replace(varying, constant=varying.constant + self._moved)
        place = np.full(program.variables, -1, dtype=np.int64)
        place[left] = np.arange(len(left))
        steps = tuple(place[columns][place[columns] >= 0] for columns in program.steps)
        self.program = replace(reduced, varying=varying, steps=steps)

    def holds(self, data: ProgramData) -> bool:
        """Return whether removed rows are still implied and projected columns without cost."""
        free = not data.q[self._free].any()
        return free and all(found.hold(rows @ data.b) for found, rows in self._implied)

    def data(self, data: ProgramData) -> ProgramData:
        """Vectors of the reduced program."""
        return ProgramData(
            q=self._cost @ data.q,
            b=self._rows @ data.b,
            offset=data.offset + float(data.q @ (self._shift @ data.b)),
            coefficients=None if data.coefficients is None else data.coefficients + self._moved,
        )

    def point(self, x: Floats, b: Floats) -> Floats:
        """Point of the whole program; a projected column lies midway between its two rows."""
        return np.asarray(self._point @ x + self._shift @ b)

    def dual(self, z: Floats, q: Floats) -> Floats:
        """Multipliers of the whole program's rows, stationary in every column that is gone."""
        return np.asarray(self._rows_back @ z - self._shift_back @ q)


@dataclass(frozen=True)
class _Columns:
    """Columns of the whole program as functions of those `left` and of the right-hand sides."""

    of_columns: csr_array
    of_rows: csr_array
    left: Bools

    @classmethod
    def of(cls, program: ConicProgram) -> "_Columns":
        n = program.variables
        nothing = csr_array((n, program.rows))
        return cls(csr_array(eye_array(n, format="csr")), nothing, np.ones(n, dtype=bool))

    def without(self, gone: Ints, matrix: csr_array, combination: csr_array) -> "_Columns":
        """Replace columns by a row each in which their coefficient is 1."""
        left = self.left.copy()
        left[gone] = False
        place = csr_array(
            (np.ones(len(gone)), (gone, np.arange(len(gone)))), shape=(len(left), len(gone))
        )
        stay = csr_array(diags_array(left.astype(np.float64)))
        moved = csr_array(self.of_columns @ place)
        return _Columns(
            csr_array((self.of_columns - moved @ matrix) @ stay),
            csr_array(self.of_rows + moved @ combination),
            left,
        )


@dataclass(frozen=True)
class _Rows:
    """Rows under reduction: combinations of a program's rows, their coefficients, sides, kinds.

    `right` holds right-hand sides as columns (constant, by each parameter). Rows that are `held`
    have a coefficient that depends on data.
    """

    combination: csr_array
    matrix: csr_array
    right: csr_array
    kind: Ints
    held: Bools

    @classmethod
    def of(cls, program: ConicProgram) -> "_Rows":
        right = csr_array(hstack([csr_array(program.b0[:, None]), -program.b_parameters]))
        matrix = csr_array(program.matrix)
        matrix.eliminate_zeros()
        held = np.zeros(program.rows, dtype=bool)
        if program.varying is not None:
            held[program.varying.rows] = True
        return cls(csr_array(eye_array(program.rows)), matrix, right, program.kinds, held)

    @property
    def usable(self) -> Ints:
        """Kinds of the rows, CONE for those that imply nothing and are implied by nothing."""
        return np.where(self.held, CONE, self.kind)

    def without(self, rows: Ints) -> "_Rows":
        """All but some rows."""
        left = np.ones(len(self.kind), dtype=bool)
        left[rows] = False
        return self.only(np.flatnonzero(left))

    def only(self, rows: Ints) -> "_Rows":
        """Some of the rows."""
        return _Rows(
            csr_array(self.combination[rows, :]),
            csr_array(self.matrix[rows, :]),
            csr_array(self.right[rows, :]),
            self.kind[rows],
            self.held[rows],
        )

    def less(self, multiples: csr_array, others: "_Rows", gone: Ints) -> "_Rows":
        """These rows less multiples (rows, others) of others, whereby the columns `gone` cancel."""
        matrix = csr_array(self.matrix - multiples @ others.matrix)
        cancelled = np.zeros(matrix.shape[1], dtype=bool)
        cancelled[gone] = True
        matrix.data[cancelled[matrix.indices]] = 0.0
        matrix.eliminate_zeros()
        return _Rows(
            csr_array(self.combination - multiples @ others.combination),
            matrix,
            csr_array(self.right - multiples @ others.right),
            self.kind,
            self.held,
        )


def _without_given(program: ConicProgram, rows: _Rows, back: _Columns) -> tuple[_Rows, _Columns]:
    """Replace columns that an equation alone determines by its right-hand side."""
    given = rows.usable == EQUATION
    given &= np.diff(rows.matrix.indptr) == 1
    free = ~curved(program.quadratic) & ~_varies(program)
    return _substituted(rows, back, *_pivots(rows, given, free))


def _without_dependent(
    program: ConicProgram, rows: _Rows, back: _Columns
) -> tuple[_Rows, _Columns]:
    """Substitute columns without cost by equations as long as many can be, adding no entries."""
    equations, free = rows.usable == EQUATION, _without_cost(program) & ~_varies(program)
    pivots = _pivots(rows, equations, free)
    while len(pivots[0]) > _WORTHWHILE * program.variables:
        rows, back = _substituted(rows, back, *pivots)
        pivots = _pivots(rows, rows.usable == EQUATION, free)
    return rows, back


def _substituted(
    rows: _Rows, back: _Columns, equations: Ints, columns: Ints, pivots: Floats
) -> tuple[_Rows, _Columns]:
    """Substitute columns, each by its own equation, in which it has the coefficient `pivots`."""
    unit = csr_array(diags_array(1.0 / pivots))
    own = rows.only(equations)
    values, right = csr_array(unit @ own.matrix), csr_array(unit @ own.combination)
    back = back.without(columns, values, right)
    moved = csr_array(csc_array(rows.matrix)[:, columns])
    units = _Rows(right, values, csr_array(unit @ own.right), own.kind, own.held)
    left = rows.less(moved, units, columns)
    return left.without(equations), back


def _pivots(rows: _Rows, wanted: Bools, free: Bools) -> tuple[Ints, Ints, Floats]:
    """Find equations among the rows `wanted`, one column of each to substitute, its coefficient.

    Substituting a column that k other rows hold by an equation of n + 1 columns adds at most k n
    entries and removes n + 1 + k. No chosen equation holds the column of another one.
    """
    matrix, length = rows.matrix, np.diff(rows.matrix.indptr)
    equations = np.flatnonzero(wanted & (length > 0))
    own = csr_array(matrix[equations, :])
    at = np.repeat(np.arange(len(equations)), np.diff(own.indptr))
    size = np.abs(own.data)
    largest = np.maximum.reduceat(size, own.indptr[:-1]) if len(equations) else size
    others = np.bincount(matrix.indices, minlength=matrix.shape[1])[own.indices] - 1
    inside = length[equations][at] - 1
    added = others * inside - others - inside - 1
    fit = (added <= 0) & free[own.indices] & (size >= _PIVOT * largest[at])
    entry = np.flatnonzero(fit)
    # the best column of each equation, then the best equation of each column
    for key in (at, own.indices):
        entry = entry[np.lexsort((entry, added[entry], key[entry]))]
        entry = entry[np.diff(key[entry], prepend=-1) > 0]
    found, columns = at[entry], own.indices[entry].astype(np.int64)
    # of those that meet the first in a scattered order goes ahead
    meet = abs(csr_array(csc_array(own)[:, columns])[found, :])
    meet = coo_array(meet + meet.T)
    order = (np.arange(len(entry), dtype=np.uint64) * np.uint64(2654435761)) % np.uint64(2**32)
    behind = order[meet.coords[0]] > order[meet.coords[1]]
    first = np.ones(len(entry), dtype=bool)
    first[meet.coords[0][behind]] = False
    entry = entry[first]
    return equations[at[entry]], own.indices[entry].astype(np.int64), own.data[entry]


def _projected(
    program: ConicProgram, rows: _Rows, back: _Columns
) -> tuple[tuple[ImpliedRows, csr_array], Ints, _Rows, _Columns]:
    """Add up the two rows between which a column without cost lies, its bounds implied by them."""
    free = _without_cost(program)
    of_rows = csc_array(rows.matrix)
    entry_column = np.repeat(np.arange(program.variables), np.diff(of_rows.indptr))
    free[entry_column[rows.held[of_rows.indices]]] = False
    kind, single = rows.kind[of_rows.indices], (np.diff(rows.matrix.indptr) == 1)[of_rows.indices]
    up = of_rows.data > 0.0

    def count(chosen: Bools) -> Ints:
        return np.bincount(entry_column[chosen], minlength=program.variables)

    free &= count(kind != INEQUALITY) == 0
    free &= (count(~single & up) == 1) & (count(~single & ~up) == 1)
    within = implied_rows(rows.matrix, rows.right, rows.usable, free)
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
    height = len(rows.kind)
    halves = [
        csr_array((0.5 / v, (np.arange(len(at)), at)), shape=(len(at), height))
        for at, v in ((low, below), (high, above))
    ]
    middle = csr_array(halves[0] + halves[1])
    matrix, combination = csr_array(middle @ rows.matrix), csr_array(middle @ rows.combination)
    back = back.without(columns, matrix, combination)
    sums = csr_array((below / above, (low, np.arange(len(low)))), shape=(height, len(low)))
    added_up = rows.less(sums, rows.only(high), columns)
    left = added_up.without(np.concatenate([high, within.claimed]))
    return (within, rows.combination), columns, left, back


def _varies(program: ConicProgram) -> Bools:
    """Columns with a coefficient that depends on data."""
    found = np.zeros(program.variables, dtype=bool)
    if program.varying is not None:
        found[program.varying.columns] = True
    return found


def _moved(varying: Varying, program: ConicProgram, rows: _Rows, left: Ints) -> Varying:
    """Return entries that depend on data at their places in the reduced matrix."""
    place = np.full(program.rows, -1, dtype=np.int64)
    combined = coo_array(rows.combination)
    own = np.isin(combined.coords[1], varying.rows)  # one of the rows that are combined, at most
    place[combined.coords[1][own]] = combined.coords[0][own]
    column = np.full(program.variables, -1, dtype=np.int64)
    column[left] = np.arange(len(left))
    return replace(varying, rows=place[varying.rows], columns=column[varying.columns])


def _without_cost(program: ConicProgram) -> Bools:
    """Columns that cost nothing, whatever the parameters are."""
    free = (program.q0 == 0.0) & (np.diff(csr_array(program.q_parameters).indptr) == 0)
    return np.asarray(free & ~curved(program.quadratic))
