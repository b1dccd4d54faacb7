"""Complementarity by a binary for each pair and a proven M for each slack and multiplier.

    0 <= s_i <= M_i (1 - d_i),   0 <= nu_i <= N_i d_i,   d_i binary

passed to the mixed-integer conic solver as one program (Fortuny-Amat and McCarl 1981). A pair with
a side proven before (presolve/proof.py) needs neither.
"""

import time
from dataclasses import replace

import numpy as np
from scipy.sparse import block_array, coo_array, csr_array, vstack

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.presolve.bounds import multiplier_bounds, slack_bounds
from stackelgrid.controllers.bilevel.presolve.proof import PresolveLimits, prove_inactive
from stackelgrid.controllers.bilevel.problem import BilevelData, BilevelOptions, Outcome
from stackelgrid.controllers.bilevel.search.follower import FollowerResponse
from stackelgrid.controllers.bilevel.search.node import (
    MULTIPLIER_ZERO,
    OPEN,
    SLACK_ZERO,
    NodeState,
    root_state,
)
from stackelgrid.controllers.bilevel.search.restriction import proven, restrict
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.controllers.solvers.mixed_integer.misocp import MixedIntegerConicSolver
from stackelgrid.profiles.arrays import Floats, Ints

_MANY_PAIRS = 40  # number from which the presolve pays for its small problems
_PRESOLVE = 0.25  # its share of the time


def solve_big_m(form: KktForm, data: BilevelData, options: BilevelOptions) -> Outcome:
    """Solve by one mixed-integer conic program; raises ModelError where no finite M is proved."""
    names, started = form.bilevel.names, time.perf_counter()
    if form.cone_rows:
        row = form.bilevel.follower.rows - sum(form.bilevel.follower.cones)
        raise ModelError(
            f"{names.follower_row(row)}: a second-order cone of the follower has no big-M; "
            "methods branch and strong_duality accept it"
        )
    single = form.data(data)
    state = _decided(form, data, root_state(form, single), options)
    live = np.flatnonzero(state.sides == OPEN)
    fixed, b = _with_sides(form, single, state)
    slack = slack_bounds(form, data, live)
    multiplier = multiplier_bounds(form, data, live, (fixed, b))
    if np.isneginf(slack).any() or np.isneginf(multiplier).any():
        return Outcome("infeasible", bound=np.inf, message="the rows have no common point")
    _require_finite(form, live, slack, "slack")
    _require_finite(form, live, multiplier, "multiplier")
    slack, multiplier = np.maximum(slack, 0.0), np.maximum(multiplier, 0.0)
    program, vectors = _mixed(form, (fixed, replace(single, b=b)), live, slack, multiplier)
    response = FollowerResponse(form.bilevel, data)
    n_own = len(form.program.integer)

    def snap(z: Floats) -> Floats:
        x = z[form.layout.x].copy()
        own = np.round(x[form.program.integer] if options.snap is None else options.snap(x))
        x[form.program.integer] = own
        found = response.pattern(x)
        if found is None:
            return np.concatenate([own, np.round(z[form.columns :])])
        return np.concatenate([own, (found[0][live] == SLACK_ZERO).astype(float)])

    left = options.after(started)
    found = MixedIntegerConicSolver(program, snap).solve(
        vectors, MixedOptions(options.gap, left.time_limit_s, options.node_limit)
    )
    if found.status == "failed":  # branching does not use it
        failed = Outcome("limit", message=f"big-M: the solver failed: {found.message}")
        return proven(form, data, options.after(started), failed)
    if not len(found.x):
        return Outcome(found.status, bound=found.bound, nodes=found.nodes, message="big-M")
    values = np.round(found.x[program.integer])
    sides = state.sides.copy()
    sides[live] = np.where(values[n_own:] > 0.5, SLACK_ZERO, MULTIPLIER_ZERO)
    chosen = NodeState(sides, values[:n_own], values[:n_own])
    outcome = Outcome(
        status="optimal" if found.status == "optimal" else "limit",
        z=found.x[: form.columns],
        objective=found.objective,
        bound=found.bound,
        nodes=found.nodes + found.conic_solves,
        message="big-M",
    )
    outcome = restrict(form, data, chosen, outcome, options.after(started, outcome.nodes))
    return replace(outcome, big_m_active=_active(form, single, outcome.z, live, slack, multiplier))


def _decided(
    form: KktForm, data: BilevelData, state: NodeState, options: BilevelOptions
) -> NodeState:
    """Return the root with proven sides: the given ones, or the presolve's for many pairs."""
    slack_zero, multiplier_zero = options.slack_zero, options.multiplier_zero
    if slack_zero is None and multiplier_zero is None and len(state.sides) > _MANY_PAIRS:
        allowed = options.time_limit_s
        limits = PresolveLimits(time_limit_s=None if allowed is None else _PRESOLVE * allowed)
        found = prove_inactive(form.bilevel, data, np.random.default_rng(0), limits=limits)
        slack_zero, multiplier_zero = found.slack_zero, found.multiplier_zero
    return state.with_proven(slack_zero, multiplier_zero)


def _with_sides(
    form: KktForm, single: ProgramData, state: NodeState
) -> tuple[ConicProgram, Floats]:
    """Return the single level with decided sides as equations, and its right-hand sides."""
    without = form.multipliers[state.sides == MULTIPLIER_ZERO]
    tight = form.slack_rows[state.sides == SLACK_ZERO]
    ones = (np.ones(len(without)), (np.arange(len(without)), without))
    unit = csr_array(ones, shape=(len(without), form.columns))
    equations = csr_array(vstack([unit, csr_array(form.program.matrix)[tight]], format="csr"))
    right = np.concatenate([np.zeros(len(without)), single.b[tight]])
    none = csr_array((0, form.columns)), np.zeros(0)
    return form.program.extended(single.b, [(equations, right), none, none])


def _mixed(
    form: KktForm,
    fixed: tuple[ConicProgram, ProgramData],
    live: Ints,
    slack: Floats,
    multiplier: Floats,
) -> tuple[ConicProgram, ProgramData]:
    """Return the single level with columns [z | d], one d for each live pair."""
    program, data = fixed
    pairs, n, at = len(live), form.columns, np.arange(len(live))
    rows = form.slack_rows[live] + program.rows - form.program.rows
    of_multiplier = coo_array((np.ones(pairs), (at, form.multipliers[live])), shape=(pairs, n))

    def diagonal(values: Floats) -> coo_array:
        return coo_array((values, (at, at)), shape=(pairs, pairs))

    none = csr_array((pairs, n))
    added = block_array(
        [
            [-csr_array(program.matrix)[rows], diagonal(slack)],  # s_i <= M_i (1 - d_i)
            [of_multiplier, diagonal(-multiplier)],
            [none, diagonal(np.ones(pairs))],
            [none, diagonal(-np.ones(pairs))],
        ],
        format="csr",
    )
    right = np.concatenate([slack - data.b[rows], np.zeros(pairs), np.ones(pairs), np.zeros(pairs)])
    nothing = csr_array((0, n + pairs)), np.zeros(0)
    joined, b = program.extended(data.b, [nothing, (added, right), nothing], n + at)
    return joined, ProgramData(np.concatenate([data.q, np.zeros(pairs)]), b, data.offset)


def _require_finite(form: KktForm, live: Ints, bounds: Floats, what: str) -> None:
    for pair in live[~np.isfinite(bounds)].tolist():
        row = form.bilevel.follower.zero + pair
        raise ModelError(
            f"{form.bilevel.names.follower_row(row)}: no finite big-M can be proved for its "
            f"{what}; methods kkt_disjunctive and branch need none"
        )


def _active(
    form: KktForm,
    single: ProgramData,
    z: Floats,
    live: Ints,
    slack: Floats,
    multiplier: Floats,
) -> bool:
    """Return whether a slack or a multiplier reaches its M (which proven bounds permit)."""
    close = 1.0 - 10.0 * tolerances.COMPLEMENTARY_PAIR
    s, nu = form.slacks(z, single.b)[live], z[form.multipliers[live]]
    small = tolerances.COMPLEMENTARY_PAIR
    return bool(
        ((s > small) & (s >= close * slack)).any()
        or ((nu > small) & (nu >= close * multiplier)).any()
    )
