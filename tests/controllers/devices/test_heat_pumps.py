"""Heat pumps: step response of a building, cheapest heating, comfort, store, plan and world."""

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy.integrate import solve_ivp

from stackelgrid.controllers.devices.heat_pumps import HeatPumps
from stackelgrid.controllers.models.active_network import ActiveNetworkOptions
from stackelgrid.profiles.forecast import GridForecast

OPTIONS = ActiveNetworkOptions()
LOSS, CAPACITY = 1.6e-4, 1.0e-2  # MW/K, MWh/K: a time constant of 62.5 h


def machine(store=0.0, backup=0.006, comfort=5.0, below=0.5, above=1.5):
    one = np.ones(1)
    return HeatPumps(
        index=(0,), name=("h",), bus=np.zeros(1, dtype=np.int64), p_max_mw=0.003 * one,
        backup_mw=backup * one, tan_phi=0.3 * one, loss_mw_per_k=LOSS * one,
        capacity_mwh_per_k=CAPACITY * one, set_c=20.0 * one, below_k=below * one,
        above_k=above * one, comfort_eur_per_k_h=comfort * one, store_mwh=store * one,
        store_kept=0.99 * one, water_mwh=10.0 * store * one, ground=one < 0.0, floor=one < 0.0,
        coldest_c=-14.0 * one, gains_mw=0.0 * one, window_m2=0.0 * one, phase=("",),
    )  # fmt: skip


def forecast(steps, drive=-5.0, cop=3.0, water_cop=2.5, water=0.0):
    names = ("heat_pump_cop", "heat_pump_water_cop", "heat_pump_drive_c", "heat_pump_water_mw")
    values = [np.broadcast_to(np.asarray(v, float), (steps,))[:, None].copy()
              for v in (cop, water_cop, drive, water)]  # fmt: skip
    nothing = np.zeros(steps)
    return GridForecast(nothing, nothing, dict(zip(names, values, strict=True)))


@pytest.fixture
def heat(optimise):
    """`heat(member, price, seen, ...)`: the optimum of a heat pump that pays a price."""

    def run(member, price, seen, room=20.0, filled=0.0, dt=None):
        dt = np.ones(len(price)) if dt is None else np.asarray(dt)
        m = pyo.ConcreteModel()
        m.steps = pyo.RangeSet(0, len(price) - 1)
        injection = member.equations(m, 1.0, dt, OPTIONS)
        paid = sum(dt[t] * price[t] * injection.p(0, t) for t in m.steps)
        m.cost = pyo.Objective(expr=paid + member.cost(m, 1.0, dt, OPTIONS))
        states = {"heat_pump_room_c": np.array([room]), "heat_pump_e_mwh": np.array([filled])}
        return optimise(m, member.parameters(seen, states, dt))

    return run


def test_a_building_follows_its_step_response_to_rounding():
    member = machine()
    hours, heat_mw, outside = 7.0, 0.004, -5.0
    found = member.room(np.array([21.0]), np.array([outside]), np.array([heat_mw]), hours)
    tau, end = CAPACITY / LOSS, outside + heat_mw / LOSS
    exact = end + (21.0 - end) * np.exp(-hours / tau)
    assert found[0] == pytest.approx(exact, abs=1e-9)
    numeric = solve_ivp(
        lambda t, y: (heat_mw - LOSS * (y - outside)) / CAPACITY, (0.0, hours), [21.0],
        rtol=1e-11, atol=1e-11,
    )  # fmt: skip
    assert found[0] == pytest.approx(float(numeric.y[0, -1]), abs=1e-8)


def test_a_long_step_equals_its_parts_at_constant_inputs():
    member = machine()
    room, at = np.array([20.0]), (np.array([2.0]), np.array([0.002]))
    whole = member.room(room, *at, 6.0)
    for hours in (0.25, 1.75, 4.0):
        room = member.room(room, *at, hours)
    np.testing.assert_allclose(room, whole, atol=1e-12)


def test_the_plan_of_a_long_step_is_exact(heat):
    member = machine()
    dt = [1.0, 6.0]
    result = heat(member, [100.0, 100.0], forecast(2, drive=[-5.0, 3.0]), dt=dt)
    room = np.array([20.0])
    for t in range(2):
        given = 3.0 * result.value("heat_pump_house")[t] + result.value("heat_pump_backup")[t]
        drive = np.array([(-5.0, 3.0)[t]])
        room = member.room(room, drive, np.array([given]), dt[t])
        planned = 20.0 + result.value("heat_pump_content")[t] / CAPACITY
        assert room[0] == pytest.approx(planned, abs=1e-5)


def test_heating_moves_to_the_cheap_hour_as_far_as_comfort_allows(heat):
    member = machine(above=0.2)
    result = heat(member, [20.0, 200.0], forecast(2))
    kept = np.exp(-LOSS / CAPACITY)
    # the first hour heats to the upper limit, the second to the set temperature at the end
    hold = LOSS / (1.0 - kept)
    first = hold * (20.2 - kept * 20.0 - (1.0 - kept) * -5.0)
    second = hold * (20.0 - kept * 20.2 - (1.0 - kept) * -5.0)
    given = 3.0 * result.value("heat_pump_house") + result.value("heat_pump_backup")
    np.testing.assert_allclose(given, [first, second], rtol=1e-5)
    # at a COP of 3 the machine gives 9 kW, so the resistive heater rests
    np.testing.assert_allclose(result.value("heat_pump_backup"), 0.0, atol=1e-8)
    cost = 20.0 * first / 3.0 + 200.0 * second / 3.0
    assert result.objective == pytest.approx(cost, rel=1e-5)


def test_the_coefficient_of_performance_of_each_step_counts(heat):
    member = machine(above=0.2)
    result = heat(member, [100.0, 100.0], forecast(2, cop=[4.0, 2.0]))
    content = result.value("heat_pump_content") / CAPACITY
    assert content[0] == pytest.approx(0.2, abs=1e-5)  # at half the price of the second hour
    assert content[1] == pytest.approx(0.0, abs=1e-5)
    kept = np.exp(-LOSS / CAPACITY)
    heat_mw = LOSS / (1.0 - kept) * (20.2 - kept * 20.0 - (1.0 - kept) * -5.0)
    np.testing.assert_allclose(result.value("heat_pump_house")[0], heat_mw / 4.0, rtol=1e-5)


def test_a_cold_room_is_priced_by_kelvin_hours(heat):
    member = machine(backup=0.0, comfort=0.02)
    # a cold wave that full power cannot stop: the price of the distance below 19.5 degrees
    seen = forecast(3, drive=-45.0, cop=1.0)
    result = heat(member, [1.0, 1.0, 1.0], seen)
    room, cost = np.array([20.0]), 0.0
    for _ in range(3):
        room = member.room(room, np.array([-45.0]), np.array([0.003]), 1.0)
        cost += 1.0 * 0.003 + 0.02 * max(19.5 - room[0], 0.0)
    assert result.objective == pytest.approx(cost, rel=1e-4)


def test_hot_water_is_made_ahead_and_boosted_where_the_store_lacks_it(heat):
    member = machine(store=0.004)
    seen = forecast(2, drive=60.0, water=[0.0, 0.006])  # no heating: it is warm
    result = heat(member, [30.0, 300.0], seen, room=20.0)
    # the store is filled in the cheap hour; 0.004 x 0.99 of the 0.006 MWh come from it
    np.testing.assert_allclose(result.value("heat_pump_filled")[0], 0.004, atol=1e-7)
    rest = 0.006 - 0.99 * 0.004
    np.testing.assert_allclose(result.value("heat_pump_store")[1], rest / 2.5, atol=1e-7)
    np.testing.assert_allclose(result.value("heat_pump_boost"), 0.0, atol=1e-8)


def test_the_world_closes_heat_balances_with_other_outdoor_conditions():
    member, rng = machine(store=0.004), np.random.default_rng(1)
    states = member.initial
    for _ in range(50):
        series = {
            "heat_pump_cop": rng.uniform(1.5, 5.0, 1),
            "heat_pump_water_cop": rng.uniform(1.5, 4.0, 1),
            "heat_pump_drive_c": rng.uniform(-20.0, 25.0, 1),
            "heat_pump_water_mw": rng.uniform(0.0, 0.01, 1),
        }  # fmt: skip
        points = {name: rng.uniform(-0.001, 0.008, 1) for name in
                  ("heat_pump_house_mw", "heat_pump_store_mw", "heat_pump_backup_mw")}  # fmt: skip
        done = member.deliver(points, series, states, 0.25)
        heat = series["heat_pump_cop"] * done["heat_pump_house_mw"] + done["heat_pump_backup_mw"]
        kept = np.exp(-0.25 * LOSS / CAPACITY)
        mean = (done["heat_pump_room_c"] - kept * states["heat_pump_room_c"]) / (1.0 - kept)
        np.testing.assert_allclose(LOSS * (mean - series["heat_pump_drive_c"]), heat, atol=1e-9)
        water = series["heat_pump_water_cop"] * done["heat_pump_store_mw"]
        into = water + done["heat_pump_boost_mw"] - series["heat_pump_water_mw"]
        stored = done["heat_pump_e_mwh"] - 0.99**0.25 * states["heat_pump_e_mwh"]
        np.testing.assert_allclose(stored, 0.25 * into, atol=1e-9)
        assert 0.0 <= done["heat_pump_e_mwh"][0] <= 0.004
        assert done["heat_pump_house_mw"][0] + done["heat_pump_store_mw"][0] <= 0.003 + 1e-15
        states = {name: done[name] for name in states}


def test_thermostats_hold_the_set_temperature():
    member = machine(store=0.004)
    seen = forecast(12, drive=-5.0, water=0.001)
    plan = member.held(None, seen, member.initial, np.full(12, 1.0))
    np.testing.assert_allclose(plan["heat_pump_room_c"][0], 20.0, atol=1e-12)
    # 25 K x 0.16 kW/K at a COP of 3
    np.testing.assert_allclose(plan["heat_pump_house_mw"][0], 25.0 * LOSS / 3.0, rtol=1e-9)
    assert plan["heat_pump_e_mwh"][0, -1] == pytest.approx(0.004)
