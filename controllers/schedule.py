"""Schedules of agents over the horizon, set points for now, and reports of their solution."""

from dataclasses import dataclass, replace

import numpy as np

from stackelgrid.controllers.networks.reduction import FlowState
from stackelgrid.controllers.solvers import Solution
from stackelgrid.controllers.verdict import (
    Certificate,
    Recovery,
    TransmissionCertificate,
    Verdict,
)
from stackelgrid.profiles.arrays import Floats

EMPTY: Floats = np.zeros(0)


@dataclass(frozen=True)
class Measurement:
    """Measurements that an agent receives from its grid at the start of an interval.

    Slack voltage on the upstream side, tap position of the boundary transformer (0 without one),
    energies of the batteries.
    """

    vm_pu: float
    tap_pos: int
    battery_e_mwh: Floats


@dataclass(frozen=True)
class BoundaryProfile:
    """Exchange of a grid over the horizon (steps,), import > 0, as sent to the grid above."""

    p_mw: Floats
    q_mvar: Floats

    def times(self, copies: float) -> "BoundaryProfile":
        """Return the exchange of `copies` identical grids."""
        return BoundaryProfile(copies * self.p_mw, copies * self.q_mvar)


@dataclass(frozen=True)
class SetPoints:
    """Set points of one grid for one interval, in the order of its devices.

    Batteries positive when charging, PV and units positive when injecting. `pv_p_mw` is the power
    expected of PV, `pv_p_max_mw` the most that it may feed in: the inverter's rating where the plan
    does not curtail. None: a system is limited to `pv_p_mw` where that is below the forecast.
    """

    battery_p_mw: Floats
    pv_p_mw: Floats
    pv_q_mvar: Floats
    unit_p_mw: Floats
    pv_p_max_mw: Floats | None = None


@dataclass(frozen=True)
class Trade:
    """Contracts of the prosumers of one grid over the horizon, MW (prosumers, steps).

    `bus` are pandapower buses; grid, inside the feeder, across feeders. Prices (steps,) in
    EUR/MWh follow the stated rule: midway between import and export price, across feeders the
    mean of that over the feeders that may trade.
    """

    bus: tuple[int, ...]
    grid_buy_mw: Floats
    grid_sell_mw: Floats
    inside_buy_mw: Floats
    inside_sell_mw: Floats
    across_buy_mw: Floats
    across_sell_mw: Floats
    inside_price_eur_per_mwh: Floats
    across_price_eur_per_mwh: Floats


@dataclass(frozen=True)
class Schedule:
    """Plan of one grid over the horizon; arrays (devices, steps), imports (steps,).

    `flows` (per unit, all branches of the network) is None where the plan is a fallback or a
    DC one; `price_eur_per_mwh` (buses, steps) are nodal prices of a transmission network.
    `charge_mw` and `discharge_mw` are kept apart to show simultaneous charge and discharge.
    `pv_p_max_mw` (systems, steps) as in SetPoints.
    """

    interval: int
    dt_h: Floats
    p_import_mw: Floats
    q_import_mvar: Floats
    charge_mw: Floats
    discharge_mw: Floats
    battery_e_mwh: Floats
    pv_p_mw: Floats
    pv_q_mvar: Floats
    unit_p_mw: Floats
    flows: FlowState | None = None
    price_eur_per_mwh: Floats | None = None
    trade: Trade | None = None
    pv_p_max_mw: Floats | None = None

    @property
    def battery_p_mw(self) -> Floats:
        """Net battery power, positive when charging."""
        return self.charge_mw - self.discharge_mw

    def boundary(self, copies: int) -> BoundaryProfile:
        """Exchange of `copies` identical grids with the one above."""
        return BoundaryProfile(self.p_import_mw, self.q_import_mvar).times(copies)

    def set_points(self, step: int = 0) -> SetPoints:
        """Set points of one step."""
        return SetPoints(
            battery_p_mw=self.battery_p_mw[:, step],
            pv_p_mw=self.pv_p_mw[:, step],
            pv_q_mvar=self.pv_q_mvar[:, step],
            unit_p_mw=self.unit_p_mw[:, step],
            pv_p_max_mw=None if self.pv_p_max_mw is None else self.pv_p_max_mw[:, step],
        )


@dataclass(frozen=True)
class SolveReport:
    """Origin of a schedule; `fallback` is the reason if it is not the solver's.

    `gap` (relative) and `gap_eur` are of the program that was solved, which may hold several
    grids; `flexible_gap` is the gap relative to the cost without the uncontrolled load.
    """

    solver: str
    status: str
    objective_eur: float
    gap: float
    violation: float
    iterations: int
    solve_s: float
    fallback: str = ""
    gap_eur: float = 0.0
    flexible_gap: float = 0.0
    nodes: int = 0
    conic_solves: int = 1


def solve_report(solver: str, solution: Solution) -> SolveReport:
    """Return the report of a solver's solution; without an optimum it states a fallback."""
    failed = solution.status != "optimal"
    return SolveReport(
        solver=solver,
        status=solution.status,
        objective_eur=solution.objective,
        gap=solution.gap,
        violation=solution.violation,
        iterations=solution.iterations,
        solve_s=solution.solve_s,
        fallback=f"{solver} returned {solution.status} ({solution.message})" if failed else "",
    )


@dataclass(frozen=True)
class Plan:
    """Decision of one agent for one interval; `step` of the schedule is the one to apply.

    `verdict` is of that step, `certificate` of the whole horizon; a user's controller may leave
    both out. `transmission` is the certificate of a DC dispatch, `recovery` the record of a
    recovery from a schedule that was not exact at first.
    """

    schedule: Schedule
    set_points: SetPoints
    report: SolveReport
    verdict: Verdict | None = None
    step: int = 0
    certificate: Certificate | None = None
    recovery: Recovery | None = None
    transmission: TransmissionCertificate | None = None

    def at_step(self, step: int) -> "Plan":
        """Return the same plan at a later step, for a decision made once a day."""
        judged = self.certificate or self.transmission
        verdict = judged.step(step) if judged is not None else self.verdict
        set_points = self.schedule.set_points(step)
        return replace(self, set_points=set_points, verdict=verdict, step=step)
