"""Status and message of a solve, both from the same numbers: point, bound, gap and limits."""

from dataclasses import dataclass

from stackelgrid.controllers.bilevel.problem import BilevelOptions, BilevelStatus, Outcome


@dataclass(frozen=True)
class Verdict:
    """Status, gap and message of a solve; `gap` is (objective - bound) / max(1, |objective|)."""

    status: BilevelStatus
    gap: float
    message: str


def relative_gap(objective: float, bound: float) -> float:
    """Gap between a point's objective and a bound."""
    return max(objective - bound, 0.0) / max(1.0, abs(objective))


def judge(outcome: Outcome, options: BilevelOptions, seconds: float) -> Verdict:
    """Return status and message of an outcome whose point, if any, passed the audit."""
    by = f" ({outcome.message})" if outcome.message else ""
    wanted = f"{options.gap:g} was requested"
    found = bool(len(outcome.z))
    gap = relative_gap(outcome.objective, outcome.bound) if found else float("nan")
    if found and gap <= options.gap:
        return Verdict("optimal", gap, f"a gap of {gap:.1e} is proven, {wanted}{by}")
    if not found and outcome.status == "infeasible":
        return Verdict("infeasible", gap, f"no point meets the rows of leader and follower{by}")
    if not found and outcome.status == "unbounded":
        return Verdict("unbounded", gap, f"the leader's objective has no bound{by}")
    proven = f"a gap of {gap:.1e} is proven, {wanted}{by}" if found else f"no point was found{by}"
    if options.time_limit_s is not None and seconds >= options.time_limit_s:
        text = f"time limit of {options.time_limit_s:g} s reached: {proven}"
        return Verdict("time_limit", gap, text)
    if options.node_limit is not None and outcome.nodes >= options.node_limit:
        text = f"limit of {options.node_limit} nodes reached: {proven}"
        return Verdict("node_limit", gap, text)
    return Verdict("open", gap, f"the search ended before the requested gap: {proven}")
