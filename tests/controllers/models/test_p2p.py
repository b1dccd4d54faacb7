"""Peer-to-peer trade against figures by hand: when it pays, roles, caps, clearing."""

import numpy as np
import pandapower as pp
import pytest

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.models.active_network import ActiveNetworkOptions
from stackelgrid.controllers.models.p2p import TradeOptions, prosumers_of

MARGIN = 15.0


def options(fee_inside=8.0, fee_across=None):
    trade = TradeOptions(MARGIN, fee_inside, fee_across or 0.0, fee_across is not None)
    return ActiveNetworkOptions(trade=trade)


def split(result, total, side):
    """A sum of the feeder (steps,) over its prosumers in proportion to what they buy or sell."""
    own = result.mw(side)
    whole = own.sum(axis=0)
    return result.mw(total) * own / np.where(whole > 0.0, whole, 1.0)


@pytest.fixture
def pair(radial_net, with_devices):
    """Two prosumers on stiff lines: bus 1 with 1 kW of load, bus 2 with 6 kW; 10 kW of PV each."""
    net = radial_net([0, 1], [0, 1.0, 6.0], [0] * 3, length_km=0.0001)
    return with_devices(net, pv=[(1, 0.01, 0.02), (2, 0.01, 0.02)])


# bus 1 has 9 kW to spare, bus 2 lacks 6
NOON = [[0.01], [0.0]]


@pytest.mark.parametrize("gap", [None, 1e-7])
@pytest.mark.parametrize(("fee", "traded"), [(8.0, 6.0), (29.0, 6.0), (31.0, 0.0), (80.0, 0.0)])
def test_trade_inside_pays_where_its_fee_is_below_both_margins(
    pair, solve_active, fee, traded, gap
):
    result = solve_active(pair, pv_mw=NOON, options=options(fee), gap=gap)
    for total, side, expected in (
        ("inside", "buy", [0.0, traded]),
        ("inside", "sell", [traded, 0.0]),
        ("grid_sell", "sell", [9.0 - traded, 0.0]),
        ("grid_buy", "buy", [0.0, 6.0 - traded]),
    ):
        kilowatts = 1e3 * split(result, total, side)[:, 0]
        np.testing.assert_allclose(kilowatts, expected, atol=1e-3)
    # 3 kW leave the feeder at 50 EUR/MWh whoever trades with whom
    margins = MARGIN * (9.0 - traded + 6.0 - traded)
    expected = (-50.0 * 3.0 + margins + fee * traded) / 1e3
    assert result.objective == pytest.approx(expected, abs=1e-4)


def test_without_trade_nobody_pays_a_margin(pair, solve_active):
    plain = solve_active(pair, pv_mw=NOON)
    assert plain.objective == pytest.approx(-0.15, abs=1e-4)
    assert "role" not in plain.optimum.compiled.columns


def test_the_balance_of_every_prosumer_holds(pair, with_devices, solve_active):
    with_devices(pair, batteries=[(2, 0.004, 0.008, 50.0, 0.9, 2.0), (2, 0.002, 0.004)])
    dt, sun = np.array([0.5, 1.0, 2.0]), np.array([[0.01, 0.004, 0.0], [0.003, 0.008, 0.0]])
    result = solve_active(
        pair, dt, pv_mw=sun, load=[1.0, 0.5, 2.0], import_price=[100.0, 60.0, 250.0],
        export_price=[40.0, 30.0, 120.0], options=options(), gap=1e-6,
    )  # fmt: skip
    bought = split(result, "grid_buy", "buy") + split(result, "inside", "buy")
    sold = split(result, "grid_sell", "sell") + split(result, "inside", "sell")
    np.testing.assert_allclose(bought, result.mw("buy"), rtol=0, atol=1e-7)
    np.testing.assert_allclose(sold, result.mw("sell"), rtol=0, atol=1e-7)
    battery = result.mw("discharge") - result.mw("charge")
    surplus = result.mw("pv_p") - np.outer([0.001, 0.006], [1.0, 0.5, 2.0])
    surplus[1] += battery.sum(axis=0)
    np.testing.assert_allclose(surplus, sold - bought, rtol=0, atol=1e-7)
    inside = result.mw("inside")[0]
    assert inside.max() > 1e-3
    for side in ("buy", "sell"):
        whole = split(result, "inside", side).sum(axis=0)
        np.testing.assert_allclose(whole, inside, rtol=0, atol=1e-7)
    assert np.minimum(bought, sold).max() < 1e-7
    roles = result.pu("role")
    np.testing.assert_allclose(roles, np.round(roles), atol=1e-6)
    assert (bought <= 0.02 * roles + 1e-7).all()


def test_caps_hold_the_devices_and_the_largest_load(radial_net, with_devices):
    net = radial_net([0, 1, 2, 3], [0, 1.0, 2.0, 3.0, 4.0], [0] * 5)
    with_devices(
        net,
        pv=[(3, 0.01, 0.02), (1, 0.005), (3, 0.007)],
        batteries=[(3, 0.004, 0.01), (4, 0.002, 0.01)],
    )
    pp.create_load(net, 4, p_mw=0.006, q_mvar=0.0)
    pp.create_sgen(net, 4, p_mw=0.0015, q_mvar=0.0, type="WP")  # a load of negative power
    devices = read_devices(net, "tested", slack_is_unit=False)
    assert list(devices.loads.bus) == [1, 2, 3, 4, 4, 4]
    peaks = np.array([0.002, 0.004, 0.006, 0.008, 0.012, -0.0015])
    found = prosumers_of(devices, peaks)
    assert found.bus == (1, 3, 4)  # bus 2 has a load only
    np.testing.assert_allclose(found.buy_cap_mw, [0.002, 0.004 + 0.006, 0.002 + 0.008 + 0.012])
    np.testing.assert_allclose(found.sell_cap_mw, [0.005, 0.004 + 0.017, 0.002 + 0.0015])


def test_a_grid_without_prosumers_has_none(radial_net, solve_active):
    net = radial_net([0, 1], [0, 1.0, 2.0], [0] * 3, length_km=0.0001)
    devices = read_devices(net, "tested", slack_is_unit=False)
    assert prosumers_of(devices, np.array([0.001, 0.002])).bus == ()
    result = solve_active(net, options=options(fee_across=10.0), gap=1e-6)
    # it cannot trade across, so it pays for all it takes
    assert result.objective == pytest.approx(0.3, abs=1e-4)
    np.testing.assert_allclose(result.mw("across_net"), 0.0, atol=1e-9)
