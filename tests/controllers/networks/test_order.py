"""Positions of buses and branches of a network in its pandapower net."""

import numpy as np
import pandapower as pp
import pytest
from support.pandapower_nets import empty_net

from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.networks.order import net_order
from stackelgrid.controllers.networks.radial import radial_network


@pytest.fixture
def reversed_net():
    """A chain 9 - 4 - 7 - 1 fed at bus 7: buses and lines are listed from the far end, drawn back.

    A transformer to bus 3 hangs on bus 4.
    """
    net = empty_net(sn_mva=1.0)
    for bus in (9, 1, 3, 4, 7):
        pp.create_bus(net, 0.4, index=bus, min_vm_pu=0.9, max_vm_pu=1.1)
    pp.create_ext_grid(net, 7)
    for index, (here, there) in {5: (9, 4), 2: (4, 7), 8: (1, 7)}.items():
        pp.create_line_from_parameters(
            net, here, there, index=index, length_km=0.1, r_ohm_per_km=0.3, x_ohm_per_km=0.1,
            c_nf_per_km=0.0, max_i_ka=0.1 * index,
        )  # fmt: skip
    pp.create_transformer_from_parameters(
        net, 4, 3, sn_mva=0.1, vn_hv_kv=0.4, vn_lv_kv=0.4, vk_percent=4.0, vkr_percent=1.0,
        pfe_kw=0.0, i0_percent=0.0,
    )  # fmt: skip
    for bus, p_mw in ((9, 0.003), (1, 0.001), (3, 0.002)):
        pp.create_load(net, bus, p_mw=p_mw)
    return net


def test_every_bus_and_branch_of_a_reversed_net_is_found(reversed_net):
    network = radial_network(reversed_net, "g")
    order = net_order(network, reversed_net)
    assert network.bus_index[0] == 7
    assert reversed_net.bus.index[order.bus].tolist() == list(network.bus_index)
    keys = [("line", 5), ("line", 2), ("line", 8), ("trafo", 0)]
    assert [keys[k] for k in order.branch] == list(
        zip(network.branch_table, network.branch_index, strict=True)
    )
    assert sorted(order.bus.tolist()) == list(range(5))
    assert sorted(order.branch.tolist()) == list(range(4))
    assert order.branch.tolist() != list(range(4))  # the network lists them from the head


def test_a_power_flow_in_the_nets_order_reads_in_the_networks(reversed_net, solve_ac):
    network = radial_network(reversed_net, "g")
    order = net_order(network, reversed_net)
    state = solve_ac(reversed_net)
    vm = dict(zip(network.bus_index, state.vm_pu[order.bus], strict=True))
    assert vm[7] == 1.0
    assert vm[9] < vm[4] < 1.0  # away from the head the voltage falls
    assert vm[3] < vm[4]
    # every branch in the network's order carries what hangs on it: 5 kW, 1 kW, 3 kW, 2 kW
    below = {("line", 2): 5.0, ("line", 8): 1.0, ("line", 5): 3.0, ("trafo", 0): 2.0}
    sent = 1e3 * np.abs(state.p_from_mw[order.branch])
    for table, index, kw in zip(network.branch_table, network.branch_index, sent, strict=True):
        assert kw == pytest.approx(below[table, index], rel=0.02)


def test_a_meshed_network_is_found_too(load_case):
    net = load_case("case30")
    network = meshed_network(net, "tn")
    order = net_order(network, net)
    assert net.bus.index[order.bus].tolist() == list(network.bus_index)
    assert len(set(order.branch.tolist())) == len(network.branch_index) == len(net.line)
