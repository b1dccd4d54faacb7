"""Terms of users in the objective of a grid's operator, by name in scenarios of tests."""

import sys

import numpy as np
import pyomo.environ as pyo

BUILT = []  # grid and role of every model that got a term
NUMBER = 7.0


def energy(m, grid, power):
    """Energy in MWh of a power in p.u., by step."""
    return {t: grid.dt_h[t] * grid.base_mva * power[t] for t in m.steps}


def flat_import(m, grid):
    """10 EUR/MW^2h on the square of the exchange."""
    BUILT.append((grid.name, grid.role))
    return sum(10.0 * grid.dt_h[t] * (grid.base_mva * m.p_import[t]) ** 2 for t in m.steps)


def peak(m, grid):
    """900 EUR per MW of the highest import of the horizon."""
    m.highest = pyo.Var(bounds=(0.0, None))
    m.above = pyo.Constraint(m.steps, rule=lambda m, t: m.highest >= m.p_import[t])
    return 900.0 * grid.base_mva * m.highest


def surcharge(now):
    """EUR/MWh that rise by the clock hour and the forecast price."""
    return now.times.hour.to_numpy() + 0.1 * now.forecast.import_eur_per_mwh


def dearer_import(m, grid):
    """Price of the exchange in addition to the tariff, new in every interval."""
    BUILT.append((grid.name, grid.role))
    price = grid.parameter("surcharge", surcharge, m.steps)
    exchange = energy(m, grid, m.p_import)
    return sum(price[t] * exchange[t] for t in m.steps)


SERIES = {}


def indexed(m, grid):
    """Price of the exchange from a series."""
    price = grid.parameter("spot", lambda now: now.mean(SERIES["price"]), m.steps)
    return sum(price[t] * m.p_import[t] for t in m.steps)


def carbon(m, grid):
    """60 EUR/t of units that emit 0.1, 0.2, ... t/MWh."""
    price = grid.parameter("carbon", lambda now: 60.0)
    return sum(
        0.1 * (u + 1) * price * grid.dt_h[t] * grid.base_mva * m.unit_p[u, t]
        for u in m.units
        for t in m.steps
    )


def highest_output(m, grid):
    """500 EUR per MW of the highest output of a unit in the horizon."""
    m.highest = pyo.Var(bounds=(0.0, None))
    m.above = pyo.Constraint(m.units, m.steps, rule=lambda m, u, t: m.highest >= m.unit_p[u, t])
    return 500.0 * grid.base_mva * m.highest


def curved_import(m, grid):
    """Square of the exchange of a follower; nothing in its role as leader."""
    if grid.role == "leader":
        return 0.0
    return sum(5.0 * grid.dt_h[t] * (grid.base_mva * m.p_import[t]) ** 2 for t in m.steps)


# ---------------------------------------------------------------------- refused


def concave(m, grid):
    return -(m.p_import[0] ** 2)


def product(m, grid):
    return m.p_import[0] * m.v[1, 0]


def cubic(m, grid):
    return m.p_import[0] ** 3


def nothing(m, grid):
    m.p_import[0] + 1.0


def relation(m, grid):
    return m.p_import[0] >= 0.0


def array(m, grid):
    return np.zeros(3)


def flag(m, grid):
    return True


def infinite(m, grid):
    return float("nan") * m.p_import[0]


def raises(m, grid):
    return m.no_such_variable[0]


def leaves(m, grid):
    sys.exit("no tariff")


def divides(m, grid):
    return 1 / 0 * m.p_import[0]


def foreign(m, grid):
    other = pyo.ConcreteModel()
    other.x = pyo.Var()
    return other.x + m.p_import[0]


def whole(m, grid):
    m.on = pyo.Var(m.steps, domain=pyo.Binary)
    return sum(m.on[t] for t in m.steps)


def second_objective(m, grid):
    m.mine = pyo.Objective(expr=m.p_import[0])
    return 0.0


def taken_name(m, grid):
    m.p_import = pyo.Var()
    return m.p_import


def hyperbola(m, grid):
    m.z = pyo.Var()
    m.w = pyo.Constraint(expr=m.z * m.p_import[0] <= 1.0)
    return m.z


def cone(m, grid):
    m.z = pyo.Var()
    m.norm = pyo.Constraint(expr=m.p_import[0] ** 2 <= m.z)
    return m.z


def load_of_children(m, grid):
    return m.load_p[0, 0]


def price_of_children(m, grid):
    return m.load_p[0, 0] * m.p_import[0]


def not_a_number(m, grid):
    price = grid.parameter("tax", lambda now: np.nan, m.steps)
    return price[0] * m.p_import[0]


def wrong_length(m, grid):
    price = grid.parameter("tax", lambda now: np.ones(len(now.dt_h) + 1), m.steps)
    return price[0] * m.p_import[0]


def breaks(m, grid):
    price = grid.parameter("tax", lambda now: now.forecast.no_such_series, m.steps)
    return price[0] * m.p_import[0]
