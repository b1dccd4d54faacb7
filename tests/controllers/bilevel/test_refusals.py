"""Refusals of bilevel models, each by the name of the component."""

import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.bilevel import follower_duals, solve_bilevel
from stackelgrid.controllers.errors import ModelError


def base():
    """Leader x in [0, 4], follower min y with y >= 1 - x, y >= 0."""
    model = pyo.ConcreteModel("tested")
    model.x = pyo.Var(bounds=(0, 4))
    model.follower = pyo.Block()
    model.follower.y = pyo.Var(bounds=(0, 9))
    model.follower.row = pyo.Constraint(expr=model.follower.y >= 1 - model.x)
    model.follower.cost = pyo.Objective(expr=model.follower.y)
    model.cost = pyo.Objective(expr=model.x + 3 * model.follower.y)
    return model


def integer_follower(m):
    m.follower.k = pyo.Var(within=pyo.Integers, bounds=(0, 3))


def concave_follower(m):
    m.follower.cost.set_value(-(m.follower.y**2))


def cubic_follower(m):
    m.follower.cost.set_value(m.follower.y**3)


def product_in_follower_row(m):
    m.follower.bad = pyo.Constraint(expr=m.x * m.follower.y <= 1)


def nonconvex_follower_row(m):
    m.follower.bad = pyo.Constraint(expr=(m.follower.y - 1) ** 2 >= 1)


def three_levels(m):
    m.follower.third = pyo.Block()
    m.follower.third.z = pyo.Var(bounds=(0, 1))
    m.follower.third.cost = pyo.Objective(expr=m.follower.third.z)


def two_objectives(m):
    m.follower.second = pyo.Objective(expr=-m.follower.y)


def no_follower_objective(m):
    m.follower.cost.deactivate()


def no_leader_objective(m):
    m.cost.deactivate()


def objective_in_another_block(m):
    m.other = pyo.Block()
    m.other.z = pyo.Var()
    m.other.cost = pyo.Objective(expr=m.other.z)


def nonconvex_leader(m):
    m.cost.set_value(m.x * m.follower.y)


def nonconvex_leader_row(m):
    m.bad = pyo.Constraint(expr=(m.x - 1) ** 2 >= 1)


def unbounded_integer(m):
    m.k = pyo.Var(within=pyo.Integers, bounds=(0, None))


def special_ordered_set(m):
    m.z = pyo.Var([1, 2], bounds=(0, 1))
    m.sos = pyo.SOSConstraint(var=m.z, sos=1)


def unbounded_follower(m):
    m.follower.y.setub(None)
    m.follower.cost.set_value(-m.follower.y)


def foreign_variable(m):
    other = pyo.ConcreteModel()
    other.v = pyo.Var()
    m.follower.bad = pyo.Constraint(expr=m.follower.y >= other.v)
    m.kept = [other]


def infinite_data(m):
    m.follower.row.set_value(m.follower.y >= float("nan") - m.x)


def dual_in_follower(m):
    m.follower.bad = pyo.Constraint(expr=m.follower.y >= follower_duals(m.follower)[m.follower.row])


def dual_times_stranger(m):
    m.z = pyo.Var(bounds=(0, 1))
    m.cost.set_value(m.x + m.z * follower_duals(m.follower)[m.follower.row])


def dual_of_inactive_row(m):
    m.cost.set_value(m.x + follower_duals(m.follower)[m.follower.row])
    m.follower.row.deactivate()


REFUSED = {
    integer_follower: r"follower\.k: an integer variable in the follower",
    concave_follower: r"follower follower: .*cost: the quadratic objective is not convex",
    cubic_follower: r"follower\.cost: only linear and quadratic",
    product_in_follower_row: r"follower\.bad: data may not multiply a variable",
    nonconvex_follower_row: r"follower\.bad: is not convex",
    three_levels: r"follower\.third: a follower inside the follower follower",
    two_objectives: r"follower: one objective is accepted, found",
    no_follower_objective: r"follower follower: has no active objective",
    no_leader_objective: r"tested: exactly one active objective .* found none",
    objective_in_another_block: r"found cost, other\.cost",
    nonconvex_leader: r"objective: the leader's objective is not convex",
    nonconvex_leader_row: r"bad: is not convex",
    unbounded_integer: r"k: an integer variable needs both bounds",
    special_ordered_set: r"sos: a SOSConstraint is not accepted",
    unbounded_follower: r"follower follower: is unbounded for every decision",
    foreign_variable: r"follower\.bad: v is not an active variable of tested",
    infinite_data: r"follower\.row: has a right-hand side that is not finite",
    dual_in_follower: r"follower\.bad: a dual of the follower is not accepted",
    dual_times_stranger: r"dual of follower\.row times z",
    dual_of_inactive_row: r"follower\.row: is not an active constraint",
}


def test_the_base_is_solved():
    model = base()
    assert solve_bilevel(model, model.follower).objective == pytest.approx(1.0)


@pytest.mark.parametrize("change", REFUSED, ids=lambda f: f.__name__)
@pytest.mark.parametrize("method", ["auto", "branch"])
def test_refused_by_name(method, change):
    model = base()
    change(model)
    with pytest.raises(ModelError, match=REFUSED[change]) as caught:
        solve_bilevel(model, model.follower, method)
    assert "\n" not in str(caught.value)


def test_arguments():
    model = base()
    for arguments, message in (
        ({"method": "big_m"}, "method big_m: auto, kkt_big_m, kkt_disjunctive"),
        ({"gap": 0.0}, r"gap 0\.0: a positive value"),
        ({"time_limit": -1}, "time_limit -1: a positive number"),
    ):
        with pytest.raises(ModelError, match=message):
            solve_bilevel(model, model.follower, **arguments)
    with pytest.raises(ModelError, match="follower x: a Block of the model is accepted"):
        solve_bilevel(model, model.x)
    with pytest.raises(ModelError, match="is not a Block inside tested"):
        solve_bilevel(model, base().follower)
    model.follower.deactivate()
    with pytest.raises(ModelError, match="at least one active Block"):
        solve_bilevel(model, model.follower)


def test_duals_of_other_components_are_refused():
    model = base()
    model.own = pyo.Constraint(expr=model.x >= 0)
    duals = follower_duals(model.follower)
    with pytest.raises(ModelError, match="own: is not a constraint of follower"):
        duals[model.own]
    with pytest.raises(ModelError, match=r"follower\.y: duals of constraints are accepted"):
        duals[model.follower.y]


def test_followers_that_share_a_variable():
    model = base()
    model.second = pyo.Block()
    model.second.z = pyo.Var(bounds=(0, 1))
    model.second.cost = pyo.Objective(expr=model.second.z + model.follower.y)
    with pytest.raises(ModelError, match=r"follower\.y: is shared by the followers"):
        solve_bilevel(model, [model.follower, model.second])


def test_a_row_that_joins_two_followers():
    model = base()
    model.follower.del_component("cost")
    for name in ("first", "second"):
        block = pyo.Block()
        model.follower.add_component(name, block)
        block.z = pyo.Var(bounds=(0, 1))
        block.cost = pyo.Objective(expr=block.z)
    f = model.follower
    f.join = pyo.Constraint(expr=f.first.z + f.second.z >= 1)
    with pytest.raises(ModelError, match=r"second\.z: is shared by the followers .*join"):
        solve_bilevel(model, model.follower)


def test_a_bilinear_objective_is_named_and_the_dual_recommended():
    model = base()
    model.t = pyo.Var(bounds=(0, 3))
    model.cost.set_value(-model.t * model.follower.y)
    told = r"product t\*follower\.y; a price times follower\.y is accepted .*\(follower_duals\)"
    with pytest.raises(
        ModelError, match=f"objective: the leader's objective is not convex: {told}"
    ):
        solve_bilevel(model, model.follower)
    model.cost.set_value(model.t * model.x + model.follower.y)
    with pytest.raises(ModelError, match=r"not convex: product x\*t$"):
        solve_bilevel(model, model.follower)
    model.cost.set_value(model.t - model.x**2)
    with pytest.raises(ModelError, match=r"not convex: x\*\*2 has a negative coefficient$"):
        solve_bilevel(model, model.follower)
