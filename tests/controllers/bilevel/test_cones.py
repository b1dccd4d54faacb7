"""Second-order cones in the follower and in the leader; optima by hand."""

import numpy as np
import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.bilevel import follower_duals, solve_bilevel
from stackelgrid.controllers.errors import ModelError


def ball(cost, leader, x_bounds=(0.5, 2.0)):
    """Follower min cost'y with |y| <= t == x: y = -x cost / |cost|."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=x_bounds)
    f = model.follower = pyo.Block()
    f.y = pyo.Var(range(len(cost)))
    f.t = pyo.Var(bounds=(0, None))
    f.radius = pyo.Constraint(expr=f.t == model.x)
    f.cone = pyo.Constraint(expr=sum(f.y[k] ** 2 for k in f.y) <= f.t**2)
    f.cost = pyo.Objective(expr=sum(c * f.y[k] for k, c in enumerate(cost)))
    model.cost = pyo.Objective(expr=leader(model.x, f.y))
    return model


@pytest.mark.parametrize("method", ["auto", "branch", "kkt_disjunctive"])
@pytest.mark.parametrize(
    ("cost", "leader", "optimum"),
    [
        ((3.0, 4.0), lambda x, y: x + y[0], 0.5 - 0.3),  # y = -x (0.6, 0.8)
        ((3.0, 4.0), lambda x, y: 0.5 * x + y[0], 1.0 - 1.2),
        ((2.0, 1.0, 2.0), lambda x, y: (y[0] + 1) ** 2, 0.0),  # y_0 = -2 x / 3: x = 1.5
    ],
)
def test_a_ball_whose_radius_the_leader_sets(method, cost, leader, optimum):
    model = ball(cost, leader)
    result = solve_bilevel(model, model.follower, method)
    assert result.status == "optimal", result.message
    assert result.objective == pytest.approx(optimum, rel=1e-5, abs=1e-5)
    direction = -np.array(cost) / np.linalg.norm(cost)
    assert result.values["follower.y"] == pytest.approx(model.x.value * direction, abs=1e-4)


def test_a_direction_that_the_leader_steers():
    """Follower min x y1 - y2 on the disc: y = (-x, 1) / sqrt(1 + x^2).

    Leader min (y1 - 0.6)^2 + (y2 - 0.2)^2 with -1 <= x <= 1 ends at x = -1.
    """
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(-1, 1))
    f = model.follower = pyo.Block()
    f.y1, f.y2 = pyo.Var(), pyo.Var()
    f.disc = pyo.Constraint(expr=f.y1**2 + f.y2**2 <= 1)
    f.cost = pyo.Objective(expr=model.x * f.y1 - f.y2)
    model.cost = pyo.Objective(expr=(f.y1 - 0.6) ** 2 + (f.y2 - 0.2) ** 2)
    result = solve_bilevel(model, f)
    expected = (0.5**0.5 - 0.6) ** 2 + (0.5**0.5 - 0.2) ** 2
    assert result.objective == pytest.approx(expected, rel=1e-5)
    for method, reason in (("kkt_big_m", "has no big-M"), ("strong_duality", "linearised")):
        with pytest.raises(ModelError, match=reason):
            solve_bilevel(model, f, method)


def test_strong_duality_of_a_conic_follower_without_products():
    """The leader picks among the follower's optima: |y| <= 1, min -y1 leaves y2 = 0 only."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(-1, 1))
    f = model.follower = pyo.Block()
    f.y = pyo.Var([0, 1, 2])
    f.disc = pyo.Constraint(expr=f.y[0] ** 2 + f.y[1] ** 2 <= 1)
    f.box = pyo.Constraint(expr=(-1, f.y[2], 3))
    f.cost = pyo.Objective(expr=-f.y[0])
    model.cost = pyo.Objective(expr=(model.x - f.y[0]) ** 2 + f.y[2] + f.y[1])
    for method in ("strong_duality", "auto"):
        result = solve_bilevel(model, f, method)
        assert result.status == "optimal"
        assert result.objective == pytest.approx(-1.0, abs=1e-5)


def test_no_single_dual_for_a_cone():
    model = ball((3.0, 4.0), lambda x, y: x + y[0])
    model.cost.set_value(model.x + follower_duals(model.follower)[model.follower.cone])
    with pytest.raises(ModelError, match=r"follower\.cone: a second-order-cone constraint has no"):
        solve_bilevel(model, model.follower)


@pytest.mark.parametrize("method", ["auto", "branch", "kkt_disjunctive", "kkt_big_m"])
def test_a_cone_of_the_leader_that_holds_a_follower_variable(method):
    """Follower max y <= 2 - x; leader min x + y/2 on x^2 + y^2 <= 2.5."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 2))
    f = model.follower = pyo.Block()
    f.y = pyo.Var(bounds=(0, 5))
    f.row = pyo.Constraint(expr=f.y + model.x <= 2)
    f.cost = pyo.Objective(expr=f.y, sense=pyo.maximize)
    model.disc = pyo.Constraint(expr=model.x**2 + f.y**2 <= 2.5)
    model.cost = pyo.Objective(expr=model.x + 0.5 * f.y)
    result = solve_bilevel(model, f, method)
    assert result.status == "optimal"
    # x^2 + (2 - x)^2 = 2.5 at x = 0.5 and 1.5; cost 1 + x/2 is least at 0.5
    assert result.objective == pytest.approx(1.25, rel=1e-5)
