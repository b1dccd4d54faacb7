"""A balanced schedule seen phase by phase: what a single-phase customer does to his own phase."""

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.certification.conditions import Conditions
from stackelgrid.controllers.networks.phases import PHASES, check_phases, phase_shares
from stackelgrid.controllers.networks.three_phase import ThreePhasePowerFlow
from stackelgrid.controllers.schedule import Schedule
from stackelgrid.controllers.system import Feeder
from stackelgrid.controllers.verdict import FEASIBLE, INFEASIBLE, PhaseView
from stackelgrid.profiles.arrays import Floats


class PhaseCertifier:
    """Three-phase power flows at the scheduled injections of one feeder, in one batch.

    Raises NetworkError where the phase of a customer or device is not known.
    """

    def __init__(self, feeder: Feeder) -> None:
        self.feeder = feeder
        network, devices = feeder.network, feeder.devices
        check_phases(devices, feeder.name)
        self._power_flow = ThreePhasePowerFlow(feeder.net, feeder.name)
        order = {int(b): i for i, b in enumerate(feeder.net.bus.index)}
        self._bus = np.array([order[b] for b in network.bus_index], dtype=np.int64)
        branches = {
            key: k
            for k, key in enumerate(
                [("line", int(i)) for i in feeder.net.line.index]
                + [("trafo", int(i)) for i in feeder.net.trafo.index]
            )
        }
        keys = zip(network.branch_table, network.branch_index, strict=True)
        self._branch = np.array([branches[key] for key in keys], dtype=np.int64)
        limit = self._power_flow.loading_limit_percent[self._branch]
        self._limit = np.where(np.isfinite(network.i_max), limit, np.nan)[:, None]
        kinds = (devices.loads, devices.photovoltaics, devices.batteries)
        self._at = [np.array([order[int(b)] for b in k.bus], dtype=np.int64) for k in kinds]
        self._share = [phase_shares(k.phase)[:, :, None] for k in kinds]
        self._unit_at = np.array([order[int(b)] for b in devices.units.bus], dtype=np.int64)

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
        state = self._power_flow.solve(p, q, at.vm_slack_pu, at.ratio)
        vm = state.vm_pu[:, self._bus]
        loading = state.loading_percent[self._branch] / self._limit
        violation, worst = np.empty(steps), []
        for k in range(steps):
            violation[k], name = self._violation(vm[:, :, k], loading[:, k])
            worst.append(name)
        return PhaseView(
            verdict=tuple(
                FEASIBLE if v <= tolerances.AC_LIMIT_PU else INFEASIBLE for v in violation
            ),
            vm_pu=vm,
            unbalance_percent=state.unbalance_percent[self._bus],
            unbalance_pu=np.max(np.abs(vm - vm_balanced_pu)[:, 1:], axis=(0, 1), initial=0.0),
            violation_pu=violation,
            worst=tuple(worst),
        )

    def _violation(self, vm: Floats, loading: Floats) -> tuple[float, str]:
        """Largest violation at one step: a phase's voltage (p.u.), a conductor's rating (share)."""
        network = self.feeder.network
        if np.isnan(vm).any():
            return float("nan"), "three-phase power flow diverged"
        over = np.maximum(vm - network.vm_max, network.vm_min - vm)
        over[:, 0] = 0.0  # the head voltage is given
        phase, bus = np.unravel_index(int(np.argmax(over)), over.shape)
        excess = np.nan_to_num(loading - 1.0, nan=-1.0)
        branch = int(np.argmax(excess)) if len(excess) else 0
        if len(excess) and excess[branch] > max(over[phase, bus], 0.0):
            name = f"{network.branch_table[branch]} {network.branch_index[branch]}"
            return float(excess[branch]), name
        if over[phase, bus] > 0.0:
            return float(over[phase, bus]), f"bus {network.bus_index[bus]} phase {PHASES[phase]}"
        return 0.0, ""
