"""Compile a Pyomo model, once, to a conic program with named parameters.

Pyomo is the single source of the model. Variables named as parameters are data: they are split off
every row, so that a re-solve only replaces vectors. Quadratic constraints are read with Pyomo's
quadratic representation and turned into second-order cones, or refused by name.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.gc_manager import PauseGC
from pyomo.repn.quadratic import QuadraticRepnVisitor
from pyomo.repn.util import OrderedVarRecorder
from scipy.sparse import csc_array, csr_array

from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.checks import check_finite
from stackelgrid.controllers.solvers.compile.compiled import CompiledModel
from stackelgrid.controllers.solvers.compile.cones import ConeRow, second_order_cone
from stackelgrid.controllers.solvers.compile.cost import cost_form
from stackelgrid.controllers.solvers.compile.rows import (
    ComponentNames,
    Entries,
    RowNames,
    RowTable,
    shifted_rows,
    stacked,
    unit_rows,
    varying_entries,
)
from stackelgrid.controllers.solvers.conic import ConicProgram
from stackelgrid.controllers.solvers.quadratics import convex
from stackelgrid.controllers.solvers.step_constraint import StepConstraint
from stackelgrid.profiles.arrays import Floats, Ints

_KINDS = ("zero", "nonneg", "cone")
Label = Callable[[], str]  # names are made for messages only


def compile_model(
    model: Any,
    parameters: Sequence[Any] = (),
    *,
    check_convex: bool = True,
    data_coefficients: bool = False,
    expressions: Sequence[str] = (),
) -> CompiledModel:
    """Compile a Pyomo ConcreteModel.

    model: the model.
    parameters: Var components that hold data.
    check_convex: whether a quadratic objective must be convex.
    data_coefficients: whether data may be coefficients of continuous variables in linear
        constraints; the reductions of a program count on the values at hand only for scaling.
    expressions: named expressions of the model, linear or quadratic, that are compiled, too.

    Accepts a linear or convex quadratic objective and linear, second-order-cone or convex
    quadratic constraints with constant coefficients. Raises ModelError, naming the component, for
    anything else (non-convex or non-polynomial terms, unbounded integers, products of data and
    variables in constraints, non-finite data).
    """
    with PauseGC():
        return _Compiler(model, parameters, check_convex, data_coefficients).compile(expressions)


class _Compiler:
    def __init__(
        self, model: Any, parameters: Sequence[Any], check_convex: bool, data_coefficients: bool
    ) -> None:
        self.model, self.check_convex = model, check_convex
        self.data_coefficients = data_coefficients
        data = {id(component) for component in parameters}
        free = [
            v
            for v in model.component_objects(pyo.Var, active=True, descend_into=True)
            if id(v) not in data
        ]
        self.where: dict[int, int] = {}
        self.vars: list[Any] = []
        self.columns = {v.local_name if v.parent_block() is model else v.name: self._place(v)
                        for v in free}  # fmt: skip
        self.n = len(self.vars)
        self.free = free
        self.bounds: list[tuple[float | None, float | None]] = [v.bounds for v in self.vars]
        self.kept_nonnegative = np.zeros(self.n, dtype=bool)
        self.integer: list[int] = []
        self.parameters = {v.name: self._place(v) - self.n for v in parameters}
        # a fixed variable is a constant of its step
        self.shifts = not any(v.fixed for v in self.vars)
        known: dict[int, Any] = {}
        self.visitor = QuadraticRepnVisitor({}, var_recorder=OrderedVarRecorder(known, {}, None))
        self.tables = {kind: RowTable() for kind in _KINDS}
        self.sizes: list[int] = []

    def _place(self, component: Any) -> Ints:
        first = len(self.vars)
        for variable in component.values():
            self.where[id(variable)] = len(self.vars)
            self.vars.append(variable)
        return np.arange(first, len(self.vars), dtype=np.int64)

    def compile(self, expressions: Sequence[str]) -> CompiledModel:
        placed: dict[str, list[tuple[str, Ints]]] = {}
        for component in self.model.component_objects(
            pyo.Constraint, active=True, descend_into=True
        ):
            placed.setdefault(component.name, []).extend(self._component(component))
        self._bounds()
        n_zero, n_nonneg = self.tables["zero"].count, self.tables["nonneg"].count
        offset = {"zero": 0, "nonneg": n_zero, "cone": 0}
        matrix, b_parameters, b0, names = stacked(
            list(self.tables.values()), self.n, len(self.vars) - self.n
        )
        count = len(self.vars) - self.n
        varying = varying_entries(list(self.tables.values()), self.n, count, matrix)
        if varying is not None:
            at_hand = [1.0 if v.value is None else v.value for v in self.vars[self.n :]]
            matrix = varying.placed(varying.stored(matrix), varying.values(np.array(at_hand)))
        objective, maximise = self._objective()
        program = ConicProgram(
            matrix=matrix,
            b_parameters=b_parameters,
            b0=b0,
            zero=n_zero,
            nonneg=n_nonneg,
            cones=tuple(self.sizes),
            integer=np.array(self.integer, dtype=np.int64),
            varying=varying,
            **objective,
        )
        row_names = RowNames(names)
        check_finite(program, row_names)
        return CompiledModel(
            program=program,
            columns=self.columns,
            parameters=self.parameters,
            rows={
                name: np.concatenate(
                    [
                        np.zeros(0, dtype=np.int64),
                        *(at + offset[kind] for kind, at in rows),
                    ]
                )
                for name, rows in placed.items()
            },
            row_names=row_names,
            maximise=maximise,
            expressions={name: self._expression(name) for name in expressions},
        )

    def _expression(self, name: str) -> ConicProgram:
        """Return a program without rows whose objective is a named expression."""
        component = self.model.component(name)
        form, count = self._form(component.expr, lambda: name, 1.0), len(self.vars) - self.n
        return ConicProgram(
            matrix=csc_array((0, self.n)),
            b_parameters=csr_array((0, count)),
            b0=np.zeros(0),
            zero=0,
            nonneg=0,
            cones=(),
            integer=np.zeros(0, dtype=np.int64),
            **form,
        )

    def _walk(self, expression: Any, label: Label) -> Any:
        repn = self.visitor.walk_expression(expression)
        if repn.nonlinear is not None:
            raise ModelError(f"{label()}: only linear and quadratic terms are accepted")
        return repn

    def _component(self, component: Any) -> list[tuple[str, Ints]]:
        """Place the rows of a constraint component.

        For each member and its steps the kind and the last of its rows; -1 for cones, and where
        there is no bound.
        """
        names = ComponentNames.of(component)
        if isinstance(component, StepConstraint) and self.shifts and component.pending:
            steps = component.steps
        else:
            steps = 1
        members = list(enumerate(component.values()))[::steps]
        entries = {kind: Entries() for kind in _KINDS}
        last: list[tuple[str, int]] = []
        for at, constraint in members:
            if not constraint.active:
                continue
            kind, rows = self._constraint(constraint, partial(names.__getitem__, at), steps)
            if kind == "cone":
                self.sizes += steps * [len(rows)]
            for row in rows:
                entries[kind].add(row, at)
            last.append((kind if rows else "cone", len(entries[kind].b) - 1))
        places = {}
        for kind, read in entries.items():
            block, place = shifted_rows(read.block(names), steps)
            places[kind] = self.tables[kind].append(block) + place
        none = np.full(steps, -1)
        return [(kind, none if kind == "cone" else places[kind][at]) for kind, at in last]

    def _constraint(self, constraint: Any, label: Label, steps: int) -> tuple[str, list[ConeRow]]:
        """Rows of one constraint, of the first of the steps; the last row counts in duals."""
        lower, body, upper = constraint.to_bounded_expression(evaluate_bounds=True)
        repn = self._walk(body, label)
        # by column: an order by id would differ from one process to the next
        linear = {self._column(i, label): c for i, c in repn.linear.items()}
        linear = {column: c for column, c in linear.items() if c != 0.0}
        quadratic: dict[tuple[int, int], float] = {}
        for (i, j), c in (repn.quadratic or {}).items():
            a, b = self._column(i, label), self._column(j, label)
            if c != 0.0:
                quadratic[min(a, b), max(a, b)] = c
        varying = {pair: c for pair, c in quadratic.items() if pair[1] >= self.n}
        if varying:
            self._check_varying(varying, len(varying) == len(quadratic), label)
            return self._linear(linear, varying, lower, upper, repn.constant)
        if quadratic:
            if (lower is None) == (upper is None):
                raise ModelError(f"{label()}: a quadratic constraint needs exactly one bound")
            sign, bound = (1.0, upper) if upper is not None else (-1.0, lower)
            if not np.isfinite([repn.constant, *quadratic.values(), *linear.values()]).all():
                raise ModelError(f"{label()}: has a coefficient that is not finite")
            rows = second_order_cone(
                name=label(),
                quadratic={pair: sign * c for pair, c in quadratic.items()},
                linear={i: sign * c for i, c in linear.items()},
                constant=sign * (repn.constant - bound),
                lower_bound=lambda i: self._lower(i, steps),
                label=lambda i: self.vars[i].name,
            )
            if rows[0].constant == 0.0 and not linear:
                # a rotated cone, or c t^2: the cone itself keeps its head's variables >= 0
                for column in rows[0].coefficients:
                    self.kept_nonnegative[column : column + steps] = True
            return "cone", rows
        return self._linear(linear, {}, lower, upper, repn.constant)

    def _check_varying(
        self, varying: Mapping[tuple[int, int], float], alone: bool, label: Label
    ) -> None:
        """Refuse products of data and variables that are not accepted."""
        if not (self.data_coefficients and alone and all(i < self.n for i, _ in varying)):
            raise ModelError(f"{label()}: data may not multiply a variable in a constraint")
        for i, _ in varying:
            if not self.vars[i].is_continuous():
                raise ModelError(f"{label()}: data may not multiply an integer variable")

    @staticmethod
    def _linear(
        linear: Mapping[int, float],
        varying: Mapping[tuple[int, int], float],
        lower: float | None,
        upper: float | None,
        constant: float,
    ) -> tuple[str, list[ConeRow]]:
        """Return rows of a linear constraint, the upper side last."""
        rows = []
        if lower is not None and lower != upper:
            rows.append(ConeRow(linear, constant - lower, varying))
        if upper is not None:
            negative = {i: -c for i, c in linear.items()}
            other = {pair: -c for pair, c in varying.items()}
            rows.append(ConeRow(negative, upper - constant, other))
        return ("zero" if lower is not None and lower == upper else "nonneg"), rows

    def _column(self, variable: int, label: Label) -> int:
        if variable not in self.where:
            raise ModelError(f"{label()}: uses a variable that is not part of the model")
        return self.where[variable]

    def _lower(self, column: int, steps: int) -> float | None:
        """Smallest lower bound of a variable over the steps."""
        bounds = [low for low, _ in self.bounds[column : column + steps] if low is not None]
        return min(bounds) if len(bounds) == steps else None

    def _bounds(self) -> None:
        """Place the bounds of the variables, lower before upper."""
        first = 0
        for component in self.free:
            members, names = list(component.values()), ComponentNames.of(component)
            here = slice(first, first + len(members))
            for column, variable in enumerate(members, start=first):
                if not (variable.is_continuous() or variable.fixed):
                    self._integer(column, variable)
            low, high = ([pair[side] for pair in self.bounds[here]] for side in (0, 1))
            free = np.array([not v.fixed for v in members], dtype=bool)
            # a missing bound becomes NaN, which equals nothing
            lower, upper = np.array(low, dtype=float), np.array(high, dtype=float)
            equal = free & (lower == upper)
            kept = self.kept_nonnegative[here] & (lower == 0.0)
            limited = free & ~equal & ~kept
            below = np.flatnonzero(limited & ~np.isnan(lower))
            above = np.flatnonzero(free & ~equal & ~np.isnan(upper))
            at = np.concatenate([below, above])
            order = np.argsort(at, kind="stable")
            at = at[order]
            side = np.repeat([-1.0, 1.0], [len(below), len(above)])[order]
            # of the bounds as they are: minus an integer zero has no sign
            negated = [-x for x, used in zip(low, limited, strict=True) if used and x is not None]
            b: Floats = np.array([*negated, *upper[above]], dtype=np.float64)[order]
            fixed = np.flatnonzero(equal)
            ones = np.ones(len(fixed))
            self.tables["zero"].append(unit_rows(first, fixed, ones, upper[fixed], names))
            self.tables["nonneg"].append(unit_rows(first, at, side, b, names))
            first += len(members)

    def _integer(self, column: int, variable: Any) -> None:
        if not variable.is_integer():
            raise ModelError(f"{variable.name}: accepted domains are reals and integers")
        if None in self.bounds[column]:
            raise ModelError(f"{variable.name}: an integer variable needs both bounds")
        self.integer.append(column)
        self.kept_nonnegative[column] = False  # the bounds of integers are read from their rows

    def _objective(self) -> tuple[dict[str, Any], bool]:
        found = list(self.model.component_data_objects(pyo.Objective, active=True))
        if len(found) != 1:
            raise ModelError(
                f"{self.model.name}: exactly one objective is accepted, found {len(found)}"
            )
        objective = found[0]
        maximise = objective.sense == pyo.maximize

        def label() -> str:
            return str(objective.name)

        form = self._form(objective.expr, label, -1.0 if maximise else 1.0)
        if self.check_convex and not convex(form["quadratic"]):
            raise ModelError(f"{label()}: the quadratic objective is not convex")
        return form, maximise

    def _form(self, expression: Any, label: Label, sign: float) -> dict[str, Any]:
        """Return a linear or quadratic expression times a sign, as part of a program."""
        repn = self._walk(expression, label)

        def column(variable: int) -> int:
            return self._column(variable, label)

        return cost_form(repn, column, self.n, len(self.vars) - self.n, sign)
