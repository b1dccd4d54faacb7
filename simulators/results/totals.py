"""Totals of a run, added up interval by interval in a fixed order."""

from dataclasses import dataclass, field
from math import isnan

from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.results.certificate_totals import CertificateTotals, larger
from stackelgrid.simulators.results.cost_sides import CostSides, cost_sides
from stackelgrid.simulators.results.grid_interval import GridInterval
from stackelgrid.simulators.results.negotiation_totals import NegotiationTotals


@dataclass
class Totals:
    """Totals of the tables in summary.json; `parents` maps every grid, "" for the root."""

    parents: dict[str, str]
    intervals_done: int = 0
    # energies at the end of the last recorded interval, by grid
    battery_e_mwh: dict[str, Floats] = field(default_factory=dict)
    # costs of all copies by grid, without payments at the boundary, and these payments
    own_eur: dict[str, float] = field(default_factory=dict)
    payment_eur: dict[str, float] = field(default_factory=dict)
    max_gap: float = 0.0
    max_gap_eur: float = 0.0
    max_flexible_gap: float = 0.0
    max_simultaneous_mw: float = 0.0
    max_mismatch_mva: float = 0.0
    max_rounds: int = 0
    max_handover_error_mwh: float = 0.0
    max_balance_error_mw: float = 0.0
    max_mismatch_pu: float = 0.0
    max_follower_gap: float | None = None
    fallback_reasons: dict[int, list[str]] = field(default_factory=dict)
    certificate: CertificateTotals = field(default_factory=CertificateTotals)
    negotiation: NegotiationTotals = field(default_factory=NegotiationTotals)

    def add(self, row: GridInterval, mismatch_mva: float, mismatch_pu: float) -> None:
        """Add one grid of the interval that is being recorded."""
        interval = self.intervals_done
        own = row.wear_eur + row.curtailment_eur + row.generation_eur + row.retail_eur + row.fee_eur
        for total, eur in ((self.own_eur, own), (self.payment_eur, row.boundary_eur)):
            total[row.grid] = total.get(row.grid, 0.0) + row.copies * eur
        if row.fallback:
            text = f"{row.grid}: {row.fallback_reason}"
            self.fallback_reasons.setdefault(interval, []).append(text)
        self.certificate.add(interval, row)
        self.max_gap = larger(self.max_gap, row.gap)
        self.max_gap_eur = larger(self.max_gap_eur, row.gap_eur)
        self.max_flexible_gap = larger(self.max_flexible_gap, row.flexible_gap)
        self.max_simultaneous_mw = max(self.max_simultaneous_mw, row.simultaneous_mw)
        self.max_mismatch_mva = max(self.max_mismatch_mva, mismatch_mva)
        self.max_mismatch_pu = max(self.max_mismatch_pu, mismatch_pu)
        self.max_rounds = max(self.max_rounds, row.rounds)
        self.max_handover_error_mwh = max(
            self.max_handover_error_mwh, row.energy_handover_error_mwh
        )
        self.max_balance_error_mw = max(self.max_balance_error_mw, abs(row.balance_error_mw))

    def add_follower_gap(self, gap: float) -> None:
        """Add the audit of one follower; NaN if its audit found no optimum."""
        if not isnan(gap):
            self.max_follower_gap = max(self.max_follower_gap or 0.0, gap)

    @property
    def fallback_intervals(self) -> set[int]:
        """Intervals in which some grid's schedule is a fallback."""
        return set(self.fallback_reasons)

    @property
    def costs(self) -> CostSides[float]:
        """Cost of leaders, follower and system, EUR; NaN where a nodal price is missing."""
        root = next(name for name, parent in self.parents.items() if not parent)
        own, payment = dict(self.own_eur), dict(self.payment_eur)
        follower = own.pop(root, 0.0) + payment.pop(root, 0.0)
        return cost_sides(self.parents, own, payment, follower)
