"""Symmetric matrices kept as upper triangles."""

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, triu
from scipy.sparse.csgraph import connected_components

from stackelgrid.profiles.arrays import Floats, Ints

_INDEFINITE = 1e-9  # an eigenvalue below minus this (relative) makes a quadratic non-convex


def symmetric(upper: csc_array) -> csr_array:
    """Return the full matrix of an upper triangle."""
    return csr_array(upper + triu(upper, 1).T)


def convex(upper: csc_array) -> bool:
    """Return whether an upper triangle is positive semidefinite, by groups of coupled columns."""
    full = symmetric(upper)
    full.eliminate_zeros()
    diagonal = full.diagonal()
    floor = -_INDEFINITE * max(1.0, float(np.abs(diagonal).max(initial=0.0)))
    if diagonal.min(initial=0.0) < floor:
        return False
    coupled = np.flatnonzero(np.diff(full.indptr) > (diagonal != 0.0))
    block = full[coupled, :][:, coupled]
    count, label = connected_components(block, directed=False)
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(label, minlength=count))[:-1])
    return all(
        np.linalg.eigvalsh(block[g, :][:, g].toarray())[0] >= floor for g in groups if len(g)
    )


def offending(upper: csc_array) -> tuple[int, int] | None:
    """Return a square (i, i) or product (i, j) that makes a quadratic non-convex, or None."""
    full = symmetric(upper)
    diagonal = full.diagonal()
    floor = -_INDEFINITE * max(1.0, float(np.abs(diagonal).max(initial=0.0)))
    negative = np.flatnonzero(diagonal < floor)
    if len(negative):
        return int(negative[0]), int(negative[0])
    entries = coo_array(triu(full, 1))
    rows, columns = entries.coords
    excess = entries.data**2 - diagonal[rows] * diagonal[columns]
    found = np.flatnonzero(excess > floor**2)
    return (int(rows[found[0]]), int(columns[found[0]])) if len(found) else None


def entries_at(matrix: csr_array, rows: Ints, columns: Ints) -> Floats:
    """Values of a matrix at (row, column) places, zero where it has no entry."""
    m = csr_array(matrix)
    m.sum_duplicates()
    m.sort_indices()
    width = max(m.shape[1], 1)
    owner = np.repeat(np.arange(m.shape[0], dtype=np.int64), np.diff(m.indptr))
    keys = owner * width + m.indices
    wanted = rows.astype(np.int64) * width + columns
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    if not len(keys):
        return np.zeros(len(wanted))
    return np.where(keys[place] == wanted, m.data[place], 0.0)
