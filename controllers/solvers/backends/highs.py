"""HiGHS: objects beside others of the same process, and a mixed-integer master with cuts."""

import ctypes
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import highspy
import numpy as np
from scipy.sparse import csr_array, vstack

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.backends.backend import Claim
from stackelgrid.controllers.solvers.conic import SearchStatus
from stackelgrid.profiles.arrays import Floats, Ints

_STDOUT = 1
_LOCK = threading.Lock()
_first_made = False
_OPTIONS: dict[str, Any] = {
    "output_flag": False,
    "threads": 1,
    "parallel": "off",
    "random_seed": 0,
    "primal_feasibility_tolerance": tolerances.MASTER_FEASIBILITY,
    "dual_feasibility_tolerance": tolerances.MASTER_FEASIBILITY,
}

_STATUS: dict[Any, SearchStatus] = {
    highspy.HighsModelStatus.kOptimal: "optimal",
    highspy.HighsModelStatus.kInfeasible: "infeasible",
    highspy.HighsModelStatus.kUnbounded: "unbounded",
    highspy.HighsModelStatus.kUnboundedOrInfeasible: "unbounded",
    highspy.HighsModelStatus.kTimeLimit: "limit",
    highspy.HighsModelStatus.kIterationLimit: "limit",
    highspy.HighsModelStatus.kSolutionLimit: "limit",
    highspy.HighsModelStatus.kInterrupt: "limit",
}


def new_highs() -> Any:
    """Return a new `highspy.Highs` object; nothing reaches standard output.

    From 1.16 on HiGHS prints its banner in the first constructor of a process, before options
    can be set, through the C library: only the file descriptor itself can be redirected.
    """
    global _first_made
    with _LOCK:
        if _first_made:
            return highspy.Highs()  # type: ignore[no-untyped-call]  # noqa: TID251
        with _discarded_output():
            highs = highspy.Highs()  # type: ignore[no-untyped-call]  # noqa: TID251
        _first_made = True
        return highs


def run_highs(highs: Any) -> None:
    """Run HiGHS, also where another use of HiGHS in this thread has set other options.

    HiGHS keeps a scheduler for each thread of the process, with the number of threads of the first
    run (in 1.16 two on two cores), and refuses to run with another number until it is reset.
    """
    status = highs.run()
    not_run = highs.getModelStatus() == highspy.HighsModelStatus.kNotset
    if status == highspy.HighsStatus.kError and not_run:
        kind = type(highs)
        reset = getattr(kind, "resetThreadScheduler", kind.resetGlobalScheduler)
        reset(True)
        highs.run()


@contextmanager
def _discarded_output() -> Iterator[None]:
    """Point file descriptor 1 to the null device, flushing the C library's buffers around it."""
    try:
        saved = os.dup(_STDOUT)
    except OSError:  # standard output is closed
        yield
        return
    c_library = ctypes.CDLL(None)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        c_library.fflush(None)
        os.dup2(null, _STDOUT)
        try:
            yield
        finally:
            c_library.fflush(None)
            os.dup2(saved, _STDOUT)
    finally:
        os.close(null)
        os.close(saved)


def load(
    cost: Floats,
    columns: tuple[Floats, Floats],
    matrix: csr_array,
    rows: tuple[Floats, Floats],
    options: Mapping[str, Any],
    integer: Ints | None = None,
) -> Any:
    """Return a Highs object with min cost'x; bounds of columns and rows are (lower, upper).

    `options` add to those of every use; `integer` are the columns that take integers.
    """
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(cost), len(rows[0])
    lp.col_cost_, (lp.col_lower_, lp.col_upper_) = cost, columns
    lp.row_lower_, lp.row_upper_ = rows
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = lp.num_col_, lp.num_row_
    lp.a_matrix_.start_ = matrix.indptr.astype(np.int32)
    lp.a_matrix_.index_ = matrix.indices.astype(np.int32)
    lp.a_matrix_.value_ = matrix.data
    if integer is not None:
        kinds = np.full(lp.num_col_, highspy.HighsVarType.kContinuous, dtype=object)
        kinds[integer] = highspy.HighsVarType.kInteger
        lp.integrality_ = kinds.tolist()
    highs = new_highs()
    for name, value in {**_OPTIONS, **options}.items():
        highs.setOptionValue(name, value)
    highs.passModel(lp)
    return highs


@dataclass
class LinearMaster:
    """min cost'x  s.t.  row_lower <= matrix x <= row_upper, column bounds, `integer` columns.

    Rows (cuts) are added between solves. The status "unbounded" may also mean infeasible: HiGHS's
    presolve does not tell them apart.
    """

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
    ) -> Claim:
        """Solve from scratch (one thread, fixed seed); an exception of HiGHS becomes "failed"."""
        self._flush()
        try:
            highs = load(
                self.cost,
                (self.lower, self.upper),
                self.matrix,
                (self.row_lower, self.row_upper),
                _limits(absolute_gap, node_limit, time_limit_s),
                None if relaxed else self.integer,
            )
            if highs.getNumCol() != len(self.cost):
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


def _limits(
    absolute_gap: float, node_limit: int | None, time_limit_s: float | None
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "mip_rel_gap": 0.0,
        "mip_abs_gap": absolute_gap,
        "mip_feasibility_tolerance": tolerances.MASTER_FEASIBILITY,
    }
    if node_limit is not None:
        values["mip_max_nodes"] = max(node_limit, 0)
    if time_limit_s is not None:
        values["time_limit"] = max(time_limit_s, 0.0)
    return values


def _read(highs: Any, relaxed: bool) -> Claim:
    info, status = highs.getInfo(), _STATUS.get(highs.getModelStatus(), "failed")
    feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    x = np.array(highs.getSolution().col_value) if feasible else None
    bound = float(info.objective_function_value if relaxed else info.mip_dual_bound)
    if relaxed and status != "optimal":
        bound = -np.inf
    return Claim(
        status=status,
        x=x if x is None or np.isfinite(x).all() else None,
        bound=bound if np.isfinite(bound) else -np.inf,
        nodes=0 if relaxed else max(int(info.mip_node_count), 0),
        message=str(highs.modelStatusToString(highs.getModelStatus())),
    )


def _failed(message: str) -> Claim:
    return Claim("failed", None, -np.inf, 0, f"HiGHS: {message}")
