"""Compile a Pyomo model, once, to a conic program with named parameters.

Pyomo is the single source of the model. Variables named as parameters are data: they are split off
every row, so that a re-solve only replaces vectors. Quadratic constraints are read with Pyomo's
quadratic representation and turned into second-order cones, or refused by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.gc_manager import PauseGC
from pyomo.repn.quadratic import QuadraticRepnVisitor
from pyomo.repn.util import OrderedVarRecorder
from scipy.sparse import coo_array, csc_array, csr_array, triu

from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.cones import ConeRow, second_order_cone
from stackelgrid.controllers.solvers.conic import ConicProgram
from stackelgrid.profiles.arrays import Ints


@dataclass(frozen=True)
class CompiledModel:
    """A conic program and where the components of the Pyomo model went.

    `columns[name]` are the columns of a variable component in the order of its index set,
    `parameters[name]` likewise positions in p, `rows[name]` the row of each linear constraint
    of a component (a range constraint's upper side; -1 for cones). `maximise` tells that the
    program minimises the negated objective.
    """

    program: ConicProgram
    columns: Mapping[str, Ints]
    parameters: Mapping[str, Ints]
    rows: Mapping[str, Ints]
    row_names: tuple[str, ...]
    maximise: bool


@dataclass
class _Rows:
    """Rows under construction: triplets over variables and parameters, and right-hand sides."""

    names: list[str]
    b: list[float]
    row: list[int]
    column: list[int]
    value: list[float]
    p_row: list[int]
    p_column: list[int]
    p_value: list[float]

    @classmethod
    def empty(cls) -> "_Rows":
        return cls([], [], [], [], [], [], [], [])

    def add(self, entry: ConeRow, name: str, n: int) -> int:
        """Append the row `entry.constant + entry.coefficients x >= 0`, i.e. -a x + s = constant.

        Keys of the coefficients are columns; those from `n` on are parameters.
        """
        at = len(self.b)
        self.names.append(name)
        self.b.append(entry.constant)
        for column, coefficient in entry.coefficients.items():
            if column < n:
                self.row.append(at)
                self.column.append(column)
                self.value.append(-coefficient)
            else:
                self.p_row.append(at)
                self.p_column.append(column - n)
                self.p_value.append(-coefficient)
        return at


def compile_model(model: Any, parameters: Sequence[Any] = ()) -> CompiledModel:
    """Compile a Pyomo ConcreteModel; `parameters` are Var components that hold data.

    Accepts a linear or convex quadratic objective and linear, second-order-cone or convex
    quadratic constraints with constant coefficients. Raises ModelError, naming the component, for
    anything else (non-convex or non-polynomial terms, unbounded integers, products of data and
    variables in constraints, non-finite data).
    """
    with PauseGC():
        return _Compiler(model, parameters).compile()


class _Compiler:
    def __init__(self, model: Any, parameters: Sequence[Any]) -> None:
        self.model = model
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
        self.kept_nonnegative: set[int] = set()
        self.integer: list[int] = []
        self.parameters = {v.name: self._place(v) - self.n for v in parameters}
        known: dict[int, Any] = {}
        self.visitor = QuadraticRepnVisitor({}, var_recorder=OrderedVarRecorder(known, {}, None))

    def _place(self, component: Any) -> Ints:
        first = len(self.vars)
        for variable in component.values():
            self.where[id(variable)] = len(self.vars)
            self.vars.append(variable)
        return np.arange(first, len(self.vars), dtype=np.int64)

    def compile(self) -> CompiledModel:
        zero, nonneg, cones = _Rows.empty(), _Rows.empty(), _Rows.empty()
        sizes: list[int] = []
        placed: dict[str, list[tuple[str, int]]] = {}
        for component in self.model.component_objects(
            pyo.Constraint, active=True, descend_into=True
        ):
            rows = placed.setdefault(component.name, [])
            for constraint in component.values():
                if constraint.active:
                    rows.append(self._constraint(constraint, zero, nonneg, cones, sizes))
        self._bounds(zero, nonneg)
        n_zero, n_nonneg = len(zero.b), len(nonneg.b)
        offset = {"zero": 0, "nonneg": n_zero, "cone": -1}
        matrix, b_parameters, b0, names = self._stack((zero, nonneg, cones))
        objective, maximise = self._objective()
        program = ConicProgram(
            matrix=matrix,
            b_parameters=b_parameters,
            b0=b0,
            zero=n_zero,
            nonneg=n_nonneg,
            cones=tuple(sizes),
            integer=np.array(self.integer, dtype=np.int64),
            **objective,
        )
        _check_finite(program, names)
        return CompiledModel(
            program=program,
            columns=self.columns,
            parameters=self.parameters,
            rows={
                name: np.array(
                    [-1 if kind == "cone" else at + offset[kind] for kind, at in rows],
                    dtype=np.int64,
                )
                for name, rows in placed.items()
            },
            row_names=tuple(names),
            maximise=maximise,
        )

    def _walk(self, expression: Any, name: str) -> Any:
        repn = self.visitor.walk_expression(expression)
        if repn.nonlinear is not None:
            raise ModelError(f"{name}: only linear and quadratic terms are accepted")
        return repn

    def _constraint(
        self, constraint: Any, zero: _Rows, nonneg: _Rows, cones: _Rows, sizes: list[int]
    ) -> tuple[str, int]:
        """Place one constraint; the last of its rows stands for it in duals."""
        name = constraint.name
        body, lower, upper = constraint.body, constraint.lb, constraint.ub
        repn = self._walk(body, name)
        # by column: an order by id would differ from one process to the next
        linear = {self._column(i, name): c for i, c in repn.linear.items()}
        linear = {column: c for column, c in linear.items() if c != 0.0}
        quadratic: dict[tuple[int, int], float] = {}
        for (i, j), c in (repn.quadratic or {}).items():
            a, b = self._column(i, name), self._column(j, name)
            if c != 0.0:
                quadratic[min(a, b), max(a, b)] = c
        if quadratic:
            if any(column >= self.n for pair in quadratic for column in pair):
                raise ModelError(f"{name}: data may not multiply a variable in a constraint")
            if (lower is None) == (upper is None):
                raise ModelError(f"{name}: a quadratic constraint needs exactly one bound")
            sign, bound = (1.0, upper) if upper is not None else (-1.0, lower)
            if not np.isfinite([repn.constant, *quadratic.values(), *linear.values()]).all():
                raise ModelError(f"{name}: has a coefficient that is not finite")
            rows = second_order_cone(
                name=name,
                quadratic={pair: sign * c for pair, c in quadratic.items()},
                linear={i: sign * c for i, c in linear.items()},
                constant=sign * (repn.constant - bound),
                lower_bound=lambda i: self.vars[i].lb,
                label=lambda i: self.vars[i].name,
            )
            if rows[0].constant == 0.0 and not linear:
                # a rotated cone, or c t^2: the cone itself keeps its head's variables >= 0
                self.kept_nonnegative.update(rows[0].coefficients)
            for row in rows:
                cones.add(row, name, self.n)
            sizes.append(len(rows))
            return "cone", -1
        if lower is not None and lower == upper:
            entry = ConeRow({i: -c for i, c in linear.items()}, upper - repn.constant)
            return "zero", zero.add(entry, name, self.n)
        at = -1
        if lower is not None:
            entry = ConeRow(linear, repn.constant - lower)
            at = nonneg.add(entry, name, self.n)
        if upper is not None:
            entry = ConeRow({i: -c for i, c in linear.items()}, upper - repn.constant)
            at = nonneg.add(entry, name, self.n)
        return "nonneg", at

    def _column(self, variable: int, name: str) -> int:
        if variable not in self.where:
            raise ModelError(f"{name}: uses a variable that is not part of the model")
        return self.where[variable]

    def _bounds(self, zero: _Rows, nonneg: _Rows) -> None:
        for column, variable in enumerate(self.vars[: self.n]):
            if variable.fixed:
                continue
            lower, upper, kept = variable.lb, variable.ub, column in self.kept_nonnegative
            if not variable.is_continuous():
                if not variable.is_integer():
                    raise ModelError(f"{variable.name}: accepted domains are reals and integers")
                if lower is None or upper is None:
                    raise ModelError(f"{variable.name}: an integer variable needs both bounds")
                self.integer.append(column)
                kept = False  # the bounds of integers are read from their rows
            if lower is not None and lower == upper:
                zero.add(ConeRow({column: -1.0}, upper), variable.name, self.n)
                continue
            if lower is not None and not (lower == 0.0 and kept):
                nonneg.add(ConeRow({column: 1.0}, -lower), variable.name, self.n)
            if upper is not None:
                nonneg.add(ConeRow({column: -1.0}, upper), variable.name, self.n)

    def _stack(self, parts: Sequence[_Rows]) -> tuple[csc_array, csr_array, Any, list[str]]:
        starts = np.concatenate([[0], np.cumsum([len(p.b) for p in parts])]).astype(int)
        m = int(starts[-1])

        def gather(row: str, column: str, value: str, width: int) -> coo_array:
            i = np.concatenate([np.array(getattr(p, row), int) + s
                                for p, s in zip(parts, starts, strict=False)])  # fmt: skip
            j = np.concatenate([np.array(getattr(p, column), int) for p in parts])
            v = np.concatenate([np.array(getattr(p, value), float) for p in parts])
            return coo_array((v, (i, j)), shape=(m, width))

        return (
            csc_array(gather("row", "column", "value", self.n)),
            csr_array(gather("p_row", "p_column", "p_value", len(self.vars) - self.n)),
            np.concatenate([np.array(p.b, float) for p in parts]),
            [name for p in parts for name in p.names],
        )

    def _objective(self) -> tuple[dict[str, Any], bool]:
        found = list(self.model.component_data_objects(pyo.Objective, active=True))
        if len(found) != 1:
            raise ModelError(
                f"{self.model.name}: exactly one objective is accepted, found {len(found)}"
            )
        objective = found[0]
        maximise = objective.sense == pyo.maximize
        sign = -1.0 if maximise else 1.0
        repn = self._walk(objective.expr, objective.name)
        n, count = self.n, len(self.vars) - self.n
        q0, offset_linear = np.zeros(n), np.zeros(count)
        for variable, c in repn.linear.items():
            column = self._column(variable, objective.name)
            target, at = (q0, column) if column < n else (offset_linear, column - n)
            target[at] += sign * c
        hessian: list[tuple[int, int, float]] = []
        prices: list[tuple[int, int, float]] = []
        offsets: list[tuple[int, int, float]] = []
        for (a, b), c in (repn.quadratic or {}).items():
            i, j = sorted((self._column(a, objective.name), self._column(b, objective.name)))
            if j < n:
                hessian.append((i, j, sign * c * (2.0 if i == j else 1.0)))
            elif i < n:
                prices.append((i, j - n, sign * c))
            else:
                offsets.append((i - n, j - n, sign * c))
        quadratic = csc_array(_coo(hessian, (n, n)))
        _check_convex(quadratic, objective.name)
        return {
            "quadratic": csc_array(triu(quadratic)),
            "q0": q0,
            "q_parameters": csr_array(_coo(prices, (n, count))),
            "offset0": float(sign * repn.constant),
            "offset_linear": offset_linear,
            "offset_quadratic": csr_array(_coo(offsets, (count, count))),
        }, maximise


def _coo(entries: list[tuple[int, int, float]], shape: tuple[int, int]) -> coo_array:
    data = np.array(entries, dtype=float).reshape(len(entries), 3).T
    return coo_array((data[2], (data[0].astype(int), data[1].astype(int))), shape=shape)


def _check_convex(upper: csc_array, name: str) -> None:
    """Refuse an indefinite quadratic objective (dense eigenvalues of its coupled variables)."""
    full = csc_array(upper + triu(upper, 1).T)
    diagonal = full.diagonal()
    coupled = np.flatnonzero(np.diff(full.indptr) > (diagonal != 0.0))
    smallest = diagonal.min(initial=0.0)
    if len(coupled):
        block = full[coupled, :][:, coupled].toarray()
        smallest = min(smallest, float(np.linalg.eigvalsh(block)[0]))
    if smallest < -1e-9 * max(1.0, float(np.abs(diagonal).max(initial=0.0))):
        raise ModelError(f"{name}: the quadratic objective is not convex")


def _check_finite(program: ConicProgram, names: Sequence[str]) -> None:
    for row in np.flatnonzero(~np.isfinite(program.b0)).tolist():
        raise ModelError(f"{names[row]}: has a right-hand side that is not finite")
    for matrix in (program.matrix, csc_array(program.b_parameters)):
        bad = ~np.isfinite(matrix.data)
        if bad.any():
            row = matrix.indices[np.flatnonzero(bad)[0]]
            raise ModelError(f"{names[row]}: has a coefficient that is not finite")
    objective = (
        program.q0,
        program.quadratic.data,
        program.q_parameters.data,
        program.offset0,
        program.offset_linear,
        program.offset_quadratic.data,
    )
    if not all(np.isfinite(part).all() for part in objective):
        raise ModelError("objective: has a coefficient that is not finite")
