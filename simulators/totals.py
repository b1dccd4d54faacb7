"""Totals of a run, added up interval by interval in a fixed order."""

from dataclasses import asdict, dataclass, field
from math import isnan
from typing import Any


@dataclass(frozen=True)
class GridInterval:
    """One row of interval.parquet: one grid in one interval; powers and costs are of one copy.

    `pays_outside` marks grids whose boundary payment leaves the simulated feeders (below a
    transmission network, or fed from outside); below another feeder it stays inside.
    """

    grid: str
    level: str
    copies: int
    pays_outside: bool
    solver: str
    status: str
    iterations: int
    gap: float
    solver_violation: float
    objective_eur: float
    gap_eur: float
    flexible_gap: float
    nodes: int
    conic_solves: int
    fallback: bool
    fallback_reason: str
    solve_s: float
    simultaneous_mw: float
    verdict: str
    cone_gap_pu: float
    fictitious_loss_mw: float
    fictitious_loss_share: float
    voltage_error_pu: float
    import_error_mw: float
    violation_pu: float
    worst: str
    p_import_mw: float
    q_import_mvar: float
    p_import_planned_mw: float
    load_p_mw: float
    load_q_mvar: float
    lower_p_mw: float
    pv_p_mw: float
    pv_available_mw: float
    battery_p_mw: float
    battery_e_mwh: float
    unit_p_mw: float
    loss_mw: float
    balance_error_mw: float
    min_vm_pu: float
    max_vm_pu: float
    max_loading_percent: float
    rounds: int
    energy_handover_error_mwh: float
    boundary_eur: float
    retail_eur: float
    fee_eur: float
    wear_eur: float
    curtailment_eur: float
    generation_eur: float

    def columns(self) -> dict[str, Any]:
        """Columns of the table."""
        columns = asdict(self)
        del columns["pays_outside"]
        return columns


_RANK = {"": 0, "exact": 1, "feasible": 2, "infeasible": 3}


@dataclass
class Totals:
    """What summary.json says of the tables."""

    has_transmission: bool
    intervals_done: int = 0
    leader_eur: float = 0.0
    follower_eur: float = 0.0
    boundary_eur: float = 0.0
    max_gap: float = 0.0
    max_gap_eur: float = 0.0
    max_flexible_gap: float = 0.0
    max_cone_gap_pu: float = 0.0
    max_voltage_error_pu: float = 0.0
    max_violation_pu: float = 0.0
    max_simultaneous_mw: float = 0.0
    max_mismatch_mva: float = 0.0
    max_rounds: int = 0
    max_handover_error_mwh: float = 0.0
    max_balance_error_mw: float = 0.0
    max_mismatch_pu: float = 0.0
    max_follower_gap: float | None = None
    fallback_reasons: dict[int, list[str]] = field(default_factory=dict)
    worst_verdict: dict[int, int] = field(default_factory=dict)

    def add(self, row: GridInterval, mismatch_mva: float, mismatch_pu: float) -> None:
        """Add one grid of the interval that is being recorded."""
        interval = self.intervals_done
        if row.level == "transmission":
            self.follower_eur += row.generation_eur
        else:
            own = row.wear_eur + row.curtailment_eur + row.generation_eur
            own += row.retail_eur + row.fee_eur
            self.leader_eur += row.copies * own
            if row.pays_outside:
                self.boundary_eur += row.copies * row.boundary_eur
                self.leader_eur += row.copies * row.boundary_eur
        if row.fallback:
            text = f"{row.grid}: {row.fallback_reason}"
            self.fallback_reasons.setdefault(interval, []).append(text)
        verdict = max(self.worst_verdict.get(interval, 0), _RANK[row.verdict])
        self.worst_verdict[interval] = verdict
        self.max_gap = _larger(self.max_gap, row.gap)
        self.max_gap_eur = _larger(self.max_gap_eur, row.gap_eur)
        self.max_flexible_gap = _larger(self.max_flexible_gap, row.flexible_gap)
        self.max_cone_gap_pu = _larger(self.max_cone_gap_pu, row.cone_gap_pu)
        self.max_voltage_error_pu = _larger(self.max_voltage_error_pu, row.voltage_error_pu)
        self.max_violation_pu = _larger(self.max_violation_pu, row.violation_pu)
        self.max_simultaneous_mw = max(self.max_simultaneous_mw, row.simultaneous_mw)
        self.max_mismatch_mva = max(self.max_mismatch_mva, mismatch_mva)
        self.max_mismatch_pu = max(self.max_mismatch_pu, mismatch_pu)
        self.max_rounds = max(self.max_rounds, row.rounds)
        self.max_handover_error_mwh = max(
            self.max_handover_error_mwh, row.energy_handover_error_mwh
        )
        self.max_balance_error_mw = max(self.max_balance_error_mw, abs(row.balance_error_mw))

    def add_follower_gap(self, gap: float) -> None:
        """Add the audit of one follower; NaN is one whose audit found no optimum."""
        if not isnan(gap):
            self.max_follower_gap = max(self.max_follower_gap or 0.0, gap)

    @property
    def fallback_intervals(self) -> set[int]:
        """Intervals in which some grid's schedule is a fallback."""
        return set(self.fallback_reasons)

    def count(self, verdict: str) -> int:
        """Number of intervals whose worst grid has this verdict."""
        return sum(1 for worst in self.worst_verdict.values() if worst == _RANK[verdict])

    @property
    def total_eur(self) -> float:
        """Cost of the whole system: with a transmission network, payments to it are transfers."""
        transfers = self.boundary_eur if self.has_transmission else 0.0
        return self.follower_eur + self.leader_eur - transfers


def _larger(most: float, value: float) -> float:
    return most if isnan(value) else max(most, value)
