"""An operating point of a feeder, its results, and the table rows made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stackelgrid.analysis.kpis.indicators import CURTAILED
from stackelgrid.analysis.study_columns import CONDITIONS, DIMENSIONS, SCALES
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.certification.a_priori import APrioriCondition
from stackelgrid.controllers.certification.conditions import Conditions
from stackelgrid.controllers.leaders.feeder_records import FeederInstance, FeederPoint
from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.controllers.schedule import Schedule
from stackelgrid.controllers.verdict import EXACT, FEASIBLE, INFEASIBLE, Certificate
from stackelgrid.profiles.arrays import Bools


@dataclass(frozen=True)
class Point:
    """One operating point: the values of the varied dimensions by name."""

    number: int
    values: Mapping[str, float]

    def scale(self, kind: str) -> float:
        """Return the factor on the devices of a kind, 1 for kinds that are not varied."""
        return self.values.get(f"{kind}_scale", 1.0)

    @property
    def export_price_eur_per_mwh(self) -> float | None:
        """Export price in the varied steps; None for the scenario's own."""
        return self.values.get("export_price_eur_per_mwh")

    @property
    def vm_max_pu(self) -> float | None:
        """Voltage ceiling of all buses; None for the scenario's own."""
        return self.values.get("vm_max_pu")

    @property
    def structure(self) -> tuple[float, ...]:
        """Factors that need another model; all other values are data of a model."""
        return tuple(self.scale(kind.kind) for kind in SCALES.values() if kind.data)


@dataclass(frozen=True)
class Finding:
    """Results of one point; schedule and certificate are None without a solution.

    `known` is None where the a priori conditions do not cover the network.
    """

    point: Point
    network: RadialNetwork
    instance: FeederInstance
    decided: FeederPoint
    at: Conditions
    known: APrioriCondition | None
    schedule: Schedule | None
    certificate: Certificate | None
    certify_s: float

    @property
    def steps(self) -> int:
        """Number of steps of the horizon."""
        return int(self.at.bus_p_mw.shape[1])

    def rows(self, build_s: float) -> dict[str, list[dict[str, Any]]]:
        """Return the rows of this point in every table."""
        steps, lines = self._steps(), self._lines()
        return {"points": [self._point(build_s)], "steps": steps, "lines": lines}

    def _point(self, build_s: float) -> dict[str, Any]:
        point, report = self.point, self.decided.report
        own: dict[str, float | None] = {n: 1.0 if n in SCALES else None for n in DIMENSIONS}
        row: dict[str, Any] = {
            **own,
            **point.values,
            "point": point.number,
            "status": report.status,
            "reason": report.fallback,
            "steps": self.steps,
            "build_s": build_s,
            "solve_s": report.solve_s,
            "certify_s": self.certify_s,
        }
        return row | self._before() | self._after()

    def _before(self) -> dict[str, Any]:
        """Return the conditions that hold in all steps, and the line with the smallest margin."""
        known = self.known
        if known is None:
            return {}
        holds = [np.all(c) for c in _each(known)]
        row: dict[str, Any] = dict(zip(CONDITIONS, map(bool, holds), strict=True))
        row |= {
            "predicted_exact": bool(np.all(known.holds)),
            "failing_line": "",
            "failing_direction": "",
            "min_margin": float(np.min(known.margin)),
            "highest_vm_pu": float(np.max(known.highest_vm_pu)),
        }
        if not row["line_condition"]:
            worst = known.failures(int(np.argmin(np.where(known.lines, np.inf, known.margin))))[0]
            row["failing_line"] = line_name(known.network, worst.line)
            row["failing_direction"] = worst.direction
        return row

    def _after(self) -> dict[str, Any]:
        """Return values of the schedule and its certificate."""
        schedule, certificate, report = self.schedule, self.certificate, self.decided.report
        if schedule is None or certificate is None:
            return {"verdict": "", "worst_line": ""}
        dt = schedule.dt_h
        forecast, plan = self.instance.forecast.devices, schedule.devices
        curtailed = [
            forecast[k.filling("available_mw")].T - plan[k.filling("p_mw")]
            for k in CURTAILED
            if k.filling("available_mw") in forecast
        ]
        lost = np.maximum(certificate.fictitious_loss_mw, 0.0)
        worst = certificate.worst_step(range(certificate.steps))
        row = {
            "objective_eur": report.objective_eur,
            "gap": report.gap,
            "import_mwh": float(np.sum(dt * np.maximum(schedule.p_import_mw, 0.0))),
            "export_mwh": float(np.sum(dt * np.maximum(-schedule.p_import_mw, 0.0))),
            "curtailed_mwh": float(sum(np.sum(dt * mw) for mw in curtailed)),
            "verdict": certificate.verdict[worst],
            "steps_exact": certificate.count(EXACT),
            "steps_feasible": certificate.count(FEASIBLE),
            "steps_infeasible": certificate.count(INFEASIBLE),
            "max_cone_gap_pu": float(np.max(certificate.cone_gap_pu, initial=0.0)),
            "max_fictitious_loss_share": float(np.max(certificate.fictitious_loss_share)),
            "fictitious_loss_mwh": float(np.sum(dt * lost)),
            "max_voltage_error_pu": float(np.max(certificate.voltage_error_pu)),
            "max_violation_pu": float(np.max(certificate.violation_pu)),
            "worst_line": "",
        }
        if row["verdict"] != EXACT and lost.size:
            line, step = np.unravel_index(int(np.argmax(lost)), lost.shape)
            row["worst_line"] = line_name(self.network, int(line))
            row["worst_step"] = int(step)
        return row

    def _steps(self) -> list[dict[str, Any]]:
        known, certificate, schedule = self.known, self.certificate, self.schedule
        rows = []
        for k in range(self.steps):
            row: dict[str, Any] = {"point": self.point.number, "step": k, "verdict": ""}
            if certificate is not None and schedule is not None:
                verdict = certificate.step(k)
                row |= {
                    "verdict": verdict.verdict,
                    "cone_gap_pu": verdict.cone_gap_pu,
                    "fictitious_loss_share": verdict.fictitious_loss_share,
                    "voltage_error_pu": verdict.voltage_error_pu,
                    "violation_pu": verdict.violation_pu,
                    "import_mw": float(schedule.p_import_mw[k]),
                }
            if known is not None:
                row |= {n: bool(c[k]) for n, c in zip(CONDITIONS, _each(known), strict=True)}
                row["predicted_exact"] = bool(known.holds[k])
                row["min_margin"] = float(known.margin[k])
            rows.append(row)
        return rows

    def _lines(self) -> list[dict[str, Any]]:
        known, certificate = self.known, self.certificate
        rows: list[dict[str, Any]] = [
            {"point": self.point.number, "line": line_name(self.network, k)}
            for k in range(self.network.branches)
        ]
        if known is not None:
            for row, failing in zip(rows, np.sum(known.cause >= 0, axis=1), strict=True):
                row |= {"c1_failing_steps": int(failing), "c1_fails": bool(failing > 0)}
        if certificate is not None:
            load = np.maximum(self.at.bus_p_mw.sum(axis=0), 0.0)
            lost = np.maximum(certificate.fictitious_loss_mw, 0.0)
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.where(lost == 0.0, 0.0, lost / load)
            open_steps = np.sum(share > tolerances.EXACT_LOSS_SHARE, axis=1)
            for k, row in enumerate(rows):
                row["max_fictitious_loss_share"] = float(np.max(share[k]))
                row["max_cone_gap_pu"] = float(np.max(certificate.cone_gap_pu[k]))
                row["inexact_steps"] = int(open_steps[k])
        return rows


def line_name(network: RadialNetwork, branch: int) -> str:
    """Return the name of a branch in the tables, such as `line 17`."""
    return f"{network.branch_table[branch]} {network.branch_index[branch]}"


def _each(known: APrioriCondition) -> tuple[Bools, Bools, Bools]:
    """Return the conditions in the order of CONDITIONS, each (steps,)."""
    return known.price, known.voltage, known.lines
