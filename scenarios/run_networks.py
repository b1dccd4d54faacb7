"""The grids of a run in its directory: for maps, for exports, for whoever opens it elsewhere."""

from collections.abc import Mapping
from pathlib import Path

import pandapower as pp
import pandas as pd
import pyarrow.parquet as pq

from stackelgrid.controllers.networks.elements import element_table
from stackelgrid.scenarios.grids import BuiltGrid
from stackelgrid.simulators.columns import arrow_table
from stackelgrid.simulators.result_columns import NETWORK as NETWORK_COLUMNS
from stackelgrid.simulators.tables import sync

NETWORK = "network.parquet"
NETS = "grids"


def write_networks(grids: Mapping[str, BuiltGrid], directory: Path) -> None:
    """Write network.parquet (columns: `NETWORK`) and a pandapower JSON file a grid.

    Both appear whole or not at all, also after a loss of power. Raises OSError.
    """
    tables = []
    for name, grid in grids.items():
        table = element_table(grid.net)
        table.insert(0, "grid", name)
        table.insert(1, "level", grid.section.level)
        tables.append(table)
    folder = directory / NETS
    folder.mkdir(exist_ok=True)
    for name, grid in grids.items():
        path = folder / f"{name}.json"
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(pp.to_json(grid.net), encoding="utf-8")
        sync(unfinished)
        unfinished.rename(path)
    sync(folder)
    unfinished = directory / "network.tmp"
    whole = arrow_table(pd.concat(tables, ignore_index=True), NETWORK_COLUMNS)
    pq.write_table(whole, unfinished, compression="zstd")
    sync(unfinished)
    unfinished.rename(directory / NETWORK)
    sync(directory)
