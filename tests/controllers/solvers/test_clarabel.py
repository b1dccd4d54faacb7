"""Clarabel behind the conic interface, and the independent check of its points."""

import re

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy.sparse import csc_array, csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers import ClarabelSolver, ConicProgram, compile_model
from stackelgrid.controllers.solvers.conic import parameter_vector
from stackelgrid.controllers.solvers.reduce.scaling import equilibrate


def small_feeder():
    """A conic program with equations, inequalities, cones, data and a price."""
    m = pyo.ConcreteModel()
    m.steps = pyo.RangeSet(0, 3)
    m.p = pyo.Var(m.steps)
    m.q = pyo.Var(m.steps, bounds=(-0.4, 0.4))
    m.current2 = pyo.Var(m.steps, bounds=(0.0, 4.0))
    m.v = pyo.Var(m.steps, bounds=(0.8, 1.2))
    m.demand = pyo.Var(m.steps)
    m.price = pyo.Var(m.steps)
    m.balance = pyo.Constraint(
        m.steps, rule=lambda m, t: m.p[t] - 0.05 * m.current2[t] == m.demand[t]
    )
    m.drop = pyo.Constraint(m.steps, rule=lambda m, t: m.v[t] == 1.0 - 0.02 * m.q[t])
    m.cone = pyo.Constraint(
        m.steps, rule=lambda m, t: m.p[t] ** 2 + m.q[t] ** 2 <= m.current2[t] * m.v[t]
    )
    m.ramp = pyo.Constraint([1, 2, 3], rule=lambda m, t: m.q[t] - m.q[t - 1] <= 0.1)
    m.cost = pyo.Objective(
        expr=sum(m.price[t] * m.p[t] + 0.1 * m.q[t] ** 2 - 0.05 * m.q[t] for t in m.steps)
    )
    return compile_model(m, [m.demand, m.price])


def data_of(compiled, load, price=2.0):
    vector = parameter_vector(compiled.parameters, {"demand": load, "price": price})
    return compiled.program.data(vector)


def test_an_updated_and_a_fresh_solver_return_the_same_bits():
    compiled = small_feeder()
    used = ClarabelSolver(compiled.program)
    rng = np.random.default_rng(3)
    for _ in range(4):
        data = data_of(compiled, rng.uniform(0.1, 0.9, 4), rng.uniform(1.0, 90.0, 4))
        again, fresh = used.solve(data), ClarabelSolver(compiled.program).solve(data)
        assert again.status == "optimal"
        np.testing.assert_array_equal(again.x, fresh.x)
        np.testing.assert_array_equal(again.dual, fresh.dual)
        assert (again.objective, again.bound) == (fresh.objective, fresh.bound)
        assert again.iterations == fresh.iterations


def test_an_infeasible_instance_leaves_no_trace():
    compiled = small_feeder()
    used = ClarabelSolver(compiled.program)
    before = used.solve(data_of(compiled, 0.5))
    bad = used.solve(data_of(compiled, [0.5, 9.0, 0.5, 0.5]))  # current2 <= 4 carries less than 2
    assert bad.status == "infeasible"
    assert np.isnan([bad.objective, bad.bound, bad.violation]).all()
    after = used.solve(data_of(compiled, 0.5))
    np.testing.assert_array_equal(after.x, before.x)


def test_infeasible_and_unbounded_are_told_apart():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0.0, None))
    m.limit = pyo.Var()
    m.price = pyo.Var()
    m.row = pyo.Constraint(expr=m.x >= m.limit)
    m.roof = pyo.Constraint(expr=m.x**2 <= 4.0 + 10.0 * m.x)  # x <= 10.4
    m.free = pyo.Var()
    m.cost = pyo.Objective(expr=m.x + m.price * m.free)
    compiled = compile_model(m, [m.limit, m.price])
    solver = ClarabelSolver(compiled.program)

    def solve(limit, price):
        vector = parameter_vector(compiled.parameters, {"limit": limit, "price": price})
        return solver.solve(compiled.program.data(vector))

    optimal = solve(3.0, 0.0)
    assert (optimal.status, optimal.objective) == ("optimal", pytest.approx(3.0, abs=1e-6))
    assert solve(3.0, 1.0).status == "unbounded"
    assert solve(11.0, 0.0).status == "infeasible"


def test_a_program_without_rows_is_solved():
    m = pyo.ConcreteModel()
    m.x = pyo.Var()
    m.cost = pyo.Objective(expr=(m.x - 1.5) ** 2 + 2.0)
    compiled = compile_model(m)
    solution = ClarabelSolver(compiled.program).solve(compiled.program.data(np.zeros(0)))
    assert solution.x[0] == pytest.approx(1.5, abs=1e-8)
    assert solution.objective == pytest.approx(2.0, abs=1e-10)


def program_of(matrix, b, zero, nonneg, cones):
    n = np.shape(matrix)[1]
    return ConicProgram(
        quadratic=csc_array((n, n)), matrix=csc_array(np.array(matrix, dtype=float)), zero=zero,
        nonneg=nonneg, cones=cones, q0=np.zeros(n), q_parameters=csr_array((n, 0)),
        b0=np.array(b, dtype=float), b_parameters=csr_array((len(b), 0)), offset0=0.0,
        offset_linear=np.zeros(0), offset_quadratic=csr_array((0, 0)),
        integer=np.zeros(0, dtype=np.int64),
    )  # fmt: skip


# x + y == 1; x <= 2, y >= -3; norm(x, y) <= 2; |x - 1| <= y
MIXED = program_of(
    [[1, 1], [1, 0], [0, -1], [0, 0], [-1, 0], [0, -1], [0, -1], [-1, 0]],
    [1, 2, 3, 2, 0, 0, 0, -1],
    zero=1,
    nonneg=2,
    cones=(3, 2),
)


INSIDE = np.array([0.4, 0.6])


def test_a_point_inside_everything_has_no_violation():
    violation, _ = MIXED.violation(INSIDE, MIXED.b0)
    assert violation == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize(
    ("row", "shift", "violation"),
    [
        # b is moved so that one row only is broken; by hand: distance / (1 + |b| + |a| |x|)
        (0, +0.3, 0.3 / (1 + 1.3 + 1.0)),  # equation, from below
        (0, -0.3, 0.3 / (1 + 0.7 + 1.0)),  # and from above
        (1, -1.7, 0.1 / (1 + 0.3 + 0.4)),  # 0.4 <= 0.3
        (2, -4.0, 0.4 / (1 + 1.0 + 0.6)),  # -0.6 <= -1
        (3, -1.5, (np.hypot(0.4, 0.6) - 0.5) / (1 + 0.5)),  # norm(0.4, 0.6) <= 0.5
        (6, -0.2, 0.2 / (1 + 0.2 + 0.6)),  # |0.4 - 1| <= 0.6 - 0.2
        (3, -4.0, (np.hypot(0.4, 0.6) + 2.0) / (1 + 2.0)),  # a negative head
    ],
)
def test_violation_finds_the_broken_row(row, shift, violation):
    b = MIXED.b0.copy()
    b[row] += shift
    found, at = MIXED.violation(INSIDE, b)
    assert at == row
    assert found == pytest.approx(violation, rel=1e-12)


def test_violation_of_a_point_that_is_no_number():
    assert np.isnan(MIXED.violation(np.array([0.4, np.nan]), MIXED.b0)[0])


def test_equilibration_scales_cones_as_a_whole():
    compiled = small_feeder()
    program = compiled.program
    scaling = equilibrate(program)
    assert (scaling.row > 0).all()
    assert (scaling.column > 0).all()
    first = program.zero + program.nonneg
    for size in program.cones:
        assert len(set(scaling.row[first : first + size])) == 1
        first += size


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"demand": np.ones(4)}, "parameters missing: ['price'], unknown: none"),
        (
            {"demand": np.ones(4), "price": 1.0, "prize": 1.0},
            "parameters missing: none, unknown: ['prize']",
        ),
        (
            {"demand": [1.0, 1.0, np.nan, 1.0], "price": 1.0},
            "parameter demand[2] is nan; a finite value is accepted",
        ),
        ({"demand": np.ones(4), "price": np.inf}, "parameter price[0] is inf"),
        (
            {"demand": np.ones(3), "price": 1.0},
            "parameter demand has 3 values; 4, or one for all, are accepted",
        ),
    ],
)
def test_parameter_vector_refuses(values, message):
    with pytest.raises(SolverError, match=re.escape(message)):
        parameter_vector(small_feeder().parameters, values)


def test_a_point_that_violates_a_row_is_no_solution(monkeypatch):
    compiled = small_feeder()
    solver = ClarabelSolver(compiled.program)
    good = solver.solve(data_of(compiled, 0.5))
    assert 0.0 < good.violation < tolerances.POINT_VIOLATION
    monkeypatch.setattr(tolerances, "POINT_VIOLATION", 1e-18)
    bad = solver.solve(data_of(compiled, 0.5))
    assert bad.status == "failed"
    assert re.match(r"Solved, but row \d+ is violated by \d\.\de-\d+", bad.message)
    assert np.isnan([bad.objective, bad.bound]).all()
