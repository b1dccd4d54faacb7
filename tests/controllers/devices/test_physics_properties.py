"""Properties of devices: limits hold for any set point; a set point within them is met."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackelgrid.controllers.devices.batteries import Batteries
from stackelgrid.controllers.devices.photovoltaics import Photovoltaics
from stackelgrid.controllers.devices.units import Units

NONE = np.zeros(0)


def batteries(p_max, e_min, e_max, charge, discharge):
    values = [np.atleast_1d(np.asarray(v, float)) for v in (p_max, e_min, e_max)]
    n = len(values[0])
    return Batteries(
        index=tuple(range(n)),
        name=("",) * n,
        bus=np.zeros(n, dtype=np.int64),
        p_max_mw=values[0],
        e_min_mwh=values[1],
        e_max_mwh=values[2],
        e_initial_mwh=values[1],
        efficiency_charge=np.full(n, charge),
        efficiency_discharge=np.full(n, discharge),
        wear_eur_per_mwh=np.zeros(n),
        phase=("",) * n,
    )


def photovoltaics(rated, sn, min_power_factor=0.0):
    n = len(rated)
    return Photovoltaics(
        index=tuple(range(n)),
        name=("",) * n,
        bus=np.zeros(n, dtype=np.int64),
        p_rated_mw=np.asarray(rated, float),
        sn_mva=np.asarray(sn, float),
        min_power_factor=np.full(n, min_power_factor),
        phase=("",) * n,
    )


def units(p_min, p_max):
    n = len(p_min)
    return Units(
        table=("sgen",) * n,
        index=tuple(range(n)),
        name=("",) * n,
        bus=np.zeros(n, dtype=np.int64),
        p_min_mw=np.asarray(p_min, float),
        p_max_mw=np.asarray(p_max, float),
        c2=NONE,
        c1=NONE,
        c0=NONE,
    )


@st.composite
def battery_cases(draw):
    share = st.floats(0.0, 1.0)
    e_max = draw(st.floats(1e-3, 100.0))
    e_min = draw(st.floats(0.0, 0.9)) * e_max
    energy = e_min + draw(share) * (e_max - e_min)
    efficiency = st.floats(0.5, 1.0)
    unit = batteries(draw(st.floats(1e-3, 50.0)), e_min, e_max, draw(efficiency), draw(efficiency))
    set_point = draw(st.floats(-200.0, 200.0))
    return unit, np.array([energy]), np.array([set_point]), draw(st.floats(1 / 60, 24.0))


@given(battery_cases())
def test_no_set_point_leaves_the_limits_of_a_battery(case):
    unit, energy, set_point, dt_h = case
    power, after = unit.step(energy, set_point, dt_h)
    assert unit.e_min_mwh <= after <= unit.e_max_mwh
    assert np.abs(power) <= unit.p_max_mw
    assert power * set_point >= 0.0  # never the other direction
    assert np.abs(power) <= np.abs(set_point)
    # the energy is that of the power delivered: clipping creates none
    p = power[0]
    rate = p * unit.efficiency_charge[0] if p > 0.0 else p / unit.efficiency_discharge[0]
    assert after[0] == pytest.approx(energy[0] + dt_h * rate, abs=1e-9 * unit.e_max_mwh[0])


@given(battery_cases())
def test_a_cut_set_point_reaches_a_limit(case):
    """Power is cut only as far as rating or energy ask for."""
    unit, energy, set_point, dt_h = case
    power, after = unit.step(energy, set_point, dt_h)
    if power[0] != set_point[0]:
        full = set_point[0] > 0.0 and after[0] == pytest.approx(unit.e_max_mwh[0])
        empty = set_point[0] < 0.0 and after[0] == pytest.approx(unit.e_min_mwh[0], abs=1e-9)
        assert abs(power[0]) == unit.p_max_mw[0] or full or empty


def test_battery_efficiencies_count_at_the_grid_side():
    """1 MW for an hour: 0.9 MWh arrive; 0.8 MW for an hour take 1 MWh out at 80 percent."""
    unit = batteries([1.0, 1.0, 1.0], [0.0] * 3, [10.0] * 3, 0.9, 0.8)
    power, after = unit.step(np.full(3, 5.0), np.array([1.0, -0.8, 0.0]), 1.0)
    np.testing.assert_array_equal(power, [1.0, -0.8, 0.0])
    np.testing.assert_allclose(after, [5.9, 4.0, 5.0], rtol=1e-15)


def test_battery_is_filled_and_emptied_exactly():
    """0.09 MWh of room take 0.4 MW for a quarter hour at 90 percent; 0.1 MWh give 0.32 MW."""
    unit = batteries([1.0, 1.0], [0.2, 0.2], [1.0, 1.0], 0.9, 0.8)
    power, after = unit.step(np.array([0.91, 0.3]), np.array([1.0, -1.0]), 0.25)
    np.testing.assert_allclose(power, [0.4, -0.32], rtol=1e-12)
    np.testing.assert_allclose(after, [1.0, 0.2], rtol=1e-12)


@given(
    available=st.floats(0.0, 1.2),
    p_set=st.floats(-2.0, 2.0),
    q_set=st.floats(-2.0, 2.0),
    factor=st.sampled_from([0.0, 0.8, 0.95, 1.0]),
)
def test_pv_stays_in_circle_power_factor_and_sun(available, p_set, q_set, factor):
    unit = photovoltaics([1.0], [1.1], factor)
    p, q = unit.output(*(np.array([v]) for v in (available, p_set, q_set)))
    assert 0.0 <= p[0] <= available
    assert np.hypot(p[0], q[0]) <= 1.1 * (1 + 1e-12)
    if factor > 0.0:
        assert p[0] >= factor * np.hypot(p[0], q[0]) - 1e-12
    if 0.0 <= p_set <= available and p_set <= 1.1:
        assert p[0] == p_set  # active power goes first
    assert q[0] * q_set >= 0.0
    assert abs(q[0]) <= abs(q_set)


def test_pv_reactive_power_gets_what_is_left():
    """3-4-5: an inverter of 0.5 MVA at 0.4 MW has 0.3 MVAr left; at cos phi 0.8 too."""
    for factor in (0.0, 0.8):
        unit = photovoltaics([0.4] * 2, [0.5] * 2, factor)
        p, q = unit.output(np.full(2, 0.4), np.full(2, 0.4), np.array([9.0, -9.0]))
        np.testing.assert_allclose(p, 0.4)
        np.testing.assert_allclose(q, [0.3, -0.3], rtol=1e-12)
    half, _ = unit.output(np.full(2, 0.4), np.full(2, 0.2), np.zeros(2))
    _, q = unit.output(np.full(2, 0.4), half, np.full(2, 9.0))
    np.testing.assert_allclose(q, 0.15, rtol=1e-12)  # 0.2 MW tan(acos(0.8))


def test_pv_with_unity_power_factor_has_no_reactive_power():
    _, q = photovoltaics([1.0], [1.1], 1.0).output(*(np.array([0.5]),) * 3)
    assert q[0] == 0.0


def test_limits_hold_over_a_horizon():
    """Arrays (devices, steps) are cut device by device."""
    unit = photovoltaics([1.0, 2.0], [1.0, 2.0])
    available = np.array([[0.5, 3.0], [0.5, 3.0]])
    p, q = unit.output(available, np.full((2, 2), 9.0), np.full((2, 2), 9.0))
    np.testing.assert_array_equal(p, [[0.5, 1.0], [0.5, 2.0]])
    np.testing.assert_allclose(q, [[np.sqrt(0.75), 0.0], [np.sqrt(3.75), 0.0]])
    out = units([0.1, 0.0], [0.5, np.inf]).output(np.array([[0.0, 9.0], [-1.0, 9.0]]))
    np.testing.assert_array_equal(out, [[0.1, 0.5], [0.0, 9.0]])


def test_units_stay_in_their_range():
    unit = units([0.1, 0.1, 0.1], [0.5, 0.5, np.inf])
    np.testing.assert_array_equal(unit.output(np.array([0.0, 0.3, 1e6])), [0.1, 0.3, 1e6])
