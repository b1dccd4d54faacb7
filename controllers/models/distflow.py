"""Second-order-cone DistFlow of a radial network (docs/formulation.md).

Baran and Wu 1989; Farivar and Low 2013 (doi 10.1109/TPWRS.2013.2255317) for the relaxation.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyomo.environ as pyo

from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.controllers.solvers.step_constraint import every_step
from stackelgrid.profiles.arrays import Ints

# expression of the consumption of device i in step t, p.u.
Injection = Callable[[int, int], Any]


def add_distflow(m: Any, network: RadialNetwork, steps: int) -> None:
    """Add flows, squared currents and squared voltages; per unit, arrays (branch or bus, step).

    `m.injections_p[n]`, `m.injections_q[n]` hold the consumption of the devices at each bus; they
    are filled with `add_injections` before `add_power_balance` is called.
    """
    m.steps = pyo.RangeSet(0, steps - 1)
    m.buses = pyo.RangeSet(0, network.buses - 1)
    m.branches = pyo.RangeSet(0, network.branches - 1)

    current2 = [(0.0, _limit(network, k)) for k in m.branches]
    band = [_band(network, n) for n in m.buses]
    m.p_branch = pyo.Var(m.branches, m.steps)
    m.q_branch = pyo.Var(m.branches, m.steps)
    m.current2 = pyo.Var(m.branches, m.steps, bounds=lambda m, k, t: current2[k])
    m.v = pyo.Var(m.buses, m.steps, bounds=lambda m, n, t: band[n])
    m.v_head = pyo.Var(m.steps)  # data: squared head voltage

    up, down, r, x = network.up, network.down, network.r, network.x
    parent = network.parent

    @every_step(m)
    def head_voltage(m: Any, t: int) -> Any:
        return m.v[0, t] == m.v_head[t]

    @every_step(m, m.branches)
    def voltage_drop(m: Any, k: int, t: int) -> Any:
        drop = 2.0 * (r[k] * m.p_branch[k, t] + x[k] * m.q_branch[k, t])
        z2 = r[k] ** 2 + x[k] ** 2
        behind = up[k] * m.v[parent[k], t] - drop + z2 * m.current2[k, t]
        return m.v[k + 1, t] == down[k] * behind

    @every_step(m, m.branches)
    def current_cone(m: Any, k: int, t: int) -> Any:
        squares = m.p_branch[k, t] ** 2 + m.q_branch[k, t] ** 2
        return squares <= up[k] * m.current2[k, t] * m.v[parent[k], t]

    m.injections_p = [[] for n in m.buses]
    m.injections_q = [[] for n in m.buses]


def add_injections(m: Any, bus: Ints, p: Injection, q: Injection | None = None) -> None:
    """Add the consumption (p.u.) of devices at their buses; generation is negative."""
    for i, n in enumerate(bus):
        m.injections_p[n].append((i, p))
        if q is not None:
            m.injections_q[n].append((i, q))


def add_power_balance(m: Any, network: RadialNetwork) -> None:
    """Close the balance of every bus; the head's balance defines the import from upstream."""
    children: list[list[int]] = [[] for _ in range(network.buses)]
    for k, parent in enumerate(network.parent):
        children[parent].append(k)
    r, x, g, b = network.r, network.x, network.shunt_g, network.shunt_b
    m.p_import = pyo.Var(m.steps)
    m.q_import = pyo.Var(m.steps)

    @every_step(m, m.buses)
    def active_balance(m: Any, n: int, t: int) -> Any:
        supply = m.p_import[t] if n == 0 else m.p_branch[n - 1, t] - r[n - 1] * m.current2[n - 1, t]
        devices = sum(p(i, t) for i, p in m.injections_p[n])
        demand = devices + sum(m.p_branch[k, t] for k in children[n])
        return supply - demand - g[n] * m.v[n, t] == 0.0

    @every_step(m, m.buses)
    def reactive_balance(m: Any, n: int, t: int) -> Any:
        supply = m.q_import[t] if n == 0 else m.q_branch[n - 1, t] - x[n - 1] * m.current2[n - 1, t]
        devices = sum(q(i, t) for i, q in m.injections_q[n])
        demand = devices + sum(m.q_branch[k, t] for k in children[n])
        return supply - demand + b[n] * m.v[n, t] == 0.0


def _limit(network: RadialNetwork, k: int) -> float | None:
    return float(network.i_max[k] ** 2) if np.isfinite(network.i_max[k]) else None


def _band(network: RadialNetwork, n: int) -> tuple[float, float | None]:
    if n == 0:
        return 0.0, None  # the head voltage is given
    high = float(network.vm_max[n] ** 2) if np.isfinite(network.vm_max[n]) else None
    return float(network.vm_min[n] ** 2), high
