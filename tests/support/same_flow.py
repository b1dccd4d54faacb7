"""A user's net against the net made of it: equal power flows, pandapower's and ours."""

import copy

import numpy as np
import pandapower as pp

from stackelgrid.controllers.networks.checks import check_net
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.power_flow import AcPowerFlow


def demand(net):
    """Consumption of loads, sgens and storages at the buses of a net, MW and MVAr."""
    p, q = np.zeros((2, len(net.bus)))
    for table, sign in (("load", 1.0), ("sgen", -1.0), ("storage", 1.0)):
        frame = net[table]
        at = net.bus.index.get_indexer(frame.bus)
        scaling = sign * frame.scaling.fillna(1.0).to_numpy(dtype=float)
        np.add.at(p, at, scaling * frame.p_mw.to_numpy(dtype=float))
        np.add.at(q, at, scaling * frame.q_mvar.to_numpy(dtype=float))
    return p, q


def solved(net):
    """AC power flow of a converted net at the powers that it holds."""
    flow = AcPowerFlow(net, "g")
    gens = (net.gen.p_mw * net.gen.scaling.fillna(1.0)).to_numpy(dtype=float)
    return flow.solve(*demand(net), flow.slack_vm_pu, gens if len(gens) else None)


def assert_same_flow(net, record=None, bar=1e-8, **options):
    """Convert a net and compare voltages and the slack's power; return the converted net."""
    record = NetRecord(transmission=True) if record is None else record
    plain = normalise(net, "g", record)
    check_net(plain, "g")
    state = solved(plain)
    whole = copy.deepcopy(net)
    pp.runpp(whole, numba=False, calculate_voltage_angles=True, init="dc", tolerance_mva=1e-10,
             **options)  # fmt: skip
    checked = 0
    for bus, vm, va in whole.res_bus[["vm_pu", "va_degree"]].itertuples():
        if record.bus(bus) in plain.bus.index and np.isfinite(vm):
            at = plain.bus.index.get_loc(record.bus(bus))
            here = state.vm_pu[at] * np.exp(1j * np.deg2rad(state.va_degree[at]))
            turned = np.exp(1j * np.deg2rad(va - whole.res_bus.va_degree[net.ext_grid.bus.iloc[0]]
                                            if len(net.ext_grid) else va))  # fmt: skip
            assert abs(here - vm * turned) < bar, (bus, here, vm, va)
            checked += 1
    assert checked == np.isfinite(whole.res_bus.vm_pu).sum()
    if len(net.ext_grid) == 1:
        slack = whole.res_ext_grid.iloc[0]
        base = float(net.sn_mva)
        assert abs(state.slack_p_mw - slack.p_mw) < bar * base
        assert abs(state.slack_q_mvar - slack.q_mvar) < bar * base
    return plain
