"""Curtailable photovoltaics with an inverter's reactive power (docs/formulation.md)."""

from typing import Any

import numpy as np
import pyomo.environ as pyo

from stackelgrid.controllers.models.distflow import add_injections
from stackelgrid.controllers.networks.devices import Photovoltaics
from stackelgrid.controllers.solvers.step_constraint import every_step
from stackelgrid.profiles.arrays import Floats, Ints


def add_photovoltaics(m: Any, systems: Photovoltaics, bus: Ints, base_mva: float) -> None:
    """Add active (<= available, data) and reactive output in the inverter's circle; p.u.

    q_mvar is positive when injecting, like pandapower's sgen. A power-factor limit keeps
    q_mvar is positive when injecting, like pandapower's sgen. A power-factor limit keeps
    |q| <= p tan(acos(pf)). Systems that are not controllable deliver the available power, and
    reactive power in proportion to it.
    """
    m.systems = pyo.RangeSet(0, len(systems.index) - 1)
    rating = systems.sn_mva / base_mva
    slope = np.tan(np.arccos(systems.min_power_factor))
    m.pv_p = pyo.Var(m.systems, m.steps, bounds=(0.0, None))
    m.pv_q = pyo.Var(m.systems, m.steps)
    m.pv_available = pyo.Var(m.systems, m.steps)  # data

    ratio = systems.q_per_p
    fixed, free = list(systems.fixed), np.flatnonzero(systems.controllable).tolist()

    @every_step(m, free)
    def available_power(m: Any, i: int, t: int) -> Any:
        return m.pv_p[i, t] <= m.pv_available[i, t]

    @every_step(m, fixed)
    def fixed_power(m: Any, i: int, t: int) -> Any:
        return m.pv_p[i, t] - m.pv_available[i, t] == 0.0

    @every_step(m, fixed)
    def fixed_reactive_power(m: Any, i: int, t: int) -> Any:
        return m.pv_q[i, t] - ratio[i] * m.pv_p[i, t] == 0.0

    @every_step(m, free)
    def inverter_rating(m: Any, i: int, t: int) -> Any:
        return m.pv_p[i, t] ** 2 + m.pv_q[i, t] ** 2 <= rating[i] ** 2

    limited = [i for i in free if systems.min_power_factor[i] > 0.0]

    @every_step(m, limited)
    def power_factor_lagging(m: Any, i: int, t: int) -> Any:
        return m.pv_q[i, t] <= slope[i] * m.pv_p[i, t]

    @every_step(m, limited)
    def power_factor_leading(m: Any, i: int, t: int) -> Any:
        return -m.pv_q[i, t] <= slope[i] * m.pv_p[i, t]

    add_injections(m, bus, lambda i, t: -m.pv_p[i, t], lambda i, t: -m.pv_q[i, t])


def curtailment_cost(m: Any, price_eur_per_mwh: float, base_mva: float, dt_h: Floats) -> Any:
    """Curtailment in EUR at a price per MWh that was available and not fed in."""
    return sum(
        dt_h[t] * base_mva * price_eur_per_mwh * (m.pv_available[i, t] - m.pv_p[i, t])
        for i in m.systems
        for t in m.steps
    )
