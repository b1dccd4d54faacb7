"""Exchange with the grid above and its payment (docs/formulation.md).

One direction for the whole project: x > 0 is import, power into the lower grid.
"""

from typing import Any

import pyomo.environ as pyo

from stackelgrid.controllers.networks.limits import ExchangeLimits
from stackelgrid.controllers.solvers.step_constraint import StepConstraint, every_step
from stackelgrid.profiles.arrays import Floats


def add_tariff_boundary(m: Any, traded_across: bool) -> None:
    """Split the billed exchange into bought and sold energy, p.u.; export price < import price.

    Billed is the import that no trade across feeders has paid for.
    """
    m.bought = pyo.Var(m.steps, bounds=(0.0, None))
    m.sold = pyo.Var(m.steps, bounds=(0.0, None))
    m.import_price = pyo.Var(m.steps)  # data, EUR/MWh
    m.export_price = pyo.Var(m.steps)  # data, EUR/MWh

    @every_step(m)
    def exchange(m: Any, t: int) -> Any:
        billed = m.p_import[t] - m.across_net[t] if traded_across else m.p_import[t]
        return billed - m.bought[t] + m.sold[t] == 0.0


def add_exchange_limits(m: Any, limits: ExchangeLimits, base_mva: float) -> None:
    """Keep the exchange within the limits of the source; rows have the names of the limits."""
    for name, value in limits.stated.items():
        exchange = m.p_import if name.endswith("p_mw") else m.q_import
        sign = 1.0 if name.startswith("max") else -1.0

        def limit(m: Any, t: int, x: Any = exchange, sign: float = sign, at: float = value) -> Any:
            return sign * x[t] <= sign * at / base_mva

        m.add_component(name, StepConstraint(m.steps, rule=limit))


BOUNDARY_DATA = ("peak_before", "emission_price")
"""Variables that hold data of the terms below."""


def add_peak(m: Any) -> None:
    """Add the highest import of the run so far and of the horizon, p.u."""
    m.peak_before = pyo.Var([0])  # data
    m.peak = pyo.Var([0], bounds=(0.0, None))

    @m.Constraint([0])
    def peak_so_far(m: Any, i: int) -> Any:
        return m.peak[0] >= m.peak_before[0]

    @m.Constraint(m.steps)
    def peak_of_step(m: Any, t: int) -> Any:
        return m.peak[0] >= m.p_import[t]


def peak_cost(m: Any, base_mva: float, eur_per_mw: float) -> Any:
    """Return the price in EUR of the rise of the highest import."""
    return base_mva * eur_per_mw * (m.peak[0] - m.peak_before[0])


def add_emitting_import(m: Any) -> None:
    """Add the import alone, without export, whose emissions have a price; p.u."""
    m.emission_price = pyo.Var(m.steps)  # data, EUR/MWh
    m.emitting = pyo.Var(m.steps, bounds=(0.0, None))

    @every_step(m)
    def emitting_import(m: Any, t: int) -> Any:
        return m.emitting[t] >= m.p_import[t]


def emission_cost(m: Any, base_mva: float, dt_h: Floats) -> Any:
    """Return the price of emissions of imported energy in EUR."""
    return sum(dt_h[t] * base_mva * m.emission_price[t] * m.emitting[t] for t in m.steps)


def tariff_payment(m: Any, base_mva: float, dt_h: Floats) -> Any:
    """Return the payment in EUR: import price times bought less export price times sold."""
    return sum(
        dt_h[t] * base_mva * (m.import_price[t] * m.bought[t] - m.export_price[t] * m.sold[t])
        for t in m.steps
    )
