"""Bilevel program as arrays, options of a solve, and its solution.

Leader and follower are conic programs (solvers/conic.py). The leader's decisions x enter the
follower only through its parameters, p = p_data + link @ x, so the follower's program at x is
`follower.data(p)`. Ties of the follower are resolved in the leader's favour (optimistic).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.profiles.arrays import Floats

BilevelStatus = Literal["optimal", "infeasible", "unbounded", "time_limit", "node_limit", "open"]
EngineStatus = Literal["optimal", "infeasible", "unbounded", "limit"]
Method = Literal["auto", "kkt_big_m", "kkt_disjunctive", "strong_duality", "branch"]
METHODS: tuple[Method, ...] = (
    "auto",
    "kkt_big_m",
    "kkt_disjunctive",
    "strong_duality",
    "branch",
)
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True)
class ProgramNames:
    """Names for messages; empty tuples where names are not known."""

    follower: str = "follower"
    leader_rows: Sequence[str] = ()
    follower_rows: Sequence[str] = ()
    columns: tuple[str, ...] = ()

    def follower_row(self, row: int) -> str:
        """Name of a row of the follower."""
        return self.follower_rows[row] if self.follower_rows else f"row {row} of {self.follower}"

    def column(self, column: int) -> str:
        """Name of a column [x | y | w]."""
        return self.columns[column] if self.columns else f"column {column}"


@dataclass(frozen=True)
class BilevelProgram:
    """Leader, follower and their link; matrices only, built once.

    `leader` has the columns [x (n_x) | y (follower.variables) | w (n_w)]; its integer columns are
    among x. `link` (follower parameters, n_x) carries x into the follower. `dual_map`
    (n_w, follower.rows) defines w = dual_map @ nu with the follower's multipliers nu (signs of
    conic.Solution.dual). `products` (all leader columns squared, each product stored once) adds
    z' products z to the leader's objective, each entry a w times an x or a y.
    """

    leader: ConicProgram
    follower: ConicProgram
    link: csr_array
    dual_map: csr_array
    products: csr_array
    names: ProgramNames = ProgramNames()

    @property
    def n_x(self) -> int:
        """Number of the leader's own columns."""
        return int(self.link.shape[1])

    @property
    def n_y(self) -> int:
        """Number of the follower's columns."""
        return self.follower.variables

    @property
    def n_w(self) -> int:
        """Number of columns that hold combinations of the follower's multipliers."""
        return int(self.dual_map.shape[0])

    @property
    def pairs(self) -> int:
        """Number of complementarity pairs: the follower's inequalities, in their order."""
        return self.follower.nonneg


@dataclass(frozen=True)
class BilevelData:
    """The vectors of a bilevel program that change from one instance to the next.

    `dual_cost` (follower.rows,) is a linear cost of the follower's multipliers in the leader's
    objective.
    """

    leader: ProgramData
    follower_parameters: Floats
    dual_cost: Floats | None = None

    def follower_data(self, program: BilevelProgram, x: Floats) -> ProgramData:
        """Vectors of the follower's program at the leader's decision x (n_x,)."""
        return program.follower.data(self.follower_parameters + program.link @ x)


@dataclass(frozen=True)
class BilevelOptions:
    """Options of a solve: method, stopping rules and proven pairs.

    The search stops at the relative `gap`, after `time_limit_s` (wall clock, not reproducible) or
    after `node_limit` nodes. `snap` maps a relaxed x (n_x,) to values of the leader's integer
    columns. `slack_zero` and `multiplier_zero` (pairs,) are proven before (presolve/proof.py).
    `heuristic_interval` nodes lie between two attempts to complete a relaxed point.
    """

    method: Method = "auto"
    gap: float = 1e-6
    time_limit_s: float | None = None
    node_limit: int | None = None
    snap: Callable[[Floats], Floats] | None = None
    slack_zero: Flags | None = None
    multiplier_zero: Flags | None = None
    heuristic_interval: int = 20

    def after(self, started: float, nodes: int = 0) -> "BilevelOptions":
        """Limits that remain since `started` (perf_counter) and after `nodes` nodes."""
        seconds, count = self.time_limit_s, self.node_limit
        if seconds is not None:
            seconds = max(seconds - (time.perf_counter() - started), 1e-9)
        return replace(
            self,
            time_limit_s=seconds,
            node_limit=None if count is None else max(count - nodes, 0),
        )


@dataclass(frozen=True)
class BilevelSolution:
    """Solution after the audit (audit.py).

    `status` is "optimal" exactly if `gap` is at most the requested gap, "time_limit" and
    "node_limit" if a given limit is reached, "open" if the search ended with a larger gap, or
    without a point, before any limit.
    `objective` and `bound` are the leader's, minimised; `gap` is (objective - bound) /
    max(1, |objective|). `follower_gap` is the follower's distance from its optimum, by an
    independent solver, relative to its size (audit.py). `kkt_residual` is the largest relative
    violation of the single-level rows and of complementarity. Without a point the arrays are empty
    and the values NaN. `log` holds (seconds, nodes, bound, objective) at every better objective.
    """

    status: BilevelStatus
    x: Floats
    y: Floats
    w: Floats
    nu: Floats
    objective: float
    bound: float
    gap: float
    follower_gap: float
    kkt_residual: float
    nodes: int
    solve_s: float
    method: Method
    message: str
    big_m_active: bool = False
    log: tuple[tuple[float, int, float, float], ...] = ()


@dataclass
class Outcome:
    """Result of an engine, in the columns of the single-level program; not yet audited.

    Status "limit" is every end without a proof; `message` describes the engine's way there.
    """

    status: EngineStatus
    z: Floats = field(default_factory=lambda: np.zeros(0))
    objective: float = np.inf
    bound: float = -np.inf
    nodes: int = 0
    message: str = ""
    big_m_active: bool = False
    log: tuple[tuple[float, int, float, float], ...] = ()
