"""The compiler against cvxpy on random programs, against rebuilt models, and its duals."""

import re

import cvxpy as cp
import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers import ClarabelSolver, compile_model
from stackelgrid.controllers.solvers.conic import parameter_vector

SEEDS = st.integers(0, 2**32 - 1)


def random_program(kind, seed):
    """The same random feasible, bounded program as a Pyomo model and as a cvxpy problem.

    lp: inequalities of both senses, ranges, equations, bounds; qp: convex quadratic objective
    with products of variables; socp: also a ball, a quadratic below an affine function, a rotated
    cone and a cone of a square. Minimised or maximised.
    """
    rng = np.random.default_rng(seed)
    n = 6
    inside = rng.uniform(0.2, 1.5, n)  # satisfies everything with some room
    a = rng.normal(size=(7, n))
    at = a @ inside
    c = rng.normal(size=n)
    sign = rng.choice([-1.0, 1.0])

    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(n), bounds=lambda m, i: [(-3.0, 3.0), (0.0, 4.0), (0.0, 2.5)][i % 3])
    x = cp.Variable(n)
    low, high = np.array([-3.0, 0.0, 0.0] * 2), np.array([3.0, 4.0, 2.5] * 2)
    rows = [x >= low, x <= high]
    m.rows = pyo.ConstraintList()

    def row(k):
        return sum(a[k, i] * m.x[i] for i in range(n))

    m.rows.add(row(0) <= at[0] + 0.3)
    m.rows.add(row(1) >= at[1] - 0.2)
    m.rows.add(pyo.inequality(at[2] - 0.5, row(2), at[2] + 0.1))
    m.rows.add(row(3) == at[3])
    m.rows.add(at[4] + 0.2 - row(4) >= row(5) - at[5])  # variables on both sides
    m.rows.add(at[3] + at[6] == row(3) + row(6))
    rows += [
        a[0] @ x <= at[0] + 0.3, a[1] @ x >= at[1] - 0.2, a[2] @ x >= at[2] - 0.5,
        a[2] @ x <= at[2] + 0.1, a[3] @ x == at[3], at[4] + 0.2 - a[4] @ x >= a[5] @ x - at[5],
        a[3] @ x + a[6] @ x == at[3] + at[6],
    ]  # fmt: skip

    cost, value = sum(c[i] * m.x[i] for i in range(n)) + 0.7, c @ x + 0.7
    if kind != "lp":
        f = rng.normal(size=(3, n))
        cost += sign * sum(sum(f[k, i] * m.x[i] for i in range(n)) ** 2 for k in range(3))
        value += sign * cp.sum_squares(f @ x)
    if kind == "socp":
        f = rng.normal(size=(2, n))
        g = f @ inside

        def forms(k):
            return sum(f[k, i] * m.x[i] for i in range(n))

        radius = g @ g + 0.4
        m.rows.add(forms(0) ** 2 + forms(1) ** 2 <= radius)
        m.rows.add(radius + 1.0 >= (forms(0) - g[0]) ** 2 - row(0) + at[0] + row(1) - at[1])
        m.rows.add(0.5 * m.x[0] ** 2 + 2.0 * m.x[3] ** 2 + 0.1 <= 12.0 * m.x[1] * m.x[2])
        m.rows.add(4.0 * m.x[4] ** 2 >= 0.05 * m.x[0] ** 2 + 0.01)
        rows += [
            cp.sum_squares(f @ x) <= radius,
            cp.square(f[0] @ x - g[0]) - a[0] @ x + at[0] + a[1] @ x - at[1] <= radius + 1.0,
            cp.quad_over_lin(
                cp.hstack([np.sqrt(0.5) * x[0], np.sqrt(2.0) * x[3], np.sqrt(0.1)]), x[1]
            ) <= 12.0 * x[2],
            cp.norm(cp.hstack([np.sqrt(0.05) * x[0], 0.1])) <= 2.0 * x[4],
        ]  # fmt: skip
    sense = pyo.minimize if sign > 0 else pyo.maximize
    m.cost = pyo.Objective(expr=cost, sense=sense)
    return m, cp.Problem((cp.Minimize if sign > 0 else cp.Maximize)(value), rows)


@settings(max_examples=25)
@pytest.mark.parametrize("kind", ["lp", "qp", "socp"])
@given(seed=SEEDS)
def test_random_programs_have_cvxpys_optimum(optimise, kind, seed):
    model, problem = random_program(kind, seed)
    # linear programs by the simplex method of HiGHS, the others by cvxpy's own conic form
    problem.solve(solver=cp.HIGHS if kind == "lp" else cp.CLARABEL)
    assume(problem.status != "optimal_inaccurate")  # cvxpy's own form may not reach its tolerances
    optimum = optimise(model)
    if problem.status == "infeasible":  # socp only: the fixed cones need not hold inside
        assert kind == "socp"
        assert optimum.solution.status == "infeasible"
        return
    assert problem.status == "optimal"
    assert optimum.solution.status == "optimal"
    assert optimum.objective == pytest.approx(problem.value, rel=1e-6, abs=1e-6)
    sign = -1.0 if optimum.compiled.maximise else 1.0
    assert sign * optimum.solution.bound == pytest.approx(problem.value, rel=1e-6, abs=1e-6)
    for i, x in enumerate(optimum.value("x")):
        model.x[i].set_value(x, skip_validation=True)
    evaluated = pyo.value(model.cost)
    assert evaluated == pytest.approx(problem.value, rel=1e-5, abs=1e-5)
    for row in model.rows.values():  # the point itself, by Pyomo's own evaluation
        assert row.lslack() > -1e-6
        assert row.uslack() > -1e-6


def build_with_data(data=None):
    """A model with prices, loads and limits as variables (parameters) or, given data, as numbers.

    Prices also multiply each other and stand alone, as a cost that nobody can avoid would.
    """
    m = pyo.ConcreteModel()
    m.steps = pyo.RangeSet(0, 2)
    m.x = pyo.Var(m.steps, bounds=(0.0, 5.0))
    m.y = pyo.Var(m.steps, bounds=(0.0, 5.0))
    if data is None:
        m.demand = pyo.Var(m.steps)
        m.price = pyo.Var(m.steps)
        m.limit = pyo.Var()
        load, price, limit = m.demand, m.price, m.limit
    else:
        load, price, limit = data["demand"], data["price"], data["limit"]
    m.balance = pyo.Constraint(m.steps, rule=lambda m, t: m.x[t] + m.y[t] - 2.0 * load[t] == 0.1)
    m.total = pyo.Constraint(expr=sum(m.x[t] for t in m.steps) <= 3.0 * limit)
    m.floor = pyo.Constraint(m.steps, rule=lambda m, t: m.y[t] >= 0.1 * load[t] - 0.02)
    m.cone = pyo.Constraint(m.steps, rule=lambda m, t: m.y[t] ** 2 <= m.x[t] + limit + load[t])
    cost = sum(price[t] * m.x[t] + m.y[t] ** 2 + 0.3 * m.y[t] for t in m.steps)
    cost += 2.0 * price[0] * load[1] + 0.5 * price[2] ** 2 - limit + 4.0
    m.cost = pyo.Objective(expr=cost)
    return m


@settings(max_examples=25)
@given(seed=SEEDS)
def test_parameters_and_numbers_give_the_same_program(optimise, seed):
    rng = np.random.default_rng(seed)
    model = build_with_data()
    compiled = compile_model(model, [model.price, model.demand, model.limit])
    solver = ClarabelSolver(compiled.program)
    for _ in range(2):  # the second time with replaced data
        data = {
            "demand": rng.uniform(0.2, 1.5, 3),
            "price": rng.uniform(-2.0, 5.0, 3),
            "limit": float(rng.uniform(2.5, 4.0)),
        }
        vector = parameter_vector(compiled.parameters, data)
        split = solver.solve(compiled.program.data(vector))
        fresh = optimise(build_with_data(data))
        assert split.status == fresh.solution.status == "optimal"
        assert split.objective == pytest.approx(fresh.objective, rel=1e-6, abs=1e-6)
        assert split.bound == pytest.approx(fresh.objective, rel=1e-6, abs=1e-6)
        for name in ("x", "y"):
            np.testing.assert_allclose(
                split.x[compiled.columns[name]], fresh.value(name), rtol=0, atol=2e-4
            )
        # the same vectors, not only the same optimum
        numbers, ours = fresh.compiled.program.data(np.zeros(0)), compiled.program.data(vector)
        np.testing.assert_allclose(ours.b, numbers.b, rtol=0, atol=1e-14)
        np.testing.assert_allclose(ours.q, numbers.q, rtol=0, atol=1e-14)
        assert ours.offset == pytest.approx(numbers.offset, abs=1e-13)


def test_order_of_parameters_is_by_name(optimise):
    model = build_with_data()
    data = {"demand": [0.5, 1.0, 0.7], "price": [3.0, -1.0, 2.0], "limit": 3.0}
    backwards = optimise(model, {name: data[name] for name in ("limit", "price", "demand")})
    assert backwards.objective == pytest.approx(optimise(build_with_data(data)).objective, abs=1e-6)


def dual_program(bounds, maximise):
    """A program with every kind of linear row active at its optimum."""
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(4))
    m.upper = pyo.Constraint(expr=m.x[0] + 0.2 * m.x[1] <= bounds["upper"])
    m.lower = pyo.Constraint(expr=m.x[1] - 0.1 * m.x[2] >= bounds["lower"])
    m.equal = pyo.Constraint(expr=m.x[2] + m.x[0] == bounds["equal"])
    m.range = pyo.Constraint(expr=pyo.inequality(-9.0, m.x[3], bounds["range"]))
    sign = -1.0 if maximise else 1.0
    cost = (
        -3.0 * m.x[0] + 0.5 * m.x[0] ** 2 + 2.0 * m.x[1] + m.x[1] ** 2 + m.x[2] ** 2 - 1.5 * m.x[3]
    )
    m.cost = pyo.Objective(expr=sign * cost, sense=pyo.maximize if maximise else pyo.minimize)
    return m


# derivative of the optimal value of the program (always a minimum) with respect to the bound that
# the row was written with: right-hand sides b enter `x <= b` as b and `x >= b` as -b
DUAL_SIGN = {"upper": -1.0, "lower": 1.0, "equal": -1.0, "range": -1.0}


@pytest.mark.parametrize("maximise", [False, True])
@pytest.mark.parametrize("name", list(DUAL_SIGN))
def test_duals_are_derivatives_of_the_optimal_value(optimise, name, maximise):
    bounds = {"upper": 1.0, "lower": 0.5, "equal": 2.0, "range": 0.8}
    optimum = optimise(dual_program(bounds, maximise))
    assert optimum.compiled.maximise == maximise
    step = 1e-3
    values = [
        optimise(dual_program({**bounds, name: bounds[name] + change}, maximise)).objective
        for change in (step, -step)
    ]
    slope = (values[0] - values[1]) / (2.0 * step)
    sense = -1.0 if maximise else 1.0
    assert abs(slope) > 0.5  # the row is active
    assert sense * DUAL_SIGN[name] * optimum.dual(name)[0] == pytest.approx(slope, abs=1e-4)


@settings(max_examples=15)
@given(seed=SEEDS)
def test_primal_is_dual_objective_computed_from_the_duals(optimise, seed):
    model, _ = random_program("qp", seed)
    optimum = optimise(model)
    program, solution = optimum.compiled.program, optimum.solution
    data = program.data(np.zeros(0))
    upper = program.quadratic.toarray()
    hessian = upper + np.triu(upper, 1).T
    # stationarity, signs and the dual objective -1/2 x'Px - b'z of the standard form
    np.testing.assert_allclose(
        hessian @ solution.x + data.q + program.matrix.T @ solution.dual, 0.0, atol=1e-5
    )
    assert solution.dual[program.zero :].min() > -1e-8
    dual = -0.5 * solution.x @ hessian @ solution.x - data.b @ solution.dual + data.offset
    assert dual == pytest.approx(solution.objective, rel=1e-6, abs=1e-6)
    assert dual == pytest.approx(solution.bound, rel=1e-6, abs=1e-6)
    assert solution.gap < 1e-6


def empty():
    m = pyo.ConcreteModel("tested")
    m.x = pyo.Var(bounds=(0.0, None))
    m.y = pyo.Var(bounds=(0.0, None))
    m.z = pyo.Var()
    m.data = pyo.Var()
    m.cost = pyo.Objective(expr=m.x + m.y)
    return m


def constraint(rule):
    def build():
        m = empty()
        m.wrong = pyo.Constraint(expr=rule(m))
        return m

    return build


def objective(rule):
    def build():
        m = empty()
        m.del_component(m.cost)
        m.wrong = pyo.Objective(expr=rule(m))
        return m

    return build


def two_objectives():
    m = empty()
    m.second = pyo.Objective(expr=m.x)
    return m


def no_objective():
    m = empty()
    m.cost.deactivate()
    return m


def discrete():
    m = empty()
    m.wrong = pyo.Var([1, 2], domain=pyo.Integers)
    m.used = pyo.Constraint(expr=m.wrong[2] + m.x >= 1.0)
    return m


def half_bounded():
    m = empty()
    m.wrong = pyo.Var(domain=pyo.NonNegativeIntegers)
    m.used = pyo.Constraint(expr=m.wrong + m.x >= 1.0)
    return m


def semi_discrete():
    m = empty()
    m.wrong = pyo.Var(domain=pyo.RangeSet(0, 6, 2))
    m.used = pyo.Constraint(expr=m.wrong + m.x >= 1.0)
    return m


def foreign():
    m, other = empty(), empty()
    m.wrong = pyo.Constraint(expr=m.x + other.y >= 1.0)
    return m


NAN = float("nan")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (constraint(lambda m: m.x**2 >= m.z), "wrong: is not convex"),
        (constraint(lambda m: m.x * m.y <= 1.0), "wrong: is not convex"),
        (constraint(lambda m: m.x**2 == 1.0), "wrong: a quadratic constraint needs exactly one"),
        (constraint(lambda m: pyo.inequality(1.0, m.x**2, 2.0)), "wrong: a quadratic constraint"),
        (constraint(lambda m: m.x**2 <= m.y * m.z), "wrong: z needs a lower bound >= 0"),
        (constraint(lambda m: m.x**2 <= -1.0), "wrong: a sum of squares below -1 has no solution"),
        (constraint(lambda m: m.data * m.x <= 1.0), "wrong: data may not multiply a variable"),
        (constraint(lambda m: m.x**2 <= m.data**2), "wrong: data may not multiply a variable"),
        (constraint(lambda m: m.x**3 <= 1.0), "wrong: only linear and quadratic terms"),
        (constraint(lambda m: pyo.exp(m.x) <= 1.0), "wrong: only linear and quadratic terms"),
        (constraint(lambda m: NAN * m.x <= 1.0), "wrong: has a coefficient that is not finite"),
        (constraint(lambda m: m.x <= NAN * m.data), "wrong: has a coefficient that is not finite"),
        (constraint(lambda m: NAN * m.x**2 <= 1.0), "wrong: has a coefficient that is not finite"),
        (constraint(lambda m: m.x + NAN <= 1.0), "wrong: has a right-hand side that is not finite"),
        (objective(lambda m: m.x**3), "wrong: only linear and quadratic terms"),
        (objective(lambda m: m.x * m.y), "wrong: the quadratic objective is not convex"),
        (objective(lambda m: m.x**2 - m.z**2), "wrong: the quadratic objective is not convex"),
        (objective(lambda m: NAN * m.x), "objective: has a coefficient that is not finite"),
        (objective(lambda m: NAN * m.x**2), "objective: has a coefficient that is not finite"),
        (objective(lambda m: m.x + NAN), "objective: has a coefficient that is not finite"),
        (objective(lambda m: NAN * m.x * m.data), "objective: has a coefficient that is not"),
        (two_objectives, "tested: exactly one objective is accepted, found 2"),
        (no_objective, "tested: exactly one objective is accepted, found 0"),
        (discrete, "wrong[1]: an integer variable needs both bounds"),
        (half_bounded, "wrong: an integer variable needs both bounds"),
        (semi_discrete, "wrong: accepted domains are reals and integers"),
        (foreign, "wrong: uses a variable that is not part of the model"),
    ],
)
def test_refusals_name_the_component(build, message):
    model = build()
    with pytest.raises(ModelError, match="^" + re.escape(message)):
        compile_model(model, [model.data])


def test_a_bound_survives_a_quadratic_that_looks_like_a_cone(optimise):
    # x^2 + 1 <= y - z with y, z >= 0: at z = 0, y = 1; without the bound on z it is unbounded
    m = empty()
    m.z.setlb(0.0)
    m.row = pyo.Constraint(expr=m.x**2 + 1.0 <= m.y - m.z)
    m.cost.set_value(m.y + 0.5 * m.z)
    optimum = optimise(m)
    assert optimum.solution.status == "optimal"
    assert optimum.objective == pytest.approx(1.0, abs=1e-7)


def test_the_cone_keeps_the_bounds_that_it_replaces(optimise):
    m = empty()
    m.row = pyo.Constraint(expr=m.x * m.y >= 1.0)
    m.cost.set_value(4.0 * m.x + m.y)  # x = 1/2, y = 2
    optimum = optimise(m)
    assert optimum.objective == pytest.approx(4.0, abs=1e-6)
    assert optimum.value("x")[0] == pytest.approx(0.5, abs=1e-4)
    assert optimum.compiled.program.nonneg == 0  # both bounds are part of the cone


def test_fixed_bounds_and_fixed_variables(optimise):
    m = empty()
    m.z.setlb(1.5)
    m.z.setub(1.5)
    m.x.fix(0.25)
    m.row = pyo.Constraint(expr=m.y >= m.x + m.z)
    optimum = optimise(m)
    assert optimum.objective == pytest.approx(0.25 + 1.75, abs=1e-7)
    assert optimum.value("z")[0] == pytest.approx(1.5, abs=1e-9)


def test_inactive_constraints_and_blocks_are_left_out(optimise):
    m = empty()
    m.row = pyo.Constraint(expr=m.x >= 2.0)
    m.off = pyo.Constraint(expr=m.x >= 3.0)
    m.off.deactivate()
    m.block = pyo.Block()
    m.block.row = pyo.Constraint(expr=m.y >= 4.0)
    m.other = pyo.Block()
    m.other.row = pyo.Constraint(expr=m.y >= 5.0)
    m.other.deactivate()
    optimum = optimise(m)
    assert optimum.objective == pytest.approx(6.0, abs=1e-6)
    assert set(optimum.compiled.rows) == {"row", "block.row"}


def test_the_program_does_not_depend_on_addresses_in_memory():
    def build():
        m = pyo.ConcreteModel()
        m.p, m.q, m.l, m.v = pyo.Var(), pyo.Var(), pyo.Var(bounds=(0, 9)), pyo.Var(bounds=(0, 9))
        m.disc = pyo.Constraint(expr=m.p**2 + 3.0 * m.q**2 + 0.5 * m.p * m.q <= 4.0)
        m.cone = pyo.Constraint(expr=m.p**2 + 2.0 * m.q**2 <= m.v * m.l)
        m.cost = pyo.Objective(expr=m.p + m.q + m.p * m.q + m.q**2 + m.p**2)
        return m

    kept, orders = [], {}
    for k in range(400):  # until both orders of addresses have been seen
        model = build()
        orders.setdefault((id(model.p) < id(model.q), id(model.l) < id(model.v)), model)
        kept.append(model if k % 3 else [object() for _ in range(k)])
    assert len(orders) > 1
    programs = [compile_model(model).program for model in orders.values()]
    for program in programs[1:]:
        np.testing.assert_array_equal(program.matrix.toarray(), programs[0].matrix.toarray())
        np.testing.assert_array_equal(program.matrix.indices, programs[0].matrix.indices)
        np.testing.assert_array_equal(program.quadratic.toarray(), programs[0].quadratic.toarray())


def test_rows_and_columns_keep_the_order_of_their_index_sets():
    m = pyo.ConcreteModel()
    m.a = pyo.Var([0, 1], [0, 1, 2], bounds=(0.0, None))
    m.rows = pyo.Constraint([0, 1], [0, 1, 2], rule=lambda m, i, t: m.a[i, t] >= 10 * i + t)
    m.cost = pyo.Objective(expr=sum(m.a.values()))
    compiled = compile_model(m)
    np.testing.assert_array_equal(compiled.columns["a"], np.arange(6))
    solution = ClarabelSolver(compiled.program).solve(compiled.program.data(np.zeros(0)))
    np.testing.assert_allclose(solution.x, [0, 1, 2, 10, 11, 12], atol=1e-6)
    assert [compiled.row_names[r] for r in compiled.rows["rows"]] == [
        f"rows[{i},{t}]" for i in (0, 1) for t in (0, 1, 2)
    ]
