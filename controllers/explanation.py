"""Explanation why an interval, plan or sweep point is not good, from one row of its table.

A row maps columns to values: of interval.parquet (also while it is recorded), of
certificate.parquet, of points.parquet, or of `Certificate.columns`. Columns that a row does not
have count as empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite, isinf, isnan
from typing import Any, Literal

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.verdict import EXACT, FEASIBLE, INFEASIBLE, exactness_asked
from stackelgrid.controllers.words import words

Row = Mapping[Any, Any]
View = Literal["reality", "plan", "phases"]

_NAN = float("nan")
_DIVERGED = "AC power flow diverged"


@dataclass(frozen=True)
class ViewColumns:
    """Columns of a view on an interval (`verdict` "": none is given), and its name in a text."""

    violation: str
    worst: str
    verdict: str
    name: str


# reality comes before the plan
VIEWS: dict[View, ViewColumns] = {
    "reality": ViewColumns("realised_violation_pu", "realised_worst", "", "in reality"),
    "plan": ViewColumns("violation_pu", "worst", "verdict", "planned"),
    "phases": ViewColumns(
        "violation_three_phase_pu", "worst_three_phase", "verdict_three_phase", "planned, by phase"
    ),
}


@dataclass(frozen=True)
class Violated:
    """A violated limit: the violation (p.u. of a voltage, share of a rating), and in its own units.

    `value` is, for example, "4.2% above its rating". Where a power flow diverged it says so, there
    is no element and the violation is infinite.
    """

    view: View
    element: str
    violation_pu: float
    value: str

    @property
    def text(self) -> str:
        """Element and value."""
        return f"{self.element}: {self.value}" if self.element else self.value


def explanation(row: Row) -> str:
    """Explain why an interval or plan is not good, in a sentence without full stop; "" if good."""
    return "; ".join(text for text in (violations_text(violated(row)), *reasons(row)) if text)


def violated(row: Row) -> dict[View, Violated]:
    """Largest violation by view; views within limits are left out."""
    found: dict[View, Violated] = {}
    for view, own in VIEWS.items():
        amount, place = float(row.get(own.violation, 0.0)), str(row.get(own.worst, ""))
        judged = not own.verdict or row.get(own.verdict) == INFEASIBLE
        if isinf(amount) or (isnan(amount) and judged):
            text = place.removeprefix(f"grid {row.get('grid', '')}: ")
            found[view] = Violated(view, "", inf, text if "diverged" in text else _DIVERGED)
        elif amount > tolerances.AC_LIMIT_PU:
            element, _, value = place.partition(" at ")  # a dispatch states the value there
            found[view] = Violated(view, element, amount, _beyond(element, value, amount))
    return found


def violations_text(found: Mapping[View, Violated]) -> str:
    """List violations by view, views with the same text together; "" without any."""
    views: dict[str, list[str]] = {}
    for view, violation in found.items():
        views.setdefault(violation.text, []).append(VIEWS[view].name)
    return "; ".join(f"{' and '.join(names)} {text}" for text, names in views.items())


def reasons(row: Row) -> list[str]:
    """Explain why a plan or its result is not good, with the recovery."""
    found, verdict = [], row.get("verdict", "")
    seen = violated(row)
    if row.get("fallback"):
        found.append(kept_schedule(str(row["fallback_reason"])))
    if row.get("recovery"):
        found.append(_recovered(row))
    elif row.get("recovery_tried"):
        found.append(f"recovery tried ({_tried(row)}), nothing was better")
    found += _not_exact(row)
    if "phases" in seen and verdict in (EXACT, FEASIBLE):
        found.append("balanced within limits, phase by phase not")
    if not verdict:
        found.append("the controller gives no certificate")
    elif list(seen) == ["reality"]:
        moved = float(row.get("realised_voltage_change_pu", _NAN))
        differs = f", reality differs by up to {moved:.2g} p.u." if isfinite(moved) else ""
        found.append(f"the plan held the limits{differs}")
    return found


def kept_schedule(reason: str) -> str:
    """Text of a fallback."""
    return f"the last schedule is kept: {reason}"


def severity(row: Row) -> tuple[int, float]:
    """Rank of a row: 3 beyond limits in reality, 2 in a plan, 1 not exact, 0 good; and how much."""
    seen = violated(row)
    if "reality" in seen:
        return 3, seen["reality"].violation_pu
    if seen or worse_verdict(row) == INFEASIBLE:
        return 2, max((v.violation_pu for v in seen.values()), default=0.0)
    return int(row.get("verdict") == FEASIBLE and exactness_asked(row["level"])), 0.0


def worse_verdict(row: Row) -> str:
    """Verdict of a plan in the worse of the balanced and the three-phase view."""
    three_phase = row.get("verdict_three_phase")
    return INFEASIBLE if three_phase == INFEASIBLE else str(row.get("verdict", ""))


def point_explanation(row: Row) -> str:
    """Explain why a point of a sweep (a row of points.parquet) is not exact; "" if it is."""
    if not row["verdict"]:
        return f"{row['status']}: {row['reason']}" if row["reason"] else str(row["status"])
    found = []
    if row["verdict"] == INFEASIBLE:
        most = float(row["max_violation_pu"])
        what = f"at most {_excess(most)}" if isfinite(most) else _DIVERGED
        found.append(f"{row['steps_infeasible']} of {row['steps']} steps infeasible ({what})")
    found += _not_exact(
        {
            "verdict": row["verdict"],
            "fictitious_loss_share": row["max_fictitious_loss_share"],
            "voltage_error_pu": row["max_voltage_error_pu"],
        }
    )
    if row["verdict"] != EXACT and row["worst_line"]:
        found.append(f"{row['worst_line']} loses most, in step {int(row['worst_step'])}")
    return "; ".join(found)


def _beyond(element: str, value: str, amount: float) -> str:
    """Violation in the units of its limit; `value` as a dispatch states it."""
    branch = element.startswith(("line ", "trafo "))
    if value:
        return value if branch else f"{value}, beyond its limit"
    if element.startswith("bus "):
        return f"{amount:.2g} p.u. beyond the limit"
    return f"{amount:.1%} above its rating" if branch else _excess(amount)


def _excess(amount: float) -> str:
    """Violation of a limit that is not named."""
    return f"{amount:.2g} beyond a limit, in p.u. or as a share of a rating"


def _tried(row: Row) -> str:
    rungs = (text.partition(" x ") for text in str(row["recovery_tried"]).split(", "))
    return ", ".join(f"{words(rung)}{times}{count}" for rung, times, count in rungs)


def _recovered(row: Row) -> str:
    rung, excess = words(str(row["recovery"])), float(row["violation_before_pu"])
    before = str(row["verdict_before"])
    if before == INFEASIBLE:
        before += f", {_excess(excess)}" if isfinite(excess) else f", its {_DIVERGED}"
    return f"recovered by {rung} (at first {before})"


def _not_exact(row: Row) -> list[str]:
    """Explain why a plan is not exact: losses without a flow, voltages, or no flows at all."""
    verdict = row.get("verdict", "")
    if not exactness_asked(str(row.get("level", ""))):
        neglected = "DC neglects losses, voltages and reactive power"
        return [neglected] if verdict == INFEASIBLE else []
    if verdict not in (FEASIBLE, INFEASIBLE):
        return []
    share = float(row.get("fictitious_loss_share", _NAN))
    error = float(row.get("voltage_error_pu", _NAN))
    if share > tolerances.EXACT_LOSS_SHARE:
        return [f"relaxation not tight: fictitious losses of {share:.2g} of the load"]
    if verdict == INFEASIBLE:
        return []
    if isnan(share) or isnan(error):
        return ["a schedule without flows: nothing to be exact"]
    return [f"planned voltages differ from AC by up to {error:.2g} p.u."]
