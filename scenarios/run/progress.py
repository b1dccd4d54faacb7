"""Progress of a run after an interval, for the console and other listeners; light imports."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isnan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackelgrid.controllers.decision import Decision
    from stackelgrid.scenarios.build.system import BuiltScenario


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
class StudyProgress:
    """Steps of a study that are done, number of failed tasks, and what is being computed."""

    done: int
    failed: int = 0
    running: str = ""

    @property
    def details(self) -> list[str]:
        """Texts on the computation: tasks that run and the number that failed, as far as known."""
        failed = [f"{self.failed} failed"] if self.failed else []
        return [self.running, *failed] if self.running else failed


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run after an interval; `time` is the interval's start in local time.

    `verdict` is the worst one of the interval's feeders; empty without a certificate.
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
    verdict: str = ""


class Listener:
    """Receives the progress of a run; shows nothing."""

    def building(self, text: str) -> None:
        """Receive the name of the part that is built next, before the first interval."""

    def interval_ended(self, progress: RunProgress) -> None:
        """Receive the progress after an interval."""


def run_progress(
    built: "BuiltScenario",
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    last_rounds: int,
    decision: DecisionProgress,
    warning: str,
) -> RunProgress:
    """Return the progress after an interval.

    built: scenario of the run.
    summary: content of summary.json so far.
    rows: rows of the table `interval` in the last interval.
    last_rounds: rounds of the last negotiation.
    decision: last decision.
    warning: last warning, or "".
    """
    verdicts = summary["certificate"]
    return RunProgress(
        scenario=built.scenario.name,
        intervals_done=summary["intervals_done"],
        intervals_planned=built.scenario.time.intervals,
        time=built.axis.index[summary["intervals_done"] - 1].to_pydatetime(),
        decision=decision,
        verdicts=VerdictCounts(
            **{key: verdicts[key] for key in ("exact", "feasible", "infeasible", "recovered")},
            fallback=summary["intervals_fallback"],
        ),
        worst=worst_grid(rows),
        min_vm=extreme(((r["grid"], r["min_vm_pu"]) for r in rows), largest=False),
        max_vm=extreme(((r["grid"], r["max_vm_pu"]) for r in rows), largest=True),
        max_loading=extreme(((r["grid"], r["max_loading_percent"]) for r in rows), largest=True),
        negotiations=negotiation_progress(summary["negotiation"], last_rounds),
        warning=warning,
        verdict=worst_verdict(rows),
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


def worst_verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the worst verdict of the plans of feeders; empty without a certificate."""
    # NumPy, which a command line that only prints its help should not load
    from stackelgrid.controllers.verdict import EXACT, FEASIBLE, INFEASIBLE, exactness_asked

    found = {r["verdict"] for r in rows if exactness_asked(r["level"])}
    return next((v for v in (INFEASIBLE, FEASIBLE, EXACT) if v in found), "")


def worst_grid(rows: Sequence[Mapping[str, Any]]) -> GridTrouble | None:
    """Return the grid with the largest realised violation, else the worst plan, else None."""
    from stackelgrid.controllers.explanation import explanation, severity  # NumPy

    worst = max(rows, key=severity)
    good = severity(worst)[0] == 0
    return None if good else GridTrouble(worst["grid"], explanation(worst))


def extreme(values: Iterable[tuple[str, float]], *, largest: bool) -> GridValue:
    """Return the largest or smallest value with its grid; NaN is ignored."""
    known = [GridValue(grid, value) for grid, value in values if not isnan(value)]
    choose = max if largest else min
    return choose(known, key=lambda v: v.value) if known else GridValue("", float("nan"))


def negotiation_progress(
    section: Mapping[str, Any] | None, last_rounds: int
) -> NegotiationProgress | None:
    """Return counts of negotiations so far; None for a run without negotiations.

    `section` is that of summary.json; counts of messages are 0 where it has none.
    """
    if section is None:
        return None
    known = {key: value or 0 for key, value in section.items()}
    return NegotiationProgress(
        last_rounds=last_rounds,
        negotiations=known["negotiations"],
        agreements=known["agreements"],
        messages=known["messages"],
        lost=known["lost"] + known["in_outage"],
        in_doubt=known["in_doubt"],
    )
