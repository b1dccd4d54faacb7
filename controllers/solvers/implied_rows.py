"""Inequalities that other rows imply, each with the combination of rows that proves it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.profiles.arrays import Bools, Floats, Ints

EQUATION, INEQUALITY, CONE = 0, 1, 2

_Proof = dict[int, float]


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
        """Whether right-hand sides b of all rows leave every claimed row implied."""
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
    candidates = list(_bounds_by_a_row(matrix, kind, targets))
    if targets is None:
        candidates += _multiples(matrix, kind)
    claimed = np.array([row for row, _ in candidates], dtype=np.int64)
    proof = _rows([p for _, p in candidates], matrix.shape[0])
    # whatever the parameters are: constant parts hold, parametric parts cancel
    left = csc_array(right[claimed, :] - proof @ right)
    constant = left[:, [0]].toarray().ravel()
    moving = np.asarray(abs(left[:, 1:]).sum(axis=1)).ravel()
    true = (constant >= -tolerances.IMPLIED_ROW) & (moving <= tolerances.IMPLIED_ROW)
    chosen: dict[int, int] = {}
    used: set[int] = set()
    for k in np.flatnonzero(true).tolist():
        row, reasons = int(claimed[k]), set(candidates[k][1])
        if row not in chosen and row not in used and not reasons & chosen.keys():
            chosen[row] = k
            used |= reasons
    order = sorted(chosen)
    return ImpliedRows(
        np.array(order, dtype=np.int64), csr_array(proof[[chosen[r] for r in order], :])
    )


def _bounds_by_a_row(
    matrix: csr_array, kind: Ints, targets: Bools | None
) -> Iterator[tuple[int, _Proof]]:
    """Yield bounds of a column that a longer row implies with the bounds of its other columns."""
    length = np.diff(matrix.indptr)
    single = np.flatnonzero((length == 1) & (kind == INEQUALITY))
    bounds: dict[tuple[int, bool], tuple[int, float]] = {}  # (column, above): row, coefficient
    for row in single.tolist():
        column, value = matrix.indices[matrix.indptr[row]], matrix.data[matrix.indptr[row]]
        bounds.setdefault((int(column), bool(value > 0.0)), (row, float(value)))
    above, below = (
        np.isin(np.arange(matrix.shape[1]), [c for c, up in bounds if up == side])
        for side in (True, False)
    )
    long = np.flatnonzero((length > 1) & (kind != CONE))
    entries = coo_array(csr_array(matrix[long, :]))
    local, column = entries.coords
    for direction in (1.0, -1.0):
        # a row times `direction`; what stands beside the target must be bounded to stay above
        value = direction * entries.data
        beside = np.where(value > 0.0, below[column], above[column])
        missing = np.bincount(local, weights=~beside, minlength=len(long))
        wanted = np.where(value > 0.0, above[column], below[column])
        wanted &= missing[local] - ~beside == 0.0
        if direction < 0.0:
            wanted &= kind[long][local] == EQUATION
        if targets is not None:
            wanted &= targets[column]
        for at in np.flatnonzero(wanted).tolist():
            row, target = int(long[local[at]]), int(column[at])
            claimed, coefficient = bounds[target, bool(value[at] > 0.0)]
            factor = coefficient / value[at] * direction
            proof = {row: float(factor)}
            for k in range(matrix.indptr[row], matrix.indptr[row + 1]):
                other, rest = int(matrix.indices[k]), -factor * matrix.data[k]
                if other != target:
                    reason, slope = bounds[other, bool(rest > 0.0)]
                    proof[reason] = proof.get(reason, 0.0) + float(rest / slope)
            if claimed not in proof:
                yield claimed, proof


def _multiples(matrix: csr_array, kind: Ints) -> list[tuple[int, _Proof]]:
    """List inequalities that are a positive multiple of another one, and that multiple."""
    rows = np.flatnonzero((kind == INEQUALITY) & (np.diff(matrix.indptr) > 0))
    alike: dict[bytes, list[int]] = {}
    size = {}
    for row in rows.tolist():
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        order = np.argsort(matrix.indices[part])
        value = matrix.data[part][order]
        size[row] = float(abs(value[0]))
        key = matrix.indices[part][order].tobytes() + np.round(value / size[row], 12).tobytes()
        alike.setdefault(key, []).append(row)
    return [
        (one, {other: size[one] / size[other]})
        for group in alike.values()
        for one in group
        for other in group
        if one != other
    ]


def _rows(proofs: list[_Proof], width: int) -> csr_array:
    at = [(k, row, value) for k, proof in enumerate(proofs) for row, value in proof.items()]
    k, row, value = (np.array(part) for part in zip(*at, strict=True)) if at else ([], [], [])
    return csr_array(coo_array((value, (k, row)), shape=(len(proofs), width)))
