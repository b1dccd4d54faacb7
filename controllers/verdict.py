"""Verdicts and certificates of a schedule: for one step, for a whole horizon, phase by phase."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackelgrid.controllers import tolerances
from stackelgrid.profiles.arrays import Bools, Floats, Ints

EXACT, FEASIBLE, INFEASIBLE = "exact", "feasible", "infeasible"


def exactness_asked(level: str) -> bool:
    """Return whether plans of a level's grids can be exact; transmission has a DC dispatch."""
    return level != "transmission"


def closed(fictitious_loss_share: Floats, voltage_error_pu: Floats) -> Bools:
    """Return whether the relaxation is closed in each step (steps,); False for NaN."""
    few_losses = fictitious_loss_share <= tolerances.EXACT_LOSS_SHARE
    return np.asarray(few_losses & (voltage_error_pu <= tolerances.EXACT_VOLTAGE_PU))


@dataclass(frozen=True)
class Verdict:
    """One step of a certificate (docs/model.md); NaN where there is no such quantity.

    `violation_pu` is the largest violation by the AC solution of a voltage limit (p.u.) or a rating
    (share of it), `worst` names its bus or branch, or the place where a power flow collapses.
    """

    verdict: str
    cone_gap_pu: float
    fictitious_loss_mw: float
    fictitious_loss_share: float
    voltage_error_pu: float
    loss_error_mw: float
    import_error_mw: float
    violation_pu: float
    worst: str


@dataclass(frozen=True)
class PhaseView:
    """A schedule phase by phase: voltages (3, buses, steps), unbalance factor (buses, steps).

    `loading` (branches, steps) is the largest current of a conductor as share of its limit.
    `unbalance_pu` (steps,) is the largest difference between a phase's voltage and the balanced
    AC solution, that is the part of a deviation that no balanced model can see. Violations are of
    the voltage limits by any phase and of ratings by any conductor.
    """

    verdict: tuple[str, ...]
    vm_pu: Floats
    unbalance_percent: Floats
    loading: Floats
    unbalance_pu: Floats
    violation_pu: Floats
    worst: tuple[str, ...]

    def columns(self, k: int) -> dict[str, Any]:
        """Verdict on one step, by column of interval.parquet."""
        return {
            "verdict_three_phase": self.verdict[k],
            "violation_three_phase_pu": float(self.violation_pu[k]),
            "worst_three_phase": self.worst[k],
        }


@dataclass(frozen=True)
class Certificate:
    """Exactness and AC feasibility of a schedule at every step of its horizon.

    Arrays (steps,), (branches, steps) or (buses, steps) in network order; AC values are NaN at
    steps whose power flow diverged, values of the relaxation where a schedule has no flows.
    `loss_planned_mw` are the losses of the schedule, `loss_mw` those of AC at its injections,
    `loading` the AC current as share of its limit (NaN without one).
    """

    verdict: tuple[str, ...]
    cone_gap_pu: Floats
    fictitious_loss_mw: Floats
    fictitious_loss_share: Floats
    vm_planned_pu: Floats
    vm_pu: Floats
    loading: Floats
    loss_planned_mw: Floats
    loss_mw: Floats
    import_error_mw: Floats
    import_error_mvar: Floats
    violation_pu: Floats
    worst: tuple[str, ...]
    phases: PhaseView | None = None

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.verdict)

    @property
    def voltage_error_pu(self) -> Floats:
        """Largest difference (steps,) between planned and AC voltage."""
        return np.asarray(np.max(np.abs(self.vm_planned_pu - self.vm_pu), axis=0, initial=0.0))

    def step(self, k: int) -> Verdict:
        """Return the verdict on one step."""
        return Verdict(
            verdict=self.verdict[k],
            cone_gap_pu=float(np.max(self.cone_gap_pu[:, k], initial=0.0)),
            fictitious_loss_mw=float(np.sum(np.maximum(self.fictitious_loss_mw[:, k], 0.0))),
            fictitious_loss_share=float(self.fictitious_loss_share[k]),
            voltage_error_pu=float(
                np.max(np.abs(self.vm_planned_pu[:, k] - self.vm_pu[:, k]), initial=0.0)
            ),
            loss_error_mw=float(abs(self.loss_planned_mw[k] - self.loss_mw[k])),
            import_error_mw=float(self.import_error_mw[k]),
            violation_pu=float(self.violation_pu[k]),
            worst=self.worst[k],
        )

    def columns(self, k: int) -> dict[str, Any]:
        """Verdict on one step in both views, by column of interval.parquet."""
        return vars(self.step(k)) | (self.phases.columns(k) if self.phases is not None else {})

    def verdicts(self, steps: Sequence[int]) -> list[str]:
        """Return verdicts on these steps; a phase that is infeasible makes its step infeasible."""
        phases = self.phases.verdict if self.phases is not None else self.verdict
        return [INFEASIBLE if phases[k] == INFEASIBLE else self.verdict[k] for k in steps]

    def good(self, steps: Sequence[int]) -> bool:
        """Return whether these steps are AC feasible, in the three-phase view too if present."""
        return INFEASIBLE not in self.verdicts(steps)

    def largest_violation(self, steps: Sequence[int]) -> float:
        """Return the largest violation in any view at these steps; infinite if one diverged."""
        views = [self.violation_pu] + ([self.phases.violation_pu] if self.phases else [])
        return float(np.max(np.nan_to_num([v[list(steps)] for v in views], nan=np.inf)))

    def worst_step(self, steps: Sequence[int]) -> int:
        """Return the step of the worst verdict, among equals that of largest violation or loss."""
        rank = {EXACT: 0, FEASIBLE: 1, INFEASIBLE: 2}
        verdicts = self.verdicts(steps)
        share = np.nan_to_num(self.fictitious_loss_share, nan=np.inf)

        def severity(at: int) -> tuple[float, ...]:
            k = steps[at]
            return (rank[verdicts[at]], self.largest_violation([k]), float(share[k]))

        return steps[max(range(len(steps)), key=severity)]

    def count(self, verdict: str) -> int:
        """Return the number of steps with this verdict."""
        return self.verdict.count(verdict)


@dataclass(frozen=True)
class TransmissionCertificate:
    """AC power flow at a DC dispatch, for every step (T,); NaN (positions -1) where it diverges.

    `loss_mw` are the losses of all branches, `slack_deviation_mw` the power of the slack unit
    beyond its dispatch. Violations are 0 where there is none: `slack_violation_mw` beyond the
    limits of the slack unit, `vm_violation_pu` at `vm_bus` (pandapower index; the bus with the
    least room), `rating_violation` as a share of the rating at `branch` (position in the network;
    the one loaded most, -1 without ratings), `reactive_violation_mvar` at `reactive_unit`.
    `loading` and `dc_loading` (branches, T) are shares of the ratings, 0 without one; `unit_q_mvar`
    (1 + generators, T) starts with the slack. `violation_pu` is the largest violation, powers in
    p.u. of the network's base, and `worst` describes it. A dispatch that neglects losses is at best
    "feasible"; "exact" requires losses below the certificate's tolerance.
    """

    verdict: tuple[str, ...]
    loss_mw: Floats
    loss_share: Floats
    slack_p_mw: Floats
    slack_deviation_mw: Floats
    slack_violation_mw: Floats
    vm_pu: Floats
    vm_bus: Ints
    vm_violation_pu: Floats
    loading: Floats
    dc_loading: Floats
    branch: Ints
    rating_violation: Floats
    unit_q_mvar: Floats
    reactive_unit: tuple[str, ...]
    reactive_violation_mvar: Floats
    violation_pu: Floats
    worst: tuple[str, ...]

    def step(self, k: int) -> Verdict:
        """Return the verdict on one step: DC neglects losses and the slack's deviation."""
        nan = float("nan")
        return Verdict(
            verdict=self.verdict[k],
            cone_gap_pu=nan,
            fictitious_loss_mw=nan,
            fictitious_loss_share=nan,
            voltage_error_pu=nan,
            loss_error_mw=float(self.loss_mw[k]),
            import_error_mw=float(abs(self.slack_deviation_mw[k])),
            violation_pu=float(self.violation_pu[k]),
            worst=self.worst[k],
        )

    def count(self, verdict: str) -> int:
        """Return the number of steps with this verdict."""
        return self.verdict.count(verdict)

    @property
    def branch_dc_loading(self) -> Floats:
        """Loading (T,) in the DC dispatch of the branch that AC loads most, share of its rating."""
        loading = self.dc_loading[self.branch, np.arange(len(self.branch))]
        return np.where(self.branch >= 0, loading, np.nan)

    @property
    def unseen_overload(self) -> NDArray[np.bool_]:
        """Return whether AC overloads a branch (T,) that DC dispatch keeps within its rating."""
        tolerance = tolerances.AC_LIMIT_PU
        with np.errstate(invalid="ignore"):
            over = self.loading > 1.0 + tolerance
        unseen: NDArray[np.bool_] = np.any(over & (self.dc_loading <= 1.0 + tolerance), axis=0)
        return unseen


@dataclass(frozen=True)
class Recovery:
    """Record of the recovery of a schedule that was not exact.

    `used` is the rung whose schedule is applied ("" if none was better), `tried` all rungs in their
    order with the number of decisions of each. `before` is the certificate of the first schedule.
    `cost_eur` is the cost of the recovered plan less that of the first one over the horizon, one
    copy, boundary payment included.
    """

    used: str
    tried: tuple[tuple[str, int], ...]
    before: Certificate
    cost_eur: float

    @property
    def decisions(self) -> int:
        """Number of repeated decisions."""
        return sum(count for _, count in self.tried)
