"""Dispatchable generation with convex quadratic cost; shared by feeders and the DC-OPF."""

from typing import Any

import numpy as np
import pyomo.environ as pyo

from stackelgrid.controllers.networks.devices import Units
from stackelgrid.profiles.arrays import Floats


def add_units(m: Any, units: Units, base_mva: float) -> None:
    """Add the output of every unit within its limits; p.u., without a row for a missing limit."""

    def limits(m: Any, u: int, t: int) -> tuple[float | None, float | None]:
        low, high = units.p_min_mw[u], units.p_max_mw[u]
        return (
            float(low / base_mva) if np.isfinite(low) else None,
            float(high / base_mva) if np.isfinite(high) else None,
        )

    m.units = pyo.RangeSet(0, len(units.index) - 1)
    m.unit_p = pyo.Var(m.units, m.steps, bounds=limits)


def generation_cost(m: Any, units: Units, base_mva: float, dt_h: Floats) -> Any:
    """Return generation cost in EUR: dt (c2 p^2 + c1 p + c0), p in MW, and that of fixed power."""
    fixed = float(units.fixed_eur_per_h * dt_h.sum())
    return fixed + sum(
        dt_h[t]
        * (
            units.c2[u] * base_mva**2 * m.unit_p[u, t] ** 2
            + units.c1[u] * base_mva * m.unit_p[u, t]
            + units.c0[u]
        )
        for u in m.units
        for t in m.steps
    )
