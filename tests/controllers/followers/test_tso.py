"""The TSO's dispatch, its prices, and what it does without a solution."""

import numpy as np
import pytest
from support.records import grid_series

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.followers.tso import TsoAgent
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.controllers.system import Transmission
from stackelgrid.profiles.forecast import PerfectForecast
from stackelgrid.profiles.time_axis import Horizon

HORIZON = Horizon((15, 15, 60), 15)


@pytest.fixture
def make_tso(load_case):
    def make(load=1.0, lower=None):
        net = load_case("case30")
        devices = read_devices(net, "tn", slack_is_unit=True)
        factor = np.resize(load, 24)
        nothing = np.zeros(24)
        series = grid_series(
            np.outer(factor, devices.loads.p_mw), np.outer(factor, devices.loads.q_mvar),
            np.zeros((24, 0)), nothing, nothing,
        )  # fmt: skip
        forecast = PerfectForecast(series, HORIZON)
        grid = Transmission("tn", net, meshed_network(net, "tn"), devices, forecast)
        return TsoAgent(grid, HORIZON, lower or {})

    return make


def test_the_dispatch_of_case30(make_tso, reference):
    known = reference["dc_opf"]["case30"]
    plan = make_tso().decide(0, {})
    assert plan.report.fallback == ""
    assert plan.report.objective_eur == pytest.approx(1.5 * known["cost_per_h"], rel=1e-6)
    np.testing.assert_allclose(
        plan.schedule.price_eur_per_mwh, known["price_per_mwh"], rtol=0, atol=1e-4
    )
    for t in range(3):
        np.testing.assert_allclose(
            sorted(plan.schedule.unit_p_mw[:, t]), sorted(known["dispatch_mw"]), atol=5e-3
        )
    np.testing.assert_array_equal(plan.set_points.unit_p_mw, plan.schedule.unit_p_mw[:, 0])


def test_feeders_are_loads_at_their_buses(make_tso, reference):
    tso = make_tso(lower={"mv1": 7, "mv2": 29})
    lower = {
        "mv1": BoundaryProfile(np.array([3.0, 4.0, 5.0]), np.zeros(3)),
        "mv2": BoundaryProfile(np.array([1.0, 0.0, -2.0]), np.zeros(3)),
    }
    plan = tso.decide(0, lower)
    total = sum(reference["dc_opf"]["case30"]["dispatch_mw"])  # the load of case30, lossless
    np.testing.assert_allclose(
        plan.schedule.unit_p_mw.sum(axis=0), total + np.array([4.0, 4.0, 3.0]), atol=5e-3
    )


def test_load_above_generation_keeps_the_last_dispatch(make_tso):
    # 335 MW of units (MATPOWER case30) for 189.2 MW of load, times 2 from the third interval on
    tso = make_tso(load=[1.0, 1.0] + [2.0] * 22)
    assert tso.grid.devices.units.p_max_mw.sum() == 335.0
    first = tso.decide(0, {})
    assert first.report.status == "infeasible"  # the hour in its horizon cannot be served
    assert first.schedule.price_eur_per_mwh is None
    share = np.array([1.0, 1.0, 2.0]) * 189.2 / 335.0
    units = tso.grid.devices.units
    expected = np.minimum(np.outer(units.p_max_mw, share), units.p_max_mw[:, None])
    np.testing.assert_allclose(first.schedule.unit_p_mw, expected, rtol=1e-12)

    tso = make_tso(load=[1.0, 0.7, 0.6, 0.5, 0.4, 0.3] + [9.0] * 18)
    good = tso.decide(0, {})
    assert good.report.fallback == ""
    bad = tso.decide(1, {})
    assert bad.report.fallback == "clarabel returned infeasible (PrimalInfeasible)"
    np.testing.assert_array_equal(bad.set_points.unit_p_mw, good.schedule.unit_p_mw[:, 1])
    price = good.schedule.price_eur_per_mwh
    np.testing.assert_array_equal(bad.schedule.price_eur_per_mwh[:, 0], price[:, 1])
    again = tso.decide(2, {})
    # the hour that followed, whose mean the last good plan knew
    np.testing.assert_allclose(
        again.set_points.unit_p_mw, good.schedule.unit_p_mw[:, 2], rtol=1e-12
    )
    np.testing.assert_allclose(again.schedule.price_eur_per_mwh[:, 0], price[:, 2], rtol=1e-12)
