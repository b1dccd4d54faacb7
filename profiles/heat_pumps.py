"""Coefficients of performance of heat pumps, and temperatures that they work between.

Regressions of hplib (RE-Lab HS Emden/Leer; https://doi.org/10.5281/zenodo.5521597): mean machines
of the Keymark data base; heating curve by DIN V 4701-10, ground temperature by a field study of
Fraunhofer ISE, both as hplib has them.
"""

from functools import cache
from typing import Any, Literal

import numpy as np

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError

Source = Literal["air", "ground"]
Heating = Literal["radiators", "floor"]

# hplib's groups of machines with a regulated compressor: outdoor air / water, brine / water
_GROUPS = {"air": 1, "ground": 2}
# flow and return temperature on the coldest day, exponent of the heat emission
_SYSTEMS = {"radiators": ((55.0, 45.0), 1.3), "floor": ((35.0, 28.0), 1.1)}
HOT_WATER_C = 52.0
"""Flow temperature while hot water is made."""
LEAST_COP = 1.0


def heat_pump_cop(source: Source, outdoor_c: Floats, daily_c: Floats, flow_c: Floats) -> Floats:
    """Return the coefficient of performance (n,) at a flow temperature; never below 1.

    source: outdoor air, or brine in the ground.
    outdoor_c: outdoor temperature (n,).
    daily_c: its mean over a day (n,), which the ground follows.
    flow_c: flow temperature (n,) of the heating.
    """
    if source not in _GROUPS:
        raise ProfileError(f"heat pump: source is {source!r}; air or ground is accepted")
    cold = outdoor_c if source == "air" else ground_c(daily_c)
    # the regression is linear in three temperatures; hplib's own simulation adds a heating rod
    p1, p2, p3, p4 = _coefficients(_GROUPS[source])
    cop = p1 * cold + p2 * flow_c + p3 + p4 * outdoor_c
    return np.maximum(cop, LEAST_COP)


def flow_temperature(heating: Heating, daily_c: Floats, set_c: float, coldest_c: float) -> Floats:
    """Return the flow temperature (n,) of the heating curve.

    heating: radiators (55 degrees Celsius on the coldest day) or floor heating (35).
    daily_c: mean outdoor temperature of a day (n,).
    set_c: room temperature.
    coldest_c: outdoor temperature that the heating is made for.
    """
    if heating not in _SYSTEMS:
        raise ProfileError(f"heat pump: heating is {heating!r}; radiators or floor is accepted")
    from hplib.hplib import HeatingSystem

    flow, exponent = _SYSTEMS[heating]
    system = HeatingSystem(coldest_c, set_c, list(flow), 1.0, exponent)
    return np.array([system.calc_heating_dist_temp(float(t))[0] for t in daily_c])


def ground_c(daily_c: Floats) -> Floats:
    """Return the temperature of the brine (n,) for the mean outdoor temperature of a day."""
    from hplib.hplib import HeatingSystem

    # the cubic fit turns beyond: colder days would warm the ground
    days = np.clip(np.asarray(daily_c, dtype=np.float64), -11.0, 30.0)
    return np.asarray(HeatingSystem().calc_brine_temp(days))


@cache
def _coefficients(group: int) -> tuple[float, float, float, float]:
    """Return hplib's coefficients of the COP of a mean machine of a group."""
    from hplib.hplib import load_database

    table: Any = load_database()
    row = table[(table["Model"] == "Generic") & (table["Group"] == group)].iloc[0]
    names = ("p1_COP [-]", "p2_COP [-]", "p3_COP [-]", "p4_COP [-]")
    one, two, three, four = (float(row[name]) for name in names)
    return one, two, three, four
