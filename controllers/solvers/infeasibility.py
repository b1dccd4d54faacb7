"""Conflicting limits of an infeasible program, by an elastic re-solve."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, hstack, vstack

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.bound_rows import BoundRows
from stackelgrid.controllers.solvers.checks import check_data, check_program, row_name
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.controllers.solvers.mixed_integer.misocp import MixedIntegerConicSolver
from stackelgrid.profiles.arrays import Floats, Ints


def conflicting_rows(
    program: ConicProgram,
    data: ProgramData,
    names: Sequence[str] | None = None,
    options: MixedOptions | None = None,
) -> list[tuple[str, float]]:
    """Rows to be given up for a point to exist, as (name, amount), the largest share first.

    Every row gets a slack in its own unit (equations in both directions, a cone at its head); the
    sum of the slacks, each relative to 1 + |b| and its row's largest coefficient, is minimised.
    Equations give way only where no limit can. First without integrality; if that needs no slack,
    with it (then bounds of integers stay).
    Empty if the program has a point. Raises SolverError if the elastic program is not solved.
    """
    check_program(program, names)
    check_data(program, data, names)
    program = program.at(data)
    bounds = BoundRows(program)
    crossed = _crossed_integer_bounds(program, data, bounds, names)
    if crossed:
        return crossed
    size = _row_sizes(program, data.b)
    slack = _relaxed_slack(program, data, size)
    if len(program.integer) and not (slack > tolerances.CONFLICT_SLACK * size).any():
        rigid = bounds.rows[np.isin(bounds.columns, program.integer)]
        slack = _integer_slack(program, data, size, rigid, options or MixedOptions())
    found = np.flatnonzero(slack > tolerances.CONFLICT_SLACK * size)
    order = found[np.argsort(-slack[found] / size[found], kind="stable")]
    return [(row_name(int(row), names), float(slack[row])) for row in order]


def _row_sizes(program: ConicProgram, b: Floats) -> Floats:
    largest = np.zeros(program.rows)
    np.maximum.at(largest, program.matrix.indices, np.abs(program.matrix.data))
    return np.asarray(np.maximum(largest, 1.0) + np.abs(b))


def _elastic(
    program: ConicProgram, data: ProgramData, size: Floats, rigid: Ints
) -> tuple[ConicProgram, ProgramData, Ints]:
    """The program with slack columns, and the row that each slack column belongs to.

    A slack e >= 0 of row i enters as a x - e + s = b (inequalities, cone heads) or, for
    equations, with either sign.
    """
    linear = program.linear
    equal = np.arange(program.zero)
    soft = np.concatenate([equal, equal, np.arange(program.zero, linear), program.heads]).astype(
        np.int64
    )
    sign = np.ones(len(soft))
    sign[program.zero : 2 * program.zero] = -1.0
    keep = ~np.isin(soft, rigid)
    soft, sign = soft[keep], sign[keep]
    n, count = program.variables, len(soft)
    slack = coo_array((-sign, (soft, np.arange(count))), shape=(program.rows, count))
    top = csr_array(hstack([program.matrix, slack], format="csr"))
    lower = csr_array((-np.ones(count), (np.arange(count), n + np.arange(count))),
                      shape=(count, n + count))  # fmt: skip
    matrix = csc_array(vstack([top[:linear, :], lower, top[linear:, :]]))
    b = np.concatenate([data.b[:linear], np.zeros(count), data.b[linear:]])
    q = np.concatenate([np.zeros(n), 1.0 / size[soft]])
    elastic = ConicProgram.constant(
        matrix,
        b,
        program.zero,
        program.nonneg + count,
        program.cones,
        q=q,
        integer=program.integer,
    )
    return elastic, ProgramData(q, b, 0.0), soft


def _relaxed_slack(program: ConicProgram, data: ProgramData, size: Floats) -> Floats:
    """Slack with equations kept if that can be, for they are physics and data, not limits."""
    for rigid in (np.arange(program.zero, dtype=np.int64), np.zeros(0, dtype=np.int64)):
        elastic, vectors, soft = _elastic(program, data, size, rigid)
        solution = ClarabelSolver(elastic).solve(vectors)
        if solution.status == "optimal":
            return _by_row(program, solution.x, soft)
    raise SolverError(f"the elastic program is {solution.status}: {solution.message}")


def _integer_slack(
    program: ConicProgram, data: ProgramData, size: Floats, rigid: Ints, options: MixedOptions
) -> Floats:
    elastic, vectors, soft = _elastic(program, data, size, rigid)
    solution = MixedIntegerConicSolver(elastic).solve(vectors, options)
    if not len(solution.x):
        raise SolverError(f"the elastic program is {solution.status}: {solution.message}")
    return _by_row(program, solution.x, soft)


def _by_row(program: ConicProgram, x: Floats, soft: Ints) -> Floats:
    slack = x[program.variables :]
    return np.bincount(soft, weights=slack, minlength=program.rows).astype(np.float64)


def _crossed_integer_bounds(
    program: ConicProgram, data: ProgramData, bounds: BoundRows, names: Sequence[str] | None
) -> list[tuple[str, float]]:
    """Rows that leave an integer column without any value, and by how much they miss."""
    integer = bounds.integer_bounds(program.integer, data.b)
    gap = dict(zip(program.integer.tolist(), (integer.lower - integer.upper).tolist(), strict=True))
    found = [
        (row_name(int(row), names), gap[int(column)])
        for row, column in zip(bounds.rows, bounds.columns, strict=True)
        if gap.get(int(column), 0.0) > 0.0
    ]
    return sorted(found, key=lambda entry: -entry[1])
