"""Three-phase certificate of a balanced schedule."""

from dataclasses import replace

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.certification.conditions import Conditions
from stackelgrid.controllers.networks.limits import radial_limits
from stackelgrid.controllers.networks.order import net_order
from stackelgrid.controllers.networks.phases import PHASES, check_phases, phase_shares
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
        kinds = (devices.loads, devices.photovoltaics, devices.batteries)
        self._at = [order.bus[network.positions(k.bus)] for k in kinds]
        self._share = [phase_shares(k.phase)[:, :, None] for k in kinds]
        self._unit_at = order.bus[network.positions(devices.units.bus)]

    def certify(self, schedule: Schedule, at: Conditions, vm_balanced_pu: Floats) -> PhaseView:
        """View of a schedule; `vm_balanced_pu` (buses, steps) is the balanced AC solution."""
        network = self.feeder.network
        steps = vm_balanced_pu.shape[1]
        p, q = np.zeros((2, 3, network.buses, steps))
        load, pv, battery = self._at
        load_share, pv_share, battery_share = self._share
        for phase in range(3):
            np.add.at(p[phase], load, load_share[phase] * at.load_p_mw)
            np.add.at(q[phase], load, load_share[phase] * at.load_q_mvar)
            np.add.at(p[phase], pv, -pv_share[phase] * schedule.pv_p_mw)
            np.add.at(q[phase], pv, -pv_share[phase] * schedule.pv_q_mvar)
            np.add.at(p[phase], battery, battery_share[phase] * schedule.battery_p_mw)
            np.add.at(p[phase], self._unit_at, -schedule.unit_p_mw / 3.0)
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
