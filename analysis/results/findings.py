"""Findings of a run: its worst violations, with values and limits, and a verdict."""

import re
from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from stackelgrid.analysis.results.axes import Clock
from stackelgrid.analysis.results.limits import bus_limits, has_network
from stackelgrid.analysis.results.needs import unmet_needs
from stackelgrid.analysis.results.record import RunRecord
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.explanation import VIEWS, Row, View, Violated, violated
from stackelgrid.controllers.verdict import FEASIBLE, INFEASIBLE

_BUS = re.compile(r"^bus (-?\d+)(?: phase ([abc]))?$")


@dataclass(frozen=True)
class Place:
    """A violated limit: in which interval and grid."""

    interval: int
    grid: str
    violated: Violated

    def text(self, when: Clock) -> str:
        """Return place, time and value as text."""
        element = self.violated.element
        what = f"{element} of {self.grid}" if element else self.grid
        return f"{what} at {when.text(self.interval)}, {self.violated.value}"


@dataclass(frozen=True)
class Findings:
    """Counts of intervals by kind of finding, the worst violation, and needs that were not met."""

    planned: int
    done: int
    status: str
    cost_eur: float
    beyond_in_reality: int
    infeasible: int
    infeasible_phases: int
    inexact: int
    uncertified: int
    fallbacks: int
    recovered: int
    worst: Place | None
    needs: tuple[str, ...] = ()

    @property
    def state(self) -> Literal["good", "warning", "bad"]:
        """Return bad for violated limits, warning for plans that are not good or missing ends."""
        if self.beyond_in_reality or self.infeasible or self.infeasible_phases:
            return "bad"
        doubtful = self.fallbacks or self.inexact or self.uncertified or self.done == 0
        return "warning" if doubtful or self.status == "interrupted" else "good"


def findings(run: RunRecord) -> Findings:
    """Count findings in the recorded intervals of a run, and find the worst violation."""
    table = run.interval
    feeders = table[table["level"] != "transmission"]
    real = beyond_in_reality(table)
    total = run.summary["cost_eur"]["total"]  # null if unknown
    unfit = set(feeders.loc[feeders["verdict"] == INFEASIBLE, "interval"])
    return Findings(
        planned=int(run.summary["intervals_planned"]),
        done=int(table["interval"].nunique()),
        status=run.status,
        cost_eur=float("nan") if total is None else float(total),
        beyond_in_reality=_intervals(table, real),
        infeasible=_intervals(table, table["verdict"] == INFEASIBLE),
        infeasible_phases=_intervals(table, table["verdict_three_phase"] == INFEASIBLE),
        inexact=_intervals(feeders, feeders["verdict"] == FEASIBLE, but_not=unfit),
        uncertified=_intervals(feeders, feeders["verdict"] == ""),
        fallbacks=_intervals(table, table["fallback"]),
        recovered=_intervals(table, _mended(table)),
        worst=_worst_place(run),
        needs=tuple(need.text for need in unmet_needs(run)),
    )


def sentence(found: Findings, when: Clock) -> str:
    """Return the verdict in one sentence: progress, violations with the worst place, cost."""
    n = found.done
    if n == 0:
        return f"{_beginning(found) or 'The run has begun: '}no interval is on record yet."
    parts = []
    beyond = max(found.beyond_in_reality, found.infeasible, found.infeasible_phases)
    if beyond:
        parts += _wrong(found, when)
    if found.fallbacks:
        parts.append(f"{_found(found.fallbacks, n)} by fallback")
    if found.inexact:
        parts.append(f"{_found(found.inexact, n)} feasible but not exact")
    if found.uncertified:
        parts.append(f"{_found(found.uncertified, n)} without a certificate")
    if not parts:
        parts.append(f"{_all(n)} exact and within limits")
    elif not beyond:
        parts.append("all within limits" if n > 1 else "within limits")
    if found.recovered:
        parts.append(f"{found.recovered} after a recovery")
    cost = "not known" if np.isnan(found.cost_eur) else f"{found.cost_eur:,.0f} EUR"
    needs = f"; needs not met: {', '.join(found.needs)}" if found.needs else ""
    text = f"{', '.join(parts)}{needs}; cost {cost}."
    beginning = _beginning(found)
    return beginning + text if beginning else text[0].upper() + text[1:]


def beyond_in_reality(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Return by row of the interval table if reality is beyond a limit, or diverged."""
    return ~(rows["realised_violation_pu"] <= tolerances.AC_LIMIT_PU)


def violations_by_view(table: pd.DataFrame) -> pd.DataFrame:
    """Return the violation of rows of interval.parquet by view (columns); NaN without the view.

    Infinite where a power flow diverged.
    """
    found = {}
    for view, own in VIEWS.items():
        judged = table[own.verdict] == INFEASIBLE if own.verdict else True
        found[view] = table[own.violation].mask(table[own.violation].isna() & judged, np.inf)
    return pd.DataFrame(found)


def violations(run: RunRecord, rows: pd.DataFrame) -> list[dict[View, Violated]]:
    """Return the worst violation of rows of interval.parquet by view, against its limit.

    Views within limits are left out.
    """
    return [
        {
            view: replace(found, value=_against_limit(run, row, found) or found.value)
            for view, found in violated(row).items()
        }
        for row in rows.to_dict("records")
    ]


def _worst_place(run: RunRecord) -> Place | None:
    """Return the place of the largest violation in reality, else of a plan, else by phase."""
    excess = violations_by_view(run.interval)
    for view in VIEWS:
        if (excess[view] > tolerances.AC_LIMIT_PU).any():
            rows = run.interval.iloc[[int(excess[view].argmax())]]
            found = violations(run, rows)[0][view]
            return Place(int(rows["interval"].iloc[0]), str(rows["grid"].iloc[0]), found)
    return None


def _against_limit(run: RunRecord, row: Row, found: Violated) -> str:
    """Return a bus voltage against its limit; "" elsewhere and where no limit is known."""
    bus = _BUS.match(found.element)
    if bus is None or not has_network(run):
        return ""
    column = {"reality": "vm_pu", "plan": "vm_certified_pu"}.get(found.view, f"vm_{bus[2]}_pu")
    table = run.phase if found.view == "phases" else run.bus
    mine = (table["interval"] == row["interval"]) & (table["grid"] == row["grid"])
    value = table.loc[mine & (table["bus"] == int(bus[1])), column]
    if not len(value) or not np.isfinite(value.iloc[0]):
        return ""
    limits, at, vm = bus_limits(run), (row["grid"], int(bus[1])), float(value.iloc[0])
    low, high = limits["min_vm_pu"][at], limits["max_vm_pu"][at]
    limit = float(high if vm > high else low)
    return f"{vm:.4f} p.u. against {limit:g} p.u." if np.isfinite(limit) else ""


def _mended(table: pd.DataFrame) -> "pd.Series[bool]":
    good = (table["verdict"] != INFEASIBLE) & (table["verdict_three_phase"] != INFEASIBLE)
    return (table["recovery"] != "") & good


def _intervals(
    table: pd.DataFrame, chosen: "pd.Series[bool]", but_not: Set[int] = frozenset()
) -> int:
    return len(set(table.loc[chosen, "interval"]) - but_not)


def _beginning(found: Findings) -> str:
    if found.status == "running":
        return f"Going on, {found.done} of {found.planned} intervals done: "
    if found.done < found.planned:
        return f"Interrupted after {found.done} of {found.planned} intervals: "
    return ""


def _wrong(found: Findings, when: Clock) -> list[str]:
    n, parts = found.done, []
    worst = f" (worst: {found.worst.text(when)})" if found.worst else ""
    if found.beyond_in_reality:
        parts.append(f"{_found(found.beyond_in_reality, n)} beyond limits in reality{worst}")
        worst = ""
    if found.infeasible:
        count = f"in {found.infeasible}" if parts else f"in {_of(found.infeasible, n)}"
        parts.append(f"plan infeasible {count}{worst}")
        worst = ""
    if found.infeasible_phases:
        count = f"{found.infeasible_phases}" if parts else f"{_of(found.infeasible_phases, n)}"
        parts.append(f"plan beyond limits phase by phase in {count}{worst}")
    return parts


def _of(count: int, total: int) -> str:
    return f"{count} of {total} intervals" if total != 1 else "the interval"


def _found(count: int, total: int) -> str:
    return _of(count, total) if total != 1 else "the interval was"


def _all(count: int) -> str:
    return f"all {count} intervals were" if count != 1 else "the interval was"
