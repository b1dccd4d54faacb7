"""Columns of a net's generators, loads and storages: read, or refused by name."""

import numpy as np
import pandapower as pp
import pytest
from support.outside_nets import street, triangle

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.devices.sunlight import is_photovoltaic
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_net


def feeder(net):
    return read_devices(net, "g", slack_is_unit=False, cost_factor=2.0)


def upper(net):
    return read_devices(net, "g", slack_is_unit=True, cost_factor=2.0)


def with_storage(net=None, **values):
    net = street() if net is None else net
    stated = {"soc_percent": 50.0, "min_p_mw": -0.002, "max_p_mw": 0.005, **values}
    pp.create_storage(net, 3, stated.pop("p_mw", 0.0), 0.01, **stated)
    return net


def with_sgen(**values):
    net = street()
    pp.create_sgen(net, 3, values.pop("p_mw", 0.01), **values)
    return net


def test_a_storage_charges_and_discharges_within_its_own_limits():
    batteries = feeder(with_storage()).batteries
    energy = batteries.e_initial_mwh
    for asked, delivered in ((-0.01, -0.002), (0.01, 0.005)):
        power, after = batteries.step(energy, np.array([asked]), 0.5)
        assert power[0] == delivered
        assert after[0] == pytest.approx(0.005 + 0.5 * delivered, rel=1e-12)
    assert feeder(with_storage(min_p_mw=np.nan)).batteries.discharge_max_mw[0] == 0.005


def test_a_storage_that_is_not_controllable_takes_its_scaled_power():
    devices = feeder(with_storage(p_mw=0.003, q_mvar=0.001, scaling=0.5, controllable=False))
    assert not devices.batteries.index
    loads = devices.loads
    assert loads.table[-1] == "storage"
    assert (loads.p_mw[-1], loads.q_mvar[-1]) == (0.0015, 0.0005)
    assert not loads.profiled[-1]


@pytest.mark.parametrize(
    ("kind", "solar"),
    [("PV", True), ("pv", True), ("Pv", True), ("solar", True), ("Solar roof", True),
     ("PV8", True), ("rooftop-pv", True), ("Photovoltaics", True), ("WP", False), ("wind", False),
     ("RES", False), ("hydro", False), ("CHP", False), (None, False), ("supervised", False)],
)  # fmt: skip
def test_photovoltaics_in_any_spelling(kind, solar):
    net = with_sgen(type=kind)
    assert is_photovoltaic(net.sgen).tolist() == [solar]
    devices = feeder(net)
    assert len(devices.photovoltaics.index) == solar
    assert devices.loads.table.count("sgen") == (not solar)


def test_photovoltaics_of_scaling_0_are_switched_off():
    # mv_oberrhein(scenario="load") switches its generators off in this way
    devices = feeder(with_sgen(type="PV", scaling=0.0))
    assert len(devices.photovoltaics.index) == 0
    assert (devices.loads.table[-1], devices.loads.p_mw[-1]) == ("sgen", 0.0)


def test_pv_that_is_not_controllable_feeds_in_what_there_is_at_its_own_power_factor():
    pv = feeder(with_sgen(p_mw=0.01, q_mvar=-0.002, scaling=2.0, type="PV")).photovoltaics
    assert pv.p_rated_mw[0] == 0.02
    p, q = pv.output(np.array([0.015]), np.array([0.0]), np.array([0.01]))
    assert (p[0], q[0]) == (0.015, pytest.approx(-0.003, rel=1e-12))


def test_cost_of_a_fixed_generator_is_counted_once():
    net = with_sgen(p_mw=0.01, scaling=3.0, type="CHP")
    pp.create_poly_cost(net, 0, "sgen", 40.0, cp0_eur=1.0, cp2_eur_per_mw2=100.0)
    units = feeder(net).units
    assert not units.index
    assert units.fixed_eur_per_h == pytest.approx(2.0 * (100.0 * 0.03**2 + 40.0 * 0.03 + 1.0))


def test_a_dispatched_static_generator_keeps_its_limits():
    net = with_sgen(controllable=True, min_p_mw=0.001, max_p_mw=0.008)
    pp.create_poly_cost(net, 0, "sgen", 40.0)
    units = feeder(net).units
    assert (units.table, units.p_min_mw[0], units.p_max_mw[0]) == (("sgen",), 0.001, 0.008)


def test_generators_of_a_transmission_grid():
    net = triangle()
    net.ext_grid[["min_p_mw", "max_p_mw"]] = np.nan
    net.gen["controllable"], net.gen["p_mw"], net.gen["scaling"] = False, 50.0, 0.8
    units = upper(net).units
    assert units.table == ("ext_grid", "gen")
    np.testing.assert_array_equal(units.p_min_mw, [-np.inf, 40.0])
    np.testing.assert_array_equal(units.p_max_mw, [np.inf, 40.0])


def controllable_pv(**values):
    return with_sgen(type="PV", controllable=True, **values)


def costed(net, table, index=0):
    pp.create_poly_cost(net, index, table, 5.0)
    return net


def dispatched(**values):
    stated = {"min_p_mw": 0.0, "max_p_mw": 0.01, "controllable": True, **values}
    return costed(with_sgen(**stated), "sgen")


def generator(**values):
    net = triangle()
    for column, value in values.items():
        net.gen[column] = value
    return net


@pytest.mark.parametrize(
    ("net", "read", "message"),
    [
        (with_storage(scaling=0.5), feeder, "storage 0 needs scaling = 1"),
        (with_storage(q_mvar=0.001), feeder, "storage 0 needs q_mvar = 0"),
        (with_storage(min_q_mvar=0.001, max_q_mvar=0.002), feeder, "needs min_q_mvar <= 0 <="),
        (with_storage(min_p_mw=0.001), feeder, "storage 0 needs min_p_mw <= 0"),
        (with_storage(min_e_mwh=0.006), feeder, "needs soc_percent of at least min_e_mwh"),
        (costed(with_storage(), "storage"), feeder, "storage 0 has a poly_cost; storages have no"),
        (costed(street(), "load", 2), feeder, "load 2 has a poly_cost; loads that are shed"),
        (costed(controllable_pv(), "sgen"), feeder, "sgen 0 has a poly_cost; photovoltaics have"),
        (controllable_pv(max_p_mw=0.005), feeder, "sgen 0 is controllable PV with limits"),
        (controllable_pv(min_q_mvar=-0.001, max_q_mvar=0.001), feeder, "inside its inverter"),
        (dispatched(scaling=2.0), feeder, "sgen 0 is dispatched and has scaling = 2"),
        (dispatched(q_mvar=0.001), feeder, "sgen 0 needs q_mvar = 0: units give no reactive power"),
        (dispatched(max_p_mw=np.nan), feeder, "sgen 0 is dispatched and has no max_p_mw"),
        (dispatched(min_q_mvar=0.001, max_q_mvar=0.002), feeder, "<= 0 <= max_q_mvar: units"),
        (with_sgen(controllable=True, max_p_mw=1.0), feeder, "sgen 0 has no poly_cost; one is"),
        (generator(min_p_mw=np.nan), upper, "gen 0 is dispatched and has no min_p_mw"),
        (generator(scaling=0.5), upper, "gen 0 is dispatched and has scaling = 0.5"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_here_is_refused_by_name(net, read, message):
    with pytest.raises(NetworkError) as error:
        read(net)
    assert message in str(error.value)


def second_generator(net):
    pp.create_gen(net, 2, 10.0, vm_pu=1.02, min_p_mw=0.0, max_p_mw=30.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (second_generator, "gen 1 holds 1.02 p.u. at bus 2, where gen 0 holds 1; one set point"),
        (lambda n: n.gen.__setitem__("bus", 0) or n.gen.__setitem__("vm_pu", 1.01),
         "gen 0 holds 1.01 p.u. at bus 0, where ext_grid 0 holds 1"),
        (lambda n: n.gen.__setitem__("max_vm_pu", 0.98), "outside its limits [nan, 0.98]"),
        (lambda n: n.gen.__setitem__("vm_pu", np.nan), "gen 0 has vm_pu = nan; > 0 is accepted"),
    ],
)  # fmt: skip
def test_voltages_that_generators_hold_are_checked(change, message):
    net = triangle()
    check_net(net, "g")
    change(net)
    with pytest.raises(NetworkError) as error:
        check_net(net, "g")
    assert message in str(error.value)


def test_cost_coefficients_that_are_missing_are_refused():
    net = triangle()
    net.poly_cost.loc[1, "cp2_eur_per_mw2"] = np.nan
    with pytest.raises(NetworkError, match=r"poly_cost 1 has cp0_eur.* = 0, 30, nan; finite"):
        upper(net)


@pytest.mark.parametrize(
    ("option", "value"),
    [("trafo_model", "pi"), ("enforce_q_lims", True), ("distributed_slack", True),
     ("calculate_voltage_angles", False), ("trafo_loading", "power"), ("tdpf", True)],
)  # fmt: skip
def test_options_of_a_net_that_change_its_power_flow_are_refused(option, value):
    net = street()
    pp.set_user_pf_options(net, max_iteration=30, init="dc")
    check_net(net, "g")
    pp.set_user_pf_options(net, **{option: value})
    with pytest.raises(NetworkError, match=f"user_pf_options has {option} = "):
        check_net(net, "g")
