"""Certificate of a relaxed schedule: exactness and AC feasibility of every step (docs/model.md)."""

import time
from dataclasses import dataclass

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.certification.conditions import Conditions
from stackelgrid.controllers.certification.unbalance import PhaseCertifier
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.errors import PowerFlowError
from stackelgrid.controllers.networks.limits import radial_limits
from stackelgrid.controllers.networks.order import net_order
from stackelgrid.controllers.networks.power_flow import AcPowerFlow
from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.controllers.networks.reduction import FlowState
from stackelgrid.controllers.schedule import Schedule
from stackelgrid.controllers.system import Feeder
from stackelgrid.controllers.verdict import EXACT, FEASIBLE, INFEASIBLE, Certificate, closed
from stackelgrid.profiles.arrays import Floats


class FeederCertifier:
    """Certifies schedules of one feeder by AC power flows at the scheduled injections.

    `seconds` adds up the time spent.
    """

    def __init__(self, feeder: Feeder) -> None:
        self.feeder = feeder
        self.seconds = 0.0
        network = feeder.network
        self._power_flow = AcPowerFlow(feeder.net, feeder.name)
        order = net_order(network, feeder.net)
        self._bus, self._branch = order.bus, order.branch
        self.limits = radial_limits(network, feeder.net)
        self._phases = PhaseCertifier(feeder) if feeder.three_phase_view else None

    def certify(self, schedule: Schedule, at: Conditions) -> Certificate:
        """Return the certificate of a schedule; one without flows (a fallback) has AC results only.

        A power flow that diverges makes its step infeasible.
        """
        started = time.perf_counter()
        network = self.feeder.network
        p, q = self._consumption(schedule, at)
        if schedule.flows is not None:
            gap, fictitious = relaxation(network, schedule.flows)
            planned = np.sqrt(schedule.flows.v)
        else:
            gap = np.full((network.branches, p.shape[1]), np.nan)
            fictitious, planned = gap, np.full(p.shape, np.nan)
        load = self._load_mw(schedule, at)
        # without any load relative to what the devices exchange
        share = _share(fictitious, np.where(load > 0.0, load, np.abs(p).sum(axis=0)))
        ac = self._power_flows(p, q, at)
        error = np.max(np.abs(planned - ac.vm_pu)[1:], axis=0, initial=0.0)
        exact = closed(share, error)
        verdict, violation, worst = [], np.empty(len(share)), []
        for k in range(len(share)):
            found = self.limits.violation(ac.vm_pu[:, k], ac.loading[:, k])
            slack = float(ac.slack_p_mw[k]), float(ac.slack_q_mvar[k])
            exchange = self.feeder.options.exchange.violation(*slack, network.base_mva)
            if exchange.amount > found.amount:
                found = exchange
            violation[k] = found.amount
            worst.append(ac.collapse.get(k, found.where))
            if not violation[k] <= tolerances.AC_LIMIT_PU:
                verdict.append(INFEASIBLE)
            else:
                verdict.append(EXACT if exact[k] else FEASIBLE)
        consumed = p.sum(axis=0)
        phases = None
        if self._phases is not None:
            phases = self._phases.certify(schedule, at, ac.vm_pu)
        self.seconds += time.perf_counter() - started
        return Certificate(
            verdict=tuple(verdict),
            cone_gap_pu=gap,
            fictitious_loss_mw=fictitious,
            fictitious_loss_share=share,
            vm_planned_pu=np.concatenate([ac.vm_pu[:1], planned[1:]]),  # the head's is given
            vm_pu=ac.vm_pu,
            loading=ac.loading,
            loss_planned_mw=schedule.p_import_mw - consumed,
            loss_mw=ac.slack_p_mw - consumed,
            import_error_mw=np.abs(schedule.p_import_mw - ac.slack_p_mw),
            import_error_mvar=np.abs(schedule.q_import_mvar - ac.slack_q_mvar),
            violation_pu=violation,
            worst=tuple(worst),
            phases=phases,
        )

    def _consumption(self, schedule: Schedule, at: Conditions) -> tuple[Floats, Floats]:
        """Scheduled consumption at every bus (buses, steps), MW and MVAr."""
        network, devices = self.feeder.network, self.feeder.devices
        p, q = at.bus_p_mw.copy(), at.bus_q_mvar.copy()
        for member in devices.consumers_first:
            if not member.names(Role.PLAN):  # part of the conditions
                continue
            own_p, own_q = member.consumption(schedule.devices)
            at_bus = network.positions(member.bus)
            np.add.at(p, at_bus, own_p)
            if own_q is not None:
                np.add.at(q, at_bus, own_q)
        return p, q

    def _load_mw(self, schedule: Schedule, at: Conditions) -> Floats:
        """Load (steps,); a grid below that exports counts as well."""
        load = np.abs(at.bus_p_mw).sum(axis=0)
        for member in self.feeder.devices:
            if member.is_load and len(member.index):
                load = load + np.abs(member.consumption(schedule.devices)[0]).sum(axis=0)
        return np.asarray(load)

    def _power_flows(self, bus_p: Floats, bus_q: Floats, at: Conditions) -> "_AcSteps":
        flow, steps = self._power_flow, bus_p.shape[1]
        if at.ratio is not None and self.feeder.boundary.trafo is not None:
            flow.set_ratio(self.feeder.boundary.trafo, at.ratio)
        ac = _AcSteps.empty(self.feeder.network, steps)
        p, q = np.empty(len(self._bus)), np.empty(len(self._bus))
        start = None
        for k in range(steps):
            p[self._bus], q[self._bus] = bus_p[:, k], bus_q[:, k]
            try:
                state = flow.solve(p, q, float(at.vm_slack_pu[k]), start=start)
            except PowerFlowError as error:
                ac.collapse[k], start = str(error), None
                continue
            start = state.voltage
            ac.vm_pu[:, k] = state.vm_pu[self._bus]
            ac.loading[:, k] = self.limits.loading(state.loading_percent[self._branch])
            ac.slack_p_mw[k], ac.slack_q_mvar[k] = state.slack_p_mw, state.slack_q_mvar
        return ac


@dataclass(frozen=True)
class _AcSteps:
    """AC solutions of all steps, NaN where one diverged; `collapse` holds the reason."""

    vm_pu: Floats
    loading: Floats
    slack_p_mw: Floats
    slack_q_mvar: Floats
    collapse: dict[int, str]

    @classmethod
    def empty(cls, network: RadialNetwork, steps: int) -> "_AcSteps":
        vm, loading = (np.full((n, steps), np.nan) for n in (network.buses, network.branches))
        return cls(vm, loading, np.full(steps, np.nan), np.full(steps, np.nan), {})


def relaxation(network: RadialNetwork, flows: FlowState) -> tuple[Floats, Floats]:
    """Cone gap l v - P^2 - Q^2 (p.u.) and fictitious loss r (l - (P^2 + Q^2) / v) (MW).

    Both (branches, steps); docs/formulation.md, Certificate.
    """
    v_up = network.up[:, None] * flows.v[network.parent]
    squares = flows.p**2 + flows.q**2
    gap = np.abs(flows.current2 * v_up - squares)
    fictitious = network.r[:, None] * (flows.current2 - squares / v_up) * network.base_mva
    return gap, fictitious


def _share(fictitious_mw: Floats, load_mw: Floats) -> Floats:
    """Fictitious loss (steps,) relative to the load."""
    loss = np.sum(np.maximum(fictitious_mw, 0.0), axis=0)
    loss = np.where(np.isnan(fictitious_mw).any(axis=0), np.nan, loss)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(loss == 0.0, 0.0, loss / load_mw))
