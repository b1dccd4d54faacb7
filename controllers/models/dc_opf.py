"""DC optimal power flow of a meshed network (docs/formulation.md)."""

from typing import Any

import numpy as np
import pyomo.environ as pyo

from stackelgrid.controllers.devices.units import Units
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.networks.meshed import MeshedNetwork
from stackelgrid.controllers.solvers.step_constraint import every_step
from stackelgrid.profiles.arrays import Floats


def dc_opf_model(
    network: MeshedNetwork, units: Units, dt_h: Floats, ramp_mw_per_h: Floats | None = None
) -> Any:
    """Build the Pyomo model: min generation cost; nodal load `m.load_p[n, t]` (p.u.) is data.

    network: the meshed network.
    units: its units.
    dt_h: lengths of the steps in h.
    ramp_mw_per_h: limits (units,) of the change of a unit's output, up and down, between the
        middles of successive steps, infinite for none; `m.unit_p_before[u]` (p.u.), the output at
        the start, is then data. Raises ModelError for a ramp that is not positive.

    The balance is written supply - demand == 0, so the price of a bus is the derivative of the cost
    with respect to the right-hand side of `m.balance`: minus its dual (`nodal_prices`).
    """
    base = network.base_mva
    where = {b: i for i, b in enumerate(network.bus_index)}
    at_bus: list[list[int]] = [[] for _ in range(network.buses)]
    for u, bus in enumerate(units.bus):
        at_bus[where[int(bus)]].append(u)
    outgoing: list[list[int]] = [[] for _ in range(network.buses)]
    incoming: list[list[int]] = [[] for _ in range(network.buses)]
    for k in range(network.branches):
        outgoing[network.from_bus[k]].append(k)
        incoming[network.to_bus[k]].append(k)

    m = pyo.ConcreteModel(name=network.name)
    m.steps = pyo.RangeSet(0, len(dt_h) - 1)
    m.buses = pyo.RangeSet(0, network.buses - 1)
    m.branches = pyo.RangeSet(0, network.branches - 1)
    units.equations(m, base, dt_h)
    m.theta = pyo.Var(m.buses, m.steps)
    m.flow = pyo.Var(m.branches, m.steps, bounds=lambda m, k, t: _rating(network, k))
    m.load_p = pyo.Var(m.buses, m.steps)  # data

    @every_step(m, m.branches)
    def branch_flow(m: Any, k: int, t: int) -> Any:
        angle = m.theta[network.from_bus[k], t] - m.theta[network.to_bus[k], t]
        return m.flow[k, t] / network.b[k] - angle + network.shift[k] == 0.0

    @every_step(m)
    def reference_angle(m: Any, t: int) -> Any:
        return m.theta[network.reference, t] == 0.0

    @every_step(m, m.buses)
    def balance(m: Any, n: int, t: int) -> Any:
        supply = sum(m.unit_p[u, t] for u in at_bus[n]) + sum(m.flow[k, t] for k in incoming[n])
        demand = m.load_p[n, t] + network.shunt_g[n] + sum(m.flow[k, t] for k in outgoing[n])
        return supply - demand == 0.0

    if ramp_mw_per_h is not None:
        _add_ramps(m, network, units, dt_h, ramp_mw_per_h)
    m.cost = pyo.Objective(expr=units.cost(m, base, dt_h))
    return m


def dc_opf_data(m: Any) -> list[Any]:
    """Variable components of the model that hold data."""
    ramped = m.component("unit_p_before") is not None
    return [m.load_p, m.unit_p_before] if ramped else [m.load_p]


def nodal_prices(balance_dual: Floats, base_mva: float, dt_h: Floats) -> Floats:
    """Prices in EUR/MWh (n, T) from the duals of `balance` (n, T) as the solver defines them.

    One more unit of load at a bus raises the right-hand side of supply - demand by the same amount,
    and the derivative of the cost with respect to it is -dual (see `Solution`).
    """
    return -balance_dual / (base_mva * dt_h[None, :])


def _add_ramps(
    m: Any, network: MeshedNetwork, units: Units, dt_h: Floats, ramp_mw_per_h: Floats
) -> None:
    for name, value in zip(units.name, ramp_mw_per_h, strict=True):
        if not value > 0.0:
            raise ModelError(
                f"grid {network.name}: unit {name} has a ramp of {value:g} MW/h; "
                "a value > 0 is accepted"
            )
    m.unit_p_before = pyo.Var(m.units)  # data
    limited = [u for u in m.units if np.isfinite(ramp_mw_per_h[u])]
    hours = np.concatenate([dt_h[:1] / 2.0, (dt_h[1:] + dt_h[:-1]) / 2.0])

    def change(m: Any, u: int, t: int) -> Any:
        return m.unit_p[u, t] - (m.unit_p[u, t - 1] if t else m.unit_p_before[u])

    @m.Constraint(limited, m.steps)
    def ramp_up(m: Any, u: int, t: int) -> Any:
        return change(m, u, t) <= float(ramp_mw_per_h[u] * hours[t]) / network.base_mva

    @m.Constraint(limited, m.steps)
    def ramp_down(m: Any, u: int, t: int) -> Any:
        return -change(m, u, t) <= float(ramp_mw_per_h[u] * hours[t]) / network.base_mva


def _rating(network: MeshedNetwork, k: int) -> tuple[float | None, float | None]:
    rating = network.rating[k]
    return (-float(rating), float(rating)) if np.isfinite(rating) else (None, None)
