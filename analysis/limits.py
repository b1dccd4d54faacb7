"""Limits of a run's buses, and what is closest to them, read from network.parquet."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stackelgrid.analysis.run import Run
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class Band:
    """Voltage limits in p.u., NaN for none; `alike`: they hold for all buses, not only for most."""

    min_pu: float
    max_pu: float
    alike: bool


def has_network(run: Run) -> bool:
    """Whether the run holds the static data of its grids; runs of older versions do not."""
    return (run.directory / "network.parquet").exists()


def bus_limits(run: Run) -> pd.DataFrame:
    """Limits by (grid, bus): min_vm_pu, max_vm_pu, name; NaN for heads and slack buses.

    Their voltage is given from above; no limit is asked of it.
    """
    network = run.network
    buses = network[network["element"] == "bus"].set_index(["grid", "index"])
    table = buses[["min_vm_pu", "max_vm_pu", "name"]].copy()
    table.index.names = ["grid", "bus"]
    slack = network[network["element"] == "ext_grid"]
    given = pd.MultiIndex.from_arrays([slack["grid"], slack["bus"]])
    table.loc[table.index.isin(given), ["min_vm_pu", "max_vm_pu"]] = np.nan
    return table


def loading_limits(run: Run) -> pd.Series:
    """What branches may be loaded to by (grid, element, index), percent; NaN without a rating."""
    network = run.network
    branches = network[network["element"].isin(["line", "trafo"])]
    limits: pd.Series = branches.set_index(["grid", "element", "index"])["max_loading_percent"]
    return limits


def band_of(run: Run, grids: list[str]) -> Band | None:
    """Most common lower and upper voltage limit of some grids' buses; None where none are known."""
    if not has_network(run):
        return None
    table = bus_limits(run)
    own = table.loc[table.index.get_level_values("grid").isin(grids), ["min_vm_pu", "max_vm_pu"]]
    own = own.dropna(how="all")  # heads, and buses without a limit
    if own.empty:
        return None
    (low, all_low), (high, all_high) = (_most_common(own[side].to_numpy()) for side in own)
    return Band(low, high, all_low and all_high)


def _most_common(limits: Floats) -> tuple[float, bool]:
    """Value that most buses have, and whether all have it; NaN is a value, too."""
    values, counts = np.unique(limits, return_counts=True)
    return float(values[int(counts.argmax())]), len(values) == 1


def with_limits(run: Run, grids: list[str]) -> pd.DataFrame:
    """Voltages of some grids with min_vm_pu, max_vm_pu, margin_pu (negative: beyond a limit).

    The margin is that to the one limit where a bus has only one, NaN without any.
    """
    table = run.bus.loc[run.bus["grid"].isin(grids), ["interval", "grid", "bus", "vm_pu"]]
    joined = table.join(bus_limits(run), on=["grid", "bus"])
    above = joined["max_vm_pu"] - joined["vm_pu"]
    joined["margin_pu"] = np.fmin(above, joined["vm_pu"] - joined["min_vm_pu"])
    return joined
