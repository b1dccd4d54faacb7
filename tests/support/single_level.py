"""A stage as a generic bilevel program: the full optimality conditions, to confirm faster paths."""

import numpy as np
from scipy.sparse import block_diag, csc_array, csr_array, hstack

from stackelgrid.controllers.bilevel import (
    BilevelData,
    BilevelOptions,
    BilevelProgram,
    BilevelSolution,
    BilevelSolver,
    ProgramNames,
)
from stackelgrid.controllers.errors import SchemeError
from stackelgrid.controllers.leaders.feeder_records import TARIFF, UNPRICED
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.stage.stage import Stage, StageInstance


def single_level(stage: Stage, instance: StageInstance) -> tuple[BilevelProgram, BilevelData]:
    """Leaders and follower of a stage under its pricing, in the form of the bilevel layer.

    With nodal prices the leaders' objective holds the payment y'Py + q'y + b'nu (docs/model.md).
    Raises SchemeError for a stage without a follower.
    """
    follower, parameters = stage.follower, instance.parameters
    if follower is None or parameters is None:
        raise SchemeError("a stage without a follower has one level only")
    nodal = stage.pricing == "lmp"
    leaders = stage.program(UNPRICED if nodal else TARIFF)
    above, below = leaders.program, follower.compiled.program
    n = below.variables
    paid = csr_array(2.0 * below.quadratic) if nodal else csr_array((n, n))
    leader = ConicProgram(
        quadratic=csc_array(block_diag([above.quadratic, paid])),
        matrix=csc_array(hstack([above.matrix, csc_array((above.rows, n))])),
        zero=above.zero,
        nonneg=above.nonneg,
        cones=above.cones,
        q0=np.zeros(above.variables + n),
        q_parameters=csr_array((above.variables + n, 0)),
        b0=np.zeros(above.rows),
        b_parameters=csr_array((above.rows, 0)),
        offset0=0.0,
        offset_linear=np.zeros(0),
        offset_quadratic=csr_array((0, 0)),
        integer=above.integer,
    )
    program = BilevelProgram(
        leader=leader,
        follower=below,
        link=leaders.link(follower),
        dual_map=csr_array((0, below.rows)),
        products=csr_array((above.variables + n,) * 2),
        names=ProgramNames(
            follower=follower.grid_name,
            leader_rows=leaders.row_names,
            follower_rows=follower.compiled.row_names,
        ),
    )
    own, answer = leaders.data(instance.leaders), below.data(parameters)
    linear = answer.q if nodal else np.zeros(n)
    data = BilevelData(
        ProgramData(np.concatenate([own.q, linear]), own.b, own.offset),
        parameters,
        answer.b if nodal else None,
    )
    return program, data


def solve_single_level(
    stage: Stage, instance: StageInstance, options: BilevelOptions
) -> BilevelSolution:
    """Solve a stage by a method of the bilevel layer (leaders' objective in EUR, all copies)."""
    program, data = single_level(stage, instance)
    return BilevelSolver(program).solve(data, options)
