"""Options and result of a mixed-integer search, and its best point beside its proven bound."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.backends.backend import MixedIntegerSolution
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, SearchStatus, Solution
from stackelgrid.controllers.solvers.search import Deadline
from stackelgrid.profiles.arrays import Floats

Snap = Callable[[Floats], Floats]
LogEntry = tuple[str, float, float, float]


@dataclass(frozen=True)
class MixedOptions:
    """Stopping rules: the relative `gap`, or a limit (then the status is "limit").

    `node_limit` counts the master's nodes over all rounds, `round_limit` the rounds of the outer
    approximation (0: relax, snap and restrict only). Both are reproducible; `time_limit_s` is
    wall-clock time and is not. `cut_rounds` bounds the rounds on the master's linear relaxation.
    `price_restricted` looks for a bound at the restricted program's multipliers (priced_rows.py).
    """

    gap: float = 1e-3
    time_limit_s: float | None = None
    node_limit: int | None = None
    round_limit: int = 500
    cut_rounds: int = 2
    price_restricted: bool = True


@dataclass(frozen=True)
class MixedSolution(MixedIntegerSolution):
    """Solution of one instance by our driver.

    `rounds` counts outer-approximation rounds, `nodes` those of the masters. A round in which
    all parts of a joined program are solved alone counts as one conic solve; `prices` (links,) are
    those of its links, to start from another time. `log` holds (phase, seconds since the start,
    bound, objective).
    """

    rounds: int
    relaxation: Solution
    conic_solves: int
    log: tuple[LogEntry, ...]
    prices: Floats | None = None


@dataclass
class Incumbent:
    """Best point and proven bound of one search, its counters and its log.

    `relaxation` is the first conic solve, `prices` (links,) those of a joined program's links.
    """

    program: ConicProgram
    data: ProgramData
    options: MixedOptions
    prices: Floats | None = None
    x: Floats = field(default_factory=lambda: np.zeros(0))
    objective: float = np.inf
    bound: float = -np.inf
    nodes: int = 0
    rounds: int = 0
    conic_solves: int = 0
    relaxation: Solution = field(init=False)

    def __post_init__(self) -> None:
        self.deadline = Deadline(self.options.time_limit_s)
        self.log: list[LogEntry] = []

    def offer(self, x: Floats) -> None:
        """Take a point as incumbent if it satisfies every row and is better."""
        violation, _ = self.program.violation(x, self.data.b)
        integers = x[self.program.integer]
        integral = np.abs(integers - np.round(integers)).max(initial=0.0)
        if not (violation <= tolerances.POINT_VIOLATION and integral <= tolerances.INTEGRALITY):
            return
        objective = self.program.objective(x, self.data)
        if objective < self.objective:
            self.x, self.objective = x, objective

    def raise_bound(self, bound: float) -> None:
        """Take a proven bound if it is better."""
        self.bound = max(self.bound, bound)

    @property
    def gap(self) -> float:
        """Relative gap; infinite without a point."""
        if not np.isfinite(self.objective):
            return np.inf
        return max(self.objective - self.bound, 0.0) / max(1.0, abs(self.objective))

    def closed(self) -> bool:
        """Return whether the wanted gap is reached."""
        return self.gap <= self.options.gap

    def exhausted(self) -> bool:
        """Return whether a limit is reached."""
        nodes = self.nodes_left()
        return (
            self.rounds >= self.options.round_limit
            or self.deadline.passed
            or (nodes is not None and nodes <= 0)
        )

    def nodes_left(self) -> int | None:
        """Nodes of the master to the limit; None without one."""
        limit = self.options.node_limit
        return None if limit is None else limit - self.nodes

    def note(self, phase: str) -> None:
        """Log a phase with bound and objective after it."""
        objective = self.objective if np.isfinite(self.objective) else float("nan")
        self.log.append((phase, self.deadline.seconds, self.bound, objective))

    def end(self, status: SearchStatus, message: str) -> MixedSolution:
        """Result as it stands."""
        found, nan = len(self.x) > 0, float("nan")
        excess = self.bound - self.objective
        if found and excess > tolerances.BOUND_CONTRADICTION * max(1.0, abs(self.objective)):
            status, message = "failed", f"bound {self.bound:g} above objective {self.objective:g}"
        return MixedSolution(
            status=status,
            x=self.x,
            objective=self.objective if found else nan,
            bound=min(self.bound, self.objective) if found else self.bound,
            violation=self.program.violation(self.x, self.data.b)[0] if found else nan,
            nodes=self.nodes,
            rounds=self.rounds,
            relaxation=self.relaxation,
            conic_solves=self.conic_solves,
            log=tuple(self.log),
            message=message,
            solve_s=self.deadline.seconds,
            prices=self.prices,
        )
