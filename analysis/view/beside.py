"""Values beside reality: the run without control, and plans of the coming hours."""

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stackelgrid.analysis.results.files import run_summary
from stackelgrid.analysis.results.record import BASELINE
from stackelgrid.analysis.view.growing import GrowingTable
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.simulators.results.device_tables import planned_columns

# columns of the baseline that series show
_COLUMNS: dict[str, tuple[str, ...]] = {
    "bus": ("interval", "grid", "bus", "vm_pu", "p_mw"),
    "branch": ("interval", "grid", "element", "index", "loading_percent", "i_ka"),
    "device": (
        "interval", "grid", "element", "index", "p_mw", "e_mwh", "soc_percent",
        *(column for kind in kinds() for column in kind.bands),
    ),
    "interval": ("interval", "grid", "p_import_mw", "lower_p_mw", "min_vm_pu", "max_vm_pu"),
}  # fmt: skip
# planned quantities, by device and step
PLANNED = ("p_mw", "e_mwh", *(column.name for column in planned_columns()))
_STEP = ["interval", "grid", "step", "dt_h", "element", "index", *PLANNED]
_PLANS_KEPT = 4  # decisions of which all plans are kept


class Baseline:
    """The run without control of a run, read at its first use: it may come later, or never."""

    def __init__(self, directory: Path, grids: Sequence[str]) -> None:
        self._directory = directory / BASELINE
        self._tables = {n: GrowingTable(self._directory, n, grids, c) for n, c in _COLUMNS.items()}
        self._lock = threading.Lock()

    def table(self, name: str) -> pd.DataFrame:
        """Return the rows recorded so far; none without a baseline. Raises ResultsError."""
        table = self._tables[name]
        with self._lock:
            if (self._directory / "summary.json").is_file():
                table.update(int(run_summary(self._directory)["intervals_done"]))
            return table.frame


class Plans:
    """Plans of the coming steps, read from the table `schedule` for the interval shown.

    `length_h` is the span of a rolling horizon; 0 for a day-ahead plan, which ends with the run.
    """

    def __init__(
        self, directory: Path, grids: Sequence[str], horizon: Mapping[str, Any], step: pd.Timedelta
    ) -> None:
        table = GrowingTable(directory, "schedule", grids, tuple(_STEP))
        self._every = int(horizon.get("resolve_every", 1))
        self._once = horizon.get("mode") == "day_ahead"
        self._step = step
        self.length_h = 0.0 if self._once else _length_h(horizon.get("steps", ()))
        self._made = lru_cache(maxsize=_PLANS_KEPT)(table.at)

    def ahead(self, interval: int, grid: str, start: pd.Timestamp) -> pd.DataFrame:
        """Return the steps of a grid's plan from an interval on.

        interval: interval shown.
        grid: name of the grid.
        start: start of that interval.

        Columns are element, index, start and end of the step, and PLANNED. Steps that are over are
        left out, so that a held plan begins at the interval.
        """
        decided = 0 if self._once else interval - interval % self._every
        made = self._made(decided)
        rows = made[made["grid"] == grid]
        lengths = rows.groupby("step")["dt_h"].first().sort_index()
        ends = start - (interval - decided) * self._step + pd.to_timedelta(lengths.cumsum(), "h")
        end = rows["step"].map(ends)
        found = rows.assign(end=end, start=end - pd.to_timedelta(rows["dt_h"], "h"))
        return found[np.asarray(end > start)].drop(columns=["interval", "grid"])


def _length_h(steps: Sequence[Mapping[str, Any]]) -> float:
    return sum((float(s["count"] * s["minutes"]) / 60.0 for s in steps), 0.0)
