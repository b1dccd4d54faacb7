"""Battery storage with charging and discharging efficiency (docs/formulation.md)."""

from typing import Any, Literal

import pyomo.environ as pyo

from stackelgrid.controllers.models.distflow import add_injections
from stackelgrid.controllers.networks.devices import Batteries
from stackelgrid.controllers.solvers.step_constraint import every_step
from stackelgrid.profiles.arrays import Floats, Ints

TerminalRule = Literal["initial", "value"]


def add_batteries(
    m: Any,
    batteries: Batteries,
    bus: Ints,
    base_mva: float,
    dt_h: Floats,
    terminal: TerminalRule,
) -> None:
    """Add charge, discharge and energy at the end of each step; p.u. and p.u. hours.

    `m.mode` is 1 for charging: ch <= pmax u, dis <= -pmin (1 - u). As the battery never does both
    at once, the room above (below) the energy before a step bounds charging (discharging) alone;
    with these rows a relaxed mode cannot burn energy in a full or empty battery.
    `terminal="initial"` requires at least `m.energy_terminal` at the end; with "value" the
    remaining energy has a price in the objective.
    """
    steps = len(dt_h)
    m.batteries = pyo.RangeSet(0, len(batteries.index) - 1)
    power, drawn = batteries.p_max_mw / base_mva, batteries.discharge_max_mw / base_mva
    low, high = batteries.e_min_mwh / base_mva, batteries.e_max_mwh / base_mva
    gain, drain = batteries.efficiency_charge, 1.0 / batteries.efficiency_discharge

    m.charge = pyo.Var(m.batteries, m.steps, bounds=lambda m, i, t: (0.0, power[i]))
    m.discharge = pyo.Var(m.batteries, m.steps, bounds=lambda m, i, t: (0.0, drawn[i]))
    m.energy = pyo.Var(m.batteries, m.steps, bounds=lambda m, i, t: (low[i], high[i]))
    m.mode = pyo.Var(m.batteries, m.steps, domain=pyo.Binary)
    m.energy_initial = pyo.Var(m.batteries)  # data
    m.energy_terminal = pyo.Var(m.batteries)  # data

    @m.Constraint(m.batteries, m.steps)
    def energy_balance(m: Any, i: int, t: int) -> Any:
        before = m.energy[i, t - 1] if t else m.energy_initial[i]
        flow = gain[i] * m.charge[i, t] - drain[i] * m.discharge[i, t]
        return m.energy[i, t] - before - dt_h[t] * flow == 0.0

    @every_step(m, m.batteries)
    def charging(m: Any, i: int, t: int) -> Any:
        return m.charge[i, t] <= power[i] * m.mode[i, t]

    @every_step(m, m.batteries)
    def discharging(m: Any, i: int, t: int) -> Any:
        return m.discharge[i, t] <= drawn[i] * (1 - m.mode[i, t])

    @m.Constraint(m.batteries, m.steps)
    def room_above(m: Any, i: int, t: int) -> Any:
        before = m.energy[i, t - 1] if t else m.energy_initial[i]
        return before + dt_h[t] * gain[i] * m.charge[i, t] <= high[i]

    @m.Constraint(m.batteries, m.steps)
    def room_below(m: Any, i: int, t: int) -> Any:
        before = m.energy[i, t - 1] if t else m.energy_initial[i]
        return before - dt_h[t] * drain[i] * m.discharge[i, t] >= low[i]

    if terminal == "initial":

        @m.Constraint(m.batteries)
        def terminal_energy(m: Any, i: int) -> Any:
            return m.energy[i, steps - 1] >= m.energy_terminal[i]

    add_injections(m, bus, lambda i, t: m.charge[i, t] - m.discharge[i, t])


def wear_cost(m: Any, batteries: Batteries, base_mva: float, dt_h: Floats) -> Any:
    """Return wear in EUR: a price per MWh of throughput, charged plus discharged at the bus."""
    return sum(
        dt_h[t] * base_mva * batteries.wear_eur_per_mwh[i] * (m.charge[i, t] + m.discharge[i, t])
        for i in m.batteries
        for t in m.steps
    )
