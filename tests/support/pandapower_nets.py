"""pandapower's nets, each made once a process; every caller gets a copy of its own."""

import copy
from functools import cache

import pandapower as pp
import pandapower.networks as pn


@cache
def _made(name):
    return pp.create_empty_network() if name == "empty" else getattr(pn, name)()


def empty_net(sn_mva=1.0):
    """Net without elements: a copy takes 5 ms, making one 150."""
    net = copy.deepcopy(_made("empty"))
    net.sn_mva = sn_mva
    return net


def shipped_net(name):
    """Net of `pandapower.networks` by name: a copy takes 10 ms, reading one up to a second."""
    return copy.deepcopy(_made(name))
