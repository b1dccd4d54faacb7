"""The controller of the system without control, on a few small systems."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures.systems import DAY, LOAD, PRICE, SUN, measure, settings_of

from stackelgrid.controllers.at_rest import AtRest
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.system import System

MARGIN = 15.0


@pytest.fixture(scope="module")
def decision(system):
    return AtRest(system, settings_of()).decide(0, measure(system))


def test_storage_idles_and_available_power_is_fed_in(system, decision):
    for feeder in system.feeders:
        plan = decision.plans[feeder.name].schedule
        forecast = feeder.forecast.at(0)
        assert not plan.battery_p_mw.any()
        assert not plan.charge_mw.any()
        stored = np.tile(feeder.devices.initial["battery_e_mwh"][:, None], DAY.length)
        assert np.array_equal(plan.battery_e_mwh, stored)
        assert np.array_equal(plan.pv_p_mw, forecast.pv_available_mw.T)
        own = forecast.load_p_mw.sum(axis=1) - forecast.pv_available_mw.sum(axis=1)
        np.testing.assert_allclose(plan.p_import_mw, own, rtol=0, atol=1e-15)


def test_every_set_point_is_what_the_kind_holds_without_a_plan(system, decision):
    for feeder in system.feeders:
        forecast, states = feeder.forecast.at(0), feeder.devices.initial
        points = decision.plans[feeder.name].set_points.devices
        held = feeder.devices.held(None, forecast, states, DAY.dt_h)
        for kind in kinds():
            for name in kind.names(Role.SET_POINT):
                if name in held:
                    assert np.array_equal(points[name], held[name][:, 0]), name


def test_transmission_serves_what_all_copies_draw(system, decision):
    plan = decision.plans["tn"].schedule
    exchange = sum(
        f.boundary.multiplicity * decision.plans[f.name].schedule.p_import_mw
        for f in system.feeders
    )
    load = system.transmission.forecast.at(0).load_p_mw.sum(axis=1)
    np.testing.assert_allclose(plan.unit_p_mw.sum(axis=0), load + exchange, atol=1e-5)
    assert decision.plans["tn"].report.fallback == ""


def test_lower_exchanges_are_added_up(build_medium):
    system = build_medium()
    plans = AtRest(system, settings_of()).decide(0, measure(system)).plans
    medium = system.feeders[0]
    own = medium.forecast.at(0).load_p_mw.sum(axis=1)
    below = 30 * plans["lv1"].schedule.p_import_mw + 40 * plans["lv2"].schedule.p_import_mw
    np.testing.assert_allclose(plans["mv1"].schedule.p_import_mw, own + below, atol=1e-12)
    assert set(plans) == {"mv1", "lv1", "lv2"}  # nobody dispatches above


def test_prosumers_trade_with_the_grid_only(system, decision):
    # homes: PV (0.02 MW) at bus 2, a battery at bus 4; load as the net states it
    feeder = system.feeders[0]
    trade = decision.plans["lv1"].schedule.trade
    load = dict(zip(feeder.devices.loads.bus, feeder.devices.loads.p_mw, strict=True))
    assert trade.bus == (2, 4)
    net = np.array([load[2] * LOAD - 0.02 * SUN, load[4] * LOAD])
    np.testing.assert_allclose(trade.grid_buy_mw - trade.grid_sell_mw, net, atol=1e-12)
    assert not (trade.inside_buy_mw.any())
    assert not (trade.across_buy_mw.any())


def test_price_for_grids_below_is_that_of_the_exchange(system, decision):
    plan = decision.plans["lv1"].schedule
    price = np.where(plan.p_import_mw >= 0.0, PRICE, PRICE - 40.0)
    assert (plan.p_import_mw < 0.0).any()
    assert (plan.p_import_mw > 0.0).any()
    assert np.array_equal(plan.price_eur_per_mwh[0], price)
    assert plan.price_eur_per_mwh.shape == (system.feeders[0].network.buses, DAY.length)


def test_measured_energy_is_kept_within_its_limits(system):
    measured = {
        f.name: Measurement(1.0, 0, {n: 1.5 * v for n, v in f.devices.initial.items()})
        for f in system.feeders
    }
    plan = AtRest(system, settings_of()).decide(1, measured).plans["lv1"].schedule
    most = system.feeders[0].devices.batteries.e_max_mwh
    wanted = np.minimum(1.5 * system.feeders[0].devices.initial["battery_e_mwh"], most)
    assert np.array_equal(plan.battery_e_mwh[:, 0], wanted)


def test_state_is_that_of_the_dispatch(system):
    first = AtRest(system, settings_of())
    first.decide(0, measure(system))
    again = AtRest(replace(system), settings_of())
    again.restore(first.state())
    held = again.state()["_tso"]["_last"]
    assert np.array_equal(held.unit_p_mw, first.state()["_tso"]["_last"].unit_p_mw)
    alone = AtRest(System(None, system.feeders, DAY), settings_of())
    alone.restore(alone.state())
