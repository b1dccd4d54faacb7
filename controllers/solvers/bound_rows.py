"""Bounds of columns among the rows of a conic program."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.conic import ConicProgram
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class IntegerBounds:
    """Integral bounds of the integer columns; `empty` names the first column without a value."""

    lower: Floats
    upper: Floats

    @property
    def empty(self) -> bool:
        """Return whether some integer column has no value left."""
        return bool((self.lower > self.upper).any())

    @property
    def binary(self) -> bool:
        """Return whether every integer column is within 0 and 1."""
        return bool((self.lower >= 0.0).all() and (self.upper <= 1.0).all())


class BoundRows:
    """Rows with a single column among the linear ones: they are bounds of that column."""

    def __init__(self, program: ConicProgram) -> None:
        rows = csr_array(program.matrix)[: program.linear]
        rows.eliminate_zeros()
        alone = np.diff(rows.indptr) == 1
        if program.varying is not None:  # a coefficient that depends on data makes no bound
            alone[program.varying.rows] = False
        single = np.flatnonzero(alone)
        self.rows: Ints = single.astype(np.int64)
        self.columns: Ints = rows.indices[rows.indptr[single]].astype(np.int64)
        self.values: Floats = rows.data[rows.indptr[single]]
        self.equal = single < program.zero
        self._n = program.variables

    def bounds(self, b: Floats) -> tuple[Floats, Floats]:
        """Lower and upper bound of every column, infinite where no row gives one."""
        lower, upper = np.full(self._n, -np.inf), np.full(self._n, np.inf)
        value = b[self.rows] / self.values
        above = self.equal | (self.values > 0.0)  # a x <= b
        below = self.equal | (self.values < 0.0)
        np.minimum.at(upper, self.columns[above], value[above])
        np.maximum.at(lower, self.columns[below], value[below])
        return lower, upper

    def place(self, sign: float) -> Ints:
        """Place among `rows` of each column's last upper (sign 1) or lower (-1) bound; -1: none."""
        place = np.full(self._n, -1, dtype=np.int64)
        own = np.flatnonzero(~self.equal & (sign * self.values > 0.0))
        place[self.columns[own]] = own
        return place

    def unbounded(self, integer: Ints) -> Ints:
        """The integer columns that lack a bound on one side."""
        lower, upper = self.bounds(np.zeros(int(self.rows.max(initial=-1)) + 1))
        return integer[~(np.isfinite(lower) & np.isfinite(upper))[integer]]

    def integer_bounds(self, integer: Ints, b: Floats) -> IntegerBounds:
        """Bounds of the integer columns, rounded inwards."""
        lower, upper = self.bounds(b)
        slack = tolerances.INTEGRALITY
        return IntegerBounds(np.ceil(lower[integer] - slack), np.floor(upper[integer] + slack))
