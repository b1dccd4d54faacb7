"""Conversion of a user's net: the sequence of all steps."""

import copy

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.checks import check_indices
from stackelgrid.controllers.networks.conversion.single_phase import balance_single_phase_loads
from stackelgrid.controllers.networks.conversion.topology import apply_topology
from stackelgrid.controllers.networks.net_columns import explained
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.net_tables import conform_tables


def normalise(net: pandapowerNet, name: str, record: NetRecord | None = None) -> pandapowerNet:
    """Return a copy without switches, parts out of service and single-phase loads.

    Switches and elements out of service are applied as pandapower does (`topology`). A single-phase
    load becomes a balanced load of the same power whose phase is kept in the column `phase` (empty
    for one between two phases, type delta). `record` takes the changes to the net.
    Raises NetworkError where that is impossible.
    """
    record = NetRecord() if record is None else record
    net = copy.deepcopy(net)
    conform_tables(net, name)
    check_indices(net, name)
    record.columns = tuple(explained(net, transmission=record.transmission))
    apply_topology(net, name, record)
    _drop_orphaned_costs(net)
    balance_single_phase_loads(net, name)
    return net


def _drop_orphaned_costs(net: pandapowerNet) -> None:
    for table in ("poly_cost", "pwl_cost"):
        cost = net[table]
        if len(cost):
            alive = [
                element in net[et].index for et, element in zip(cost.et, cost.element, strict=True)
            ]
            net[table] = cost[np.array(alive, dtype=bool)]
