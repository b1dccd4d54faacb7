"""Duals of a follower as expressions in the leader's model.

Sign, with V the follower's optimal value as written (its minimum, or its maximum), and a
constraint that Pyomo stores as lower <= body <= upper:

    constraint            dual = dV/d(bound)        min follower    max follower
    body == bound         dV/d(bound)               any sign        any sign
    body <= upper         dV/d(upper)               <= 0            >= 0
    body >= lower         dV/d(lower)               >= 0            <= 0
    lower <= body <= upper  dV for a shift of both  sum of the two  sum of the two

Pyomo stores `g == 5 + x` and `x + 5 == g` with opposite bodies, so the sign is certain if all
variables are on the left: balances are written supply - demand == 0, or supply == 200. Then the
dual of the balance of a cost-minimising follower is the price that demand pays.
"""

from typing import Any

import pyomo.environ as pyo
from pyomo.common.collections import ComponentMap
from pyomo.common.modeling import unique_component_name

from stackelgrid.controllers.errors import ModelError

_REGISTRY = "_follower_dual_placeholders"


class FollowerDuals:
    """Maps the constraints of a follower to placeholders for their duals."""

    def __init__(self, follower: Any) -> None:
        self._follower = follower

    def __getitem__(self, constraint: Any) -> Any:
        """Return the dual of a constraint of the follower, indexed like the constraint."""
        if getattr(constraint, "ctype", None) is not pyo.Constraint:
            raise ModelError(f"{constraint}: duals of constraints are accepted")
        component = constraint.parent_component()
        if not _inside(component, self._follower):
            raise ModelError(f"{constraint.name}: is not a constraint of {self._follower.name}")
        placeholder = _placeholder(self._follower.model(), component)
        if constraint is component:
            return placeholder
        return placeholder[constraint.index()]


def follower_duals(follower: Any) -> FollowerDuals:
    """Return the duals of a follower's constraints, for the leader's objective and linear rows.

    `follower` is a Pyomo Block of the model. `follower_duals(block)[block.balance]` is the
    derivative of the block's optimal value, as written, with respect to the bound of the
    constraint's normalised body; `[block.balance[t]]` and `[block.balance][t]` work for indexed
    constraints. Raises ModelError for anything but a constraint of the block.
    """
    return FollowerDuals(follower)


def placeholders(model: Any) -> Any:
    """Return every placeholder of a model with the constraint component of its dual."""
    return getattr(model, _REGISTRY, None) or ComponentMap()


def _placeholder(model: Any, constraint: Any) -> Any:
    if getattr(model, _REGISTRY, None) is None:
        setattr(model, _REGISTRY, ComponentMap())
    known = getattr(model, _REGISTRY)
    for variable, owner in known.items():
        if owner is constraint:
            return variable
    variable = pyo.Var(list(constraint.keys())) if constraint.is_indexed() else pyo.Var()
    flat = constraint.name.replace(".", "_")
    model.add_component(unique_component_name(model, f"dual_of_{flat}"), variable)
    known[variable] = constraint
    return variable


def _inside(component: Any, block: Any) -> bool:
    parent = component.parent_block()
    while parent is not None:
        if parent is block or parent.parent_component() is block:
            return True
        parent = parent.parent_block()
    return False
