"""The kind `external`: forecasts, limits, held and reduced plans, bounds of injection."""

import numpy as np
import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.externals import Externals
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.models.p2p import prosumers_of
from stackelgrid.profiles.forecast import GridForecast

DT = np.array([0.25, 0.25, 0.5, 1.0])  # one, one, two and four intervals
NAN = np.nan


def externals(**changes):
    """A house as it comes, one with a profile, a planned heat pump and a planned generator."""
    values = {
        "index": (4, 5, 6, 7), "name": ("House 1", "House 2", "Pump 3", "Plant 4"),
        "bus": np.array([1, 2, 3, 4]), "p_initial_mw": np.array([0.5, 0.0, 1.0, -1.0]),
        "p_min_mw": np.array([NAN, NAN, 0.5, -2.0]), "p_max_mw": np.array([NAN, NAN, 3.0, 0.0]),
        "p_rated_mw": np.zeros(4), "price_eur_per_mwh": np.array([0.0, 0.0, 100.0, 60.0]),
        "profiled": np.array([False, True, False, False]), "phase": ("",) * 4,
    }  # fmt: skip
    return Externals(**values | changes)


def forecast():
    profile = np.zeros((4, 4))
    profile[:, 1] = [1.0, 2.0, 3.0, 4.0]
    return GridForecast(np.ones(4), np.ones(4), external_profile_mw=profile)


def states(**changes):
    announced = np.array([[1, 2, 3, 4, 5], [9] * 5, [1] * 5, [-1] * 5], dtype=float)
    return {
        "external_p_mw": announced[:, 0], "external_q_mvar": np.array([0.1, 0.2, 0.0, 0.0]),
        "external_next_mw": announced, **changes,
    }  # fmt: skip


def test_expected_power_is_announced_held_or_of_a_file():
    kind = externals()
    # means over 1, 1, 2 and 4 of the intervals 1 2 3 4 5 5 5 5, of which 5 are known
    by_hand = [[1, 2, 3.5, 5], [1, 2, 3, 4], [1] * 4, [-1] * 4]
    found = kind.parameters(forecast(), states(), DT)
    assert found["external_expected"] == pytest.approx(np.array(by_hand))
    assert found["external_reactive"] == pytest.approx(np.tile([[0.1], [0.2], [0.0], [0.0]], 4))
    # before the first interval: the stated power
    first = kind.parameters(forecast(), kind.initial, DT)["external_expected"]
    assert first[[0, 2, 3]] == pytest.approx(np.tile([[0.5], [1.0], [-1.0]], 4))


def test_what_is_announced_continues_with_its_last_value():
    given = {
        "external_given_mw": np.array([1.0, 2.0]), "external_given_mvar": np.array([0.5, 0.0]),
        "external_announced_mw": np.array([[3.0, NAN, 4.0, NAN], [NAN, NAN, NAN, NAN]]),
    }  # fmt: skip
    own = externals().scaled(0.0)
    outputs = own.deliver({}, given, states(), 0.25)
    assert outputs["external_next_mw"].tolist() == [[3.0, 3.0, 4.0, 4.0], [2.0] * 4]
    assert outputs["external_p_mw"].tolist() == [1.0, 2.0]
    assert np.isnan(outputs["external_asked_mw"]).all()


def test_held_plans_keep_set_points_within_the_limits_and_have_none_without_a_plan():
    kind, seen = externals(), states()
    rest = kind.held(None, forecast(), seen, DT)
    assert "external_asked_mw" not in rest
    assert rest["external_p_mw"][2] == pytest.approx([1.0] * 4)
    last = {
        "external_p_mw": np.array([[7.0] * 4, [7.0] * 4, [0, 1, 2, 9], [-9, -1, 0, 1]]),
        "external_q_mvar": np.zeros((4, 4)), "external_asked_mw": np.zeros((4, 4)),
    }  # fmt: skip
    held = kind.held(last, forecast(), seen, DT)
    assert held["external_p_mw"][:2] == pytest.approx(rest["external_p_mw"][:2])
    assert held["external_p_mw"][2:].tolist() == [[0.5, 1, 2, 3], [-2, -1, 0, 0]]
    assert held["external_asked_mw"][2:].tolist() == held["external_p_mw"][2:].tolist()
    # only planned devices receive set points
    points = kind.completed(kind.set_points(held, 1), dict)
    assert np.array_equal(points["external_asked_mw"], [NAN, NAN, 1.0, -1.0], equal_nan=True)


def test_reduced_demand_stays_above_the_least_power_and_generation_is_kept():
    kind = externals()
    plan = {
        "external_p_mw": np.array([[2.0] * 4, [2.0] * 4, [2.0] * 4, [-2.0] * 4]),
        "external_q_mvar": np.zeros((4, 4)),
    }  # fmt: skip
    share = np.array([1.0, 0.5, 0.0, np.inf])
    less = kind.turned_down(plan, np.array([1.0, 0.5, 0.1, 0.0]), forecast(), states(), DT)
    assert less["external_p_mw"].tolist() == [
        [2.0] * 4, [2.0] * 4, [2.0, 1.0, 0.5, 0.5], [-2.0] * 4,
    ]  # fmt: skip
    caps = kind.load_caps(plan, share)["external_p"]
    assert caps[2].tolist() == [2.0, 1.0, 0.5, np.inf]
    assert np.isinf(caps[[0, 1, 3]]).all()


def test_the_price_is_that_of_energy_below_the_most():
    power = {"external_p_mw": np.array([5.0, 5.0, 1.0, -1.5])}
    # 100 EUR/MWh for 2 MW not drawn, 60 EUR/MWh for 1.5 MW of generation
    assert externals().hourly_cost(power, None) == pytest.approx(100 * 2.0 + 60 * 1.5)


def test_largest_injection_bounds_every_plan_of_the_model():
    planned = externals(profiled=np.array([True, True, False, False]))
    most, reactive = planned.largest_injection(forecast())
    assert most[1].tolist() == [-1, -2, -3, -4]
    assert most[2:].tolist() == [[-0.5] * 4, [2.0] * 4]
    m = pyo.ConcreteModel()
    m.steps = pyo.RangeSet(0, 3)
    injection = planned.equations(m, 1.0, DT, None)
    low = [m.external_p[i, 0].lb for i in range(4)]
    assert low == [None, None, 0.5, -2.0]
    assert injection.p(3, 0) is m.external_p[3, 0]
    # of the others the power is a row
    assert len(m.external_as_expected) == 2 * 4
    assert not reactive.any()
    with pytest.raises(NetworkError, match=r"load 4 \(House 1\): its power is known while"):
        externals().largest_injection(forecast())


def test_only_planned_devices_trade_up_to_their_limits(loads_nowhere):
    own = prosumers_of(Devices((loads_nowhere, externals())), np.zeros(0))
    assert own.bus == (3, 4)
    assert own.buy_cap_mw.tolist() == [3.0, 0.0]
    assert own.sell_cap_mw.tolist() == [0.0, 2.0]


@pytest.fixture
def loads_nowhere():
    from stackelgrid.controllers.devices.loads import Loads

    none = np.zeros(0)
    ints, flags = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
    return Loads((), (), (), ints, none, none, flags, (), flags)


def test_sizes_of_a_sweep_scale_powers():
    twice = externals().scaled(2.0)
    assert twice.p_max_mw[2] == 6.0
    assert twice.scaled_states(states(), 2.0)["external_next_mw"][0, 1] == 4.0
    profile = externals().scaled_series(forecast().devices, 2.0)["external_profile_mw"]
    assert profile[3, 1] == 8.0
