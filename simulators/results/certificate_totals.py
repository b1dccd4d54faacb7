"""Totals of certificates in summary.json: counts of intervals, and the largest of each quantity."""

from collections import Counter
from dataclasses import dataclass, field
from math import isnan
from typing import Any

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.explanation import worse_verdict
from stackelgrid.controllers.verdict import EXACT, FEASIBLE, INFEASIBLE
from stackelgrid.simulators.results.certificates import CertificateColumns
from stackelgrid.simulators.results.grid_interval import GridInterval

_RANK = {"": 0, EXACT: 1, FEASIBLE: 2, INFEASIBLE: 3}


@dataclass
class _Worst:
    """Worst verdict of every interval over some grids."""

    rank: dict[int, int] = field(default_factory=dict)

    def add(self, interval: int, verdict: str) -> None:
        self.rank[interval] = max(self.rank.get(interval, 0), _RANK[verdict])

    def count(self, verdict: str) -> int:
        return sum(1 for worst in self.rank.values() if worst == _RANK[verdict])


@dataclass
class CertificateTotals:
    """Totals added grid by grid; feeders judge an interval, DC dispatch is counted separately."""

    feeders: _Worst = field(default_factory=_Worst)
    before: _Worst = field(default_factory=_Worst)
    phases: _Worst = field(default_factory=_Worst)
    transmission: _Worst = field(default_factory=_Worst)
    steps: Counter[str] = field(default_factory=Counter)
    largest: dict[str, float] = field(default_factory=dict)
    mended: set[int] = field(default_factory=set)
    rungs: Counter[str] = field(default_factory=Counter)
    decisions: int = 0
    cost_eur: float = 0.0
    realised_beyond: set[int] = field(default_factory=set)
    realised_worst: str = ""

    def add(self, interval: int, row: GridInterval) -> None:
        """Add one grid in one interval."""
        c = row.certificate
        if row.realised_violation_pu > max(
            self.largest.get("realised", 0.0), tolerances.AC_LIMIT_PU
        ):
            self.realised_worst = f"{row.grid} {row.realised_worst} in interval {interval}"
        if row.realised_violation_pu > tolerances.AC_LIMIT_PU:
            self.realised_beyond.add(interval)
        self._most("realised", row.realised_violation_pu)
        if row.level == "transmission":
            self.transmission.add(interval, c.verdict)
            self._most("transmission_violation", c.violation_pu)
            self._most("transmission_loss", c.loss_error_mw)
            return
        self.feeders.add(interval, c.verdict)
        for name in (
            "cone_gap_pu", "voltage_error_pu", "violation_pu", "fictitious_loss_share",
            "loss_error_mw", "horizon_cone_gap_pu", "horizon_fictitious_loss_share",
            "horizon_violation_pu", "violation_three_phase_pu", "unbalance_pu", "unbalance_percent",
        ):  # fmt: skip
            self._most(name, getattr(c, name))
        for verdict in (EXACT, FEASIBLE, INFEASIBLE):
            self.steps[verdict] += getattr(c, f"horizon_{verdict}")
        if c.verdict_three_phase:
            self.phases.add(interval, c.verdict_three_phase)
        self._add_recovery(interval, row.copies, c)

    def _add_recovery(self, interval: int, copies: int, c: CertificateColumns) -> None:
        seen = worse_verdict(vars(c))
        self.before.add(interval, c.verdict_before or seen)
        self.decisions += c.recovery_decisions
        if not c.recovery or seen == INFEASIBLE:
            return
        self.mended.add(interval)
        if c.recovery_decisions:  # counted once for each plan
            self.rungs[c.recovery] += 1
            self.cost_eur += copies * c.recovery_eur

    def _most(self, name: str, value: float) -> None:
        self.largest[name] = larger(self.largest.get(name, 0.0), value)

    def summary(self) -> dict[str, Any]:
        """Return the section `certificate` of summary.json; null for views that are missing."""
        most = self.largest
        return {
            "exact": self.feeders.count(EXACT),
            "feasible": self.feeders.count(FEASIBLE),
            "infeasible": self.feeders.count(INFEASIBLE),
            "recovered": len(self.mended),
            "max_cone_gap_pu": most.get("cone_gap_pu", 0.0),
            "max_voltage_error_pu": most.get("voltage_error_pu", 0.0),
            "max_violation_pu": most.get("violation_pu", 0.0),
            "max_fictitious_loss_share": most.get("fictitious_loss_share", 0.0),
            "max_loss_error_mw": most.get("loss_error_mw", 0.0),
            "horizon": {
                "exact": self.steps[EXACT],
                "feasible": self.steps[FEASIBLE],
                "infeasible": self.steps[INFEASIBLE],
                "max_cone_gap_pu": most.get("horizon_cone_gap_pu", 0.0),
                "max_fictitious_loss_share": most.get("horizon_fictitious_loss_share", 0.0),
                "max_violation_pu": most.get("horizon_violation_pu", 0.0),
            },
            "three_phase": {
                "feasible": self.phases.count(FEASIBLE),
                "infeasible": self.phases.count(INFEASIBLE),
                "max_violation_pu": most.get("violation_three_phase_pu", 0.0),
                "max_unbalance_pu": most.get("unbalance_pu", 0.0),
                "max_unbalance_percent": most.get("unbalance_percent", 0.0),
            }
            if self.phases.rank
            else None,
            "transmission": {
                "feasible": self.transmission.count(FEASIBLE) + self.transmission.count(EXACT),
                "infeasible": self.transmission.count(INFEASIBLE),
                "max_violation_pu": most.get("transmission_violation", 0.0),
                "max_loss_mw": most.get("transmission_loss", 0.0),
            }
            if self.transmission.rank
            else None,
            "recovery": {
                "exact_before": self.before.count(EXACT),
                "feasible_before": self.before.count(FEASIBLE),
                "infeasible_before": self.before.count(INFEASIBLE),
                "plans_mended": sum(self.rungs.values()),
                "rungs": dict(sorted(self.rungs.items())),
                "decisions": self.decisions,
                "cost_eur": self.cost_eur,
            },
            "realised": {
                "intervals_beyond_limits": len(self.realised_beyond),
                "max_violation_pu": most.get("realised", 0.0),
                "worst": self.realised_worst,
            },
        }


def larger(most: float, value: float) -> float:
    """Return the larger of the two; NaN is ignored."""
    return most if isnan(value) else max(most, value)
