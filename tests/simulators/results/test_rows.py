"""Rows of the tables, from parts made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from stackelgrid.simulators.results.grid_interval import GridInterval
from stackelgrid.simulators.results.totals import OWN_EUR, run_costs

IMPORT, EXPORT, NODAL = 100.0, 50.0, 60.0


def payment(exchange, bought=0.0, sold=0.0, price=NODAL, **of_grid):
    """EUR/h of a feeder whose second prosumer trades across at step 1, the applied one."""
    series = SimpleNamespace(
        import_eur_per_mwh=np.array([1.0, 1.0, IMPORT]),
        export_eur_per_mwh=np.array([1.0, 1.0, EXPORT]),
    )
    known = {"level": "mv", "nodal_pricing": False, "series": series, "parent": "tn",
             "parent_bus_position": 0}  # fmt: skip
    grid = SimpleNamespace(**known | of_grid)
    trade = SimpleNamespace(
        across_buy_mw=np.array([[9.0, 0.0], [0.0, bought]]),
        across_sell_mw=np.array([[0.0, 0.0], [9.0, sold]]),
    )
    plan = SimpleNamespace(step=1, schedule=SimpleNamespace(trade=trade))
    prices = SimpleNamespace(price_eur_per_mwh=np.array([[price]]))
    upper = SimpleNamespace(step=0, schedule=prices)
    seen = {"slack_p_mw": exchange, "plan": plan}
    return GridInterval(grid, seen, interval=2, upper_plan=upper).payment_eur_per_h


@pytest.mark.parametrize(
    ("exchange", "bought", "sold", "expected"),
    [
        (2.0, 0.0, 0.0, 2.0 * IMPORT),
        (-1.0, 0.0, 0.0, -1.0 * EXPORT),
        (2.0, 0.5, 0.0, 1.5 * IMPORT),
        (-1.0, 0.0, 0.4, -0.6 * EXPORT),
        # the rest decides on the direction
        (0.2, 0.5, 0.0, -0.3 * EXPORT),
        (-0.2, 0.0, 0.5, 0.3 * IMPORT),
    ],
)
def test_the_tariff_bills_what_no_trade_across_has_paid_for(exchange, bought, sold, expected):
    assert payment(exchange, bought, sold) == pytest.approx(expected, rel=1e-12)


def test_nodal_prices_bill_the_whole_exchange():
    assert payment(-1.0, sold=0.4, nodal_pricing=True) == pytest.approx(-1.0 * NODAL)
    assert np.isnan(payment(2.0, price=float("nan"), nodal_pricing=True))


def test_a_transmission_network_pays_nobody():
    assert payment(2.0, level="transmission") == 0.0


def test_an_unknown_payment_leaves_the_total_cost_known():
    """Below a transmission network payments are transfers; a source outside is paid for."""
    rows = {
        "grid": np.array(["tn", "mv"], dtype=object),
        "copies": np.array([1, 2]),
        "boundary_eur": np.array([0.0, np.nan]),
        "generation_eur": np.array([100.0, 16.0]),
        "wear_eur": np.array([0.0, 1.0]),
        "curtailment_eur": np.array([0.0, 2.0]),
        "retail_eur": np.array([0.0, 4.0]),
        "fee_eur": np.array([0.0, 8.0]),
    }
    rows = {**dict.fromkeys(OWN_EUR, np.zeros(2)), **rows}
    costs = run_costs(rows, {"tn": "", "mv": "tn"})
    assert costs.system == 100.0 + 2 * 31.0
    assert np.isnan(costs.leaders)
    # the root is the follower, also where nobody leads
    feeder = {name: values[1:] for name, values in rows.items()}
    feeder["boundary_eur"] = np.array([32.0])
    costs = run_costs(feeder, {"mv": ""})
    assert (costs.system, costs.follower, costs.leaders) == (2 * 63.0, 2 * 63.0, 0.0)


def test_costs_add_up_in_the_order_of_the_rows():
    """A pairwise sum of these differs in the last bits."""
    paid = np.random.default_rng(5).normal(size=200)
    rows = {
        "grid": np.full(200, "mv", dtype=object),
        "copies": np.ones(200, dtype=int),
        "boundary_eur": paid,
        **dict.fromkeys(OWN_EUR, np.zeros(200)),
    }
    total = 0.0
    for eur in paid:
        total += eur
    assert total != paid.sum()
    assert run_costs(rows, {"mv": ""}).system == total
