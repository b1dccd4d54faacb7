"""Shipped scenarios: valid, and those of the two papers solved with proof."""

import numpy as np
import pytest
from support.trade_checks import assert_balanced, assert_one_mode, assert_one_role

EFFICIENCY = {"charge": 0.95, "discharge": 0.95}
FEEDERS = {"mv1": 5, "mv2": 4, "mv3": 8, "mv4": 4, "mv5": 3}
COMMUNITIES = {"lv1": 7, "lv2": 7, "lv3": 3, "lv4": 3, "lv5": 3, "lv6": 2}


@pytest.mark.parametrize(
    ("name", "grids"),
    [
        ("tso_dso", ["tn", *FEEDERS]),
        ("lv_mv", ["mv1", *COMMUNITIES]),
        ("households", ["street"]),
    ],
)
def test_shipped_scenarios_validate(command, name, grids):
    outcome = command("validate", name)
    assert outcome.status == 0, outcome.stderr
    lines = outcome.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[: len(grids)]] == grids
    assert lines[-1] == f"{name}: valid"


def assert_proven(run, copies):
    """One day-ahead program over the grids in `copies`: gap, integral binaries, trade."""
    tables, summary = run.tables, run.summary
    assert summary["status"] == "done"
    assert summary["intervals_done"] == 24
    assert summary["intervals_fallback"] == 0
    assert summary["bilevel"]["max_relative_gap"] <= 1e-3
    interval = tables["interval"]
    own = interval[interval.grid.isin(list(copies))]
    assert (own["gap"] <= 1e-3).all()
    assert (own.gap_eur >= 0.0).all()
    assert np.isfinite(own.flexible_gap).all()
    assert_balanced(tables, copies)
    assert_one_role(tables["trade"])
    assert_one_mode(tables, EFFICIENCY)
    assert summary["max_simultaneous_charge_discharge_mw"] == 0.0
    trade = tables["trade"]
    energy = trade.p_mw * trade.grid.map(copies)
    across = energy[(trade.market == "across") & (trade.side == "buy")].sum()
    assert across > 0.0
    return own


def test_tso_dso_is_solved_with_proof_and_trades_across(run_of):
    run = run_of("tso_dso")
    feeders = assert_proven(run, FEEDERS)
    assert (feeders.conic_solves == 1).all()
    assert (feeders.nodes == 0).all()
    c = run.summary["certificate"]
    assert (c["exact"], c["infeasible"]) == (24, 0)


@pytest.mark.slow
def test_lv_mv_is_solved_with_proof_and_trades_across(run_of):
    run = run_of("lv_mv")
    assert_proven(run, COMMUNITIES)
    assert run.summary["certificate"]["infeasible"] == 0
