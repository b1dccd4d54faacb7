"""Records of a run's progress, for the console and other listeners."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class DecisionProgress:
    """Solvers of a decision (joined names), its largest relative gap (NaN: none) and its time."""

    solver: str = ""
    gap: float = float("nan")
    solve_s: float = 0.0


@dataclass(frozen=True)
class VerdictCounts:
    """Counts of intervals by the verdict of their worst feeder, recovered, and with fallback."""

    exact: int = 0
    feasible: int = 0
    infeasible: int = 0
    recovered: int = 0
    fallback: int = 0


@dataclass(frozen=True)
class GridTrouble:
    """Worst grid of an interval, and why it is not good."""

    grid: str
    text: str


@dataclass(frozen=True)
class GridValue:
    """An extreme value over all grids, with its grid."""

    grid: str
    value: float


@dataclass(frozen=True)
class NegotiationProgress:
    """Rounds of the last negotiation; counts and results of negotiations by messages."""

    last_rounds: int
    negotiations: int
    agreements: int
    messages: int
    lost: int
    in_doubt: int


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run after an interval; `time` is the interval's start in local time.

    `worst` is None if every grid was within its limits and every plan exact (a DC dispatch:
    feasible). Voltages in p.u. and `max_loading` in percent are realised values.
    """

    scenario: str
    intervals_done: int
    intervals_planned: int
    time: datetime
    decision: DecisionProgress
    verdicts: VerdictCounts
    worst: GridTrouble | None
    min_vm: GridValue
    max_vm: GridValue
    max_loading: GridValue
    negotiations: NegotiationProgress | None = None
    warning: str = ""
