"""Exact reduction of conic programs, rows that others imply, bounds that multipliers prove."""

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy.optimize import linprog
from scipy.sparse import csr_array
from support.misocp_instances import Rows, program

from stackelgrid.controllers.solvers import ClarabelSolver, compile_model
from stackelgrid.controllers.solvers.backends import clarabel as clarabel_module
from stackelgrid.controllers.solvers.backends.clarabel import RefinedClarabelSolver
from stackelgrid.controllers.solvers.conic import ProgramData, parameter_vector
from stackelgrid.controllers.solvers.reduce.dual_bound import DualBound
from stackelgrid.controllers.solvers.reduce.implied_rows import INEQUALITY, implied_rows
from stackelgrid.controllers.solvers.reduce.reduction import Reduction


def feeder(steps=3, rated=True):
    """A line with one battery behind it: given head voltage, a cone, a mode, bounds that repeat."""
    m = pyo.ConcreteModel()
    m.t = pyo.RangeSet(0, steps - 1)
    m.v_head = pyo.Var(m.t)
    m.demand = pyo.Var(m.t)
    m.price = pyo.Var(m.t)
    m.v = pyo.Var(m.t, bounds=(0.0, None))
    m.p = pyo.Var(m.t)
    m.current2 = pyo.Var(m.t, bounds=(0.0, 1.0 if rated else None))
    m.charge = pyo.Var(m.t, bounds=(0.0, 0.5))
    m.discharge = pyo.Var(m.t, bounds=(0.0, 0.4))
    m.mode = pyo.Var(m.t, bounds=(0.0, 1.0))
    m.energy = pyo.Var(m.t, bounds=(0.1, 1.0))
    m.head = pyo.Constraint(m.t, rule=lambda m, t: m.v[t] == m.v_head[t])
    m.balance = pyo.Constraint(
        m.t,
        rule=lambda m, t: (
            m.p[t] == m.demand[t] + m.charge[t] - m.discharge[t] + 0.02 * m.current2[t]
        ),
    )
    m.cone = pyo.Constraint(m.t, rule=lambda m, t: m.p[t] ** 2 <= m.current2[t] * m.v[t])
    m.charging = pyo.Constraint(m.t, rule=lambda m, t: m.charge[t] <= 0.5 * m.mode[t])
    m.discharging = pyo.Constraint(m.t, rule=lambda m, t: m.discharge[t] <= 0.4 * (1 - m.mode[t]))
    m.storage = pyo.Constraint(
        m.t,
        rule=lambda m, t: (
            m.energy[t]
            == (m.energy[t - 1] if t else 0.5) + 0.9 * m.charge[t] - m.discharge[t] / 0.9
        ),
    )
    m.cost = pyo.Objective(
        expr=sum(m.price[t] * m.p[t] + 0.01 * (m.charge[t] + m.discharge[t]) for t in m.t)
    )
    return compile_model(m, [m.v_head, m.demand, m.price])


def feeder_data(compiled, rng):
    steps = len(compiled.columns["p"])
    values = {
        "v_head": rng.uniform(0.95, 1.05, steps) ** 2,
        "demand": rng.uniform(0.1, 0.4, steps),
        "price": rng.uniform(0.5, 3.0, steps),
    }
    return compiled.program.data(parameter_vector(compiled.parameters, values))


def test_a_feeder_loses_modes_given_voltages_dependent_energies_and_implied_limits():
    compiled = feeder()
    reduced = Reduction(compiled.program).program
    steps = 3
    # given voltage and mode of each step, two of three stored energies by their storage equations
    assert reduced.variables == compiled.program.variables - 2 * steps - 2
    assert compiled.program.zero - reduced.zero == steps + 2
    # of each step: two bounds of the mode, one of its two rows, the upper limits of both powers
    assert compiled.program.nonneg - reduced.nonneg == 5 * steps
    assert reduced.cones == compiled.program.cones


@pytest.mark.parametrize("seed", range(6))
def test_a_reduced_feeder_has_the_solution_of_the_whole(seed):
    compiled = feeder()
    whole, data = compiled.program, feeder_data(compiled, np.random.default_rng(seed))
    reduction = Reduction(whole)
    assert reduction.holds(data)
    small = ClarabelSolver(reduction.program).solve(reduction.data(data))
    large = ClarabelSolver(whole).solve(data)
    x, z = reduction.point(small.x, data.b), reduction.dual(small.dual, data.q)
    assert whole.violation(x, data.b)[0] < 1e-8
    assert whole.objective(x, data) == pytest.approx(large.objective, abs=1e-7)
    assert small.objective == pytest.approx(large.objective, abs=1e-7)
    # multipliers of the whole program: stationary, with the objective of the optimum
    assert np.abs(data.q + whole.matrix.T @ z).max() < 1e-6
    assert -data.b @ z + data.offset == pytest.approx(large.objective, abs=1e-6)
    prices = compiled.rows["balance"]
    np.testing.assert_allclose(z[prices], large.dual[prices], atol=1e-4)


def test_columns_that_equations_determine_are_substituted_where_no_entries_are_added():
    # y = 2 x + 1, w = x + y + z is too long to substitute w, which three other rows hold
    rows = Rows(4)  # x, y, z, w
    rows.equal(np.array([-2.0, 1.0, 0.0, 0.0]), 1.0)
    rows.equal(np.array([-1.0, -1.0, -1.0, 1.0]), 0.0)
    for factor in (1.0, 2.0, 3.0):
        rows.at_most(np.array([1.0, factor, 0.5 * factor, 1.0]), 4.0)
    rows.at_most(np.array([0.0, -1.0, 0.0, 0.0]), -1.5)  # y >= 1.5
    conic, data = program(rows, np.array([1.0, 0.0, 1.0, 0.0]))
    reduction = Reduction(conic)
    assert reduction.program.variables == 3
    assert reduction.program.zero == 1
    point = reduction.point(np.array([0.5, -1.0, 1.5]), data.b)
    np.testing.assert_allclose(point, [0.5, 2.0, -1.0, 1.5])


def test_data_that_break_a_reduction_are_noticed():
    compiled = feeder()
    whole, data = compiled.program, feeder_data(compiled, np.random.default_rng(1))
    reduction = Reduction(whole)
    priced = data.q.copy()
    priced[compiled.columns["mode"]] = 0.1
    assert not reduction.holds(ProgramData(priced, data.b, data.offset))
    tighter = data.b.copy()
    bound = [k for k, name in enumerate(compiled.row_names) if name == "charge[1]"]
    tighter[bound] = np.minimum(tighter[bound], 0.2)  # charge[1] <= 0.2 is no longer implied
    assert not reduction.holds(ProgramData(data.q, tighter, data.offset))


def test_the_solver_honours_data_that_break_its_reduction(monkeypatch):
    monkeypatch.setattr(clarabel_module, "WORTH_REDUCING", 0)
    compiled = feeder()
    whole, data = compiled.program, feeder_data(compiled, np.random.default_rng(1))
    tighter = data.b.copy()
    bound = [k for k, name in enumerate(compiled.row_names) if name.startswith("charge[")]
    tighter[bound] = np.minimum(tighter[bound], 0.02)
    changed = ProgramData(data.q, tighter, data.offset)
    found = ClarabelSolver(whole).solve(changed)
    monkeypatch.setattr(clarabel_module, "WORTH_REDUCING", 10**6)
    expected = ClarabelSolver(whole).solve(changed)
    assert found.x[compiled.columns["charge"]].max() <= 0.02 + 1e-8
    assert found.objective == pytest.approx(expected.objective, abs=1e-8)


@pytest.mark.parametrize("seed", range(30))
def test_random_programs_keep_optimum_and_duals(seed):
    """Linear programs with fixed columns, columns between two rows and repeated rows."""
    rng = np.random.default_rng(seed)
    n = 8
    rows = Rows(n)
    rows.equal(2.0 * np.eye(n)[0], 2.0 * rng.uniform(0.0, 1.0))
    rows.equal(np.concatenate([rng.normal(size=n - 1), [0.0]]), rng.normal())
    low, high = np.zeros(n), np.zeros(n)
    low[[2, 7]] = 1.0, -rng.uniform(0.5, 2.0)  # x2 <= a x7
    high[[3, 7]] = 1.0, rng.uniform(0.5, 2.0)  # x3 <= b (1 - x7)
    rows.at_most(low, 0.0)
    rows.at_most(high, high[7])
    rows.bounds(7, 0, 1)
    general = np.concatenate([rng.normal(size=n - 1), [0.0]])
    rows.at_most(general, 4.0)
    rows.at_most(3.0 * general, 12.0 + rng.choice([0.0, 1.0]))
    for column in range(1, 7):
        rows.bounds(column, 0, rng.uniform(3.0, 4.0))
    cost = np.concatenate([rng.normal(size=n - 1), [0.0]])
    conic, data = program(rows, cost)
    reduction = Reduction(conic)
    assert reduction.program.rows < conic.rows - 4
    assert reduction.program.variables == n - 2
    assert reduction.holds(data)
    linear = conic.matrix.toarray()
    expected = linprog(
        data.q, linear[conic.zero :], data.b[conic.zero :], linear[: conic.zero],
        data.b[: conic.zero], bounds=(None, None),
    )  # fmt: skip
    small = ClarabelSolver(reduction.program).solve(reduction.data(data))
    if expected.status == 2:
        assert small.status == "infeasible"
        ray = reduction.dual(small.dual, np.zeros(n))
        assert data.b @ ray < 0.0
        assert np.abs(conic.matrix.T @ ray).max() < 1e-5 * np.abs(ray).max()
        return
    assert small.objective == pytest.approx(expected.fun, abs=1e-6)
    x, z = reduction.point(small.x, data.b), reduction.dual(small.dual, data.q)
    assert conic.violation(x, data.b)[0] < 1e-8
    assert data.q @ x == pytest.approx(expected.fun, abs=1e-6)
    assert np.abs(data.q + conic.matrix.T @ z).max() < 1e-6
    assert -data.b @ z == pytest.approx(expected.fun, abs=1e-6)


def test_an_implied_row_carries_its_proof():
    # x <= 5; x + y <= 5; -y <= 0; 2 x + 2 y <= 11
    matrix = csr_array(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, -1.0], [2.0, 2.0]]))
    right = csr_array(np.array([[5.0], [5.0], [0.0], [11.0]]))
    found = implied_rows(matrix, right, np.full(4, INEQUALITY))
    assert found.claimed.tolist() == [0, 3]
    np.testing.assert_allclose(found.proof.toarray(), [[0, 1, 1, 0], [0, 2, 0, 0]])
    np.testing.assert_allclose((found.proof @ matrix).toarray(), matrix.toarray()[[0, 3]])


def test_a_row_with_data_on_its_side_implies_nothing_that_the_data_could_change():
    # x + y <= 5 + p
    matrix = csr_array(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, -1.0]]))
    right = csr_array(np.array([[5.0, 0.0], [5.0, 1.0], [0.0, 0.0]]))
    assert not len(implied_rows(matrix, right, np.full(3, INEQUALITY)).claimed)
    moving = csr_array(np.array([[5.0, 1.0], [5.0, 1.0], [0.0, 0.0]]))  # x <= 5 + p
    assert implied_rows(matrix, moving, np.full(3, INEQUALITY)).claimed.tolist() == [0]


@pytest.mark.parametrize("seed", range(12))
def test_any_multipliers_prove_a_bound(seed):
    """The bound is below the optimum for any multipliers, at it for optimal ones."""
    compiled = feeder()
    whole, rng = compiled.program, np.random.default_rng(seed)
    data = feeder_data(compiled, rng)
    best = ClarabelSolver(whole).solve(data)
    bound = DualBound(whole)
    assert bound.value(best.x, best.dual, data) == pytest.approx(best.objective, abs=1e-6)
    for size in (1e-6, 1e-3, 1e-1):
        z = best.dual + size * rng.normal(size=whole.rows)
        value = bound.value(best.x, z, data)
        assert value <= best.objective + 1e-9
        assert value >= best.objective - 1000.0 * size


def test_a_residual_on_a_column_without_a_box_proves_nothing():
    rows = Rows(2)
    rows.at_most([1.0, 1.0], 1.0)
    conic, data = program(rows, [-1.0, -1.0])
    x = np.array([0.5, 0.5])
    assert DualBound(conic).value(x, np.array([1.0]), data) == pytest.approx(-1.0)
    assert DualBound(conic).value(x, np.array([0.9]), data) == -np.inf


@pytest.mark.parametrize(("limit", "forms"), [(1.0, ["lean"]), (0.04, ["lean", "whole"])])
def test_a_rare_row_is_left_out_unless_it_binds(limit, forms):
    compiled = feeder().with_rare(bounds=("current2",))
    data = feeder_data(compiled, np.random.default_rng(2))
    upper = [k for k in compiled.program.rare if data.b[k] == 1.0]
    assert len(upper) == 3  # bounds from below are kept by the cones
    data.b[upper] = limit
    solver = ClarabelSolver(compiled.program)
    found = solver.solve(data)
    expected = ClarabelSolver(replace(compiled.program, rare=np.zeros(0, np.int64))).solve(data)
    assert found.objective == pytest.approx(expected.objective, abs=1e-8)
    assert found.x[compiled.columns["current2"]].max() <= limit + 1e-8
    assert sorted(solver.forms) == forms


def test_a_rare_row_that_is_expected_to_bind_is_solved_with_at_once():
    compiled = feeder().with_rare(bounds=("current2",))
    data = feeder_data(compiled, np.random.default_rng(2))
    found = ClarabelSolver(compiled.program).solve(data)
    assert len(compiled.program.binding(found.x, data.b)) == 0
    data.b[[k for k in compiled.program.rare if data.b[k] == 1.0]] = 0.04
    found = ClarabelSolver(compiled.program).solve(data)
    binding = compiled.program.binding(found.x, data.b)
    assert 1 <= len(binding) <= 3
    np.testing.assert_allclose(compiled.program.violations(found.x, data.b)[binding], 0, atol=1e-8)
    solver = ClarabelSolver(compiled.program)
    again = solver.solve(replace(data, binding=binding))
    assert sorted(solver.forms) == ["whole"]
    np.testing.assert_array_equal(again.x, found.x)


def test_a_loose_solve_has_a_proven_bound_below_the_optimum():
    compiled = feeder()
    data = feeder_data(compiled, np.random.default_rng(4))
    solver = ClarabelSolver(compiled.program)
    precise, loose = solver.solve(data), solver.solve(data, 1e-4)
    assert loose.bound <= precise.objective <= loose.objective + 1e-8
    assert 1e-8 < loose.gap < 1e-2
    assert loose.iterations < precise.iterations


def test_a_program_with_a_column_that_nothing_bounds_is_solved_to_rounding():
    """A current without limit: a residual on it could earn without end."""
    compiled = feeder(rated=False)
    data = feeder_data(compiled, np.random.default_rng(4))
    solver = ClarabelSolver(compiled.program)
    precise, loose = solver.solve(data), solver.solve(data, 1e-4)
    assert not DualBound(compiled.program).possible
    assert loose.iterations == precise.iterations
    np.testing.assert_array_equal(loose.x, precise.x)


def test_the_refined_solver_stays_feasible_to_rounding_whatever_the_gap():
    compiled = feeder(rated=False)
    data = feeder_data(compiled, np.random.default_rng(4))
    precise = ClarabelSolver(compiled.program).solve(data)
    loose = RefinedClarabelSolver(compiled.program).solve(data, 1e-2)
    assert loose.iterations <= precise.iterations
    assert loose.violation <= 1e-9
    assert loose.bound <= precise.objective + 1e-9
    assert precise.objective - loose.bound <= 1e-2
