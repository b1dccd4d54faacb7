"""Parts of a net without supply."""

import networkx as nx
import numpy as np
from pandapower.auxiliary import pandapowerNet
from pandapower.topology import create_nxgraph, unsupplied_buses

from stackelgrid.controllers.networks.conversion.rows import drop_elements
from stackelgrid.controllers.networks.net_elements import BUS_COLUMNS
from stackelgrid.controllers.networks.net_record import NetRecord

# elements that make a part without supply more than idle equipment
_CONSUMING, _GENERATING = ("load", "storage"), ("sgen", "gen")
_IDLE, _DEAD = "without supply and without load", "without supply"


def drop_islands(net: pandapowerNet, record: NetRecord) -> None:
    """Drop parts without supply, in place; one note counts buses and power of those with devices.

    pandapower leaves such parts out of a power flow, too.
    """
    if not len(net.ext_grid):
        return
    dead = unsupplied_buses(net)
    if not dead:
        return
    used = {int(b) for table in (*_CONSUMING, *_GENERATING) for b in net[table].bus}
    parts = [c for c in nx.connected_components(create_nxgraph(net)) if c <= dead]
    islands = [part for part in parts if part & used]
    for buses, reason, surprising in (
        (set().union(*(part for part in parts if not part & used)), _IDLE, False),
        (set().union(*islands), _described(net, islands), True),
    ):
        for table, columns in BUS_COLUMNS.items():
            if table in net and table != "switch" and len(net[table]):
                at = net[table][list(columns)].isin(buses).any(axis=1)
                short = _DEAD if surprising else reason
                drop_elements(net, table, net[table].index[at], short, record)
        drop_elements(net, "bus", sorted(buses), reason, record, surprising=surprising)


def _described(net: pandapowerNet, islands: list[set[int]]) -> str:
    buses = set().union(*islands)
    demand, supply = (
        sum(
            float(np.abs(rows.p_mw * rows.scaling.fillna(1.0)).sum())
            for rows in (net[table][net[table].bus.isin(buses)] for table in tables)
        )
        for tables in (_CONSUMING, _GENERATING)
    )
    parts = "one part" if len(islands) == 1 else f"{len(islands)} parts"
    number = "1 bus" if len(buses) == 1 else f"{len(buses)} buses"
    return (
        f"{_DEAD}: {number} in {parts} that no closed switch or branch connects to the "
        f"slack, with {demand:.4g} MW of load and {supply:.4g} MW of generation"
    )
