"""Signs of the follower's duals, and objectives that contain them."""

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bilevel_cases import MARKET

from stackelgrid.controllers.bilevel import follower_duals, solve_bilevel
from stackelgrid.controllers.errors import ModelError

METHODS = ["auto", "branch", "kkt_disjunctive"]


def conejo(x_upper, balance="plain"):
    """Investment case of market.json; the balance may be written in several ways."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, x_upper))
    f = model.follower = pyo.Block()
    f.y1, f.y2, f.y3 = pyo.Var(bounds=(0, None)), pyo.Var(bounds=(0, 150)), pyo.Var(bounds=(0, 100))
    f.capacity = pyo.Constraint(expr=f.y1 <= model.x)
    supply = f.y1 + f.y2 + f.y3
    rows = {
        "plain": supply == 200,
        "supply - demand": supply - 200 == 0,
        "reversed": -supply == -200,
    }
    f.balance = pyo.Constraint(expr=rows[balance])
    f.cost = pyo.Objective(expr=10 * f.y1 + 12 * f.y2 + 15 * f.y3)
    price = follower_duals(f)[f.balance] * (-1.0 if balance == "reversed" else 1.0)
    model.cost = pyo.Objective(expr=40000 * model.x + 8760 * (10 * f.y1 - price * f.y1))
    return model


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "x_upper"), [("conejo_2016_investment", 250), ("conejo_2016_investment_capped", 30)]
)
@pytest.mark.parametrize("balance", ["plain", "supply - demand", "reversed"])
def test_market_cases(method, name, x_upper, balance):
    case, model = MARKET[name], conejo(x_upper, balance)
    result = solve_bilevel(model, model.follower, method)
    assert result.status == "optimal"
    assert result.objective == pytest.approx(case["optimum"], rel=1e-6)
    known, f = case["solution"], model.follower
    found = [model.x.value, f.y1.value, f.y2.value, f.y3.value]
    assert found == pytest.approx([known[k] for k in ("x", "y1", "y2", "y3")], abs=1e-4)
    sign = -1.0 if balance == "reversed" else 1.0
    assert sign * result.duals["follower.balance"][0] == pytest.approx(known["lam"])
    assert model.cost() == pytest.approx(case["optimum"], rel=1e-6)


@pytest.mark.parametrize("method", ["kkt_big_m", "strong_duality"])
def test_market_cases_are_refused_where_no_bound_is_proved(method):
    model = conejo(250)
    with pytest.raises(ModelError, match=r"follower\.capacity"):
        solve_bilevel(model, model.follower, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_strategic_offer(method):
    """The leader offers a price for its 60 MW; demand 100 MW, a rival has 50 MW at 20, 80 at 35.

    It is needed for 50 MW after the cheap rival; offering just below 35 (ties: at 35) sells 50 MW
    at 35 with its own cost 10: profit 1250. The offered price times the sale must not appear.
    """
    model = pyo.ConcreteModel()
    model.offer = pyo.Var(bounds=(0, 100))
    f = model.follower = pyo.Block()
    f.own, f.cheap, f.dear = (pyo.Var(bounds=(0, u)) for u in (60, 50, 80))
    f.balance = pyo.Constraint(expr=f.own + f.cheap + f.dear - 100 == 0)
    f.cost = pyo.Objective(expr=model.offer * f.own + 20 * f.cheap + 35 * f.dear)
    price = follower_duals(f)[f.balance]
    model.profit = pyo.Objective(expr=price * f.own - 10 * f.own, sense=pyo.maximize)
    result = solve_bilevel(model, model.follower, method)
    assert result.status == "optimal"
    assert result.objective == pytest.approx(1250.0, rel=1e-6)


def test_duals_in_linear_rows_and_by_index():
    """Two markets; the leader's load must not push the price of the first above 12."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var([1, 2], bounds=(0, 50))
    f = model.follower = pyo.Block()
    f.g = pyo.Var([1, 2], bounds=(0, 200))
    f.balance = pyo.Constraint([1, 2], rule=lambda f, t: f.g[t] - model.x[t] == 10)
    f.cost = pyo.Objective(expr=sum(0.1 * f.g[t] ** 2 for t in (1, 2)))
    duals = follower_duals(f)
    assert duals[f.balance[1]] is duals[f.balance][1]
    model.limit = pyo.Constraint(expr=duals[f.balance[1]] <= 6)
    model.value = pyo.Objective(expr=sum(20 * model.x[t] for t in (1, 2)), sense=pyo.maximize)
    result = solve_bilevel(model, f)
    assert result.status == "optimal"
    assert model.x[1].value == pytest.approx(20.0, abs=1e-5)  # price 0.2 g = 6: g = 30
    assert model.x[2].value == pytest.approx(50.0, abs=1e-5)
    assert duals[f.balance][2].value == pytest.approx(12.0, abs=1e-5)


def test_payment_at_the_price_of_a_convex_quadratic_market():
    """min over x of price * x - 9 x with price = 0.2 (10 + x): derivative 2 + 0.4 x - 9."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 50))
    f = model.follower = pyo.Block()
    f.g = pyo.Var(bounds=(0, 200))
    f.balance = pyo.Constraint(expr=f.g - model.x == 10)
    f.cost = pyo.Objective(expr=0.1 * f.g**2)
    price = follower_duals(f)[f.balance]
    model.cost = pyo.Objective(expr=price * model.x - 9 * model.x)
    for method in METHODS:
        result = solve_bilevel(model, f, method)
        assert model.x.value == pytest.approx(17.5, abs=1e-4)
        assert result.objective == pytest.approx(17.5 * (2 + 3.5 - 9), rel=1e-6)


def follower_value(kinds, sense, bounds, cost, curvature):
    """Optimal value and duals of a fixed follower with rows of the given kinds."""
    model = pyo.ConcreteModel()
    f = model.follower = pyo.Block()
    f.y = pyo.Var([0, 1], bounds=(-4, 5))
    body = {0: f.y[0] + 2 * f.y[1], 1: f.y[0] - f.y[1]}
    f.rows = pyo.ConstraintList()
    for k, kind in enumerate(kinds):
        upper = bounds[k] + 1.0
        f.rows.add(
            {"==": body[k] == bounds[k], "<=": body[k] <= bounds[k], ">=": body[k] >= bounds[k],
             "range": (bounds[k], body[k], upper)}[kind]
        )  # fmt: skip
    curved = sum(curvature * f.y[j] ** 2 for j in (0, 1))
    linear = cost[0] * f.y[0] + cost[1] * f.y[1]
    sign = 1 if sense == "min" else -1
    f.cost = pyo.Objective(expr=linear + sign * curved, sense=sign)
    model.nothing = pyo.Objective(expr=0.0)
    result = solve_bilevel(model, f, "branch")
    assert result.status == "optimal"
    return pyo.value(f.cost), result.duals["follower.rows"]


KINDS = st.sampled_from(["==", "<=", ">=", "range"])


@settings(max_examples=25)
@given(
    kinds=st.tuples(KINDS, KINDS),
    sense=st.sampled_from(["min", "max"]),
    bounds=st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
    cost=st.tuples(st.integers(-5, 5), st.integers(-5, 5)),
)
def test_duals_are_derivatives_of_the_optimal_value(kinds, sense, bounds, cost):
    """Central differences of the value as written, for a strictly convex follower."""
    step = 1e-3
    shifted = [0.137 + b for b in bounds]  # off the kinks of the value
    _, duals = follower_value(kinds, sense, shifted, cost, 0.7)
    for k in range(2):
        values = []
        for sign in (1.0, -1.0):
            moved = list(shifted)
            moved[k] += sign * step
            values.append(follower_value(kinds, sense, moved, cost, 0.7)[0])
        assert duals[k] == pytest.approx((values[0] - values[1]) / (2 * step), abs=2e-3)


@settings(max_examples=25)
@given(
    rhs=st.lists(st.integers(1, 9), min_size=3, max_size=3),
    cost=st.lists(st.integers(1, 9), min_size=2, max_size=2),
    entries=st.lists(st.integers(0, 4), min_size=6, max_size=6),
)
def test_primal_equals_dual(rhs, cost, entries):
    """max c'y, A y <= b, y >= 0 and its duals: c'y = b'dual, dual >= 0."""
    a = np.array(entries, dtype=float).reshape(3, 2) + np.eye(3, 2)
    model = pyo.ConcreteModel()
    f = model.follower = pyo.Block()
    f.y = pyo.Var([0, 1], bounds=(0, None))
    f.rows = pyo.ConstraintList()
    for row, right in zip(a, rhs, strict=True):
        f.rows.add(row[0] * f.y[0] + row[1] * f.y[1] <= right)
    f.cost = pyo.Objective(expr=cost[0] * f.y[0] + cost[1] * f.y[1], sense=pyo.maximize)
    model.nothing = pyo.Objective(expr=0.0)
    for method in ("branch", "kkt_disjunctive"):
        duals = solve_bilevel(model, f, method).duals["follower.rows"]
        assert (duals >= -1e-7).all()
        assert duals @ rhs == pytest.approx(pyo.value(f.cost), rel=1e-6, abs=1e-6)
