"""A feeder's program with prices and distances: its objective by hand, responses, cut trade."""

import numpy as np
import pytest

from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.leaders.feeder_records import TARIFF, UNPRICED
from stackelgrid.controllers.leaders.priced_feeder import PricedFeeder
from stackelgrid.controllers.models.active_network import (
    ActiveNetworkLibrary,
    ActiveNetworkOptions,
)
from stackelgrid.controllers.models.p2p import TradeOptions
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.solvers import ClarabelSolver
from stackelgrid.profiles.time_axis import Horizon

STEPS = 4
HORIZON = Horizon((60,) * STEPS, 60)
NOTHING = (np.zeros(STEPS),) * 3
PRICE = np.array([60.0, 50.0, 250.0, 300.0])


@pytest.fixture
def make_priced(radial_net, with_devices, build_feeder):
    """`make_priced(variant, across)`: a priced feeder that stands for seven, and its instance."""

    def make(variant=TARIFF, across=True):
        net = radial_net([0, 1, 1], [0, 2, 3, 4], [0, 0.5, 0.5, 0.5], length_km=0.05)
        net.bus[["min_vm_pu", "max_vm_pu"]] = (0.85, 1.1)
        with_devices(net, pv=[(2, 0.01, 0.011)], batteries=[(3, 0.004, 0.01, 50.0, 0.95, 5.0)])
        feeder = build_feeder(
            net, "lv1", HORIZON, pv=np.array([0.8, 1.0, 0.3, 0.0]), import_price=PRICE,
            export_price=PRICE - 40.0, intervals=STEPS, multiplicity=7,
            options=ActiveNetworkOptions(1.0, trade=TradeOptions(15.0, 8.0, 16.0, across)),
        )  # fmt: skip
        agent = FeederAgent(feeder, HORIZON, ActiveNetworkLibrary(), {})
        instance = agent.prepare(0, Measurement(1.0, 0, battery_e_mwh=np.array([0.005])), {}, None)
        return PricedFeeder(agent, variant), instance

    return make


def respond(priced, instance, trade=NOTHING, exchange=NOTHING):
    program = priced.program(trade[2], exchange[2])
    found = ClarabelSolver(program).solve(priced.data(instance, trade, exchange))
    assert found.status == "optimal", found.message
    return found


def terms(price=0.0, target=0.0, penalty=0.0):
    return tuple(np.full(STEPS, v) for v in (price, target, penalty))


@pytest.mark.parametrize("variant", [TARIFF, UNPRICED])
def test_prices_and_distances_count_in_eur(make_priced, variant):
    priced, instance = make_priced(variant)
    assert priced.multiplicity == 7.0
    rng = np.random.default_rng(3)
    x = rng.normal(size=priced.compiled.program.variables) * 1e-2
    trade = (
        np.array([80.0, -20.0, 0.0, 5.0]),
        rng.normal(size=STEPS),
        np.array([0.0, 1e3, 3.0, 1.0]),
    )
    exchange = (
        np.array([1.0, 2.0, -3.0, 4.0]),
        rng.normal(size=STEPS),
        np.array([7.0, 0.0, 1e4, 1.0]),
    )
    own = priced.compiled.program.objective(x, priced.data(instance, NOTHING, NOTHING))
    with_terms = priced.program(trade[2], exchange[2]).objective(
        x, priced.data(instance, trade, exchange)
    )
    base = priced.base
    traded, exchanged = (base * x[priced.compiled.columns[n]] for n in ("across_net", "p_import"))
    np.testing.assert_allclose(priced.trade(x), traded, rtol=1e-12)
    np.testing.assert_allclose(priced.exchange(x), exchanged, rtol=1e-12)
    by_hand = sum(
        price @ power + 0.5 * penalty @ (power - target) ** 2
        for power, (price, target, penalty) in ((traded, trade), (exchanged, exchange))
    )
    assert with_terms == pytest.approx(own + by_hand, rel=1e-9)


def test_nothing_asked_is_the_feeders_own_program(make_priced):
    priced, instance = make_priced(across=False)
    assert priced.program(np.zeros(STEPS), np.zeros(STEPS)) is priced.compiled.program
    found = respond(priced, instance)
    cost = priced.agent.own_cost(instance, found.x, TARIFF)
    cost += priced.agent.tariff_payment(instance, found.x, TARIFF)
    assert found.objective == pytest.approx(cost, rel=1e-6)
    # without trade across its terms are no one's business
    assert not priced.trades
    np.testing.assert_array_equal(priced.trade(found.x), np.zeros(STEPS))
    same = respond(priced, instance, trade=terms(500.0, 1.0, 1e4))
    assert same.objective == pytest.approx(found.objective, rel=1e-7)


def test_purchases_fall_with_the_price_and_come_near_to_a_target(make_priced):
    priced, instance = make_priced()
    penalty = 5e4
    bought = [
        priced.trade(respond(priced, instance, trade=terms(price, 0.0, penalty)).x).sum()
        for price in (-100.0, 50.0, 150.0, 400.0)
    ]
    assert (np.diff(bought) <= 1e-9).all()
    assert bought[0] > 0.001 > -0.001 > bought[-1]
    # a stiff target that it can reach is reached
    reached = priced.trade(respond(priced, instance, trade=terms(100.0, 1e-3, 1e8)).x)
    np.testing.assert_allclose(reached, 1e-3, atol=2e-5)
    # an exchange price moves its battery into the cheap hour
    free = priced.exchange(respond(priced, instance).x)
    dear = np.array([0.0, 0.0, 400.0, 0.0])
    moved = priced.exchange(respond(priced, instance, exchange=(dear, *NOTHING[:2])).x)
    assert moved[2] < free[2] - 1e-4


@pytest.mark.parametrize("variant", [TARIFF, UNPRICED])
@pytest.mark.parametrize(("side", "price"), [("buy", -40.0), ("sell", 400.0)])
def test_cut_trade_is_left_to_the_grid(make_priced, variant, side, price):
    priced, instance = make_priced(variant)
    x = respond(priced, instance, trade=terms(price, 0.0, 5e4)).x
    before = priced.across(x, side)
    assert before.max() > 1e-4
    kept = np.array([1.0, 0.5, 0.0, 0.25])
    cut = priced.with_share(x, side, kept)
    np.testing.assert_allclose(priced.across(cut, side), kept * before, atol=1e-12)
    other = "sell" if side == "buy" else "buy"
    np.testing.assert_array_equal(priced.across(cut, other), priced.across(x, other))
    sign = 1.0 if side == "buy" else -1.0
    np.testing.assert_allclose(
        priced.trade(cut) - priced.trade(x), -sign * (1.0 - kept) * before, atol=1e-12
    )
    # nothing physical changes and every row of the model holds
    np.testing.assert_array_equal(priced.exchange(cut), priced.exchange(x))
    data = priced.data(instance, NOTHING, NOTHING)
    assert priced.compiled.program.violation(cut, data.b)[0] <= 1e-7
    assert priced.with_share(x, side, np.ones(STEPS)) is x
    # what is cut pays the margin instead of the fee: at most that and the grid's prices apart
    own = [priced.agent.own_cost(instance, point, variant) for point in (x, cut)]
    moved_mwh = float(HORIZON.dt_h @ ((1.0 - kept) * before))
    fee = 16.0 if side == "buy" else 0.0
    assert own[1] - own[0] == pytest.approx((15.0 - fee) * moved_mwh, rel=1e-6, abs=1e-9)
