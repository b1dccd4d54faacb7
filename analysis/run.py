"""A run directory as an object: summary, scenario, log, grids, and tables read at first use.

    from stackelgrid.analysis import Run

    run = Run("runs/day")
    run.bus                                    # pandas, read once
    run.query("select grid, max(vm_pu) from bus group by grid")
    run.net("mv1", interval=40)                # pandapower, with the results of that interval
    run.to_xarray("bus")                       # labelled arrays with units

Tables are described in docs/results.md; DuckDB reads those of finished and unfinished runs.
"""

import copy
from functools import cached_property
from typing import TYPE_CHECKING

from stackelgrid.analysis.results.record import RunRecord

if TYPE_CHECKING:
    import xarray as xr
    from pandapower.auxiliary import pandapowerNet


class Run(RunRecord):
    """Results of one run: finished, interrupted, or still going on.

    Each table is an attribute (`interval`, `bus`, `branch`, `device`, `boundary`, ...): a pandas
    frame, read at first use and kept. `network` is the static data of all grids. For a running run
    `summary` is as of opening and a table as of its first use; `refreshed()` reads again.
    Raises ResultsError for a directory that holds no run, or in which a file is missing or changed;
    `notice` is set if this cannot be checked.
    """

    @cached_property
    def _nets(self) -> "dict[str, pandapowerNet]":
        return {}

    def net(self, grid: str, interval: int | None = None) -> "pandapowerNet":
        """Return a grid's pandapower net at the start of the run, or with an interval's results.

        docs/library.md describes its set points and `res_` tables. Raises ResultsError for an
        unknown grid or an interval that is not recorded.
        """
        from stackelgrid.analysis.results.nets import (  # pandapower takes a second
            initial_net,
            solved_net,
        )

        self.check_grid(grid)
        if interval is not None:
            self.check_interval(interval)
        if grid not in self._nets:  # parsing takes half a second, a copy milliseconds
            self._nets[grid] = initial_net(self.directory, grid)
        net = copy.deepcopy(self._nets[grid])
        return net if interval is None else solved_net(self, net, grid, interval)

    def to_xarray(self, table: str) -> "xr.Dataset":
        """Return a table as labelled arrays with units; raises ResultsError (docs/library.md)."""
        from stackelgrid.analysis.results.datasets import (
            dataset,  # xarray is needed for exports only
        )

        return dataset(self, table)
