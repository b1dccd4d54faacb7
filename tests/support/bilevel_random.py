"""Random bilevel problems, and their optimum by enumeration of every complementarity pattern.

The oracle shares nothing with the package: arrays are read from the drawn instance, each pattern
(and each assignment of the binaries) is a linear or convex quadratic program for HiGHS.
"""

from dataclasses import dataclass
from itertools import product

import highspy
import numpy as np
import pyomo.environ as pyo
from scipy.sparse import csc_array

from stackelgrid.controllers.solvers.backends.highs import new_highs


@dataclass(frozen=True)
class Instance:
    """min c'(x, y) [+ sum of (z - 2)^2]; leader rows; follower min q'y + y'Qx + y'Py/2."""

    n_x: int
    n_y: int
    a: np.ndarray
    b: np.ndarray
    rhs: np.ndarray
    upper_rows: np.ndarray
    upper_rhs: np.ndarray
    cost: np.ndarray
    q: np.ndarray
    cross: np.ndarray
    quadratic: np.ndarray
    equation: bool
    free: bool
    bounded: bool
    follower_maximises: bool
    leader_maximises: bool
    squares: bool
    binary: bool
    x_upper: float

    @property
    def inequalities(self):
        sides = (not self.free) + self.bounded
        return len(self.rhs) - self.equation + self.n_y * sides


def random_instance(seed):
    """Small integers as data, so that degenerate and tied followers are frequent."""
    rng = np.random.default_rng(seed)
    n_x, n_y = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    m, k = int(rng.integers(1, 4)), int(rng.integers(0, 3))

    def whole(*shape):
        return rng.integers(-4, 5, shape).astype(float)

    factor = whole(n_y, int(rng.integers(1, n_y + 1)))
    binary = rng.random() < 0.3
    return Instance(
        n_x=n_x,
        n_y=n_y,
        a=whole(m, n_y),
        b=whole(m, n_x),
        rhs=rng.integers(0, 10, m).astype(float),
        upper_rows=whole(k, n_x + n_y),
        upper_rhs=rng.integers(0, 10, k).astype(float),
        cost=whole(n_x + n_y),
        q=whole(n_y),
        cross=whole(n_y, n_x) * (rng.random() < 0.3),
        quadratic=factor @ factor.T / 5.0 * (rng.random() < 0.4),
        equation=bool(rng.random() < 0.25),
        free=bool(rng.random() < 0.3),
        bounded=bool(rng.random() < 0.7),
        follower_maximises=bool(rng.random() < 0.3),
        leader_maximises=bool(rng.random() < 0.3),
        squares=bool(rng.random() < 0.2),
        binary=bool(binary),
        x_upper=1.0 if binary else (6.0 if rng.random() < 0.8 else np.inf),
    )


def random_model(instance):
    """The instance in Pyomo."""
    model = pyo.ConcreteModel()
    upper = None if np.isinf(instance.x_upper) else instance.x_upper
    domain = pyo.Binary if instance.binary else pyo.Reals
    model.x = pyo.Var(range(instance.n_x), within=domain, bounds=(0, upper))
    follower = model.follower = pyo.Block()
    follower.y = pyo.Var(
        range(instance.n_y),
        bounds=(None if instance.free else 0, 8 if instance.bounded else None),
    )
    x, y = list(model.x.values()), list(follower.y.values())
    z = x + y
    sign = -1 if instance.follower_maximises else 1
    follower.cost = pyo.Objective(
        expr=sign
        * (
            _dot(instance.q, y)
            + sum(y[j] * _dot(instance.cross[j], x) for j in range(len(y)))
            + 0.5 * sum(y[j] * _dot(instance.quadratic[j], y) for j in range(len(y)))
        ),
        sense=sign,
    )
    follower.rows = pyo.ConstraintList()
    for i, right in enumerate(instance.rhs):
        body = _dot(instance.a[i], y) + _dot(instance.b[i], x) + 0.0 * (x[0] + y[0])
        follower.rows.add(body == right if instance.equation and i == 0 else body <= right)
    model.rows = pyo.ConstraintList()
    for row, right in zip(instance.upper_rows, instance.upper_rhs, strict=True):
        model.rows.add(_dot(row, z) + 0.0 * z[0] <= right)
    sign = -1 if instance.leader_maximises else 1
    squares = sum((v - 2.0) ** 2 for v in z) if instance.squares else 0.0
    model.cost = pyo.Objective(expr=sign * (_dot(instance.cost, z) + squares), sense=sign)
    return model


def enumerate_patterns(instance):
    """(status, minimised objective); None where HiGHS gives no answer to a pattern."""
    n_x, n_y = instance.n_x, instance.n_y
    rows, rhs = [*np.hstack([instance.b, instance.a])], [*instance.rhs]
    unit = np.eye(n_x + n_y)
    for j in range(n_x, n_x + n_y):
        if not instance.free:
            rows, rhs = [*rows, -unit[j]], [*rhs, 0.0]
        if instance.bounded:
            rows, rhs = [*rows, unit[j]], [*rhs, 8.0]
    rows, rhs = np.array(rows), np.array(rhs)
    m, n = len(rows), n_x + n_y + len(rows)
    first = int(instance.equation)
    matrix = np.zeros((len(instance.upper_rhs) + n_y + m, n))
    matrix[: len(instance.upper_rhs), : n_x + n_y] = instance.upper_rows
    at = len(instance.upper_rhs)
    matrix[at : at + n_y] = np.hstack([instance.cross, instance.quadratic, rows[:, n_x:].T])
    matrix[at + n_y :, : n_x + n_y] = rows
    row_upper = np.concatenate([instance.upper_rhs, -instance.q, rhs])
    row_lower = np.full(len(row_upper), -np.inf)
    row_lower[at : at + n_y] = -instance.q
    cost = np.concatenate([instance.cost, np.zeros(m)])
    curved = np.zeros(n)
    offset = 0.0
    if instance.squares:
        cost[: n_x + n_y] -= 4.0
        curved[: n_x + n_y], offset = 2.0, 4.0 * (n_x + n_y)
    best = np.inf
    for pattern in product((False, True), repeat=m - first):
        active = np.array([True] * first + list(pattern))
        lower, upper = np.full(n, -np.inf), np.full(n, np.inf)
        lower[:n_x], upper[:n_x] = 0.0, instance.x_upper
        nu = np.arange(n_x + n_y + first, n)
        lower[nu], upper[nu] = 0.0, np.where(active[first:], np.inf, 0.0)
        below = row_lower.copy()
        below[at + n_y :][active] = rhs[active]
        for values in product((0.0, 1.0), repeat=n_x) if instance.binary else [None]:
            if values is not None:
                lower[:n_x] = upper[:n_x] = values
            status, value = _solve(cost, curved, lower, upper, matrix, below, row_upper)
            if status == "unbounded":
                free = _solve(0.0 * cost, 0.0 * curved, lower, upper, matrix, below, row_upper)
                if free[0] == "optimal":
                    return "unbounded", -np.inf
            elif status == "optimal":
                best = min(best, value + offset)
            elif status != "infeasible":
                return None
    return ("infeasible", np.inf) if np.isinf(best) else ("optimal", best)


def _dot(coefficients, variables):
    return sum(float(c) * v for c, v in zip(coefficients, variables, strict=True))


def _solve(cost, curved, lower, upper, matrix, row_lower, row_upper):
    highs = new_highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("presolve", "off")
    model = highspy.HighsModel()
    lp, a = model.lp_, csc_array(matrix)
    lp.num_col_, lp.num_row_ = len(cost), len(row_lower)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = cost, lower, upper
    lp.row_lower_, lp.row_upper_ = row_lower, row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_ = a.indptr, a.indices
    lp.a_matrix_.value_ = a.data
    if curved.any():
        used = np.flatnonzero(curved)
        model.hessian_.dim_ = len(cost)
        model.hessian_.format_ = highspy.HessianFormat.kTriangular
        model.hessian_.start_ = np.searchsorted(used, np.arange(len(cost) + 1))
        model.hessian_.index_, model.hessian_.value_ = used, curved[used]
    highs.passModel(model)
    highs.run()
    names = {
        highspy.HighsModelStatus.kOptimal: "optimal",
        highspy.HighsModelStatus.kInfeasible: "infeasible",
        highspy.HighsModelStatus.kUnbounded: "unbounded",
    }
    status = names.get(highs.getModelStatus(), "unknown")
    return status, highs.getInfo().objective_function_value
