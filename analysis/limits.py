"""Limits of a run's buses, and what is closest to them, read from network.parquet."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stackelgrid.analysis.run import Run


@dataclass(frozen=True)
class Band:
    """Voltage limits in p.u.; `alike` says whether they hold for all buses, or only for most."""

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


def band_of(run: Run, grids: list[str]) -> Band | None:
    """Most common voltage limits of some grids' buses; None where none are known."""
    if not has_network(run):
        return None
    table = bus_limits(run)
    own = table[table.index.get_level_values("grid").isin(grids)].dropna(
        subset=["min_vm_pu", "max_vm_pu"]
    )
    pairs, counts = np.unique(
        own[["min_vm_pu", "max_vm_pu"]].to_numpy(), axis=0, return_counts=True
    )
    if not len(counts):
        return None
    low, high = pairs[int(counts.argmax())]
    return Band(float(low), float(high), len(counts) == 1)


def with_limits(run: Run, grids: list[str]) -> pd.DataFrame:
    """Voltages of some grids with min_vm_pu, max_vm_pu, margin_pu (negative: beyond a limit)."""
    table = run.bus.loc[run.bus["grid"].isin(grids), ["interval", "grid", "bus", "vm_pu"]]
    joined = table.join(bus_limits(run), on=["grid", "bus"])
    above = joined["max_vm_pu"] - joined["vm_pu"]
    joined["margin_pu"] = np.minimum(above, joined["vm_pu"] - joined["min_vm_pu"])
    return joined
