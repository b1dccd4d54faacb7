"""Intervals and grids of a run: local times, levels, copies; columns by interval and grid."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stackelgrid.analysis.results.files import GridInfo
from stackelgrid.analysis.results.record import RunRecord
from stackelgrid.controllers.words import words

LEVELS = {level: words(level) for level in ("transmission", "mv", "lv")}


@dataclass(frozen=True)
class Clock:
    """Intervals of a run and their local times: `edges` (intervals + 1,), `title` of a time axis.

    Time runs on evenly through a change of clocks, as the offset of the first interval says.
    """

    intervals: NDArray[np.int64]
    edges: NDArray[np.datetime64]
    title: str

    @property
    def middles(self) -> NDArray[np.datetime64]:
        """Middle of every interval."""
        middle: NDArray[np.datetime64] = self.edges[:-1] + np.diff(self.edges) // 2
        return middle

    @property
    def step_ms(self) -> float:
        """Length of an interval in ms, Plotly's unit of time."""
        return float((self.edges[1] - self.edges[0]) / np.timedelta64(1, "ms"))

    def text(self, interval: int) -> str:
        """Local time at which an interval starts, with the day where the run has several.

        Tables that are read later, or written earlier, may hold one that the clock does not.
        """
        length = self.edges[1] - self.edges[0]
        at = pd.Timestamp(self.edges[0] + (interval - int(self.intervals[0])) * length)
        days = (self.edges[-1] - self.edges[0]) > np.timedelta64(24, "h")
        return f"{at:%d %b %H:%M}" if days else f"{at:%H:%M}"


def clock(run: RunRecord) -> Clock:
    """Return the intervals that are on record, in local time of the scenario."""
    times = run.interval.groupby("interval")["time"].first()
    zone = str(run.scenario["time"]["timezone"])
    length = pd.Timedelta(hours=run.dt_h)
    if times.empty:
        return Clock(np.empty(0, np.int64), np.empty(0, "datetime64[s]"), f"time ({zone})")
    first = times.iloc[0].tz_convert(zone).tz_localize(None)
    starts = first + (times - times.iloc[0])
    edges = np.append(starts.to_numpy(), (starts.iloc[-1] + length).to_numpy())
    return Clock(times.index.to_numpy(np.int64), edges.astype("datetime64[s]"), f"time ({zone})")


def levels(run: RunRecord) -> list[str]:
    """Levels of a run's grids, from the top."""
    present = {grid.level for grid in run.grids.values()}
    return [level for level in LEVELS if level in present]


def root_of(run: RunRecord) -> GridInfo:
    """Grid without a grid above it."""
    return next(grid for grid in run.grids.values() if not grid.parent)


def outer_feeders(run: RunRecord) -> list[str]:
    """Return the feeders at the boundary of all feeders: below a transmission grid, or the root."""
    root = root_of(run)
    if root.level != "transmission":
        return [root.name]
    return [grid.name for grid in run.grids.values() if grid.parent == root.name]


def grids_of(run: RunRecord, level: str) -> list[str]:
    """Grids of a level in the scenario's order."""
    return [grid.name for grid in run.grids.values() if grid.level == level]


def copies(run: RunRecord) -> dict[str, int]:
    """Number of identical grids in the whole system that a grid of the run represents."""

    def of(name: str) -> int:  # a scenario may name a grid before its parent
        grid = run.grids[name]
        return grid.multiplicity * (of(grid.parent) if grid.parent else 1)

    return {name: of(name) for name in run.grids}


def with_copies(run: RunRecord, name: str) -> str:
    """Name of a grid, with the number of its copies if there are several."""
    count = copies(run)[name]
    return f"{name}, {count} copies" if count > 1 else name


def by_grid(run: RunRecord, column: str, when: Clock, *, weighted: bool = True) -> pd.DataFrame:
    """Column of interval.parquet as (intervals, grids); `weighted` counts all copies."""
    wide = run.interval.pivot_table(
        column, "interval", "grid", aggfunc="first", dropna=False, sort=False
    )
    wide = wide.reindex(index=when.intervals, columns=list(run.grids))
    return wide * pd.Series(copies(run)) if weighted else wide
