"""Switches, elements out of service and odd indices of users' nets; oracle: pandapower.runpp."""

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from support.outside_nets import street, triangle

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_net
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.radial import radial_network

BAR_PU = 1e-8


@pytest.fixture
def agrees(solve_ac, run_pandapower):
    """`agrees(net)`: the normalised net, whose voltages and losses are those of the user's."""

    def compare(net, record=None):
        plain = normalise(net, "g", record)
        check_net(plain, "g")
        radial_network(plain, "g")
        state, whole = solve_ac(plain), run_pandapower(net)
        known = plain.bus.index.intersection(net.bus.index)
        np.testing.assert_allclose(
            state.vm_pu[plain.bus.index.get_indexer(known)], whole.res_bus.vm_pu.loc[known],
            rtol=0, atol=BAR_PU,
        )  # fmt: skip
        loss = whole.res_line.pl_mw.sum() + whole.res_trafo.pl_mw.sum()
        assert state.loss_mw == pytest.approx(loss, abs=1e-9)
        return plain

    return compare


def test_elements_at_a_bus_out_of_service_are_out_of_service(agrees):
    net = street()
    net.bus.loc[7, "in_service"] = False  # the last house
    pp.create_sgen(net, 7, 0.003)
    pp.create_storage(net, 7, 0.0, 0.01)
    pp.create_switch(net, 7, 5, et="l", closed=True)
    record = NetRecord()
    plain = agrees(net, record)
    assert (len(plain.bus), len(plain.load), len(plain.sgen)) == (7, 5, 0)
    assert record.loss_of("bus", 7) == "out of service"
    assert record.loss_of("load", 5) == "its bus is out of service"
    assert record.loss_of("line", 5) == "its bus is out of service"


def test_costs_go_with_their_elements():
    net = street()
    unit = pp.create_sgen(net, 7, 0.0, in_service=False)
    pp.create_poly_cost(net, unit, "sgen", cp1_eur_per_mw=10.0)
    assert not len(normalise(net, "g").poly_cost)


@pytest.mark.parametrize("end", [6, 7])
def test_a_cable_open_at_one_end_keeps_its_charging(agrees, run_pandapower, end):
    net = street()
    net.line["c_nf_per_km"] = 3e5
    if end == 6:  # open at the near end: the last house hangs on another line
        pp.create_line_from_parameters(net, 4, 7, 0.1, 0.25, 0.08, 0.0, 0.2)
    else:
        net.load = net.load.drop(5)
    pp.create_switch(net, end, 5, et="l", closed=False)
    record = NetRecord()
    plain = agrees(net, record)
    assert len(plain.line) == len(net.line)
    kept = [note for note in record.notes if note.fate == "kept"]
    assert [(note.table, note.index) for note in kept] == [("line", (5,))]
    without = run_pandapower(normalise(net, "g"))
    net.line.loc[5, "in_service"] = False
    dropped = run_pandapower(net)
    common = net.bus.index[:6]
    change = (without.res_bus.vm_pu - dropped.res_bus.vm_pu).loc[common].abs().max()
    assert 3e-5 < change < 1e-2  # what dropping it would have been wrong by


def test_a_cable_at_a_bus_out_of_service_keeps_its_charging(agrees):
    net = street()
    net.line["c_nf_per_km"] = 3e5
    net.bus.loc[7, "in_service"] = False
    plain = agrees(net)
    assert plain.bus.name.loc[8] == "open end of line 5"


def test_open_at_both_ends_or_without_charging_a_line_is_dropped(agrees):
    for c_nf_per_km, ends in ((3e5, (6, 7)), (0.0, (7,))):
        net = street()
        net.line["c_nf_per_km"] = c_nf_per_km
        net.load = net.load.drop(5)
        for bus in ends:
            pp.create_switch(net, bus, 5, et="l", closed=False)
        plain = agrees(net)
        assert (len(plain.line), len(plain.bus)) == (5, 7)  # bus 7 has neither supply nor load


def test_a_transformer_open_at_its_lower_side_keeps_its_iron_losses(agrees):
    net = street()
    above = pp.create_bus(net, 20.0)  # a cable between the slack and both transformers
    net.trafo.loc[0, "hv_bus"] = above
    pp.create_line_from_parameters(net, 0, above, 1.0, 0.2, 0.1, 0.0, 0.2)
    standby = net.trafo.loc[[0]].copy()
    standby.index = [1]
    net.trafo = pd.concat([net.trafo, standby])
    pp.create_switch(net, 1, 1, et="t", closed=False)
    plain = agrees(net)
    assert len(plain.trafo) == 2


def test_a_transformer_at_the_slack_that_is_open_below_is_dropped_with_its_losses_told(solve_ac):
    net = street()
    standby = net.trafo.loc[[0]].copy()
    standby.index = [1]
    net.trafo = pd.concat([net.trafo, standby])
    pp.create_switch(net, 1, 1, et="t", closed=False)
    record = NetRecord()
    plain = normalise(net, "g", record)
    assert len(plain.trafo) == 1
    told = "switch 0 is open; its 0.3 kW of iron losses belong to the grid above"
    assert record.loss_of("trafo", 1) == told
    # nothing below the slack changes
    same = solve_ac(normalise(street(), "g"))
    np.testing.assert_array_equal(solve_ac(plain).vm_pu, same.vm_pu)


def test_charging_follows_the_frequency_of_the_net(agrees):
    net = street()
    net.f_hz = 60.0
    net.line["c_nf_per_km"] = 3e5
    plain = agrees(net)
    assert plain.f_hz == 60.0


def test_a_switch_at_a_bus_out_of_service_joins_nothing(agrees):
    net = street()
    idle = pp.create_bus(net, 0.4, in_service=False)
    pp.create_switch(net, idle, 3, et="b", closed=True)
    pp.create_switch(net, idle, 1, et="b", closed=True)
    plain = agrees(net)
    assert list(plain.bus.index) == list(range(8))


def test_joined_buses_keep_the_tightest_band_and_all_devices(agrees):
    net = street()
    twin = pp.create_bus(net, 0.4, min_vm_pu=0.93, max_vm_pu=1.05)
    net.bus.loc[:7, "min_vm_pu"], net.bus.loc[:7, "max_vm_pu"] = 0.9, 1.04
    pp.create_load(net, twin, 0.002)
    pp.create_switch(net, 4, twin, et="b", closed=True, type="CB")
    record = NetRecord()
    plain = agrees(net, record)
    assert record.bus(twin) == 4
    assert plain.bus.loc[4, ["min_vm_pu", "max_vm_pu"]].tolist() == [0.93, 1.04]
    assert plain.load.bus.tolist().count(4) == 2


def test_parts_without_supply_are_dropped_and_those_with_devices_are_counted(agrees):
    net = street()
    idle = [pp.create_bus(net, 0.4) for _ in range(2)]
    pp.create_line_from_parameters(net, *idle, 0.1, 0.25, 0.08, 0.0, 0.2)
    record = NetRecord()
    agrees(net, record)
    assert record.loss_of("line", 6) == "without supply and without load"
    assert not [note for note in record.notes if note.surprising]
    pp.create_load(net, idle[1], 0.003, scaling=0.5)
    pp.create_sgen(net, idle[0], 0.004)
    pp.create_load(net, pp.create_bus(net, 0.4), 0.001)
    record = NetRecord()
    plain = agrees(net, record)
    assert (len(plain.load), len(plain.sgen)) == (6, 0)
    assert [(n.table, n.index, n.text) for n in record.notes if n.surprising] == [
        (
            "bus",
            (8, 9, 10),
            "without supply: 3 buses in 2 parts that no closed switch or branch connects to the "
            "slack, with 0.0025 MW of load and 0.004 MW of generation",
        )
    ]


@pytest.mark.parametrize("numbers", [(70, 3, 12, 1000, 5, 44, 9, 10), (7, 6, 5, 4, 3, 2, 1, 0)])
def test_indices_need_neither_be_contiguous_nor_sorted(agrees, numbers):
    net = street()
    pp.toolbox.reindex_buses(net, dict(zip(range(8), numbers, strict=True)))
    plain = agrees(net)
    assert set(plain.bus.index) == set(numbers)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([*"abcdefgh"], "grid g: bus has the index 'a'; whole numbers from 0 to 10000000 are"),
        ([0, 1, 2, 3, 4, 5, 6, -7], "grid g: bus has the index -7; whole numbers"),
        ([0, 1, 2, 3, 4, 5, 6, 7.5], "grid g: bus has the index 0.0; whole numbers"),
        ([0, 1, 2, 3, 4, 5, 6, 10**9], "grid g: bus has the index 1000000000; whole numbers"),
        ([0, 1, 2, 3, 4, 5, 6, 6], "grid g: bus 6 defined twice"),
    ],
)
def test_indices_that_cannot_be_looked_up_are_refused(index, message):
    net = street()
    net.bus.index = index
    with pytest.raises(NetworkError, match=message):
        normalise(net, "g")


def cross_voltages(net):
    pp.create_switch(net, 0, 1, et="b", closed=True)


def strange_end(net):
    pp.create_switch(net, 7, 5, et="l", closed=False)
    net.switch["bus"] = 2


def lost_element(net):
    pp.create_switch(net, 7, 5, et="l", closed=False)
    net.switch["element"] = 55


def short_circuit(net):
    net.line.loc[3, "to_bus"] = net.line.from_bus[3]


def value(table, column, number):
    def change(net):
        net[table].loc[2, column] = number

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cross_voltages, "switch 0 joins buses of 20 and 0.4 kV; buses of one nominal voltage"),
        (strange_end, "switch 0 sits on bus 2, not an end of line 5"),
        (lost_element, "switch 0 switches line 55, which does not exist"),
        (short_circuit, "line 3 begins and ends at bus 4"),
        (value("line", "parallel", 0), "line 2 has parallel = 0; a finite value >= 1 is accepted"),
        (value("line", "g_us_per_km", -1.0), "line 2 has g_us_per_km = -1; a finite value >= 0"),
        (value("line", "g_us_per_km", np.nan), "line 2 has g_us_per_km empty; a number"),
        (value("line", "length_km", -1.0), "line 2 has r = -0.25, x = -0.08 ohm"),
    ],
)
def test_what_makes_no_sense_is_named(change, message):
    net = street()
    change(net)
    with pytest.raises(NetworkError, match=message):
        check_net(normalise(net, "g"), "g")


def test_a_transmission_branch_without_reactance_is_named():
    net = triangle()
    net.line["x_ohm_per_km"] = [0.0, 0.4]
    plain = normalise(net, "tn")
    check_net(plain, "tn")  # an AC power flow has a solution
    with pytest.raises(NetworkError, match=r"grid tn: line 0 has x = 0 ohm .*a DC power flow"):
        meshed_network(plain, "tn")
