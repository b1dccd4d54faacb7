"""Is a relaxed schedule exact, and AC feasible? (FORMULATION section 10), for the applied step."""

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
        flows: FlowState,
        bus_p_mw: Floats,
        bus_q_mvar: Floats,
        vm_head_pu: float,
        ratio: float | None,
        load_mw: float,
        p_import_mw: float,
    ) -> Verdict:
        """Judge step 0 of `flows`; bus consumption (n,) in network order, MW and MVAr.

        `vm_head_pu` is the slack voltage upstream of the boundary transformer, `ratio` its turns
        ratio. A power flow that diverges is a finding: the verdict is infeasible.
        """
        network, base = self.feeder.network, self.feeder.network.base_mva
        v_up = network.up * flows.v[network.parent, 0]
        squares = flows.p[:, 0] ** 2 + flows.q[:, 0] ** 2
        gap = flows.current2[:, 0] * v_up - squares
        fictitious = network.r * (flows.current2[:, 0] - squares / v_up) * base
        loss = float(np.sum(np.maximum(fictitious, 0.0)))
        share = loss / load_mw if load_mw > 0.0 else (0.0 if loss == 0.0 else float("inf"))
        common = {
            "cone_gap_pu": float(np.max(np.abs(gap), initial=0.0)),
            "fictitious_loss_mw": loss,
            "fictitious_loss_share": share,
        }
        p, q = np.empty(network.buses), np.empty(network.buses)
        p[self._bus], q[self._bus] = bus_p_mw, bus_q_mvar
        if ratio is not None and self.feeder.boundary.trafo is not None:
            self._power_flow.set_ratio(self.feeder.boundary.trafo, ratio)
        try:
            state = self._power_flow.solve(p, q, vm_head_pu)
        except PowerFlowError as error:
            nan = float("nan")
            return Verdict(verdict="infeasible", voltage_error_pu=nan, import_error_mw=nan,
                           violation_pu=nan, worst=str(error), **common)  # fmt: skip
        vm = state.vm_pu[self._bus]
        deviation = float(np.max(np.abs(np.sqrt(flows.v[1:, 0]) - vm[1:]), initial=0.0))
        violation, worst = self._violation(
            vm, (state.loading_percent / self._power_flow.loading_limit_percent)[self._branch]
        )
        feasible = violation <= tolerances.AC_LIMIT_PU
        exact = (
            feasible
            and share <= tolerances.EXACT_LOSS_SHARE
            and deviation <= tolerances.EXACT_VOLTAGE_PU
        )
        return Verdict(
            verdict="exact" if exact else "feasible" if feasible else "infeasible",
            voltage_error_pu=deviation,
            import_error_mw=abs(p_import_mw - state.slack_p_mw),
            violation_pu=violation,
            worst=worst,
            **common,
        )

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
