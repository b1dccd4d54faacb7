"""Vehicles: cheapest charging, least power, needs of trips, same energies in plan and world."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.devices.vehicles import Vehicles
from stackelgrid.controllers.models.active_network import ActiveNetworkOptions
from stackelgrid.profiles.forecast import GridForecast
from stackelgrid.profiles.time_axis import TimeAxis
from stackelgrid.profiles.trips import Trip, stays_of

OPTIONS = ActiveNetworkOptions()
UNMET = 1000.0


def vehicles(least=0.0, back=0.0, gain=0.8, count=1):
    """Vehicles with 1 MWh, charging points of 0.4 MW."""
    one = np.ones(count)
    return Vehicles(
        index=tuple(range(count)), name=tuple(f"v{k}" for k in range(count)),
        bus=np.zeros(count, dtype=np.int64), p_max_mw=0.4 * one, p_least_mw=least * one,
        p_back_mw=back * one, e_max_mwh=one, e_initial_mwh=0.2 * one,
        efficiency_charge=gain * one, efficiency_discharge=gain * one, reserve_mwh=0.1 * one,
        unmet_eur_per_mwh=UNMET * one, wear_eur_per_mwh=0.0 * one, kwh_per_km=0.17 * one,
        phase=("",) * count,
    )  # fmt: skip


def forecast(connected, driven, needed, required):
    steps = len(connected)
    columns = (connected, driven, needed, required)
    own = [np.asarray(v, dtype=float).reshape(steps, -1) for v in columns]
    names = ("vehicle_connected", "vehicle_driven_mwh", "vehicle_needed_mwh",
             "vehicle_required_mwh")  # fmt: skip
    nothing = np.zeros(steps)
    return GridForecast(nothing, nothing, dict(zip(names, own, strict=True)))


@pytest.fixture
def charge(optimise):
    """`charge(member, price, seen, ...)`: the optimum of vehicles that pay a price."""

    def run(member, price, seen, start=0.2, dt=None, gap=None):
        dt = np.ones(len(price)) if dt is None else np.asarray(dt)
        m = pyo.ConcreteModel()
        m.steps = pyo.RangeSet(0, len(price) - 1)
        injection = member.equations(m, 1.0, dt, OPTIONS)
        paid = sum(dt[t] * price[t] * injection.p(0, t) for t in m.steps)
        m.cost = pyo.Objective(expr=paid + member.cost(m, 1.0, dt, OPTIONS))
        data = member.parameters(seen, {"vehicle_e_mwh": np.array([start])}, dt)
        return optimise(m, data, gap)

    return run


PRICE = np.array([90.0, 40.0, 70.0, 20.0, 60.0, 50.0, 30.0, 80.0])


def away_at(last, need, steps=8):
    """At home until step `last`, at whose start the vehicle leaves with a need."""
    connected, driven, needed = np.ones(steps), np.zeros(steps), np.zeros(steps)
    connected[last:], driven[last], needed[last] = 0.0, need - 0.1, need
    return forecast(connected, driven, needed, np.zeros(steps))


def test_the_cheapest_charging_fills_the_hours_by_price(charge):
    member = vehicles()
    result = charge(member, PRICE, away_at(7, 0.9))
    # 0.7 MWh are missing, 0.32 MWh an hour at full power: two full hours and 0.1875 of a third
    left = (0.9 - 0.2) / 0.8
    power = np.zeros(8)
    for hour in np.argsort(PRICE[:7]):
        power[hour] = min(0.4, left)
        left -= power[hour]
    np.testing.assert_allclose(result.value("vehicle_charge")[:8], power, atol=1e-6)
    assert result.objective == pytest.approx(float(PRICE @ power), abs=1e-5)
    np.testing.assert_allclose(result.value("vehicle_energy")[7], 0.1, atol=1e-6)


def test_a_least_power_leaves_hours_out(charge):
    member = vehicles(least=0.3)
    result = charge(member, PRICE, away_at(7, 0.68), gap=1e-6)
    power = result.value("vehicle_charge")[:8]
    assert ((power < 1e-6) | (power > 0.3 - 1e-6)).all()
    # 0.6 MWh at the charging point: two hours of 0.3, the cheapest two; 0.4 + 0.2 is not accepted
    np.testing.assert_allclose(power[[3, 6]], 0.3, atol=1e-5)
    assert result.objective == pytest.approx(0.3 * (20.0 + 30.0), rel=1e-4)


def test_only_vehicles_with_a_least_power_or_feeding_back_have_binaries(optimise):
    member = replace(
        vehicles(count=3), p_least_mw=np.array([0.3, 0.0, 0.0]), p_back_mw=np.array([0.0, 0.0, 0.1])
    )
    m = pyo.ConcreteModel()
    m.steps = pyo.RangeSet(0, 7)
    injection = member.equations(m, 1.0, np.ones(8), OPTIONS)
    paid = sum(PRICE[t] * injection.p(i, t) for i in range(3) for t in m.steps)
    m.cost = pyo.Objective(expr=paid + member.cost(m, 1.0, np.ones(8), OPTIONS))
    one = away_at(7, 0.68)
    seen = GridForecast(
        np.zeros(8), np.zeros(8), {n: np.tile(v, (1, 3)) for n, v in one.devices.items()}
    )
    data = member.parameters(seen, {"vehicle_e_mwh": np.full(3, 0.2)}, np.ones(8))
    result = optimise(m, data, 1e-6)
    assert len(result.value("vehicle_on")) == 2 * 8
    power = result.value("vehicle_charge").reshape(3, 8)
    np.testing.assert_allclose(power[0, [3, 6]], 0.3, atol=1e-5)
    # 0.4 MW in the cheapest hour, 0.2 MW in the next
    np.testing.assert_allclose(power[1, [3, 6]], [0.4, 0.2], atol=1e-5)


def test_energy_that_cannot_be_charged_in_time_is_charged_elsewhere(charge):
    member = vehicles()
    result = charge(member, PRICE, away_at(1, 0.9))
    # one hour gives 0.32 MWh: 0.2 + 0.32 of 0.9 MWh
    short = 0.9 - 0.2 - 0.32
    np.testing.assert_allclose(result.value("vehicle_elsewhere")[1], short, atol=1e-6)
    assert result.objective == pytest.approx(0.4 * PRICE[0] + UNMET * short, rel=1e-6)


def test_a_bidirectional_point_sells_what_it_buys_cheaper(charge):
    member = vehicles(back=0.4, gain=0.9)
    price = np.array([20.0, 100.0])
    seen = forecast([1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.2, 0.2])
    result = charge(member, price, seen, gap=1e-6)
    # the energy bought in the first hour at the charging point, less both losses, is sold
    bought, sold = 0.4, 0.4 * 0.81
    np.testing.assert_allclose(result.value("vehicle_charge")[:2], [bought, 0.0], atol=1e-5)
    np.testing.assert_allclose(result.value("vehicle_back")[:2], [0.0, sold], atol=1e-5)
    assert result.objective == pytest.approx(20.0 * bought - 100.0 * sold, rel=1e-4)


def test_a_plan_leaves_enough_for_trips_beyond_the_horizon(charge):
    member = vehicles()
    seen = forecast(np.ones(4), np.zeros(4), np.zeros(4), np.full(4, 0.6))
    result = charge(member, PRICE[:4], seen)
    np.testing.assert_allclose(result.value("vehicle_energy")[3], 0.6, atol=1e-6)
    # what full power cannot reach is not asked for
    high = charge(member, PRICE[:2], forecast(np.ones(2), np.zeros(2), np.zeros(2), np.ones(2)))
    assert high.value("vehicle_energy")[1] == pytest.approx(0.999 * (0.2 + 2 * 0.32), abs=1e-6)


def test_the_world_carries_out_a_plan_with_the_same_energies(charge):
    member = vehicles(back=0.4)
    seen = away_at(5, 0.8)
    result = charge(member, PRICE, seen, gap=1e-6)
    power = result.value("vehicle_charge")[:8] - result.value("vehicle_back")[:8]
    energy = np.array([0.2])
    for t in range(8):
        row = {name: values[t] for name, values in seen.devices.items()}
        done = member.deliver({"vehicle_p_mw": power[[t]]}, row, {"vehicle_e_mwh": energy}, 1.0)
        gain = 0.8 if done["vehicle_p_mw"][0] > 0.0 else 1.0 / 0.8
        moved = done["vehicle_p_mw"] * gain + done["vehicle_elsewhere_mw"]
        balance = done["vehicle_e_mwh"] - energy - moved + row["vehicle_driven_mwh"]
        np.testing.assert_allclose(balance, 0.0, atol=1e-12)
        energy = done["vehicle_e_mwh"]
        np.testing.assert_allclose(energy, result.value("vehicle_energy")[t], atol=1e-5)


def test_without_a_plan_vehicles_charge_at_once():
    member = vehicles()
    plan = member.held(None, away_at(3, 0.5), {"vehicle_e_mwh": np.array([0.2])}, np.ones(8))
    np.testing.assert_allclose(plan["vehicle_p_mw"][0, :3], [0.4, 0.4, 0.2])
    np.testing.assert_allclose(plan["vehicle_e_mwh"][0, :4], [0.52, 0.84, 1.0, 0.6])
    assert (plan["vehicle_p_mw"][0, 3:] == 0.0).all()


def test_a_charging_point_gives_nothing_below_its_least_power():
    member = replace(vehicles(count=2), p_least_mw=np.full(2, 0.2))
    row = {"vehicle_connected": np.ones(2), "vehicle_driven_mwh": np.zeros(2),
           "vehicle_needed_mwh": np.zeros(2), "vehicle_required_mwh": np.zeros(2)}  # fmt: skip
    asked = {"vehicle_p_mw": np.array([0.1, 0.25])}
    done = member.deliver(asked, row, {"vehicle_e_mwh": np.full(2, 0.5)}, 1.0)
    np.testing.assert_allclose(done["vehicle_p_mw"], [0.0, 0.25])


def test_required_energies_suffice_and_are_least():
    axis = TimeAxis(pd.Timestamp("2025-01-15", tz="UTC"), pd.Timedelta(hours=1), 24)
    start = axis.start
    trips = [
        Trip(start + pd.Timedelta(hours=6), start + pd.Timedelta(hours=9), 0.5),
        Trip(start + pd.Timedelta(hours=10), start + pd.Timedelta(hours=20), 0.3),
    ]
    stays = stays_of([trips], axis, np.array([0.1]), np.array([1.0]), np.array([0.1]))
    np.testing.assert_array_equal(stays.connected[:, 0], [1.0] * 6 + [0.0] * 3 + [1.0] + [0.0] * 10
                                  + [1.0] * 4)  # fmt: skip
    assert stays.driven_mwh.sum() == pytest.approx(0.8)
    # before the second trip 0.4, an hour at home gives 0.1: 0.3 after the first, 0.8 before it
    assert stays.required_mwh[9, 0] == pytest.approx(0.4)
    assert stays.required_mwh[5, 0] == pytest.approx(max(0.6, 0.3 + 0.5))
    assert stays.required_mwh[0, 0] == pytest.approx(0.8 - 0.5)
    energy = stays.required_mwh[0, 0]
    for i in range(1, 24):  # full power from there meets every need
        assert energy >= stays.needed_mwh[i, 0] - 1e-12
        energy = energy - stays.driven_mwh[i, 0] + 0.1 * stays.connected[i, 0]
        assert energy >= stays.required_mwh[i, 0] - 1e-12


def test_several_trips_in_a_long_step_charge_on_the_way_beyond_a_full_battery(charge):
    """Two trips of 0.7 MWh in a step of 6 h: their sum exceeds the battery of 1 MWh."""
    member = vehicles()
    seen = forecast([1.0, 0.0, 1.0], [0.0, 1.4, 0.0], [0.0, 0.8, 0.0], np.zeros(3))
    result = charge(member, PRICE[:3], seen, dt=[1.0, 6.0, 1.0])
    # 0.2 and an hour at full power; the rest of a full battery is charged elsewhere
    short = 1.0 - 0.2 - 0.32
    np.testing.assert_allclose(result.value("vehicle_elsewhere")[1] * 6.0, short, atol=1e-6)
    np.testing.assert_allclose(result.value("vehicle_energy")[1], 0.0, atol=1e-6)
    start = {"vehicle_e_mwh": np.array([0.2])}
    plan = member.held(None, seen, start, np.array([1.0, 6.0, 1.0]))
    assert plan["vehicle_elsewhere_mw"][0, 1] * 6.0 == pytest.approx(short)
    np.testing.assert_allclose(plan["vehicle_e_mwh"][0], [0.52, 0.0, 0.32], atol=1e-12)
