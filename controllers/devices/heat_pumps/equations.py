"""Equations and cost of heat pumps in a feeder's model."""

from typing import Any

import numpy as np
import pyomo.environ as pyo

from stackelgrid.controllers.devices.heat_pumps.data import FAR_K, HeatPumpData
from stackelgrid.controllers.devices.terms import Injection
from stackelgrid.controllers.solvers.step_constraint import every_step
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.hot_water import largest_draw


def add_heat_pumps(own: HeatPumpData, m: Any, base_mva: float, dt_h: Floats) -> Injection:
    """Add powers, heat, and the heat content of building and store at the end of each step.

    The content of a building is that above its set temperature; with constant inputs its rows
    are exact for a step of any length. p.u. and p.u. hours.
    """
    last, base = len(dt_h) - 1, base_mva
    power, backup, store = (v / base for v in (own.p_max_mw, own.backup_mw, own.store_mwh))
    capacity = own.capacity_mwh_per_k / base
    slow = own.capacity_mwh_per_k / own.loss_mw_per_k  # time constant, h
    kept = np.stack([own.kept(hours) for hours in dt_h], axis=1)
    store_kept = own.store_kept[:, None] ** dt_h
    with_store = np.flatnonzero(store > 0.0).tolist()
    m.heat_pumps = pyo.RangeSet(0, len(own.index) - 1)

    def positive(most: Floats) -> Any:
        return pyo.Var(m.heat_pumps, m.steps, bounds=lambda m, i, t: (0.0, most[i]))

    m.heat_pump_house = positive(power)
    m.heat_pump_store = positive(np.where(store > 0.0, power, 0.0))
    m.heat_pump_backup = positive(backup)
    m.heat_pump_boost = positive(largest_draw() * own.water_mwh / base)
    m.heat_pump_filled = positive(store)
    m.heat_pump_off = positive(FAR_K * capacity)
    m.heat_pump_content = pyo.Var(
        m.heat_pumps, m.steps,
        bounds=lambda m, i, t: (-2.0 * FAR_K * capacity[i], 2.0 * FAR_K * capacity[i]),
    )  # fmt: skip
    m.heat_pump_missing = pyo.Var(
        m.heat_pumps, bounds=lambda m, i: (0.0, 2.0 * FAR_K * capacity[i])
    )
    for name in ("heat_pump_cop", "heat_pump_water_cop"):
        # data, coefficients of rows: about 3 while the program is scaled
        m.add_component(name, pyo.Var(m.heat_pumps, m.steps, initialize=3.0 / base))
    for name in ("heat_pump_drive", "heat_pump_drawn"):
        m.add_component(name, pyo.Var(m.heat_pumps, m.steps))  # data
    for name in ("heat_pump_start", "heat_pump_water_start", "heat_pump_goal"):
        m.add_component(name, pyo.Var(m.heat_pumps))  # data

    @every_step(m, with_store)
    def heat_pump_machine(m: Any, i: int, t: int) -> Any:
        return m.heat_pump_house[i, t] + m.heat_pump_store[i, t] <= power[i]

    @m.Constraint(m.heat_pumps, m.steps)
    def heat_pump_building(m: Any, i: int, t: int) -> Any:
        before = m.heat_pump_content[i, t - 1] if t else m.heat_pump_start[i]
        machine = base * m.heat_pump_cop[i, t] * m.heat_pump_house[i, t]
        given = slow[i] * (machine + m.heat_pump_backup[i, t])
        pull = (1.0 - kept[i, t]) * (m.heat_pump_drive[i, t] + given)
        return m.heat_pump_content[i, t] - kept[i, t] * before - pull == 0.0

    @m.Constraint(with_store, m.steps)
    def heat_pump_balance(m: Any, i: int, t: int) -> Any:
        before = m.heat_pump_filled[i, t - 1] if t else m.heat_pump_water_start[i]
        machine = base * m.heat_pump_water_cop[i, t] * m.heat_pump_store[i, t]
        given = machine + m.heat_pump_boost[i, t] - m.heat_pump_drawn[i, t]
        left = store_kept[i, t] * before + dt_h[t] * given
        return m.heat_pump_filled[i, t] - left == 0.0

    @every_step(m, with_store)
    def heat_pump_boosted(m: Any, i: int, t: int) -> Any:
        return m.heat_pump_boost[i, t] <= m.heat_pump_drawn[i, t]

    @every_step(m, m.heat_pumps)
    def heat_pump_lowest(m: Any, i: int, t: int) -> Any:
        least = -own.below_k[i] * capacity[i]
        return m.heat_pump_content[i, t] + m.heat_pump_off[i, t] >= least

    @every_step(m, m.heat_pumps)
    def heat_pump_highest(m: Any, i: int, t: int) -> Any:
        most = own.above_k[i] * capacity[i]
        return m.heat_pump_content[i, t] - m.heat_pump_off[i, t] <= most

    @m.Constraint(m.heat_pumps)
    def heat_pump_end(m: Any, i: int) -> Any:
        return m.heat_pump_content[i, last] + m.heat_pump_missing[i] >= m.heat_pump_goal[i]

    def p(i: int, t: int) -> Any:
        machine = m.heat_pump_house[i, t] + m.heat_pump_store[i, t]
        return machine + m.heat_pump_backup[i, t] + m.heat_pump_boost[i, t]

    def q(i: int, t: int) -> Any:
        return own.tan_phi[i] * (m.heat_pump_house[i, t] + m.heat_pump_store[i, t])

    return Injection(p, q)


def heat_pump_cost(own: HeatPumpData, m: Any, base_mva: float, dt_h: Floats) -> Any:
    """Return the price of room temperatures outside the comfort band, and below the goal."""
    price = base_mva * own.comfort_eur_per_k_h / own.capacity_mwh_per_k
    cost = sum(price[i] * m.heat_pump_missing[i] for i in m.heat_pumps)
    for i in m.heat_pumps:
        for t in m.steps:
            cost += dt_h[t] * price[i] * m.heat_pump_off[i, t]
    return cost
