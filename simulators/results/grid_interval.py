"""One grid in one interval as the recorder received it: rows of the tables are filled from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.networks.limits import Violation
from stackelgrid.controllers.schedule import Plan, SolveReport
from stackelgrid.controllers.verdict import (
    Certificate,
    PhaseView,
    Recovery,
    TransmissionCertificate,
    Verdict,
)
from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.attributes import OUTPUTS, STATES
from stackelgrid.simulators.results.recorded_grid import RecordedGrid

NAN = float("nan")
# tables of pandapower whose elements take part in the power flow on their own
SLACK, GENERATOR = "ext_grid", "gen"
_NO_REPORT = SolveReport(
    solver="", status="", objective_eur=NAN, gap=NAN, violation=NAN, iterations=0, solve_s=0.0,
    gap_eur=NAN, flexible_gap=NAN, conic_solves=0,
)  # fmt: skip
_NO_VERDICT = Verdict("", NAN, NAN, NAN, NAN, NAN, NAN, NAN, "")


@dataclass(frozen=True)
class PhaseStep:
    """One step of a three-phase view; empty without one."""

    verdict: str = ""
    violation_pu: float = NAN
    worst: str = ""
    unbalance_pu: float = NAN
    unbalance_percent: float = NAN


def phase_step(phases: PhaseView | None, k: int) -> PhaseStep:
    """Return step `k` of a three-phase view."""
    if phases is None:
        return PhaseStep()
    return PhaseStep(
        phases.verdict[k],
        float(phases.violation_pu[k]),
        phases.worst[k],
        float(phases.unbalance_pu[k]),
        float(phases.unbalance_percent[:, k].max()),
    )


@dataclass(frozen=True)
class GridInterval:
    """One grid in one interval, and what its rows derive from it; powers are of one copy.

    grid: static data of the grid.
    seen: values of the grid, its boundary, devices and agent, by attribute.
    interval: number of the interval.
    dt_h: its length in h.
    upper_plan: plan of the grid above; None without one.
    recorded_before: states recorded in the interval before; None in the first.
    peak_before_mw: highest import of the intervals before.
    """

    grid: RecordedGrid
    seen: Mapping[str, Any]
    interval: int = 0
    dt_h: float = 1.0
    upper_plan: Plan | None = None
    recorded_before: Mapping[str, Floats] | None = None
    peak_before_mw: float = 0.0

    # ------------------------------------------------------------------ plan

    @property
    def plan(self) -> Plan | None:
        """Plan of the agent; None if it gave none."""
        plan: Plan | None = self.seen["plan"]
        return plan

    @property
    def step(self) -> int:
        """Applied step of the plan."""
        return self.plan.step if self.plan is not None else 0

    @property
    def report(self) -> SolveReport:
        """Report of the plan's solution."""
        return self.plan.report if self.plan is not None else _NO_REPORT

    @property
    def verdict(self) -> Verdict:
        """Verdict on the applied step; empty without one."""
        return (self.plan and self.plan.verdict) or _NO_VERDICT

    @property
    def made(self) -> Certificate | TransmissionCertificate | None:
        """Certificate of a plan made in this interval."""
        if self.plan is None or self.plan.verdict is None or self.plan.step:
            return None
        return self.plan.certificate or self.plan.transmission

    def horizon_count(self, verdict: str) -> int:
        """Return the number of steps with a verdict in a plan made in this interval."""
        return self.made.count(verdict) if self.made is not None else 0

    def horizon_largest(self, quantity: str) -> float:
        """Return the largest value of a quantity in a plan made in this interval, or NaN."""
        values = getattr(self.made, quantity, np.zeros(0))
        known = values[~np.isnan(values)]
        return float(known.max()) if known.size else NAN

    @property
    def phases(self) -> PhaseView | None:
        """Three-phase view of the plan."""
        plan = self.plan
        judged = plan is not None and plan.verdict is not None and plan.certificate
        return judged.phases if judged else None

    @cached_property
    def phase(self) -> PhaseStep:
        """Three-phase view of the applied step."""
        return phase_step(self.phases, self.step)

    @cached_property
    def phase_vm_pu(self) -> Floats:
        """Voltages of the three phases (3, buses) at the applied step; NaN without a view."""
        return self.phases.vm_pu[:, :, self.step] if self.phases else np.full((3, 1), NAN)

    @property
    def recovery(self) -> Recovery | None:
        """Recovery that the plan results from."""
        return self.plan.recovery if self.plan is not None and self.plan.verdict else None

    @property
    def recovered(self) -> Recovery | None:
        """Recovery in this interval."""
        return self.recovery if self.step == 0 else None

    @property
    def simultaneous_mw(self) -> float:
        """Largest power that a device would take and give at once in the plan, MW."""
        if self.plan is None:
            return 0.0
        plan = self.plan.schedule.devices
        return max(member.simultaneous_mw(plan) for member in self.grid.devices)

    @property
    def p_import_planned_mw(self) -> float:
        """Planned import, MW."""
        return float(self.plan.schedule.p_import_mw[self.step]) if self.plan is not None else NAN

    def of_buses(self, quantity: str) -> Floats:
        """Return a quantity (buses, steps) of the certificate at the applied step, net's order."""
        return self._of_certificate(quantity, self.grid.order.bus, len(self.grid.bus_index))

    def of_branches(self, quantity: str) -> Floats:
        """Return a quantity (branches, steps) of it at the applied step, net's order."""
        return self._of_certificate(quantity, self.grid.order.branch, len(self.grid.branches))

    def _of_certificate(self, quantity: str, at: Any, count: int) -> Floats:
        found = np.full(count, NAN)
        plan = self.plan
        values = getattr(plan and (plan.certificate or plan.transmission), quantity, None)
        if values is not None:
            found[at] = values[:, self.step]
        return found

    # ------------------------------------------------------------------ reality

    @property
    def feeder(self) -> bool:
        """Return whether the grid draws its power from one above."""
        return self.grid.level != "transmission"

    @cached_property
    def violation(self) -> Violation:
        """Largest violation of a limit in reality."""
        limits = self.grid.limits
        loading = limits.loading(self.seen["branch_loading_percent"])
        return limits.violation(self.seen["bus_vm_pu"], loading)

    @property
    def voltage_change_pu(self) -> float:
        """Largest difference between realised and planned (AC) voltage, p.u."""
        change = np.abs(self.seen["bus_vm_pu"] - self.of_buses("vm_pu"))
        return float(np.max(change)) if len(change) and not np.isnan(change).any() else NAN

    @cached_property
    def outputs(self) -> dict[str, Floats]:
        """Outputs of the devices by quantity; the slack delivers the residual of the power flow."""
        found = {q.name: self.seen[q.name] for q in OUTPUTS}
        for member in self.grid.devices:
            slack = [k for k, table in enumerate(member.table) if table == SLACK]
            for q in member.quantities:
                if slack and q.column == "p_mw":
                    found[q.name] = found[q.name].copy()
                    found[q.name][slack] = self.seen["slack_p_mw"]
        return found

    @property
    def lower_p_mw(self) -> float:
        """Power of the grids connected below."""
        members = self.grid.devices.consumers_first
        own = sum(float(member.consumption(self.outputs)[0].sum()) for member in members)
        return float(self.seen["bus_p_total_mw"].sum()) - own

    @property
    def balance_error_mw(self) -> float:
        """Supply less demand and losses."""
        seen, devices = self.seen, self.grid.devices
        power = devices.column(self.outputs, "p_mw")[devices.tables == GENERATOR]
        supply = seen["slack_p_mw"] + float(sum(power))
        return float(supply - seen["bus_p_total_mw"].sum() - seen["loss_mw"])

    @property
    def energy_handover_error_mwh(self) -> float:
        """Largest difference of energies at the start to those recorded and those planned with."""
        start, used = self.seen["states_before"], self.seen["states_used"]
        before = self.recorded_before if self.recorded_before is not None else start
        energies = [q.name for q in STATES if q.unit == "MWh"]
        pairs = [(other[n], start[n]) for n in energies for other in (before, used)]
        return max((largest(np.abs(other - own)) for other, own in pairs), default=0.0)

    # ------------------------------------------------------------------ boundary and money

    @property
    def mismatch_mva(self) -> float:
        """Power that the grid above used less the power drawn."""
        seen = self.seen
        return float(
            np.hypot(
                seen["p_used_mw"] - seen["slack_p_mw"], seen["q_used_mvar"] - seen["slack_q_mvar"]
            )
        )

    @property
    def mismatch_pu(self) -> float:
        """The larger of the mismatches of power, on the grid's base, and voltage."""
        voltage = abs(self.seen["vm_solved_pu"] - self.seen["slack_vm_pu"])
        return max(self.mismatch_mva / self.grid.base_mva, float(voltage))

    @property
    def nodal_price_eur_per_mwh(self) -> float:
        """Nodal price at the bus of the grid above."""
        return float(price_now(self.upper_plan, self.grid.parent_bus_position + 1)[-1])

    @property
    def payment_eur_per_h(self) -> float:
        """Payment of one copy at its boundary; NaN without a nodal price.

        Nodal prices bill the exchange, the tariff bills the exchange that no trade across has paid
        for (docs/formulation.md).
        """
        grid, plan = self.grid, self.plan
        if not self.feeder:
            return 0.0
        billed = float(self.seen["slack_p_mw"])
        if grid.nodal_pricing and grid.parent:
            return billed * self.nodal_price_eur_per_mwh
        trade = plan.schedule.trade if plan is not None else None
        if plan is not None and trade is not None:
            billed -= float((trade.across_buy_mw - trade.across_sell_mw)[:, plan.step].sum())
        series = grid.series
        tariff = series.export_eur_per_mwh if billed < 0.0 else series.import_eur_per_mwh
        return billed * float(tariff[self.interval])

    @property
    def trade_costs_eur_per_h(self) -> tuple[float, float]:
        """Retail margin and trade fees of the prosumers."""
        plan, options = self.plan, self.grid.trade
        trade = plan.schedule.trade if plan is not None else None
        if trade is None or options is None:
            return 0.0, 0.0
        k = self.step
        with_grid = float(trade.grid_buy_mw[:, k].sum() + trade.grid_sell_mw[:, k].sum())
        fees = options.fee_inside * float(trade.inside_buy_mw[:, k].sum())
        fees += options.fee_across * float(trade.across_buy_mw[:, k].sum())
        return options.retail_margin * with_grid, fees

    @property
    def capacity_eur(self) -> float:
        """Price of the rise of the highest import."""
        if not self.feeder:
            return 0.0
        rise = max(float(self.seen["slack_p_mw"]) - self.peak_before_mw, 0.0)
        return self.grid.capacity_eur_per_mw * rise

    @property
    def emissions_kg(self) -> float:
        """Emissions of the imported energy; NaN if they are not known."""
        known = self.grid.series.emission_kg_per_mwh
        if not self.feeder or not len(known):
            return NAN
        imported = self.dt_h * max(float(self.seen["slack_p_mw"]), 0.0)
        return float(known[self.interval]) * imported

    @property
    def emission_eur(self) -> float:
        """Price of these emissions."""
        price = self.grid.emission_eur_per_t
        return 1e-3 * price * self.emissions_kg if price else 0.0

    def cost_eur(self, member: DeviceKind) -> float:
        """Return the cost of the devices of one kind."""
        return self.dt_h * float(member.hourly_cost(self.outputs, self.grid.options))


def largest(values: Floats) -> float:
    """Return the largest value, 0 for an empty array."""
    return float(values.max()) if len(values) else 0.0


def price_now(plan: Plan | None, buses: int) -> Floats:
    """Return nodal prices of the applied step at the first buses; NaN where there are none."""
    prices = plan.schedule.price_eur_per_mwh if plan is not None else None
    return np.full(buses, NAN) if plan is None or prices is None else prices[:buses, plan.step]
