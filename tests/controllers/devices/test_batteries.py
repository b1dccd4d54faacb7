"""Battery modes: what a relaxed mode burns, what an integer one does, and what the rows cut off."""

from itertools import product

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy.optimize import linprog

from stackelgrid.controllers.devices.batteries import Batteries
from stackelgrid.controllers.models.active_network import ActiveNetworkOptions

GAIN = 0.8
OPTIONS = ActiveNetworkOptions()
ROOM = ("room_above", "room_below")


def batteries(count=1, wear=0.0):
    """Batteries of 1 MW and 1 MWh with 80 % each way."""
    one = np.ones(count)
    return Batteries(
        index=tuple(range(count)), name=tuple(f"b{k}" for k in range(count)),
        bus=np.zeros(count, dtype=np.int64), p_max_mw=one, e_min_mwh=0.0 * one,
        e_max_mwh=one, e_initial_mwh=0.5 * one, efficiency_charge=GAIN * one,
        efficiency_discharge=GAIN * one, wear_eur_per_mwh=wear * one, phase=("",) * count,
    )  # fmt: skip


@pytest.fixture
def dispatch(optimise):
    """`dispatch(price, start, end, ...)`: optimum of one battery that pays a price for charging."""

    def run(price, start=0.5, end=0.5, dt=None, wear=0.0, gap=None, without=()):
        steps = len(price)
        dt = np.ones(steps) if dt is None else np.asarray(dt)
        m = pyo.ConcreteModel()
        m.steps = pyo.RangeSet(0, steps - 1)
        one = batteries(wear=wear)
        one.equations(m, 1.0, dt, OPTIONS)
        for name in without:
            m.component(name).deactivate()
        paid = sum(dt[t] * price[t] * (m.charge[0, t] - m.discharge[0, t]) for t in m.steps)
        m.cost = pyo.Objective(expr=paid + one.cost(m, 1.0, dt, OPTIONS))
        return optimise(m, {"energy_initial": [start], "energy_terminal": [end]}, gap)

    return run


def both(result):
    """Power charged and discharged at once."""
    return np.minimum(result.value("charge"), result.value("discharge"))


def by_enumeration(price, start, end, dt, wear):
    """Best cost over all modes, by linear programs in (charge, discharge)."""
    steps = len(price)
    cost = np.concatenate([dt * (price + wear), dt * (wear - price)])
    fill = np.tril(np.ones((steps, steps))) * dt
    energy = np.hstack([GAIN * fill, -fill / GAIN])
    rows = np.vstack([energy, -energy, -energy[-1:]])
    limits = np.concatenate([np.full(steps, 1.0 - start), np.full(steps, start), [start - end]])
    best = np.inf
    for modes in product((0.0, 1.0), repeat=steps):
        bounds = [(0.0, u) for u in modes] + [(0.0, 1.0 - u) for u in modes]
        found = linprog(cost, rows, limits, bounds=bounds)
        if found.status == 0:
            best = min(best, found.fun)
    return best


def test_a_relaxed_mode_burns_energy_at_a_negative_price_and_an_integer_one_does_not(dispatch):
    price = [-30.0, -30.0]
    relaxed = dispatch(price)
    assert both(relaxed).max() > 0.1
    result = dispatch(price, gap=1e-7)
    assert both(result).max() < 1e-6
    np.testing.assert_allclose(np.round(result.value("mode")), result.value("mode"), atol=1e-6)
    # discharge 0.24 MWh to 0.2 MWh stored, then charge at full power to 1 MWh
    assert result.objective == pytest.approx(-30.0 * (1.0 - 0.24), abs=1e-4)
    np.testing.assert_allclose(result.value("energy"), [0.2, 1.0], atol=1e-5)
    assert relaxed.objective < result.objective - 1.0


def test_a_full_battery_has_no_room_to_burn(dispatch):
    # full for an hour at -30: charging c and discharging 0.64 c would keep the energy, and
    # c + 0.64 c <= 1 by the mode alone
    burnt = dispatch([-30.0], start=1.0, end=0.0, without=ROOM)
    assert burnt.objective == pytest.approx(-30.0 * 0.36 / 1.64, abs=1e-5)
    assert both(burnt)[0] == pytest.approx(0.64 / 1.64, abs=1e-6)
    result = dispatch([-30.0], start=1.0, end=0.0)
    assert result.objective == pytest.approx(0.0, abs=1e-6)
    assert both(result)[0] < 1e-6


@pytest.mark.parametrize("seed", range(8))
def test_integer_optima_are_those_of_all_modes(dispatch, seed):
    rng = np.random.default_rng(seed)
    price = rng.uniform(-60.0, 60.0, 5)
    dt = rng.choice([0.25, 0.5, 1.0], 5)
    start, wear = rng.uniform(0.3, 1.0), rng.uniform(0.0, 5.0)
    expected = by_enumeration(price, start, 0.3, dt, wear)
    data = {"start": start, "end": 0.3, "dt": dt, "wear": wear}
    result = dispatch(price, gap=1e-7, **data)
    assert result.objective == pytest.approx(expected, abs=1e-4)
    assert both(result).max() < 1e-6
    # the room rows cut off no integer point and lift the relaxed bound
    loose = dispatch(price, without=ROOM, **data).objective
    tight = dispatch(price, **data).objective
    assert loose - 1e-6 <= tight <= expected + 1e-5


def test_the_room_rows_lift_some_bounds_by_much(dispatch):
    price = [-40.0, -40.0, -40.0, -40.0]
    loose = dispatch(price, start=1.0, without=ROOM).objective
    tight = dispatch(price, start=1.0).objective
    exact = dispatch(price, start=1.0, gap=1e-7).objective
    assert loose < tight - 1.0
    assert tight <= exact + 1e-6
