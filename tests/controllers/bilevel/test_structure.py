"""Shapes of models: several followers, binaries, senses, ties, unbounded and empty parts."""

import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.bilevel import solve_bilevel
from stackelgrid.controllers.errors import ModelError

METHODS = ["auto", "branch", "kkt_disjunctive"]


def solve(model, method="auto", follower=None):
    result = solve_bilevel(model, follower or model.follower, method)
    assert result.status == "optimal", result.message
    assert abs(result.bound - result.objective) <= 1e-5 * max(1.0, abs(result.objective))
    return result


def two_followers():
    # literature case pao2: optimum 18.5 at x = 2, y = 8, z = (5.5, 0)
    model = pyo.ConcreteModel()
    model.x, model.y = pyo.Var(bounds=(2, 6)), pyo.Var()
    model.sum = pyo.Constraint(expr=model.x + model.y == 10)
    model.lower = pyo.Block([1, 2])
    for k, data in ((1, model.x), (2, model.y)):
        block = model.lower[k]
        block.z = pyo.Var(bounds=(0, None))
        block.cost = pyo.Objective(expr=block.z, sense=pyo.maximize)
        block.rows = pyo.ConstraintList()
        for row in (data + block.z <= 8, data + 4 * block.z >= 8, data + 2 * block.z <= 13):
            block.rows.add(row)
    model.cost = pyo.Objective(expr=model.x + 3 * (model.lower[1].z + model.lower[2].z))
    return model


@pytest.mark.parametrize("method", METHODS)
def test_several_followers_as_a_list_an_indexed_block_or_sub_blocks(method):
    model = two_followers()
    assert solve(model, method, [model.lower[1], model.lower[2]]).objective == pytest.approx(18.5)
    assert model.y.value == pytest.approx(8.0)
    model = two_followers()
    assert solve(model, method, model.lower).objective == pytest.approx(18.5)
    nested = pyo.ConcreteModel()
    nested.x, nested.y = pyo.Var(bounds=(0, 1)), pyo.Var(bounds=(0, 1))
    nested.follower = pyo.Block()
    for name, sign, data in (("low", 1, nested.x), ("high", -1, nested.y)):
        block = pyo.Block()
        nested.follower.add_component(name, block)
        block.v = pyo.Var(bounds=(0, 3))
        block.limit = pyo.Constraint(expr=sign * block.v >= sign * data)
        block.cost = pyo.Objective(expr=block.v, sense=sign)  # min v >= x; max v <= y
    f = nested.follower
    nested.cost = pyo.Objective(expr=f.low.v - f.high.v + 0.5 * nested.y, sense=pyo.maximize)
    assert solve(nested, method).objective == pytest.approx(1.0)
    assert (nested.x.value, nested.y.value) == pytest.approx((1.0, 0.0), abs=1e-6)


@pytest.mark.parametrize("method", [*METHODS, "kkt_big_m", "strong_duality"])
def test_binary_leader(method):
    # facility choice: the customer takes the cheapest open source, 2 if only b is open; a costs 3
    model = pyo.ConcreteModel()
    model.open = pyo.Var(["a", "b"], within=pyo.Binary)
    block = model.follower = pyo.Block()
    block.take = pyo.Var(["a", "b"], bounds=(0, None))
    block.demand = pyo.Constraint(expr=block.take["a"] + block.take["b"] == 1)
    block.only_open = pyo.Constraint(["a", "b"], rule=lambda f, k: f.take[k] <= model.open[k])
    block.cost = pyo.Objective(expr=block.take["a"] + 2 * block.take["b"])
    # income 10 from a, 8 from b; opening costs 3 and 0.5: only b pays 7.5, a alone 7
    model.profit = pyo.Objective(
        expr=10 * block.take["a"] + 8 * block.take["b"] - 3 * model.open["a"]
        - 0.5 * model.open["b"],
        sense=pyo.maximize,
    )  # fmt: skip
    assert solve(model, method).objective == pytest.approx(7.5)
    assert (model.open["a"].value, model.open["b"].value) == (0, 1)


@pytest.mark.parametrize("method", METHODS)
def test_integer_leader_and_quadratic_follower(method):
    # y = x / 3 minimises (y - x/3)^2; leader min (y - 1.2)^2 over integers: x = 4
    model = pyo.ConcreteModel()
    model.x = pyo.Var(within=pyo.Integers, bounds=(-10, 10))
    model.follower = pyo.Block()
    model.follower.y = pyo.Var()
    y = model.follower.y
    model.follower.cost = pyo.Objective(expr=1.5 * y**2 - y * model.x)
    model.cost = pyo.Objective(expr=(y - 1.2) ** 2)
    assert solve(model, method).objective == pytest.approx((4 / 3 - 1.2) ** 2, abs=1e-6)
    assert model.x.value == 4


@pytest.mark.parametrize("method", METHODS)
def test_a_leader_without_influence_chooses_among_the_ties(method):
    # every point of y1 + y2 == 1 is optimal for the follower; the leader wants y2
    model = pyo.ConcreteModel()
    block = model.follower = pyo.Block()
    block.y = pyo.Var([1, 2], bounds=(0, None))
    block.row = pyo.Constraint(expr=block.y[1] + block.y[2] >= 1)
    block.again = pyo.Constraint(expr=2 * block.y[1] + 2 * block.y[2] >= 2)  # redundant
    block.cost = pyo.Objective(expr=block.y[1] + block.y[2])
    model.cost = pyo.Objective(expr=3 * block.y[1] + block.y[2])
    assert solve(model, method).objective == pytest.approx(1.0)
    assert block.y[2].value == pytest.approx(1.0)


@pytest.mark.parametrize("method", METHODS)
def test_equations_only_and_free_variables(method):
    # follower min y1^2 + y2^2 with y1 + y2 == x: y = x / 2; leader min (y1 - 2)^2 + x
    model = pyo.ConcreteModel()
    model.x = pyo.Var()
    block = model.follower = pyo.Block()
    block.y1, block.y2 = pyo.Var(), pyo.Var()
    block.row = pyo.Constraint(expr=block.y1 + block.y2 == model.x)
    block.cost = pyo.Objective(expr=block.y1**2 + block.y2**2)
    model.cost = pyo.Objective(expr=(block.y1 - 2) ** 2 + model.x)
    # y1 = x/2: derivative (x/2 - 2) + 1 = 0
    assert solve(model, method).objective == pytest.approx(3.0)
    assert model.x.value == pytest.approx(2.0, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_constant_leader_objective_and_follower_without_constraints(method):
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(1, 2))
    model.follower = pyo.Block()
    model.follower.y = pyo.Var()
    model.follower.cost = pyo.Objective(expr=(model.follower.y - model.x) ** 2)
    model.cost = pyo.Objective(expr=7.0)
    assert solve(model, method).objective == pytest.approx(7.0)
    assert model.follower.y.value == pytest.approx(model.x.value, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_maximisation_on_both_levels_with_coupling(method):
    # follower max y <= 4 - x; leader max x + 2 y with y >= 1: x = 0 gives 8
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 4))
    model.follower = pyo.Block()
    y = model.follower.y = pyo.Var(bounds=(0, 10))
    model.follower.row = pyo.Constraint(expr=y + model.x <= 4)
    model.follower.cost = pyo.Objective(expr=y, sense=pyo.maximize)
    model.coupling = pyo.Constraint(expr=y <= 3)
    model.cost = pyo.Objective(expr=model.x + 2 * y, sense=pyo.maximize)
    result = solve(model, method)
    assert result.objective == pytest.approx(7.0)  # y <= 3 forces x >= 1
    assert result.bound >= result.objective - 1e-6
    assert result.duals["follower.row"] == pytest.approx([1.0])


@pytest.mark.parametrize("method", METHODS)
def test_unbounded_leader(method):
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, None))
    model.follower = pyo.Block()
    model.follower.y = pyo.Var()
    model.follower.row = pyo.Constraint(expr=model.follower.y >= model.x)
    model.follower.cost = pyo.Objective(expr=model.follower.y)
    model.cost = pyo.Objective(expr=-model.follower.y)
    result = solve_bilevel(model, model.follower, method)
    assert result.status == "unbounded"
    assert result.values == {}


@pytest.mark.parametrize("method", METHODS)
def test_a_decision_that_leaves_the_follower_unbounded_is_infeasible(method):
    # follower min (1 - x) y, y >= 0: no optimum for x > 1; the leader's optimum is x = 1
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 3))
    model.follower = pyo.Block()
    y = model.follower.y = pyo.Var(bounds=(0, None))
    model.follower.cost = pyo.Objective(expr=y - model.x * y)
    model.cost = pyo.Objective(expr=-model.x)
    assert solve(model, method).objective == pytest.approx(-1.0)


def test_an_infeasible_follower_and_an_unbounded_one_are_told_apart():
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 1))
    model.follower = pyo.Block()
    y = model.follower.y = pyo.Var()
    model.follower.cost = pyo.Objective(expr=-y)
    model.follower.row = pyo.Constraint(expr=y >= 0)
    model.cost = pyo.Objective(expr=model.x + y)
    for method in METHODS:
        with pytest.raises(ModelError, match="is unbounded for every decision"):
            solve_bilevel(model, model.follower, method)
    model.follower.upper = pyo.Constraint(expr=y <= model.x - 2)
    for method in METHODS:
        assert solve_bilevel(model, model.follower, method).status == "infeasible"


def test_fixed_variables_parameters_and_ranges():
    model = pyo.ConcreteModel()
    model.price = pyo.Param(initialize=1.0, mutable=True)
    model.x = pyo.Var([0, 1], bounds=(0, 5))
    model.x[1].fix(2.0)
    block = model.follower = pyo.Block()
    block.y = pyo.Var([0, 1])
    block.y[1].fix(0.5)
    block.range = pyo.Constraint(expr=(1, block.y[0] + block.y[1] + 0 * model.x[0], 4))
    block.row = pyo.Constraint(expr=block.y[0] >= model.x[0] * model.x[1] - block.y[1])
    block.cost = pyo.Objective(expr=model.price * block.y[0])
    model.cost = pyo.Objective(expr=(block.y[0] - 3) ** 2 + 0.001 * model.x[0])
    result = solve(model)
    assert model.x[0].value == pytest.approx(1.75, abs=1e-3)  # 2 x - 0.5 = 3
    assert (model.x[1].value, block.y[1].value) == (2.0, 0.5)
    model.price.set_value(-1.0)  # now the follower goes up to 4 - 0.5
    assert solve(model).objective == pytest.approx(0.25, abs=1e-6)
    assert block.y[0].value == pytest.approx(3.5)
    assert result.values["follower.y"].shape == (2,)


def test_rows_of_the_follower_without_its_variables_bind_the_leader():
    model = pyo.ConcreteModel()
    model.x = pyo.Var()
    block = model.follower = pyo.Block()
    block.y = pyo.Var(bounds=(0, 1))
    block.own = pyo.Constraint(expr=model.x >= 2)
    block.cost = pyo.Objective(expr=block.y)
    model.cost = pyo.Objective(expr=model.x + block.y)
    for method in METHODS:
        assert solve(model, method).objective == pytest.approx(2.0)


def test_limits_are_reported():
    model = two_followers()
    result = solve_bilevel(model, model.lower, "branch", time_limit=1e-9)
    assert result.status == "time_limit"
    assert result.bound == -float("inf")
