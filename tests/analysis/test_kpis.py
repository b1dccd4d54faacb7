"""Indicators of plans, with numbers worked out by hand."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from support.records import grid_forecast

from stackelgrid.analysis.kpis.indicators import TOTAL, UNITS, GridRecord, cost_rows, energy_rows
from stackelgrid.analysis.kpis.plans import plan_exchange, plan_indicators
from stackelgrid.controllers.decision import Outcome
from stackelgrid.controllers.networks.reduction import FlowState
from stackelgrid.controllers.schedule import Plan, Schedule, SolveReport, Trade
from stackelgrid.controllers.system import Boundary, Feeder, System
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.profiles.time_axis import Horizon

HORIZON = Horizon((15, 60), 15)  # dt = 0.25 h, 1 h
NOTHING = np.zeros((0, 2))


def feeder(name, parent, copies, load, pv=()):
    """`load` and `pv` (devices, steps): consumption, and what the sun offers, MW of one copy."""
    forecast = grid_forecast(
        np.array(load, dtype=float).T, np.zeros((2, len(load))),
        np.array(pv, dtype=float).reshape(len(pv), 2).T, np.full(2, 100.0), np.full(2, 50.0),
    )  # fmt: skip
    return Feeder(
        name=name, level="lv", net=None, devices=None, options=None, load_peak_mw=np.zeros(1),
        network=SimpleNamespace(base_mva=2.0, r=np.array([0.1, 0.2])),
        boundary=Boundary("ideal", parent, 1, copies, None, None),
        forecast=SimpleNamespace(at=lambda interval: forecast),
    )  # fmt: skip


def plan(p_import, pv=NOTHING, charge=NOTHING, discharge=NOTHING, fallback="", **extra):
    schedule = Schedule(
        interval=0, dt_h=HORIZON.dt_h, p_import_mw=np.array(p_import, dtype=float),
        q_import_mvar=np.zeros(2), charge_mw=np.array(charge), discharge_mw=np.array(discharge),
        battery_e_mwh=NOTHING, pv_p_mw=np.array(pv), pv_q_mvar=NOTHING,
        unit_p_mw=extra.pop("unit", NOTHING), **extra,
    )  # fmt: skip
    report = SolveReport("clarabel", "optimal", 0.0, 0.0, 0.0, 1, 0.0, fallback)
    return Plan(schedule, schedule.set_points(), report)


@pytest.fixture
def system():
    """A feeder over three copies of `a` (PV, battery, trade) and two of `b` (loads only).

    A constant generator of `b` is listed as a load of -0.5 MW.
    """
    return System(
        None,
        (
            feeder("mv", None, 1, [[5.0, 5.0]]),
            feeder("a", "mv", 3, [[1.0, 2.0]], [[4.0, 1.0]]),
            feeder("b", "mv", 2, [[1.0, 1.0], [-0.5, -0.5]]),
        ),
        HORIZON,
    )


@pytest.fixture
def outcome():
    zero = np.zeros((1, 2))
    trade = Trade(
        (1,), zero, zero, np.array([[0.2, 0.1]]), np.array([[0.2, 0.1]]),
        np.array([[0.0, 0.4]]), zero, np.zeros(2), np.zeros(2),
    )  # fmt: skip
    squared = np.array([[1.0, 0.0], [0.0, 0.5]])
    return Outcome(
        scheme="bottom_up",
        pricing="tariff",
        follower="mv",
        plans={
            "mv": plan([9.0, 9.0], unit=np.array([[0.4, 0.2]])),
            "a": plan(
                [-2.0, 1.0], [[3.0, 1.0]], [[0.5, 0.0]], [[0.0, 0.5]], trade=trade,
                flows=FlowState(np.zeros((2, 2)), np.zeros((2, 2)), squared, np.ones((3, 2))),
            ),
            "b": plan([1.0, 1.0], fallback="held"),
        },
        leader_cost_eur={"a": 10.0, "b": 20.0},
        payment_eur={"a": 4.0, "b": 15.0},
        follower_cost_eur=100.0,
        objective=30.0,
        bound=29.5,
        gap=0.01,
        follower_gap=1e-9,
        solve_s=2.0,
    )  # fmt: skip


def values(frame, grid):
    return frame[frame["grid"] == grid].set_index("indicator")["value"].to_dict()


def test_indicators_of_one_network_count_all_copies(system, outcome):
    a = values(plan_indicators(system, [outcome]), "a")
    expected = {
        "leader_cost": 10.0,
        "boundary_payment": 4.0,
        "import": 3 * 1.0 * 1.0,
        "export": 3 * 0.25 * 2.0,
        "peak_exchange": 6.0,
        "consumption": 3 * (0.25 * 1.0 + 2.0),
        "pv_available": 3 * (0.25 * 4.0 + 1.0),
        "pv_generation": 3 * (0.25 * 3.0 + 1.0),
        "pv_curtailed": 3 * 0.25 * 1.0,
        # at first 2 of 3 MW leave, then nothing does
        "self_consumption": (0.25 * 1.0 + 1.0) / (0.25 * 4.0 + 1.0),
        "self_sufficiency": 1.0 - 1.0 / 2.25,
        "battery_throughput": 3 * (0.25 * 0.5 + 0.5),
        "p2p_inside": 3 * (0.25 * 0.2 + 0.1),
        "p2p_across": 3 * 0.4,
        # base 2 MVA: r l = 0.1, then 0.2 * 0.5
        "losses": 3 * 2.0 * (0.25 * 0.1 + 0.1),
        "generation": 0.0,
    }
    assert a == pytest.approx(expected)


def test_what_is_not_defined_is_no_zero(system, outcome):
    b = values(plan_indicators(system, [outcome]), "b")
    for indicator in ("self_consumption", "p2p_inside", "p2p_across", "losses"):
        assert np.isnan(b[indicator]), indicator
    assert b["consumption"] == pytest.approx(2 * 1.25)  # the constant generator is no consumption
    assert b["self_sufficiency"] == pytest.approx(0.0)
    assert b["pv_generation"] == b["battery_throughput"] == 0.0


def test_totals(system, outcome):
    frame = plan_indicators(system, [outcome])
    total = values(frame, TOTAL)
    assert total["total_cost"] == pytest.approx(outcome.total_eur) == pytest.approx(111.0)
    assert (total["leader_cost"], total["boundary_payment"]) == pytest.approx((30.0, 19.0))
    assert (total["import"], total["export"]) == pytest.approx((3.0 + 2.5, 1.5))
    assert total["peak_exchange"] == pytest.approx(5.0)  # -6 + 2 and 3 + 2
    assert total["self_consumption"] == pytest.approx(0.625)
    assert total["self_sufficiency"] == pytest.approx(1.0 - 5.5 / 9.25)
    assert total["p2p_inside"] == pytest.approx(0.45)  # b does not trade
    assert np.isnan(total["losses"])  # a fallback claims no flows
    assert total["follower_generation"] == pytest.approx(0.25 * 0.4 + 0.2)
    assert (total["gap_eur"], total["solve_s"], total["fallbacks"]) == (0.5, 2.0, 1.0)
    assert total["bound"] == 29.5
    assert np.isnan(total["follower_min"])
    assert np.isnan(total["remaining_gain"])
    assert set(frame["indicator"]) <= set(UNITS)
    assert dict(zip(frame["indicator"], frame["unit"], strict=True))["peak_exchange"] == "MW"
    assert set(frame["pricing"]) == {"tariff"}


def test_range_of_the_follower_and_remaining_gains(system, outcome):
    open_ended = dataclasses.replace(
        outcome, follower_returned_eur=120.0, follower_min_eur=100.0, follower_max_eur=180.0,
        remaining_gain_eur={"a": 0.3, "b": 0.1},
    )  # fmt: skip
    frame = plan_indicators(system, [open_ended])
    names = ("follower_returned", "follower_min", "follower_max")
    for grid in ("mv", TOTAL):
        assert [values(frame, grid)[n] for n in names] == [120.0, 100.0, 180.0]
    assert values(frame, "b")["remaining_gain"] == 0.1
    assert values(frame, TOTAL)["remaining_gain"] == 0.3


def test_exchange_over_time(system, outcome):
    table = plan_exchange(system, [outcome])
    a = table[table["grid"] == "a"]
    assert list(a["p_mw"]) == [-6.0, 3.0]
    assert list(a["start_h"]) == [0.0, 0.25]
    assert set(table["grid"]) == {"a", "b"}


def test_payments_between_networks_are_transfers():
    rows = cost_rows(
        {"tn": "", "mv": "tn", "lv": "mv"}, {"mv": 10.0, "lv": 5.0}, {"mv": 40.0, "lv": 15.0},
        {"tn": 200.0, "mv": 70.0},
    )  # fmt: skip
    total = {r.indicator: r.value for r in rows if r.grid == TOTAL}
    assert total == {
        "total_cost": 200.0 + 10.0 + 5.0,
        "leader_cost": 10.0 + 5.0 + 40.0,
        "follower_cost": 200.0,
        "boundary_payment": 40.0,
    }


def test_a_missing_follower_leaves_no_total():
    rows = cost_rows({"tn": "", "mv": "tn"}, {"mv": 10.0}, {"mv": 40.0}, {})
    assert np.isnan(next(r.value for r in rows if r.indicator == "total_cost"))


def test_shares_of_a_network_count_what_is_below_it():
    def record(grid, parent, x, load, pv):
        nothing = np.zeros(1)
        return GridRecord(
            grid, parent, None if x is None else np.array([x]), np.array([load]), nothing, nothing,
            nothing, nothing, {"pv": np.array([pv])}, {"pv": np.array([pv])},
        )  # fmt: skip

    records = {
        "tn": record("tn", "", None, 10.0, 0.0),
        "mv": record("mv", "tn", 1.0, 4.0, 1.0),
        "lv": record("lv", "mv", -2.0, 1.0, 3.0),
    }
    rows = {(r.grid, r.indicator): r.value for r in energy_rows(records, np.ones(1))}
    assert rows["lv", "self_consumption"] == pytest.approx(1.0 / 3.0)
    # nothing leaves the feeder: what the community exports is used there
    assert rows["mv", "self_consumption"] == 1.0
    assert rows["mv", "self_sufficiency"] == pytest.approx(1.0 - 1.0 / 5.0)
    assert rows[TOTAL, "import"] == 1.0
    assert rows[TOTAL, "consumption"] == 5.0
    assert ("tn", "import") not in rows


def test_a_grid_without_a_plan_or_with_two_costs_is_refused(system, outcome):
    without = dataclasses.replace(outcome, plans={n: outcome.plans[n] for n in ("mv", "a")})
    with pytest.raises(StackelgridError, match="grid b has no plan"):
        plan_indicators(system, [without])
    with pytest.raises(StackelgridError, match="grid a leads in two outcomes"):
        plan_indicators(system, [outcome, outcome])
    with pytest.raises(StackelgridError, match="no outcome"):
        plan_indicators(system, [])
