"""Reading a user's own grid, and what the merge of series lines keeps."""

import numpy as np
import pandapower as pp
import pytest
from support.pandapower_nets import shipped_net

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.networks.conversion.series import merge_series_lines
from stackelgrid.controllers.networks.radial import radial_network
from stackelgrid.controllers.networks.sources.cases import load_case as read_case


@pytest.mark.parametrize("case", ["case33bw", "case30", "european_lv_206"])
def test_a_grid_read_from_json_is_the_built_in_one(load_case, solve_ac, tmp_path, case):
    built_in = load_case(case)
    path = tmp_path / "mine.json"
    pp.to_json(built_in, str(path))
    mine = read_case(str(path), "mine")
    assert mine.name == "mine"
    theirs, ours = solve_ac(built_in), solve_ac(mine)
    # the text of a file rounds the last bit of a length
    np.testing.assert_allclose(ours.vm_pu, theirs.vm_pu, rtol=0, atol=1e-11)
    np.testing.assert_allclose(ours.loading_percent, theirs.loading_percent, rtol=0, atol=1e-9)
    assert ours.slack_p_mw == pytest.approx(theirs.slack_p_mw, abs=1e-10)


@pytest.mark.parametrize("case", ["case33bw", "case30", "european_lv_206"])
def test_every_caller_gets_a_built_in_grid_of_its_own(case):
    """The grid is read once a process; what a caller changes is in no later one."""
    first = read_case(case, "first", base_mva=3.0)
    loads, p_mw = len(first.load), first.load.p_mw.sum()
    first.load["p_mw"] = 99.0
    first.line.drop(first.line.index, inplace=True)
    second = read_case(case, "second")
    assert (second.name, len(second.load)) == ("second", loads)
    assert second.sn_mva != 3.0
    assert second.load.p_mw.sum() == p_mw
    assert len(second.line) > 30


def test_pandapowers_own_file_is_normalised_on_reading(solve_ac, tmp_path, reference):
    # as a user would save it: with the five open tie lines, single precision lost nowhere
    path = tmp_path / "baran_wu.json"
    pp.to_json(shipped_net("case33bw"), str(path))
    net = read_case(str(path), "mine")
    known = reference["power_flow"]["case33bw"]
    assert len(net.line) == 32
    assert solve_ac(net).loss_mw * 1e3 == pytest.approx(known["loss_kw"], abs=5e-5)
    network = radial_network(net, "mine")
    assert (network.buses, network.branches) == (33, 32)


def test_devices_survive_the_file(radial_net, with_devices, tmp_path):
    net = radial_net([0, 1], [0, 3, 4], [0, 1, 2])
    with_devices(net, pv=[(1, 0.01, 0.012, 0.9)], batteries=[(2, 0.005, 0.02, 40.0, 0.95, 7.0)])
    pp.to_json(net, str(tmp_path / "mine.json"))
    devices = read_devices(
        read_case(str(tmp_path / "mine.json"), "mine"), "mine", slack_is_unit=False
    )
    pv, battery = devices.photovoltaics, devices.batteries
    assert (pv.bus[0], pv.p_rated_mw[0], pv.sn_mva[0], pv.min_power_factor[0]) == (
        1, 0.01, 0.012, 0.9,
    )  # fmt: skip
    assert (battery.bus[0], battery.p_max_mw[0], battery.e_max_mwh[0]) == (2, 0.005, 0.02)
    assert battery.e_initial_mwh[0] == pytest.approx(0.008, abs=1e-15)  # 40 % of 20 kWh
    assert (battery.efficiency_charge[0], battery.efficiency_discharge[0]) == (0.95, 0.95)
    assert battery.wear_eur_per_mwh[0] == 7.0


def test_static_generation_is_a_constant_negative_load(radial_net):
    net = radial_net([0, 1], [0, 3, 4], [0, 1, 2])
    net.load.loc[0, "scaling"] = 0.5
    pp.create_sgen(net, 2, p_mw=0.002, q_mvar=0.001, type="CHP", scaling=2.0)
    loads = read_devices(net, "g", slack_is_unit=False).loads
    np.testing.assert_allclose(loads.p_mw, [0.0015, 0.004, -0.004], rtol=1e-15)
    np.testing.assert_allclose(loads.q_mvar, [0.0005, 0.002, -0.002], rtol=1e-15)
    assert loads.profiled.tolist() == [True, True, False]
    assert loads.table == ("load", "load", "sgen")


def test_generation_costs_take_the_factor(load_case):
    units = read_devices(load_case("case30"), "tn", slack_is_unit=True, cost_factor=20.0).units
    # MATPOWER case30, mpc.gencost: 0.02 p^2 + 2 p at bus 1, 0.025 p^2 + 3 p at bus 23
    assert units.table[0] == "ext_grid"
    assert units.bus.tolist() == [0, 1, 21, 26, 22, 12]
    assert (units.c2[0], units.c1[0]) == pytest.approx((0.4, 40.0))
    assert (units.c2[4], units.c1[4]) == pytest.approx((0.5, 60.0))
    np.testing.assert_array_equal(units.p_max_mw, [80.0, 80.0, 50.0, 55.0, 30.0, 40.0])


def test_merging_keeps_power_flow_where_codes_or_loads_differ(radial_net, solve_ac):
    #  0 - 1 - 2 - 3 - 4 - 5 with one other code at the end and a load at 3
    net = radial_net([0, 1, 2, 3, 4], [0, 0, 0, 6, 0, 9], [0, 0, 0, 2, 0, 3], length_km=0.2)
    net.line["std_type"] = ["a", "a", "a", "a", "b"]
    net.line.loc[4, ["r_ohm_per_km", "x_ohm_per_km"]] = (0.8, 0.2)
    merged = merge_series_lines(net)
    assert sorted(merged.bus.index) == [0, 3, 4, 5]  # 3 is loaded, at 4 the code changes
    assert merged.line.length_km.tolist() == pytest.approx([0.6, 0.2, 0.2])
    whole = solve_ac(net)
    np.testing.assert_allclose(
        solve_ac(merged).vm_pu, whole.vm_pu[merged.bus.index], rtol=0, atol=1e-12
    )
