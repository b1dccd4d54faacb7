"""Limits of a run's buses and branches, and margins to them, from network.parquet."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stackelgrid.analysis.results.record import RunRecord
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class Band:
    """Voltage limits in p.u., NaN for none; `alike`: all buses, not only most, have them."""

    min_pu: float
    max_pu: float
    alike: bool


def has_network(run: RunRecord) -> bool:
    """Return True if the run holds static data of its grids; older versions wrote none."""
    return (run.directory / "network.parquet").exists()


def bus_limits(run: RunRecord) -> pd.DataFrame:
    """Return limits by (grid, bus): min_vm_pu, max_vm_pu, name; NaN for heads and slack buses.

    The grid above determines the voltage of these buses, so no limit applies.
    """
    network = run.network
    buses = network[network["element"] == "bus"].set_index(["grid", "index"])
    table = buses[["min_vm_pu", "max_vm_pu", "name"]].copy()
    table.index.names = ["grid", "bus"]
    slack = network[network["element"] == "ext_grid"]
    given = pd.MultiIndex.from_arrays([slack["grid"], slack["bus"]])
    table.loc[table.index.isin(given), ["min_vm_pu", "max_vm_pu"]] = np.nan
    return table


def loading_limits(run: RunRecord) -> pd.Series:
    """Return loading limits by (grid, element, index) in percent; NaN without a rating."""
    network = run.network
    branches = network[network["element"].isin(["line", "trafo"])]
    limits: pd.Series = branches.set_index(["grid", "element", "index"])["max_loading_percent"]
    return limits


def band_of(run: RunRecord, grids: list[str]) -> Band | None:
    """Return the most common voltage limits of some grids' buses; None if none are known."""
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
    """Return the most frequent value, and True if all buses have it; NaN counts as a value."""
    values, counts = np.unique(limits, return_counts=True)
    return float(values[int(counts.argmax())]), len(values) == 1


def with_limits(run: RunRecord, grids: list[str]) -> pd.DataFrame:
    """Return voltages of some grids with min_vm_pu, max_vm_pu, margin_pu (negative: beyond).

    The margin is to the nearer limit, or to the only one; NaN without limits.
    """
    table = run.bus.loc[run.bus["grid"].isin(grids), ["interval", "grid", "bus", "vm_pu"]]
    joined = table.join(bus_limits(run), on=["grid", "bus"])
    above = joined["max_vm_pu"] - joined["vm_pu"]
    joined["margin_pu"] = np.fmin(above, joined["vm_pu"] - joined["min_vm_pu"])
    return joined
