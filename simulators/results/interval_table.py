"""Tables of plans and realised values: a row for each grid and interval; each step; each phase."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.devices.registry import costly, kinds
from stackelgrid.controllers.schedule import Plan
from stackelgrid.controllers.verdict import EXACT, FEASIBLE, INFEASIBLE, Verdict
from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.results.columns import (
    KEY,
    Column,
    Table,
    count,
    flag,
    group,
    label,
    number,
    table,
)
from stackelgrid.simulators.results.device_tables import STEP
from stackelgrid.simulators.results.grid_interval import (
    NAN,
    GridInterval,
    PhaseStep,
    largest,
    phase_step,
)


class JudgedStep(Protocol):
    """A step with a certificate: that of the applied step, or any of the horizon."""

    @property
    def verdict(self) -> Verdict:
        """Balanced view."""
        ...

    @property
    def phase(self) -> PhaseStep:
        """Three-phase view."""
        ...


def _term(interval: GridInterval) -> float:
    """Return the user's term of the objective; NaN without one."""
    found = interval.report.objective_term_eur
    return NAN if found is None else found


@dataclass(frozen=True)
class StepOfPlan:
    """A step of a plan's certificate."""

    step: int
    dt_h: float
    verdict: Verdict
    phase: PhaseStep


def steps_of(plan: Plan) -> list[StepOfPlan]:
    """Return the steps of a plan's certificate; empty without one."""
    judged = plan.certificate or plan.transmission
    if judged is None:
        return []
    phases = plan.certificate.phases if plan.certificate is not None else None
    return [
        StepOfPlan(k, plan.schedule.dt_h[k], judged.step(k), phase_step(phases, k))
        for k in range(len(judged.verdict))
    ]


def _steps_infeasible(s: GridInterval) -> int:
    return s.phases.verdict.count(INFEASIBLE) if s.phases and s.step == 0 else 0


def _tried(s: GridInterval) -> str:
    tried = s.recovered.tried if s.recovered else ()
    return ", ".join(f"{rung} x {times}" for rung, times in tried)


def _most_loaded(s: GridInterval) -> float:
    loading = s.seen["branch_loading_percent"]
    return largest(loading[np.isfinite(loading)])


def _extreme(of: Callable[[Floats], Any], phase: int) -> Callable[[GridInterval], float]:
    return lambda s: float(of(s.phase_vm_pu[phase]))


def _voltage(phase: int) -> Callable[[GridInterval], Floats]:
    return lambda s: s.phase_vm_pu[phase]


def _totals(kind: type[DeviceKind]) -> list[Column[GridInterval]]:
    """Return the columns with sums over the devices of a kind."""
    totals = (q for q in kind.quantities if q.total)
    return [number(q.name, q.unit, q.total, _sum(q.name), missing=0.0) for q in totals]


def _sum(quantity: str) -> Callable[[GridInterval], float]:
    return lambda s: float(s.outputs[quantity].sum())


def _cost(kind: type[DeviceKind]) -> Callable[[GridInterval], float]:
    return lambda s: sum(s.cost_eur(m) for m in s.grid.devices if type(m) is kind)


def _unbalance_of_buses(s: GridInterval) -> Floats:
    assert s.phases is not None
    return s.phases.unbalance_percent[:, s.step]


# results of the certificate for a step: the applied one in `interval`, all in `certificate`
_JUDGED: tuple[Column[JudgedStep], ...] = (
    label("verdict", "`exact`, `feasible` or `infeasible`; empty where a controller gives no "
          "certificate", lambda s: s.verdict.verdict),
    number("cone_gap_pu", "p.u.", "largest abs(l v - P^2 - Q^2) of a branch; empty for a schedule "
           "without flows (a fallback) and a transmission grid", lambda s: s.verdict.cone_gap_pu),
    number("fictitious_loss_mw", "MW", "r (l - (P^2 + Q^2) / v), positive parts summed over the "
           "branches", lambda s: s.verdict.fictitious_loss_mw),
    number("fictitious_loss_share", "1", "the same relative to the load: the sum of absolute "
           "consumption at the buses, grids below included",
           lambda s: s.verdict.fictitious_loss_share),
    number("voltage_error_pu", "p.u.", "largest difference between planned and AC voltage",
           lambda s: s.verdict.voltage_error_pu),
    number("loss_error_mw", "MW", "planned losses against those of AC; transmission: the losses "
           "that DC neglects", lambda s: s.verdict.loss_error_mw),
    number("import_error_mw", "MW", "planned import against that of AC; transmission: what the "
           "slack gives more or less than dispatched", lambda s: s.verdict.import_error_mw),
    number("violation_pu", "p.u.", "largest violation of a voltage limit (p.u.) or rating (share) "
           "by the AC solution; transmission: of generators' limits too (powers in p.u. of the "
           "base)", lambda s: s.verdict.violation_pu),
    label("worst", "its bus or branch, or where the power flow collapses",
          lambda s: s.verdict.worst),
)  # fmt: skip
_JUDGED_BY_PHASE: tuple[Column[JudgedStep], ...] = (
    label("verdict_three_phase", "`feasible` or `infeasible`", lambda s: s.phase.verdict),
    number("violation_three_phase_pu", "p.u.", "largest violation of a voltage limit by any phase, "
           "or of a rating (share) by any conductor", lambda s: s.phase.violation_pu),
    label("worst_three_phase", "its bus or branch", lambda s: s.phase.worst),
)  # fmt: skip
_UNBALANCE: tuple[Column[JudgedStep], ...] = (
    number("unbalance_pu", "p.u.", "largest difference between a phase's voltage and the balanced "
           "AC voltage", lambda s: s.phase.unbalance_pu),
    number("unbalance_percent", "%", "largest unbalance factor: negative over positive sequence "
           "voltage", lambda s: s.phase.unbalance_percent),
)  # fmt: skip

INTERVAL: Table[GridInterval] = table(
    "interval",
    "One row for each grid. Values are of one copy; `copies` is the number of identical grids "
    "that it represents in the whole system.",
    *KEY,
    label("level", "transmission, mv or lv", lambda s: s.grid.level),
    count("copies", "identical grids that the row represents", lambda s: s.grid.copies),
    group(
        "decision", "solver of the plan and its result",
        label("solver", "name of the solver", lambda s: s.report.solver),
        label("status", "result: optimal, or the reason if not", lambda s: s.report.status),
        count("iterations", "iterations of the solver", lambda s: s.report.iterations),
        number("gap", "1", "relative gap between objective and proven bound, of the whole group "
               "where grids decide together", lambda s: s.report.gap),
        number("solver_violation", "1", "largest violation of a row by the returned point, "
               "relative to its terms, checked independently", lambda s: s.report.violation),
        number("objective_eur", "EUR", "cost of the plan over the whole horizon, with the user's "
               "term",
               lambda s: s.report.objective_eur),
        number("objective_term_eur", "EUR", "part of objective_eur by the grid's `objective`, a "
               "user's term; empty without one", _term,
               missing=NAN),
        number("gap_eur", "EUR", "the gap in EUR", lambda s: s.report.gap_eur),
        number("flexible_gap", "1", "the gap relative to the cost without the uncontrolled load",
               lambda s: s.report.flexible_gap),
        count("nodes", "nodes of the search", lambda s: s.report.nodes),
        count("conic_solves", "conic programs solved; 1: the snapped relaxed point satisfied "
              "everything", lambda s: s.report.conic_solves),
        flag("fallback", "whether the plan is the last schedule, kept inside the limits",
             lambda s: bool(s.report.fallback)),
        label("fallback_reason", "reason for the fallback", lambda s: s.report.fallback),
        number("solve_s", "s", "wall-clock time of the solve", lambda s: s.report.solve_s),
        number("simultaneous_mw", "MW", "largest power taken and given at once by a device in the "
               "plan"),
    ),
    group(
        "plan", "applied step, AC power flow at the injections of the plan and the forecast",
        *_JUDGED,
    ),
    group(
        "plan, whole horizon",
        "in the interval of the decision (a day-ahead plan: the first); 0 or empty in the others",
        count("horizon_exact", "number of steps whose balanced verdict is exact",
              lambda s: s.horizon_count(EXACT)),
        count("horizon_feasible", "number of steps whose balanced verdict is feasible",
              lambda s: s.horizon_count(FEASIBLE)),
        count("horizon_infeasible", "number of steps whose balanced verdict is infeasible",
              lambda s: s.horizon_count(INFEASIBLE)),
        number("horizon_cone_gap_pu", "p.u.", "largest cone gap of all steps",
               lambda s: s.horizon_largest("cone_gap_pu")),
        number("horizon_fictitious_loss_share", "1", "largest share of all steps",
               lambda s: s.horizon_largest("fictitious_loss_share")),
        number("horizon_violation_pu", "p.u.", "largest violation of all steps",
               lambda s: s.horizon_largest("violation_pu")),
    ),
    group(
        "plan, phase by phase",
        "applied step; empty without `certificate.three_phase` and for grids other than lv",
        *_JUDGED_BY_PHASE,
        count("horizon_infeasible_three_phase", "number of steps at which a phase or conductor is "
              "beyond its limit", _steps_infeasible),
        *_UNBALANCE,
        *(
            number(f"{extreme}_vm_{phase}_pu", "p.u.", f"{word} voltage of phase {phase}, over the "
                   "buses", _extreme(of, i))
            for extreme, word, of in (("min", "lowest", np.min), ("max", "highest", np.max))
            for i, phase in enumerate("abc")
        ),
    ),
    group(
        "recovery",
        "empty for plans accepted without recovery; rungs tried and cost in the interval of the "
        "decision",
        label("recovery", "rung whose schedule is applied; empty with `recovery_tried` where none "
              "was better", lambda s: s.recovery.used if s.recovery else ""),
        label("recovery_tried", "rungs in their order, with their numbers of decisions", _tried),
        count("recovery_decisions", "number of repeated decisions",
              lambda s: s.recovered.decisions if s.recovered else 0),
        label("verdict_before", "verdict of the first schedule at this step, in either view; only "
              "with a recovery",
              lambda s: s.recovery.before.verdicts([s.step])[0] if s.recovery else ""),
        number("violation_before_pu", "p.u.", "its violation",
               lambda s: s.recovery.before.largest_violation([s.step]) if s.recovery else NAN),
        number("recovery_eur", "EUR", "cost of the plan over the horizon less that of the first "
               "one, one copy: an upper bound of the cost of exactness",
               lambda s: s.recovered.cost_eur if s.recovered else NAN),
    ),
    group(
        "reality", "at realised profiles",
        number("realised_violation_pu", "p.u.", "as `violation_pu`, in reality (balanced)",
               lambda s: s.violation.amount),
        label("realised_worst", "its bus or branch", lambda s: s.violation.where),
        number("realised_voltage_change_pu", "p.u.", "largest difference between reality and "
               "AC at the planned injections: forecast errors, moved taps, the real head voltage",
               lambda s: s.voltage_change_pu),
        number("p_import_mw", "MW", "exchange at the boundary; 0 for a transmission grid",
               lambda s: s.seen["slack_p_mw"] if s.feeder else 0.0),
        number("q_import_mvar", "MVAr", "the same, reactive",
               lambda s: s.seen["slack_q_mvar"] if s.feeder else 0.0),
        number("p_import_planned_mw", "MW", "planned exchange",
               lambda s: s.p_import_planned_mw if s.feeder else NAN),
        *(column for kind in kinds() if not kind.names(Role.SET_POINT) for column in _totals(kind)),
        number("lower_p_mw", "MW", "grids connected below, all their copies"),
        *(column for kind in kinds() if kind.names(Role.SET_POINT) for column in _totals(kind)),
        number("loss_mw", "MW", "losses of lines and transformers", lambda s: s.seen["loss_mw"]),
        number("balance_error_mw", "MW", "supply less demand and losses: rounding of the power "
               "flow"),
        number("min_vm_pu", "p.u.", "lowest voltage over the buses",
               lambda s: s.seen["bus_vm_pu"].min()),
        number("max_vm_pu", "p.u.", "highest voltage over the buses",
               lambda s: s.seen["bus_vm_pu"].max()),
        number("max_loading_percent", "%", "highest loading over the rated branches", _most_loaded),
        count("tap_pos", "tap of the boundary transformer; 0 if ideal, where the net's tap stays",
              lambda s: s.seen["tap_pos"], missing=NAN),
        count("rounds", "power flows of this grid until the interfaces had converged",
              lambda s: s.seen["rounds"]),
        number("energy_handover_error_mwh", "MWh", "energy the plan started from less energy the "
               "devices had"),
    ),
    group(
        "money", "of the interval, one copy",
        number("boundary_eur", "EUR", 'payment at the boundary: the import (export) price times '
               'the exchange less the net purchase across; with `pricing = "lmp"` the nodal price '
               'times the exchange, empty before the first nodal price',
               lambda s: s.dt_h * s.payment_eur_per_h),
        number("retail_eur", "EUR", "retail margin of the prosumers",
               lambda s: s.dt_h * s.trade_costs_eur_per_h[0]),
        number("fee_eur", "EUR", "trade fees of the prosumers",
               lambda s: s.dt_h * s.trade_costs_eur_per_h[1]),
        *(
            number(kind.cost_column, "EUR", kind.cost_meaning, _cost(kind), missing=0.0)
            for kind in costly()
        ),
        number("capacity_eur", "EUR", "price of the rise of the highest import of the run",
               missing=0.0),
        number("emission_eur", "EUR", "price of the emissions of imported energy", missing=0.0),
        number("emissions_kg", "kg", "emissions of imported energy; empty if they are not known",
               missing=NAN),
    ),
)  # fmt: skip

CERTIFICATE: Table[StepOfPlan] = table(
    "certificate",
    "The certificate of every step of a plan, in the interval of the decision; `interval` holds "
    "that of the applied step. Plans are checked on forecasts; reality: the `realised_` columns "
    "of `interval`.",
    *KEY,
    *STEP,
    *_JUDGED,
    *_JUDGED_BY_PHASE,
    *_UNBALANCE,
)  # fmt: skip

PHASE: Table[GridInterval] = table(
    "phase",
    "One row for each bus of a grid with a three-phase view: its plan at the applied step.",
    *KEY,
    count("bus", "pandapower's index",
          lambda s: np.array(s.grid.network_bus_index, dtype=np.int64)),
    *(number(f"vm_{p}_pu", "p.u.", f"voltage of phase {p}, line to neutral",
             _voltage(i))
      for i, p in enumerate("abc")),
    number("unbalance_percent", "%", "unbalance factor", _unbalance_of_buses),
)  # fmt: skip
