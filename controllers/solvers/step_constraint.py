"""Constraints that are the same in every step of a horizon, up to the step of their variables."""

from collections.abc import Callable
from typing import Any
from weakref import ref

from pyomo.core.base.constraint import IndexedConstraint, TemplateConstraintData


class _Pending(TemplateConstraintData):  # type: ignore[misc]
    """A member whose rule makes its expression at the first access."""

    __slots__ = ()

    def to_bounded_expression(self, evaluate_bounds: bool = False) -> Any:
        """Make the expression: from then on this is an ordinary member."""
        assert self.expr is not None
        return self.to_bounded_expression(evaluate_bounds)


class StepConstraint(IndexedConstraint):  # type: ignore[misc]
    """A Pyomo constraint over (*sets, steps) whose equation is shifted from step to step.

    Its rule may use the step as the last index of variables only: coefficients, constants and
    which variables occur must not depend on it. The compiler reads the first step and shifts it.
    """

    def __init__(self, *sets: Any, rule: Callable[..., Any]) -> None:
        super().__init__(*sets, rule=rule)
        self.steps = len(sets[-1])

    def construct(self, data: Any = None) -> None:
        """Make the members, without their expressions."""
        if self._constructed:  # type: ignore[has-type]
            return
        self._constructed = True
        for anonymous in self._anonymous_sets or ():
            anonymous.construct()
        component = ref(self)
        self._data = {index: _Pending(None, component, index) for index in self.index_set()}

    @property
    def pending(self) -> bool:
        """Return whether no member has been read, changed or deactivated."""
        return all(c.__class__ is _Pending and c.active for c in self._data.values())


def every_step(m: Any, *sets: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a rule (m, *index, t) to add it to the model as a StepConstraint over `m.steps`."""

    def add(rule: Callable[..., Any]) -> Callable[..., Any]:
        m.add_component(rule.__name__, StepConstraint(*sets, m.steps, rule=rule))
        return rule

    return add
