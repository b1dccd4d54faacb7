"""DC optimal power flow: MATPOWER's optima, pandapower's own DC-OPF, prices by differences."""

import copy

import numpy as np
import pandapower as pp
import pytest
from support.outside_nets import triangle
from support.pandapower_nets import shipped_net

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.models.dc_opf import dc_opf_model, nodal_prices
from stackelgrid.controllers.networks.checks import check_net
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.meshed import meshed_network


@pytest.fixture
def solve_dc(optimise):
    """`solve_dc(net, dt_h, load)`: optimum, dispatch (units, T) in MW, prices, flows in MW."""

    def solve(net, dt_h=(1.0,), load=1.0, extra=None):
        dt_h = np.asarray(dt_h, dtype=float)
        network = meshed_network(net, "tn")
        units = read_devices(net, "tn", slack_is_unit=True).units
        demand = np.zeros((network.buses, len(dt_h)))
        at = [network.bus_index.index(bus) for bus in net.load.bus]
        factor = np.broadcast_to(load, len(dt_h))
        np.add.at(demand, at, np.outer(net.load.p_mw * net.load.scaling, factor))
        for bus, power in (extra or {}).items():
            demand[network.bus_index.index(bus)] += power
        base = network.base_mva
        optimum = optimise(dc_opf_model(network, units, dt_h), {"load_p": demand / base})
        assert optimum.solution.status == "optimal"
        prices = nodal_prices(optimum.dual("balance").reshape(-1, len(dt_h)), base, dt_h)
        dispatch = base * optimum.value("unit_p").reshape(-1, len(dt_h))
        flows = base * optimum.value("flow").reshape(-1, len(dt_h))
        return optimum, dispatch, prices, flows

    return solve


def test_case30_is_matpowers(load_case, solve_dc, reference):
    known = reference["dc_opf"]["case30"]
    net = load_case("case30")
    optimum, dispatch, prices, _ = solve_dc(net)
    assert optimum.objective == pytest.approx(known["cost_per_h"], abs=5e-5)
    np.testing.assert_allclose(prices, known["price_per_mwh"], rtol=0, atol=5e-5)
    units = read_devices(net, "tn", slack_is_unit=True).units
    # MATPOWER lists the generators at buses 1, 2, 22, 27, 23, 13 as pandapower does
    assert units.bus.tolist() == [0, 1, 21, 26, 22, 12]
    np.testing.assert_allclose(sorted(dispatch[:, 0]), sorted(known["dispatch_mw"]), atol=2e-3)
    # at a unit inside its limits, 2 c2 p + c1 is the price
    np.testing.assert_allclose(2.0 * units.c2 * dispatch[:, 0] + units.c1, 3.7892, atol=5e-4)
    assert optimum.solution.bound == pytest.approx(optimum.solution.objective, abs=1e-5)


def test_case14_is_matpowers(solve_dc, reference):
    net = normalise(shipped_net("case14"), "case14")
    check_net(net, "case14")
    optimum, dispatch, _, _ = solve_dc(net)
    assert optimum.objective == pytest.approx(reference["dc_opf"]["case14"]["cost_per_h"], abs=6e-3)
    assert dispatch.sum() == pytest.approx(259.0, abs=1e-4)  # the load of case14


def congested(net):
    """case30 with two ratings that bind, a phase shifter and a shunt conductance."""
    net.line.loc[9, "max_i_ka"] *= 0.7
    net.line.loc[28, "max_i_ka"] *= 0.65
    bus = pp.create_bus(net, vn_kv=135.0)
    pp.create_load(net, bus, p_mw=12.0)
    for k, shift in enumerate((0.0, 4.0)):
        pp.create_transformer_from_parameters(
            net, 5 + k, bus, sn_mva=30.0, vn_hv_kv=135.0, vn_lv_kv=135.0, vk_percent=8.0,
            vkr_percent=0.2, pfe_kw=0.0, i0_percent=0.0, shift_degree=shift,
            max_loading_percent=100.0,
        )  # fmt: skip
    pp.create_shunt(net, 3, q_mvar=0.0, p_mw=2.5)
    return net


def test_a_congested_grid_has_the_prices_of_pandapowers_dc_opf(load_case, solve_dc):
    net = congested(load_case("case30"))
    optimum, dispatch, prices, flows = solve_dc(net)
    oracle = copy.deepcopy(net)
    pp.rundcopp(oracle)
    assert np.ptp(prices) > 0.5  # EUR/MWh: the congestion is felt
    assert optimum.objective == pytest.approx(oracle.res_cost, rel=1e-6)
    np.testing.assert_allclose(prices[:, 0], oracle.res_bus.lam_p, rtol=0, atol=1e-3)
    np.testing.assert_allclose(
        dispatch[:, 0], [*oracle.res_ext_grid.p_mw, *oracle.res_gen.p_mw], rtol=0, atol=1e-3
    )
    np.testing.assert_allclose(
        flows[:, 0], [*oracle.res_line.p_from_mw, *oracle.res_trafo.p_hv_mw], rtol=0, atol=1e-3
    )


def test_prices_are_derivatives_of_the_cost(load_case, solve_dc):
    net = congested(load_case("case30"))
    dt_h, load, step = (0.25, 1.0), (1.0, 0.8), 0.02
    _, _, prices, _ = solve_dc(net, dt_h, load)
    assert np.ptp(prices[:, 0]) > 0.5
    for bus in (0, 7, 20, 29, 30):
        for t in range(2):
            change = np.zeros(2)
            change[t] = step
            more, *_ = solve_dc(net, dt_h, load, {bus: change})
            less, *_ = solve_dc(net, dt_h, load, {bus: -change})
            slope = (more.objective - less.objective) / (2.0 * step * dt_h[t])
            at = list(net.bus.index).index(bus)
            assert prices[at, t] == pytest.approx(slope, abs=2e-3), (bus, t)


def test_cost_is_paid_by_the_hour(load_case, solve_dc, reference):
    known = reference["dc_opf"]["case30"]["cost_per_h"]
    optimum, _, prices, _ = solve_dc(load_case("case30"), dt_h=(0.25, 2.0))
    assert optimum.objective == pytest.approx(2.25 * known, rel=1e-6)
    np.testing.assert_allclose(prices[:, 0], prices[:, 1], atol=1e-4)  # EUR/MWh do not depend on dt


def test_ratings_bind(load_case, solve_dc):
    net = congested(load_case("case30"))
    network = meshed_network(net, "tn")
    _, _, _, flows = solve_dc(net)
    share = np.abs(flows[:, 0]) / (network.rating * network.base_mva)
    assert share.max() == pytest.approx(1.0, abs=1e-5)
    # MATPOWER case30: branch 10 of 32 MVA, here at 70 %
    assert network.rating[9] * network.base_mva == pytest.approx(0.7 * 32.0, rel=1e-3)


PIECES = [[0.0, 60.0, 10.0], [60.0, 150.0, 24.0], [150.0, 500.0, 28.0]]


@pytest.mark.parametrize("load", [45.0, 120.0, 200.0, 300.0])
def test_piecewise_linear_costs_are_pandapowers(solve_dc, load):
    """Cost, dispatch and nodal prices of pandapower's rundcopp, with a congested line too."""
    net = triangle()
    net.poly_cost = net.poly_cost.drop(net.poly_cost.index)
    pp.create_pwl_cost(net, 0, "ext_grid", PIECES)
    pp.create_pwl_cost(net, 0, "gen", [[0.0, 30.0, 20.0], [30.0, 300.0, 40.0]])
    net.load.loc[0, "p_mw"] = load
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 0.9, 1.1
    net.line["max_loading_percent"] = net.trafo["max_loading_percent"] = 100.0
    plain = normalise(net, "tn")
    check_net(plain, "tn")
    optimum, dispatch, prices, _ = solve_dc(plain)
    pp.rundcopp(net)
    assert optimum.objective == pytest.approx(net.res_cost, rel=1e-6)
    expected = [net.res_ext_grid.p_mw.at[0], net.res_gen.p_mw.at[0]]
    np.testing.assert_allclose(dispatch[:, 0], expected, atol=1e-3)
    np.testing.assert_allclose(prices[:, 0], net.res_bus.lam_p, atol=1e-3)
    units = read_devices(plain, "tn", slack_is_unit=True).units
    cost = units.hourly_cost({"unit_p_mw": dispatch})
    np.testing.assert_allclose(cost, optimum.objective, rtol=1e-6)


def test_a_piecewise_linear_cost_beside_a_quadratic_one(solve_dc):
    """By hand: the price is 24 between 60 and 150 MW; 2 c2 p + c1 = 24 at p = 100 MW."""
    net = triangle()
    net.line["max_i_ka"] = np.nan
    net.trafo["sn_mva"] = 1e4
    net.poly_cost = net.poly_cost.drop(net.poly_cost.index)
    pp.create_pwl_cost(net, 0, "ext_grid", PIECES)
    pp.create_poly_cost(net, 0, "gen", 4.0, cp2_eur_per_mw2=0.1)
    net.load["p_mw"] = [150.0, 50.0]
    _, dispatch, prices, _ = solve_dc(normalise(net, "tn"))
    np.testing.assert_allclose(dispatch[:, 0], [100.0, 100.0], atol=1e-4)
    np.testing.assert_allclose(prices, 24.0, atol=1e-5)
