"""Less consumption in recovery: which kind first, by how much, and what follows from it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.homes import homes

from stackelgrid.controllers.certification.recovery import load_cap, turned_down
from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.schedule import Schedule

SEEDS = st.integers(0, 2**32 - 1)
STEPS = 6
CLOSE = {"rtol": 1e-9, "atol": 1e-12}


def schedule_of(own):
    """Schedule of homes without control, at any import."""
    values = np.linspace(0.01, 0.02, len(own.dt_h))
    return Schedule(0, own.dt_h, values, 0.3 * values, own.held())


def reduced(own, share):
    schedule = schedule_of(own)
    share = np.broadcast_to(share, len(own.dt_h))
    return schedule, turned_down(own.devices, schedule, share, own.forecast, own.states)


def power(own, schedule, kind):
    """Consumption (devices, steps) of a kind in MW."""
    return own.devices.of(kind).consumption(schedule.devices)[0]


def test_the_order_is_vehicles_heat_pumps_tasks_shedding():
    own = homes(np.random.default_rng(0))
    order = [member.kind for member in own.devices.turned_down_first]
    assert order == ["vehicle", "heat_pump", "task", "sheddable"]


@pytest.mark.parametrize(
    ("share", "shares"),  # of vehicles, heat pumps, tasks, load that may be shed
    [
        (1.0, (1.0, 1.0, 1.0, 1.0)),
        (0.875, (0.5, 1.0, 1.0, 1.0)),
        (0.75, (0.0, 1.0, 1.0, 1.0)),
        (0.55, (0.0, 0.2, 1.0, 1.0)),
        (0.3, (0.0, 0.0, 0.2, 1.0)),
        (0.05, (0.0, 0.0, 0.0, 0.2)),
        (0.0, (0.0, 0.0, 0.0, 0.0)),
    ],
)
@pytest.mark.parametrize("seed", [0, 3])
def test_one_kind_after_another_is_reduced(seed, share, shares):
    own = homes(np.random.default_rng(seed), whole=False)
    before, after = reduced(own, share)
    cars, pumps, tasks, shed = shares
    plan, less = before.devices, after.devices
    # a point below its least power gives nothing, and what was not charged makes room for more
    least = own.devices.of("vehicle").p_least_mw[:, None] > 0.0
    wanted = cars * plan["vehicle_charge_mw"]
    got = less["vehicle_charge_mw"]
    assert (np.isclose(got, wanted, **CLOSE) | (least & (got == 0.0))).all()
    for name in ("heat_pump_house_mw", "heat_pump_backup_mw"):
        np.testing.assert_allclose(less[name], pumps * plan[name], **CLOSE)
    np.testing.assert_allclose(
        less["heat_pump_store_mw"], pumps * plan["heat_pump_store_mw"], **CLOSE
    )
    np.testing.assert_allclose(less["task_p_mw"], tasks * plan["task_p_mw"], **CLOSE)
    most = own.devices.of("sheddable").available(own.forecast.load_p_mw.T)
    np.testing.assert_allclose(less["shed_p_mw"], -(1.0 - shed) * most, **CLOSE)


def test_with_two_kinds_the_share_is_theirs_alone():
    own = homes(np.random.default_rng(0))
    chosen = Devices(tuple(own.devices.of(kind) for kind in ("heat_pump", "vehicle")))
    schedule = schedule_of(own)
    down = turned_down(chosen, schedule, np.full(STEPS, 0.6), own.forecast, own.states)
    least = chosen.of("vehicle").p_least_mw > 0.0
    name = "vehicle_charge_mw"
    np.testing.assert_allclose(
        down.devices[name][~least], 0.2 * schedule.devices[name][~least], **CLOSE
    )
    name = "heat_pump_house_mw"
    np.testing.assert_allclose(down.devices[name], schedule.devices[name], **CLOSE)


@given(SEEDS)
@settings(max_examples=30)
def test_the_import_falls_by_exactly_what_is_left_out(seed):
    rng = np.random.default_rng(seed)
    own = homes(rng)
    before, after = reduced(own, rng.random(STEPS))
    less_p, less_q = np.zeros((2, STEPS))
    for member in own.devices:
        for sign, schedule in ((1.0, before), (-1.0, after)):
            p, q = member.consumption(schedule.devices)
            less_p += sign * p.sum(axis=0)
            less_q += 0.0 if q is None else sign * q.sum(axis=0)
    np.testing.assert_allclose(before.p_import_mw - after.p_import_mw, less_p, rtol=0.0, atol=1e-15)
    np.testing.assert_allclose(
        before.q_import_mvar - after.q_import_mvar, less_q, rtol=0.0, atol=1e-15
    )
    # all quantities of a plan are there, and none is changed in place
    names = {n for member in own.devices for n in member.names(Role.PLAN)}
    assert names <= after.devices.keys()
    again = schedule_of(own).devices
    for name in names:
        np.testing.assert_array_equal(before.devices[name], again[name], err_msg=name)


@pytest.mark.parametrize(("share", "cars", "pumps"), [(0.9, 0.6, 1.0), (0.6, 0.0, 0.4)])
def test_caps_are_shares_of_a_schedule_in_per_unit(share, cars, pumps):
    own = homes(np.random.default_rng(0))
    schedule, base = schedule_of(own), 0.1
    shares = np.full(STEPS, np.inf)
    shares[0] = share
    upper = load_cap(base, own.devices, schedule, shares).upper
    expected = {"vehicle_charge": ("vehicle_charge_mw", cars), "task_p": ("task_p_mw", 1.0)}
    expected |= {
        f"heat_pump_{part}": (f"heat_pump_{part}_mw", pumps)
        for part in ("house", "store", "backup")
    }
    assert upper.keys() == expected.keys()
    whole = own.devices.of("task").whole
    for name, (planned, kept) in expected.items():
        cap = upper[name].reshape(-1, STEPS)
        assert np.isinf(cap[:, 1:]).all()  # steps that are not applied are left free
        first = kept * schedule.devices[planned][:, 0] / base
        if name == "task_p":  # a run at full power has no parts
            first = np.where(whole, np.inf, first)
        np.testing.assert_allclose(cap[:, 0], first, **CLOSE)
