"""Dispatch on linearised DistFlow: against AC power flow, merit order, limits."""

import numpy as np
import pandapower as pp
import pytest

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.models.mv_dispatch import mv_dispatch_data, mv_dispatch_model
from stackelgrid.controllers.networks.radial import radial_network


def add_unit(net, bus, p_max_mw, c1, c2=0.0):
    unit = pp.create_sgen(
        net, bus, p_mw=0.0, min_p_mw=0.0, max_p_mw=p_max_mw, type="unit", controllable=True
    )
    pp.create_poly_cost(net, unit, "sgen", cp1_eur_per_mw=c1, cp2_eur_per_mw2=c2)


@pytest.fixture
def dispatch(optimise):
    """`dispatch(net, ...)`: optimum, and `mw(name)` / `pu(name)` of one step or more."""

    def solve(net, load=1.0, pv_mw=0.0, buy=100.0, sell=50.0, curtailment=0.0, dt_h=(1.0,)):
        dt_h = np.asarray(dt_h, dtype=float)
        network = radial_network(net, "mv")
        devices = read_devices(net, "mv", slack_is_unit=False)
        model = mv_dispatch_model(network, devices, dt_h, curtailment)
        steps, base = len(dt_h), network.base_mva
        p, q = np.zeros((2, network.buses, steps))
        at = network.positions(devices.loads.bus)
        factor = np.broadcast_to(load, steps)
        np.add.at(p, at, np.outer(devices.loads.p_mw, factor) / base)
        np.add.at(q, at, np.outer(devices.loads.q_mvar, factor) / base)
        head = (net.ext_grid.vm_pu.iloc[0] / network.head_ratio) ** 2
        available = np.broadcast_to(pv_mw, (len(devices.photovoltaics.index), steps)) / base
        values = {
            "load_p": p, "load_q": q, "v_head": head, "pv_available": available,
            "import_price": np.broadcast_to(buy, steps),
            "export_price": np.broadcast_to(sell, steps),
        }  # fmt: skip
        assert {c.name for c in mv_dispatch_data(model)} == set(values)
        optimum = optimise(model, values)
        assert not optimum.compiled.program.cones
        assert not len(optimum.compiled.program.integer)
        return optimum, lambda name: optimum.value(name).reshape(-1, steps), network

    return solve


def test_voltages_are_near_the_ac_power_flow(load_case, dispatch, solve_ac):
    net = load_case("case33bw")
    net.bus["min_vm_pu"] = 0.8
    _, pu, network = dispatch(net)
    state = solve_ac(net)
    vm = np.sqrt(pu("v")[np.argsort(network.bus_index), 0])
    error = vm - state.vm_pu
    # no losses: higher than AC, by 0.5 % at the far end of Baran and Wu's feeder (loss 5.5 %)
    assert error.min() > -1e-9
    assert error.max() < 0.006
    # at a fifth of the load the error is smaller by the square
    _, pu, _ = dispatch(net, load=0.2)
    vm = np.sqrt(pu("v")[np.argsort(network.bus_index), 0])
    assert np.abs(vm - solve_ac(net, scale=0.2).vm_pu).max() < 2.5e-4
    assert network.base_mva * pu("p_import")[0, 0] == pytest.approx(0.2 * 3.715, abs=1e-6)


def test_the_cheap_resource_comes_first(load_case, dispatch, with_devices):
    net = with_devices(load_case("case33bw"), pv=[(18, 1.0)])
    add_unit(net, 15, 0.8, 88.0, 12.0)
    add_unit(net, 5, 0.5, 130.0)
    _, pu, network = dispatch(
        net, pv_mw=[0.6, 0.6, 0.6, 0.6], buy=[80.0, 100.0, 200.0, 140.0], dt_h=(1.0, 1.0, 1.0, 0.5)
    )
    mw = network.base_mva * pu("unit_p")
    np.testing.assert_allclose(network.base_mva * pu("pv_p"), 0.6, atol=1e-6)
    # 88 + 24 p = import price where the unit is inside its range
    np.testing.assert_allclose(mw[0], [0.0, 0.5, 0.8, 0.8], atol=1e-4)
    np.testing.assert_allclose(mw[1], [0.0, 0.0, 0.5, 0.5], atol=1e-4)
    total = network.base_mva * (pu("p_import") + pu("unit_p").sum(axis=0) + pu("pv_p"))
    np.testing.assert_allclose(total, 3.715, atol=1e-6)


def test_surplus_is_sold_or_curtailed_by_price(load_case, dispatch, with_devices):
    net = with_devices(load_case("case33bw"), pv=[(18, 5.0)])
    net.bus["max_vm_pu"] = 1.2
    optimum, pu, network = dispatch(net, pv_mw=5.0, sell=[30.0, -10.0], dt_h=(1.0, 1.0))
    base = network.base_mva
    np.testing.assert_allclose(base * pu("sold")[0], [5.0 - 3.715, 0.0], atol=1e-4)
    assert optimum.objective == pytest.approx(-30.0 * (5.0 - 3.715), abs=1e-3)
    # a curtailment dearer than the negative price: sold all the same
    optimum, pu, _ = dispatch(net, pv_mw=5.0, sell=[30.0, -10.0], dt_h=(1.0, 1.0), curtailment=15.0)
    np.testing.assert_allclose(base * pu("sold")[0], 5.0 - 3.715, atol=1e-4)
    assert optimum.objective == pytest.approx(-20.0 * (5.0 - 3.715), abs=1e-3)


def test_a_voltage_limit_holds_generation_back(load_case, dispatch, with_devices):
    net = with_devices(load_case("case33bw"), pv=[(17, 5.0)])
    net.bus["max_vm_pu"] = 1.02
    optimum, pu, network = dispatch(net, load=0.2, pv_mw=5.0)
    assert np.sqrt(pu("v").max()) == pytest.approx(1.02, abs=1e-6)
    assert 0.2 < network.base_mva * pu("pv_p")[0, 0] < 4.9
    prices = -optimum.dual("active_balance")
    assert np.ptp(prices) > 1.0


def test_a_rating_is_a_polygon_inside_the_circle(load_case, dispatch):
    net = load_case("case33bw")
    net.bus["max_vm_pu"] = 1.3
    add_unit(net, 17, 5.0, 1.0)
    net.line["max_i_ka"] = np.nan
    unlimited, _, _ = dispatch(net)
    assert not len(unlimited.compiled.rows["line_limit"])
    net.line.loc[16, "max_i_ka"] = 0.03  # the line to the generator
    _, pu, network = dispatch(net)
    k, base = network.branch_index.index(16), network.base_mva
    rating = np.sqrt(3) * 12.66 * 0.03  # MVA at nominal voltage
    flow = base * np.hypot(pu("p_branch")[k, 0], pu("q_branch")[k, 0])
    assert np.cos(np.pi / 12) * rating - 1e-6 <= flow <= rating + 1e-6
    net.load.loc[net.load.bus == 17, "q_mvar"] = 0.0
    _, pu, _ = dispatch(net)  # a corner lies on the P axis: the full rating
    assert base * abs(pu("p_branch")[k, 0]) == pytest.approx(rating, rel=1e-6)
