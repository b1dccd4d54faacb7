"""Equations of users' simulators in a feeder's model."""

from typing import Any

import numpy as np
import pyomo.environ as pyo

from stackelgrid.controllers.devices.terms import Injection
from stackelgrid.controllers.solvers.step_constraint import every_step
from stackelgrid.profiles.arrays import Floats


def add_externals(low: Floats, high: Floats, m: Any) -> Injection:
    """Add active and reactive power; p.u.

    low, high: limits (devices,) of planned power; NaN where it is as expected.
    m: Pyomo model with the set `m.steps`.
    """

    def limits(m: Any, i: int, t: int) -> tuple[float | None, float | None]:
        return (None, None) if np.isnan(high[i]) else (float(low[i]), float(high[i]))

    m.externals = pyo.RangeSet(0, len(low) - 1)
    m.external_p = pyo.Var(m.externals, m.steps, bounds=limits)
    m.external_q = pyo.Var(m.externals, m.steps)
    m.external_expected = pyo.Var(m.externals, m.steps)  # data
    m.external_reactive = pyo.Var(m.externals, m.steps)  # data

    @every_step(m, np.flatnonzero(np.isnan(high)).tolist())
    def external_as_expected(m: Any, i: int, t: int) -> Any:
        return m.external_p[i, t] - m.external_expected[i, t] == 0.0

    @every_step(m, m.externals)
    def external_as_measured(m: Any, i: int, t: int) -> Any:
        return m.external_q[i, t] - m.external_reactive[i, t] == 0.0

    return Injection(lambda i, t: m.external_p[i, t], lambda i, t: m.external_q[i, t])
