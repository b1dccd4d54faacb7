"""Gurobi, Xpress and COPT through Pyomo's solver interfaces, where they are installed."""

import importlib
import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression
from scipy.sparse import coo_array, csr_array

from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers.backends.backend import (
    CheckedBackend,
    Claim,
    LicenceState,
    answer_within,
    installed_version,
)
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, SearchStatus
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class External:
    """A commercial solver: its Python package, Pyomo interface and the names of its options.

    `plugin` is the module that registers the interface (COPT ships its own, `copt_pyomo`).
    `fixed` are options that every solve sets.
    """

    name: str
    package: str
    interface: str
    plugin: str | None
    relative_gap: str
    absolute_gap: str
    time_limit: str
    fixed: tuple[tuple[str, float], ...]

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules that must be importable."""
        return (self.package,) if self.plugin is None else (self.package, self.plugin)


# DualReductions 0 and presolve settings alike let a solver tell infeasible from unbounded
EXTERNALS = (
    External(
        name="gurobi",
        package="gurobipy",
        interface="gurobi_direct",
        plugin=None,
        relative_gap="MIPGap",
        absolute_gap="MIPGapAbs",
        time_limit="TimeLimit",
        fixed=(
            ("Threads", 1),
            ("DualReductions", 0),
            ("FeasibilityTol", 1e-9),
            ("IntFeasTol", 1e-9),
            ("BarQCPConvTol", 1e-9),
        ),
    ),
    External(
        name="xpress",
        package="xpress",
        interface="xpress_direct",
        plugin=None,
        relative_gap="miprelstop",
        absolute_gap="mipabsstop",
        time_limit="timelimit",
        fixed=(("threads", 1), ("feastol", 1e-9), ("miptol", 1e-9)),
    ),
    External(
        name="copt",
        package="coptpy",
        interface="copt_direct",
        plugin="copt_pyomo",
        relative_gap="RelGap",
        absolute_gap="AbsGap",
        time_limit="TimeLimit",
        fixed=(("Threads", 1), ("FeasTol", 1e-9), ("IntTol", 1e-9)),
    ),
)


def external(name: str) -> External:
    """Return the description of a commercial solver; raises SolverError for an unknown name."""
    for solver in EXTERNALS:
        if solver.name == name:
            return solver
    raise SolverError(f"{name}: accepted are {', '.join(s.name for s in EXTERNALS)}")


def version(solver: External) -> str | None:
    """Version of the solver's package, None where it is not installed."""
    return installed_version(solver.package)


@cache
def licence_state(name: str, wait_s: float = 5.0) -> LicenceState:
    """Return whether a solver can be used; never raises, takes at most `wait_s` s, cached."""
    solver = external(name)
    missing = [m for m in solver.modules if importlib.util.find_spec(m) is None]
    if missing:
        return LicenceState(False, f"not installed: no Python module {missing[0]}")
    state = answer_within(wait_s, lambda: _answers(solver))
    silent = LicenceState(False, f"the {name} licence did not answer within {wait_s:g} s")
    return silent if state is None else state


class ExternalSolver(CheckedBackend):
    """Mixed-integer conic backend by a solver behind Pyomo; each solve builds the model anew."""

    def __init__(
        self, program: ConicProgram, name: str, row_names: Sequence[str] | None = None
    ) -> None:
        super().__init__(program, row_names)
        self.solver = external(name)
        found = version(self.solver)
        if found is None:
            raise SolverError(f"{name} is not installed: no package {self.solver.package}")
        self.name, self.version = name, found

    def claim(self, data: ProgramData, gap: float, time_limit_s: float | None) -> Claim:
        """Run the solver through Pyomo."""
        interface = _interface(self.solver)
        options = dict(self.solver.fixed)
        # the gaps of these solvers are relative to the incumbent: either test implies ours
        options |= {self.solver.relative_gap: gap, self.solver.absolute_gap: gap}
        if time_limit_s is not None:
            options[self.solver.time_limit] = time_limit_s
        model = pyomo_model(self.program, data)
        results = interface.solve(model, options=options, load_solutions=False)
        return read_results(self.program, model, results)


def pyomo_model(program: ConicProgram, data: ProgramData) -> Any:
    """Rebuild a Pyomo model from arrays; columns are `m.x[j]`, a cone is sum of u^2 <= t^2."""
    m = pyo.ConcreteModel()
    integer = set(program.integer.tolist())
    m.x = pyo.Var(
        range(program.variables),
        domain=lambda _, j: pyo.Integers if j in integer else pyo.Reals,
    )
    rows = csr_array(program.matrix)
    linear = program.zero + program.nonneg
    m.u = pyo.Var(range(linear, program.rows))
    m.rows, m.cones = pyo.ConstraintList(), pyo.ConstraintList()
    for row in range(program.rows):
        span = slice(rows.indptr[row], rows.indptr[row + 1])
        coefficients = rows.data[span].tolist()
        variables = [m.x[j] for j in rows.indices[span].tolist()]
        if row >= linear:
            coefficients, variables = [*coefficients, 1.0], [*variables, m.u[row]]
        elif not variables:  # 0 (+ s) = b: an infeasible one must not vanish
            variables, coefficients = [m.x[0]], [0.0]
        body = LinearExpression(linear_coefs=coefficients, linear_vars=variables)
        b = float(data.b[row])
        m.rows.add((b, body, b) if row < program.zero or row >= linear else (None, body, b))
    at = linear
    for size in program.cones:
        m.u[at].setlb(0.0)
        squares = pyo.quicksum(m.u[row] ** 2 for row in range(at + 1, at + size))
        m.cones.add(squares - m.u[at] ** 2 <= 0.0)
        at += size
    upper = coo_array(program.quadratic)
    entries = zip(upper.row.tolist(), upper.col.tolist(), upper.data.tolist(), strict=True)
    cost = pyo.quicksum((0.5 * v if i == j else v) * m.x[i] * m.x[j] for i, j, v in entries)
    cost += pyo.quicksum(float(c) * m.x[j] for j, c in enumerate(data.q) if c != 0.0)
    m.cost = pyo.Objective(expr=cost + float(data.offset))
    return m


def read_results(program: ConicProgram, model: Any, results: Any) -> Claim:
    """Read termination, bound and point of a Pyomo result into a claim."""
    ended = results.solver.termination_condition
    status = _status(ended)
    message = f"{ended}"
    point: Floats | None = None
    bound = float("nan")
    if status in ("optimal", "limit"):
        if len(results.solution):
            model.solutions.load_from(results)
            point = _point(program, model)
        lower = results.problem.lower_bound
        bound = float(lower) if lower is not None else -np.inf
        if not len(program.integer) and status == "optimal" and not np.isfinite(bound):
            # interfaces give no dual objective of a continuous program
            bound = float(pyo.value(model.cost)) if point is not None else -np.inf
            message = f"{message}, bound as claimed by its status"
    return Claim(status, point, bound, 0, message)


def _status(ended: Any) -> SearchStatus:
    condition = pyo.TerminationCondition
    known: dict[Any, SearchStatus] = {
        condition.optimal: "optimal",
        condition.globallyOptimal: "optimal",
        condition.maxTimeLimit: "limit",
        condition.infeasible: "infeasible",
        condition.unbounded: "unbounded",
    }
    return known.get(ended, "failed")


def _point(program: ConicProgram, model: Any) -> Floats:
    """Values of the columns; a column that occurs nowhere is not sent to the solver and is 0."""
    values = [model.x[j].value for j in range(program.variables)]
    return np.array([0.0 if value is None else float(value) for value in values])


def _interface(solver: External) -> Any:
    if solver.plugin is not None:
        importlib.import_module(solver.plugin)  # importing registers the interface
    return pyo.SolverFactory(solver.interface)


def _answers(solver: External) -> LicenceState:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            available = _interface(solver).available(exception_flag=False)
        if available:
            return LicenceState(True, "licence answers")
        return LicenceState(False, f"no {solver.name} licence, or its libraries do not load")
    except Exception as error:  # whatever a plugin raises means: not usable
        return LicenceState(False, f"{solver.name}: {type(error).__name__}: {error}")
