"""Shiftable loads: the cheapest hours of a window, and whole runs against enumeration."""

from itertools import product

import numpy as np
import pandas as pd
import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.devices.tasks import Tasks
from stackelgrid.controllers.devices.tasks.equations import running_share
from stackelgrid.controllers.models.active_network import ActiveNetworkOptions
from stackelgrid.controllers.solvers.snapping import SnapRule, snap_by_direction
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast import GridForecast
from stackelgrid.profiles.task_windows import daily_windows
from stackelgrid.profiles.time_axis import TimeAxis

OPTIONS = ActiveNetworkOptions()
PRICE = np.array([90.0, 40.0, 70.0, 20.0, 60.0, 50.0, 30.0, 80.0])
UNSERVED = 500.0


def tasks(*whole, energy=0.5):
    """Tasks of 0.2 MW."""
    count = len(whole)
    one = np.ones(count)
    return Tasks(
        index=tuple(range(count)), name=tuple(f"t{k}" for k in range(count)),
        bus=np.zeros(count, dtype=np.int64), p_max_mw=0.2 * one, e_mwh=energy * one,
        whole=np.array(whole), from_h=0.0 * one, to_h=0.0 * one,
        unserved_eur_per_mwh=UNSERVED * one, phase=("",) * count,
    )  # fmt: skip


def forecast(member, first, last, steps=8):
    """One task that arrives with step `first`; the window ends with step `last`."""
    shape = (steps, len(member.index))
    opened, arrivals, ends, latest, after = (np.zeros(shape) for _ in range(5))
    opened[first : last + 1], arrivals[first], ends[last] = 1.0, 1.0, 1.0
    run = np.ceil(member.run_h - 1e-9).astype(int)
    latest[last + 1 - run, np.arange(shape[1])] = 1.0
    after[first : last + 1] = np.arange(last - first, -1, -1)[:, None]
    names = ("task_open", "task_arrivals", "task_ends", "task_latest", "task_after_h")
    nothing = np.zeros(steps)
    columns = dict(zip(names, (opened, arrivals, ends, latest, after), strict=True))
    return GridForecast(nothing, nothing, columns)


@pytest.fixture
def serve(optimise):
    """`serve(member, price, seen, ...)`: the optimum of tasks that pay a price."""

    def run(member, price, seen, states=None, gap=None, dt=None):
        dt = np.ones(len(price)) if dt is None else np.asarray(dt)
        m = pyo.ConcreteModel()
        m.steps = pyo.RangeSet(0, len(price) - 1)
        injection = member.equations(m, 1.0, dt, OPTIONS)
        paid = sum(dt[t] * price[t] * injection.p(i, t) for i in m.tasks for t in m.steps)
        m.cost = pyo.Objective(expr=paid + member.cost(m, 1.0, dt, OPTIONS))
        return optimise(m, member.parameters(seen, states or member.initial, dt), gap)

    return run


def test_a_task_in_parts_takes_the_cheapest_hours_of_its_window(serve):
    member = tasks(False)
    result = serve(member, PRICE, forecast(member, 1, 5))
    # 0.5 MWh: the hours at 20 and 40 EUR/MWh whole, a half of that at 50
    np.testing.assert_allclose(
        result.value("task_p"), [0.0, 0.2, 0.0, 0.2, 0.0, 0.1, 0.0, 0.0], atol=1e-6
    )
    assert result.objective == pytest.approx(0.2 * 20.0 + 0.2 * 40.0 + 0.1 * 50.0, rel=1e-6)


def test_energy_that_does_not_fit_in_what_is_left_of_a_window_is_priced(serve):
    member = tasks(False)
    states = {"task_left_mwh": np.array([0.5]), "task_rest_h": np.zeros(1)}
    seen = forecast(member, 1, 1)
    for name in ("task_arrivals", "task_open", "task_latest", "task_ends"):
        seen.devices[name][:] = 0.0
    seen.devices["task_open"][:2], seen.devices["task_ends"][1] = 1.0, 1.0
    result = serve(member, PRICE, seen, states)
    assert result.value("task_unserved")[1] == pytest.approx(0.1, abs=1e-6)
    cost = 0.2 * (90.0 + 40.0) + 0.1 * UNSERVED
    assert result.objective == pytest.approx(cost, rel=1e-6)


@pytest.mark.parametrize(("hours", "drawn", "lost"), [(4, 0.2, 0.0), (1, 0.6, 0.2), (5, 0.0, 0.0)])
def test_what_is_left_at_the_end_of_the_horizon_fits_in_the_rest_of_the_window(
    serve, hours, drawn, lost
):
    # three steps at 0.2 MW, and hours of the window after them; hourly prices fall
    member = tasks(False, energy=1.0)
    seen = forecast(member, 0, 7, steps=8)
    columns = {name: values[:3].copy() for name, values in seen.devices.items()}
    columns["task_after_h"][:, 0] = hours + np.array([2.0, 1.0, 0.0])
    part = GridForecast(np.zeros(3), np.zeros(3), columns)
    result = serve(member, np.array([90.0, 60.0, 40.0]), part)
    assert result.value("task_p").sum() == pytest.approx(drawn, abs=1e-6)
    assert result.value("task_unserved").sum() == pytest.approx(lost, abs=1e-6)


@pytest.mark.parametrize("energy", [0.4, 0.5])
def test_a_whole_run_begins_where_enumeration_finds_it(serve, energy):
    member = tasks(True, energy=energy)
    result = serve(member, PRICE, forecast(member, 1, 6), gap=1e-6)
    hours = energy / 0.2
    costs = {}
    for begin in range(1, 8 - int(np.ceil(hours))):
        share = np.clip(begin + hours - np.arange(8), 0.0, 1.0) * (np.arange(8) >= begin)
        costs[begin] = float(0.2 * share @ PRICE)
    assert result.objective == pytest.approx(min(costs.values()), rel=1e-4)
    begin = int(np.argmax(result.value("task_begin")))
    assert costs[begin] == pytest.approx(min(costs.values()))


def test_two_whole_runs_against_enumeration_of_both(serve):
    member = tasks(True, True, energy=0.4)
    result = serve(member, PRICE, forecast(member, 0, 6), gap=1e-6)
    best = min(
        sum(0.2 * PRICE[b : b + 2].sum() for b in pair) for pair in product(range(6), repeat=2)
    )
    assert result.objective == pytest.approx(best, rel=1e-4)


def test_beginnings_are_rounded_by_their_number():
    x = np.array([0.2, 0.2, 0.3, 0.3, 0.6, 0.0, 0.6, 0.8])
    rule = SnapRule(np.arange(8), (), (), steps=4)
    snapped = snap_by_direction(np.arange(8), [rule])(x)
    # sums 0.2 0.4 0.7 1.0 and 0.6 0.6 1.2 2.0
    np.testing.assert_array_equal(snapped, [0, 0, 1, 0, 1, 0, 0, 1])


def test_a_run_covers_parts_of_longer_steps():
    share = running_share(np.array([1.0, 1.0, 4.0]), 2.5)
    np.testing.assert_allclose(share[:, 0], [1.0, 1.0, 0.125])
    np.testing.assert_allclose(share[:, 2], [0.0, 0.0, 0.625])


def test_the_world_runs_a_whole_task_to_its_end_and_at_the_latest_by_itself():
    member = tasks(True, True)
    seen, states, power = forecast(member, 0, 7), member.initial, []
    for t in range(8):
        row = {name: values[t] for name, values in seen.devices.items()}
        asked = np.array([0.2 if t == 2 else 0.0, 0.0])
        done = member.deliver({"task_p_mw": asked}, row, states, 1.0)
        power.append(done["task_p_mw"])
        states = {name: done[name] for name in states}
    # 2.5 h from the third hour; the other one has to begin in the sixth: 3 h are left
    np.testing.assert_allclose(np.array(power)[:, 0], [0, 0, 0.2, 0.2, 0.1, 0, 0, 0])
    np.testing.assert_allclose(np.array(power)[:, 1], [0, 0, 0, 0, 0, 0.2, 0.2, 0.1])
    assert (states["task_left_mwh"] == 0.0).all()


def test_the_deadline_of_a_task_that_has_run_is_not_one_of_the_next_task(serve):
    member = tasks(True, energy=0.4)
    seen = forecast(member, 2, 7)  # the run may begin in the steps 2 to 6
    seen.devices["task_latest"][1] = 1.0  # of the window before, whose task has run
    result = serve(member, PRICE, seen, gap=1e-6)
    assert result.objective == pytest.approx(0.2 * (20.0 + 60.0), rel=1e-4)
    waits = {"task_left_mwh": np.array([0.4]), "task_rest_h": np.zeros(1)}
    both = serve(member, PRICE, seen, waits, gap=1e-6)
    assert both.value("task_begun")[1] == pytest.approx(1.0)
    first = 0.2 * min(PRICE[0] + PRICE[1], PRICE[1] + PRICE[2])
    assert both.objective == pytest.approx(first + 0.2 * (20.0 + 60.0), rel=1e-4)


def test_a_run_shorter_than_an_interval_begins_when_it_is_planned():
    member = tasks(True, energy=0.05)  # a quarter of an hour
    waits = {"task_left_mwh": np.array([0.05]), "task_rest_h": np.zeros(1)}
    row = {name: values[3] for name, values in forecast(member, 0, 7).devices.items()}
    for asked, power in ((0.05, 0.05), (0.0, 0.0)):
        done = member.deliver({"task_p_mw": np.array([asked])}, row, waits, 1.0)
        assert done["task_p_mw"][0] == pytest.approx(power)


def test_windows_of_a_day():
    axis = TimeAxis(pd.Timestamp("2025-01-15 12:00", tz="UTC"), pd.Timedelta(hours=1), 24)
    windows = daily_windows(axis, np.array([22.0]), np.array([6.0]), np.array([2.0]))
    np.testing.assert_array_equal(np.flatnonzero(windows.open[:, 0]), np.arange(10, 18))
    assert np.flatnonzero(windows.arrivals[:, 0]).tolist() == [10]
    assert np.flatnonzero(windows.ends[:, 0]).tolist() == [17]
    assert np.flatnonzero(windows.latest[:, 0]).tolist() == [16]
    with pytest.raises(ProfileError, match=r"a run of 9 h does not fit in a window of 8 h"):
        daily_windows(axis, np.array([22.0]), np.array([6.0]), np.array([9.0]))
