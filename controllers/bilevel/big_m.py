"""Complementarity by a binary for each pair and a proven M for each slack and multiplier.

    0 <= s_i <= M_i (1 - d_i),   0 <= nu_i <= N_i d_i,   d_i binary

given to the mixed-integer conic solver as one program (Fortuny-Amat and McCarl 1981).
"""

from dataclasses import replace

import numpy as np
from scipy.sparse import block_array, coo_array, csc_array, csr_array, vstack

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.bounds import multiplier_bounds, slack_bounds
from stackelgrid.controllers.bilevel.follower import FollowerResponse
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.node import (
    MULTIPLIER_ZERO,
    OPEN,
    SLACK_ZERO,
    NodeState,
    root_state,
)
from stackelgrid.controllers.bilevel.problem import BilevelData, BilevelOptions, Outcome
from stackelgrid.controllers.bilevel.restriction import proven, restrict
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.misocp import MixedIntegerConicSolver, MixedOptions
from stackelgrid.profiles.arrays import Floats


def solve_big_m(form: KktForm, data: BilevelData, options: BilevelOptions) -> Outcome:
    """Solve by one mixed-integer conic program; raises ModelError where no finite M is proved."""
    names = form.bilevel.names
    if form.cone_rows:
        row = form.bilevel.follower.rows - sum(form.bilevel.follower.cones)
        raise ModelError(
            f"{names.follower_row(row)}: a second-order cone of the follower has no big-M; "
            "methods branch and strong_duality accept it"
        )
    slack, multiplier = slack_bounds(form, data), multiplier_bounds(form, data)
    if np.isneginf(slack).any() or np.isneginf(multiplier).any():
        return Outcome("infeasible", bound=np.inf, message="the rows have no common point")
    _require_finite(form, slack, "slack")
    _require_finite(form, multiplier, "multiplier")
    slack, multiplier = np.maximum(slack, 0.0), np.maximum(multiplier, 0.0)
    single, state = form.data(data), root_state(form, form.data(data))
    program, vectors = _mixed(form, single, state, slack, multiplier)
    response = FollowerResponse(form.bilevel, data)
    n_own = len(form.program.integer)

    def snap(z: Floats) -> Floats:
        x = z[form.layout.x].copy()
        own = np.round(x[form.program.integer] if options.snap is None else options.snap(x))
        x[form.program.integer] = own
        found = response.pattern(x)
        if found is None:
            return np.concatenate([own, np.round(z[form.columns :])])
        return np.concatenate([own, (found[0] == SLACK_ZERO).astype(float)])

    found = MixedIntegerConicSolver(program, snap).solve(
        vectors, MixedOptions(options.gap, options.time_limit_s, options.node_limit)
    )
    if found.status == "failed":  # branching needs nothing of it
        failed = Outcome("time_limit", message=f"big-M: the solver failed: {found.message}")
        return proven(form, data, options, failed)
    if not len(found.x):
        status = "time_limit" if found.status == "limit" else found.status
        return Outcome(status, bound=found.bound, nodes=found.nodes, message=found.message)
    values = np.round(found.x[program.integer])
    chosen = values[n_own:] > 0.5
    sides = np.where(chosen, SLACK_ZERO, MULTIPLIER_ZERO)
    fixed = NodeState(
        np.where(state.sides == OPEN, sides, state.sides), values[:n_own], values[:n_own]
    )
    outcome = Outcome(
        status="optimal" if found.status == "optimal" else "time_limit",
        z=found.x[: form.columns],
        objective=found.objective,
        bound=found.bound,
        nodes=found.nodes + found.conic_solves,
        message=found.message,
    )
    outcome = restrict(form, data, fixed, outcome, options)
    return replace(outcome, big_m_active=_active(form, single, outcome.z, slack, multiplier))


def _mixed(
    form: KktForm, single: ProgramData, state: NodeState, slack: Floats, multiplier: Floats
) -> tuple[ConicProgram, ProgramData]:
    """Single level with columns [z | d]; rows of d follow the other inequalities."""
    program = form.program
    pairs, n, linear = len(slack), form.columns, program.zero + program.nonneg
    matrix = csr_array(program.matrix)
    at = np.arange(pairs)
    of_multiplier = coo_array((np.ones(pairs), (at, form.multipliers)), shape=(pairs, n))
    upper = np.where(state.sides == MULTIPLIER_ZERO, 0.0, 1.0)
    lower = np.where(state.sides == SLACK_ZERO, 1.0, 0.0)

    def diagonal(values: Floats) -> coo_array:
        return coo_array((values, (at, at)), shape=(pairs, pairs))

    none = csr_array((pairs, n))
    added = block_array(
        [
            [-matrix[form.slack_rows], diagonal(slack)],  # s_i <= M_i (1 - d_i)
            [of_multiplier, diagonal(-multiplier)],
            [none, diagonal(np.ones(pairs))],
            [none, diagonal(-np.ones(pairs))],
        ],
        format="csr",
    )
    right = [slack - single.b[form.slack_rows], np.zeros(pairs), upper, -lower]
    b = np.concatenate([single.b[:linear], *right, single.b[linear:]])
    wide = csr_array(matrix)
    wide.resize((program.rows, n + pairs))
    quadratic = csc_array(program.quadratic)
    quadratic.resize((n + pairs, n + pairs))
    joined = replace(
        program,
        quadratic=quadratic,
        matrix=csc_array(vstack([wide[:linear], added, wide[linear:]], format="csc")),
        nonneg=program.nonneg + 4 * pairs,
        q0=np.zeros(n + pairs),
        q_parameters=csr_array((n + pairs, 0)),
        b0=np.zeros(len(b)),
        b_parameters=csr_array((len(b), 0)),
        integer=np.concatenate([program.integer, n + at]),
    )
    return joined, ProgramData(np.concatenate([single.q, np.zeros(pairs)]), b, single.offset)


def _require_finite(form: KktForm, bounds: Floats, what: str) -> None:
    for pair in np.flatnonzero(~np.isfinite(bounds)).tolist():
        row = form.bilevel.follower.zero + pair
        raise ModelError(
            f"{form.bilevel.names.follower_row(row)}: no finite big-M can be proved for its "
            f"{what}; methods kkt_disjunctive and branch need none"
        )


def _active(
    form: KktForm, single: ProgramData, z: Floats, slack: Floats, multiplier: Floats
) -> bool:
    """Whether a slack or a multiplier reaches its M (which proven bounds allow)."""
    close = 1.0 - 10.0 * tolerances.COMPLEMENTARY_PAIR
    s, nu = form.slacks(z, single.b), z[form.multipliers]
    small = tolerances.COMPLEMENTARY_PAIR
    return bool(
        ((s > small) & (s >= close * slack)).any()
        or ((nu > small) & (nu >= close * multiplier)).any()
    )
