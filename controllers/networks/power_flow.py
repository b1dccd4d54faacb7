"""AC power flow by lightsim2grid, with pandapower as data model."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from lightsim2grid.network import init_from_powermodels
from numpy.typing import NDArray
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import PowerFlowError
from stackelgrid.controllers.networks.per_unit import (
    PerUnitBranches,
    line_rating_ka,
    loading_limit_percent,
    per_unit_branches,
    trafo_rating_mva,
)
from stackelgrid.profiles.arrays import Floats, Ints

# lightsim2grid ignores a change of a power below 1e-7 MW (a customer's reactive power, so that the
# result would depend on earlier solves), so powers are multiplied by this; exact in binary
_POWER_SCALE = 2.0**30


@dataclass(frozen=True)
class AcState:
    """Result of one power flow; buses in the net's order, branches as lines, then transformers.

    MW, MVAr, kA, p.u., degrees; branch powers are positive into the branch, bus powers are the
    given ones (positive when consuming). `voltage` is the complex solution, the next start vector.
    """

    vm_pu: Floats
    va_degree: Floats
    p_from_mw: Floats
    q_from_mvar: Floats
    p_to_mw: Floats
    q_to_mvar: Floats
    i_ka: Floats
    loading_percent: Floats
    slack_p_mw: float
    slack_q_mvar: float
    gen_q_mvar: Floats
    voltage: NDArray[np.complex128]

    @property
    def loss_mw(self) -> float:
        """Active losses of all branches."""
        return float(np.sum(self.p_from_mw + self.p_to_mw))


class AcPowerFlow:
    """Newton power flow of one grid; injections are given per bus, generators control voltage.

    The net must be normalised and checked. Loads, static generators and storages of the net are
    ignored: their power comes with each call. A tap changer is addressed by the position of its
    transformer in `net.trafo`.
    """

    def __init__(self, net: pandapowerNet, name: str) -> None:
        self.name = name
        self.bus_index: tuple[int, ...] = tuple(int(b) for b in net.bus.index)
        self.lines = len(net.line)
        self.trafos = len(net.trafo)
        self.gens = len(net.gen)
        self.slack_vm_pu = float(net.ext_grid.vm_pu.iloc[0])
        self._line_rating_ka = line_rating_ka(net)
        self._trafo_ka = trafo_rating_mva(net)[:, None] / (
            np.sqrt(3.0) * net.trafo[["vn_hv_kv", "vn_lv_kv"]].to_numpy(dtype=float)
        ) if self.trafos else np.zeros((0, 2))  # fmt: skip
        self.loading_limit_percent = np.concatenate(
            [loading_limit_percent(net.line), loading_limit_percent(net.trafo)]
        )
        data = per_unit_branches(net)
        self._grid = _bus_level_grid(net, data)
        # consumption g and generation b of shunts at the slack bus, MVA at 1 p.u.
        at = data.bus_index.index(int(net.ext_grid.bus.iloc[0]))
        self._shunt_mva = complex(data.bus_g[at], data.bus_b[at]) * data.base_mva
        self._shift_degree = data.shift_degree[self.lines :].copy()
        # lightsim2grid takes the tolerance in MW
        self._tolerance = _mismatch_pu(data) * float(net.sn_mva) * _POWER_SCALE
        self._slack_gen = len(self._grid.get_generators()) - 1
        self._slack_bus = self.bus_index.index(int(net.ext_grid.bus.iloc[0]))
        self._flat = np.ones(len(self.bus_index), dtype=np.complex128)
        # powers last passed to lightsim2grid
        self._p_mw, self._q_mvar = np.zeros((2, len(self.bus_index)))

    def set_ratio(self, trafo: int, ratio: float, shift_degree: float | None = None) -> None:
        """Set the per-unit turns ratio of one transformer (1 when nominal), and its phase shift.

        Without `shift_degree` the transformer keeps its shift: behind the only branch at the slack
        bus it shifts all angles alike.
        """
        self._grid.change_ratio_trafo(trafo, 2.0 * ratio)  # a change below 1e-7 is ignored
        self._grid.change_ratio_trafo(trafo, ratio)
        if shift_degree is not None and shift_degree != self._shift_degree[trafo]:
            self._shift_degree[trafo] = shift_degree
            shift = np.deg2rad(shift_degree)
            self._grid.change_shift_trafo(trafo, shift + 1.0)
            self._grid.change_shift_trafo(trafo, shift)

    def set_line(self, line: int, *, in_service: bool) -> None:
        """Connect or disconnect a line, by its position in net.line."""
        if in_service:
            self._grid.reactivate_powerline(line)
        else:
            self._grid.deactivate_powerline(line)

    def ratio(self, trafo: int) -> float:
        """Per-unit turns ratio of one transformer."""
        return float(self._grid.get_trafos()[trafo].ratio)

    def solve(
        self,
        p_mw: Floats,
        q_mvar: Floats,
        slack_vm_pu: float,
        gen_p_mw: Floats | None = None,
        start: NDArray[np.complex128] | None = None,
    ) -> AcState:
        """Solve one power flow; raises PowerFlowError if it diverges.

        p_mw, q_mvar: consumption at the buses (n,) in MW and MVAr.
        slack_vm_pu: voltage of the slack bus, p.u.
        gen_p_mw: power of voltage-controlling generators in net.gen order, MW; required if the
            net has any.
        start: complex voltage of an earlier solution; without it, or if Newton's method fails
            from it, a DC power flow (a flat start diverges at a 150 degree shift).
        """
        if len(self.bus_index) == 1 and not self.gens:
            return self._alone(float(p_mw[0]), float(q_mvar[0]), slack_vm_pu)
        voltage = self._newton(p_mw, q_mvar, slack_vm_pu, gen_p_mw, start)
        if voltage is None:
            raise PowerFlowError(self._explain(p_mw, q_mvar, slack_vm_pu, gen_p_mw))
        return self._state(voltage)

    def _alone(self, p_mw: float, q_mvar: float, slack_vm_pu: float) -> AcState:
        """Return the state of a slack bus without branches, which Newton's method cannot solve."""
        nothing = np.zeros(0)
        return AcState(
            vm_pu=np.array([slack_vm_pu]),
            va_degree=np.zeros(1),
            p_from_mw=nothing,
            q_from_mvar=nothing,
            p_to_mw=nothing,
            q_to_mvar=nothing,
            i_ka=nothing,
            loading_percent=nothing,
            slack_p_mw=p_mw + self._shunt_mva.real * slack_vm_pu**2,
            slack_q_mvar=q_mvar - self._shunt_mva.imag * slack_vm_pu**2,
            gen_q_mvar=nothing,
            voltage=np.array([slack_vm_pu], dtype=np.complex128),
        )

    def _newton(
        self,
        p_mw: Floats,
        q_mvar: Floats,
        slack_vm_pu: float,
        gen_p_mw: Floats | None,
        start: NDArray[np.complex128] | None,
    ) -> NDArray[np.complex128] | None:
        if not (np.isfinite(p_mw).all() and np.isfinite(q_mvar).all() and slack_vm_pu > 0.0):
            return None
        grid = self._grid
        for given, known, change in (
            (p_mw, self._p_mw, grid.change_p_load),
            (q_mvar, self._q_mvar, grid.change_q_load),
        ):
            changed = np.flatnonzero(given != known)  # most buses have no load
            scaled = _POWER_SCALE * given[changed]
            for i, value in zip(changed.tolist(), scaled.tolist(), strict=True):
                change(i, value)
            known[changed] = given[changed]
        if self.gens:
            if gen_p_mw is None:
                raise ValueError(f"grid {self.name} has generators: gen_p_mw is required")
            for i, p in enumerate(gen_p_mw.tolist()):
                grid.change_p_gen(i, p * _POWER_SCALE)
        grid.change_v_gen(self._slack_gen, 2.0 * slack_vm_pu)  # a change below 1e-7 is ignored
        grid.change_v_gen(self._slack_gen, slack_vm_pu)
        if start is not None:
            guess = start.copy()
            guess[self._slack_bus] *= slack_vm_pu / abs(guess[self._slack_bus])
            solution = grid.ac_pf(guess, tolerances.POWER_FLOW_ITERATIONS, self._tolerance)
            if len(solution):
                return np.asarray(solution)
        solution = grid.dc_pf(self._flat * slack_vm_pu, 1, self._tolerance)
        if not len(solution):
            return None
        guess = slack_vm_pu * np.exp(1j * np.angle(solution))
        solution = grid.ac_pf(guess, tolerances.POWER_FLOW_ITERATIONS, self._tolerance)
        return np.asarray(solution) if len(solution) else None

    def _state(self, voltage: NDArray[np.complex128]) -> AcState:
        grid = self._grid
        first = [np.concatenate([a, b]) for a, b in zip(
            grid.get_line_res1(), grid.get_trafo_res1(), strict=True)]  # fmt: skip
        second = [np.concatenate([a, b]) for a, b in zip(
            grid.get_line_res2(), grid.get_trafo_res2(), strict=True)]  # fmt: skip
        i_from, i_to = first[3] / _POWER_SCALE, second[3] / _POWER_SCALE
        loading = np.empty(self.lines + self.trafos)
        with np.errstate(invalid="ignore"):
            loading[: self.lines] = (
                np.maximum(i_from, i_to)[: self.lines] / self._line_rating_ka * 100.0
            )
        loading[self.lines :] = (
            np.maximum(
                i_from[self.lines :] / self._trafo_ka[:, 0],
                i_to[self.lines :] / self._trafo_ka[:, 1],
            )
            * 100.0
        )
        gen_p, gen_q, _ = grid.get_gen_res()
        return AcState(
            vm_pu=np.abs(voltage),
            va_degree=np.angle(voltage, deg=True),
            p_from_mw=first[0] / _POWER_SCALE,
            q_from_mvar=first[1] / _POWER_SCALE,
            p_to_mw=second[0] / _POWER_SCALE,
            q_to_mvar=second[1] / _POWER_SCALE,
            i_ka=np.maximum(i_from, i_to),
            loading_percent=loading,
            slack_p_mw=float(gen_p[self._slack_gen]) / _POWER_SCALE,
            slack_q_mvar=float(gen_q[self._slack_gen]) / _POWER_SCALE,
            gen_q_mvar=np.array(gen_q[: self.gens]) / _POWER_SCALE,
            voltage=voltage.copy(),
        )

    def _explain(
        self, p_mw: Floats, q_mvar: Floats, slack_vm_pu: float, gen_p_mw: Floats | None
    ) -> str:
        """Describe up to which share of the injections a solution exists, and the worst bus."""
        head = f"grid {self.name}: AC power flow diverged"
        bad = np.flatnonzero(~(np.isfinite(p_mw) & np.isfinite(q_mvar)))
        if len(bad):
            return f"{head}: power at bus {self.bus_index[bad[0]]} is NaN or infinite"
        if not slack_vm_pu > 0.0:
            return f"{head}: slack voltage {slack_vm_pu:g} p.u. is not positive"
        low, high, worst = 0.0, 1.0, self._flat
        for _ in range(12):
            share = (low + high) / 2
            gens = None if gen_p_mw is None else share * gen_p_mw
            voltage = self._newton(share * p_mw, share * q_mvar, slack_vm_pu, gens, None)
            if voltage is None:
                high = share
            else:
                low, worst = share, voltage
        bus = int(np.argmin(np.abs(worst)))
        return (
            f"{head}; solvable up to {100 * low:.1f} % of the power, there the worst bus is "
            f"{self.bus_index[bus]} with {abs(worst[bus]):.3f} p.u."
        )


def bus_power(buses: int, position: Ints, p_mw: Floats) -> Floats:
    """Sum element powers into an array over buses, in element order."""
    total: Floats = np.bincount(position, weights=p_mw, minlength=buses).astype(np.float64)
    return total


def _mismatch_pu(data: PerUnitBranches) -> float:
    """Return the mismatch to reach: rounding of the largest admittance exceeds the usual one."""
    largest = float(np.max(1.0 / np.hypot(data.r, data.x), initial=0.0))
    rounding = tolerances.POWER_FLOW_ROUNDINGS * float(np.finfo(float).eps) * largest
    return max(tolerances.POWER_FLOW_PU, rounding)


def _bus_level_grid(net: pandapowerNet, data: PerUnitBranches) -> Any:
    """Convert to lightsim2grid with exactly one load at every bus, through per-unit branches.

    Its own pandapower reader ignores switches, parallel transformers, tap neutrals and nominal
    transformer voltages that differ from the buses'; pandapower's per-unit data include them.
    """
    slack = int(net.ext_grid.bus.iloc[0])
    generators = [
        (int(bus), float(vm)) for bus, vm in zip(net.gen.bus, net.gen.vm_pu, strict=True)
    ] + [(slack, float(net.ext_grid.vm_pu.iloc[0]))]
    position = {bus: i for i, bus in enumerate(data.bus_index)}
    network = {
        "baseMVA": data.base_mva * _POWER_SCALE,
        "bus": {
            str(i): {"bus_i": i, "base_kv": float(vn), "bus_type": 3 if bus == slack else 1}
            for i, (bus, vn) in enumerate(zip(data.bus_index, net.bus.vn_kv, strict=True))
        },
        "branch": {
            str(k): {
                "f_bus": int(data.from_bus[k]),
                "t_bus": int(data.to_bus[k]),
                "br_r": data.r[k],
                "br_x": data.x[k],
                "g_fr": data.g_from[k],
                "b_fr": data.b_from[k],
                "g_to": data.g_to[k],
                "b_to": data.b_to[k],
                "tap": data.ratio[k],
                "shift": np.deg2rad(data.shift_degree[k]),
                "transformer": data.table[k] == "trafo",
            }
            for k in range(len(data.r))
        },
        "load": {str(i): {"load_bus": i, "pd": 0.0, "qd": 0.0} for i in range(len(position))},
        "shunt": {
            str(i): {"shunt_bus": i, "gs": data.bus_g[i], "bs": data.bus_b[i]}
            for i in np.flatnonzero((data.bus_g != 0.0) | (data.bus_b != 0.0))
        },
        "gen": {
            str(k): {"gen_bus": position[bus], "pg": 0.0, "vg": vm, "qmin": -np.inf, "qmax": np.inf}
            for k, (bus, vm) in enumerate(generators)
        },
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grid = init_from_powermodels(network)
    for k, (bus, _) in enumerate(generators[:-1]):
        if bus == slack:
            grid.remove_gen_slackbus(k)
    return grid
