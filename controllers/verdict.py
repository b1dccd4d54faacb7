"""What a certificate says of a schedule: for one step, for a whole horizon, phase by phase."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stackelgrid.profiles.arrays import Floats

EXACT, FEASIBLE, INFEASIBLE = "exact", "feasible", "infeasible"


@dataclass(frozen=True)
class Verdict:
    """One step of a certificate (docs/model.md); NaN where there is no such quantity.

    `violation_pu` is the largest violation by the AC solution of a voltage limit (p.u.) or a
    rating (share of it), `worst` names its bus or branch, or says where a power flow collapses.
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

    `unbalance_pu` (steps,) is the largest difference between a phase's voltage and the balanced
    AC solution, that is the part of a deviation that no balanced model can see. Violations are of
    the voltage limits by any phase and of ratings by any conductor.
    """

    verdict: tuple[str, ...]
    vm_pu: Floats
    unbalance_percent: Floats
    unbalance_pu: Floats
    violation_pu: Floats
    worst: tuple[str, ...]


@dataclass(frozen=True)
class Certificate:
    """Exactness and AC feasibility of a schedule at every step of its horizon.

    Arrays (steps,), (branches, steps) or (buses, steps) in network order; AC values are NaN at
    steps whose power flow diverged, values of the relaxation where a schedule has no flows.
    `loss_planned_mw` is what the schedule reckons with, `loss_mw` what AC says at its injections,
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
        """Verdict on one step."""
        return Verdict(
            verdict=self.verdict[k],
            cone_gap_pu=float(np.max(self.cone_gap_pu[:, k], initial=0.0)),
            fictitious_loss_mw=float(np.sum(np.maximum(self.fictitious_loss_mw[:, k], 0.0))),
            fictitious_loss_share=float(self.fictitious_loss_share[k]),
            voltage_error_pu=float(self.voltage_error_pu[k]),
            loss_error_mw=float(abs(self.loss_planned_mw[k] - self.loss_mw[k])),
            import_error_mw=float(self.import_error_mw[k]),
            violation_pu=float(self.violation_pu[k]),
            worst=self.worst[k],
        )

    def verdicts(self, steps: Sequence[int]) -> list[str]:
        """Verdicts on these steps; a phase that is infeasible makes its step infeasible."""
        phases = self.phases.verdict if self.phases is not None else self.verdict
        return [INFEASIBLE if phases[k] == INFEASIBLE else self.verdict[k] for k in steps]

    def good(self, steps: Sequence[int]) -> bool:
        """Whether these steps are AC feasible, in the three-phase view too where there is one."""
        return INFEASIBLE not in self.verdicts(steps)

    def largest_violation(self, steps: Sequence[int]) -> float:
        """Largest violation in any view at these steps; infinite where a power flow diverged."""
        views = [self.violation_pu] + ([self.phases.violation_pu] if self.phases else [])
        return float(np.max(np.nan_to_num([v[list(steps)] for v in views], nan=np.inf)))

    def worst_step(self, steps: Sequence[int]) -> int:
        """The step with the worst verdict, of these the one with the largest violation or loss."""
        rank = {EXACT: 0, FEASIBLE: 1, INFEASIBLE: 2}
        verdicts = self.verdicts(steps)
        share = np.nan_to_num(self.fictitious_loss_share, nan=np.inf)

        def badness(at: int) -> tuple[float, ...]:
            k = steps[at]
            return (rank[verdicts[at]], self.largest_violation([k]), float(share[k]))

        return steps[max(range(len(steps)), key=badness)]

    def count(self, verdict: str) -> int:
        """Number of steps with this verdict."""
        return self.verdict.count(verdict)


@dataclass(frozen=True)
class Recovery:
    """How a schedule that was not exact was mended.

    `used` is the rung whose schedule is applied ("" where none was better), `tried` all rungs in
    their order with the number of decisions each took. `before` is the balanced verdict on the
    first schedule at its worst applied step; `before_verdict` and `before_violation_pu` count the
    three-phase view in. `cost_eur` is what the mended plan costs more than the first one over the
    horizon, one copy, boundary payment included.
    """

    used: str
    tried: tuple[tuple[str, int], ...]
    before: Verdict
    before_verdict: str
    before_violation_pu: float
    cost_eur: float

    @property
    def decisions(self) -> int:
        """Decisions that were taken anew."""
        return sum(count for _, count in self.tried)
