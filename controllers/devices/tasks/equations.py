"""Equations and cost of shiftable loads in a feeder's model."""

from typing import Any

import numpy as np
import pyomo.environ as pyo

from stackelgrid.controllers.devices.tasks.data import TaskData
from stackelgrid.controllers.devices.terms import Injection
from stackelgrid.controllers.solvers.step_constraint import every_step
from stackelgrid.profiles.arrays import Floats


def add_tasks(own: TaskData, m: Any, base_mva: float, dt_h: Floats) -> Injection:
    """Add power and energy left of tasks in parts, and the beginnings of whole runs; p.u."""
    power, energy = own.p_max_mw / base_mva, own.e_mwh / base_mva
    parts, whole = np.flatnonzero(~own.whole).tolist(), np.flatnonzero(own.whole).tolist()
    m.tasks = pyo.RangeSet(0, len(own.index) - 1)
    m.task_p = pyo.Var(m.tasks, m.steps, bounds=lambda m, i, t: (0.0, power[i]))
    m.task_unserved = pyo.Var(
        m.tasks, m.steps,
        bounds=lambda m, i, t: (0.0, 0.0 if own.whole[i] else 2.0 * energy[i] / dt_h[t]),
    )  # fmt: skip
    m.task_left = pyo.Var(m.tasks, m.steps, bounds=lambda m, i, t: (0.0, 2.0 * energy[i]))
    for name in ("task_most", "task_come", "task_limit", "task_running", "task_runs_new",
                 "task_runs_must", "task_missed"):  # fmt: skip
        m.add_component(name, pyo.Var(m.tasks, m.steps))  # data
    m.task_left_start = pyo.Var(m.tasks)  # data

    @every_step(m, parts)
    def task_window(m: Any, i: int, t: int) -> Any:
        return m.task_p[i, t] <= m.task_most[i, t]

    @m.Constraint(parts, m.steps)
    def task_balance(m: Any, i: int, t: int) -> Any:
        before = m.task_left[i, t - 1] if t else m.task_left_start[i]
        gone = dt_h[t] * (m.task_p[i, t] + m.task_unserved[i, t])
        return m.task_left[i, t] - before - m.task_come[i, t] + gone == 0.0

    @every_step(m, parts)
    def task_at_the_end(m: Any, i: int, t: int) -> Any:
        return m.task_unserved[i, t] <= m.task_missed[i, t]

    @every_step(m, parts)
    def task_deadline(m: Any, i: int, t: int) -> Any:
        return m.task_left[i, t] <= m.task_limit[i, t]

    if whole:
        share = {i: running_share(dt_h, float(own.run_h[i])) for i in whole}
        m.task_begin = pyo.Var(whole, m.steps, domain=pyo.Binary)

        @m.Constraint(whole, m.steps)
        def task_run(m: Any, i: int, t: int) -> Any:
            begun = sum(share[i][t, s] * m.task_begin[i, s] for s in range(t + 1))
            return m.task_p[i, t] - power[i] * begun - m.task_running[i, t] == 0.0

        m.task_begun = pyo.Var(whole, m.steps, bounds=(0.0, float(len(dt_h))))

        @m.Constraint(whole, m.steps)
        def task_count(m: Any, i: int, t: int) -> Any:
            before = m.task_begun[i, t - 1] if t else 0.0
            return m.task_begun[i, t] - before - m.task_begin[i, t] == 0.0

        @every_step(m, whole)
        def task_runs_due(m: Any, i: int, t: int) -> Any:
            return base_mva * m.task_runs_must[i, t] <= m.task_begun[i, t]

        @every_step(m, whole)
        def task_runs_come(m: Any, i: int, t: int) -> Any:
            return m.task_begun[i, t] <= base_mva * m.task_runs_new[i, t]

    return Injection(lambda i, t: m.task_p[i, t])


def task_cost(own: TaskData, m: Any, base_mva: float, dt_h: Floats) -> Any:
    """Return the price of energy that is left at the ends of windows."""
    return sum(
        dt_h[t] * base_mva * own.unserved_eur_per_mwh[i] * m.task_unserved[i, t]
        for i in m.tasks
        for t in m.steps
    )


def running_share(dt_h: Floats, run_h: float) -> Floats:
    """Return the share (steps, beginnings) of each step during which a run is under way.

    dt_h: length of the steps in h.
    run_h: length of a run in h, from the start of the step in which it begins.
    """
    ends = np.cumsum(dt_h)
    begins = ends - dt_h
    last = np.minimum(ends[:, None], begins[None, :] + run_h)
    first = np.maximum(begins[:, None], begins[None, :])
    share: Floats = np.maximum(last - first, 0.0) / dt_h[:, None]
    return share
