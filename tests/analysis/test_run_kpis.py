"""Indicators of a run, from tables written by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from stackelgrid.analysis.kpis.indicators import TOTAL
from stackelgrid.analysis.kpis.runs import run_exchange, run_indicators

# two intervals of half an hour; two copies of `a` below the feeder `mv`
A = {
    "grid": "a", "level": "lv", "copies": 2, "gap": 1e-4, "gap_eur": 0.1, "unit_p_mw": 0.0,
    "wear_eur": 0.5, "fee_eur": 0.25, "retail_eur": 0.0, "curtailment_eur": 0.0,
    "generation_eur": 0.0, "loss_mw": 0.1,
}  # fmt: skip
MV = {
    **A, "grid": "mv", "level": "mv", "copies": 1, "gap": 1e-3, "wear_eur": 0.0, "fee_eur": 0.0,
    "generation_eur": 30.0, "boundary_eur": 100.0, "unit_p_mw": 2.0, "pv_p_mw": 0.0,
    "pv_available_mw": 0.0, "battery_e_mwh": 0.0, "p_import_mw": 5.0,
}  # fmt: skip


@pytest.fixture
def run():
    interval = [
        {**A, "interval": 0, "p_import_mw": -1.0, "pv_p_mw": 3.0, "pv_available_mw": 4.0,
         "battery_e_mwh": 0.4, "boundary_eur": -15.0},
        {**MV, "interval": 0},
        {**A, "interval": 1, "p_import_mw": 2.0, "pv_p_mw": 0.0, "pv_available_mw": 0.0,
         "battery_e_mwh": 0.7, "boundary_eur": 75.0},
        {**MV, "interval": 1},
    ]  # fmt: skip
    boundary = [
        {"interval": 0, "grid": "a", "parent": "mv", "p_mw": -1.0},
        {"interval": 1, "grid": "a", "parent": "mv", "p_mw": 2.0},
    ]
    device = [
        {"interval": 0, "grid": "a", "element": "load", "kind": "load", "p_mw": 1.0},
        {"interval": 0, "grid": "a", "element": "sgen", "kind": "load", "p_mw": 0.5},
        {"interval": 0, "grid": "a", "element": "storage", "kind": "battery", "p_mw": 0.8},
        {"interval": 1, "grid": "a", "element": "load", "kind": "load", "p_mw": 3.0},
        {"interval": 1, "grid": "a", "element": "storage", "kind": "battery", "p_mw": -0.2},
    ]
    trade = [
        {"interval": 0, "grid": "a", "market": "inside", "side": "buy", "p_mw": 0.3},
        {"interval": 0, "grid": "a", "market": "inside", "side": "sell", "p_mw": 0.3},
        {"interval": 1, "grid": "a", "market": "across", "side": "buy", "p_mw": 0.5},
        {"interval": 0, "grid": "a", "market": "across", "side": "sell", "p_mw": 0.4},
    ]
    tables = {"interval": interval, "boundary": boundary, "device": device, "trade": trade}
    stored = {
        "mv": {"start_mwh": 0.0, "end_mwh": 0.0, "eur_per_mwh": 100.0, "value_eur": 0.0},
        "a": {"start_mwh": 1.0, "end_mwh": 1.4, "eur_per_mwh": 200.0, "value_eur": 80.0},
    }
    summary = {
        "intervals_fallback": 1, "timings": {"solve_s": 7.0}, "stored_energy": {"grids": stored},
    }  # fmt: skip
    grids = {"mv": SimpleNamespace(parent=None), "a": SimpleNamespace(parent="mv")}
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    scenario = {"grids": [{"name": "mv"}, {"name": "a", "trade": {"fee": 1.0}}]}
    return SimpleNamespace(**frames, dt_h=0.5, scenario=scenario, summary=summary, grids=grids)


def indicators(run, grid):
    frame = run_indicators(run, "top_down", "tariff")
    return frame[frame["grid"] == grid].set_index("indicator")["value"].to_dict()


def test_realised_indicators_of_a_network(run):
    payment = 2 * (-15.0 + 75.0)
    own = 2 * 2 * (0.5 + 0.25)
    expected = {
        "boundary_payment": payment,
        "leader_cost": own + payment,
        "stored_energy": 2 * (0.7 - 0.5),
        "stored_energy_value": 80.0,
        "leader_cost_corrected": own + payment - 80.0,
        "import": 2 * 0.5 * 2.0,
        "export": 2 * 0.5 * 1.0,
        "peak_exchange": 4.0,
        "consumption": 2 * 0.5 * 4.0,
        "pv_available": 2 * 0.5 * 4.0,
        "pv_generation": 2 * 0.5 * 3.0,
        "pv_curtailed": 2 * 0.5 * 1.0,
        "self_consumption": 2.0 / 4.0,
        "self_sufficiency": 1.0 - 2.0 / 4.0,
        "battery_throughput": 2 * 0.5 * 1.0,
        "p2p_inside": 2 * 0.5 * 0.3,
        "p2p_across": 2 * 0.5 * 0.5,
        "losses": 2 * 0.1,
        "generation": 0.0,
    }
    assert indicators(run, "a") == pytest.approx(expected)


def test_realised_totals(run):
    total = indicators(run, TOTAL)
    assert total["follower_cost"] == pytest.approx(2 * 130.0)
    assert total["total_cost"] == pytest.approx(2 * 130.0 + 3.0)  # payments are transfers
    assert total["total_cost_corrected"] == pytest.approx(263.0 - 80.0)
    assert total["follower_generation"] == pytest.approx(2.0)
    assert (total["gap"], total["fallbacks"], total["solve_s"]) == (1e-3, 1.0, 7.0)


def test_an_unknown_payment_leaves_the_total_cost_known(run):
    """Without a nodal price nobody knows what a network pays; to the system it is a transfer."""
    table = run.interval
    table.loc[(table["grid"] == "a") & (table["interval"] == 1), "boundary_eur"] = np.nan
    assert np.isnan(indicators(run, "a")["leader_cost"])
    total = indicators(run, TOTAL)
    assert np.isnan(total["boundary_payment"])
    assert total["total_cost"] == pytest.approx(2 * 130.0 + 3.0)


def test_a_root_feeder_has_no_leaders_indicators(run):
    mv = indicators(run, "mv")
    assert "leader_cost" not in mv
    assert np.isnan(mv["p2p_inside"])
    assert mv["import"] == pytest.approx(5.0)


def test_realised_exchange(run):
    table = run_exchange(run, "top_down")
    assert list(table["p_mw"]) == [-2.0, 4.0]
    assert list(table["start_h"]) == [0.0, 0.5]
