"""Test grids and users' pandapower nets, normalised so that power flow and models agree.

Sources: MATPOWER case30; Baran and Wu 1989 (doi 10.1109/61.25627, MATPOWER case33bw); the IEEE
European Low Voltage Test Feeder. All are built from pandapower's data, none from copied numbers.
"""

import copy
import functools
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandapower as pp
import pandapower.networks as pn
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_indices, check_net
from stackelgrid.controllers.networks.merging import merge_series_lines
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.net_columns import explained
from stackelgrid.controllers.networks.net_file import read_net
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.net_tables import conform_tables
from stackelgrid.controllers.networks.phases import PHASES
from stackelgrid.controllers.networks.topology import apply_topology

# the day time snapshot whose loads pandapower ships with the feeder
_EUROPEAN_SNAPSHOT = "on_peak_566"


def load_case(
    case: str, name: str, record: NetRecord | None = None, base_mva: float | None = None
) -> pandapowerNet:
    """Build a test grid by name, or read a pandapower JSON file; normalised and checked.

    case: one of `available_cases()`, or a path ending in `.json`.
    name: name of the grid.
    record: receives the changes to the net.
    base_mva: replaces the net's `sn_mva`.

    Raises NetworkError.
    """
    if case in _BUILDERS:
        net = copy.deepcopy(_shipped(case))
    elif case.endswith(".json"):
        net = read_net(Path(case), name)
    else:
        raise NetworkError(
            f"grid {name}: case {case!r} unknown; accepted: {', '.join(available_cases())} or the "
            "path of a pandapower .json file"
        )
    if base_mva is not None:
        net.sn_mva = base_mva
    net = normalise(net, name, record)
    net.name = name
    check_net(net, name)
    return net


@functools.cache
def _shipped(case: str) -> pandapowerNet:
    """Return a test grid as built, read once a process (0.4 to 1 s each); not to be changed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandapower warns about dtypes of its own data
        return _BUILDERS[case]()


def available_cases() -> tuple[str, ...]:
    """Return the names of the grids that `load_case` builds itself."""
    return tuple(sorted(_BUILDERS))


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


def _case30() -> pandapowerNet:
    return pn.case30()


def _case33bw() -> pandapowerNet:
    net = pn.case33bw()
    # MATPOWER fixes the slack voltage by a band of zero width, which is not a limit of the network
    net.bus.loc[net.ext_grid.bus, ["min_vm_pu", "max_vm_pu"]] = (0.9, 1.1)
    net.sn_mva = 1.0
    return net


def _european_lv_906() -> pandapowerNet:
    net = pn.ieee_european_lv_asymmetric(_EUROPEAN_SNAPSHOT)
    # MVA: with pandapower's 100 its convergence tolerance would exceed a customer's load
    net.sn_mva = 0.1
    return net


def _european_lv_206() -> pandapowerNet:
    return merge_series_lines(normalise(_shipped("european_lv_906"), "european_lv_206"))


_BUILDERS: dict[str, Callable[[], pandapowerNet]] = {
    "case30": _case30,
    "case33bw": _case33bw,
    "european_lv_206": _european_lv_206,
    "european_lv_906": _european_lv_906,
}
