"""Economic dispatch of a radial MV feeder on linearised DistFlow (docs/formulation.md).

The follower of arXiv 2606.17769, whose abstract names a convex dispatch of conventional units and
utility-scale PV; Baran and Wu 1989 for the linearisation.
"""

from typing import Any

import numpy as np
import pyomo.environ as pyo

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.models.boundary import (
    add_exchange_limits,
    add_tariff_boundary,
    tariff_payment,
)
from stackelgrid.controllers.networks.limits import NO_LIMITS, ExchangeLimits
from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.controllers.solvers.step_constraint import every_step
from stackelgrid.profiles.arrays import Floats

DISPATCHED = ("load", "pv", "unit")  # kinds with a place in this model
SIDES = 12  # of the polygon inside the circle of a line's rating


def mv_dispatch_model(
    network: RadialNetwork,
    devices: Devices,
    dt_h: Floats,
    curtailment_eur_per_mwh: float = 0.0,
    sides: int = SIDES,
    exchange: ExchangeLimits = NO_LIMITS,
) -> Any:
    """Build the Pyomo model: min cost of units, curtailment and exchange at the MV tariff, EUR.

    network: the radial network.
    devices: its devices.
    dt_h: lengths of the steps in h.
    curtailment_eur_per_mwh: price of curtailed PV.
    sides: sides of the polygon for the rating of a branch.
    exchange: limits of the exchange with the grid above.

    Convex and continuous. PV runs at unity power factor up to the available power (systems that are
    not controllable at the available power and their own factor), batteries idle (their operator
    decides them in the stage after). Consumption `m.load_p[n, t]`, `m.load_q[n, t]` of every bus is
    data, with the exchange of the grids below; p.u. The balances are written supply - demand == 0,
    so the price of a bus is minus the dual of `m.active_balance`.
    """
    base = network.base_mva
    m = pyo.ConcreteModel(name=network.name)
    m.steps = pyo.RangeSet(0, len(dt_h) - 1)
    devices.units.equations(m, base, dt_h)
    m.systems = pyo.RangeSet(0, len(devices.photovoltaics.index) - 1)
    m.pv_p = pyo.Var(m.systems, m.steps, bounds=(0.0, None))
    _add_lindistflow(m, network, devices)
    _add_line_limits(m, network, sides)
    add_tariff_boundary(m, traded_across=False)
    add_exchange_limits(m, exchange, base)
    m.pv_available = pyo.Var(m.systems, m.steps)  # data

    fixed = set(devices.photovoltaics.fixed)

    @every_step(m, m.systems)
    def available_power(m: Any, i: int, t: int) -> Any:
        if i in fixed:
            return m.pv_p[i, t] - m.pv_available[i, t] == 0.0
        return m.pv_p[i, t] <= m.pv_available[i, t]

    cost = tariff_payment(m, base, dt_h) + devices.units.cost(m, base, dt_h)
    if curtailment_eur_per_mwh > 0.0:
        cost += sum(
            dt_h[t] * base * curtailment_eur_per_mwh * (m.pv_available[i, t] - m.pv_p[i, t])
            for i in m.systems
            for t in m.steps
        )
    m.cost = pyo.Objective(expr=cost)
    return m


def mv_dispatch_data(m: Any) -> list[Any]:
    """Variable components of the model that hold data."""
    return [m.load_p, m.load_q, m.v_head, m.pv_available, m.import_price, m.export_price]


def _add_lindistflow(m: Any, network: RadialNetwork, devices: Devices) -> None:
    """Add flows and squared voltages without losses; v_j = down (up v_i - 2 (r P + x Q))."""
    m.buses = pyo.RangeSet(0, network.buses - 1)
    m.branches = pyo.RangeSet(0, network.branches - 1)
    m.p_branch = pyo.Var(m.branches, m.steps)
    m.q_branch = pyo.Var(m.branches, m.steps)
    m.v = pyo.Var(m.buses, m.steps, bounds=lambda m, n, t: _band(network, n))
    m.p_import = pyo.Var(m.steps)
    m.q_import = pyo.Var(m.steps)
    m.load_p = pyo.Var(m.buses, m.steps)  # data
    m.load_q = pyo.Var(m.buses, m.steps)  # data
    m.v_head = pyo.Var(m.steps)  # data: squared head voltage
    parent, up, down, r, x = network.parent, network.up, network.down, network.r, network.x
    children: list[list[int]] = [[] for _ in range(network.buses)]
    for k, above in enumerate(parent):
        children[above].append(k)
    units_at = _at_bus(network, devices.units.bus)
    systems_at = _at_bus(network, devices.photovoltaics.bus)
    ratio, fixed = devices.photovoltaics.q_per_p, set(devices.photovoltaics.fixed)

    @every_step(m)
    def head_voltage(m: Any, t: int) -> Any:
        return m.v[0, t] == m.v_head[t]

    @every_step(m, m.branches)
    def voltage_drop(m: Any, k: int, t: int) -> Any:
        drop = 2.0 * (r[k] * m.p_branch[k, t] + x[k] * m.q_branch[k, t])
        return m.v[k + 1, t] == down[k] * (up[k] * m.v[parent[k], t] - drop)

    @every_step(m, m.buses)
    def active_balance(m: Any, n: int, t: int) -> Any:
        supply = m.p_import[t] if n == 0 else m.p_branch[n - 1, t]
        supply += sum(m.unit_p[u, t] for u in units_at[n]) + sum(
            m.pv_p[i, t] for i in systems_at[n]
        )
        demand = m.load_p[n, t] + sum(m.p_branch[k, t] for k in children[n])
        return supply - demand - network.shunt_g[n] * m.v[n, t] == 0.0

    @every_step(m, m.buses)
    def reactive_balance(m: Any, n: int, t: int) -> Any:
        supply = m.q_import[t] if n == 0 else m.q_branch[n - 1, t]
        supply += sum(ratio[i] * m.pv_p[i, t] for i in systems_at[n] if i in fixed)
        demand = m.load_q[n, t] + sum(m.q_branch[k, t] for k in children[n])
        return supply - demand + network.shunt_b[n] * m.v[n, t] == 0.0


def _add_line_limits(m: Any, network: RadialNetwork, sides: int) -> None:
    """Keep (P, Q) in a regular polygon inside the circle of the rating at nominal voltage.

    Corners lie on the circle |P + jQ| = i_max sqrt(up) at 1 p.u., one of them on the P axis, so
    that the full rating is available without reactive power; in between at least cos(pi / sides) of
    it (0.966 for 12). Branches without a rating have no row.
    """
    radius = network.i_max * np.sqrt(network.up)
    angle = (2.0 * np.arange(sides) + 1.0) * np.pi / sides
    cos, sin, reach = np.cos(angle), np.sin(angle), float(np.cos(np.pi / sides))
    rated = [k for k in m.branches if np.isfinite(radius[k])]
    m.sides = pyo.RangeSet(0, sides - 1)

    @every_step(m, rated, m.sides)
    def line_limit(m: Any, k: int, s: int, t: int) -> Any:
        along = float(cos[s]) * m.p_branch[k, t] + float(sin[s]) * m.q_branch[k, t]
        return along <= reach * float(radius[k])


def _at_bus(network: RadialNetwork, bus: Any) -> list[list[int]]:
    """Return the devices (their positions in the table) at every bus position."""
    found: list[list[int]] = [[] for _ in range(network.buses)]
    for i, n in enumerate(network.positions(bus)):
        found[int(n)].append(i)
    return found


def _band(network: RadialNetwork, n: int) -> tuple[float | None, float | None]:
    if n == 0:
        return None, None  # the head voltage is given
    low, high = network.vm_min[n], network.vm_max[n]
    return (
        float(low**2) if low > 0.0 else None,
        float(high**2) if np.isfinite(high) else None,
    )
