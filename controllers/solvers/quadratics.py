"""Symmetric matrices kept as upper triangles, such as P of a quadratic objective."""

import numpy as np
from scipy.sparse import block_diag, coo_array, csc_array, csr_array, csr_matrix, triu
from scipy.sparse.csgraph import connected_components

from stackelgrid.controllers.errors import SolverError
from stackelgrid.profiles.arrays import Bools, Floats, Ints

_INDEFINITE = 1e-9  # an eigenvalue below minus this (relative) makes a quadratic non-convex
_EIGENVALUE = 1e-12  # eigenvalues below this (relative) count as zero in a factor


def symmetric(upper: csc_array) -> csr_array:
    """Return the full matrix of an upper triangle."""
    return csr_array(upper + triu(upper, 1).T)


def product(upper: csc_array, x: Floats) -> Floats:
    """Return the full matrix times x."""
    return np.asarray(upper @ x + upper.T @ x - upper.diagonal() * x)


def curved(upper: csc_array) -> Bools:
    """Return which columns occur in a quadratic (columns,)."""
    entries, found = coo_array(upper), np.zeros(upper.shape[0], dtype=bool)
    for index in entries.coords:
        found[index[entries.data != 0.0]] = True
    return found


def convex(upper: csc_array) -> bool:
    """Return whether an upper triangle is positive semidefinite, by groups of coupled columns."""
    full = symmetric(upper)
    full.eliminate_zeros()
    diagonal = full.diagonal()
    floor = -_INDEFINITE * max(1.0, float(np.abs(diagonal).max(initial=0.0)))
    if diagonal.min(initial=0.0) < floor:
        return False
    coupled = np.flatnonzero(np.diff(full.indptr) > (diagonal != 0.0))
    return all(
        np.linalg.eigvalsh(full[group, :][:, group].toarray())[0] >= floor
        for group in _groups(full, coupled)
    )


def factor(upper: csc_array) -> csr_array:
    """Return F with F'F = P for an upper triangle of a positive semidefinite P; sparse.

    Uncoupled columns give square roots, coupled ones an eigenvalue factor. Raises SolverError for
    an indefinite P.
    """
    full = symmetric(upper)
    full.eliminate_zeros()
    parts, columns = [], []
    for group in _groups(full, np.flatnonzero(np.diff(full.indptr))):
        parts.append(_dense_factor(full[group, :][:, group].toarray(), group))
        columns.append(group)
    if not parts:
        return csr_array((0, upper.shape[0]))
    stacked, place = coo_array(block_diag(parts)), np.concatenate(columns)
    shape = (stacked.shape[0], upper.shape[0])
    return csr_array((stacked.data, (stacked.row, place[stacked.col])), shape=shape)


def _groups(full: csr_array, columns: Ints) -> list[Ints]:
    """Split columns into groups that are coupled with each other."""
    count, label = connected_components(full[columns, :][:, columns], directed=False)
    order = np.argsort(label, kind="stable")
    ends = np.cumsum(np.bincount(label, minlength=count))[:-1]
    return [columns[group] for group in np.split(order, ends) if len(group)]


def _dense_factor(block: Floats, columns: Ints) -> Floats:
    if len(columns) == 1 and block[0, 0] > 0.0:
        return np.sqrt(block)
    values, vectors = np.linalg.eigh(block)
    largest = max(float(np.abs(values).max()), np.finfo(float).tiny)
    if values[0] < -_INDEFINITE * max(1.0, largest):
        raise SolverError(
            f"the quadratic objective has curvature {values[0]:.1e} in columns "
            f"{columns[:5].tolist()}; a positive semidefinite one is accepted"
        )
    kept = values > _EIGENVALUE * largest
    return np.asarray(np.sqrt(values[kept])[:, None] * vectors[:, kept].T)


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
    if not len(rows):
        return np.zeros(0)
    return np.asarray(csr_matrix(matrix)[rows, columns], dtype=float).ravel()
