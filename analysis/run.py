"""A run directory as an object: summary, scenario, log, grids, and tables that are read when asked.

    from stackelgrid.analysis import Run

    run = Run("runs/day")
    run.bus                                    # pandas, read once
    run.query("select grid, max(vm_pu) from bus group by grid")
    run.net("mv1", interval=40)                # pandapower, with the results of that interval
    run.to_xarray("bus")                       # labelled arrays with units

Tables are those of docs/results.md; DuckDB reads them, of finished and of unfinished runs alike.
"""

import copy
from functools import cached_property
from typing import TYPE_CHECKING

from stackelgrid.analysis.run_record import RunRecord

if TYPE_CHECKING:
    import xarray as xr
    from pandapower.auxiliary import pandapowerNet


class Run(RunRecord):
    """Results of one run: finished, interrupted, or still going on.

    Raises ResultsError for a directory that holds no run, or not what the run wrote there: a file
    that is missing or was changed since. `notice` says so where that cannot be checked.
    Each table is an attribute: `interval`, `bus`, `branch`, `device`, `boundary`, ... (a pandas
    frame, read when first asked for and kept); `network` is the static data of all grids. A run
    that goes on is seen as it was when it was
    opened (`summary`) or asked (tables); `refreshed()` looks again.
    """

    @cached_property
    def _nets(self) -> "dict[str, pandapowerNet]":
        return {}

    def net(self, grid: str, interval: int | None = None) -> "pandapowerNet":
        """Return a grid's pandapower net as the run began with it, or with results of an interval.

        Set points and `res_` tables are those of docs/library.md. Raises ResultsError for an
        unknown grid or an interval that is not done.
        """
        from stackelgrid.analysis.nets import initial_net, solved_net  # pandapower takes a second

        self.check_grid(grid)
        if interval is not None:
            self.check_interval(interval)
        if grid not in self._nets:  # parsing takes half a second, a copy milliseconds
            self._nets[grid] = initial_net(self.directory, grid)
        net = copy.deepcopy(self._nets[grid])
        return net if interval is None else solved_net(self, net, grid, interval)

    def to_xarray(self, table: str) -> "xr.Dataset":
        """Return a table as labelled arrays with units; raises ResultsError (docs/library.md)."""
        from stackelgrid.analysis.datasets import dataset  # xarray is for exports only

        return dataset(self, table)
