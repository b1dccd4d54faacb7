"""Three-phase power flow by power-grid-model, with pandapower as data model.

Many steps in one call: a batch of power-grid-model (doi 10.5281/zenodo.8054429).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandapower.auxiliary import pandapowerNet
from power_grid_model import CalculationMethod, ComponentType, PowerGridModel

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import NetworkError, PowerFlowError
from stackelgrid.controllers.networks.boundary import boundary_trafos
from stackelgrid.controllers.networks.per_unit import (
    line_rating_ka,
    loading_limit_percent,
    per_unit_branches,
    trafo_rating_mva,
)
from stackelgrid.controllers.networks.three_phase_data import three_phase_data
from stackelgrid.profiles.arrays import Floats

_OUTPUT: dict[ComponentType, list[str]] = {
    ComponentType.node: ["u_pu", "u_angle"],
    ComponentType.line: ["p_from", "p_to", "q_from", "q_to", "i_from", "i_to"],
    ComponentType.transformer: ["p_from", "p_to", "q_from", "q_to", "i_from", "i_to"],
}
# factor that rotates a phasor by 120 degrees
_A = np.exp(2j * np.pi / 3.0)


@dataclass(frozen=True)
class ThreePhaseState:
    """Three-phase power flows of several steps; a step that diverged has NaN in its columns.

    `vm_pu` (3, buses, steps) line-to-neutral voltages of phases a, b, c. `unbalance_percent`
    (buses, steps) negative over positive sequence voltage (IEC 61000-4-30). `loading_percent`
    (branches, steps), lines then transformers, of the most loaded phase; NaN without a rating.
    Slack power and losses (steps,) are sums over the phases; `converged` (steps,).
    """

    vm_pu: Floats
    unbalance_percent: Floats
    loading_percent: Floats
    slack_p_mw: Floats
    slack_q_mvar: Floats
    loss_mw: Floats
    converged: NDArray[np.bool_]


class ThreePhasePowerFlow:
    """Three-phase power flow of one grid, consumption given per phase and bus.

    The net must be normalised and checked; its loads, static generators and storages are ignored:
    their power comes with each call. Lines need zero-sequence data, transformers a vector group
    and zero-sequence data (three_phase_data.py), or NetworkError is raised; so it is for
    voltage-controlling generators and shunts. The source is stiff in all sequences.
    """

    def __init__(self, net: pandapowerNet, name: str) -> None:
        self.name = name
        self.bus_index: tuple[int, ...] = tuple(int(b) for b in net.bus.index)
        self.loading_limit_percent = np.concatenate(
            [loading_limit_percent(net.line), loading_limit_percent(net.trafo)]
        )
        self._lines = len(net.line)
        self._slack = self.bus_index.index(int(net.ext_grid.bus.iloc[0]))
        branches = per_unit_branches(net)
        self._model = PowerGridModel(
            three_phase_data(net, branches, name), system_frequency=float(net.f_hz)
        )
        filled = (
            (ComponentType.line, len(net.line) > 0),
            (ComponentType.transformer, len(net.trafo) > 0),
        )
        self._branches = tuple(kind for kind, some in filled if some)
        self._output: dict[ComponentType, Any] = {
            kind: _OUTPUT[kind] for kind in (ComponentType.node, *self._branches)
        }
        line_ka, trafo_mva = line_rating_ka(net), trafo_rating_mva(net)[:, None]
        trafo_kv = net.trafo[["vn_hv_kv", "vn_lv_kv"]].to_numpy(dtype=float)
        # (branches, 2) ampere at either end at 100 % loading
        self._rating = 1e3 * np.concatenate(
            [np.stack([line_ka, line_ka], axis=1), trafo_mva / (np.sqrt(3.0) * trafo_kv)]
        )
        self._rating[~np.isfinite(self._rating)] = np.nan
        at_slack = (branches.from_bus == self._slack) | (branches.to_bus == self._slack)
        # which ends of branches draw from the slack bus
        self._from_slack = (branches.from_bus == self._slack).astype(float)
        self._to_slack = (branches.to_bus == self._slack).astype(float)
        trafos = boundary_trafos(net)
        self._boundary: int | None = None
        if len(trafos) == 1 and np.count_nonzero(at_slack) == 1:
            self._boundary = self._lines + int(net.trafo.index.get_loc(trafos[0]))
            self._ratio = float(branches.ratio[self._boundary])

    def solve(
        self, p_mw: Floats, q_mvar: Floats, slack_vm_pu: Floats, ratio: float | None = None
    ) -> ThreePhaseState:
        """Solve all steps of a batch; a step without a solution is marked, not raised.

        p_mw, q_mvar: consumption (3, buses, steps) in MW and MVAr.
        slack_vm_pu: voltage of the slack bus (steps,), p.u.
        ratio: per-unit turns ratio of the boundary transformer at all steps, as in the net if None.

        Raises PowerFlowError for numbers that are not finite, NetworkError for a ratio without a
        transformer as the only branch at the slack bus.
        """
        self._check_numbers(p_mw, q_mvar, slack_vm_pu)
        scale = 1.0  # a ratio on the upstream side scales the upstream voltage
        if ratio is not None:
            if self._boundary is None:
                raise NetworkError(
                    f"grid {self.name}: a ratio needs a transformer as the only branch at the "
                    "slack bus; None is accepted without"
                )
            scale = self._ratio / ratio
        update = {
            ComponentType.asym_load: {
                "p_specified": np.ascontiguousarray(1e6 * np.transpose(p_mw, (2, 1, 0))),
                "q_specified": np.ascontiguousarray(1e6 * np.transpose(q_mvar, (2, 1, 0))),
            },
            ComponentType.source: {"u_ref": (scale * slack_vm_pu)[:, None]},
        }
        # one factorisation for the whole batch; converges a little less often than Newton
        result, converged = self._run(update, CalculationMethod.iterative_current)
        if not converged.all():
            lost = np.flatnonzero(~converged)
            again = {
                kind: {column: values[lost] for column, values in columns.items()}
                for kind, columns in update.items()
            }
            found, solved = self._run(again, CalculationMethod.newton_raphson)
            converged[lost] = solved
            for kind, columns in found.items():
                for column, values in columns.items():
                    result[kind][column][lost] = values
            for columns in result.values():
                for values in columns.values():
                    values[~converged] = np.nan
        return self._state(result, converged, p_mw, q_mvar, scale)

    def _check_numbers(self, p_mw: Floats, q_mvar: Floats, slack_vm_pu: Floats) -> None:
        shape = (3, len(self.bus_index), len(slack_vm_pu))
        if p_mw.shape != shape or q_mvar.shape != shape:
            raise ValueError(
                f"grid {self.name}: powers of shape {p_mw.shape} and {q_mvar.shape}; {shape} "
                "is accepted"
            )
        # power-grid-model treats NaN as "keep the value"
        bad = np.argwhere(~(np.isfinite(p_mw) & np.isfinite(q_mvar)))
        if len(bad):
            phase, bus, step = bad[0]
            raise PowerFlowError(
                f"grid {self.name}: power at bus {self.bus_index[bus]}, phase {'abc'[phase]}, "
                f"step {step} is NaN or infinite"
            )
        wrong = np.flatnonzero(~((slack_vm_pu > 0.0) & np.isfinite(slack_vm_pu)))
        if len(wrong):
            raise PowerFlowError(
                f"grid {self.name}: slack voltage {slack_vm_pu[wrong[0]]:g} p.u. at step "
                f"{wrong[0]}; a finite value > 0 is accepted"
            )

    def _run(
        self, update: dict[ComponentType, dict[str, Floats]], method: CalculationMethod
    ) -> tuple[dict[ComponentType, dict[str, Floats]], NDArray[np.bool_]]:
        newton = method is CalculationMethod.newton_raphson
        result: dict[ComponentType, Any] = self._model.calculate_power_flow(
            symmetric=False,
            error_tolerance=tolerances.THREE_PHASE_PU,
            max_iterations=(
                tolerances.POWER_FLOW_ITERATIONS if newton else tolerances.THREE_PHASE_ITERATIONS
            ),
            calculation_method=method,
            update_data=update,
            threading=-1,
            output_component_types=self._output,
            continue_on_batch_error=True,
            decode_error=False,
        )
        converged = np.ones(len(update[ComponentType.source]["u_ref"]), dtype=np.bool_)
        failed = self._model.batch_error
        if failed is not None:
            converged[failed.failed_scenarios] = False
        return result, converged

    def _state(
        self,
        result: dict[ComponentType, dict[str, Floats]],
        converged: NDArray[np.bool_],
        p_mw: Floats,
        q_mvar: Floats,
        scale: float,
    ) -> ThreePhaseState:
        node = result[ComponentType.node]
        vm, angle = node["u_pu"], node["u_angle"]
        phasor = vm * np.exp(1j * angle)
        positive = np.abs(phasor @ np.array([1.0, _A, _A**2]))
        negative = np.abs(phasor @ np.array([1.0, _A**2, _A]))
        vm_pu = np.ascontiguousarray(np.transpose(vm, (2, 1, 0)))
        vm_pu[:, self._slack] /= scale
        branch = {  # (steps, branches, phases)
            column: np.concatenate([result[kind][column] for kind in self._branches], axis=1)
            for column in _OUTPUT[ComponentType.line]
        }
        current = np.stack([branch["i_from"].max(axis=2), branch["i_to"].max(axis=2)], axis=2)
        if self._boundary is not None:
            current[:, self._boundary, 0] *= scale
        p_from, p_to, q_from, q_to = (
            branch[c].sum(axis=2) for c in ("p_from", "p_to", "q_from", "q_to")
        )
        p_slack = 1e-6 * (p_from @ self._from_slack + p_to @ self._to_slack)
        q_slack = 1e-6 * (q_from @ self._from_slack + q_to @ self._to_slack)
        nothing = np.where(converged, 0.0, np.nan)
        return ThreePhaseState(
            vm_pu=vm_pu,
            unbalance_percent=(100.0 * negative / positive).T,
            loading_percent=100.0 * (current / self._rating).max(axis=2).T,
            slack_p_mw=p_slack + p_mw[:, self._slack].sum(axis=0) + nothing,
            slack_q_mvar=q_slack + q_mvar[:, self._slack].sum(axis=0) + nothing,
            loss_mw=1e-6 * (p_from + p_to).sum(axis=1),
            converged=converged,
        )
