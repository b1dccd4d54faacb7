"""Radial networks, their reduction and the way back, against AC power flow."""

import networkx as nx
import numpy as np
import pandapower as pp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pandapower_nets import empty_net

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.networks.boundary import (
    TransformerData,
    attach_transformer,
    follow_upstream_voltage,
)
from stackelgrid.controllers.networks.radial import radial_network
from stackelgrid.controllers.networks.reduction import reduce_network


def sweep(network, p, q, v_head):
    """Solve the DistFlow equations by backward-forward sweeps; (p, q, current2, v) per unit.

    Written from the docstring of RadialNetwork alone: Baran and Wu's branch equations with an
    ideal transformer at either end of a branch and shunts at the buses.
    """
    n, parent, up, down = network.buses, network.parent, network.up, network.down
    flow_p, flow_q, current2 = np.zeros((3, n - 1))
    v = np.full(n, v_head)
    for _ in range(200):
        before = v.copy()
        at_p = p + network.shunt_g * v
        at_q = q - network.shunt_b * v
        for k in range(n - 2, -1, -1):
            flow_p[k] = at_p[k + 1] + network.r[k] * current2[k]
            flow_q[k] = at_q[k + 1] + network.x[k] * current2[k]
            at_p[parent[k]] += flow_p[k]
            at_q[parent[k]] += flow_q[k]
        for k in range(n - 1):  # parents first
            sending = up[k] * v[parent[k]]
            current2[k] = (flow_p[k] ** 2 + flow_q[k] ** 2) / sending
            drop = 2.0 * (network.r[k] * flow_p[k] + network.x[k] * flow_q[k])
            z2 = network.r[k] ** 2 + network.x[k] ** 2
            v[k + 1] = down[k] * (sending - drop + z2 * current2[k])
        if np.abs(v - before).max() < 1e-15:
            return flow_p, flow_q, current2, v
    raise AssertionError("the sweeps did not settle")


def demand(net, network):
    """Consumption of the loads in p.u., in the order of the network."""
    p, q = np.zeros((2, network.buses))
    at = network.positions(net.load.bus)
    np.add.at(p, at, net.load.p_mw.to_numpy() / network.base_mva)
    np.add.at(q, at, net.load.q_mvar.to_numpy() / network.base_mva)
    return p, q


def ac_at(network, net, state):
    """AC result on the network's branches and buses: P and Q on the parent's side, v squared."""
    lines = {("line", i): k for k, i in enumerate(net.line.index)}
    trafos = {("trafo", i): len(net.line) + k for k, i in enumerate(net.trafo.index)}
    at = [(lines | trafos)[key] for key in zip(network.branch_table, network.branch_index)]  # noqa: B905
    reverse = network.branch_reversed
    order = {bus: i for i, bus in enumerate(net.bus.index)}
    return (
        np.where(reverse, state.p_to_mw[at], state.p_from_mw[at]) / network.base_mva,
        np.where(reverse, state.q_to_mvar[at], state.q_from_mvar[at]) / network.base_mva,
        state.vm_pu[[order[bus] for bus in network.bus_index]] ** 2,
    )


@st.composite
def trees(draw):
    """Random trees of 10 to 40 buses with chains, half of the buses without a load."""
    n = draw(st.integers(10, 40))
    # close parents give long chains, far ones give branching
    reach = draw(st.integers(1, 6))
    parents = [draw(st.integers(max(0, k - reach), k)) for k in range(n - 1)]
    kw = st.sampled_from([0.0, 0.0, 0.0, 1.5, 2.0, -3.0])
    p = [0.0, *draw(st.lists(kw, min_size=n - 1, max_size=n - 1))]
    q = [0.3 * abs(x) for x in p]
    lengths = draw(st.lists(st.sampled_from([0.01, 0.03, 0.05]), min_size=n - 1, max_size=n - 1))
    return parents, p, q, lengths


@settings(max_examples=25)
@given(tree=trees(), seed=st.integers(0, 10))
def test_reduce_and_expand_reproduce_the_full_network(radial_net, solve_ac, tree, seed):
    parents, p_kw, q_kvar, lengths = tree
    net = radial_net(parents, p_kw, q_kvar, length_km=lengths)
    # lines drawn in either direction, bus numbers that say nothing about the order
    rng = np.random.default_rng(seed)
    turn = rng.random(len(net.line)) < 0.5
    net.line.loc[turn, ["from_bus", "to_bus"]] = net.line.loc[
        turn, ["to_bus", "from_bus"]
    ].to_numpy()
    state = solve_ac(net)
    full = radial_network(net, "tree")
    assert full.bus_index[0] == 0
    assert (full.parent < np.arange(1, full.buses)).all()  # parents before children
    assert sorted(full.bus_index) == list(range(full.buses))
    for k, line in enumerate(full.branch_index):
        ends = {full.bus_index[full.parent[k]], full.bus_index[k + 1]}
        assert ends == {net.line.from_bus[line], net.line.to_bus[line]}

    occupied = {int(b) for b in net.load.bus}
    reduction = reduce_network(full, full.positions(sorted(occupied)))
    small = reduction.network
    # independent count: head, loads, and forks of the subtree that feeds the loads
    graph = nx.Graph([(a, k + 1) for k, a in enumerate(parents)])
    fed = {0}.union(*(nx.shortest_path(graph, 0, bus) for bus in occupied))
    forks = {b for b in fed if graph.subgraph(fed).degree(b) > 2}
    assert set(small.bus_index) == {0} | occupied | forks
    assert small.r.sum() == pytest.approx(
        sum(full.r[k] for k in range(full.branches) if full.bus_index[k + 1] in fed), rel=1e-12
    )

    p, q = demand(net, small)
    solved = sweep(small, p, q, 1.0)
    flows = reduction.expand(*(a[:, None] for a in solved))
    p_ac, q_ac, v_ac = ac_at(full, net, state)
    np.testing.assert_allclose(flows.v[:, 0], v_ac, rtol=0, atol=1e-8)
    np.testing.assert_allclose(flows.p[:, 0], p_ac, rtol=0, atol=1e-8)
    np.testing.assert_allclose(flows.q[:, 0], q_ac, rtol=0, atol=1e-8)
    squares = flows.p**2 + flows.q**2 - flows.current2 * flows.v[full.parent]
    np.testing.assert_allclose(squares, 0.0, atol=1e-9)
    loss = full.base_mva * full.r @ flows.current2[:, 0]
    assert loss == pytest.approx(state.loss_mw, abs=1e-9)


def test_the_european_feeder_shrinks_to_111_buses(load_case, solve_ac):
    net = load_case("european_lv_206")
    full = radial_network(net, "lv1")
    occupied = read_devices(net, "lv1", slack_is_unit=False).occupied_buses
    reduction = reduce_network(full, full.positions(sorted(occupied)))
    # 206 buses and the source; 52 unloaded leaves and the unloaded buses in series go
    assert (full.buses, reduction.network.buses) == (207, 111)
    assert len(occupied) == 55  # customers of the IEEE feeder
    p, q = demand(net, reduction.network)
    vm_pu = float(net.ext_grid.vm_pu.iloc[0])  # 1.05 in single precision, as pandapower has it
    solved = sweep(reduction.network, p, q, (vm_pu / full.head_ratio) ** 2)
    flows = reduction.expand(*(a[:, None] for a in solved))
    p_ac, _, v_ac = ac_at(full, net, solve_ac(net))
    np.testing.assert_allclose(flows.v[1:, 0], v_ac[1:], rtol=0, atol=1e-10)
    np.testing.assert_allclose(flows.p[:, 0], p_ac, rtol=0, atol=1e-10)
    assert np.count_nonzero(reduction.branch_of == -1) == 206 - np.count_nonzero(
        reduction.branch_of >= 0
    )


def test_the_merged_branch_takes_the_tightest_rating(radial_net):
    net = radial_net([0, 1, 2], [0, 0, 0, 5], [0] * 4)
    net.line["max_i_ka"] = [0.3, 0.1, 0.2]
    full = radial_network(net, "g")
    small = reduce_network(full, full.positions([3])).network
    # 0.1 kA at 400 V on a base of 100 kVA
    np.testing.assert_allclose(small.i_max, [0.1 * np.sqrt(3) * 0.4 / 0.1], rtol=1e-12)


def test_ratings_of_lines_and_transformers_are_read_in_per_unit(radial_net):
    net = radial_net([0, 1], [0, 1, 1], [0] * 3)
    net.line["max_i_ka"] = [0.2, 99999.0]  # pandapower's stand-in for "no rating"
    net.line["max_loading_percent"] = [80.0, 80.0]
    net.line["parallel"] = [2, 1]
    attach_transformer(net, TransformerData(0.25, 4.0, 1.0, -2, 2, 2.5), "g")
    net.trafo["max_loading_percent"] = 120.0
    network = radial_network(net, "g")
    rating = dict(zip(zip(network.branch_table, network.branch_index), network.i_max))  # noqa: B905
    assert rating["line", 0] == pytest.approx(2 * 0.2 * 0.8 * np.sqrt(3) * 0.4 / 0.1)
    assert rating["line", 1] == np.inf
    assert rating["trafo", 0] == pytest.approx(1.2 * 0.25 / 0.1)


def test_a_voltage_band_that_is_not_stated_is_none(radial_net):
    net = radial_net([0, 1], [0, 1, 1], [0] * 3)
    net.bus["max_vm_pu"] = [1.1, np.nan, 1.05]
    net.bus = net.bus.drop(columns="min_vm_pu")
    network = radial_network(net, "g")
    np.testing.assert_array_equal(network.vm_max, [1.1, np.inf, 1.05])
    np.testing.assert_array_equal(network.vm_min, [0.0, 0.0, 0.0])


def transformer_net(upstream_side, tap_side, position):
    """20 kV and 10 kV lines around a transformer off its nominal tap, with iron and cable charge.

    `upstream_side` is the transformer's side nearer the head (lv: it steps up).
    """
    net = empty_net(sn_mva=1.0)
    levels = (20.0, 10.0) if upstream_side == "hv" else (10.0, 20.0)
    buses = [pp.create_bus(net, levels[k >= position], min_vm_pu=0.5, max_vm_pu=1.5)
             for k in range(5)]  # fmt: skip
    pp.create_ext_grid(net, buses[0], vm_pu=1.02)
    for k in range(4):
        if k + 1 == position:
            ends = (buses[k], buses[k + 1]) if upstream_side == "hv" else (buses[k + 1], buses[k])
            pp.create_transformer_from_parameters(
                net, *ends, sn_mva=4.0, vn_hv_kv=20.5, vn_lv_kv=10.0, vk_percent=6.0,
                vkr_percent=0.8, pfe_kw=5.0, i0_percent=0.3, shift_degree=30.0,
                tap_side=tap_side, tap_neutral=0, tap_min=-4, tap_max=4, tap_step_percent=2.5,
                tap_step_degree=0.0, tap_pos=-3, tap_changer_type="Ratio",
            )  # fmt: skip
        else:
            pp.create_line_from_parameters(
                net, buses[k], buses[k + 1], 3.0, 0.2, 0.12, 250.0, np.nan
            )
    for bus in buses[1:]:
        pp.create_load(net, bus, p_mw=0.4, q_mvar=0.1)
    pp.create_shunt(net, buses[-1], q_mvar=-0.2, p_mw=0.01)
    return net


@pytest.mark.parametrize("position", [1, 3])
@pytest.mark.parametrize("tap_side", ["hv", "lv"])
@pytest.mark.parametrize("upstream_side", ["hv", "lv"])
def test_transformers_anywhere_and_either_way_equal_ac(
    solve_ac, run_pandapower, upstream_side, tap_side, position
):
    net = transformer_net(upstream_side, tap_side, position)
    network = radial_network(net, "g")
    at_head_downwards = position == 1 and upstream_side == "hv"
    assert (network.head_ratio != 1.0) == at_head_downwards
    p, q = demand(net, network)
    flow_p, flow_q, current2, v = sweep(network, p, q, (1.02 / network.head_ratio) ** 2)
    state = solve_ac(net)
    # pandapower itself, so that both of our readers cannot be wrong alike
    theirs = run_pandapower(net)
    np.testing.assert_allclose(state.vm_pu, theirs.res_bus.vm_pu, rtol=0, atol=1e-9)
    _, _, v_ac = ac_at(network, net, state)
    np.testing.assert_allclose(v[1:], v_ac[1:], rtol=0, atol=1e-9)
    head_p = flow_p[0] + network.shunt_g[0] * v[0]
    head_q = flow_q[0] - network.shunt_b[0] * v[0]
    assert head_p == pytest.approx(theirs.res_ext_grid.p_mw.iloc[0], abs=1e-8)
    assert head_q == pytest.approx(theirs.res_ext_grid.q_mvar.iloc[0], abs=1e-8)
    assert (current2 > 0.0).all()


@pytest.mark.parametrize("upstream_side", ["hv", "lv"])
def test_reduction_leaves_transformers_alone(solve_ac, upstream_side):
    net = transformer_net(upstream_side, "hv", 3)
    net.load = net.load[net.load.bus == 4]
    net.line["c_nf_per_km"] = 0.0
    net.trafo[["pfe_kw", "i0_percent"]] = 0.0
    net.shunt = net.shunt.drop(0)
    full = radial_network(net, "g")
    reduction = reduce_network(full, full.positions([4]))
    assert reduction.network.bus_index == (0, 2, 3, 4)  # bus 1 merged, both ends of the trafo kept
    p, q = demand(net, reduction.network)
    solved = sweep(reduction.network, p, q, 1.02**2)
    flows = reduction.expand(*(a[:, None] for a in solved))
    p_ac, q_ac, v_ac = ac_at(full, net, solve_ac(net))
    np.testing.assert_allclose(flows.v[:, 0], v_ac, rtol=0, atol=1e-9)
    np.testing.assert_allclose(flows.p[:, 0], p_ac, rtol=0, atol=1e-9)
    np.testing.assert_allclose(flows.q[:, 0], q_ac, rtol=0, atol=1e-9)


def test_transformers_in_series_are_not_merged(solve_ac):
    net = empty_net(sn_mva=1.0)
    buses = [pp.create_bus(net, kv) for kv in (20.0, 20.0, 10.0, 20.0, 20.0)]
    pp.create_ext_grid(net, buses[0], vm_pu=1.01)
    for a, b in ((0, 1), (3, 4)):
        pp.create_line_from_parameters(net, a, b, 3.0, 0.2, 0.12, 0.0, np.nan)
    for hv, lv, tap in ((1, 2, -2), (3, 2, 3)):
        pp.create_transformer_from_parameters(
            net, hv, lv, sn_mva=4.0, vn_hv_kv=20.0, vn_lv_kv=10.0, vk_percent=6.0,
            vkr_percent=0.8, pfe_kw=0.0, i0_percent=0.0, tap_side="hv", tap_neutral=0,
            tap_min=-4, tap_max=4, tap_step_percent=2.5, tap_step_degree=0.0, tap_pos=tap,
            tap_changer_type="Ratio",
        )  # fmt: skip
    pp.create_load(net, 4, p_mw=1.5, q_mvar=0.4)
    full = radial_network(net, "g")
    reduction = reduce_network(full, full.positions([4]))
    p, q = demand(net, reduction.network)
    solved = sweep(reduction.network, p, q, 1.01**2)
    flows = reduction.expand(*(a[:, None] for a in solved))
    _, _, v_ac = ac_at(full, net, solve_ac(net))
    np.testing.assert_allclose(flows.v[:, 0], v_ac, rtol=0, atol=1e-9)


def test_the_head_transformer_is_not_merged_with_the_line_behind_it(radial_net):
    net = radial_net([0, 1], [0, 0, 5], [0] * 3)
    net.line["max_i_ka"] = 0.1
    attach_transformer(net, TransformerData(0.25, 4.0, 1.0, -2, 2, 2.5), "g")
    follow_upstream_voltage(net, 20.0)
    full = radial_network(net, "g")
    small = reduce_network(full, full.positions([2])).network
    assert small.bus_index == (3, 0, 2)
    np.testing.assert_allclose(small.i_max, [2.5, 0.1 * np.sqrt(3) * 0.4 / 0.1], rtol=1e-12)
