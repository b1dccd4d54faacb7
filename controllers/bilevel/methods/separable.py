"""Separable case: the leader's objective and rows do not contain the follower.

The leader then only needs a decision to which the follower has a response. These decisions are
exactly the projection of the follower's rows and stationarity, so the relaxation without
complementarity is exact; if the leader does not enter the follower's objective, stationarity drops
out as well (docs/formulation.md).
"""

import numpy as np
from scipy.sparse import csc_array, csr_array

from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.problem import BilevelData, BilevelOptions, Outcome
from stackelgrid.controllers.bilevel.search.follower import FollowerResponse
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions, MixedSolution
from stackelgrid.controllers.solvers.mixed_integer.misocp import MixedIntegerConicSolver


def is_separable(form: KktForm, data: BilevelData) -> bool:
    """Return whether the leader's objective and rows contain no follower variables or duals."""
    program, layout = form.bilevel, form.layout
    below = slice(layout.y.start, layout.w.stop)
    leader = program.leader
    used = csr_array(leader.matrix)[:, below]
    used.eliminate_zeros()
    curved = csr_array(leader.quadratic)[:, below]
    curved.eliminate_zeros()
    return bool(
        not used.nnz
        and not curved.nnz
        and not program.products.nnz
        and not data.leader.q[below].any()
        and (data.dual_cost is None or not data.dual_cost.any())
    )


def solve_separable(form: KktForm, data: BilevelData, options: BilevelOptions) -> Outcome | None:
    """Solve the leader over feasible responses, then the follower; None if it fails."""
    program = form.bilevel
    priced = csr_array(program.follower.q_parameters @ program.link)
    priced.eliminate_zeros()
    nodes = 0
    if not priced.nnz:  # boundedness of the follower does not depend on x
        found = _minimise(*_primal_part(form, data), options, form)
        nodes = found.nodes + 1
        if found.status == "infeasible":
            return Outcome("infeasible", nodes=nodes, message="separable")
        outcome = _answered(form, data, found, nodes)
        if outcome is not None:
            return outcome
    found = _minimise(form.program, form.data(data), options, form)
    nodes += found.nodes + 1
    if found.status in ("infeasible", "unbounded"):
        return Outcome(found.status, nodes=nodes, message="separable")
    return _answered(form, data, found, nodes)


def _minimise(
    program: ConicProgram, data: ProgramData, options: BilevelOptions, form: KktForm
) -> MixedSolution:
    snap = options.snap
    above = form.layout.x
    of_leader = None if snap is None else (lambda z: snap(z[above]))
    limits = MixedOptions(options.gap, options.time_limit_s, options.node_limit)
    return MixedIntegerConicSolver(program, of_leader).solve(data, limits)


def _primal_part(form: KktForm, data: BilevelData) -> tuple[ConicProgram, ProgramData]:
    """Return leader and follower rows in the columns [x | y]."""
    single, n = form.data(data), form.layout.y.stop
    rows = np.sort(np.concatenate([form.leader_rows, form.follower_rows]))
    whole = form.program.only(rows)
    program = ConicProgram.constant(
        csc_array(csr_array(whole.matrix)[:, :n]),
        single.b[rows],
        whole.zero,
        whole.nonneg,
        whole.cones,
        quadratic=csc_array(whole.quadratic[:n, :][:, :n]),
        integer=whole.integer,
    )
    return program, ProgramData(single.q[:n], single.b[rows], single.offset)


def _answered(form: KktForm, data: BilevelData, found: MixedSolution, nodes: int) -> Outcome | None:
    """Complete the leader's decision by the follower's own response."""
    if not len(found.x):
        return None
    z = np.zeros(form.columns)
    z[form.layout.x] = found.x[form.layout.x]
    z[form.program.integer] = np.round(z[form.program.integer])
    answer = FollowerResponse(form.bilevel, data).solve(z[form.layout.x])
    if answer is None:
        return None
    z[form.layout.y], z[form.layout.nu] = answer.x, answer.dual
    z[form.layout.w] = form.bilevel.dual_map @ answer.dual
    return Outcome(
        status="optimal" if found.status == "optimal" else "limit",
        z=z,
        objective=form.program.objective(z, form.data(data)),
        bound=found.bound,
        nodes=nodes,
        message="separable",
    )
