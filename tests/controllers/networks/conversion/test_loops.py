"""Loops of feeders: those that open switches leave, and those opened at least loss."""

import copy
import itertools

import networkx as nx
import numpy as np
import pandapower as pp
import pytest
from support.outside_nets import street
from support.pandapower_nets import empty_net, shipped_net
from support.same_flow import assert_same_flow, solved

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_radial
from stackelgrid.controllers.networks.conversion.loops import open_loops
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.radial import radial_network


def opened(net):
    record = NetRecord()
    plain = normalise(net, "g", record)
    open_loops(plain, "g", record)
    radial_network(plain, "g")
    notes = [note for note in record.notes if note.surprising]
    return plain, notes


def test_the_ties_of_case33bw_are_opened_at_the_published_minimum():
    """139.551 kW with lines 7, 9, 14, 32, 37 open: Baran and Wu 1989 by exhaustive search."""
    net = shipped_net("case33bw")
    net.line["in_service"] = True
    plain, (note,) = opened(net)
    assert [line + 1 for line in note.index] == [7, 9, 14, 32, 37]
    assert 1e3 * solved(plain).loss_mw == pytest.approx(139.551, abs=5e-4)
    pp.runpp(net, numba=False)
    meshed = 1e3 * net.res_line.pl_mw.sum()
    assert note.text == (
        f'open_loops = "minimum_loss" opens them: losses of {meshed:.6g} kW in the meshed grid, '
        "139.551 kW in the radial one, at the powers of the net"
    )


def ring(seed):
    """Eight 20 kV buses with twelve lines and random loads behind a 110/20 kV transformer."""
    rng = np.random.default_rng(seed)
    net = empty_net()
    high = pp.create_bus(net, 110.0)
    pp.create_ext_grid(net, high)
    buses = [pp.create_bus(net, 20.0) for _ in range(8)]
    pp.create_transformer(net, high, buses[0], "25 MVA 110/20 kV")
    graph = nx.gnm_random_graph(8, 11, seed=seed)
    for a, b in sorted({*graph.edges, *zip(range(7), range(1, 8), strict=True)}):
        length = rng.uniform(0.5, 4.0)
        pp.create_line_from_parameters(net, buses[a], buses[b], length, 0.2, 0.15, 0.0, 0.4)
    for bus in buses[1:]:
        pp.create_load(net, bus, rng.uniform(0.2, 2.0), 0.3)
    return net


@pytest.mark.parametrize("seed", [1])
def test_the_tree_is_within_a_percent_of_the_best_of_all_trees(seed):
    """Enumeration of all spanning trees, their losses by sums of branch flows at 1 p.u."""
    net = ring(seed)
    plain, (note,) = opened(net)
    whole = normalise(net, "g")
    ends = list(zip(whole.line.from_bus, whole.line.to_bus, strict=True))
    estimates = []
    for tree in itertools.combinations(range(len(ends)), 7):
        graph = nx.Graph()
        graph.add_edges_from((*ends[k], {"k": k}) for k in tree)
        if len(graph) == 8 and nx.is_connected(graph):
            estimates.append((_estimate(whole, graph), tree))
    # the order of the estimates is that of the losses but for the voltages
    best = min(_loss(whole, tree) for _, tree in sorted(estimates)[:8])
    assert best * (1.0 - 1e-9) < solved(plain).loss_mw < 1.01 * best
    assert len(note.index) == len(ends) - 7


def _estimate(net, graph):
    demand = dict(zip(net.load.bus, net.load.p_mw + 1j * net.load.q_mvar, strict=True))
    parent = dict(nx.bfs_predecessors(graph, 1))
    total = 0.0
    for bus in reversed([b for b in nx.bfs_tree(graph, 1) if b != 1]):
        total += net.line.length_km.iloc[graph.edges[bus, parent[bus]]["k"]] * abs(demand[bus]) ** 2
        demand[parent[bus]] = demand.get(parent[bus], 0.0) + demand[bus]
    return total


def _loss(net, tree):
    net = copy.deepcopy(net)
    net.line = net.line.iloc[list(tree)]
    return solved(net).loss_mw


def test_a_radial_feeder_keeps_all_lines():
    plain, notes = opened(street())
    assert (len(plain.line), notes) == (6, [])


def test_a_loop_names_the_option():
    net = street()
    pp.create_line_from_parameters(net, 7, 1, 0.3, 0.25, 0.08, 0.0, 0.2)
    message = r'form a loop; .* \(open a line of the loop, or state open_loops = "minimum_loss"\)'
    with pytest.raises(NetworkError, match=message):
        check_radial(normalise(net, "g"), "g")


def test_a_loop_of_transformers_alone_cannot_be_opened():
    net = street()
    middle = pp.create_bus(net, 0.4)
    for high, low in ((0, middle), (middle, 1)):
        kv = net.bus.vn_kv.at[high]
        pp.create_transformer_from_parameters(
            net, high, low, sn_mva=0.1, vn_hv_kv=kv, vn_lv_kv=0.4, vk_percent=4.0,
            vkr_percent=1.0, pfe_kw=0.0, i0_percent=0.0,
        )  # fmt: skip
    with pytest.raises(NetworkError, match="trafo 0, 1, 2 form a loop without lines; open a"):
        opened(net)


@pytest.mark.parametrize("closed", [(), ("S1", "S2", "S3")])
def test_switches_of_the_cigre_mv_network_decide_on_its_rings(closed):
    net = shipped_net("create_cigre_network_mv")
    net.switch.loc[net.switch.name.isin(closed), "closed"] = True
    plain = assert_same_flow(net)
    if not closed:
        radial_network(plain, "g")
        return
    with pytest.raises(NetworkError, match="form a loop"):
        radial_network(plain, "g")
    tree, (note,) = opened(net)
    assert len(note.index) == len(plain.line) - len(tree.line)


@pytest.mark.parametrize(
    ("name", "buses", "dropped"),
    [
        ("mv_oberrhein", 179, 114),
        ("create_cigre_network_lv", 44, 0),
        ("create_kerber_landnetz_kabel_2", 30, 0),
        ("kb_extrem_landnetz_freileitung_trafo", 29, 0),
        ("four_loads_with_branches_out", 10, 0),
        ("simple_mv_open_ring_net", 7, 0),
    ],
)
def test_open_switches_of_users_nets_leave_trees(name, buses, dropped):
    """The first slack of Oberrhein alone supplies half of it."""
    net = shipped_net(name)
    assert len(net.bus) == buses
    net.ext_grid.loc[net.ext_grid.index[1:], "in_service"] = False
    record = NetRecord()
    plain = assert_same_flow(net, record)
    radial_network(plain, "g")
    lost = [len(note.index) for note in record.notes if note.surprising]
    assert lost == ([dropped] if dropped else [])
