"""Hull of disjunctions as a method of the bilevel layer, where it applies."""

import numpy as np
from scipy.sparse import csc_array, csr_array

from stackelgrid.controllers.bilevel.hull.blocks import follower_blocks
from stackelgrid.controllers.bilevel.hull.relaxation import FollowerCost
from stackelgrid.controllers.bilevel.hull.search import HullOptions, HullSearch
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.problem import BilevelData, BilevelOptions, Outcome
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData

_MANY_PAIRS = 200  # number from which fewer, tighter relaxations beat many small nodes


def suits_hull(form: KktForm) -> bool:
    """Return whether the leader depends on the follower only by x and a separate cost of y, nu.

    The follower needs linear rows, a cost without x and several blocks; for one block, or less than
    some hundred pairs, the tree of small nodes is the better choice.
    """
    program = form.bilevel
    leader, follower, n_x = program.leader, program.follower, program.n_x
    if follower.cones or program.pairs < _MANY_PAIRS or program.n_w or program.products.nnz:
        return False
    priced = csr_array(follower.q_parameters @ program.link)
    below = csr_array(leader.matrix)[:, n_x:]
    across = leader.hessian[:n_x, n_x:]
    if priced.count_nonzero() or below.count_nonzero() or across.count_nonzero():
        return False
    linked = np.flatnonzero(np.diff(csr_array(program.link).indptr)).astype(np.int64)
    return len(follower_blocks(follower, linked, _paid(form))) > 1


def _paid(form: KktForm) -> csr_array:
    """Symmetric Q of y'Qy in the leader's objective."""
    n_x = form.bilevel.n_x
    return csr_array(0.5 * form.bilevel.leader.hessian[n_x:, n_x:])


def solve_hull(form: KktForm, data: BilevelData, options: BilevelOptions) -> Outcome | None:
    """Solve by the hull of disjunctions; return None if it finds neither a point nor a proof."""
    program = form.bilevel
    leader, n_x = program.leader, program.n_x
    above = ConicProgram.constant(
        csc_array(csr_array(leader.matrix)[:, :n_x]),
        data.leader.b,
        leader.zero,
        leader.nonneg,
        leader.cones,
        quadratic=csc_array(leader.quadratic[:n_x, :][:, :n_x]),
        integer=leader.integer,
    )
    search = HullSearch(above, program.follower, program.link, _paid(form), options.snap)
    dual = np.zeros(program.follower.rows) if data.dual_cost is None else data.dual_cost
    found = search.solve(
        ProgramData(data.leader.q[:n_x], data.leader.b, data.leader.offset),
        data.follower_parameters,
        FollowerCost(data.leader.q[n_x:], dual),
        HullOptions(options.gap, options.node_limit or 200, options.time_limit_s),
    )
    if found.status == "infeasible":
        return Outcome("infeasible", nodes=found.relaxations, message=found.message)
    if not len(found.x):
        return None
    z = np.zeros(form.columns)
    z[form.layout.x], z[form.layout.y], z[form.layout.nu] = found.x, found.y, found.nu
    z[form.program.integer] = np.round(z[form.program.integer])
    return Outcome(
        status="optimal" if found.status == "optimal" else "limit",
        z=z,
        objective=found.objective,
        bound=found.bound,
        nodes=found.relaxations,
        message="hull of disjunctions",
    )
