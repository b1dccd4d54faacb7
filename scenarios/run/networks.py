"""Write the grids of a run into its directory, for maps, exports and other tools."""

from collections.abc import Mapping
from pathlib import Path

import pandapower as pp
import pandas as pd
import pyarrow.parquet as pq

from stackelgrid.controllers.networks.elements import element_table
from stackelgrid.scenarios.build.grids import BuiltGrid
from stackelgrid.simulators.results.columns import arrow_table
from stackelgrid.simulators.results.grid_tables import NETWORK as NETWORK_COLUMNS
from stackelgrid.simulators.results.whole_file import own_folder, sync, whole_file

NETWORK = "network.parquet"
NETS = "grids"


def write_networks(grids: Mapping[str, BuiltGrid], directory: Path) -> list[str]:
    """Write network.parquet (columns: `NETWORK`) and one pandapower JSON file for each grid.

    Files are replaced atomically, also at a loss of power. Returns their names; raises OSError.
    """
    tables = []
    for name, grid in grids.items():
        table = element_table(grid.net)
        table.insert(0, "grid", name)
        table.insert(1, "level", grid.section.level)
        tables.append(table)
    folder = own_folder(directory / NETS)
    for name, grid in grids.items():
        with whole_file(folder / f"{name}.json") as unfinished:
            unfinished.write_text(pp.to_json(grid.net), encoding="utf-8")
    sync(folder)
    whole = arrow_table(pd.concat(tables, ignore_index=True), NETWORK_COLUMNS)
    with whole_file(directory / NETWORK) as unfinished:
        pq.write_table(whole, unfinished, compression="zstd")
    sync(directory)
    return [NETWORK, *(f"{NETS}/{name}.json" for name in grids)]
