"""Least and largest value that each column of a conic program can take, for given data."""

import numpy as np
from scipy.sparse import coo_array, csr_array

from stackelgrid.controllers.solvers.bound_rows import BoundRows
from stackelgrid.controllers.solvers.conic import ConicProgram
from stackelgrid.profiles.arrays import Bools, Floats, Ints

_PASSES = 60  # at most, over the rows of columns without a bound, each from the boxes before


class ColumnBoxes:
    """Boxes from bounds, from cones (|tail| <= head) and from rows; bound to one program."""

    def __init__(self, program: ConicProgram) -> None:
        self.bounds = BoundRows(program)
        matrix, linear, heads = csr_array(program.matrix), program.linear, program.heads
        matrix.eliminate_zeros()
        tails = np.setdiff1d(np.arange(linear, program.rows), heads)
        single = tails[np.diff(matrix.indptr)[tails] == 1]
        single = single[np.argsort(matrix.indices[matrix.indptr[single]], kind="stable")]
        self._tails: Ints = single.astype(np.int64)
        self._tail_columns: Ints = matrix.indices[matrix.indptr[single]].astype(np.int64)
        self._tail_values: Floats = matrix.data[matrix.indptr[single]]
        owner = np.repeat(heads, program.cones)[single - linear]
        self._heads, self._owner = np.unique(owner, return_inverse=True)
        self._head = _Entries(matrix, self._heads)
        lower, upper = self._cone_boxes(np.zeros(program.rows))
        self.open: Bools = np.isinf(lower) | np.isinf(upper)
        """Columns that neither bounds nor cones bound on both sides, for any data."""
        loose = np.flatnonzero(self.open)
        touching = np.unique(csr_array(matrix[:linear, :].T)[loose, :].indices)
        if program.varying is not None:  # a row with data as coefficients bounds nothing for sure
            touching = np.setdiff1d(touching, program.varying.rows)
        self._rows: Ints = touching.astype(np.int64)
        self._equal: Bools = touching < program.zero
        self._open_rows = _Entries(matrix, self._rows)

    def at(self, b: Floats) -> tuple[Floats, Floats]:
        """Return lower and upper bounds of every column; infinite where there is none."""
        lower, upper = self._cone_boxes(b)
        part, unbounded = self._open_rows, -1
        for _ in range(_PASSES):
            left = int(np.isinf(lower).sum() + np.isinf(upper).sum())
            if left in (0, unbounded):
                break
            unbounded = left
            least, most = (s.others(part.row, np.nan) for s in part.terms(lower, upper))
            right = b[self._rows][part.row]
            equal = self._equal[part.row]
            # value * x <= right - least of the others; equations bound from below as well
            above = (right - least) / part.value
            below = np.where(equal, (right - most) / part.value, np.nan)
            positive = part.value > 0.0
            for bound, is_upper in ((above, positive), (below, ~positive)):
                for chosen, rule, target in (
                    (is_upper, np.minimum, upper),
                    (~is_upper, np.maximum, lower),
                ):
                    usable = chosen & np.isfinite(bound) & self.open[part.column]
                    _tighten(target, part.column[usable], bound[usable], rule)
        return lower, upper

    def _cone_boxes(self, b: Floats) -> tuple[Floats, Floats]:
        """Boxes from bounds and cones."""
        lower, upper = self.bounds.bounds(b)
        lower, upper = np.minimum(lower, upper), np.maximum(lower, upper)
        if len(self._tails):
            low, _ = self._head.terms(lower, upper)
            least = np.where(low.missing > 0, -np.inf, low.sums)
            reach = (b[self._heads] - least)[self._owner]
            side, value = b[self._tails], self._tail_values
            size = np.abs(value)
            _tighten(upper, self._tail_columns, side / value + reach / size, np.minimum)
            _tighten(lower, self._tail_columns, side / value - reach / size, np.maximum)
        return lower, upper


def _tighten(bounds: Floats, columns: Ints, values: Floats, rule: np.ufunc) -> None:
    """Move bounds of columns, which are in order, to the tightest of their values."""
    if len(columns):
        first = np.flatnonzero(np.diff(columns, prepend=-1))
        at = columns[first]
        bounds[at] = rule(bounds[at], rule.reduceat(values, first))


class _Entries:
    """Entries of some rows by column, and the range of the rows within boxes of the columns."""

    def __init__(self, matrix: csr_array, rows: Ints) -> None:
        entries = coo_array(csr_array(matrix[rows, :]))
        order = np.argsort(entries.coords[1], kind="stable")
        self.row, self.column = (index[order] for index in entries.coords)
        self.value: Floats = entries.data[order]
        self._count = len(rows)

    def terms(self, lower: Floats, upper: Floats) -> tuple["Sums", "Sums"]:
        """Sums of the least and of the largest terms of each row."""
        one, other = self.value * lower[self.column], self.value * upper[self.column]
        low, high = np.minimum(one, other), np.maximum(one, other)
        return Sums(low, self.row, self._count), Sums(high, self.row, self._count)


class Sums:
    """Sums of the terms of each row; infinite terms are counted (`missing`) and left out."""

    def __init__(self, terms: Floats, row: Ints, rows: int) -> None:
        self.infinite = np.isinf(terms)
        self.terms = np.where(self.infinite, 0.0, terms)
        self.sums = np.bincount(row, self.terms, rows)
        self.missing = np.bincount(row, self.infinite, rows)

    def others(self, row: Ints, unknown: float) -> Floats:
        """Sum of the other terms of an entry's row, or `unknown` where one is infinite."""
        known = self.missing[row] - self.infinite == 0
        return np.where(known, self.sums[row] - self.terms, unknown)
