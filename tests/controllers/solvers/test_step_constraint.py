"""Constraints that are read in their first step: the same program as read member by member."""

from dataclasses import fields

import numpy as np
import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers import compile_model
from stackelgrid.controllers.solvers.step_constraint import StepConstraint, every_step

STEPS = 4


def build(decorate, *, deactivate=None, fix=None, lower=0.0):
    """Equations, inequalities of both senses, ranges, cones and data in one model.

    `decorate(m, *sets)` adds a rule over these sets and the steps.
    """
    m = pyo.ConcreteModel(name="small")
    m.nodes = pyo.RangeSet(0, 2)
    m.steps = pyo.RangeSet(0, STEPS - 1)
    m.x = pyo.Var(m.nodes, m.steps, bounds=lambda m, i, t: (-float(i), 1.0 + t))
    m.y = pyo.Var(m.nodes, m.steps, bounds=(0.0, None))
    m.z = pyo.Var(m.steps, bounds=(0.0, 3.0))
    m.on = pyo.Var(m.nodes, m.steps, domain=pyo.Binary)
    m.drawn = pyo.Var(m.nodes, m.steps)  # data
    r = np.array([0.3, 0.7, 1.1])

    @decorate(m, m.nodes)
    def mixed(m, i, t):
        if i == 0:
            return m.x[i, t] - m.drawn[i, t] == 0.1
        if i == 1:
            return pyo.inequality(-1.0, r[i] * m.x[i, t] + m.y[i, t], 2.0)
        return m.x[i, t] >= r[i] * (m.y[i, t] - 2.0 * m.drawn[i, t])

    @decorate(m)
    def total(m, t):
        return sum(m.y[i, t] for i in m.nodes) <= 5.0 * m.z[t] + m.drawn[0, t]

    @decorate(m, [2, 0], m.nodes)
    def cone(m, i, k, t):
        return m.x[i, t] ** 2 + r[k] * m.x[k, t] ** 2 <= r[i] * m.y[k, t] * m.z[t]

    @decorate(m, [])
    def none(m, i, t):
        return m.x[i, t] == 0.0

    @decorate(m, m.nodes)
    def limit(m, i, t):
        return m.x[i, t] <= r[i] * (1 - m.on[i, t])

    m.y[1, 3].setlb(lower)
    if deactivate is not None:
        m.component(deactivate[0])[deactivate[1]].deactivate()
    if fix is not None:
        m.x[fix].fix(0.25)
    m.cost = pyo.Objective(expr=sum(m.y[i, t] + m.x[i, t] for i in m.nodes for t in m.steps))
    return m


def plainly(m, *sets):
    """Decorate a rule the way Pyomo does."""
    return m.Constraint(*sets, m.steps)


def assert_same(one, other):
    for field in fields(one.program):
        a, b = getattr(one.program, field.name), getattr(other.program, field.name)
        for part in ("data", "indices", "indptr") if hasattr(a, "indptr") else (None,):
            np.testing.assert_array_equal(*(getattr(x, part) if part else x for x in (a, b)))
    assert tuple(one.row_names) == tuple(other.row_names)
    for mapping in ("columns", "parameters", "rows"):
        mine, theirs = getattr(one, mapping), getattr(other, mapping)
        assert list(mine) == list(theirs)
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


@pytest.mark.parametrize(
    "changed", [{}, {"deactivate": ("cone", (0, 1, 2))}, {"fix": (0, 2)}, {"fix": (2, 0)}]
)
def test_the_program_is_that_of_ordinary_constraints(changed):
    model, ordinary = build(every_step, **changed), build(plainly, **changed)
    program, expected = (compile_model(m, [m.drawn]) for m in (model, ordinary))
    assert program.program.rows > 100
    assert_same(program, expected)
    assert_same(compile_model(model, [model.drawn]), expected)  # again, now that some were read


def test_members_behave_as_those_of_any_constraint():
    model, ordinary = build(every_step), build(plainly)
    for m in (model, ordinary):
        for k, variable in enumerate(m.component_data_objects(pyo.Var)):
            variable.set_value(0.1 * k, skip_validation=True)
    members = [list(m.component_data_objects(pyo.Constraint)) for m in (model, ordinary)]
    assert isinstance(model.mixed, StepConstraint)
    assert len(members[0]) == len(members[1]) == 3 * STEPS + STEPS + 6 * STEPS + 3 * STEPS
    for mine, theirs in zip(*members, strict=True):
        assert mine.name == theirs.name
        assert str(mine.expr) == str(theirs.expr)
        assert (mine.lb, mine.ub, pyo.value(mine.body)) == (
            theirs.lb, theirs.ub, pyo.value(theirs.body),
        )  # fmt: skip


def test_rules_are_called_for_the_first_step_only():
    m = pyo.ConcreteModel()
    m.steps = pyo.RangeSet(0, 99)
    m.x = pyo.Var([5, 7], m.steps, bounds=(0.0, 1.0))
    called = []

    @every_step(m, [5, 7])
    def limit(m, i, t):
        called.append((i, t))
        return m.x[i, t] <= 0.5

    m.cost = pyo.Objective(expr=sum(m.x.values()))
    compiled = compile_model(m)
    assert called == [(5, 0), (7, 0)]
    assert compiled.row_names[150] == "limit[7,50]"
    assert compiled.row_names[-1] == "x[7,99]"


def test_a_cone_needs_bounds_in_every_step():
    model = build(every_step, lower=-1.0)  # of y[1,3] only
    with pytest.raises(ModelError, match=r"cone\[\d,1,0\]: y\[1,0\] needs a lower bound >= 0"):
        compile_model(model, [model.drawn])


def test_a_refusal_names_the_member():
    m = build(every_step)

    @every_step(m, m.nodes)
    def cubic(m, i, t):
        return m.x[i, t] ** (3 if i == 1 else 1) <= 1.0

    with pytest.raises(ModelError, match=r"cubic\[1,0\]: only linear and quadratic"):
        compile_model(m, [m.drawn])
