"""Limits of a feeder's source: optima by hand, and conflicts in words."""

import numpy as np
import pytest

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.models.active_network import ActiveNetworkOptions
from stackelgrid.controllers.models.mv_dispatch import mv_dispatch_model
from stackelgrid.controllers.networks.limits import ExchangeLimits, exchange_limits
from stackelgrid.controllers.networks.radial import radial_network


def test_an_import_limit_is_met_by_a_battery(radial_net, solve_active, with_devices):
    """Loads of 20 and 60 kW, a battery, at most 45 kW of import: 15 kWh move to the first hour."""
    net = with_devices(radial_net([0], [0.0, 20.0], [0.0, 0.0]), batteries=[(1, 0.03, 0.06)])
    net.line["r_ohm_per_km"] = 1e-5
    limits = ExchangeLimits(max_p_mw=0.045)
    free, held = (
        solve_active(net, [1.0, 1.0], load=[1.0, 3.0], import_price=[100.0, 90.0],
                     options=ActiveNetworkOptions(exchange=exchange))
        for exchange in (ExchangeLimits(), limits)
    )  # fmt: skip
    np.testing.assert_allclose(free.mw("p_import")[0], [0.0, 0.08], atol=2e-5)
    np.testing.assert_allclose(held.mw("p_import")[0], [0.035, 0.045], atol=2e-5)


def test_a_limit_of_export_curtails(radial_net, solve_active, with_devices):
    net = with_devices(radial_net([0], [0.0, 10.0], [0.0, 4.0]), pv=[(1, 0.05)])
    result = solve_active(
        net, pv_mw=0.05, options=ActiveNetworkOptions(exchange=ExchangeLimits(min_p_mw=-0.02))
    )
    assert result.mw("p_import")[0, 0] == pytest.approx(-0.02, abs=1e-6)


def test_the_dispatch_of_an_mv_operator_keeps_the_limits(radial_net, optimise, with_devices):
    """A unit at 200 EUR/MWh covers what 30 kW of import at 100 EUR/MWh leave of 50 kW."""
    import pandapower as pp

    from stackelgrid.controllers.devices.devices import read_devices

    net = radial_net([0], [0.0, 50.0], [0.0, 0.0])
    unit = pp.create_sgen(net, 1, 0.0, min_p_mw=0.0, max_p_mw=0.1, controllable=True)
    pp.create_poly_cost(net, unit, "sgen", 200.0)
    network = radial_network(net, "mv")
    devices = read_devices(net, "mv", slack_is_unit=False)
    model = mv_dispatch_model(network, devices, np.ones(1), exchange=ExchangeLimits(max_p_mw=0.03))
    base, nothing = network.base_mva, np.zeros((2, 1))
    data = {"load_p": np.array([[0.0], [0.05 / base]]), "load_q": nothing, "v_head": np.ones(1),
            "pv_available": np.zeros((0, 1)), "import_price": np.full(1, 100.0),
            "export_price": np.full(1, 50.0)}  # fmt: skip
    optimum = optimise(model, data)
    assert base * optimum.value("p_import")[0] == pytest.approx(0.03, abs=1e-6)
    assert base * optimum.value("unit_p")[0] == pytest.approx(0.02, abs=1e-6)
    price = -optimum.dual("active_balance") / base
    np.testing.assert_allclose(price, 200.0, atol=1e-3)


def test_limits_are_read_and_an_empty_range_is_named(radial_net):
    net = radial_net([0], [0.0, 50.0], [0.0, 0.0])
    assert exchange_limits(net, "mv") == ExchangeLimits()
    net.ext_grid["min_p_mw"], net.ext_grid["max_q_mvar"] = 0.1, np.nan
    assert exchange_limits(net, "mv").stated == {"min_p_mw": 0.1}
    net.ext_grid["max_p_mw"] = 0.05
    message = r"grid mv: ext_grid 0 has the empty range \[0.1, 0.05\]; min_p_mw <= max_p_mw"
    with pytest.raises(NetworkError, match=message):
        exchange_limits(net, "mv")


@pytest.mark.parametrize(
    ("exchange", "amount", "where"),
    [
        ((0.5, 0.1), 0.0, ""),
        ((1.2, 0.5), 0.2, "ext_grid at 1.2 MW"),
        ((-0.3, -1.5), 0.5, "ext_grid at -1.5 MVAr"),
        ((-0.3, 0.0), 0.3, "ext_grid at -0.3 MW"),
    ],
)
def test_violations_of_an_exchange(exchange, amount, where):
    limits = ExchangeLimits(min_p_mw=0.0, max_p_mw=1.0, min_q_mvar=-1.0)
    found = limits.violation(*exchange, base_mva=1.0)
    assert (pytest.approx(found.amount), found.where) == (amount, where)
