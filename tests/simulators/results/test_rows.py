"""What rows of the tables are made of, from parts made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from stackelgrid.simulators.results.rows import boundary_payment
from stackelgrid.simulators.results.totals import Totals

IMPORT, EXPORT, NODAL = 100.0, 50.0, 60.0


def payment(exchange, bought=0.0, sold=0.0, price=NODAL, **of_grid):
    """EUR/h of a feeder whose second prosumer trades across at step 1, the applied one."""
    series = SimpleNamespace(
        import_eur_per_mwh=np.array([1.0, 1.0, IMPORT]),
        export_eur_per_mwh=np.array([1.0, 1.0, EXPORT]),
    )
    grid = SimpleNamespace(**{"level": "mv", "nodal_pricing": False, "series": series} | of_grid)
    trade = SimpleNamespace(
        across_buy_mw=np.array([[9.0, 0.0], [0.0, bought]]),
        across_sell_mw=np.array([[0.0, 0.0], [9.0, sold]]),
    )
    plan = SimpleNamespace(step=1, schedule=SimpleNamespace(trade=trade))
    interface = {"nodal_price_eur_per_mwh": np.array([price])}
    return boundary_payment(grid, {"slack_p_mw": exchange}, plan, interface, 2)


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
    costs = {"wear_eur": 1.0, "curtailment_eur": 2.0, "retail_eur": 4.0, "fee_eur": 8.0}
    nothing = dict.fromkeys((
        "gap", "gap_eur", "flexible_gap", "simultaneous_mw", "rounds", "energy_handover_error_mwh",
        "balance_error_mw",
    ), 0.0)  # fmt: skip
    feeder = SimpleNamespace(
        grid="mv", copies=2, fallback=False, boundary_eur=float("nan"),
        generation_eur=16.0, **costs, **nothing,
    )  # fmt: skip
    top = SimpleNamespace(
        grid="tn", copies=1, fallback=False, boundary_eur=0.0, generation_eur=100.0,
        **dict.fromkeys(costs, 0.0), **nothing,
    )  # fmt: skip
    totals = Totals({"tn": "", "mv": "tn"})
    totals.certificate = SimpleNamespace(add=lambda interval, row: None)
    for row in (top, feeder):
        totals.add(row, 0.0, 0.0)
    assert totals.costs.system == 100.0 + 2 * 31.0
    assert np.isnan(totals.costs.leaders)
    totals = Totals({"mv": ""})  # the root is the follower, also where nobody leads
    totals.certificate = SimpleNamespace(add=lambda interval, row: None)
    feeder.boundary_eur = 32.0
    totals.add(feeder, 0.0, 0.0)
    costs = totals.costs
    assert (costs.system, costs.follower, costs.leaders) == (2 * 63.0, 2 * 63.0, 0.0)
