"""How far a run has come, as its console and whoever else calls it are told."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class DecisionProgress:
    """Who solved a decision (names, joined), its largest relative gap (NaN: none), its time."""

    solver: str = ""
    gap: float = float("nan")
    solve_s: float = 0.0


@dataclass(frozen=True)
class VerdictCounts:
    """Intervals so far by the verdict of their worst feeder; recovered; with a fallback."""

    exact: int = 0
    feasible: int = 0
    infeasible: int = 0
    recovered: int = 0
    fallback: int = 0


@dataclass(frozen=True)
class GridTrouble:
    """The worst grid of an interval: realised violation (p.u., share of a rating) or verdict."""

    grid: str
    violation_pu: float
    where: str
    verdict: str


@dataclass(frozen=True)
class GridValue:
    """An extreme over grids, and the grid that has it."""

    grid: str
    value: float


@dataclass(frozen=True)
class NegotiationProgress:
    """Rounds of the last negotiation; of those by messages their number and what came out."""

    last_rounds: int
    negotiations: int
    agreements: int
    messages: int
    lost: int
    in_doubt: int


@dataclass(frozen=True)
class RunProgress:
    """A run after one of its intervals; `time` is that interval's start on the local clock.

    `worst` is None where every grid was within its limits and every plan exact (a DC dispatch:
    feasible); voltages in p.u., `max_loading` in percent, as they happened.
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
