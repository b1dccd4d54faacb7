"""HiGHS as mixed-integer linear master; rows (cuts) are added between solves."""

from dataclasses import dataclass, field
from typing import Any, Literal

import highspy
import numpy as np
from scipy.sparse import csr_array, vstack

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.highs_object import new_highs, run_highs
from stackelgrid.profiles.arrays import Floats, Ints

MasterStatus = Literal["optimal", "infeasible", "unbounded", "limit", "failed"]

VERSION = (
    f"{highspy.HIGHS_VERSION_MAJOR}.{highspy.HIGHS_VERSION_MINOR}.{highspy.HIGHS_VERSION_PATCH}"
)

_STATUS: dict[Any, MasterStatus] = {
    highspy.HighsModelStatus.kOptimal: "optimal",
    highspy.HighsModelStatus.kInfeasible: "infeasible",
    highspy.HighsModelStatus.kUnbounded: "unbounded",
    highspy.HighsModelStatus.kUnboundedOrInfeasible: "unbounded",
    highspy.HighsModelStatus.kTimeLimit: "limit",
    highspy.HighsModelStatus.kIterationLimit: "limit",
    highspy.HighsModelStatus.kSolutionLimit: "limit",
    highspy.HighsModelStatus.kInterrupt: "limit",
}


@dataclass(frozen=True)
class MasterResult:
    """Result of HiGHS: `x` is None without a feasible point, `bound` is its proven bound.

    "unbounded" may also mean "unbounded or infeasible": HiGHS's presolve does not tell them apart.
    """

    status: MasterStatus
    x: Floats | None
    objective: float
    bound: float
    nodes: int
    message: str


@dataclass
class LinearMaster:
    """min cost'x  s.t.  row_lower <= matrix x <= row_upper, column bounds, `integer` columns."""

    cost: Floats
    lower: Floats
    upper: Floats
    integer: Ints
    matrix: csr_array
    row_lower: Floats
    row_upper: Floats
    _pending: list[tuple[csr_array, Floats]] = field(default_factory=list)

    def add_rows(self, matrix: csr_array, lower: Floats) -> None:
        """Append rows `matrix x >= lower`."""
        if matrix.shape[0]:
            self._pending.append((matrix, lower))

    def add_binaries(self, count: int) -> Ints:
        """Append binary columns without cost and return their places."""
        self._flush()
        first = len(self.cost)
        places = np.arange(first, first + count, dtype=np.int64)
        self.cost = np.concatenate([self.cost, np.zeros(count)])
        self.lower = np.concatenate([self.lower, np.zeros(count)])
        self.upper = np.concatenate([self.upper, np.ones(count)])
        self.integer = np.concatenate([self.integer, places])
        self.matrix.resize((self.matrix.shape[0], first + count))
        return places

    def solve(
        self,
        *,
        relaxed: bool = False,
        absolute_gap: float = 0.0,
        node_limit: int | None = None,
        time_limit_s: float | None = None,
        start: Floats | None = None,
    ) -> MasterResult:
        """Solve from scratch (one thread, fixed seed); an exception of HiGHS becomes "failed"."""
        self._flush()
        try:
            highs = new_highs()
            _options(highs, absolute_gap, node_limit, time_limit_s)
            if highs.passModel(self._model(relaxed)) == highspy.HighsStatus.kError:
                return _failed("the model was refused")
            if start is not None and not relaxed:
                known = highspy.HighsSolution()
                known.col_value = start.tolist()
                highs.setSolution(known)
            run_highs(highs)
            return _read(highs, relaxed)
        except Exception as error:  # a foreign library may raise anything; the driver must go on
            return _failed(f"{type(error).__name__}: {error}")

    def _flush(self) -> None:
        if not self._pending:
            return
        width = len(self.cost)
        for matrix, _ in self._pending:
            matrix.resize((matrix.shape[0], width))
        self.matrix = csr_array(vstack([self.matrix, *(m for m, _ in self._pending)], "csr"))
        added = np.concatenate([lower for _, lower in self._pending])
        self.row_lower = np.concatenate([self.row_lower, added])
        self.row_upper = np.concatenate([self.row_upper, np.full(len(added), np.inf)])
        self._pending = []

    def _model(self, relaxed: bool) -> Any:
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.cost), len(self.row_lower)
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = self.cost, self.lower, self.upper
        lp.row_lower_, lp.row_upper_ = self.row_lower, self.row_upper
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = lp.num_col_, lp.num_row_
        lp.a_matrix_.start_ = self.matrix.indptr.astype(np.int32)
        lp.a_matrix_.index_ = self.matrix.indices.astype(np.int32)
        lp.a_matrix_.value_ = self.matrix.data
        if not relaxed:
            kinds = np.full(lp.num_col_, highspy.HighsVarType.kContinuous, dtype=object)
            kinds[self.integer] = highspy.HighsVarType.kInteger
            lp.integrality_ = kinds.tolist()
        return lp


def _options(
    highs: Any, absolute_gap: float, node_limit: int | None, time_limit_s: float | None
) -> None:
    values: dict[str, Any] = {
        "output_flag": False,
        "threads": 1,
        "parallel": "off",
        "random_seed": 0,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": absolute_gap,
        "primal_feasibility_tolerance": tolerances.MASTER_FEASIBILITY,
        "dual_feasibility_tolerance": tolerances.MASTER_FEASIBILITY,
        "mip_feasibility_tolerance": tolerances.MASTER_FEASIBILITY,
    }
    if node_limit is not None:
        values["mip_max_nodes"] = max(node_limit, 0)
    if time_limit_s is not None:
        values["time_limit"] = max(time_limit_s, 0.0)
    for name, value in values.items():
        highs.setOptionValue(name, value)


def _read(highs: Any, relaxed: bool) -> MasterResult:
    info, status = highs.getInfo(), _STATUS.get(highs.getModelStatus(), "failed")
    feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    x = np.array(highs.getSolution().col_value) if feasible else None
    objective = float(info.objective_function_value) if feasible else float("nan")
    bound = float(info.mip_dual_bound) if not relaxed else objective
    if relaxed and status != "optimal":
        bound = -np.inf
    return MasterResult(
        status=status,
        x=x if x is None or np.isfinite(x).all() else None,
        objective=objective,
        bound=bound if np.isfinite(bound) else -np.inf,
        nodes=0 if relaxed else max(int(info.mip_node_count), 0),
        message=str(highs.modelStatusToString(highs.getModelStatus())),
    )


def _failed(message: str) -> MasterResult:
    return MasterResult("failed", None, float("nan"), -np.inf, 0, f"HiGHS: {message}")
