"""Bounds of multipliers by a point of the follower with room in every inequality.

Let y(x) = y0 + Y x satisfy the follower's equations and leave at least s_i > 0 in row i for every x
of the leader's box. Weak duality at y(x) gives, for every multiplier of every optimal answer,

    nu_i s_i <= nu's(x) <= f(y(x)) - V(x) <= U - L

with U above the follower's cost at y(x) and L below its optimal value. The affine rule is found by
a linear program (Ben-Tal et al. 2004), its slacks and U are then evaluated over the box.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import block_array, csr_array, eye_array, kron

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.problem import BilevelData
from stackelgrid.controllers.bilevel.ranges import Ranges, primal_ranges
from stackelgrid.profiles.arrays import Floats, Ints

_LARGEST = 40_000  # most entries of the rule and of the sizes of its rows
_ROOM = 0.5  # share of the largest room that is kept while the rule's cost is lowered


@dataclass(frozen=True)
class _Rule:
    """y = base + slope d for leader decisions centre + d, |d_k| <= radius_k."""

    base: Floats
    slope: Floats


def recourse_bounds(form: KktForm, data: BilevelData) -> Floats:
    """Upper bounds of the multipliers of all pairs (pairs,); infinite where there is no such rule.

    The leader's decisions must not enter the follower's costs.
    """
    program = form.bilevel
    follower = program.follower
    nothing = np.full(program.pairs, np.inf)
    linked = csr_array(follower.b_parameters @ program.link)
    used: Ints = np.unique(linked.indices[linked.data != 0.0]).astype(np.int64)
    priced = csr_array(follower.q_parameters @ program.link)
    size = len(used) * max(follower.variables, program.pairs)
    if follower.cones or priced.count_nonzero() or size > _LARGEST or not follower.variables:
        return nothing
    primal = primal_ranges(form, data)
    low, high = _box(primal, form.columns, used)
    if not np.isfinite([*low, *high]).all() or (low > high).any():
        return nothing
    below = follower.data(data.follower_parameters)
    coupling, centre, radius = linked[:, used].toarray(), 0.5 * (low + high), 0.5 * (high - low)
    right = below.b - coupling @ centre
    rule = _rule(csr_array(follower.matrix), right, coupling, radius, follower.zero, below.q)
    if rule is None:
        return nothing
    a, curved = csr_array(follower.matrix), abs(follower.hessian)
    moved = np.abs(a @ rule.slope + coupling)
    missed = np.abs(right - a @ rule.base)[: follower.zero] + moved[: follower.zero] @ radius
    if (missed > tolerances.MASTER_FEASIBILITY * (1.0 + np.abs(right[: follower.zero]))).any():
        return nothing
    room = (right - a @ rule.base - moved @ radius)[follower.zero :]
    largest = np.abs(rule.base) + np.abs(rule.slope) @ radius
    above = float(below.q @ rule.base + np.abs(below.q @ rule.slope) @ radius)
    above += float(0.5 * largest @ (curved @ largest))
    cost = np.zeros(form.columns)
    cost[form.layout.y] = -below.q
    lowest = -primal.largest(cost)  # the curved part of the cost is never negative
    if not np.isfinite(lowest):
        return nothing
    safe = tolerances.POINT_VIOLATION * (1.0 + np.abs(right[follower.zero :]))
    bounds = np.full(program.pairs, np.inf)
    bounds[room > safe] = max(above - lowest, 0.0) / room[room > safe]
    return bounds


def _box(primal: Ranges, columns: int, used: Ints) -> tuple[Floats, Floats]:
    low, high = np.zeros(len(used)), np.zeros(len(used))
    for place, column in enumerate(used.tolist()):
        cost = np.zeros(columns)
        cost[column] = 1.0
        low[place], high[place] = -primal.largest(-cost), primal.largest(cost)
    return low, high


def _rule(
    a: csr_array, right: Floats, coupling: Floats, radius: Floats, zero: int, cost: Floats
) -> _Rule | None:
    """Return the rule with room in all inequalities, and then of low cost; None without room.

    Columns [base | slope, leader column by leader column | sizes of the rows' slopes | room].
    """
    (m, n), k = a.shape, len(radius)
    rows, each = m - zero, eye_array(k, format="csr")
    equations = block_array(
        [
            [a[:zero], csr_array((zero, n * k)), csr_array((zero, rows * k + 1))],
            [csr_array((zero * k, n)), kron(each, a[:zero]), csr_array((zero * k, rows * k + 1))],
        ]
    )
    slopes, sizes = kron(each, a[zero:]), eye_array(rows * k, format="csr")
    spread = kron(csr_array(radius.reshape(1, -1)), eye_array(rows, format="csr"))
    column = csr_array(np.ones((rows, 1)))
    parts = [[a[zero:], csr_array((rows, n * k)), spread, column]]
    if k:
        empty = csr_array((rows * k, n))
        parts += [[empty, slopes, -sizes, None], [empty, -slopes, -sizes, None]]
    below = coupling[zero:].T.ravel()
    limits = np.concatenate([right[zero:], -below, below])
    exact = np.concatenate([right[:zero], -coupling[:zero].T.ravel()])
    free = (None, None)
    most = 1.0 + float(np.abs(right).max(initial=0.0))
    bounds = [free] * (n + n * k) + [(0.0, None)] * (rows * k)
    matrix = csr_array(block_array(parts))
    aim = np.zeros(n + n * k + rows * k + 1)
    aim[-1] = -1.0
    found = linprog(aim, matrix, limits, equations, exact, [*bounds, (None, most)])
    if found.status != 0 or not found.x[-1] > tolerances.POINT_VIOLATION * most:
        return None
    aim = np.concatenate([cost, np.zeros(n * k + rows * k + 1)])
    kept = (_ROOM * float(found.x[-1]), most)
    cheaper = linprog(aim, matrix, limits, equations, exact, [*bounds, kept])
    x = cheaper.x if cheaper.status == 0 else found.x
    return _Rule(x[:n], x[n : n + n * k].reshape(k, n).T)
