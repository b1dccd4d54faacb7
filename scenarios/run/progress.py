"""Progress of a run after an interval, for the console and other listeners; light imports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isnan
from typing import TYPE_CHECKING

from stackelgrid.controllers.explanation import explanation, severity
from stackelgrid.controllers.verdict import EXACT, FEASIBLE, INFEASIBLE

if TYPE_CHECKING:
    from stackelgrid.controllers.decision import Decision
    from stackelgrid.scenarios.build.system import BuiltScenario
    from stackelgrid.simulators.results.certificate_totals import CertificateTotals
    from stackelgrid.simulators.results.grid_interval import GridInterval
    from stackelgrid.simulators.results.negotiation_totals import NegotiationTotals
    from stackelgrid.simulators.results.totals import Totals


def counted(number: int, noun: str) -> str:
    """Return "1 interval", "4 intervals"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


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


def run_progress(
    built: "BuiltScenario",
    totals: "Totals",
    rows: "Sequence[GridInterval]",
    decision: DecisionProgress,
    warning: str,
) -> RunProgress:
    """Return the progress after an interval; `rows` are the interval's, `totals` the run's."""
    return RunProgress(
        scenario=built.scenario.name,
        intervals_done=totals.intervals_done,
        intervals_planned=built.scenario.time.intervals,
        time=built.axis.index[totals.intervals_done - 1].to_pydatetime(),
        decision=decision,
        verdicts=verdict_counts(totals.certificate, len(totals.fallback_intervals)),
        worst=worst_grid(rows),
        min_vm=extreme(((r.grid, r.min_vm_pu) for r in rows), largest=False),
        max_vm=extreme(((r.grid, r.max_vm_pu) for r in rows), largest=True),
        max_loading=extreme(((r.grid, r.max_loading_percent) for r in rows), largest=True),
        negotiations=negotiation_progress(totals.negotiation),
        warning=warning,
    )


def decision_progress(decision: "Decision") -> DecisionProgress | None:
    """Return the progress record of a decision; None if all plans are earlier ones continued."""
    reports = [plan.report for plan in decision.plans.values() if plan.step == 0]
    if not reports:
        return None
    gaps = [r.gap for r in reports if not isnan(r.gap)]
    return DecisionProgress(
        solver=", ".join(dict.fromkeys(r.solver for r in reports if r.solver)),
        gap=max(gaps, default=float("nan")),
        solve_s=max(r.solve_s for r in reports),
    )


def verdict_counts(totals: "CertificateTotals", fallback: int) -> VerdictCounts:
    """Return counts so far; `fallback` intervals applied a schedule of an earlier decision."""
    return VerdictCounts(
        exact=totals.feeders.count(EXACT),
        feasible=totals.feeders.count(FEASIBLE),
        infeasible=totals.feeders.count(INFEASIBLE),
        recovered=len(totals.mended),
        fallback=fallback,
    )


def worst_grid(rows: "Sequence[GridInterval]") -> GridTrouble | None:
    """Return the grid with the largest realised violation, else the worst plan, else None."""
    columns = [row.columns() for row in rows]
    worst = max(columns, key=severity)
    good = severity(worst)[0] == 0
    return None if good else GridTrouble(worst["grid"], explanation(worst))


def extreme(values: Iterable[tuple[str, float]], *, largest: bool) -> GridValue:
    """Return the largest or smallest value with its grid; NaN is ignored."""
    known = [GridValue(grid, value) for grid, value in values if not isnan(value)]
    choose = max if largest else min
    return choose(known, key=lambda v: v.value) if known else GridValue("", float("nan"))


def negotiation_progress(totals: "NegotiationTotals") -> NegotiationProgress | None:
    """Return counts of negotiations so far; None for a run without negotiations."""
    if not totals.rounds:
        return None
    return NegotiationProgress(
        last_rounds=totals.rounds[-1],
        negotiations=totals.negotiations,
        agreements=totals.agreements,
        messages=totals.traffic.sent,
        lost=totals.traffic.lost + totals.traffic.in_outage,
        in_doubt=totals.in_doubt,
    )
