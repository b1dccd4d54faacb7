"""One row of interval.parquet."""

from dataclasses import dataclass
from typing import Any

from stackelgrid.simulators.results.certificates import CertificateColumns


@dataclass(frozen=True)
class GridInterval:
    """Row of interval.parquet: one grid in one interval; powers and costs are of one copy."""

    grid: str
    level: str
    copies: int
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
    certificate: CertificateColumns
    realised_violation_pu: float
    realised_worst: str
    realised_voltage_change_pu: float
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
    tap_pos: int
    rounds: int
    energy_handover_error_mwh: float
    boundary_eur: float
    retail_eur: float
    fee_eur: float
    wear_eur: float
    curtailment_eur: float
    generation_eur: float

    def columns(self) -> dict[str, Any]:
        """Return the columns of the table."""
        own = {name: value for name, value in vars(self).items() if name != "certificate"}
        return vars(self.certificate) | own
