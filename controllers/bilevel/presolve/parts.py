"""Independent parts of a follower, a box for x, and samples in it, for the presolve."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import block_array, csr_array
from scipy.sparse.csgraph import connected_components

from stackelgrid.controllers.bilevel.presolve.bounds import Ranges
from stackelgrid.controllers.bilevel.problem import BilevelData, BilevelProgram
from stackelgrid.controllers.bilevel.search.follower import FollowerResponse
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.bound_rows import BoundRows
from stackelgrid.controllers.solvers.conic import ConicProgram
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class FollowerPart:
    """Rows and columns of one connected component of the follower."""

    rows: Ints
    columns: Ints


def equations_first(block: FollowerPart, always: Ints, zero: int) -> Ints:
    """Return rows of a block: its equations, the rows counted as such, the other inequalities."""
    rows = block.rows
    tied = zero + always
    return np.concatenate([rows[rows < zero], tied, np.setdiff1d(rows[rows >= zero], tied)])


def follower_parts(follower: ConicProgram, coupled: csr_array | None = None) -> list[FollowerPart]:
    """Connected components of a follower's rows and columns; rows of a cone stay together.

    `coupled` (columns squared) has entries where columns are connected by other terms.
    """
    m, n = follower.rows, follower.variables
    a, curved = csr_array(follower.matrix), abs(follower.hessian)
    in_cones = np.arange(follower.linear, m)
    own_head = np.repeat(follower.heads, follower.cones)
    rows = csr_array((np.ones(len(in_cones)), (own_head, in_cones)), shape=(m, m))
    graph = block_array([[rows, abs(a)], [None, curved if coupled is None else curved + coupled]])
    count, label = connected_components(csr_array(graph), directed=False)
    by_row, by_column = label[:m], label[m : m + n]
    return [
        FollowerPart(np.flatnonzero(by_row == k), np.flatnonzero(by_column == k))
        for k in range(count)
    ]


def decision_box(
    program: BilevelProgram, data: BilevelData, box: tuple[Floats, Floats] | None
) -> tuple[Floats, Floats]:
    """Return bounds of x (n_x,): the given box, or those that the leader's rows imply."""
    n_x = program.n_x
    if box is not None:
        lower, upper = (np.asarray(side, dtype=float) for side in box)
        if lower.shape != (n_x,) or upper.shape != (n_x,):
            raise ModelError(f"box of shape {lower.shape}, {upper.shape}; ({n_x},) is accepted")
    else:
        lower, upper = (s[:n_x] for s in BoundRows(program.leader).bounds(data.leader.b))
        seen = csr_array(program.link).indices
        ranges = None
        for column in np.unique(seen).tolist():
            for sign, side in ((1.0, upper), (-1.0, lower)):
                if np.isfinite(side[column]):
                    continue
                ranges = ranges or Ranges(program.leader, data.leader.b)
                cost = np.zeros(program.leader.variables)
                cost[column] = sign
                side[column] = sign * ranges.largest(cost)
    if (lower > upper).any():
        column = int(np.flatnonzero(lower > upper)[0])
        raise ModelError(
            f"{program.names.column(column)}: the box is empty, "
            f"[{lower[column]:g}, {upper[column]:g}]"
        )
    return lower, upper


def sampled_pairs(
    program: BilevelProgram,
    data: BilevelData,
    lower: Floats,
    upper: Floats,
    rng: np.random.Generator,
    count: int,
) -> tuple[Floats | None, Floats | None]:
    """Return slacks and multipliers of the follower at sampled x (solved samples, pairs).

    program, data: the bilevel program and one instance.
    lower, upper: box of x (n_x,).
    rng: generator of the samples.
    count: number of samples.
    """
    low = np.where(np.isfinite(lower), lower, np.where(np.isfinite(upper), upper - 1.0, -1.0))
    high = np.where(np.isfinite(upper), upper, low + 1.0)
    follower, response = program.follower, FollowerResponse(program, data)
    pairs = slice(follower.zero, follower.zero + follower.nonneg)
    slacks, multipliers = [], []
    for _ in range(count):
        x = rng.uniform(low, high)
        answer = response.solve(x)
        if answer is None:
            continue
        b = data.follower_data(program, x).b[pairs]
        slack = b - (csr_array(follower.matrix)[pairs] @ answer.x)
        slacks.append(slack / (1.0 + np.abs(b)))
        multipliers.append(answer.dual[pairs])
    if not slacks:
        return None, None
    return np.array(slacks), np.array(multipliers)
