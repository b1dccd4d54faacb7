"""Three-phase certificate of a balanced schedule."""

from dataclasses import replace

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.certification.conditions import Conditions
from stackelgrid.controllers.devices.phases import check_phases
from stackelgrid.controllers.networks.limits import radial_limits
from stackelgrid.controllers.networks.order import net_order
from stackelgrid.controllers.networks.phases import PHASES, phase_shares
from stackelgrid.controllers.networks.three_phase import ThreePhasePowerFlow
from stackelgrid.controllers.schedule import Schedule
from stackelgrid.controllers.system import Feeder
from stackelgrid.controllers.verdict import FEASIBLE, INFEASIBLE, PhaseView
from stackelgrid.profiles.arrays import Floats


class PhaseCertifier:
    """Three-phase power flows at the scheduled injections of one feeder, in one batch.

    Raises NetworkError if the phase of a customer or device is not known.
    """

    def __init__(self, feeder: Feeder) -> None:
        self.feeder = feeder
        network, devices = feeder.network, feeder.devices
        check_phases(devices, feeder.name)
        self._power_flow = ThreePhasePowerFlow(feeder.net, feeder.name)
        order = net_order(network, feeder.net)
        self._bus, self._branch = order.bus, order.branch
        limits = radial_limits(network, feeder.net)
        self._limits = replace(
            limits,
            bus_name=tuple(f"{bus} phase {phase}" for phase in PHASES for bus in limits.bus_name),
            vm_min_pu=np.tile(limits.vm_min_pu, 3),
            vm_max_pu=np.tile(limits.vm_max_pu, 3),
        )
        self._members = [
            (member, order.bus[network.positions(member.bus)], phase_shares(member.phase))
            for member in devices
        ]

    def certify(self, schedule: Schedule, at: Conditions, vm_balanced_pu: Floats) -> PhaseView:
        """View of a schedule; `vm_balanced_pu` (buses, steps) is the balanced AC solution."""
        network = self.feeder.network
        steps = vm_balanced_pu.shape[1]
        p, q = np.zeros((2, 3, network.buses, steps))
        values = {"load_p_mw": at.load_p_mw, "load_q_mvar": at.load_q_mvar, **schedule.devices}
        for member, bus, shares in self._members:
            own_p, own_q = member.consumption(values)
            for phase in range(3):
                share = shares[phase][:, None]
                np.add.at(p[phase], bus, share * own_p)
                if own_q is not None:
                    np.add.at(q[phase], bus, share * own_q)
        ratio = at.ratio if self.feeder.boundary.trafo is not None else None  # none at an ideal tie
        state = self._power_flow.solve(p, q, at.vm_slack_pu, ratio)
        vm = state.vm_pu[:, self._bus]
        loading = self._limits.loading(state.loading_percent[self._branch])
        violation, worst = np.empty(steps), []
        for k in range(steps):
            found = self._limits.violation(vm[:, :, k].ravel(), loading[:, k])
            violation[k] = found.amount
            worst.append(found.where if state.converged[k] else "three-phase power flow diverged")
        return PhaseView(
            verdict=tuple(
                FEASIBLE if v <= tolerances.AC_LIMIT_PU else INFEASIBLE for v in violation
            ),
            vm_pu=vm,
            unbalance_percent=state.unbalance_percent[self._bus],
            loading=loading,
            unbalance_pu=np.max(np.abs(vm - vm_balanced_pu)[:, 1:], axis=(0, 1), initial=0.0),
            violation_pu=violation,
            worst=tuple(worst),
        )
