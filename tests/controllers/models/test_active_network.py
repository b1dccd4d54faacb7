"""Devices and prices of an active network against closed forms and AC power flow."""

import numpy as np
import pytest
from scipy.optimize import brentq

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.models.active_network import (
    ActiveNetworkLibrary,
    ActiveNetworkOptions,
)
from stackelgrid.controllers.models.p2p import TradeOptions, prosumers_of
from stackelgrid.controllers.networks.power_flow import AcPowerFlow
from stackelgrid.controllers.networks.radial import radial_network

# EUR; closed forms below neglect nothing but the losses of a line
CENT = 0.01


@pytest.fixture
def stiff(radial_net):
    """Two buses 0.03 mohm apart, so that only devices and prices matter; load 20 kW at 1."""
    return radial_net([0], [0, 20.0], [0, 0], length_km=0.0001)


def test_a_battery_earns_the_spread_less_efficiency_and_wear(stiff, with_devices, solve_active):
    # 10 kW, 30 kWh, 80 % each way; half an hour at 50, one at 300, two hours at 40 EUR/MWh
    net = with_devices(stiff, batteries=[(1, 0.01, 0.03, 50.0, 0.8, 4.0)])
    dt, price = np.array([0.5, 1.0, 2.0]), np.array([50.0, 300.0, 40.0])
    result = solve_active(net, dt_h=dt, import_price=price, export_price=price - 5.0)
    charge, discharge = result.mw("charge")[0], result.mw("discharge")[0]
    energy = result.mw("energy")[0]
    before = np.concatenate([[0.015], energy[:-1]])
    np.testing.assert_allclose(
        energy - before, dt * (0.8 * charge - discharge / 0.8), rtol=0, atol=1e-9
    )
    # it sells 10 kW for an hour, 12.5 kWh of its energy, and buys them back at 80 %: at once,
    # 10 kW for 2.5 / 0.8 / 10 h..., cheapest in the last two hours
    np.testing.assert_allclose(discharge, [0.0, 0.01, 0.0], atol=1e-6)
    np.testing.assert_allclose(charge @ dt, 0.0125 / 0.8, atol=1e-6)
    assert charge[0] == pytest.approx(0.0, abs=1e-6)
    assert energy[-1] == pytest.approx(0.015, abs=1e-8)
    load_cost = 0.02 * price @ dt
    trade = 40.0 * 0.0125 / 0.8 - 300.0 * 0.01
    wear = 4.0 * (0.0125 / 0.8 + 0.01)
    assert result.objective == pytest.approx(load_cost + trade + wear, abs=1e-4)


def test_a_battery_rests_where_wear_exceeds_the_spread(stiff, with_devices, solve_active):
    net = with_devices(stiff, batteries=[(1, 0.01, 0.03, 50.0, 1.0, 30.0)])
    price = np.array([50.0, 105.0])  # a spread of 55 below 2 x 30 EUR/MWh of wear
    result = solve_active(net, (1.0, 1.0), import_price=price, export_price=price - 5.0)
    np.testing.assert_allclose(result.mw("energy")[0], 0.015, atol=1e-6)
    price = np.array([50.0, 115.0])  # and 65 above
    result = solve_active(net, (1.0, 1.0), import_price=price, export_price=price - 5.0)
    np.testing.assert_allclose(result.mw("energy")[0], [0.025, 0.015], atol=1e-6)


def test_a_battery_never_leaves_its_limits(stiff, with_devices, solve_active):
    net = with_devices(stiff, batteries=[(1, 0.05, 0.03, 50.0)])
    price = np.array([10.0, 500.0, 10.0, 500.0])
    result = solve_active(net, np.ones(4), import_price=price, export_price=price - 1.0)
    np.testing.assert_allclose(result.mw("energy")[0], [0.03, 0.0, 0.03, 0.015], atol=1e-7)


@pytest.mark.parametrize(
    ("value", "last_mwh"),
    [(150.0, 0.03), (50.0, 0.0), (95.0, 0.015)],
)
def test_the_value_of_stored_energy_decides_what_is_left(
    stiff, with_devices, solve_active, value, last_mwh
):
    # one hour at 100 EUR/MWh, 90 % each way: charging pays above 100 / 0.9 = 111 EUR/MWh stored,
    # discharging below 0.9 x 100 = 90; in between the battery rests at 15 of 30 kWh
    net = with_devices(stiff, batteries=[(1, 0.05, 0.03, 50.0, 0.9)])
    options = ActiveNetworkOptions(terminal="value", terminal_value_eur_per_mwh=value)
    result = solve_active(net, import_price=100.0, export_price=99.0, options=options)
    assert result.mw("energy")[0, 0] == pytest.approx(last_mwh, abs=1e-6)
    if last_mwh == 0.03:
        paid = 100.0 * (0.02 + 0.015 / 0.9) - value * 0.03
        assert result.objective == pytest.approx(paid, abs=1e-4)


def test_the_terminal_rule_asks_for_the_energy_given(stiff, with_devices, solve_active):
    net = with_devices(stiff, batteries=[(1, 0.05, 0.03, 50.0)])
    result = solve_active(net, e_start_mwh=[0.01], e_end_mwh=[0.024])
    assert result.mw("energy")[0, 0] == pytest.approx(0.024, abs=1e-7)
    assert result.objective == pytest.approx(100.0 * (0.02 + 0.014), abs=1e-4)
    too_much = solve_active(net, (0.25,), e_start_mwh=[0.01], e_end_mwh=[0.03])  # 12.5 kWh reach
    assert too_much.status == "infeasible"


def test_import_and_export_have_their_own_prices(stiff, with_devices, solve_active):
    net = with_devices(stiff, pv=[(1, 0.05)])
    dt = np.array([0.5, 2.0])
    result = solve_active(
        net, dt, pv_mw=[0.05, 0.005], import_price=[200.0, 300.0], export_price=[60.0, -20.0]
    )
    np.testing.assert_allclose(result.mw("bought")[0], [0.0, 0.015], atol=1e-5)
    np.testing.assert_allclose(result.mw("sold")[0], [0.03, 0.0], atol=1e-5)
    np.testing.assert_allclose(
        result.mw("p_import"), result.mw("bought") - result.mw("sold"), atol=1e-9
    )
    assert result.objective == pytest.approx(0.5 * -60.0 * 0.03 + 2.0 * 300.0 * 0.015, abs=CENT)


def test_negative_export_prices_curtail_to_the_load(stiff, with_devices, solve_active):
    net = with_devices(stiff, pv=[(1, 0.05)])
    # curtailing for 0 or 10 EUR/MWh beats exporting for 20, for 30 it does not; losses are priced
    # above all of that, or the relaxed cone would burn the surplus for nothing
    for price, pv_mw, cost in ((0.0, 0.02, 0.0), (10.0, 0.02, 10 * 0.03), (30.0, 0.05, 20 * 0.03)):
        options = ActiveNetworkOptions(curtailment_eur_per_mwh=price, loss_eur_per_mwh=35.0)
        result = solve_active(net, pv_mw=0.05, export_price=-20.0, options=options)
        assert result.mw("pv_p")[0, 0] == pytest.approx(pv_mw, abs=1e-5)
        assert result.objective == pytest.approx(cost, abs=1e-3)


def sunny(radial_net, with_devices, min_power_factor):
    """150 m of cable to a 60 kVA PV system, head 1.02, at most 1.05 p.u."""
    net = radial_net([0], [0, 2.0], [0, 0.5], ohm_per_km=(0.64, 0.08), length_km=0.15)
    net.bus["max_vm_pu"] = 1.05
    net.ext_grid["vm_pu"] = 1.02
    return with_devices(net, pv=[(1, 0.06, 0.06, min_power_factor)])


def hosting_capacity(net, q_of_p):
    """PV power in MW at which AC power flow puts bus 1 at 1.05 p.u."""
    flow = AcPowerFlow(net, "sunny")

    def excess(p):
        demand_q = 0.0005 - q_of_p(p)
        return flow.solve(np.array([0, 0.002 - p]), np.array([0, demand_q]), 1.02).vm_pu[1] - 1.05

    return brentq(excess, 0.0, 0.06, xtol=1e-12)


@pytest.mark.parametrize(
    ("min_power_factor", "q_of_p"),
    [
        (1.0, lambda p: 0.0),
        (0.97, lambda p: -p * np.tan(np.arccos(0.97))),  # absorbs what its power factor allows
        (0.0, lambda p: -np.sqrt(0.06**2 - p**2)),  # and here all that its inverter has
    ],
)
def test_pv_is_curtailed_at_the_voltage_limit(
    radial_net, with_devices, solve_active, min_power_factor, q_of_p
):
    net = sunny(radial_net, with_devices, min_power_factor)
    result = solve_active(net, pv_mw=0.06, import_price=100.0, export_price=80.0)
    p, q = result.mw("pv_p")[0, 0], result.mw("pv_q")[0, 0]
    expected = hosting_capacity(net, q_of_p)
    assert 0.03 < expected < 0.06
    assert p == pytest.approx(expected, rel=2e-5)
    # the circle is flat in q near the limit, hence the wider bar
    assert q == pytest.approx(q_of_p(expected), abs=2e-6)
    assert np.hypot(p, q) <= 0.06 * (1.0 + 1e-6)
    assert result.vm_pu[1, 0] == pytest.approx(1.05, abs=1e-6)


def test_the_inverter_circle_binds_without_a_voltage_limit(radial_net, with_devices, solve_active):
    net = sunny(radial_net, with_devices, 0.0)
    net.bus["max_vm_pu"] = 1.5
    result = solve_active(net, pv_mw=0.1, import_price=100.0, export_price=80.0)
    p, q = result.mw("pv_p")[0, 0], result.mw("pv_q")[0, 0]
    assert p**2 + q**2 <= 0.06**2 * (1.0 + 1e-7)
    assert p == pytest.approx(0.06, abs=2e-6)  # available is more than the inverter can pass


def test_a_unit_runs_to_its_marginal_cost(stiff, solve_active):
    import pandapower as pp

    unit = pp.create_sgen(
        stiff, 1, p_mw=0.0, min_p_mw=0.0, max_p_mw=0.05, type="unit", controllable=True
    )
    pp.create_poly_cost(
        stiff, unit, "sgen", cp1_eur_per_mw=60.0, cp2_eur_per_mw2=2000.0, cp0_eur=0.5
    )
    result = solve_active(stiff, (0.5,), import_price=100.0, export_price=10.0)
    # 60 + 2 x 2000 p = 100 at 10 kW
    assert result.mw("unit_p")[0, 0] == pytest.approx(0.01, abs=1e-5)
    cost = 0.5 * (2000.0 * 0.01**2 + 60.0 * 0.01 + 0.5 + 100.0 * 0.01)
    assert result.objective == pytest.approx(cost, abs=1e-3)


@pytest.fixture(scope="module")
def community_series():
    """Six hours around noon and evening: load factor, PV factor, import price."""
    return (
        np.array([1.0, 0.7, 0.5, 1.2, 2.5, 2.0]),
        np.array([0.5, 0.9, 1.0, 0.6, 0.1, 0.0]),
        np.array([220.0, 220.0, 220.0, 220.0, 320.0, 320.0]),
    )


def test_the_reduced_community_has_the_optimum_of_the_full_one(
    load_case, with_devices, solve_active, community_series
):
    net = load_case("european_lv_206")
    net.bus[["min_vm_pu", "max_vm_pu"]] = (0.9, 1.1)
    homes = [int(bus) for bus in net.load.bus]
    with_devices(
        net,
        pv=[(bus, 0.005, 0.0055) for bus in homes[::3]],
        batteries=[(bus, 0.004, 0.008, 50.0, 0.95, 5.0) for bus in homes[::6]],
    )
    load, sun, price = community_series
    results = [
        solve_active(
            net, np.ones(6), load=2.0 * load, pv_mw=0.005 * sun, import_price=price,
            export_price=70.0, reduce=reduce, options=ActiveNetworkOptions(1.0),
        )
        for reduce in (False, True)
    ]  # fmt: skip
    full, small = results
    assert full.reduction.network.buses == 207
    assert small.reduction.network.buses == 111
    assert small.objective == pytest.approx(full.objective, rel=1e-6)
    np.testing.assert_allclose(small.vm_pu, full.vm_pu, rtol=0, atol=1e-5)
    np.testing.assert_allclose(small.loss_mw, full.loss_mw, rtol=0, atol=1e-6)
    # and the expanded state is the AC one
    devices, network = small.devices, small.network
    flow = AcPowerFlow(net, "lv1")
    order = {bus: i for i, bus in enumerate(flow.bus_index)}
    for t in range(6):
        p, q = np.zeros((2, network.buses))
        np.add.at(p, [order[b] for b in devices.loads.bus], 2.0 * load[t] * devices.loads.p_mw)
        np.add.at(q, [order[b] for b in devices.loads.bus], 2.0 * load[t] * devices.loads.q_mvar)
        at_pv = [order[b] for b in devices.photovoltaics.bus]
        np.add.at(p, at_pv, -small.mw("pv_p")[:, t])
        np.add.at(q, at_pv, -small.mw("pv_q")[:, t])
        charged = small.mw("charge")[:, t] - small.mw("discharge")[:, t]
        np.add.at(p, [order[b] for b in devices.batteries.bus], charged)
        state = flow.solve(p, q, flow.slack_vm_pu)
        np.testing.assert_allclose(small.vm_pu[:, t], state.vm_pu, rtol=0, atol=1e-5)
        assert small.mw("p_import")[0, t] == pytest.approx(state.slack_p_mw, abs=2e-6)


def test_the_library_compiles_equal_feeders_once(radial_net, with_devices):
    library = ActiveNetworkLibrary()
    dt_h = np.array([0.25, 1.0])

    def compiled(options=None, dt_h=dt_h, soc=50.0, name="a", p_kw=3.0, **lines):
        net = radial_net([0, 1], [0, p_kw, 3.0], [0] * 3, **lines)
        with_devices(net, pv=[(1, 0.004)], batteries=[(2, 0.002, 0.01, soc)])
        network = radial_network(net, name)
        devices = read_devices(net, name, slack_is_unit=False)
        rows = network.positions(devices.loads.bus)
        prosumers = prosumers_of(devices, np.array([0.009, 0.003]))
        options = options or ActiveNetworkOptions()
        return library.compiled(network, devices, rows, prosumers, dt_h, options)

    first = compiled()
    assert compiled() is first
    assert compiled(name="b", soc=20.0, p_kw=7.0) is first  # data do not count
    assert len(library) == 1
    others = [
        compiled(length_km=0.2),
        compiled(dt_h=np.array([0.25, 2.0])),
        compiled(options=ActiveNetworkOptions(loss_eur_per_mwh=1.0)),
        compiled(options=ActiveNetworkOptions(terminal="value")),
        compiled(options=ActiveNetworkOptions(trade=TradeOptions(15.0, 8.0, 16.0, False))),
        compiled(options=ActiveNetworkOptions(trade=TradeOptions(15.0, 8.0, 16.0, True))),
    ]
    assert len(library) == 7
    assert len({id(c) for c in (first, *others)}) == 7
