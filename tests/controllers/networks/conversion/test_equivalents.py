"""Elements of users' nets against their equivalents; oracle: pandapower.runpp of the user's net."""

import pandapower as pp
import pandapower.networks as pn
import pytest
from support.outside_nets import street, triangle
from support.pandapower_nets import empty_net
from support.same_flow import assert_same_flow

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.radial import radial_network


def substation(**three_windings):
    """110/20/10 kV: a three-winding transformer with a line and load at each lower winding."""
    net = empty_net(sn_mva=10.0)
    high, middle, low, end, far = (pp.create_bus(net, kv) for kv in (110.0, 20.0, 10.0, 20.0, 10.0))
    pp.create_ext_grid(net, high, vm_pu=1.02)
    data = {
        "sn_hv_mva": 40.0, "sn_mv_mva": 25.0, "sn_lv_mva": 15.0, "vn_hv_kv": 112.0,
        "vn_mv_kv": 20.5, "vn_lv_kv": 10.2, "vk_hv_percent": 10.0, "vk_mv_percent": 9.0,
        "vk_lv_percent": 12.0, "vkr_hv_percent": 0.3, "vkr_mv_percent": 0.31,
        "vkr_lv_percent": 0.35, "pfe_kw": 30.0, "i0_percent": 0.1, "shift_mv_degree": 30.0,
        "shift_lv_degree": 150.0, "tap_neutral": 0, "tap_min": -9, "tap_max": 9,
    } | three_windings  # fmt: skip
    pp.create_transformer3w_from_parameters(net, high, middle, low, **data)
    for start, stop, p in ((middle, end, 12.0), (low, far, 5.0)):
        pp.create_line_from_parameters(net, start, stop, 2.0, 0.1, 0.12, 200.0, 1.0)
        pp.create_load(net, stop, p, 0.3 * p)
    return net


@pytest.mark.parametrize("kind", ["Ratio", "Symmetrical", "Ideal"])
@pytest.mark.parametrize("star_point", [False, True])
@pytest.mark.parametrize("side", ["hv", "mv", "lv"])
def test_a_star_has_the_power_flow_of_a_three_winding_transformer(side, star_point, kind):
    net = substation(tap_side=side, tap_pos=4, tap_step_percent=1.5, tap_step_degree=20.0,
                     tap_changer_type=kind, tap_at_star_point=star_point)  # fmt: skip
    if kind == "Ideal":
        net.trafo3w["tap_step_percent"] = 0.0
        net.trafo3w["tap_step_degree"] = 2.0
    record = NetRecord(transmission=True)
    plain = assert_same_flow(net, record)
    assert len(plain.trafo) == 3
    assert record.loss_of("trafo3w", 0).startswith("trafo 0, 1, 2 (hv, mv, lv) from bus 5")
    radial_network(plain, "g")
    meshed_network(plain, "g")


@pytest.mark.parametrize("losses", ["hv", "mv", "lv", "star"])
def test_iron_losses_of_a_three_winding_transformer_are_where_an_option_puts_them(losses):
    net = substation(i0_percent=0.4)
    net["user_pf_options"] = {"trafo3w_losses": losses}
    plain = assert_same_flow(net, trafo3w_losses=losses)
    assert len(plain.shunt) == (losses == "star")


@pytest.mark.parametrize("opened", [1, 2])
def test_an_open_winding_leaves_the_others(opened):
    net = substation(tap_side="hv", tap_pos=-2, tap_step_percent=1.0, tap_changer_type="Ratio")
    pp.create_switch(net, opened, 0, et="t3", closed=False)
    pp.create_switch(net, 0, 0, et="t3", closed=True)
    record = NetRecord(transmission=True)
    plain = assert_same_flow(net, record)
    assert len(plain.trafo) == 2
    assert next(n.text for n in record.notes if n.surprising).startswith("without supply: 2 buses")


def test_a_winding_at_a_bus_out_of_service_leaves_the_others():
    net = substation()
    net.bus.loc[[2, 4], "in_service"] = False
    assert len(assert_same_flow(net).trafo) == 2


def test_impossible_three_winding_transformers_are_named():
    for column, value, message in (
        ("sn_mv_mva", 0.0, "trafo3w 0 has sn_mv_mva = 0; a number > 0"),
        ("vkr_lv_percent", 20.0, "trafo3w 0 has an impossible impedance; 0 <= vkr_lv_percent <="),
        ("tap_dependency_table", True, "trafo3w 0 has tap_dependency_table; a constant impedance"),
    ):
        net = substation()
        net.trafo3w[column] = value
        with pytest.raises(NetworkError, match=f"grid g: {message}"):
            normalise(net, "g")


@pytest.mark.parametrize("shunts", [(0.0, 0.0, 0.0, 0.0), (0.001, 0.02, 0.001, 0.02),
                                    (0.002, -0.03, 0.0, 0.01)])  # fmt: skip
def test_an_impedance_has_the_power_flow_of_a_line(shunts):
    net = triangle()
    g_from, b_from, g_to, b_to = shunts
    end = pp.create_bus(net, 110.0)  # its base is that of from_bus
    pp.create_impedance(net, 1, end, 0.02, 0.1, 80.0, gf_pu=g_from, bf_pu=b_from, gt_pu=g_to,
                        bt_pu=b_to)  # fmt: skip
    pp.create_load(net, end, 30.0, 10.0)
    record = NetRecord(transmission=True)
    assert_same_flow(net, record)
    even = (g_from, b_from) == (g_to, b_to)
    assert record.loss_of("impedance", 0) == "line 2" + (
        "" if even else " with shunts at its buses"
    )


def test_an_impedance_of_series_capacitance_is_accepted_on_transmission_grids():
    net = triangle()
    pp.create_impedance(net, 1, 2, 0.001, -0.02, 100.0)
    meshed_network(assert_same_flow(net), "g")


def test_an_impedance_with_a_direction_is_refused():
    net = triangle()
    pp.create_impedance(net, 1, 2, 0.02, 0.1, 80.0, rtf_pu=0.03)
    message = r"grid g: impedance 0 has rft_pu = 0.02 and rtf_pu = 0.03; equal ones are accepted"
    with pytest.raises(NetworkError, match=message):
        normalise(net, "g")


def test_a_closed_switch_with_an_impedance_is_a_line():
    net = street()
    twin = pp.create_bus(net, 0.4)
    pp.create_load(net, twin, 0.003, 0.001)
    pp.create_switch(net, 4, twin, et="b", closed=True, z_ohm=0.2)
    pp.create_switch(net, 4, pp.create_bus(net, 0.4), et="b", closed=False, z_ohm=0.2)
    record = NetRecord()
    plain = assert_same_flow(net, record)
    assert record.loss_of("switch", 0) == "line 6 of its z_ohm"
    assert len(radial_network(plain, "g").parent) == 8


def test_a_cable_beside_a_closed_bus_coupler_keeps_its_charging():
    net = street()
    twin = pp.create_bus(net, 0.4)
    pp.create_load(net, twin, 0.003, 0.001)
    pp.create_line_from_parameters(net, 4, twin, 0.1, 0.25, 0.08, 4e5, 0.2, g_us_per_km=900.0)
    pp.create_switch(net, 4, twin, et="b", closed=True)
    record = NetRecord()
    plain = assert_same_flow(net, record)
    assert len(plain.shunt) == 1
    radial_network(plain, "g")


def test_wards_are_constant_power_and_shunts():
    net = street()
    pp.create_ward(net, 5, ps_mw=0.002, qs_mvar=0.001, pz_mw=0.003, qz_mvar=-0.002)
    pp.create_ward(net, 6, ps_mw=0.0, qs_mvar=0.0, pz_mw=0.0, qz_mvar=0.001, in_service=False)
    plain = assert_same_flow(net)
    assert plain.sgen[["bus", "p_mw", "q_mvar", "type"]].to_numpy().tolist() == [
        [5, -0.002, -0.001, "ward"]
    ]
    assert plain.shunt[["bus", "p_mw", "q_mvar"]].to_numpy().tolist() == [[5, 0.003, -0.002]]


def test_extended_wards_hold_a_voltage_behind_an_impedance():
    net = triangle()
    pp.create_xward(net, 1, ps_mw=20.0, qs_mvar=5.0, pz_mw=3.0, qz_mvar=2.0, r_ohm=1.0, x_ohm=9.0,
                    vm_pu=1.01)  # fmt: skip
    plain = assert_same_flow(net)
    assert plain.gen.p_mw.tolist() == [0.0, 0.0]
    assert plain.gen.controllable.tolist() == [True, False]
    with pytest.raises(NetworkError, match="grid g: xward 0 holds a voltage; xward is accepted on"):
        normalise(net, "g", NetRecord(transmission=False))


def test_motors_are_loads():
    net = street()
    pp.create_motor(net, 6, pn_mech_mw=0.01, cos_phi=0.8, efficiency_percent=90.0,
                    loading_percent=60.0, scaling=0.9, name="pump")  # fmt: skip
    plain = assert_same_flow(net)
    assert plain.load.name.iloc[-1] == "pump"
    assert plain.load.p_mw.iloc[-1] == pytest.approx(0.01 / 0.9 * 0.6)
    net.motor["cos_phi"] = 1.2
    with pytest.raises(NetworkError, match=r"motor 0 has cos_phi = 1\.2; above 0 and at most 1"):
        normalise(net, "g")


def test_elements_by_phase_beside_balanced_ones():
    net = street()
    pp.create_asymmetric_load(net, 3, p_a_mw=0.002, q_a_mvar=0.001, p_c_mw=0.004, scaling=0.5,
                              name="shop")  # fmt: skip
    pp.create_asymmetric_load(net, 4, p_a_mw=0.001, p_b_mw=0.001, p_c_mw=0.001)
    pp.create_asymmetric_load(net, 5, p_a_mw=0.001, p_b_mw=0.002, type="delta")
    pp.create_asymmetric_load(net, 6)
    pp.create_asymmetric_sgen(net, 7, p_b_mw=0.003, q_b_mvar=-0.0005, name="roof")
    record = NetRecord()
    plain = assert_same_flow(net, record)
    assert plain.load.phase.tolist() == [*6 * ["abc"], "a", "c", "abc", "", "abc"]
    assert plain.load.name.tolist()[6:8] == ["shop", "shop"]
    assert record.loss_of("asymmetric_load", 0) == "load 6, 7"
    assert plain.sgen[["name", "bus", "p_mw", "phase"]].to_numpy().tolist() == [
        ["roof", 7, 0.003, "b"]
    ]


def test_steps_of_a_shunt_count_as_in_pandapower():
    net = street()
    pp.create_shunt(net, 5, q_mvar=-0.004, p_mw=0.0005, step=3, max_step=5, vn_kv=0.41)
    assert_same_flow(net)


def test_a_generator_that_is_the_slack_is_an_external_grid():
    net = triangle()
    net.ext_grid = net.ext_grid.drop(0)
    net.poly_cost = net.poly_cost.drop(0)
    slack = pp.create_gen(net, 0, 0.0, vm_pu=1.01, slack=True, min_p_mw=0.0, max_p_mw=400.0)
    pp.create_poly_cost(net, slack, "gen", 12.0)
    record = NetRecord(transmission=True)
    plain = assert_same_flow(net, record)
    assert plain.ext_grid[["bus", "vm_pu", "max_p_mw"]].to_numpy().tolist() == [[0, 1.01, 400.0]]
    assert plain.poly_cost[["et", "element"]].to_numpy().tolist() == [["gen", 0], ["ext_grid", 0]]
    assert record.loss_of("gen", slack) == "ext_grid 0: it is the slack"


def test_storages_without_energy_keep_their_power_unless_they_are_to_be_dispatched():
    # CIGRE MV with all DER has two batteries with power limits and no energy
    net = pn.create_cigre_network_mv(with_der="all")
    assert net.storage.max_e_mwh.isna().all()
    record = NetRecord(transmission=True)
    plain = assert_same_flow(net, record)
    assert list(plain.storage.controllable) == [False, False]
    assert [(n.table, n.index) for n in record.notes if n.surprising] == [("storage", (0, 1))]
    net.storage["controllable"] = True  # stated: to be refused by the kind of device
    assert list(normalise(net, "g").storage.controllable) == [True, True]
