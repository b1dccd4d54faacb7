"""Voltage limits and ratings: how far a power flow is beyond them, by hand."""

from dataclasses import replace

import numpy as np
import pandapower as pp
import pytest

from stackelgrid.controllers.networks.elements import element_table
from stackelgrid.controllers.networks.limits import (
    GridLimits,
    Violation,
    net_limits,
    radial_limits,
)
from stackelgrid.controllers.networks.radial import radial_network

LIMITS = GridLimits(
    bus_name=("bus 0", "bus 1", "bus 2"),
    vm_min_pu=np.array([0.0, 0.95, 0.95]),
    vm_max_pu=np.array([np.inf, 1.05, 1.02]),
    branch_name=("line 0", "line 7"),
    loading_max_percent=np.array([80.0, np.inf]),
)


def found(vm, loading=(0.5, np.nan)):
    return LIMITS.violation(np.array(vm, dtype=float), np.array(loading, dtype=float))


@pytest.mark.parametrize(
    ("vm", "loading", "amount", "where"),
    [
        ([1.0, 1.05, 1.02], [1.0, np.nan], 0.0, ""),  # at every limit
        ([1.3, 1.0, 1.0], [0.5, np.nan], 0.0, ""),  # the slack bus has none
        ([1.0, 1.04, 1.05], [0.5, np.nan], 0.03, "bus 2"),
        ([1.0, 0.91, 1.05], [0.5, np.nan], 0.04, "bus 1"),  # the larger of both sides
        ([1.0, 1.06, 1.0], [1.2, np.nan], 0.2, "line 0"),
        ([1.0, 1.30, 1.0], [1.2, np.nan], 0.25, "bus 1"),
        ([1.0, 1.0, 1.0], [0.5, 9.0], 8.0, "line 7"),
    ],
)
def test_the_largest_violation_by_hand(vm, loading, amount, where):
    violation = found(vm, loading)
    assert violation.amount == pytest.approx(amount, abs=1e-12)
    assert violation.where == where


def test_a_power_flow_without_a_solution_has_no_amount():
    violation = found([1.0, np.nan, 1.0])
    assert np.isnan(violation.amount)
    assert violation.where == ""
    assert not violation.amount <= 1e-4  # what a certificate asks


def test_a_grid_without_branches_has_voltages_only():
    bare = replace(LIMITS, branch_name=(), loading_max_percent=np.zeros(0))
    assert bare.violation(np.array([1.0, 1.0, 1.03]), np.zeros(0)) == Violation(
        pytest.approx(0.01), "bus 2"
    )


def test_loading_is_a_share_of_the_limit_and_empty_without_one():
    np.testing.assert_array_equal(LIMITS.loading(np.array([40.0, 500.0])), [0.5, np.nan])
    by_step = LIMITS.loading(np.array([[40.0, 100.0], [1.0, 2.0]]))
    np.testing.assert_array_equal(by_step, [[0.5, 1.25], [np.nan, np.nan]])


@pytest.fixture
def tree(radial_net):
    """Buses 0 to 3; line 0 is rated 0.1 kA, line 1 too but at 60 %, line 2 not at all."""
    net = radial_net([0, 1, 1], [0, 5, 5, 5], [0, 1, 1, 1])
    net.line["max_i_ka"] = [0.1, 0.1, np.nan]
    net.line["max_loading_percent"] = [100.0, 60.0, 50.0]
    net.bus.loc[2, ["min_vm_pu", "max_vm_pu"]] = (0.96, 1.04)
    return net


def test_limits_are_read_from_a_net(tree):
    limits = net_limits(tree)
    assert limits.bus_name == ("bus 0", "bus 1", "bus 2", "bus 3")
    np.testing.assert_array_equal(limits.vm_min_pu, [0.0, 0.5, 0.96, 0.5])
    np.testing.assert_array_equal(limits.vm_max_pu, [np.inf, 1.5, 1.04, 1.5])
    assert limits.branch_name == ("line 0", "line 1", "line 2")
    np.testing.assert_array_equal(limits.loading_max_percent, [100.0, 60.0, np.inf])


def test_a_radial_network_has_the_same_limits_in_its_own_order(tree):
    pp.create_bus(tree, 0.4, index=9, min_vm_pu=0.9, max_vm_pu=1.1)
    pp.create_transformer_from_parameters(
        tree, 3, 9, sn_mva=0.1, vn_hv_kv=0.4, vn_lv_kv=0.4, vk_percent=4.0, vkr_percent=1.0,
        pfe_kw=0.0, i0_percent=0.0, max_loading_percent=90.0,
    )  # fmt: skip
    network, limits = radial_network(tree, "tree"), net_limits(tree)
    own = radial_limits(network, tree)
    by_bus = dict(zip(limits.bus_name, limits.vm_max_pu, strict=True))
    assert own.bus_name == tuple(f"bus {b}" for b in network.bus_index)
    np.testing.assert_array_equal(own.vm_max_pu, [by_bus[name] for name in own.bus_name])
    by_branch = dict(zip(limits.branch_name, limits.loading_max_percent, strict=True))
    assert by_branch["trafo 0"] == 90.0
    assert set(own.branch_name) == set(by_branch)
    np.testing.assert_array_equal(
        own.loading_max_percent, [by_branch[name] for name in own.branch_name]
    )
    # one power flow in both orders: the same violation
    vm = dict.fromkeys(limits.bus_name, 1.0) | {"bus 0": 1.4, "bus 9": 1.12}
    for order in (limits, own):
        violation = order.violation(
            np.array([vm[name] for name in order.bus_name]), np.zeros(len(order.branch_name))
        )
        assert violation == Violation(pytest.approx(0.02), "bus 9")


def test_the_table_of_elements_states_what_branches_may_be_loaded_to(tree):
    table = element_table(tree).set_index(["element", "index"])["max_loading_percent"]
    np.testing.assert_array_equal(table.loc["line"], [100.0, 60.0, np.nan])
    assert table.loc[["bus", "ext_grid"]].isna().all()
    tree.line["max_i_ka"] = 9999.0  # as good as none
    assert element_table(tree)["max_loading_percent"].isna().all()
    tree.line = tree.line.drop(columns="max_loading_percent").assign(max_i_ka=0.1)
    table = element_table(tree).set_index(["element", "index"])["max_loading_percent"]
    np.testing.assert_array_equal(table.loc["line"], [100.0, 100.0, 100.0])
