"""Schedules of agents over the horizon, set points for now, and reports of their solution."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.networks.reduction import FlowState
from stackelgrid.controllers.solvers import Solution
from stackelgrid.controllers.verdict import (
    Certificate,
    Recovery,
    TransmissionCertificate,
    Verdict,
)
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.quantities import WithQuantities, given


@dataclass(frozen=True, init=False)
class Measurement(WithQuantities):
    """Measurements that an agent receives from its grid at the start of an interval.

    vm_pu: slack voltage on the upstream side.
    tap_pos: tap position of the boundary transformer, 0 without one.
    devices: states of the devices by name, also as keywords:
        `Measurement(1.0, 0, NAME=...)`.
    peak_import_mw: highest import of all intervals so far.
    """

    vm_pu: float
    tap_pos: int
    devices: Mapping[str, Floats]
    peak_import_mw: float

    def __init__(
        self,
        vm_pu: float,
        tap_pos: int,
        devices: Mapping[str, Floats] = MappingProxyType({}),
        *,
        peak_import_mw: float = 0.0,
        **quantities: Floats,
    ) -> None:
        object.__setattr__(self, "peak_import_mw", peak_import_mw)
        object.__setattr__(self, "vm_pu", vm_pu)
        object.__setattr__(self, "tap_pos", tap_pos)
        object.__setattr__(self, "devices", {**devices, **quantities})


@dataclass(frozen=True)
class BoundaryProfile:
    """Exchange of a grid over the horizon (steps,), import > 0, as sent to the grid above."""

    p_mw: Floats
    q_mvar: Floats

    def times(self, copies: float) -> "BoundaryProfile":
        """Return the exchange of `copies` identical grids."""
        return BoundaryProfile(copies * self.p_mw, copies * self.q_mvar)


@dataclass(frozen=True, init=False)
class SetPoints(WithQuantities):
    """Set points of one grid for one interval, by name and in the order of its devices.

    `SetPoints(NAME=..., ...)`; the kinds of devices declare names, units and
    signs (controllers/devices/). Optional ones that are None follow from the forecast.
    """

    devices: Mapping[str, Floats]

    def __init__(
        self,
        devices: Mapping[str, Floats] = MappingProxyType({}),
        **quantities: Floats | None,
    ) -> None:
        object.__setattr__(self, "devices", {**devices, **given(quantities)})


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


@dataclass(frozen=True, init=False)
class Schedule(WithQuantities):
    """Plan of one grid over the horizon; arrays (devices, steps), imports (steps,).

    interval: first interval of the horizon.
    dt_h: length of the steps in h.
    p_import_mw, q_import_mvar: exchange with the grid above, import positive.
    devices: plans of the kinds of devices by name, also as keywords:
        `Schedule(..., charge_mw=..., discharge_mw=..., ...)`.
    flows: per unit, all branches of the network; None where the plan is a fallback or a DC one.
    price_eur_per_mwh: nodal prices of an upstream network (buses, steps).
    trade: contracts of the prosumers.
    """

    interval: int
    dt_h: Floats
    p_import_mw: Floats
    q_import_mvar: Floats
    devices: Mapping[str, Floats]
    flows: FlowState | None
    price_eur_per_mwh: Floats | None
    trade: Trade | None

    def __init__(
        self,
        interval: int,
        dt_h: Floats,
        p_import_mw: Floats,
        q_import_mvar: Floats,
        devices: Mapping[str, Floats] = MappingProxyType({}),
        *,
        flows: FlowState | None = None,
        price_eur_per_mwh: Floats | None = None,
        trade: Trade | None = None,
        **quantities: Floats | None,
    ) -> None:
        plan = {**devices, **given(quantities)}
        for kind in kinds():
            plan |= kind.complete(plan)
        for name, value in (
            ("interval", interval), ("dt_h", dt_h), ("p_import_mw", p_import_mw),
            ("q_import_mvar", q_import_mvar), ("devices", plan), ("flows", flows),
            ("price_eur_per_mwh", price_eur_per_mwh), ("trade", trade),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    def boundary(self, copies: int) -> BoundaryProfile:
        """Exchange of `copies` identical grids with the one above."""
        return BoundaryProfile(self.p_import_mw, self.q_import_mvar).times(copies)

    def set_points(self, step: int = 0) -> SetPoints:
        """Set points of one step."""
        points: dict[str, Floats] = {}
        for kind in kinds():
            points |= kind.set_points(self.devices, step)
        return SetPoints(points)


@dataclass(frozen=True)
class SolveReport:
    """Origin of a schedule.

    solver: name of the solver.
    status: its status.
    objective_eur: cost of the plan over the horizon.
    gap: proven relative gap of the program, which may hold several grids.
    gap_eur: the same in EUR.
    violation: largest violation of a row, relative to its terms.
    iterations: iterations of the solver.
    solve_s: wall-clock seconds.
    fallback: reason why the schedule is not the solver's; "" if it is.
    flexible_gap: gap relative to the cost without the uncontrolled load.
    objective_term_eur: user's term of the objective at the plan; None without one.
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
    objective_term_eur: float | None = None


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
    """Decision of one agent for one interval.

    schedule: powers of all devices over the horizon.
    set_points: set points of the step to apply.
    report: origin of the schedule.
    verdict: verdict of the step to apply; a controller of a user may leave it out.
    step: step of the schedule that is applied.
    certificate: certificate of the whole horizon; may be left out, too.
    recovery: record of a recovery from a schedule that was not exact at first.
    transmission: certificate of a DC dispatch.
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
