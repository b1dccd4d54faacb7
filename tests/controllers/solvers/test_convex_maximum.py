"""Largest value over a polyhedron against vertex enumeration; limits, pairs and refusals."""

from itertools import combinations

import numpy as np
import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers import compile_model
from stackelgrid.controllers.solvers.convex_maximum import Exclusive, convex_maximum

NO_DATA = np.zeros(0)


def random_model(seed, n=4, rows=4):
    """Squares over a box without some of its bounds, an equation and random rows."""
    rng = np.random.default_rng(seed)
    m = pyo.ConcreteModel(name="tested")
    m.i = pyo.RangeSet(0, n - 1)
    m.x = pyo.Var(m.i, bounds=(-1.0, None))
    m.free = pyo.Var()
    a, b = rng.standard_normal((rows, n)), rng.uniform(0.5, 2.0, rows)
    m.total = pyo.Constraint(expr=sum(m.x[i] for i in m.i) == m.free)
    m.cap = pyo.Constraint(expr=m.free <= 3.0)
    m.rows = pyo.Constraint(
        pyo.RangeSet(0, rows - 1), rule=lambda m, k: sum(a[k, i] * m.x[i] for i in m.i) <= b[k]
    )
    c, q = rng.uniform(0.1, 2.0, n), rng.standard_normal(n)
    c[0] = 0.0
    m.cost = pyo.Objective(expr=7.0 + sum(c[i] * m.x[i] ** 2 + q[i] * m.x[i] for i in m.i))
    return compile_model(m).program


def largest_vertex(program):
    """Largest objective over all vertices."""
    data, a = program.data(NO_DATA), program.matrix.toarray()
    n, fixed = program.variables, list(range(program.zero))
    best = -np.inf
    for rest in combinations(range(program.zero, program.rows), n - program.zero):
        active = fixed + list(rest)
        if abs(np.linalg.det(a[active])) < 1e-9:
            continue
        y = np.linalg.solve(a[active], data.b[active])
        if program.violation(y, data.b)[0] < 1e-9:
            best = max(best, program.objective(y, data))
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_maximum_is_at_the_best_vertex(seed):
    program = random_model(seed)
    found = convex_maximum(program, program.data(NO_DATA))
    assert found.status == "optimal"
    assert found.value == pytest.approx(largest_vertex(program), rel=2e-6, abs=2e-6)
    assert found.value <= found.bound + 1e-9
    assert found.gap <= 1e-6
    assert program.violation(found.x, program.data(NO_DATA).b)[0] < 1e-8


def test_at_a_limit_the_bound_still_holds():
    program = random_model(3, n=6, rows=7)
    data = program.data(NO_DATA)
    exact = convex_maximum(program, data)
    stopped = convex_maximum(program, data, node_limit=1)
    assert exact.nodes > 1
    assert stopped.status == "limit"
    assert stopped.value <= exact.value + 1e-9
    assert stopped.bound >= exact.value - 1e-9


def market():
    """Buy at 3, sell at 1: money is lost without end by doing both."""
    m = pyo.ConcreteModel(name="market")
    m.bought, m.sold = pyo.Var(bounds=(0.0, None)), pyo.Var(bounds=(0.0, None))
    m.unit = pyo.Var(bounds=(0.0, 5.0))
    m.balance = pyo.Constraint(expr=m.bought - m.sold + m.unit == 2.0)
    m.cost = pyo.Objective(expr=3.0 * m.bought - m.sold + 0.1 * m.unit**2)
    return compile_model(m).program


def test_an_exclusive_pair_is_netted():
    program = market()
    data = program.data(NO_DATA)
    assert convex_maximum(program, data).status == "unbounded"
    found = convex_maximum(program, data, [Exclusive(0, 1)])
    assert found.status == "optimal"
    # nothing produced: 6; all produced and 3 sold: 2.5 - 3
    assert found.value == pytest.approx(6.0)
    np.testing.assert_allclose(found.x, [2.0, 0.0, 0.0], atol=1e-9)


def test_what_cannot_be_solved_is_said():
    program = market()
    data = program.data(NO_DATA)
    with pytest.raises(SolverError, match="columns 0 and 2 are no exclusive pair"):
        convex_maximum(program, data, [Exclusive(0, 2)])
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(bounds=(0, 1)), pyo.Var(bounds=(0, 1))
    m.row = pyo.Constraint(expr=m.x + m.y >= 3.0)
    m.cost = pyo.Objective(expr=m.x**2)
    program = compile_model(m).program
    assert convex_maximum(program, program.data(NO_DATA)).status == "infeasible"
    m.cost.expr = (m.x + m.y) ** 2
    program = compile_model(m).program
    with pytest.raises(SolverError, match="products of two variables"):
        convex_maximum(program, program.data(NO_DATA))
    m.cone = pyo.Constraint(expr=m.x**2 + m.y**2 <= 1.0)
    m.cost.expr = m.x**2
    program = compile_model(m).program
    with pytest.raises(SolverError, match="second-order cones; linear rows are accepted"):
        convex_maximum(program, program.data(NO_DATA))
