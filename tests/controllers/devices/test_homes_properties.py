"""Properties of vehicles, heat pumps, tasks, shedding and caps: model and world agree."""

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.homes import OPTIONS, homes, model_of, put_plan, violation

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.profiles.forecast import GridForecast

SEEDS = st.integers(0, 2**32 - 1)
CLOSE = {"rtol": 0.0, "atol": 1e-12}


@given(SEEDS)
@settings(max_examples=20)
def test_the_plan_without_control_satisfies_every_row_below_a_cap_of_the_operator(seed):
    own = homes(np.random.default_rng(seed), steps=4, whole=False)
    m, _, data = model_of(own)
    plan = own.held()
    put_plan(m, own, plan)
    worst, where = violation(m, data)
    assert worst < 1e-9, where
    # its cost in the model is that of its steps and of what it lacks at the end
    for member in own.devices:
        cost = float(own.dt_h @ member.hourly_cost(plan, OPTIONS))
        cost += member.end_cost(plan, own.forecast, member.within(own.states), own.dt_h)
        modelled = pyo.value(member.cost(m, 1.0, own.dt_h, OPTIONS))
        assert cost == pytest.approx(modelled, rel=1e-9, abs=1e-9), member.kind


@pytest.mark.parametrize("seed", range(4))
def test_an_operator_may_hold_back_power_above_the_cap_only(seed):
    own = homes(np.random.default_rng(seed))
    cap, plan = own.devices.of("cap"), own.held()
    wished = np.zeros((len(cap.index), len(own.dt_h)))
    for member in own.devices.capped:
        np.add.at(wished, member.bus, member.consumption(plan)[0])
    data = cap.joint_parameters(own.forecast, own.devices.capped, own.held)
    np.testing.assert_allclose(data["cap_wished"].sum(axis=0), wished.sum(axis=0), **CLOSE)
    above = np.maximum(wished - cap.p_cap_mw[:, None], 0.0)
    np.testing.assert_allclose(data["cap_above"], above, **CLOSE)
    assert above.max() > 0.0


def random_points(rng, own):
    """Set points of all kinds, many of them out of any limit."""
    return {
        name: rng.normal(size=len(member.index)) * rng.choice([0.0, 0.003, 0.03, 1.0])
        for member in own.devices
        for name in member.names(Role.SET_POINT)
    }


@given(SEEDS)
@settings(max_examples=60)
def test_what_is_delivered_stays_within_limits_and_balances_close(seed):
    rng = np.random.default_rng(seed)
    own = homes(rng)
    states, cars, pumps, jobs, shed = dict(own.states), *own.devices.members[:4]
    for step, dt in enumerate(own.dt_h):
        row, points = own.row(step), random_points(rng, own)
        done = {}
        for member in own.devices:
            done |= member.deliver(points, row, states, dt)
        # vehicles
        power, energy = done["vehicle_p_mw"], done["vehicle_e_mwh"]
        connected = row["vehicle_connected"]
        assert (power <= connected * cars.p_max_mw + 1e-15).all()
        assert (power >= -connected * cars.p_back_mw - 1e-15).all()
        assert ((energy >= 0.0) & (energy <= cars.e_max_mwh)).all()
        flow = np.where(
            power > 0.0, power * cars.efficiency_charge, power / cars.efficiency_discharge
        )
        moved = dt * (flow + done["vehicle_elsewhere_mw"]) - row["vehicle_driven_mwh"]
        np.testing.assert_allclose(energy - states["vehicle_e_mwh"], moved, **CLOSE)
        room = (cars.e_max_mwh - states["vehicle_e_mwh"]) / (cars.efficiency_charge * dt)
        least = np.minimum(connected * cars.p_least_mw, np.minimum(connected * cars.p_max_mw, room))
        charging = power > 0.0
        assert (power[charging] >= (1.0 - tolerances.CURTAILED) * least[charging]).all()
        # heat pumps
        house, store = done["heat_pump_house_mw"], done["heat_pump_store_mw"]
        backup, boost = done["heat_pump_backup_mw"], done["heat_pump_boost_mw"]
        assert (np.stack([house, store, backup, boost]) >= 0.0).all()
        assert (house + store <= pumps.p_max_mw * (1.0 + 1e-12)).all()
        assert (backup <= pumps.backup_mw).all()
        heat = row["heat_pump_cop"] * house + backup
        kept = np.exp(-dt * pumps.loss_mw_per_k / pumps.capacity_mwh_per_k)
        goes_to = row["heat_pump_drive_c"] + heat / pumps.loss_mw_per_k
        room_c = kept * states["heat_pump_room_c"] + (1.0 - kept) * goes_to
        np.testing.assert_allclose(done["heat_pump_room_c"], room_c, rtol=0.0, atol=1e-9)
        filled = done["heat_pump_e_mwh"]
        assert ((filled >= 0.0) & (filled <= pumps.store_mwh)).all()
        with_store = pumps.store_mwh > 0.0
        into = row["heat_pump_water_cop"] * store + boost - row["heat_pump_water_mw"]
        after = pumps.store_kept**dt * states["heat_pump_e_mwh"] + dt * into
        np.testing.assert_allclose(filled[with_store], after[with_store], **CLOSE)
        assert (store[~with_store] == 0.0).all()
        assert (boost <= row["heat_pump_water_mw"] + 1e-15).all()
        # tasks
        power, parts = done["task_p_mw"], ~jobs.whole
        assert ((power >= 0.0) & (power <= jobs.p_max_mw * (1.0 + 1e-12))).all()
        assert (power[parts] <= (row["task_open"] * jobs.p_max_mw)[parts]).all()
        come = jobs.e_mwh * row["task_arrivals"]
        gone = dt * (power + done["task_unserved_mw"])
        left = states["task_left_mwh"] + come - gone
        np.testing.assert_allclose(done["task_left_mwh"], left, rtol=0.0, atol=1e-11)
        # shedding
        assert (done["shed_p_mw"] <= 0.0).all()
        assert (-done["shed_p_mw"] <= done["shed_limit_mw"]).all()
        most = shed.share * (shed.at_load @ row["load_p_mw"])
        np.testing.assert_allclose(done["shed_limit_mw"], most, **CLOSE)
        for member in own.devices:  # every quantity that is recorded is there, one a device
            for name in member.names(Role.OUTPUT):
                assert done[name].shape == (len(member.index),)
                assert np.isfinite(done[name]).all()
            for column in member.device_columns(done).values():
                assert column.shape == (len(member.index),)
        states = {name: done[name] for name in states}


@given(SEEDS)
@settings(max_examples=40)
def test_the_world_that_gets_a_plan_takes_its_states(seed):
    """Plans: without control, the same reduced, and one that continues random powers."""
    rng = np.random.default_rng(seed)
    own = homes(rng)
    idle = own.held()
    other = {name: values * rng.uniform(-0.5, 1.5, values.shape) for name, values in idle.items()}
    share = rng.random(len(own.dt_h))
    down = dict(idle)
    for member in own.devices.turned_down_first:
        down |= member.turned_down(down, share, own.forecast, member.within(own.states), own.dt_h)
    for plan in (idle, own.held(other), down):
        states = dict(own.states)
        for step, dt in enumerate(own.dt_h):
            done = {}
            for member in own.devices:
                points = member.set_points(plan, step)
                done |= member.deliver(points, own.row(step), states, dt)
            states = {name: done[name] for name in states}
            for member in own.devices:
                for name in (*member.names(Role.PLAN), *member.names(Role.STATE)):
                    if name in done and name in plan:
                        np.testing.assert_allclose(
                            done[name], plan[name][:, step], rtol=1e-9, atol=1e-9, err_msg=name
                        )


@given(SEEDS)
@settings(max_examples=30)
def test_a_plan_that_is_turned_down_whole_draws_only_what_cannot_wait(seed):
    own = homes(np.random.default_rng(seed))
    idle, steps = own.held(), len(own.dt_h)
    down = {1.0: {}, 0.0: {}}
    for member in own.devices.turned_down_first:
        for share, plan in down.items():
            plan |= member.turned_down(
                idle, np.full(steps, share), own.forecast, member.within(own.states), own.dt_h
            )
    for name, values in down[1.0].items():
        np.testing.assert_allclose(values, idle[name], rtol=1e-12, atol=1e-12, err_msg=name)
    none = down[0.0]
    assert (none["vehicle_charge_mw"] == 0.0).all()
    assert (none["vehicle_elsewhere_mw"] >= idle["vehicle_elsewhere_mw"] - 1e-12).all()
    # hot water that the store lacks is heated at once
    np.testing.assert_allclose(none["heat_pump_p_mw"], none["heat_pump_boost_mw"], **CLOSE)
    jobs, shed = own.devices.of("task"), own.devices.of("sheddable")
    assert (none["task_p_mw"][~jobs.whole] == 0.0).all()
    most = shed.share[:, None] * (shed.at_load @ own.forecast.load_p_mw.T)
    np.testing.assert_allclose(none["shed_p_mw"], -most, **CLOSE)


@pytest.mark.parametrize("kind", ["vehicle", "heat_pump", "task", "sheddable", "cap"])
def test_a_kind_without_devices_has_no_quantities(kind):
    own = homes(np.random.default_rng(1))
    none = own.devices.of(kind).none()
    row = {name: values[:0] if name in none.names(Role.SERIES) else values
           for name, values in own.row(0).items()}  # fmt: skip
    done = none.deliver({}, row, none.initial, 1.0)
    assert {values.shape for values in done.values()} == {(0,)}
    assert none.scaled(2.0).index == ()


@pytest.mark.parametrize("seed", range(3))
def test_twice_the_size_is_twice_the_power_at_the_same_temperatures(seed):
    own = homes(np.random.default_rng(seed), whole=False)
    for member in own.devices.of("vehicle"), own.devices.of("heat_pump"), own.devices.of("task"):
        double = member.scaled(2.0)
        np.testing.assert_allclose(double.rated_mw, 2.0 * member.rated_mw)
        series = {**own.forecast.devices, **member.scaled_series(own.forecast.devices, 2.0)}
        seen = GridForecast(np.zeros(6), np.zeros(6), series)
        states = member.scaled_states(own.states, 2.0)
        plan = member.held(None, own.forecast, member.within(own.states), own.dt_h)
        twice = double.held(None, seen, double.within(states), own.dt_h)
        units = {q.name: q.unit for q in member.quantities}
        for name, values in plan.items():
            factor = 2.0 if units[name] in ("MW", "MVAr", "MWh") else 1.0
            np.testing.assert_allclose(twice[name], factor * values, rtol=1e-9, atol=1e-9)
        none = member.scaled(0.0)
        assert none.index == ()
        assert {v.size for v in member.scaled_states(own.states, 0.0).values()} == {0}
        found = member.scaled_series(own.forecast.devices, 0.0)
        assert {values.shape for values in found.values()} == {(6, 0)}


def test_all_shares_of_a_load_that_may_be_shed_scale_to_the_whole_load_at_most():
    own = homes(np.random.default_rng(0))
    shed, load = own.devices.of("sheddable"), own.forecast.load_p_mw.T
    one = replace(shed.none(), share=np.array([0.3]), at_load=shed.at_load[[0]])
    for factor, share in ((2.0, 0.6), (5.0, 1.0)):
        most = share * (shed.at_load[[0]] @ load)
        np.testing.assert_allclose(one.scaled(factor).available(load), most)
    pair = {"share": np.array([0.3, 0.4]), "index": (0, 1)}
    two = replace(shed, **pair, at_load=shed.at_load[[0, 0]])
    np.testing.assert_allclose(two.scaled(1.2).share, [0.36, 0.48])
    np.testing.assert_allclose(two.scaled(2.0).share, [3.0 / 7.0, 4.0 / 7.0])
