"""Table columns and rows of certificates: applied step, every step, phases, and reality."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from stackelgrid.controllers.networks.limits import GridLimits
from stackelgrid.controllers.networks.order import NetOrder
from stackelgrid.controllers.schedule import Plan
from stackelgrid.controllers.verdict import INFEASIBLE
from stackelgrid.profiles.arrays import Floats

_NAN = float("nan")


@dataclass(frozen=True)
class CertificateColumns:
    """Columns of interval.parquet about the plan, at forecast injections (docs/results.md).

    Columns on the horizon and on recovery belong to the interval in which the plan was made.
    """

    verdict: str = ""
    cone_gap_pu: float = _NAN
    fictitious_loss_mw: float = _NAN
    fictitious_loss_share: float = _NAN
    voltage_error_pu: float = _NAN
    loss_error_mw: float = _NAN
    import_error_mw: float = _NAN
    violation_pu: float = _NAN
    worst: str = ""
    horizon_exact: int = 0
    horizon_feasible: int = 0
    horizon_infeasible: int = 0
    horizon_cone_gap_pu: float = _NAN
    horizon_fictitious_loss_share: float = _NAN
    horizon_violation_pu: float = _NAN
    verdict_three_phase: str = ""
    violation_three_phase_pu: float = _NAN
    worst_three_phase: str = ""
    horizon_infeasible_three_phase: int = 0
    unbalance_pu: float = _NAN
    unbalance_percent: float = _NAN
    min_vm_a_pu: float = _NAN
    min_vm_b_pu: float = _NAN
    min_vm_c_pu: float = _NAN
    max_vm_a_pu: float = _NAN
    max_vm_b_pu: float = _NAN
    max_vm_c_pu: float = _NAN
    recovery: str = ""
    recovery_tried: str = ""
    recovery_decisions: int = 0
    verdict_before: str = ""
    violation_before_pu: float = _NAN
    recovery_eur: float = _NAN


def certificate_columns(plan: Plan | None) -> CertificateColumns:
    """Return the certificate of the applied step, with its totals over the horizon."""
    if plan is None or plan.verdict is None:
        return CertificateColumns()
    columns: dict[str, Any] = dict(vars(plan.verdict))
    made_now = plan.step == 0
    judged = plan.certificate or plan.transmission
    if judged is not None and made_now:
        columns |= {f"horizon_{v}": judged.count(v) for v in ("exact", "feasible", "infeasible")}
        columns["horizon_violation_pu"] = _largest(judged.violation_pu)
    certificate = plan.certificate
    if certificate is not None and made_now:
        columns["horizon_cone_gap_pu"] = _largest(certificate.cone_gap_pu)
        columns["horizon_fictitious_loss_share"] = _largest(certificate.fictitious_loss_share)
    phases = certificate.phases if certificate is not None else None
    if phases is not None:
        k, vm = plan.step, phases.vm_pu[:, :, plan.step]
        columns |= phases.columns(k) | {
            "horizon_infeasible_three_phase": made_now * phases.verdict.count(INFEASIBLE),
            "unbalance_pu": float(phases.unbalance_pu[k]),
            "unbalance_percent": float(phases.unbalance_percent[:, k].max()),
        }
        for i, phase in enumerate("abc"):
            columns[f"min_vm_{phase}_pu"] = float(vm[i].min())
            columns[f"max_vm_{phase}_pu"] = float(vm[i].max())
    if plan.recovery is not None:
        r, k = plan.recovery, plan.step
        columns |= {
            "recovery": r.used,
            "verdict_before": r.before.verdicts([k])[0],
            "violation_before_pu": r.before.largest_violation([k]),
        }
        if made_now:
            columns |= {
                "recovery_tried": ", ".join(f"{rung} x {count}" for rung, count in r.tried),
                "recovery_decisions": r.decisions,
                "recovery_eur": r.cost_eur,
            }
    return CertificateColumns(**columns)


def certificate_rows(name: str, plan: Plan) -> dict[str, Any]:
    """Return the rows of every step of the horizon of one plan; empty without a certificate."""
    judged = plan.certificate or plan.transmission
    steps = range(len(judged.verdict)) if judged is not None else range(0)
    verdicts = [judged.step(k) for k in steps] if judged is not None else []
    phases = plan.certificate.phases if plan.certificate is not None else None
    nothing = np.full(len(steps), np.nan)
    return {
        "grid": np.full(len(steps), name, dtype=object),
        "step": np.array(steps, dtype=np.int32),
        "dt_h": plan.schedule.dt_h[: len(steps)],
        **{
            key: np.array([getattr(v, key) for v in verdicts], dtype=kind)
            for key, kind in (
                ("verdict", object), ("cone_gap_pu", float), ("fictitious_loss_mw", float),
                ("fictitious_loss_share", float), ("voltage_error_pu", float),
                ("loss_error_mw", float), ("import_error_mw", float), ("violation_pu", float),
                ("worst", object),
            )
        },
        "verdict_three_phase": np.array(
            phases.verdict if phases else [""] * len(steps), dtype=object
        ),
        "violation_three_phase_pu": phases.violation_pu if phases else nothing,
        "worst_three_phase": np.array(phases.worst if phases else [""] * len(steps), dtype=object),
        "unbalance_pu": phases.unbalance_pu if phases else nothing,
        "unbalance_percent": phases.unbalance_percent.max(axis=0) if phases else nothing,
    }  # fmt: skip


def phase_rows(name: str, plan: Plan, bus_index: tuple[int, ...]) -> dict[str, Any]:
    """Return voltages of each phase at the applied step, buses in network order; empty without."""
    phases = plan.certificate.phases if plan.certificate is not None else None
    if phases is None:
        bus_index, vm, unbalance = (), np.zeros((3, 0)), np.zeros(0)
    else:
        vm, unbalance = phases.vm_pu[:, :, plan.step], phases.unbalance_percent[:, plan.step]
    return {
        "grid": np.full(len(bus_index), name, dtype=object),
        "bus": np.array(bus_index, dtype=np.int64),
        **{f"vm_{phase}_pu": vm[i] for i, phase in enumerate("abc")},
        "unbalance_percent": unbalance,
    }


def bus_columns(plan: Plan | None, order: NetOrder, buses: int) -> dict[str, Floats]:
    """Return the planned voltage and the AC voltage at planned injections, in the net's order."""
    planned, certified = np.full((2, buses), np.nan)
    if plan is not None and plan.certificate is not None:
        planned[order.bus] = plan.certificate.vm_planned_pu[:, plan.step]
        certified[order.bus] = plan.certificate.vm_pu[:, plan.step]
    elif plan is not None and plan.transmission is not None:
        certified[order.bus] = plan.transmission.vm_pu[:, plan.step]
    return {"vm_planned_pu": planned, "vm_certified_pu": certified}


def branch_columns(plan: Plan | None, order: NetOrder, limits: GridLimits) -> dict[str, Floats]:
    """Return cone gap, fictitious loss and AC loading of the applied step, in the net's order."""
    branches = len(limits.branch_name)
    gap, loss, loading = np.full((3, branches), np.nan)
    if plan is not None and plan.certificate is not None:
        gap[order.branch] = plan.certificate.cone_gap_pu[:, plan.step]
        loss[order.branch] = plan.certificate.fictitious_loss_mw[:, plan.step]
        loading[order.branch] = plan.certificate.loading[:, plan.step]
    elif plan is not None and plan.transmission is not None:
        loading[order.branch] = plan.transmission.loading[:, plan.step]
    rated = np.isfinite(limits.loading_max_percent)
    return {
        "cone_gap_pu": gap,
        "fictitious_loss_mw": loss,
        "loading_certified_percent": loading * np.where(rated, limits.loading_max_percent, np.nan),
    }


def _largest(values: Floats) -> float:
    """Return the largest value; NaN only if all are NaN."""
    known = values[~np.isnan(values)]
    return float(known.max()) if known.size else _NAN
