"""MATPOWER radial cases as pandapower nets (reference_cases/matpower_radial.json)."""

import json

import numpy as np
import pandapower as pp
from support.pandapower_nets import empty_net
from support.paths import REFERENCE_CASES

_DATA = REFERENCE_CASES / "matpower_radial.json"
CASES = tuple(json.loads(_DATA.read_text())["cases"])
# several feeders in one file, each with a slack of its own
SEVERAL_SLACKS = ("case16ci", "case70da")


def matpower_net(case):
    """One case on 1 MVA, lines of 1 km without charging or rating."""
    data = json.loads(_DATA.read_text())["cases"][case]
    net = empty_net(sn_mva=1.0)
    for bus, vn_kv, p_mw, q_mvar in data["bus, vn_kv, p_mw, q_mvar"]:
        pp.create_bus(net, vn_kv, index=bus)
        if p_mw or q_mvar:
            pp.create_load(net, bus, p_mw, q_mvar)
    for bus, vm_pu in data["slack"]:
        pp.create_ext_grid(net, bus, vm_pu=vm_pu)
    for a, b, r, x, in_service in data["from, to, r_ohm, x_ohm, in_service"]:
        pp.create_line_from_parameters(
            net, a, b, 1.0, r, x, 0.0, np.nan, in_service=in_service == 1
        )
    return net
