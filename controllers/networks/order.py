"""Positions of a network's buses and branches in its pandapower net."""

from dataclasses import dataclass

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.meshed import MeshedNetwork
from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.profiles.arrays import Ints


@dataclass(frozen=True)
class NetOrder:
    """Positions in the net's order: of a network's buses; of its lines, then transformers."""

    bus: Ints
    branch: Ints


def net_order(network: RadialNetwork | MeshedNetwork, net: pandapowerNet) -> NetOrder:
    """Find the buses and branches of a network in the net that it was read from."""
    branches = [("line", int(i)) for i in net.line.index]
    branches += [("trafo", int(i)) for i in net.trafo.index]
    where = {key: k for k, key in enumerate(branches)}
    keys = zip(network.branch_table, network.branch_index, strict=True)
    return NetOrder(
        bus=net.bus.index.get_indexer(list(network.bus_index)).astype(np.int64),
        branch=np.array([where[key] for key in keys], dtype=np.int64),
    )
