"""AC certificate of a DC dispatch of a transmission network: losses, voltages and overloads."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.errors import NetworkError, PowerFlowError
from stackelgrid.controllers.networks.meshed import MeshedNetwork
from stackelgrid.controllers.networks.power_flow import AcPowerFlow, AcState
from stackelgrid.controllers.networks.radial import voltage_band
from stackelgrid.controllers.verdict import (
    EXACT,
    FEASIBLE,
    INFEASIBLE,
    TransmissionCertificate,
)
from stackelgrid.profiles.arrays import Floats, Ints


class TransmissionCertifier:
    """Certifies DC dispatches of one meshed network; generators control their voltage in AC.

    `devices` are read with the ext_grid as a unit. Raises NetworkError when it is not one.
    """

    def __init__(
        self, net: pandapowerNet, network: MeshedNetwork, devices: Devices, name: str
    ) -> None:
        self.network = network
        self.units = devices.units
        table = np.array(self.units.table)
        if np.count_nonzero(table == "ext_grid") != 1:
            raise NetworkError(
                f"grid {name}: ext_grid must be one unit of the dispatch; found "
                f"{np.count_nonzero(table == 'ext_grid')}"
            )
        self._power_flow = AcPowerFlow(net, name)
        self._slack = int(np.flatnonzero(table == "ext_grid")[0])
        self._gens = np.flatnonzero(table == "gen")
        self._names = tuple(
            f"{self.units.table[u]} {self.units.index[u]}" for u in (self._slack, *self._gens)
        )
        where = {b: i for i, b in enumerate(network.bus_index)}
        position = np.array([where[int(b)] for b in self.units.bus], dtype=np.int64)
        self.at_bus = np.zeros((network.buses, len(table)))
        self.at_bus[position, np.arange(len(table))] = 1.0
        self._injected = self.at_bus * (table == "sgen")  # the others are generators in AC
        self._vm_min, self._vm_max = voltage_band(net)
        self._q_min, self._q_max = _reactive_limits(net)
        self._dc = _DcFlow(network)

    @property
    def limits(self) -> tuple[Floats, Floats]:
        """Low and high limits in p.u.: voltages, reactive powers as `unit_q_mvar`, the slack."""
        base, units = self.network.base_mva, self.units
        slack_p = [side[self._slack] / base for side in (units.p_min_mw, units.p_max_mw)]
        return (
            np.array([*self._vm_min, *self._q_min / base, slack_p[0]]),
            np.array([*self._vm_max, *self._q_max / base, slack_p[1]]),
        )

    def dc_flows(self, unit_p_mw: Floats, load_p_mw: Floats) -> Floats:
        """Flows (branches, T) of the DC model in MW."""
        return self._dc.flows(self.at_bus @ unit_p_mw - load_p_mw)

    def certify(
        self,
        unit_p_mw: Floats,
        load_p_mw: Floats,
        load_q_mvar: Floats,
        dc_branch_mw: Floats | None = None,
    ) -> TransmissionCertificate:
        """Return the certificate of a dispatch.

        unit_p_mw: power of the units (units, T) in MW.
        load_p_mw, load_q_mvar: net consumption (n, T) in MW and MVAr in the order of the network's
            buses, everything but the units.
        dc_branch_mw: flows of the dispatch (branches, T) in MW, computed when missing.

        A power flow that diverges makes its step infeasible; `worst` then names the place of the
        collapse.
        """
        base, steps = self.network.base_mva, unit_p_mw.shape[1]
        if dc_branch_mw is None:
            dc_branch_mw = self.dc_flows(unit_p_mw, load_p_mw)
        states, collapse = self._states(unit_p_mw, load_p_mw, load_q_mvar)
        vm = _columns([s.vm_pu if s else None for s in states], self.network.buses)
        loading = _columns(
            [s.loading_percent if s else None for s in states], self.network.branches
        )
        loading /= self._power_flow.loading_limit_percent[:, None]
        unit_q = _columns(
            [np.array([s.slack_q_mvar, *s.gen_q_mvar]) if s else None for s in states],
            1 + len(self._gens),
        )
        slack = np.array([s.slack_p_mw if s else np.nan for s in states])
        loss = np.array([s.loss_mw if s else np.nan for s in states])
        load = load_p_mw.sum(axis=0)
        share = np.divide(loss, load, out=np.full(steps, np.inf), where=load > 0.0)

        low, high = self.units.p_min_mw[self._slack], self.units.p_max_mw[self._slack]
        bus, vm_over = _largest(np.maximum(vm - self._vm_max[:, None], self._vm_min[:, None] - vm))
        rated = np.isfinite(self.network.rating)[:, None]
        branch, rating_over = _largest(np.where(rated, loading - 1.0, -np.inf))
        unit, q_over = _largest(
            np.maximum(unit_q - self._q_max[:, None], self._q_min[:, None] - unit_q)
        )
        slack_over = np.maximum(np.maximum(slack - high, low - slack), 0.0)
        violations = np.stack([rating_over, vm_over, slack_over / base, q_over / base])
        violation = np.max(violations, axis=0)
        dc_loading = np.abs(dc_branch_mw) / (base * self.network.rating[:, None])

        verdict, worst = [], []
        for t, state in enumerate(states):
            if state is None or violation[t] > tolerances.AC_LIMIT_PU:
                verdict.append(INFEASIBLE)
            else:
                verdict.append(EXACT if share[t] <= tolerances.EXACT_LOSS_SHARE else FEASIBLE)
            if state is None or violation[t] == 0.0:
                worst.append(collapse[t])
                continue
            k, n, u = branch[t], bus[t], unit[t]
            loaded = k >= 0 and (
                f"{self.network.branch_table[k]} {self.network.branch_index[k]} at "
                f"{100.0 * loading[k, t]:.1f} % of its limit (DC {100.0 * dc_loading[k, t]:.1f} %)"
            )
            texts = (
                str(loaded),
                f"bus {self.network.bus_index[n]} at {vm[n, t]:.4f} p.u.",
                f"{self._names[0]} at {slack[t]:.2f} MW",
                f"{self._names[u]} at {unit_q[u, t]:.2f} MVAr",
            )
            worst.append(texts[int(np.argmax(violations[:, t]))])
        return TransmissionCertificate(
            verdict=tuple(verdict),
            loss_mw=loss,
            loss_share=share,
            slack_p_mw=slack,
            slack_deviation_mw=slack - unit_p_mw[self._slack],
            slack_violation_mw=slack_over,
            vm_pu=vm,
            vm_bus=np.array([*self.network.bus_index, -1])[bus],
            vm_violation_pu=vm_over,
            loading=loading,
            dc_loading=dc_loading,
            branch=branch,
            rating_violation=rating_over,
            unit_q_mvar=unit_q,
            reactive_unit=tuple(self._names[u] if u >= 0 else "" for u in unit),
            reactive_violation_mvar=q_over,
            violation_pu=violation,
            worst=tuple(worst),
        )

    def _states(
        self, unit_p_mw: Floats, load_p_mw: Floats, load_q_mvar: Floats
    ) -> tuple[list[AcState | None], list[str]]:
        """Return the power flow of every step, None with the reason where it diverges.

        Each starts from the one before; the first from a DC flow, so that a call depends on its
        arguments alone.
        """
        p = load_p_mw - self._injected @ unit_p_mw
        states: list[AcState | None] = []
        collapse: list[str] = []
        before: AcState | None = None
        for t in range(unit_p_mw.shape[1]):
            state: AcState | None = None
            reason = ""
            try:
                state = self._power_flow.solve(
                    p[:, t],
                    load_q_mvar[:, t],
                    self._power_flow.slack_vm_pu,
                    unit_p_mw[self._gens, t],
                    before.voltage if before else None,
                )
            except PowerFlowError as error:
                reason = str(error)
            states.append(state)
            collapse.append(reason)
            before = state
        return states, collapse


class _DcFlow:
    """Branch flows of given injections in the DC model of a meshed network, in MW."""

    def __init__(self, network: MeshedNetwork) -> None:
        self._network = network
        branches = np.arange(network.branches)
        self._kept = np.flatnonzero(np.arange(network.buses) != network.reference)
        incidence = csc_array(
            (
                np.concatenate([np.ones(network.branches), -np.ones(network.branches)]),
                (
                    np.concatenate([branches, branches]),
                    np.concatenate([network.from_bus, network.to_bus]),
                ),
            ),
            shape=(network.branches, network.buses),
        )
        self._flow = csc_array(incidence[:, self._kept] * network.b[:, None])
        self._balance = csc_array(incidence[:, self._kept].T)
        self._factor = splu(csc_array(self._balance @ self._flow))

    def flows(self, injection_mw: Floats) -> Floats:
        """Return flows (branches, T); the slack covers the imbalance of the injections (n, T)."""
        network, base = self._network, self._network.base_mva
        shifted = (network.b * network.shift)[:, None]
        p = injection_mw[self._kept] / base - network.shunt_g[self._kept, None]
        theta = self._factor.solve(p + self._balance @ shifted)
        flows: Floats = base * (self._flow @ theta - shifted)
        return flows


def _reactive_limits(net: pandapowerNet) -> tuple[Floats, Floats]:
    """Return limits of the slack, then of net.gen, in MVAr; infinite if the net has none."""
    tables: Sequence[pd.DataFrame] = (net.ext_grid, net.gen)
    limits = []
    for column, missing in (("min_q_mvar", -np.inf), ("max_q_mvar", np.inf)):
        values = [
            t[column].to_numpy(dtype=float) if column in t else np.full(len(t), np.nan)
            for t in tables
        ]
        stacked = np.concatenate(values)
        limits.append(np.where(np.isnan(stacked), missing, stacked))
    return limits[0], limits[1]


def _columns(values: Sequence[Floats | None], rows: int) -> Floats:
    """Stack one column a step; NaN where there is none."""
    missing = np.full(rows, np.nan)
    return np.stack([missing if v is None else v for v in values], axis=1)


def _largest(excess: Floats) -> tuple[Ints, Floats]:
    """Position of the largest excess in every column (-1 for none) and its positive part."""
    if not len(excess):  # a grid of one bus has no branches
        nothing = np.zeros(excess.shape[1])
        return np.full(excess.shape[1], -1, dtype=np.int64), nothing
    at = np.argmax(excess, axis=0).astype(np.int64)
    largest = excess[at, np.arange(excess.shape[1])]
    return np.where(np.isfinite(largest), at, -1), np.maximum(largest, 0.0)
