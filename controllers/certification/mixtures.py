"""Check of all mixtures of old and new schedules of the grids below against a grid's limits.

A lost commit leaves some grids on a new schedule and some on the old one. It is not known
beforehand which ones, so all mixtures are checked before.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from stackelgrid.controllers.certification.mixture_choices import (
    bus_positions,
    check_values,
    read_choices,
)
from stackelgrid.controllers.certification.mixture_search import (
    AcMixtures,
    Complexes,
    MixtureNetwork,
    MixtureVerdict,
    check_mixtures,
)
from stackelgrid.controllers.certification.transmission import TransmissionCertifier
from stackelgrid.controllers.errors import NetworkError, PowerFlowError
from stackelgrid.controllers.networks.limits import net_limits
from stackelgrid.controllers.networks.order import net_order
from stackelgrid.controllers.networks.power_flow import AcPowerFlow, AcState
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.controllers.system import Feeder, Transmission
from stackelgrid.controllers.verdict import TransmissionCertificate
from stackelgrid.profiles.arrays import Floats, Ints

__all__ = [
    "AcMixtures",
    "MixtureNetwork",
    "MixtureVerdict",
    "RadialMixtures",
    "TransmissionMixtures",
]


class RadialMixtures:
    """Mixtures below a feeder; `children` are the pandapower buses of the grids below by name.

    Raises NetworkError where a bus does not exist.
    """

    def __init__(self, feeder: Feeder, children: Mapping[str, int]) -> None:
        self.feeder, self.children = feeder, dict(children)
        self.flow, self.limits = AcPowerFlow(feeder.net, feeder.name), net_limits(feeder.net)
        position = bus_positions(feeder.name, self.flow.bus_index, children)
        self.at_bus = _incidence(len(self.flow.bus_index), position)
        ends = [*feeder.net.line.from_bus, *feeder.net.trafo.hv_bus]
        self.from_bus = feeder.net.bus.index.get_indexer(ends).astype(np.int64)
        self._order = net_order(feeder.network, feeder.net).bus
        trafo = feeder.boundary.trafo
        self._ratio = None if trafo is None else self.flow.ratio(trafo)

    def check(
        self,
        own_p_mw: Floats,
        own_q_mvar: Floats,
        vm_slack_pu: Floats,
        ratio: float | None,
        choices: Mapping[str, Sequence[BoundaryProfile]],
        before_pu: Floats | None = None,
    ) -> MixtureVerdict:
        """Return the verdict on all mixtures of `choices`.

        own_p_mw, own_q_mvar: own net consumption (n, T) in MW and MVAr, buses in network order,
            own devices included and grids below left out.
        vm_slack_pu: slack voltage (T,) in p.u. upstream of the boundary transformer.
        ratio: its turns ratio (None: that of the net).
        choices: profiles (T,) by grid below, the held one first.
        before_pu: violation (T,) as for `check_mixtures`.

        Raises NetworkError for shapes and names that do not fit and for values that are not finite.
        """
        name, n, steps = self.feeder.name, len(self._order), len(vm_slack_pu)
        check_values(name, "own_p_mw", own_p_mw, (n, steps))
        check_values(name, "own_q_mvar", own_q_mvar, (n, steps))
        check_values(name, "vm_slack_pu", vm_slack_pu, (steps,))
        if np.min(vm_slack_pu, initial=1.0) <= 0.0:
            raise NetworkError(
                f"grid {name}: vm_slack_pu is {np.min(vm_slack_pu):g} p.u.; accepted: above 0"
            )
        if ratio is not None and not 0.0 < ratio < np.inf:
            raise NetworkError(f"grid {name}: ratio is {ratio:g}; accepted: above 0 and finite")
        if self._ratio is not None and self.feeder.boundary.trafo is not None:
            self.flow.set_ratio(self.feeder.boundary.trafo, self._ratio if ratio is None else ratio)
        own = np.empty((2, n, steps))
        own[:, self._order] = own_p_mw, own_q_mvar
        known = read_choices(name, tuple(self.children), choices, steps)
        point = _RadialPoint(self, own, vm_slack_pu)
        network = MixtureNetwork(point.solve, point.describe)
        return check_mixtures(network, known, steps, before_pu)


class _RadialPoint:
    """A feeder at its own consumption (2, n, T), buses in the net's order."""

    def __init__(self, grid: RadialMixtures, own: Floats, vm_slack_pu: Floats) -> None:
        self._flow, self._limits = grid.flow, grid.limits
        self._at_bus, self._from = grid.at_bus, grid.from_bus
        self._own, self._vm_slack = own, vm_slack_pu
        self._rated = np.flatnonzero(np.isfinite(self._limits.loading_max_percent))
        self._low = np.flatnonzero(self._limits.vm_min_pu > 0.0)
        self._high = np.flatnonzero(np.isfinite(self._limits.vm_max_pu))

    def solve(self, step: int, p_mw: Floats, q_mvar: Floats) -> AcMixtures:
        """AC power flows of exchanges (grids below, columns); ends at one that diverges."""
        states: list[AcState] = []
        diverged = False
        p, q = self._consumption(step, p_mw, q_mvar)
        for p_bus, q_bus in zip(p.T, q.T, strict=True):
            try:
                states.append(self._state(step, p_bus, q_bus))
            except PowerFlowError:
                diverged = True
                break
        columns = len(states) + diverged
        solved = np.arange(columns) < len(states)
        vm = np.full((len(p), columns), np.nan)
        loading = np.full((len(self._rated), columns), np.nan, dtype=np.complex128)
        for c, state in enumerate(states):
            vm[:, c] = state.vm_pu
            share = self._limits.loading(state.loading_percent)
            power = state.p_from_mw + 1j * state.q_from_mvar
            angle = np.angle(state.voltage[self._from]) - np.angle(power)
            loading[:, c] = (share * np.exp(1j * angle))[self._rated]
        low, high = self._limits.vm_min_pu[:, None], self._limits.vm_max_pu[:, None]
        beyond = np.concatenate([(low - vm)[self._low], (vm - high)[self._high]])
        return AcMixtures(beyond, loading, _excess(beyond, loading, solved))

    def describe(self, step: int, p_mw: Floats, q_mvar: Floats) -> str:
        """Bus or branch with the largest violation at exchanges (grids below,)."""
        p, q = self._consumption(step, p_mw[:, None], q_mvar[:, None])
        try:
            state = self._state(step, p[:, 0], q[:, 0])
        except PowerFlowError as error:
            return str(error)
        loading = self._limits.loading(state.loading_percent)
        where = self._limits.violation(state.vm_pu, loading).where
        if where in self._limits.bus_name:
            return f"{where} at {state.vm_pu[self._limits.bus_name.index(where)]:.4f} p.u."
        if where in self._limits.branch_name:
            share = loading[self._limits.branch_name.index(where)]
            return f"{where} at {100.0 * share:.1f} % of its limit"
        return "a limit is just reached"

    def _consumption(self, step: int, p_mw: Floats, q_mvar: Floats) -> tuple[Floats, Floats]:
        own_p, own_q = self._own[:, :, step, None]
        return own_p + self._at_bus @ p_mw, own_q + self._at_bus @ q_mvar

    def _state(self, step: int, p_mw: Floats, q_mvar: Floats) -> AcState:
        # no start vector: from another mixture's solution Newton's method may end at a low voltage
        return self._flow.solve(p_mw, q_mvar, float(self._vm_slack[step]))


class TransmissionMixtures:
    """Mixtures below a transmission network; `children` are the buses of the grids below by name.

    Raises NetworkError where a bus does not exist.
    """

    def __init__(self, transmission: Transmission, children: Mapping[str, int]) -> None:
        self.transmission, self.children = transmission, dict(children)
        net, network, name = transmission.net, transmission.network, transmission.name
        position = bus_positions(name, network.bus_index, children)
        self.at_bus = _incidence(network.buses, position)
        self._certifier = TransmissionCertifier(net, network, transmission.devices, name)
        self._rated = np.isfinite(network.rating)
        self._low, self._high = self._certifier.limits

    def check(
        self,
        unit_p_mw: Floats,
        load_p_mw: Floats,
        load_q_mvar: Floats,
        choices: Mapping[str, Sequence[BoundaryProfile]],
        before_pu: Floats | None = None,
    ) -> MixtureVerdict:
        """Return the verdict on all mixtures of `choices`; limits are TransmissionCertifier's.

        unit_p_mw: dispatch (units, T) in MW; the slack balances in AC.
        load_p_mw, load_q_mvar: own consumption (n, T) in MW and MVAr, buses in network order, grids
            below left out.
        choices: profiles (T,) by grid below, the held one first.
        before_pu: violation (T,) as for `check_mixtures`.

        Raises NetworkError for shapes and names that do not fit and for values that are not finite.
        """
        name, steps = self.transmission.name, np.shape(unit_p_mw)[-1]
        buses, units = self._certifier.at_bus.shape
        check_values(name, "unit_p_mw", unit_p_mw, (units, steps))
        check_values(name, "load_p_mw", load_p_mw, (buses, steps))
        check_values(name, "load_q_mvar", load_q_mvar, (buses, steps))
        known = read_choices(name, tuple(self.children), choices, steps)

        def certified(
            step: int, p_mw: Floats, q_mvar: Floats
        ) -> tuple[TransmissionCertificate, AcMixtures]:
            unit = np.repeat(unit_p_mw[:, [step]], p_mw.shape[1], axis=1)
            load_p = load_p_mw[:, [step]] + self.at_bus @ p_mw
            return self.certified(unit, load_p, load_q_mvar[:, [step]] + self.at_bus @ q_mvar)

        def describe(step: int, p_mw: Floats, q_mvar: Floats) -> str:
            worst = certified(step, p_mw[:, None], q_mvar[:, None])[0].worst[0]
            return worst or "a limit is just reached"

        network = MixtureNetwork(lambda step, p, q: certified(step, p, q)[1], describe)
        return check_mixtures(network, known, steps, before_pu)

    def certified(
        self, unit_p_mw: Floats, load_p_mw: Floats, load_q_mvar: Floats
    ) -> tuple[TransmissionCertificate, AcMixtures]:
        """Return the certificate of columns of dispatch and consumption, and AC results."""
        flow = self._certifier.dc_flows(unit_p_mw, load_p_mw)
        found = self._certifier.certify(unit_p_mw, load_p_mw, load_q_mvar, flow)
        base = self.transmission.network.base_mva
        values = np.concatenate(
            [found.vm_pu, found.unit_q_mvar / base, found.slack_p_mw[None, :] / base]
        )
        beyond = np.concatenate(
            [
                (self._low[:, None] - values)[np.isfinite(self._low)],
                (values - self._high[:, None])[np.isfinite(self._high)],
            ]
        )
        loading = (found.loading * np.where(flow < 0.0, -1.0, 1.0))[self._rated]
        excess = _excess(beyond, loading, ~np.isnan(found.violation_pu))
        return found, AcMixtures(beyond, loading.astype(np.complex128), excess)


def _incidence(buses: int, position: Ints) -> Floats:
    """Return the incidence of elements (columns) at buses (rows)."""
    at = np.zeros((buses, len(position)))
    at[position, np.arange(len(position))] = 1.0
    return at


def _excess(
    beyond: Floats, loading: Floats | Complexes, solved: "np.typing.NDArray[np.bool_]"
) -> Floats:
    """Largest of all limits (columns,), infinite where the power flow is not solved."""
    largest = np.concatenate([beyond, np.abs(loading) - 1.0]).max(axis=0, initial=-np.inf)
    return np.asarray(np.where(solved, largest, np.inf))
