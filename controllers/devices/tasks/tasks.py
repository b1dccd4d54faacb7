"""Shiftable loads: tasks that draw an energy within a window, in parts or in one run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.controllers.devices.tasks.placed import TASK, UNSERVED_EUR_PER_MWH, PlacedTasks
from stackelgrid.controllers.devices.terms import Arrays, DeviceOptions, Injection, Snap
from stackelgrid.profiles.arrays import Bools, Floats
from stackelgrid.profiles.task_windows import window_length
from stackelgrid.profiles.time_axis import Over

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.elements import NetElements
    from stackelgrid.profiles.forecast import GridForecast

_POWER = Role.PLAN | Role.SET_POINT | Role.OUTPUT


@dataclass(frozen=True)
class Tasks(PlacedTasks, DeviceKind):
    """Kind of device: shiftable loads."""

    kind: ClassVar[str] = "task"
    plural: ClassVar[str] = "tasks"
    label: ClassVar[str] = "shiftable loads"
    sweep: ClassVar[str] = "shiftable load scale"
    colour: ClassVar[str] = "#ddcc77"
    symbol: ClassVar[str] = "triangle"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("task_open", "1", Role.SERIES, "share of the interval within a window"),
        Quantity("task_arrivals", "1", Role.SERIES, "tasks that arrive", over=Over.SUM),
        Quantity("task_ends", "1", Role.SERIES, "whether a window ends", over=Over.LARGEST),
        Quantity("task_latest", "1", Role.SERIES, "whether a run must begin", over=Over.LARGEST),
        Quantity("task_after_h", "h", Role.SERIES, "time of a window after the interval",
                 over=Over.LAST),
        Quantity("task_asked_mw", "MW", Role.OUTPUT, "set point", column="asked_mw"),
        Quantity("task_p_mw", "MW", _POWER, "power", attribute="task_p_set_mw", column="p_mw",
                 variable="task_p", total="power of shiftable loads"),
        Quantity("task_unserved_mw", "MW", Role.PLAN | Role.OUTPUT,
                 "energy left at the end of a window, as power over the interval",
                 column="unmet_mw", variable="task_unserved",
                 total="energy of tasks that was not served, as power",
                 lacked="not served of shiftable loads"),
        Quantity("task_left_mwh", "MWh", Role.PLAN | Role.STATE | Role.OUTPUT,
                 "energy that the present task still needs, a run under way included",
                 column="task_left_mwh"),
        Quantity("task_rest_h", "h", Role.STATE | Role.OUTPUT, "time left of a run under way"),
    )  # fmt: skip
    limits: ClassVar[Mapping[str, tuple[str, str]]] = {
        "task_window": ("power outside the window", "MW"),
        "task_deadline": ("energy left at the end of the window", "MWh"),
        "task_runs_due": ("runs that must have begun", ""),
        "task_runs_come": ("runs that may have begun", ""),
    }
    cost_column: ClassVar[str] = "task_eur"
    cost_label: ClassVar[str] = "unserved tasks"
    cost_meaning: ClassVar[str] = (
        "price of energy that tasks did not get by the end of their window"
    )
    snaps: ClassVar[tuple[Snap, ...]] = (Snap("task_begin", (), (), counted=True),)
    data: ClassVar[tuple[str, ...]] = (
        "task_most", "task_left_start", "task_come", "task_limit", "task_running", "task_runs_new",
        "task_runs_must", "task_missed",
    )  # fmt: skip
    consumes: ClassVar[bool] = True
    turn_down: ClassVar[int] = 3
    reducible: ClassVar[Mapping[str, str]] = {"task_p": "task_p_mw"}
    chained: ClassVar[tuple[str, ...]] = ("task_left", "task_begun")
    uncontrolled: ClassVar[str] = "run as they arrive"
    prosumer: ClassVar[bool] = True

    @property
    def table(self) -> tuple[str, ...]:
        return ("load",) * len(self.index)

    @property
    def rated_mw(self) -> Floats:
        return self.p_max_mw

    @property
    def initial(self) -> dict[str, Floats]:
        nothing = np.zeros(len(self.index))
        return {"task_left_mwh": nothing, "task_rest_h": nothing}

    def within(self, states: Arrays) -> dict[str, Floats]:
        return {
            "task_left_mwh": np.clip(states["task_left_mwh"], 0.0, self.e_mwh),
            "task_rest_h": np.clip(states["task_rest_h"], 0.0, self.run_h),
        }

    def scaled(self, factor: float) -> Self:
        if not factor:
            return self.none()
        return replace(self, p_max_mw=factor * self.p_max_mw, e_mwh=factor * self.e_mwh)

    # -- data

    @classmethod
    def claims(cls, elements: "NetElements") -> Mapping[str, Bools]:
        return {"load": elements.filled("load", "task_mwh", "task_mw")}

    @classmethod
    def read(cls, elements: "NetElements") -> Self:
        """Read the loads with a column `task_mwh`, the energy of a task."""
        frame, values = elements.of(cls, "load"), elements.values
        power, energy = values(frame, "task_mw", np.nan), values(frame, "task_mwh", np.nan)
        first, last = values(frame, "task_from_h", 0.0), values(frame, "task_to_h", 0.0)
        length = window_length(first, last)
        whole = values(frame, "task_whole", 0.0)
        price = values(frame, "unserved_eur_per_mwh", UNSERVED_EUR_PER_MWH)
        checks = (
            (power > 0.0, "task_mw > 0"),
            (energy > 0.0, "task_mwh > 0"),
            ((first >= 0.0) & (first < 24.0) & (last >= 0.0) & (last < 24.0),
             "0 <= task_from_h, task_to_h < 24"),
            (energy <= length * power * (1.0 + tolerances.TASK_DONE),
             "task_mwh that fits in the hours from task_from_h to task_to_h at task_mw"),
            ((whole == 0.0) | (whole == 1.0), "task_whole 0 (in parts) or 1 (one run)"),
            (price >= 0.0, "unserved_eur_per_mwh >= 0"),
        )  # fmt: skip
        for good, accepted in checks:
            elements.refuse(frame, "load", good, f"is a shiftable load and needs {accepted}")
        elements.refuse_power(frame, "load", cls.label)
        return cls(
            index=elements.index(frame),
            name=elements.names(frame, TASK),
            bus=frame.bus.to_numpy(dtype=np.int64),
            p_max_mw=power,
            e_mwh=energy,
            whole=whole > 0.0,
            from_h=first,
            to_h=last,
            unserved_eur_per_mwh=price,
            phase=elements.phases(frame, "load"),
        )

    # -- model

    def equations(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Injection:
        from stackelgrid.controllers.devices.tasks.equations import add_tasks

        return add_tasks(self, m, base_mva, dt_h)

    def cost(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Any:
        from stackelgrid.controllers.devices.tasks.equations import task_cost

        return task_cost(self, m, base_mva, dt_h)

    def parameters(
        self, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        arrivals, ends = forecast.task_arrivals.T, forecast.task_ends.T
        single = dt_h <= dt_h[0]
        # a run that arrives within a longer step begins with the next one
        usable = np.where(single, arrivals, 0.0)
        usable[:, 1:] += np.where(single[:-1], 0.0, arrivals[:, :-1])
        waiting = (states["task_rest_h"] <= 0.0) & (states["task_left_mwh"] > 0.0)
        new = waiting[:, None] + np.cumsum(usable, axis=1)
        due = runs_due(waiting, arrivals, forecast.task_latest.T)
        must = np.minimum(np.cumsum(due, axis=1), new)
        begin = np.concatenate([[0.0], np.cumsum(dt_h)[:-1]])
        rest = np.clip(states["task_rest_h"][:, None] - begin, 0.0, dt_h) / dt_h
        left = np.where(self.whole, 0.0, states["task_left_mwh"])
        most = 2.0 * self.e_mwh[:, None]
        limit, missed = most * (1.0 - ends), most * ends / dt_h
        # what is left at the end of the horizon can be drawn later, or is missed
        after = forecast.task_after_h[-1]
        open_later = after > 0.0
        later = np.minimum(most[:, 0], after * self.p_max_mw)
        limit[:, -1] = np.where(open_later, later, limit[:, -1])
        missed[:, -1] = np.where(open_later, most[:, 0] / dt_h[-1], missed[:, -1])
        return {
            "task_most": forecast.task_open.T * self.p_max_mw[:, None],
            "task_left_start": left,
            "task_come": np.where(self.whole, 0.0, self.e_mwh)[:, None] * arrivals,
            "task_limit": limit,
            "task_missed": missed,
            "task_running": rest * self.p_max_mw[:, None],
            "task_runs_new": new,
            "task_runs_must": must,
        }

    def content(self) -> tuple[Any, ...]:
        return (self.p_max_mw, self.e_mwh, self.whole, self.unserved_eur_per_mwh)

    # -- schedule and physics

    def planned(self, mw: Callable[[str], Floats], forecast: "GridForecast") -> dict[str, Floats]:
        return {**super().planned(mw, forecast), "task_left_mwh": mw("task_left")}

    def consumption(self, values: Arrays) -> tuple[Floats, None]:
        return values["task_p_mw"], None

    def held(
        self, last: Arrays | None, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Continue the last plan within the windows; without one, run tasks as they arrive."""

        def step(t: int, series: Arrays, states: Arrays, hours: float) -> dict[str, Floats]:
            power = self.p_max_mw if last is None else last["task_p_mw"][:, t]
            return self.run(power, series, states, hours)

        return self.carried_out(step, forecast, states, dt_h)

    def run(
        self, p_set_mw: Floats, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        """Return power, what was not served, and states after `dt_h` h.

        p_set_mw: asked power; a whole run begins where it exceeds half of what a run draws.
        series: window, arrivals and deadlines.
        states: energy left, time left of runs.
        dt_h: length in h.
        """
        left = states["task_left_mwh"] + self.e_mwh * series["task_arrivals"]
        rest = states["task_rest_h"]
        most = np.minimum(series["task_open"] * self.p_max_mw, left / dt_h)
        parts = np.clip(p_set_mw, 0.0, most)
        begins = self.whole & (rest <= 0.0) & (left > 0.0)
        of_run = np.minimum(self.run_h / dt_h, 1.0) * self.p_max_mw  # in its first step
        begins &= (p_set_mw > 0.5 * of_run) | (series["task_latest"] > 0.0)
        rest = np.where(begins, self.run_h, rest)
        ran = np.minimum(rest, dt_h)
        power = np.where(self.whole, self.p_max_mw * ran / dt_h, parts)
        left = np.maximum(left - dt_h * power, 0.0)
        missed = np.where((series["task_ends"] > 0.0) & ~self.whole, left, 0.0)
        left = left - missed
        return {
            "task_p_mw": power,
            "task_unserved_mw": missed / dt_h,
            "task_left_mwh": np.where(left < tolerances.TASK_DONE * self.e_mwh, 0.0, left),
            "task_rest_h": np.where(rest - ran < tolerances.TASK_DONE, 0.0, rest - ran),
        }

    def load_caps(self, plan: Arrays, share: Floats) -> dict[str, Floats]:
        caps = super().load_caps(plan, share)["task_p"]  # a run at full power has no parts
        return {"task_p": np.where(self.whole[:, None], np.inf, caps)}

    def hourly_cost(self, values: Arrays, options: DeviceOptions) -> Any:
        unserved = values["task_unserved_mw"]
        return np.sum(self.spread(self.unserved_eur_per_mwh, unserved) * unserved, axis=0)

    def largest_injection(self, forecast: "GridForecast") -> tuple[Floats, None]:
        return np.zeros((len(self.index), 1)), None

    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        asked = points.get("task_p_mw", self.p_max_mw)
        return {"task_asked_mw": asked, **self.run(asked, series, states, dt_h)}


def runs_due(waiting: Bools, arrivals: Floats, latest: Floats) -> Floats:
    """Return the number of whole runs (devices, steps) that must begin by each step.

    waiting: whether a task waits for its run, (devices,).
    arrivals, latest: tasks that arrive, and whether a run must begin, (devices, steps).
    """
    due, left = np.zeros_like(arrivals), waiting.astype(np.float64)
    for t, (come, last) in enumerate(zip(arrivals.T, latest.T, strict=True)):
        # a window whose task has run has no deadline; one that waits comes before one that arrives
        due[:, t] = np.where(last > 0.0, np.where(left > 0.0, left, come), 0.0)
        left = left + come - due[:, t]
    return due
