"""Proven bounds of slacks and multipliers of the single level, one by one (no guessed big-M).

A bound is the dual objective of a relaxation, so it errs on the safe side. If the relaxation
leaves a multiplier unbounded and the leader does not depend on the multipliers, it is enough to
keep one optimal dual solution of every follower, and the follower's duals have one at a vertex
(Pineda and Morales 2019 on why a guess is not enough).
"""

from itertools import combinations
from math import comb

import numpy as np
from scipy.sparse import csr_array

from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.problem import BilevelData
from stackelgrid.controllers.bilevel.ranges import MARGIN, Ranges, primal_ranges
from stackelgrid.controllers.bilevel.recourse import recourse_bounds
from stackelgrid.controllers.solvers.conic import ConicProgram
from stackelgrid.profiles.arrays import Floats, Ints

_BASES = 5_000  # most bases of the follower's duals that are enumerated
_PROGRAMS = 400  # most programs solved for bases whose multipliers depend on the decisions
_NONNEGATIVE = 1e-9


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
    return bounds + MARGIN * np.maximum(1.0, bounds)


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
