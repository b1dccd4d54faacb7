"""Numbers that no solver can take are refused in one line that names them."""

import logging

import numpy as np
import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.bilevel import follower_duals, solve_bilevel
from stackelgrid.controllers.errors import ModelError, SolverError

INF, NAN = float("inf"), float("nan")
EXTREME = (1e300, -1e300, 1e155, 1e20, 1e16, 1e12, 1e-300, 1e-12, INF, -INF, NAN, 0.0, -1.0)
USUAL = {
    "x_low": 0.0, "x_high": 4.0, "y_low": 0.0, "y_high": 9.0, "a": 1.0, "b": 1.0, "right": 1.0,
    "price": 1.0, "curve": 0.5, "leader": 1.0, "other": 3.0, "square": 0.5, "constant": 0.0,
    "weight": 1.0,
}  # fmt: skip
KINDS = ("plain", "no leader variable", "cone", "constant", "duals", "integer")


def extreme_model(kind, **changed):
    n = USUAL | changed
    model = pyo.ConcreteModel("extreme")
    if kind == "no leader variable":
        model.x = pyo.Param(initialize=1.0)
    else:
        model.x = pyo.Var(bounds=(n["x_low"], n["x_high"]))
    f = model.follower = pyo.Block()
    f.y = pyo.Var([0, 1], bounds=(n["y_low"], n["y_high"]))
    f.row = pyo.Constraint(expr=n["a"] * f.y[0] + n["b"] * model.x >= n["right"])
    if kind == "constant":
        f.cost = pyo.Objective(expr=n["constant"])
        model.cost = pyo.Objective(expr=n["leader"])
        return model
    if kind == "cone":
        f.cone = pyo.Constraint(
            expr=n["curve"] * f.y[0] ** 2 + n["weight"] * f.y[1] ** 2 <= n["right"] + 10
        )
    f.cost = pyo.Objective(
        expr=n["price"] * f.y[0] + n["curve"] * f.y[0] ** 2
        + n["weight"] * (f.y[1] - n["other"]) ** 2 + n["constant"]
    )  # fmt: skip
    model.cost = pyo.Objective(
        expr=n["leader"] * model.x + n["other"] * f.y[0]
        + n["square"] * (f.y[1] - model.x) ** 2 + n["constant"]
    )  # fmt: skip
    if kind == "duals":
        model.cost.set_value(n["leader"] * model.x + follower_duals(f)[f.row] * n["other"])
    if kind == "integer":
        model.z = pyo.Var(within=pyo.Integers, bounds=(n["x_low"], n["x_high"]))
        model.link = pyo.Constraint(expr=model.x == model.z)
    return model


def survive(seed):
    r = np.random.default_rng(seed)
    keys = r.choice(sorted(USUAL), r.integers(1, 4), replace=False).tolist()
    changed = {key: EXTREME[r.integers(len(EXTREME))] for key in keys}
    model = extreme_model(KINDS[r.integers(len(KINDS))], **changed)
    try:
        result = solve_bilevel(model, model.follower, time_limit=5)
    except (ModelError, SolverError) as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    assert (result.status == "optimal") == bool(result.gap <= 1e-6)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setattr(logging.getLogger("pyomo"), "disabled", True)


@pytest.mark.filterwarnings("ignore")
def test_extreme_data_are_solved_or_refused_in_one_line():
    for seed in range(80):
        survive(seed)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("start", range(1000, 3000, 250))
def test_more_extreme_data(start):
    for seed in range(start, start + 250):
        survive(seed)


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("plain", {"right": 1e300}, r"follower\.row: has a right-hand side or bound of"),
        ("plain", {"a": 1e16}, r"follower\.row: has a coefficient of .*1e\+16; up to 1e\+15"),
        ("plain", {"x_high": 1e20}, r"x: has a right-hand side or bound of 1e\+20.*None where"),
        ("plain", {"leader": 1e300}, r"objective, x: has a coefficient of 1e\+300"),
        ("plain", {"constant": -1e300}, r"objective: has a constant of -1e\+300"),
        ("plain", {"other": 1e300}, r"extreme: cannot be evaluated: .*out of range"),
        ("plain", {"y_low": NAN}, r"extreme: cannot be evaluated: .*follower\.y\[0\].*nan"),
        ("plain", {"x_high": -INF}, r"extreme: cannot be evaluated: Var 'x'"),
        ("plain", {"right": INF}, r"extreme: cannot be evaluated: Constraint 'follower\.row'"),
        ("cone", {"weight": NAN}, r"^extreme: cannot be evaluated|not finite"),
        ("integer", {"x_low": -1e300}, r"bound of"),
    ],
)
def test_what_is_named(kind, changed, message):
    model = extreme_model(kind, **changed)
    with pytest.raises(ModelError, match=message) as caught:
        solve_bilevel(model, model.follower)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gap": NAN}, "gap nan: a positive"),
        ({"gap": INF}, "gap inf: a positive"),
        ({"gap": "small"}, "gap small: a positive"),
        ({"gap": None}, "gap None: a positive"),
        ({"time_limit": NAN}, "time_limit nan: a positive"),
        ({"time_limit": "1 h"}, "time_limit 1 h: a positive"),
        ({"method": 3}, "method 3: auto"),
    ],
)
def test_arguments_of_the_wrong_kind(arguments, message):
    model = extreme_model("plain")
    with pytest.raises(ModelError, match=message):
        solve_bilevel(model, model.follower, **arguments)


@pytest.mark.parametrize("model", [None, "model", 3.0, pyo.AbstractModel()])
def test_models_of_the_wrong_kind(model):
    with pytest.raises(ModelError, match="a Pyomo ConcreteModel is accepted"):
        solve_bilevel(model, extreme_model("plain").follower)


@pytest.mark.parametrize("follower", [None, "follower", 3, []])
def test_followers_of_the_wrong_kind(follower):
    with pytest.raises(ModelError, match=r"Block .*is accepted"):
        solve_bilevel(extreme_model("plain"), follower)


def test_constant_objectives_and_an_empty_follower():
    model = extreme_model("constant")
    result = solve_bilevel(model, model.follower)
    assert (result.status, result.objective) == ("optimal", 1.0)
    empty = pyo.ConcreteModel("empty")
    empty.x = pyo.Var(bounds=(1, 2))
    empty.follower = pyo.Block()
    empty.follower.cost = pyo.Objective(expr=0.0 * empty.x)
    empty.cost = pyo.Objective(expr=empty.x)
    result = solve_bilevel(empty, empty.follower)
    assert (result.status, result.objective) == ("optimal", pytest.approx(1.0))
