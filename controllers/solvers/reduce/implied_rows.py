"""Inequalities that other rows imply, each with the combination of rows that proves it."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, vstack

from stackelgrid.controllers import tolerances
from stackelgrid.profiles.arrays import Bools, Floats, Ints

EQUATION, INEQUALITY, CONE = 0, 1, 2
_ROUNDING = 1e-12


@dataclass(frozen=True)
class ImpliedRows:
    """The coefficients of the rows `claimed` are those of `proof @ rows`.

    Multipliers of inequalities in a proof are not negative, and none of its rows is claimed. So a
    claimed row follows from the others wherever b[claimed] >= proof @ b.
    """

    claimed: Ints
    proof: csr_array

    def only(self, chosen: Bools) -> "ImpliedRows":
        """Some of the rows."""
        return ImpliedRows(self.claimed[chosen], csr_array(self.proof[chosen, :]))

    def hold(self, b: Floats) -> bool:
        """Check that the right-hand sides b of all rows leave every claimed row implied."""
        slack = b[self.claimed] - self.proof @ b
        size = 1.0 + np.abs(b[self.claimed])
        return bool((slack >= -tolerances.IMPLIED_ROW * size).all())


def implied_rows(
    matrix: csr_array, right: csr_array, kind: Ints, targets: Bools | None = None
) -> ImpliedRows:
    """Find implied bounds of a column and multiples of rows, whatever the parameters are.

    matrix: coefficients of the rows, without stored zeros.
    right: right-hand sides of the rows as columns (constant, by each parameter).
    kind: EQUATION, INEQUALITY or CONE of every row.
    targets: columns whose bounds are examined; without it all, and multiples of rows, too.
    """
    found = [_bounds_by_a_row(matrix, kind, targets)]
    if targets is None:
        found.append(_multiples(matrix, kind))
    claimed = np.concatenate([c.claimed for c in found])
    proof = csr_array(vstack([c.proof for c in found]))
    # whatever the parameters are: constant parts hold, parametric parts cancel
    left = csc_array(right[claimed, :] - proof @ right)
    constant = left[:, [0]].toarray().ravel()
    moving = np.asarray(abs(left[:, 1:]).sum(axis=1)).ravel()
    true = (constant >= -tolerances.IMPLIED_ROW) & (moving <= tolerances.IMPLIED_ROW)
    chosen: dict[int, int] = {}
    used: set[int] = set()
    rows, ends, entries = claimed.tolist(), proof.indptr.tolist(), proof.indices.tolist()
    for k in np.flatnonzero(true).tolist():
        row = rows[k]
        if row in chosen or row in used:
            continue
        reasons = entries[ends[k] : ends[k + 1]]
        if row not in reasons and chosen.keys().isdisjoint(reasons):
            chosen[row] = k
            used.update(reasons)
    order = sorted(chosen)
    return ImpliedRows(
        np.array(order, dtype=np.int64), csr_array(proof[[chosen[r] for r in order], :])
    )


def _bounds_by_a_row(matrix: csr_array, kind: Ints, targets: Bools | None) -> ImpliedRows:
    """Bounds of a column as a multiple of a longer row and the bounds of its other columns."""
    columns = matrix.shape[1]
    length = np.diff(matrix.indptr)
    single = np.flatnonzero((length == 1) & (kind == INEQUALITY))
    at, slope = matrix.indices[matrix.indptr[single]], matrix.data[matrix.indptr[single]]
    # rows that bound a column from below (0) and from above (1), -1 for none
    bound = np.full((2, columns), -1, dtype=np.int64)
    bound[(slope > 0.0).astype(np.int64), at] = single
    coefficient = np.ones((2, columns))
    coefficient[(slope > 0.0).astype(np.int64), at] = slope
    long = np.flatnonzero((length > 1) & (kind != CONE))
    entries = csr_array(matrix[long, :])
    local = np.repeat(np.arange(len(long)), np.diff(entries.indptr))
    target, factor, source = [], [], []
    for direction in (1.0, -1.0):
        # a row times `direction` gives a side of the target whose own coefficient it carries;
        # its other columns need a bound on the side that keeps the sum from rising
        value = direction * entries.data
        missing = bound[(value <= 0.0).astype(np.int64), entries.indices] < 0
        missing_in_row = np.bincount(local, weights=missing, minlength=len(long))
        side = (value > 0.0).astype(np.int64)
        usable = (bound[side, entries.indices] >= 0) & (missing_in_row[local] == missing)
        if direction < 0.0:
            usable &= kind[long][local] == EQUATION
        if targets is not None:
            usable &= targets[entries.indices]
        chosen = np.flatnonzero(usable)
        target.append(bound[side, entries.indices][chosen])
        factor.append(coefficient[side, entries.indices][chosen] / entries.data[chosen])
        source.append(chosen)
    claimed, multiple, origin = (np.concatenate(part) for part in (target, factor, source))
    # all entries of each candidate's row but the target's own
    size = np.diff(entries.indptr)[local[origin]]
    candidate = np.repeat(np.arange(len(origin)), size)
    begin = np.repeat(entries.indptr[local[origin]], size)
    position = begin + np.arange(len(candidate)) - np.repeat(np.cumsum(size) - size, size)
    other = position != origin[candidate]
    candidate, position = candidate[other], position[other]
    column, rest = entries.indices[position], -multiple[candidate] * entries.data[position]
    reason = (rest > 0.0).astype(np.int64)
    proof = coo_array(
        (
            np.concatenate([multiple, rest / coefficient[reason, column]]),
            (
                np.concatenate([np.arange(len(origin)), candidate]),
                np.concatenate([long[local[origin]], bound[reason, column]]),
            ),
        ),
        shape=(len(origin), matrix.shape[0]),
    )
    return ImpliedRows(claimed, csr_array(proof))


def _multiples(matrix: csr_array, kind: Ints) -> ImpliedRows:
    """Inequalities that are a positive multiple of another one, and that multiple."""
    rows = np.flatnonzero((kind == INEQUALITY) & (np.diff(matrix.indptr) > 0))
    own = csr_array(matrix[rows, :])
    own.sort_indices()
    size = np.abs(own.data[own.indptr[:-1]])
    unit = csr_array((own.data / np.repeat(size, np.diff(own.indptr)), own.indices, own.indptr),
                     shape=own.shape)  # fmt: skip
    # rows in one direction have one product with any vector; equal products are then compared
    product = unit @ np.random.default_rng(0).uniform(1.0, 2.0, matrix.shape[1])
    order = np.argsort(product, kind="stable")
    close = np.diff(product[order]) <= _ROUNDING * np.abs(product[order][1:])
    one, other = order[1:][close], order[:-1][close]
    apart = abs(csr_array(unit[one, :] - unit[other, :])).sum(axis=1)
    same = np.asarray(apart).ravel() <= _ROUNDING
    one, other = one[same], other[same]
    # either row may be the one that goes, whichever has the larger right-hand side
    first, second = np.concatenate([one, other]), np.concatenate([other, one])
    proof = coo_array(
        (size[first] / size[second], (np.arange(len(first)), rows[second])),
        shape=(len(first), matrix.shape[0]),
    )
    return ImpliedRows(rows[first].astype(np.int64), csr_array(proof))
