"""Sections, placement and windows of shiftable loads."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.placement import Phase, Placed, Placement
from stackelgrid.controllers.devices.tasks.data import TaskData
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.section import ClockTime, NonNegative, Positive, clock_hour
from stackelgrid.profiles.task_windows import daily_windows, window_length

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.placement import Placing, SeriesMaker

TASK = "task"
"""Beginning of the names of loads of pandapower that are shiftable."""
UNSERVED_EUR_PER_MWH = 2000.0
"""Price of energy that a task does not get by the end of its window."""
SERIES = ("task_open", "task_arrivals", "task_ends", "task_latest", "task_after_h")


class TaskSection(Placement):
    """Shiftable loads of one size, one at each bus, with one task a day."""

    p_mw: Positive
    """Largest power, or the power of a run."""
    e_mwh: Positive
    """Energy of a task, at most what fits in the window."""
    window: tuple[ClockTime, ClockTime]
    """Local clock times between which a task may run, over midnight if the second is not later."""
    interruptible: bool = True
    """Any power and pauses; `false`: one run at `p_mw`, which adds binaries."""
    spread_min: Annotated[float, Field(ge=0.0, le=720.0)] = 0.0
    """Largest shift of the window of each device, drawn at random."""
    unserved_eur_per_mwh: NonNegative = UNSERVED_EUR_PER_MWH
    """Price of energy that a task lacks at the end of its window."""
    phase: Phase | None = None
    """Connection; without it that of the customer at the bus."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        length = float(window_length(*(np.array(clock_hour(t)) for t in self.window)))
        if self.e_mwh > length * self.p_mw * (1.0 + tolerances.TASK_DONE):
            raise ValueError(
                f"e_mwh = {self.e_mwh:g} does not fit in the window: at most "
                f"{length * self.p_mw:g} MWh in {length:g} h at {self.p_mw:g} MW"
            )
        return self


class PlacedTasks(TaskData):
    """Placement and series of shiftable loads."""

    sections: ClassVar[Mapping[str, tuple[Any, Any]]] = {"tasks": (tuple[TaskSection, ...], ())}

    @classmethod
    def place(cls, placing: "Placing") -> "tuple[Placed, ...]":
        """Add loads with the energy of their tasks in a column of its own."""
        placed: list[Placed] = []
        first = int(placing.net.load.get("task_mwh", pd.Series(dtype=float)).notna().sum())
        for group, buses in placing.groups("tasks", first):
            own = group.section
            placing.add(
                "load", TASK, buses, "tasks", "shiftable load", p_mw=0.0, q_mvar=0.0,
                task_mw=own.p_mw, task_mwh=own.e_mwh, task_whole=float(not own.interruptible),
                task_from_h=clock_hour(own.window[0]), task_to_h=clock_hour(own.window[1]),
                unserved_eur_per_mwh=own.unserved_eur_per_mwh,
                phase=placing.phases(own.phase, group.key, buses),
            )  # fmt: skip
            placed.append(group)
        return tuple(placed)

    def series(self, maker: "SeriesMaker", placed: "tuple[Placed, ...]") -> dict[str, Floats]:
        """Return windows, arrivals and deadlines."""
        shift_h = np.zeros(len(self.index))
        for part in placed:
            at = slice(part.first, part.first + part.count)
            drawn = maker.generator("tasks", part.key).uniform(-1.0, 1.0, part.count)
            shift_h[at] = part.section.spread_min / 60.0 * drawn
        windows = daily_windows(maker.axis, self.from_h, self.to_h, self.run_h, shift_h)
        series = (windows.open, windows.arrivals, windows.ends, windows.latest, windows.after_h)
        return dict(zip(SERIES, series, strict=True))
