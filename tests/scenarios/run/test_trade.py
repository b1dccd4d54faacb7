"""Trade in the tables of a run: balances, roles, prices, modes; and that threads change nothing."""

import json

import numpy as np
import pytest
from support.scenario_texts import MARKET_COPIES, MARKET_MARGIN, write_extending
from support.trade_checks import assert_balanced, assert_one_mode, assert_one_role, sums

from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.load import load_scenario

INSIDE, ACROSS = 8.0, 16.0
EFFICIENCY = {"charge": 0.9, "discharge": 0.95}

DAY = ("horizon.mode=day_ahead", "horizon.steps=[{ count = 3, minutes = 60 }]")


@pytest.fixture(scope="session")
def market_path(tmp_path_factory):
    return write_extending(tmp_path_factory.mktemp("market"), "market")


@pytest.fixture(scope="session")
def market(market_path, run_of):
    run = run_of(market_path)
    return run.tables, run.summary


@pytest.fixture(scope="session")
def market_day(market_path, run_of):
    run = run_of(market_path, *DAY)
    return run.tables, run.summary


@pytest.fixture(params=["market", "market_day"])
def traded(request):
    """The rolling run and the day-ahead one."""
    return request.getfixturevalue(request.param)


def test_balances_close(traded):
    tables, _ = traded
    assert_balanced(tables, MARKET_COPIES)
    trade = tables["trade"]
    for market in ("inside", "across"):
        assert trade[trade.market == market].p_mw.sum() > 0.01, market
    assert set(trade.grid) == {"mv1", "mv2"}
    assert set(trade.interval) == {0, 1, 2}


def test_roles_and_modes_are_one_or_the_other(traded):
    tables, summary = traded
    assert_one_role(tables["trade"])
    assert_one_mode(tables, EFFICIENCY)
    assert summary["max_simultaneous_charge_discharge_mw"] == 0.0


def test_prices_follow_the_rule(traded):
    trade = traded[0]["trade"]
    imported = np.array([[90.0, 60.0, 60.0], [110.0] * 3])
    exported = np.array([[50.0, 40.0, 40.0], [55.0] * 3])
    middle = (imported + exported) / 2
    at = trade.grid.map({"mv1": 0, "mv2": 1}).to_numpy(), trade.interval.to_numpy()
    across = middle.mean(axis=0)
    for (market, side), rows in trade.groupby(["market", "side"]):
        k = rows.index
        g, t = at[0][k], at[1][k]
        expected, fee = {
            ("grid", "buy"): (imported[g, t] + MARKET_MARGIN, 0.0),
            ("grid", "sell"): (exported[g, t] - MARKET_MARGIN, 0.0),
            ("inside", "buy"): (middle[g, t], INSIDE),
            ("inside", "sell"): (middle[g, t], 0.0),
            ("across", "buy"): (across[t], ACROSS),
            ("across", "sell"): (across[t], 0.0),
        }[market, side]
        np.testing.assert_allclose(rows.price_eur_per_mwh, expected, rtol=1e-12)
        np.testing.assert_allclose(rows.fee_eur_per_mwh, fee)


def test_the_tariff_bills_what_no_trade_across_has_paid_for(traded):
    tables, summary = traded
    trade, interval = tables["trade"], tables["interval"]
    boundary = tables["boundary"].set_index(["grid", "interval"])
    across = sums(trade[trade.market == "across"], "grid", "interval")
    billed = boundary.p_mw - across.reindex(boundary.index, fill_value=0.0)
    price = boundary.import_eur_per_mwh.where(billed > 0.0, boundary.export_eur_per_mwh)
    paid = interval.set_index(["grid", "interval"]).boundary_eur.reindex(boundary.index)
    np.testing.assert_allclose(paid, price * billed, rtol=1e-9, atol=1e-6)
    assert np.abs(paid - price * boundary.p_mw).max() > 0.1
    leaders = interval[interval.level == "mv"]
    own = ["retail_eur", "fee_eur", "wear_eur", "curtailment_eur", "generation_eur"]
    cost = leaders.copies * (leaders.boundary_eur + leaders[own].sum(axis=1))
    assert summary["cost_eur"]["leader"] == pytest.approx(cost.sum(), rel=1e-12)


def test_margins_and_fees_are_those_of_the_trades(traded):
    tables, _ = traded
    trade, interval = tables["trade"], tables["interval"]
    cost = trade.assign(
        retail=(trade.market == "grid") * MARKET_MARGIN * trade.p_mw,
        fee=trade.fee_eur_per_mwh * trade.p_mw,
    )
    found = cost.groupby(["interval", "grid"])[["retail", "fee"]].sum()
    told = interval[interval.level == "mv"].set_index(["interval", "grid"])
    np.testing.assert_allclose(told.loc[found.index].retail_eur, found.retail, atol=1e-6)
    np.testing.assert_allclose(told.loc[found.index].fee_eur, found.fee, atol=1e-6)
    assert found.fee.sum() > 0.1


def test_gaps_are_proven_and_recorded(traded):
    tables, summary = traded
    feeders = tables["interval"][tables["interval"].level == "mv"]
    assert summary["bilevel"]["max_relative_gap"] == tables["interval"]["gap"].max() <= 1e-3
    assert summary["bilevel"]["max_gap_eur"] == tables["interval"]["gap_eur"].max()
    assert not feeders.fallback.any()
    assert (feeders.conic_solves >= 1).all()
    assert np.isfinite(feeders.flexible_gap).all()
    # both feeders are one program: what is said of it is said of both
    for column in ("gap", "gap_eur", "flexible_gap", "conic_solves", "nodes"):
        assert (feeders.groupby("interval")[column].nunique() == 1).all()


def test_a_day_ahead_plan_is_carried_out(market_day):
    tables, summary = market_day
    schedule, device = tables["schedule"], tables["device"]
    assert set(schedule.interval) == {0}
    assert set(schedule.step) == {0, 1, 2}
    planned = schedule[(schedule.element == "storage")].set_index(["step", "grid", "index"]).p_mw
    done = device[device.kind == "battery"].set_index(["interval", "grid", "index"]).p_mw
    for key, value in done.items():
        assert value == pytest.approx(planned[key], abs=1e-9)
    # a certificate of every interval, and the plan's import of its own step
    feeders = tables["interval"][tables["interval"].level == "mv"]
    assert (feeders.verdict == "exact").all()
    assert (feeders.import_error_mw < 1e-6).all()
    boundary = schedule[schedule.element == "boundary"].set_index(["step", "grid"]).p_mw
    for row in feeders.itertuples():
        assert row.p_import_planned_mw == boundary[row.interval, row.grid]
    assert feeders.groupby("grid").p_import_planned_mw.nunique().min() == 3
    assert summary["intervals_fallback"] == 0


def bits(frame):
    return {
        name: column.to_numpy().view(np.int64) if column.dtype == np.float64 else column.to_numpy()
        for name, column in frame.items()
        if not name.endswith("_s")
    }


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_bit_of_a_market(market, market_path, run_of, threads):
    other = run_of(market_path, f"solver.threads={threads}").tables
    for table, frame in market[0].items():
        first, second = bits(frame), bits(other[table])
        assert first.keys() == second.keys()
        for name, column in first.items():
            assert len(column) == len(second[name])
            # nothing is seen phase by phase here, and nobody negotiates
            assert len(column) > 0 or table in ("phase", "round", "negotiation", "commitment")
            assert (column == second[name]).all(), f"{table}.{name}"


def test_fees_above_all_savings_leave_the_grid_alone(market_path, run_of):
    run = run_of(
        market_path, "time.intervals=1", *(f"grids.mv{k}.trade.fee_inside_eur_per_mwh=31.0"
                                           for k in (1, 2)),
        *(f"grids.mv{k}.trade.fee_across_eur_per_mwh=200.0" for k in (1, 2)),
    )  # fmt: skip
    trade = run.tables["trade"]
    assert set(trade[trade.p_mw > 1e-6].market) == {"grid"}


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ("[{ count = 2, minutes = 60 }]", "found 2 steps of 60 min"),
        ("[{ count = 4, minutes = 60 }]", "found 4 steps of 60 min"),
        ("[{ count = 3, minutes = 120 }]", "found 3 steps of 120 min"),
        ("[{ count = 2, minutes = 60 }, { count = 1, minutes = 120 }]", "found 3 steps of 60, 120"),
    ],
)
def test_a_day_ahead_horizon_must_match_the_run(command, market_path, steps, found):
    outcome = command(
        "validate",
        market_path,
        "--set",
        "horizon.mode=day_ahead",
        "--set",
        f"horizon.steps={steps}",
    )
    assert outcome.status == 2
    lines = outcome.stderr.splitlines()
    assert len(lines) == 1
    assert "horizon.steps: a day-ahead horizon has one step for each of the 3 intervals" in lines[0]
    assert found in lines[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("retail_margin_eur_per_mwh", "-1.0"),
        ("fee_inside_eur_per_mwh", "-0.5"),
        ("fee_across_eur_per_mwh", "nan"),
        ("fee_inside_eur_per_mwh", "'much'"),
    ],
)
def test_prices_of_trade_that_make_no_sense_are_refused(command, market_path, key, value):
    outcome = command("validate", market_path, "--set", f"grids.mv1.trade.{key}={value}")
    assert outcome.status == 2
    assert f"grids.mv1.trade.{key}" in outcome.stderr


def test_trade_that_can_never_pay_is_noticed(command, market_path, tmp_path):
    outcome = command(
        "run", market_path, "--out", tmp_path / "out", "--set", "time.intervals=1",
        "--set", "grids.mv1.trade.fee_inside_eur_per_mwh=30.0",
        "--set", "grids.mv2.trade.fee_across_eur_per_mwh=85.0",
    )  # fmt: skip
    assert outcome.status == 0, outcome.stderr
    events = [json.loads(x) for x in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    said = " ".join(e["text"] for e in events if e["event"] == "notice")
    assert "grids.mv1.trade: trade inside can never pay" in said
    assert "grids.mv2.trade: trade across can never pay" in said
    assert "grids.mv2.trade: trade inside" not in said
    assert "grids.mv1.trade: trade across" not in said


def test_a_grid_with_trade_and_no_prosumer_runs(market_path, run_of):
    run = run_of(
        market_path, "time.intervals=1", "grids.mv2.pv=[]", "grids.mv2.batteries=[]",
    )  # fmt: skip
    assert run.summary["intervals_fallback"] == 0
    assert set(run.tables["trade"].grid) == {"mv1"}


def test_caps_come_from_the_series(market_path):
    """No load of the run exceeds what bounds its prosumer's trade."""
    built = build_scenario(load_scenario(str(market_path)))
    for feeder in built.system.feeders:
        series = built.series[feeder.name].load_p_mw
        assert (feeder.load_peak_mw >= np.abs(series).max(axis=0)).all()
