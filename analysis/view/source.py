"""Values of one element: in a run, in its baseline, and planned for the coming steps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stackelgrid.analysis.view.beside import PLANNED
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class Element:
    """A selected element: kind (bus, line, trafo, agent, or a device's), grid, index.

    `index` is pandapower's; -1 for an agent. `element` is the pandapower table of a device, as a
    unit may be a sgen, gen or ext_grid.
    """

    kind: str
    grid: str
    index: int = -1
    element: str = ""

    @classmethod
    def from_text(cls, text: str) -> "Element":
        """Parse the text form kind|grid|index|element."""
        kind, grid, index, element = text.split("|")
        return cls(kind, grid, int(index), element)

    @property
    def text(self) -> str:
        """Text form, KIND|GRID|INDEX|TABLE."""
        return f"{self.kind}|{self.grid}|{self.index}|{self.element}"


@dataclass(frozen=True)
class Ahead:
    """Plan of the coming steps: `edges` (steps + 1,) in local time, `values` (steps,)."""

    edges: pd.DatetimeIndex
    values: Floats


class Rows:
    """Rows of one element, by interval."""

    def __init__(self, frame: pd.DataFrame, done: int) -> None:
        self._frame, self._done = frame, done

    def __call__(self, column: str) -> Floats:
        """Return the values of a column (recorded intervals,); NaN where missing."""
        values = np.full(self._done, np.nan)
        if column not in self._frame:
            return values
        at = self._frame["interval"].to_numpy()
        values[at[at < self._done]] = self._frame[column].to_numpy()[at < self._done]
        return values

    def first(self, column: str) -> str:
        """Return the first value of a column as text."""
        return str(self._frame[column].iloc[0]) if len(self._frame) else ""


@dataclass(frozen=True)
class Source:
    """Values of an element: in the run, in its baseline, and planned from an interval on."""

    run: LiveRun
    element: Element
    interval: int | None

    def rows(self, table: str, **keys: Any) -> Rows:
        """Return the rows of the element's grid with some keys."""
        return self._select(self.run.table(table), self.element.grid, keys)

    def baseline(self, table: str, **keys: Any) -> Rows:
        """Return the rows of the run without control; none without one."""
        return self._select(self.run.baseline.table(table), self.element.grid, keys)

    def _select(self, frame: pd.DataFrame, grid: str, keys: dict[str, Any]) -> Rows:
        frame = frame[frame["grid"] == grid]
        for column, value in keys.items():
            frame = frame[frame[column] == value]
        return Rows(frame, self.run.done)

    def ahead(self, grid: str) -> pd.DataFrame:
        """Return the plan of the coming steps of a grid, described at Plans.ahead."""
        run, at = self.run, self.interval
        if at is None or not 0 <= at < run.done:
            return pd.DataFrame(columns=["element", "index", "start", "end", *PLANNED])
        return run.plans.ahead(at, grid, run.times[at])

    def imports(self, grid: str) -> Ahead | None:
        """Return the planned import of a grid."""
        plan = self.ahead(grid)
        return summed(plan[plan["element"] == "boundary"], "p_mw")

    def of_kinds(self, grid: str) -> dict[str, Ahead | None]:
        """Return the planned power of all devices of a kind in a grid, by the kind's label."""
        plan = self.ahead(grid)
        kind_of = {(d.element, d.index): d.kind for d in self.run.grid(grid).devices}
        keys = zip(plan["element"], plan["index"], strict=True)
        kind = pd.Series([kind_of.get(key, "") for key in keys], plan.index, dtype=object)
        return {k.label: summed(plan[kind == k.kind], "p_mw") for k in kinds()}

    def below(self) -> tuple[Floats, Floats, Ahead | None]:
        """Return the power into the grids below: real, planned, and the plan of coming steps."""
        planned, ahead = np.zeros(self.run.done), None
        for grid in self.run.grids:
            if grid.parent != self.element.grid:
                continue
            own = self._select(self.run.table("interval"), grid.name, {})
            planned = planned + grid.multiplicity * own("p_import_planned_mw")
            coming = self.imports(grid.name)
            if coming is not None:
                more = grid.multiplicity * coming.values
                ahead = Ahead(coming.edges, more if ahead is None else ahead.values + more)
        return self.rows("interval")("lower_p_mw"), planned, ahead


def summed(rows: pd.DataFrame, column: str, scale: float = 1.0) -> Ahead | None:
    """Return the sum over elements by step, from rows with `start` and `end`; None without any."""
    known = rows.dropna(subset=[column])
    if known.empty:
        return None
    total = known.groupby("start")[column].sum()
    edges = pd.DatetimeIndex([*total.index, known["end"].max()])
    return Ahead(edges, scale * total.to_numpy(np.float64))


def scaled(ahead: Ahead | None, scale: float) -> Ahead | None:
    """Return a plan times a factor."""
    return None if ahead is None else Ahead(ahead.edges, scale * ahead.values)
