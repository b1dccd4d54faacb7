"""Terms of users that an agent's program can have."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.expr_common import ExpressionType
from pyomo.core.expr.numvalue import native_numeric_types
from pyomo.repn import generate_standard_repn
from scipy.sparse import coo_array, csc_array

from stackelgrid.controllers.solvers.quadratics import convex, offending

Role = Literal["leader", "follower"]
# data of a follower that hold the exchanges that leaders decide
_EXCHANGES = ("load_p", "load_q")


def refusal(expression: Any, m: Any, added: Sequence[Any], data: Sequence[Any], role: Role) -> str:
    """Return why a program cannot have a term; empty for one that it can.

    expression: the term.
    m: the model.
    added: components that the user added to the model.
    data: components that hold data.
    role: role of the grid in the model.
    """
    if not _is_number(expression):
        return (
            f"returned {type(expression).__name__}; an expression of the model in EUR, or a "
            "number, is accepted"
        )
    found = next((text for c in added if (text := _of_component(c, role))), "")
    if found:
        return found
    repn = generate_standard_repn(expression, quadratic=True)
    if repn.nonlinear_expr is not None:
        names = ", ".join(v.name for v in repn.nonlinear_vars[:3])
        return (
            f"the term in {names} is neither linear nor quadratic; such terms, and products of a "
            "parameter and a variable, are accepted"
        )
    if not np.isfinite([repn.constant, *repn.linear_coefs, *repn.quadratic_coefs]).all():
        return "has a coefficient that is not finite"
    members = {id(v) for c in m.component_objects(pyo.Var) for v in c.values()}
    terms = [*((v,) for v in repn.linear_vars), *repn.quadratic_vars]
    for v in (v for term in terms for v in term):
        if id(v) not in members:
            return f"uses {v.name}, which is not part of the model {m.name}"
    if role == "follower":
        loads = {
            id(v)
            for name in _EXCHANGES
            if (component := m.component(name)) is not None
            for v in component.values()
        }
        for term in terms:
            if any(id(v) in loads for v in term):
                return (
                    f"the term in {' * '.join(v.name for v in term)} holds what the grids below "
                    "decide; terms in the grid's own variables are accepted"
                )
    return _not_convex(repn, {id(v) for c in data for v in c.values()})


def _of_component(component: Any, role: Role) -> str:
    """Return why a term may not add a component to a model."""
    if component.ctype is pyo.Objective:
        return f"adds the objective {component.name}; a function that returns its term is accepted"
    if component.ctype is pyo.Var:
        for v in component.values():
            if not v.is_continuous():
                return f"adds {v.name}, an integer; continuous variables are accepted"
    if component.ctype is pyo.Constraint and role == "follower":
        for row in component.values():
            if row.body.polynomial_degree() not in (0, 1):
                return f"adds {row.name}, which is not linear; a follower takes linear constraints"
    return ""


def _not_convex(repn: Any, data: set[int]) -> str:
    """Return which part of a term is not convex; a product with data is linear."""
    place: dict[int, int] = {}
    listed: list[Any] = []
    entries: list[tuple[int, int, float]] = []
    for pair, coefficient in zip(repn.quadratic_vars, repn.quadratic_coefs, strict=True):
        if any(id(v) in data for v in pair):
            continue
        for v in pair:
            if id(v) not in place:
                place[id(v)] = len(listed)
                listed.append(v)
        i, j = sorted(place[id(v)] for v in pair)
        entries.append((i, j, float(coefficient) * (2.0 if i == j else 1.0)))
    if not entries:
        return ""
    row, column, value = np.array(entries).T
    at, size = (row.astype(int), column.astype(int)), (len(listed), len(listed))
    upper = csc_array(coo_array((value, at), shape=size))
    if convex(upper):
        return ""
    found = offending(upper)
    names = "" if found is None else " in " + " * ".join(listed[k].name for k in found)
    return f"the term{names} is not convex; a convex one is accepted"


def _is_number(value: Any) -> bool:
    """Return whether a value is a number or an expression of numbers, not a relation."""
    if type(value) in native_numeric_types:
        return not isinstance(value, bool | np.bool_)
    try:
        relation = value.is_expression_type(ExpressionType.RELATIONAL)
        return not relation and bool(value.is_expression_type() or value.is_variable_type())
    except AttributeError:
        return False
