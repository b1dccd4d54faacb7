"""`solve_bilevel` solves a Pyomo model with a follower block and writes the solution back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stackelgrid.controllers.bilevel.problem import (
    METHODS,
    BilevelOptions,
    BilevelSolution,
    BilevelStatus,
    Method,
)
from stackelgrid.controllers.bilevel.reading.compiled import compile_bilevel
from stackelgrid.controllers.bilevel.solve import BilevelSolver
from stackelgrid.controllers.errors import ModelError
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class BilevelResult:
    """Result of `solve_bilevel`; objective and bound in the sense of the leader's objective.

    Without a point the numbers are NaN, values and duals are empty.

    status: "optimal" exactly if `gap` is at most the requested one; "time_limit" if the given limit
        is reached, "open" if the search ended before the gap without a limit, "infeasible",
        "unbounded".
    objective: leader's objective at the point.
    bound: proven bound on it.
    gap: |objective - bound| / max(1, |objective|).
    follower_gap: follower's distance from its own optimum at the leader's decision, by an
        independent solver (audit.py).
    kkt_residual: largest relative violation of the single-level rows and of complementarity.
    values: values of every variable component in the order of its index set.
    duals: duals of the follower's constraints, likewise (signs in duals.py).
    nodes: nodes of the search.
    seconds: wall-clock seconds.
    method: solution method that was used.
    message: status in words, with the proven gap.
    big_m_active: whether a proven bound on a multiplier is reached.
    """

    status: BilevelStatus
    objective: float
    bound: float
    gap: float
    follower_gap: float
    kkt_residual: float
    values: Mapping[str, Floats]
    duals: Mapping[str, Floats]
    nodes: int
    seconds: float
    method: Method
    message: str
    big_m_active: bool


def solve_bilevel(
    model: Any,
    follower: Any,
    method: Method = "auto",
    gap: float = 1e-6,
    time_limit: float | None = None,
) -> BilevelResult:
    """Solve a Pyomo model whose `follower` optimises for itself, and write the point to it.

    model: ConcreteModel. The leader's variables, objective and constraints are those outside the
        follower, and may contain the follower's variables and duals (follower_duals); linear or
        convex quadratic objective, linear and cone rows, binaries and bounded integers.
    follower: a Block, or a list of them: convex quadratic objective, linear and second-order-cone
        rows; the leader's variables are data to it. Its ties are resolved in the leader's favour.
    method: solution method, one of METHODS.
    gap: relative gap at which the search stops.
    time_limit: wall-clock limit in s; without it the search continues until `gap` is closed.

    Raises ModelError naming the component that is not accepted, and SolverError if no point passes
    the audit.
    """
    if method not in METHODS:
        raise ModelError(f"method {method}: {', '.join(METHODS)} are accepted")
    if not (_is_number(gap) and 0.0 < gap < math.inf):
        raise ModelError(f"gap {gap}: a positive value is accepted")
    if time_limit is not None and not (_is_number(time_limit) and time_limit > 0.0):
        raise ModelError(f"time_limit {time_limit}: a positive number of seconds is accepted")
    compiled = compile_bilevel(model, follower)
    options = BilevelOptions(method=method, gap=gap, time_limit_s=time_limit)
    solution = BilevelSolver(compiled.program).solve(compiled.data, options)
    found = bool(len(solution.x) + len(solution.y))
    if found:
        compiled.write(solution)
    return _result(solution, compiled.maximise, compiled.values(solution) if found else {},
                   compiled.duals(solution) if found else {})  # fmt: skip


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _result(
    solution: BilevelSolution,
    maximise: bool,
    values: Mapping[str, Floats],
    duals: Mapping[str, Floats],
) -> BilevelResult:
    sign = -1.0 if maximise else 1.0
    return BilevelResult(
        status=solution.status,
        objective=sign * solution.objective,
        bound=sign * solution.bound,
        gap=solution.gap,
        follower_gap=solution.follower_gap,
        kkt_residual=solution.kkt_residual,
        values=values,
        duals=duals,
        nodes=solution.nodes,
        seconds=solution.solve_s,
        method=solution.method,
        message=solution.message,
        big_m_active=solution.big_m_active,
    )
