"""Is a relaxed schedule exact, and AC feasible? (docs/model.md), for the applied step."""

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import PowerFlowError
from stackelgrid.controllers.networks.power_flow import AcPowerFlow
from stackelgrid.controllers.networks.reduction import FlowState
from stackelgrid.controllers.schedule import Verdict
from stackelgrid.controllers.system import Feeder
from stackelgrid.profiles.arrays import Floats


class FeederCertifier:
    """Judges schedules of one feeder by an AC power flow at the scheduled injections."""

    def __init__(self, feeder: Feeder) -> None:
        self.feeder = feeder
        network = feeder.network
        self._power_flow = AcPowerFlow(feeder.net, feeder.name)
        order = {b: i for i, b in enumerate(self._power_flow.bus_index)}
        self._bus = np.array([order[b] for b in network.bus_index])
        branch = {
            (table, index): k
            for k, (table, index) in enumerate(
                [("line", int(i)) for i in feeder.net.line.index]
                + [("trafo", int(i)) for i in feeder.net.trafo.index]
            )
        }
        self._branch = np.array(
            [branch[key] for key in zip(network.branch_table, network.branch_index, strict=True)]
        )

    def certify(
        self,
        flows: FlowState | None,
        step: int,
        bus_p_mw: Floats,
        bus_q_mvar: Floats,
        vm_head_pu: float,
        ratio: float | None,
        load_mw: float,
        p_import_mw: float,
    ) -> Verdict:
        """Judge one step of `flows`; bus consumption (n,) in network order, MW and MVAr.

        `vm_head_pu` is the slack voltage upstream of the boundary transformer, `ratio` its turns
        ratio. Without flows (a fallback schedule) only AC feasibility is judged. A power flow that
        diverges is a finding: the verdict is infeasible.
        """
        network = self.feeder.network
        gap, loss, share = self._relaxation(flows, step, load_mw)
        p, q = np.empty(network.buses), np.empty(network.buses)
        p[self._bus], q[self._bus] = bus_p_mw, bus_q_mvar
        if ratio is not None and self.feeder.boundary.trafo is not None:
            self._power_flow.set_ratio(self.feeder.boundary.trafo, ratio)
        nan = float("nan")
        verdict, deviation, import_error, violation = "infeasible", nan, nan, nan
        try:
            state = self._power_flow.solve(p, q, vm_head_pu)
        except PowerFlowError as error:
            worst = str(error)
        else:
            vm = state.vm_pu[self._bus]
            if flows is not None:
                planned = np.sqrt(flows.v[1:, step])
                deviation = float(np.max(np.abs(planned - vm[1:]), initial=0.0))
            import_error = abs(p_import_mw - state.slack_p_mw)
            loading = state.loading_percent / self._power_flow.loading_limit_percent
            violation, worst = self._violation(vm, loading[self._branch])
            if violation <= tolerances.AC_LIMIT_PU:
                exact = (
                    share <= tolerances.EXACT_LOSS_SHARE
                    and deviation <= tolerances.EXACT_VOLTAGE_PU
                )
                verdict = "exact" if exact else "feasible"
        return Verdict(
            verdict=verdict,
            cone_gap_pu=gap,
            fictitious_loss_mw=loss,
            fictitious_loss_share=share,
            voltage_error_pu=deviation,
            import_error_mw=import_error,
            violation_pu=violation,
            worst=worst,
        )

    def _relaxation(
        self, flows: FlowState | None, step: int, load_mw: float
    ) -> tuple[float, float, float]:
        """Cone gap (p.u.) and fictitious loss of one step in MW and relative to the load."""
        if flows is None:
            return float("nan"), float("nan"), float("nan")
        network = self.feeder.network
        v_up = network.up * flows.v[network.parent, step]
        squares = flows.p[:, step] ** 2 + flows.q[:, step] ** 2
        current2 = flows.current2[:, step]
        gap = float(np.max(np.abs(current2 * v_up - squares), initial=0.0))
        fictitious = network.r * (current2 - squares / v_up) * network.base_mva
        loss = float(np.sum(np.maximum(fictitious, 0.0)))
        if load_mw > 0.0:
            return gap, loss, loss / load_mw
        return gap, loss, 0.0 if loss == 0.0 else float("inf")

    def _violation(self, vm: Floats, loading: Floats) -> tuple[float, str]:
        """Largest violation of a voltage (p.u.) or rating (share of it) by the AC solution."""
        network = self.feeder.network
        over = np.maximum(vm - network.vm_max, network.vm_min - vm)
        over[0] = 0.0  # the head voltage is given
        limited = np.isfinite(network.i_max)
        excess = np.where(limited, loading - 1.0, 0.0)
        bus, branch = int(np.argmax(over)), int(np.argmax(excess)) if len(excess) else 0
        if len(excess) and excess[branch] > max(over[bus], 0.0):
            name = f"{network.branch_table[branch]} {network.branch_index[branch]}"
            return float(excess[branch]), name
        if over[bus] > 0.0:
            return float(over[bus]), f"bus {network.bus_index[bus]}"
        return 0.0, ""
