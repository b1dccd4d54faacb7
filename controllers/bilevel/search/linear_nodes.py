"""Solutions of nodes by HiGHS's simplex: one linear program with changing bounds."""

from dataclasses import replace
from typing import Any

import highspy
import numpy as np
from scipy.sparse import csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.search.node import (
    MULTIPLIER_ZERO,
    SLACK_ZERO,
    NodeState,
)
from stackelgrid.controllers.solvers.backends.highs import load, run_highs
from stackelgrid.controllers.solvers.conic import ProgramData, Solution, SolverStatus

_NONE = np.zeros(0)


def is_linear(form: KktForm) -> bool:
    """Return whether the single level, complementarity apart, is a linear program."""
    return form.program.quadratic.nnz == 0 and not form.program.cones


class LinearNodes:
    """Single level of one instance in HiGHS; a node changes bounds of rows and columns."""

    def __init__(self, form: KktForm, data: ProgramData) -> None:
        self.form, self.data = form, data
        program = form.program
        self._lower = np.concatenate([data.b[: program.zero], np.full(program.nonneg, -np.inf)])
        self._cost = data.q
        self._highs: Any = None
        self._cold()

    def _cold(self) -> None:
        program = self.form.program
        free = np.full(program.variables, np.inf)
        self._highs = load(
            self._cost,
            (-free, free),
            csr_array(program.matrix),
            (self._lower, self.data.b),
            {"presolve": "off"},  # it does not distinguish infeasible from unbounded
        )

    def recost(self, data: ProgramData) -> None:
        """Set another objective; the rows and the basis stay."""
        self.data, self._cost = data, data.q

    def solve(self, state: NodeState, *, feasibility: bool = False) -> Solution:
        """Solve a node from the last basis, or from scratch if that fails."""
        if (state.lower > state.upper).any():
            return Solution.without_values("infeasible", "an integer has no value left")
        result = self._run(state, feasibility)
        if result.status == "failed":
            self._cold()
            result = self._run(state, feasibility)
        return result

    def _run(self, state: NodeState, feasibility: bool) -> Solution:
        form, highs, program = self.form, self._highs, self.form.program
        rows = form.slack_rows
        lower = np.where(state.sides == SLACK_ZERO, self.data.b[rows], -np.inf)
        highs.changeRowsBounds(len(rows), rows.astype(np.int32), lower, self.data.b[rows])
        columns = np.concatenate([form.multipliers, program.integer]).astype(np.int32)
        upper = np.where(state.sides == MULTIPLIER_ZERO, 0.0, np.inf)
        highs.changeColsBounds(
            len(columns),
            columns,
            np.concatenate([np.zeros(len(upper)), state.lower]),
            np.concatenate([upper, state.upper]),
        )
        n = program.variables
        cost = np.zeros(n) if feasibility else self._cost
        highs.changeColsCost(n, np.arange(n, dtype=np.int32), cost)
        try:
            run_highs(highs)
            code = highs.getModelStatus()
            if code == highspy.HighsModelStatus.kOptimal:
                return self._point(feasibility)
            if code == highspy.HighsModelStatus.kUnbounded:
                return self._ray()
        except Exception as error:  # a foreign library may raise anything; the search goes on
            return Solution.without_values("failed", f"{type(error).__name__}: {error}")
        message = str(highs.modelStatusToString(code))
        infeasible = code == highspy.HighsModelStatus.kInfeasible
        status: SolverStatus = "infeasible" if infeasible else "failed"
        return Solution.without_values(status, message)

    def _point(self, feasibility: bool) -> Solution:
        z = np.array(self._highs.getSolution().col_value)
        violation, row = self.form.program.violation(z, self.data.b)
        if not violation <= tolerances.POINT_VIOLATION:
            return Solution.without_values(
                "failed", f"HiGHS: row {row} is violated by {violation:.1e}"
            )
        value = float(self._cost @ z + self.data.offset)
        bound = -np.inf if feasibility else value
        return Solution("optimal", z, _NONE, value, bound, violation, 0, 0.0, "Optimal")

    def _ray(self) -> Solution:
        _, found, ray = self._highs.getPrimalRay()
        if not found:
            return Solution.without_values("failed", "HiGHS: unbounded without a ray")
        return replace(Solution.without_values("unbounded", "Unbounded"), x=np.array(ray))
