"""Entries of a program's matrix that depend on data."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array

from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class Varying:
    """Entries of a program's matrix that depend on its parameters.

    `rows` and `columns` (entries,) are in the order of the matrix, column by column; the values are
    `constant + of_parameters p`. No cone and no integer column has such an entry.
    """

    rows: Ints
    columns: Ints
    constant: Floats
    of_parameters: csr_array

    def values(self, p: Floats) -> Floats:
        """Values (entries,) at parameters p."""
        return np.asarray(self.constant + self.of_parameters @ p)

    def placed(self, matrix: csc_array, values: Floats) -> csc_array:
        """Return a matrix, in which these entries are stored, with other values of them."""
        data = matrix.data.copy()
        data[self.places(matrix)] = values
        return csc_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)

    def stored(self, matrix: csc_array) -> csc_array:
        """Return a matrix in which these entries are stored, zeros where it has none."""
        entries, count = coo_array(matrix), len(self.rows)
        at = (entries.coords[0], self.rows), (entries.coords[1], self.columns)
        values = np.concatenate([entries.data, np.zeros(count)])
        places = tuple(np.concatenate(pair) for pair in at)
        return csc_array(coo_array((values, places), shape=matrix.shape))

    def places(self, matrix: csc_array) -> Ints:
        """Positions of the entries in a matrix that stores them, with sorted row indices."""
        owner = np.repeat(np.arange(matrix.shape[1], dtype=np.int64), np.diff(matrix.indptr))
        stored = owner * matrix.shape[0] + matrix.indices
        at = np.searchsorted(stored, self.columns * matrix.shape[0] + self.rows)
        return np.asarray(at, dtype=np.int64)
