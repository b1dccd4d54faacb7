"""Exchange with the grid above and its payment (docs/formulation.md).

One direction for the whole project: x > 0 is import, power into the lower grid.
"""

from typing import Any

import pyomo.environ as pyo

from stackelgrid.controllers.solvers.step_constraint import every_step
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


def tariff_payment(m: Any, base_mva: float, dt_h: Floats) -> Any:
    """Return the payment in EUR: import price times bought less export price times sold."""
    return sum(
        dt_h[t] * base_mva * (m.import_price[t] * m.bought[t] - m.export_price[t] * m.sold[t])
        for t in m.steps
    )
