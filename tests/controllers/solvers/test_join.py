"""Joined programs are their parts side by side, and links what they say."""

import numpy as np
import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.solvers import ClarabelSolver, compile_model
from stackelgrid.controllers.solvers.compile.join import (
    Link,
    LinkTerm,
    join_models,
    parameter_values,
)
from stackelgrid.controllers.solvers.conic import parameter_vector
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.controllers.solvers.mixed_integer.misocp import MixedIntegerConicSolver


def plant(need=3.0, most=2.0):
    """Equations, inequalities, a cone, a binary, data everywhere, a quadratic cost."""
    m = pyo.ConcreteModel()
    m.units = pyo.RangeSet(0, 1)
    m.x = pyo.Var(m.units, bounds=(0.0, most))
    m.y = pyo.Var()
    m.on = pyo.Var(domain=pyo.Binary)
    m.level = pyo.Var()  # data
    m.price = pyo.Var()  # data
    m.total = pyo.Constraint(expr=m.x[0] + m.x[1] + m.y == need + m.level)
    m.cap = pyo.Constraint(expr=m.y <= 10.0 * m.on)
    m.disc = pyo.Constraint(expr=m.x[0] ** 2 + m.x[1] ** 2 <= 4.0)
    m.cost = pyo.Objective(
        expr=m.price * m.y + m.x[0] ** 2 + 0.5 * m.x[1] + 3.0 * m.on + m.price * m.level + 7.0
    )
    return compile_model(m, [m.level, m.price])


def line():
    """One variable and a linear cost; no data, no cone, no equation."""
    m = pyo.ConcreteModel()
    m.z = pyo.Var(bounds=(-5.0, 5.0))
    m.cost = pyo.Objective(expr=-2.0 * m.z)
    return compile_model(m, [])


@pytest.fixture(scope="module")
def parts():
    return {"a": plant(), "b": line(), "c": plant(4.0, 1.5)}


DATA = {
    "a": {"level": 0.5, "price": 2.0},
    "b": {},
    "c": {"level": -0.25, "price": 5.0},
}


def joined_data(joined, **links):
    values = {f"link.{name}": value for name, value in links.items()}
    for model, own in DATA.items():
        values |= parameter_values(model, own)
    return joined.program.data(parameter_vector(joined.parameters, values))


def own_data(part, name):
    return part.program.data(parameter_vector(part.parameters, DATA[name]))


def solve(compiled, data):
    return MixedIntegerConicSolver(compiled.program).solve(data, MixedOptions(gap=1e-8))


@pytest.mark.parametrize("weights", [None, {"c": 3.0}, {"a": 2.0, "b": 0.5, "c": 4.0}])
def test_the_optimum_is_the_weighted_sum_of_the_parts(parts, weights):
    joined = join_models(parts, (), weights)
    result = solve(joined, joined_data(joined))
    assert result.status == "optimal"
    share = dict.fromkeys(parts, 1.0) | (weights or {})
    expected = {name: solve(part, own_data(part, name)) for name, part in parts.items()}
    total = sum(share[n] * r.objective for n, r in expected.items())
    assert result.objective == pytest.approx(total, abs=1e-5)
    assert result.bound <= total + 1e-5
    for name, part in parts.items():
        for component, at in part.columns.items():
            np.testing.assert_allclose(
                result.x[joined.columns[f"{name}.{component}"]], expected[name].x[at], atol=2e-3
            )


def test_rows_objective_and_integers_are_those_of_the_parts(parts):
    link = Link("tie", (LinkTerm("a", parts["a"].columns["x"], 2.0),))
    weights = {"a": 2.0, "c": 0.25}
    joined = join_models(parts, [link], weights)
    rng = np.random.default_rng(1)
    x = rng.normal(size=joined.program.variables)
    data = joined_data(joined, tie=[0.3, 0.7])
    slack = data.b - joined.program.matrix @ x
    names = list(joined.row_names)
    assert len(names) == joined.program.rows
    kinds = {}
    total, integers = 0.0, []
    for name, part in parts.items():
        columns = np.concatenate([joined.columns[f"{name}.{c}"] for c in part.columns])
        order = np.concatenate(list(part.columns.values()))
        own_x = np.empty(part.program.variables)
        own_x[order] = x[columns]
        own = own_data(part, name)
        total += weights.get(name, 1.0) * part.program.objective(own_x, own)
        expected = own.b - part.program.matrix @ own_x
        at = [k for k, label in enumerate(names) if label.startswith(f"{name}.")]
        assert [names[k] for k in at] == [f"{name}.{label}" for label in part.row_names]
        np.testing.assert_allclose(slack[at], expected, atol=1e-12)
        p = part.program
        edges = [0, p.zero, p.zero + p.nonneg, p.rows]
        for kind in range(3):
            kinds.setdefault(kind, []).extend(at[edges[kind] : edges[kind + 1]])
        position = dict(zip(order.tolist(), columns.tolist(), strict=True))
        integers += [position[int(c)] for c in part.program.integer]
        for component, rows in part.rows.items():
            moved = joined.rows[f"{name}.{component}"]
            assert [-1 if r < 0 else at[r] for r in rows] == list(moved)
    assert joined.program.objective(x, data) == pytest.approx(total, rel=1e-12)
    assert sorted(integers) == sorted(joined.program.integer)
    # equations (links among them) before inequalities before cones
    zero, nonneg = joined.program.zero, joined.program.zero + joined.program.nonneg
    assert sorted([0, 1, *kinds[0]]) == list(range(zero))
    assert sorted(kinds[1]) == list(range(zero, nonneg))
    assert sorted(kinds[2]) == list(range(nonneg, joined.program.rows))
    assert joined.program.cones == parts["a"].program.cones + parts["c"].program.cones
    assert names[:2] == ["tie[0]", "tie[1]"]
    np.testing.assert_array_equal(joined.rows["link.tie"], [0, 1])
    np.testing.assert_allclose(slack[:2], [0.3, 0.7] - 2.0 * x[joined.columns["a.x"]], atol=1e-12)


def square():
    m = pyo.ConcreteModel()
    m.steps = pyo.RangeSet(0, 1)
    m.x = pyo.Var(m.steps)
    m.least = pyo.Var()  # data
    m.floor = pyo.Constraint(m.steps, rule=lambda m, t: m.x[t] >= m.least)
    m.cost = pyo.Objective(expr=sum(m.x[t] ** 2 for t in m.steps))
    return compile_model(m, [m.least])


def test_links_hold_their_right_hand_sides_and_price_them():
    # min 3 xa^2 + xb^2 subject to xa + 2 xb = p: with multiplier l, xa = l / 6 and xb = l
    models = {"a": square(), "b": square()}
    link = Link(
        "couple",
        (
            LinkTerm("a", models["a"].columns["x"], 1.0),
            LinkTerm("b", models["b"].columns["x"], 2.0),
        ),
    )
    joined = join_models(models, [link], {"a": 3.0})
    assert set(joined.parameters) == {"a.least", "b.least", "link.couple"}
    assert set(joined.columns) == {"a.x", "b.x"}
    assert set(joined.rows) == {"a.floor", "b.floor", "link.couple"}
    p = np.array([13.0, -26.0])

    def solve_at(p):
        values = {"a.least": -50.0, "b.least": -50.0, "link.couple": p}
        vector = parameter_vector(joined.parameters, values)
        return ClarabelSolver(joined.program).solve(joined.program.data(vector))

    solution = solve_at(p)
    assert solution.status == "optimal"
    price = p * 6.0 / 13.0
    np.testing.assert_allclose(solution.x[joined.columns["a.x"]], price / 6.0, atol=1e-5)
    np.testing.assert_allclose(solution.x[joined.columns["b.x"]], price, atol=1e-5)
    assert solution.objective == pytest.approx(price @ p / 2.0, rel=1e-6)
    # the derivative of the optimal value with respect to a right-hand side is -dual
    dual = solution.dual[joined.rows["link.couple"]]
    np.testing.assert_allclose(-dual, price, rtol=1e-5)
    step = np.array([0.01, 0.0])
    more = solve_at(p + step).objective - solve_at(p - step).objective
    assert more / 0.02 == pytest.approx(-dual[0], rel=1e-4)
    # and of a row of a part: x >= least binds in step 1, where the free optimum is lower
    values = {"a.least": 0.5, "b.least": -50.0, "link.couple": p}
    vector = parameter_vector(joined.parameters, values)
    bound = ClarabelSolver(joined.program).solve(joined.program.data(vector))
    floor = bound.dual[joined.rows["a.floor"]]
    assert floor[0] == pytest.approx(0.0, abs=1e-4)
    # xa = 0.5, xb = -13.25: 6 xa of marginal cost and 13.25 of the link
    assert floor[1] == pytest.approx(3.0 + 13.25, rel=1e-4)


def test_several_links_keep_apart():
    models = {"a": square(), "b": square()}
    x = models["a"].columns["x"]
    links = [
        Link("first", (LinkTerm("a", x[:1], 1.0), LinkTerm("b", x[:1], -1.0))),
        Link("second", (LinkTerm("b", x, 4.0),)),
    ]
    joined = join_models(models, links)
    values = {"a.least": -9.0, "b.least": -9.0, "link.first": 1.0, "link.second": [4.0, 8.0]}
    vector = parameter_vector(joined.parameters, values)
    solution = ClarabelSolver(joined.program).solve(joined.program.data(vector))
    np.testing.assert_allclose(solution.x[joined.columns["a.x"]], [2.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(solution.x[joined.columns["b.x"]], [1.0, 2.0], atol=1e-6)
    assert joined.row_names[:3] == ("first[0]", "second[0]", "second[1]")
    np.testing.assert_array_equal(joined.rows["link.second"], [1, 2])
