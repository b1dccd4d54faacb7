"""Proven bounds of slacks and multipliers of the single level, one by one (no guessed big-M).

A bound is the dual objective of a relaxation, so it errs on the safe side. If the relaxation
leaves a multiplier unbounded, a point of the follower with room in every inequality bounds it: let
y(x) = y0 + Y x satisfy the follower's equations and leave at least s_i > 0 in row i for every x of
the leader's box. Weak duality at y(x) gives, for every multiplier of every optimal answer,

    nu_i s_i <= nu's(x) <= f(y(x)) - V(x) <= U - L

with U above the follower's cost at y(x) and L below its optimal value. The affine rule is found by
a linear program (Ben-Tal et al. 2004), its slacks and U are then evaluated over the box. And if the
leader does not depend on the multipliers, it is enough to keep one optimal dual solution of every
follower, and the follower's duals have one at a vertex (Pineda and Morales 2019 on why a guess is
not enough).
"""

from dataclasses import dataclass, replace
from itertools import combinations
from math import comb

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import block_array, csr_array, eye_array, kron

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.problem import BilevelData
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.checks import contradiction
from stackelgrid.controllers.solvers.conic import NO_ROWS, ConicProgram, ProgramData
from stackelgrid.profiles.arrays import Floats, Ints

_BASES = 5_000  # most bases of the follower's duals that are enumerated
_PROGRAMS = 400  # most programs solved for bases whose multipliers depend on the decisions
_NONNEGATIVE = 1e-9
_LARGEST = 40_000  # most entries of the rule and of the sizes of its rows
_ROOM = 0.5  # share of the largest room that is kept while the rule's cost is lowered
_MARGIN = 1e-6  # added to a bound, relative to max(1, bound)


class Ranges:
    """Largest values of linear functions over a program's rows, its integers relaxed."""

    def __init__(self, program: ConicProgram, b: Floats) -> None:
        self._program = replace(program.without_objective(), integer=NO_ROWS)
        self._solver = ClarabelSolver(self._program)
        self._b = b

    def largest(self, cost: Floats) -> float:
        """Proven upper bound of cost'z: infinite without a proof, -infinite without a point."""
        data = ProgramData(-cost, self._b, 0.0)
        try:
            solution = self._solver.solve(data)
        except Exception:  # a foreign solver may raise anything: no proof then
            self._solver = ClarabelSolver(self._program)
            return np.inf
        if contradiction(solution, self._program, data) is not None:
            return np.inf
        if solution.status == "infeasible":
            return -np.inf
        if solution.status != "optimal":
            return np.inf
        return -solution.bound + _MARGIN * max(1.0, abs(solution.bound))


def primal_ranges(form: KktForm, data: BilevelData) -> Ranges:
    """Ranges over the rows of leader and follower, without the follower's optimality."""
    rows = np.sort(np.concatenate([form.leader_rows, form.follower_rows]))
    return Ranges(form.program.only(rows), form.data(data).b[rows])


def slack_bounds(form: KktForm, data: BilevelData, live: Ints) -> Floats:
    """Upper bounds of the slacks of `live` pairs, over the primal rows, else the relaxation."""
    single = form.data(data)
    whole, primal = form.program, primal_ranges(form, data)
    relaxed = Ranges(whole, single.b)
    matrix = csr_array(whole.matrix)
    bounds = np.empty(len(live))
    for place, row in enumerate(form.slack_rows[live].tolist()):
        cost = -matrix[[row]].toarray().ravel()
        found = primal.largest(cost)
        if found == np.inf:
            found = relaxed.largest(cost)
        bounds[place] = found + single.b[row]
    return bounds


def multiplier_bounds(
    form: KktForm, data: BilevelData, live: Ints, fixed: tuple[ConicProgram, Floats]
) -> Floats:
    """Upper bounds of the multipliers of `live` pairs, infinite where none can be proved.

    form, data: the single level and one instance.
    live: positions of the pairs.
    fixed: the single level and its right-hand sides with the other pairs' sides in place.
    """
    program, b = fixed
    relaxed = Ranges(program, b)
    columns = form.multipliers[live]
    bounds = np.array([relaxed.largest(_unit(form.columns, c)) for c in columns.tolist()])
    if np.isposinf(bounds).any():
        bounds = np.minimum(bounds, recourse_bounds(form, data)[live])
    if np.isposinf(bounds).any() and not leader_sees_duals(form, data):
        bounds = np.minimum(bounds, vertex_bounds(form, data)[live])
    return bounds


def leader_sees_duals(form: KktForm, data: BilevelData) -> bool:
    """Return whether the leader's objective or rows contain multipliers."""
    return form.bilevel.n_w > 0 or (data.dual_cost is not None and bool(data.dual_cost.any()))


def vertex_bounds(form: KktForm, data: BilevelData) -> Floats:
    """Largest multipliers over the basic solutions of A'nu = -(q + Q x + P y), nu >= 0 (pairs,).

    Infinite if the follower has cones, or more bases than the limit.
    """
    program = form.bilevel
    follower, pairs = program.follower, program.pairs
    nothing = np.full(pairs, np.inf)
    a = csr_array(follower.matrix).toarray()
    rank = int(np.linalg.matrix_rank(a)) if a.size else 0
    equations = _independent(a[: follower.zero])
    inequality = np.arange(follower.zero, follower.zero + pairs)
    wanted = rank - len(equations)
    if follower.cones or comb(pairs, max(wanted, 0)) > _BASES:
        return nothing
    single = form.data(data)
    below = single.b[form.stationarity]
    depends = np.concatenate(
        [
            (follower.q_parameters @ program.link).toarray(),
            follower.hessian.toarray(),
        ],
        axis=1,
    )
    primal = primal_ranges(form, data)
    bounds, programs = np.zeros(pairs), 0
    for chosen in combinations(inequality.tolist(), wanted):
        basis = np.concatenate([equations, np.array(chosen, dtype=np.int64)])
        square = a[basis].T
        if np.linalg.matrix_rank(square) < rank:
            continue
        inverse = np.linalg.pinv(square)
        value, slope = inverse @ below, -inverse @ depends
        constant = np.abs(slope).max(axis=1, initial=0.0) <= _NONNEGATIVE
        nonneg = basis >= follower.zero
        if (nonneg & constant & (value < -_NONNEGATIVE * (1.0 + np.abs(value)))).any():
            continue
        for k in np.flatnonzero(nonneg).tolist():
            pair = int(basis[k]) - follower.zero
            if constant[k]:
                bounds[pair] = max(bounds[pair], float(value[k]))
                continue
            programs += 1
            if programs > _PROGRAMS:
                return nothing
            cost = np.zeros(form.columns)
            cost[: slope.shape[1]] = slope[k]
            bounds[pair] = max(bounds[pair], primal.largest(cost) + float(value[k]))
    return bounds + _MARGIN * np.maximum(1.0, bounds)


def _independent(rows: Floats) -> Ints:
    """Return a largest set of linearly independent rows; multipliers of the others can be zero."""
    chosen: list[int] = []
    for row in range(len(rows)):
        if np.linalg.matrix_rank(rows[[*chosen, row]]) == len(chosen) + 1:
            chosen.append(row)
    return np.array(chosen, dtype=np.int64)


def _unit(size: int, at: int) -> Floats:
    vector = np.zeros(size)
    vector[at] = 1.0
    return vector


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
