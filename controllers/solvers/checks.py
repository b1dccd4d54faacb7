"""Independent checks: of a program and its data before a solve, of the result after it."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csc_array, csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.bound_rows import BoundRows
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, Solution
from stackelgrid.controllers.solvers.quadratics import convex
from stackelgrid.profiles.arrays import Floats


def check_program(program: ConicProgram, names: Sequence[str] | None = None) -> None:
    """Refuse non-finite matrices, empty cones, integers without bounds; raises ModelError."""
    for size in program.cones:
        if size < 1:
            raise ModelError(f"a cone of size {size}: a second-order cone needs at least one row")
    if program.zero + program.nonneg + sum(program.cones) != program.rows:
        raise ModelError(f"the cones do not cover the program's {program.rows} rows")
    check_finite(program, names)
    if not convex(program.quadratic):
        raise ModelError("objective: the quadratic objective is not convex")
    missing = BoundRows(program).unbounded(program.integer)
    if len(missing):
        used = np.flatnonzero(csr_array(program.matrix)[:, [int(missing[0])]].toarray())
        where = f" (it occurs in {row_name(int(used[0]), names)})" if len(used) else ""
        raise ModelError(f"integer column {missing[0]}{where}: needs a row for either bound")


def check_finite(program: ConicProgram, names: Sequence[str] | None) -> None:
    """Refuse numbers of a program that are not finite; raises ModelError naming the row."""
    for row in np.flatnonzero(~np.isfinite(program.b0)).tolist():
        raise ModelError(f"{row_name(row, names)}: has a right-hand side that is not finite")
    for matrix in (program.matrix, csc_array(program.b_parameters)):
        bad = ~np.isfinite(matrix.data)
        if bad.any():
            row = int(matrix.indices[np.flatnonzero(bad)[0]])
            raise ModelError(f"{row_name(row, names)}: has a coefficient that is not finite")
    objective = (
        program.q0,
        program.quadratic.data,
        program.q_parameters.data,
        program.offset0,
        program.offset_linear,
        program.offset_quadratic.data,
    )
    if not all(np.isfinite(part).all() for part in objective):
        raise ModelError("objective: has a coefficient that is not finite")


def check_data(program: ConicProgram, data: ProgramData, names: Sequence[str] | None) -> None:
    """Refuse NaN, infinite or misshaped vectors; raises ModelError naming the row."""
    if data.q.shape != (program.variables,) or data.b.shape != (program.rows,):
        raise ModelError(
            f"data of shape {data.q.shape}, {data.b.shape} for a program with "
            f"{program.variables} variables and {program.rows} rows"
        )
    for row in np.flatnonzero(~np.isfinite(data.b)).tolist():
        raise ModelError(f"{row_name(row, names)}: right-hand side is {data.b[row]}")
    for column in np.flatnonzero(~np.isfinite(data.q)).tolist():
        raise ModelError(f"objective: coefficient of column {column} is {data.q[column]}")
    if (data.coefficients is None) != (program.varying is None):
        raise ModelError("data with coefficients go with a program that has such entries")
    if data.coefficients is not None and program.varying is not None:
        for at in np.flatnonzero(~np.isfinite(data.coefficients)).tolist():
            row = int(program.varying.rows[at])
            raise ModelError(f"{row_name(row, names)}: a coefficient is {data.coefficients[at]}")
    if not np.isfinite(data.offset):
        raise ModelError(f"objective: constant is {data.offset}")


def row_name(row: int, names: Sequence[str] | None) -> str:
    """Name of a row, or its number where names are not known."""
    return names[row] if names is not None else f"row {row}"


def contradiction(
    solution: Solution,
    program: ConicProgram,
    data: ProgramData,
    names: Sequence[str] | None = None,
) -> str | None:
    """Return the contradiction in a solver's answer, or None.

    A solution needs a point that satisfies every row and multipliers whose dual objective supports
    the bound; infeasible and unbounded need a ray. Nothing of the solver's own checks is used.
    """
    if solution.status == "optimal":
        return _point(solution, program, data, names) or _bound(solution, program, data)
    if solution.status == "infeasible":
        return _infeasible_ray(solution, program, data)
    if solution.status == "unbounded":
        return _unbounded_ray(solution, program, data)
    return None


def _point(
    solution: Solution, program: ConicProgram, data: ProgramData, names: Sequence[str] | None
) -> str | None:
    x = solution.x
    if x.shape != (program.variables,) or not np.isfinite(x).all():
        return "returned no finite point"
    violation, row = program.violation(x, data.b)
    if not violation <= tolerances.POINT_VIOLATION:
        return f"{row_name(row, names)} is violated by {violation:.1e}"
    objective = program.objective(x, data)
    if not abs(objective - solution.objective) <= tolerances.BOUND_CONTRADICTION * _size(objective):
        return f"the point's objective is {objective:g}, not {solution.objective:g}"
    return None


def stationarity(program: ConicProgram, data: ProgramData, x: Floats, z: Floats) -> float:
    """Return the largest residual of a column at a point and multipliers, relative to its terms."""
    curved, pull = program.hessian @ x, program.matrix.T @ z
    weight = 1.0 + np.abs(curved) + np.abs(data.q) + program.magnitudes.T @ np.abs(z)
    return float((np.abs(curved + data.q + pull) / weight).max(initial=0.0))


def _bound(solution: Solution, program: ConicProgram, data: ProgramData) -> str | None:
    if solution.dual.shape != (program.rows,) or not np.isfinite(solution.dual).all():
        return "returned no finite multipliers"
    z, curved = in_dual_cone(program, solution.dual), program.hessian @ solution.x
    residual = stationarity(program, data, solution.x, z)
    if not residual <= tolerances.SOLVER_REDUCED:
        return f"its multipliers are not stationary (residual {residual:.1e})"
    supported = float(-0.5 * solution.x @ curved - data.b @ z + data.offset)
    slack = tolerances.BOUND_CONTRADICTION * _size(solution.objective)
    if not solution.bound <= min(supported, solution.objective) + slack:
        return f"its bound {solution.bound:g} exceeds what its multipliers support, {supported:g}"
    return None


def _infeasible_ray(solution: Solution, program: ConicProgram, data: ProgramData) -> str | None:
    if solution.dual.shape != (program.rows,) or not np.isfinite(solution.dual).all():
        return "returned no infeasibility ray"
    z = in_dual_cone(program, solution.dual)
    size = float((program.magnitudes.T @ np.abs(z)).max(initial=0.0))
    residual = float(np.abs(program.matrix.T @ z).max(initial=0.0))
    if not (data.b @ z < 0.0 and residual <= tolerances.RAY * size + 1e-300):
        return f"its ray does not prove that (b'z {data.b @ z:.1e}, residual {residual:.1e})"
    return None


def _unbounded_ray(solution: Solution, program: ConicProgram, data: ProgramData) -> str | None:
    x = solution.x
    if x.shape != (program.variables,) or not np.isfinite(x).all():
        return "returned no unbounded ray"
    x = x / max(float(np.abs(x).max(initial=0.0)), 1e-300)
    violation, _ = program.violation(x, np.zeros(program.rows))
    curvature = float(x @ (program.hessian @ x))
    if not (data.q @ x < 0.0 and violation <= tolerances.RAY and curvature <= tolerances.RAY):
        return f"its ray does not prove that (q'x {data.q @ x:.1e}, violation {violation:.1e})"
    return None


def in_dual_cone(program: ConicProgram, dual: Floats) -> Floats:
    """The multipliers, moved into the dual cone where rounding left them outside."""
    z, linear, heads = dual.copy(), program.linear, program.heads
    z[program.zero : linear] = np.maximum(z[program.zero : linear], 0.0)
    if program.cones:
        squares = np.add.reduceat(z[linear:] ** 2, heads - linear) - z[heads] ** 2
        z[heads] = np.maximum(z[heads], np.sqrt(np.maximum(squares, 0.0)))
    return z


def _size(value: float) -> float:
    return max(1.0, abs(value))
