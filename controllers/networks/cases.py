"""Nets normalised so that power flow and models agree."""

import copy

import numpy as np
import pandapower as pp
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_indices
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.net_columns import explained
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.net_tables import conform_tables
from stackelgrid.controllers.networks.phases import PHASES
from stackelgrid.controllers.networks.topology import apply_topology


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
    _balance_single_phase_loads(net, name)
    return net


def _drop_orphaned_costs(net: pandapowerNet) -> None:
    for table in ("poly_cost", "pwl_cost"):
        cost = net[table]
        if len(cost):
            alive = [
                element in net[et].index for et, element in zip(cost.et, cost.element, strict=True)
            ]
            net[table] = cost[np.array(alive, dtype=bool)]


def _balance_single_phase_loads(net: pandapowerNet, name: str) -> None:
    single = net.asymmetric_load
    if not len(single):
        return
    p = single[[f"p_{phase}_mw" for phase in PHASES]].to_numpy(dtype=float)
    q = single[[f"q_{phase}_mvar" for phase in PHASES]].to_numpy(dtype=float)
    used = (p != 0.0) | (q != 0.0)
    bad = single.index[used.sum(axis=1) != 1]
    if len(bad):
        raise NetworkError(
            f"{named(name, 'asymmetric_load', bad)} must be connected to exactly one phase"
        )
    if len(net.load):
        raise NetworkError(
            f"grid {name}: holds both load and asymmetric_load; one of the two is accepted"
        )
    names = [n if isinstance(n, str) else None for n in single.name]
    pp.create_loads(
        net,
        single.bus.to_numpy(),
        p_mw=p.sum(axis=1),
        q_mvar=q.sum(axis=1),
        name=names,
        scaling=single.scaling.to_numpy(),
        phase=[
            PHASES[i] if kind == "wye" else ""
            for i, kind in zip(used.argmax(axis=1), single.type, strict=True)
        ],
    )
    net.asymmetric_load = single.drop(single.index)
