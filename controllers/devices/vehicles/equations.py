"""Equations and cost of vehicles in a feeder's model."""

from typing import Any

import numpy as np
import pyomo.environ as pyo

from stackelgrid.controllers.devices.terms import Injection
from stackelgrid.controllers.devices.vehicles.data import VehicleData
from stackelgrid.controllers.solvers.step_constraint import every_step
from stackelgrid.profiles.arrays import Floats


def add_vehicles(own: VehicleData, m: Any, base_mva: float, dt_h: Floats) -> Injection:
    """Add charging, feeding back and energy at the end of each step; p.u. and p.u. hours.

    A vehicle that leaves in a step has charged before; what it then lacks it charges elsewhere.
    So needs and sizes of batteries are bounds of the energy after the trip is booked. The last
    energy suffices for later trips, or the difference is priced.
    """
    last = len(dt_h) - 1
    power, back = own.p_max_mw / base_mva, own.p_back_mw / base_mva
    least, full = own.p_least_mw / base_mva, own.e_max_mwh / base_mva
    gain, drain = own.efficiency_charge, 1.0 / own.efficiency_discharge
    m.vehicles = pyo.RangeSet(0, len(own.index) - 1)
    m.vehicle_charge = pyo.Var(m.vehicles, m.steps, bounds=lambda m, i, t: (0.0, power[i]))
    m.vehicle_back = pyo.Var(m.vehicles, m.steps, bounds=lambda m, i, t: (0.0, back[i]))
    m.vehicle_energy = pyo.Var(m.vehicles, m.steps, bounds=lambda m, i, t: (0.0, full[i]))
    m.vehicle_elsewhere = pyo.Var(
        m.vehicles, m.steps, bounds=lambda m, i, t: (0.0, full[i] / dt_h[t])
    )
    m.vehicle_late = pyo.Var(m.vehicles, bounds=lambda m, i: (0.0, full[i]))
    m.vehicle_start = pyo.Var(m.vehicles)  # data
    m.vehicle_end = pyo.Var(m.vehicles)  # data
    for name in ("vehicle_most", "vehicle_most_back", "vehicle_driven", "vehicle_needed",
                 "vehicle_least", "vehicle_highest"):  # fmt: skip
        m.add_component(name, pyo.Var(m.vehicles, m.steps))  # data

    def before(m: Any, i: int, t: int) -> Any:
        return m.vehicle_energy[i, t - 1] if t else m.vehicle_start[i]

    @m.Constraint(m.vehicles, m.steps)
    def vehicle_balance(m: Any, i: int, t: int) -> Any:
        flow = gain[i] * m.vehicle_charge[i, t] - drain[i] * m.vehicle_back[i, t]
        moved = dt_h[t] * (flow + m.vehicle_elsewhere[i, t]) - m.vehicle_driven[i, t]
        return m.vehicle_energy[i, t] - before(m, i, t) - moved == 0.0

    @every_step(m, m.vehicles)
    def vehicle_connection(m: Any, i: int, t: int) -> Any:
        return m.vehicle_charge[i, t] <= m.vehicle_most[i, t]

    two_way = np.flatnonzero(back > 0.0).tolist()

    @every_step(m, two_way)
    def vehicle_connection_back(m: Any, i: int, t: int) -> Any:
        return m.vehicle_back[i, t] <= m.vehicle_most_back[i, t]

    @every_step(m, m.vehicles)
    def vehicle_need(m: Any, i: int, t: int) -> Any:
        return m.vehicle_energy[i, t] >= m.vehicle_least[i, t]

    @every_step(m, m.vehicles)
    def vehicle_size(m: Any, i: int, t: int) -> Any:
        return m.vehicle_energy[i, t] <= m.vehicle_highest[i, t]

    @m.Constraint(two_way, m.steps)
    def vehicle_room(m: Any, i: int, t: int) -> Any:
        return before(m, i, t) + dt_h[t] * gain[i] * m.vehicle_charge[i, t] <= full[i]

    @m.Constraint(two_way, m.steps)
    def vehicle_stock(m: Any, i: int, t: int) -> Any:
        return before(m, i, t) - dt_h[t] * drain[i] * m.vehicle_back[i, t] >= 0.0

    @m.Constraint(m.vehicles, m.steps)
    def vehicle_bought(m: Any, i: int, t: int) -> Any:
        return dt_h[t] * m.vehicle_elsewhere[i, t] <= m.vehicle_needed[i, t]

    @m.Constraint(m.vehicles)
    def vehicle_later(m: Any, i: int) -> Any:
        return m.vehicle_energy[i, last] + m.vehicle_late[i] >= m.vehicle_end[i]

    switched = np.flatnonzero(own.switched).tolist()
    if switched:
        m.vehicle_on = pyo.Var(switched, m.steps, domain=pyo.Binary)

        @every_step(m, switched)
        def vehicle_charging(m: Any, i: int, t: int) -> Any:
            return m.vehicle_charge[i, t] <= power[i] * m.vehicle_on[i, t]

        @every_step(m, np.flatnonzero(least > 0.0).tolist())
        def vehicle_not_less(m: Any, i: int, t: int) -> Any:
            # connected for a part of the step only, it may charge less on average
            share = m.vehicle_most[i, t] / power[i] - 1.0
            return m.vehicle_charge[i, t] >= least[i] * (m.vehicle_on[i, t] + share)

        @every_step(m, two_way)
        def vehicle_giving(m: Any, i: int, t: int) -> Any:
            return m.vehicle_back[i, t] <= back[i] * (1 - m.vehicle_on[i, t])

    return Injection(lambda i, t: m.vehicle_charge[i, t] - m.vehicle_back[i, t])


def vehicle_cost(own: VehicleData, m: Any, base_mva: float, dt_h: Floats) -> Any:
    """Return the price of energy charged elsewhere or missing at the end, and wear."""
    cost = sum(base_mva * own.unmet_eur_per_mwh[i] * m.vehicle_late[i] for i in m.vehicles)
    for i in m.vehicles:
        for t in m.steps:
            used = m.vehicle_charge[i, t] + m.vehicle_back[i, t]
            cost += dt_h[t] * base_mva * own.wear_eur_per_mwh[i] * used
            elsewhere = m.vehicle_elsewhere[i, t]
            cost += dt_h[t] * base_mva * own.unmet_eur_per_mwh[i] * elsewhere
    return cost
