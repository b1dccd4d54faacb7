"""Compilation of a Pyomo model with a follower block to a BilevelProgram, and back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.common.errors import PyomoException
from pyomo.common.gc_manager import PauseGC
from scipy.sparse import coo_array, csc_array, csr_array

from stackelgrid.controllers.bilevel.duals import placeholders
from stackelgrid.controllers.bilevel.problem import (
    BilevelData,
    BilevelProgram,
    BilevelSolution,
    ProgramNames,
)
from stackelgrid.controllers.bilevel.reading.levels import Levels, read_levels
from stackelgrid.controllers.bilevel.reading.magnitudes import check_sizes
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.compile.compiled import CompiledModel
from stackelgrid.controllers.solvers.compile.compiler import compile_model
from stackelgrid.controllers.solvers.conic import ConicProgram
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class _Objective:
    """Terms of an objective for the compiler."""

    name: str
    expr: Any
    sense: Any


@dataclass(frozen=True)
class _View:
    """One level of the model, in the form that the compiler reads."""

    name: str
    variables: Sequence[Any]
    constraints: Sequence[Any]
    objective: Any

    def component_objects(self, ctype: Any, **_: Any) -> Iterator[Any]:
        return iter(self.variables if ctype is pyo.Var else self.constraints)

    def component_data_objects(self, ctype: Any, **_: Any) -> Iterator[Any]:
        return iter([self.objective])


@dataclass(frozen=True)
class CompiledBilevel:
    """Bilevel program with the positions of the Pyomo model's components.

    `maximise` states that the program minimises the leader's negated objective. `variables` are
    the leader's, the follower's and the dual placeholders' data in the order of the columns;
    `components` the slice of each component by name; `dual_rows` the rows of the follower's
    constraint components and the factors that turn multipliers into duals.
    """

    program: BilevelProgram
    data: BilevelData
    maximise: bool
    variables: tuple[Any, ...]
    components: Mapping[str, slice]
    dual_rows: Mapping[str, csr_array]

    def write(self, solution: BilevelSolution) -> None:
        """Set the values of the Pyomo variables that are not fixed."""
        values = np.concatenate([solution.x, solution.y, solution.w])
        for variable, value in zip(self.variables, values.tolist(), strict=True):
            if variable.fixed:
                continue
            if not variable.is_continuous():
                value = round(value)
            variable.set_value(value, skip_validation=True)

    def values(self, solution: BilevelSolution) -> dict[str, Floats]:
        """Values by variable component, in the order of its index set; fixed ones as given."""
        z = np.concatenate([solution.x, solution.y, solution.w])
        fixed = [k for k, variable in enumerate(self.variables) if variable.fixed]
        z[fixed] = [float(self.variables[k].value) for k in fixed]
        return {name: z[places] for name, places in self.components.items()}

    def duals(self, solution: BilevelSolution) -> dict[str, Floats]:
        """Duals by constraint component of the follower; NaN for second-order cones."""
        return {name: np.asarray(rows @ solution.nu) for name, rows in self.dual_rows.items()}


def compile_bilevel(model: Any, follower: Any) -> CompiledBilevel:
    """Compile a Pyomo model and its follower (a Block or several) to arrays.

    Raises ModelError, naming the component, for components that are not accepted.
    """
    if getattr(model, "ctype", None) is not pyo.Block or isinstance(model, pyo.AbstractModel):
        raise ModelError(f"model {model!r:.60}: a Pyomo ConcreteModel is accepted")
    try:
        with PauseGC():
            compiled = _compile(model, read_levels(model, follower))
    except (ArithmeticError, ValueError, TypeError, PyomoException) as error:
        what = " ".join(str(error).split())
        raise ModelError(f"{model.name}: cannot be evaluated: {what:.300}") from error
    check_sizes(compiled.program)
    return compiled


def _compile(model: Any, levels: Levels) -> CompiledBilevel:
    below = _compile_follower(levels)
    x = [v for component in levels.leader_variables for v in component.values()]
    y = [v for component in levels.follower_variables for v in component.values()]
    w = [v for component in levels.placeholders for v in component.values()]
    variables = (*x, *y, *w)
    leader, row_names = _compile_leader(levels)
    quadratic, products = _split(leader.quadratic, len(x) + len(y))
    leader = replace(leader, quadratic=quadratic)
    place = {id(v): k for k, v in enumerate(variables)}
    parameters = [v for component in levels.data for v in component.values()]
    link = csr_array(
        (np.ones(len(parameters)),
         (np.arange(len(parameters)), [place[id(v)] for v in parameters])),
        shape=(len(parameters), len(x)),
    )  # fmt: skip
    dual_rows = {
        component.name: _dual_rows(component, levels, below)
        for component in levels.follower_constraints
    }
    program = BilevelProgram(
        leader=leader,
        follower=below.program,
        link=link,
        dual_map=_dual_map(model, levels, dual_rows, below.program.rows),
        products=products,
        names=ProgramNames(
            follower=levels.name,
            leader_rows=row_names,
            follower_rows=below.row_names,
            columns=tuple(v.name for v in variables),
        ),
    )
    components: dict[str, slice] = {}
    first = 0
    for component in (
        *levels.leader_variables,
        *levels.follower_variables,
        *levels.placeholders,
    ):
        components[component.name] = slice(first, first + len(component))
        first += len(component)
    none = np.zeros(0)
    return CompiledBilevel(
        program=program,
        data=BilevelData(leader.data(none), np.zeros(len(parameters))),
        maximise=levels.objective.sense == pyo.maximize,
        variables=variables,
        components=components,
        dual_rows=dual_rows,
    )


def _compile_follower(levels: Levels) -> CompiledModel:
    total = sum(f.sign * f.objective.expr for f in levels.followers)
    names = ", ".join(f.objective.name for f in levels.followers)
    view = _View(
        levels.name,
        levels.follower_variables,
        levels.follower_constraints,
        _Objective(names, total, pyo.minimize),
    )
    try:
        return compile_model(view, levels.data)
    except ModelError as error:
        raise ModelError(f"follower {levels.name}: {error}") from error


def _compile_leader(levels: Levels) -> tuple[ConicProgram, tuple[str, ...]]:
    """Return the leader's rows; bounds of the follower's variables are the follower's rows."""
    view = _View(
        "leader",
        (*levels.leader_variables, *levels.follower_variables, *levels.placeholders),
        levels.leader_constraints,
        levels.objective,
    )
    # products of duals are replaced before it has to be convex (products.py)
    compiled = compile_model(view, check_convex=False)
    program = compiled.program
    bounds = {v.name for component in levels.follower_variables for v in component.values()}
    kept = np.array([name not in bounds for name in compiled.row_names], dtype=bool)
    rows = np.flatnonzero(kept)
    leader = replace(
        program.only(rows), b0=program.b0[rows], q0=program.q0, offset0=program.offset0
    )
    names = tuple(n for n, keep in zip(compiled.row_names, kept, strict=True) if keep)
    return leader, names


def _split(upper: csc_array, first_w: int) -> tuple[csc_array, csr_array]:
    """Split quadratic terms into those without duals, and products of a dual with a variable."""
    entries = coo_array(upper)
    i, j = entries.coords
    mixed = (i < first_w) & (j >= first_w)
    parts = [
        coo_array((entries.data[at], (i[at], j[at])), shape=upper.shape)
        for at in (~mixed & (entries.data != 0.0), mixed & (entries.data != 0.0))
    ]
    return csc_array(parts[0]), csr_array(parts[1])


def _dual_rows(component: Any, levels: Levels, below: CompiledModel) -> csr_array:
    """Factors that turn multipliers into the duals of a constraint component (see duals.py)."""
    sign = levels.owner(component).sign
    active = [c for c in component.values() if c.active]
    at: list[int] = []
    rows: list[int] = []
    factors: list[float] = []
    for k, (constraint, row) in enumerate(
        zip(active, below.rows[component.name].tolist(), strict=True)
    ):
        if row < 0:
            at, rows, factors = [*at, k], [*rows, 0], [*factors, float("nan")]
            continue
        lower, upper = constraint.lb, constraint.ub
        if upper is not None:
            at, rows, factors = [*at, k], [*rows, row], [*factors, -sign]
        if lower is not None and lower != upper:
            lower_row = row if upper is None else row - 1
            at, rows, factors = [*at, k], [*rows, lower_row], [*factors, sign]
    return csr_array((factors, (at, rows)), shape=(len(active), below.program.rows))


def _dual_map(
    model: Any, levels: Levels, dual_rows: Mapping[str, csr_array], rows: int
) -> csr_array:
    """Return the matrix in w = dual_map @ nu for the placeholders."""
    stands_for = placeholders(model)
    entries: list[tuple[int, int, float]] = []
    count = 0
    for component in levels.placeholders:
        constraint = stands_for[component]
        if constraint.name not in dual_rows:
            raise ModelError(f"{constraint.name}: is not an active constraint of {levels.name}")
        by_index = {c.index(): k for k, c in enumerate(c for c in constraint.values() if c.active)}
        found = dual_rows[constraint.name]
        for variable in component.values():
            index = variable.index()
            if index not in by_index:
                raise ModelError(f"{constraint.name}[{index}]: is not active, so it has no dual")
            row = found[[by_index[index]]]
            if np.isnan(row.data).any():
                raise ModelError(
                    f"{constraint.name}: a second-order-cone constraint has no single dual"
                )
            entries += [
                (count, int(column), float(value))
                for column, value in zip(row.indices, row.data, strict=True)
            ]
            count += 1
    data = np.array(entries, dtype=float).reshape(len(entries), 3).T
    return csr_array((data[2], (data[0].astype(int), data[1].astype(int))), shape=(count, rows))
