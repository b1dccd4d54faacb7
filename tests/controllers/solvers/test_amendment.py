"""An amended program is the program that would have been built with those prices and bounds."""

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackelgrid.controllers.solvers import ClarabelSolver, compile_model
from stackelgrid.controllers.solvers.amendment import Amendment
from stackelgrid.controllers.solvers.bound_rows import BoundRows
from stackelgrid.controllers.solvers.conic import parameter_vector

N = 5
FORMS = ("bound", "row", "data", "both")
SEEDS = st.integers(0, 2**32 - 1)


def build(form, cost, lower, upper, scale):
    """min cost x + |x - 1|^2 below a cone, bounds of x stated in one of four ways.

    As bounds of the variable; as rows scale x <= scale upper with a single variable, of either
    sign; with the upper limit as data; or twice, a looser bound and the row. y has no bounds.
    """
    m = pyo.ConcreteModel()
    i = range(N)
    slack = {"bound": 0.0, "both": 0.25}.get(form)
    if slack is None:
        m.x = pyo.Var(i)
    else:
        m.x = pyo.Var(i, bounds=lambda m, k: (lower[k] - slack, upper[k] + slack))
    m.limit = pyo.Var(i)  # data
    m.y = pyo.Var()
    m.cone = pyo.Constraint(expr=m.x[0] ** 2 + m.y**2 <= 9.0)
    m.sum = pyo.Constraint(expr=sum(m.x[k] for k in i) - m.y == 0.5)
    if form in ("row", "both"):
        m.rows = pyo.ConstraintList()
        for k in i:
            for limit, sign in ((upper[k], 1.0), (lower[k], -1.0)):
                side = sign * scale[k] * m.x[k] - sign * scale[k] * limit
                m.rows.add(side <= 0.0 if scale[k] > 0.0 else side >= 0.0)
    if form == "data":
        m.available = pyo.Constraint(i, rule=lambda m, k: scale[k] * m.x[k] <= scale[k] * m.limit[k]
                                     if scale[k] > 0.0
                                     else scale[k] * m.x[k] >= scale[k] * m.limit[k])  # fmt: skip
        m.floor = pyo.Constraint(i, rule=lambda m, k: m.x[k] >= lower[k])
    m.cost = pyo.Objective(expr=sum(cost[k] * m.x[k] + (m.x[k] - 1.0) ** 2 for k in i) + 0.1 * m.y)
    compiled = compile_model(m, [m.limit])
    data = compiled.program.data(parameter_vector(compiled.parameters, {"limit": upper}))
    return compiled, data


@st.composite
def programs(draw):
    """A form, its costs, bounds and coefficients, and an amendment that leaves it feasible."""
    rng = np.random.default_rng(draw(SEEDS))
    lower, upper = rng.uniform(-2.0, -0.5, N), rng.uniform(0.5, 2.0, N)
    scale = rng.choice([-1.0, 1.0], N) * rng.uniform(0.3, 3.0, N)
    tighter_up, tighter_low = rng.uniform(0.2, 3.0, N), rng.uniform(-3.0, -0.2, N)
    tighter_up[rng.random(N) < 0.3] = np.inf
    tighter_low[rng.random(N) < 0.3] = -np.inf
    amendment = Amendment(
        price={"x": rng.normal(size=N), "y": rng.normal(size=1)},
        upper={"x": tighter_up},
        lower={"x": tighter_low},
    )
    form = draw(st.sampled_from(FORMS))
    return form, rng.normal(size=N), lower, upper, scale, amendment


def solved(compiled, data):
    solution = ClarabelSolver(compiled.program).solve(data)
    assert solution.status == "optimal"
    return solution


@given(programs())
@settings(max_examples=40)
def test_amended_and_built_programs_are_one(case):
    form, cost, lower, upper, scale, amendment = case
    compiled, data = build(form, cost, lower, upper, scale)
    amended = amendment.apply(compiled.program, compiled.columns, data)
    u = np.minimum(upper, amendment.upper["x"])
    low = np.maximum(lower, amendment.lower["x"])
    built, from_start = build(form, cost + amendment.price["x"], low, u, scale)
    from_start.q[built.columns["y"]] += amendment.price["y"]
    np.testing.assert_allclose(amended.q, from_start.q, atol=1e-14)
    if form != "both":  # there the looser bound moves along in one of them
        np.testing.assert_allclose(amended.b, from_start.b, atol=1e-14)
    ours, theirs = solved(compiled, amended), solved(built, from_start)
    assert ours.objective == pytest.approx(theirs.objective, abs=1e-7)
    x, y = ours.x[compiled.columns["x"]], theirs.x[built.columns["x"]]
    np.testing.assert_allclose(x, y, atol=1e-4)
    assert np.all(x <= u + 1e-6)
    assert np.all(x >= low - 1e-6)


@given(programs())
@settings(max_examples=20)
def test_loose_and_infinite_amendments_change_nothing(case):
    form, cost, lower, upper, scale, _ = case
    compiled, data = build(form, cost, lower, upper, scale)
    for room in (0.3, np.inf):
        loose = Amendment(upper={"x": upper + room}, lower={"x": lower - room})
        amended = loose.apply(compiled.program, compiled.columns, data)
        np.testing.assert_array_equal(amended.b, data.b)
        np.testing.assert_array_equal(amended.q, data.q)
        assert amended.offset == data.offset


@given(programs(), st.floats(0.1, 50.0))
@settings(max_examples=20)
def test_a_weight_scales_prices_and_not_bounds(case, weight):
    form, cost, lower, upper, scale, amendment = case
    compiled, data = build(form, cost, lower, upper, scale)
    once = amendment.apply(compiled.program, compiled.columns, data)
    many = amendment.apply(compiled.program, compiled.columns, data, weight)
    np.testing.assert_allclose(many.q - data.q, weight * (once.q - data.q), rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(many.b, once.b)


@given(programs(), SEEDS)
@settings(max_examples=20)
def test_both_at_once_is_one_after_the_other(case, seed):
    form, cost, lower, upper, scale, one = case
    rng = np.random.default_rng(seed)
    other = Amendment(
        price={"x": rng.normal(size=N)},
        upper={"x": rng.uniform(0.1, 2.5, N)},
    )
    compiled, data = build(form, cost, lower, upper, scale)
    program, columns = compiled.program, compiled.columns
    both = (one | other).apply(program, columns, data)
    for first, second in ((one, other), (other, one)):
        turn = second.apply(program, columns, first.apply(program, columns, data))
        np.testing.assert_allclose(both.q, turn.q, atol=1e-14)
        np.testing.assert_array_equal(both.b, turn.b)
    x = rng.normal(size=program.variables)
    total = one.cost(columns, x) + other.cost(columns, x)
    assert (one | other).cost(columns, x) == pytest.approx(total, abs=1e-12)


def test_the_data_of_an_instance_stay_as_they_are():
    compiled, data = build("bound", np.ones(N), -np.ones(N), np.ones(N), np.ones(N))
    q, b = data.q.copy(), data.b.copy()
    tight = Amendment(price={"x": np.ones(N)}, upper={"x": np.zeros(N)}, lower={"x": np.zeros(N)})
    amended = tight.apply(compiled.program, compiled.columns, data)
    assert not np.array_equal(amended.b, b)
    np.testing.assert_array_equal(data.q, q)
    np.testing.assert_array_equal(data.b, b)


def test_a_column_without_a_bound_is_left_alone():
    compiled, data = build("bound", np.ones(N), -np.ones(N), np.ones(N), np.ones(N))
    bounds = BoundRows(compiled.program)
    assert bounds.place(1.0)[compiled.columns["y"]] == -1
    assert bounds.place(-1.0)[compiled.columns["y"]] == -1
    upper = bounds.rows[bounds.place(1.0)[compiled.columns["x"]]]
    assert np.all(upper >= compiled.program.zero)
    one = Amendment(upper={"y": np.zeros(1)}, lower={"y": np.zeros(1)})
    amended = one.apply(compiled.program, compiled.columns, data)
    np.testing.assert_array_equal(amended.b, data.b)


def test_what_a_price_makes_of_a_point():
    columns = {"x": np.array([2, 0]), "y": np.array([1])}
    one = Amendment(price={"x": np.array([3.0, -1.0]), "y": np.array([10.0])})
    # 3 * 7 - 1 * 5 + 10 * 6 EUR
    assert one.cost(columns, np.array([5.0, 6.0, 7.0])) == 76.0
    assert Amendment().cost(columns, np.zeros(3)) == 0.0


def test_an_equation_is_no_bound():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(2), bounds=(0.0, 4.0))
    m.fixed = pyo.Constraint(expr=2.0 * m.x[0] == 3.0)
    m.cost = pyo.Objective(expr=m.x[0] + m.x[1])
    compiled = compile_model(m)
    bounds = BoundRows(compiled.program)
    upper = bounds.rows[bounds.place(1.0)[compiled.columns["x"]]]
    data = compiled.program.data(np.zeros(0))
    amended = Amendment(upper={"x": np.ones(2)}).apply(compiled.program, compiled.columns, data)
    assert amended.b[compiled.rows["fixed"]] == data.b[compiled.rows["fixed"]]
    np.testing.assert_array_equal(amended.b[upper], [1.0, 1.0])
