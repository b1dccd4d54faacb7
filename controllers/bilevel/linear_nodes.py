"""Relaxations of nodes by HiGHS's simplex: one linear program with changing bounds."""

from typing import Any

import highspy
import numpy as np
from scipy.sparse import csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.node import (
    MULTIPLIER_ZERO,
    SLACK_ZERO,
    NodeState,
    Relaxation,
)
from stackelgrid.controllers.solvers.conic import ProgramData
from stackelgrid.controllers.solvers.highs_object import new_highs, run_highs
from stackelgrid.profiles.arrays import Floats

_STATUS = {
    highspy.HighsModelStatus.kOptimal: "optimal",
    highspy.HighsModelStatus.kInfeasible: "infeasible",
    highspy.HighsModelStatus.kUnbounded: "unbounded",
}


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
        program, data = self.form.program, self.data
        a = csr_array(program.matrix)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = program.variables, program.rows
        lp.col_cost_ = self._cost
        lp.col_lower_ = np.full(program.variables, -np.inf)
        lp.col_upper_ = np.full(program.variables, np.inf)
        lp.row_lower_, lp.row_upper_ = self._lower, data.b
        lp.offset_ = data.offset
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = lp.num_col_, lp.num_row_
        lp.a_matrix_.start_ = a.indptr.astype(np.int32)
        lp.a_matrix_.index_ = a.indices.astype(np.int32)
        lp.a_matrix_.value_ = a.data
        self._highs = new_highs()
        for name, value in (
            ("output_flag", False),
            ("threads", 1),
            ("presolve", "off"),  # it does not distinguish infeasible from unbounded
            ("primal_feasibility_tolerance", tolerances.MASTER_FEASIBILITY),
            ("dual_feasibility_tolerance", tolerances.MASTER_FEASIBILITY),
        ):
            self._highs.setOptionValue(name, value)
        self._highs.passModel(lp)

    def recost(self, data: ProgramData) -> None:
        """Set another objective; the rows and the basis stay."""
        self.data, self._cost = data, data.q

    def solve(self, state: NodeState, *, feasibility: bool = False) -> Relaxation:
        """Solve a node from the last basis, or from scratch if that fails."""
        if (state.lower > state.upper).any():
            return _nothing("infeasible", "an integer has no value left")
        result = self._run(state, feasibility)
        if result.status == "failed":
            self._cold()
            result = self._run(state, feasibility)
        return result

    def _run(self, state: NodeState, feasibility: bool) -> Relaxation:
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
            return _nothing("failed", f"{type(error).__name__}: {error}")
        message = str(highs.modelStatusToString(code))
        return _nothing("infeasible" if _STATUS.get(code) == "infeasible" else "failed", message)

    def _point(self, feasibility: bool) -> Relaxation:
        z = np.array(self._highs.getSolution().col_value)
        violation, row = self.form.program.violation(z, self.data.b)
        if not violation <= tolerances.POINT_VIOLATION:
            return _nothing("failed", f"HiGHS: row {row} is violated by {violation:.1e}")
        value = float(self._cost @ z + self.data.offset)
        return Relaxation("optimal", z, value, -np.inf if feasibility else value, "Optimal")

    def _ray(self) -> Relaxation:
        _, found, ray = self._highs.getPrimalRay()
        if not found:
            return _nothing("failed", "HiGHS: unbounded without a ray")
        direction: Floats = np.array(ray)
        nan = float("nan")
        return Relaxation("unbounded", direction, nan, nan, "Unbounded")


def _nothing(status: str, message: str) -> Relaxation:
    nan = float("nan")
    code = "infeasible" if status == "infeasible" else "failed"
    return Relaxation(code, np.zeros(0), nan, nan, message)  # type: ignore[arg-type]
