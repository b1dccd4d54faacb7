"""Response of devices to set points: one rule for simulated devices and fallbacks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackelgrid.controllers.devices.batteries import Batteries
from stackelgrid.controllers.devices.photovoltaics import Photovoltaics
from stackelgrid.controllers.devices.units import Units

UNIT = st.floats(0.0, 1.0)


def batteries(p_max, e_min, e_max, charge=1.0, discharge=1.0):
    one = np.ones(1)
    return Batteries(
        (0,), ("b",), np.array([0]), p_max * one, e_min * one, e_max * one, e_min * one,
        charge * one, discharge * one, 0.0 * one, ("",),
    )  # fmt: skip


@settings(max_examples=200)
@given(
    fill=UNIT, set_point=st.floats(-3.0, 3.0), dt_h=st.floats(0.05, 4.0),
    charge=st.floats(0.5, 1.0), discharge=st.floats(0.5, 1.0), e_min=st.floats(0.0, 0.5),
)  # fmt: skip
def test_a_battery_stays_in_its_limits_and_balances(
    fill, set_point, dt_h, charge, discharge, e_min
):
    battery = batteries(0.8, e_min, 2.0, charge, discharge)
    before = np.array([e_min + fill * (2.0 - e_min)])
    power, after = battery.step(before, np.array([set_point]), dt_h)
    assert -0.8 <= power[0] <= 0.8
    assert e_min <= after[0] <= 2.0
    assert power[0] * set_point >= 0.0  # never the other direction
    assert abs(power[0]) <= abs(set_point) + 1e-12
    stored = dt_h * (charge * max(power[0], 0.0) + min(power[0], 0.0) / discharge)
    assert after[0] - before[0] == pytest.approx(stored, abs=1e-12)
    # what is refused was impossible: full, empty or at the rated power
    if abs(power[0]) < abs(set_point) - 1e-9:
        limits = (abs(abs(power[0]) - 0.8), after[0] - e_min, 2.0 - after[0])
        assert min(limits) < 1e-9


def test_battery_numbers_by_hand():
    battery = batteries(1.0, 0.2, 2.0, 0.9, 0.8)
    power, after = battery.step(np.array([1.0]), np.array([0.5]), 0.5)
    assert (power[0], after[0]) == (0.5, pytest.approx(1.0 + 0.5 * 0.9 * 0.5))
    power, after = battery.step(np.array([1.0]), np.array([-0.5]), 0.5)
    assert (power[0], after[0]) == (-0.5, pytest.approx(1.0 - 0.5 / 0.8 * 0.5))
    power, after = battery.step(np.array([0.4]), np.array([-1.0]), 1.0)
    assert (power[0], after[0]) == (pytest.approx(-0.2 * 0.8), pytest.approx(0.2))


@settings(max_examples=200)
@given(
    available=st.floats(0.0, 2.0), p_set=st.floats(-1.0, 3.0), q_set=st.floats(-3.0, 3.0),
    factor=st.sampled_from([0.0, 0.8, 0.95, 1.0]),
)  # fmt: skip
def test_pv_stays_in_its_circle_and_power_factor(available, p_set, q_set, factor):
    one = np.ones(1)
    pv = Photovoltaics((0,), ("pv",), np.array([0]), one, 1.2 * one, factor * one, ("",))
    p, q = (x[0] for x in pv.output(available * one, p_set * one, q_set * one))
    assert p == pytest.approx(min(max(p_set, 0.0), available, 1.2))
    assert np.hypot(p, q) <= 1.2 + 1e-12
    if factor > 0.0:
        assert abs(q) <= p * np.tan(np.arccos(factor)) + 1e-12
    room = np.sqrt(1.2**2 - p**2)
    if factor > 0.0:
        room = min(room, p * np.tan(np.arccos(factor)))
    assert q == pytest.approx(np.clip(q_set, -room, room), abs=1e-12)


def test_arrays_over_steps_are_limited_like_single_values():
    one = np.ones(2)
    factor = np.array([0.0, 0.9])
    pv = Photovoltaics((0, 1), ("a", "b"), np.array([0, 1]), one, one, factor, ("", ""))
    rng = np.random.default_rng(1)
    available, p_set, q_set = rng.uniform(0.0, 1.3, (3, 2, 5))
    p, q = pv.output(available, p_set, q_set)
    for t in range(5):
        p_t, q_t = pv.output(available[:, t], p_set[:, t], q_set[:, t])
        np.testing.assert_array_equal((p[:, t], q[:, t]), (p_t, q_t))
    units = Units(
        ("gen",) * 2, (0, 1), ("a", "b"), np.array([0, 1]), np.array([0.2, -np.inf]),
        np.array([1.0, np.inf]), one, one, one,
    )  # fmt: skip
    np.testing.assert_array_equal(
        units.output(np.array([[0.0, 0.5, 7.0], [-9.0, 0.5, 7.0]])),
        [[0.2, 0.5, 1.0], [-9.0, 0.5, 7.0]],
    )


def inverters(count, sn_mva=0.5, factor=0.0):
    one = np.ones(count)
    return Photovoltaics(
        tuple(range(count)), ("",) * count, np.zeros(count, dtype=np.int64), one, sn_mva * one,
        factor * one, ("",) * count,
    )  # fmt: skip


def test_a_plan_limits_pv_only_where_it_curtails():
    """Forecast 0.3 MW: all of it, all but a solver's rounding, 0.2 MW; 0.6 MW beyond a rating."""
    planned = np.array([0.3, 0.3 - 4e-6, 0.2, 0.5])
    available = np.array([0.3, 0.3, 0.3, 0.6])
    np.testing.assert_array_equal(inverters(4).limit(planned, available), [0.5, 0.5, 0.2, 0.5])
    steps = inverters(1).limit(planned[None], available[None])
    np.testing.assert_array_equal(steps, [[0.5, 0.5, 0.2, 0.5]])


@pytest.mark.parametrize(
    ("available", "free", "curtailed"),
    [(0.4, 0.4, 0.2), (0.1, 0.1, 0.1), (0.6, 0.5, 0.2), (0.3, 0.3, 0.2)],
)
def test_pv_feeds_in_what_there_is_up_to_its_limit(available, free, curtailed):
    """Planned at 0.3 MW of 0.3 MW without a limit, and at 0.2 MW of 0.3 MW with one."""
    systems, planned = inverters(2), np.array([0.3, 0.2])
    limit = systems.limit(planned, np.full(2, 0.3))
    p, _ = systems.output(np.full(2, available), planned, np.zeros(2), limit)
    np.testing.assert_array_equal(p, [free, curtailed])


def test_reactive_power_shrinks_to_the_circle_at_the_real_active_power():
    """3-4-5: 0.4 MVAr beside 0.3 MW fill 0.5 MVA; 0.4 MW come and leave 0.3 MVAr."""
    systems, limit = inverters(2), np.full(2, 0.5)
    q_set = np.array([0.4, -0.4])
    p, q = systems.output(np.full(2, 0.4), np.full(2, 0.3), q_set, limit)
    np.testing.assert_allclose((p, q), [[0.4, 0.4], [0.3, -0.3]], rtol=1e-12)
    # cos phi 0.8 of 0.2 MW that come instead of 0.4 MW: 0.15 MVAr
    p, q = inverters(2, factor=0.8).output(np.full(2, 0.2), np.full(2, 0.4), q_set, limit)
    np.testing.assert_allclose((p, q), [[0.2, 0.2], [0.15, -0.15]], rtol=1e-12)
