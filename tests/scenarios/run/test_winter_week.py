"""Balances of the shipped scenarios of homes in every interval."""

import pytest
from support.balances import largest_errors
from support.trade_checks import assert_balanced

CLOSED = 1e-9


def check(run, kinds):
    errors = largest_errors(run.tables, run.built)
    assert kinds <= errors.keys()
    assert max(errors.values()) < CLOSED, errors
    copies = {g.name: g.multiplicity for g in run.built.scenario.grids if g.trade is not None}
    assert_balanced(run.tables, copies)
    assert run.summary["certificate"]["infeasible"] == 0


def test_the_first_hours_of_the_community(run_of):
    short = ("time.intervals=2", "horizon.steps=[{ count = 4, minutes = 60 }]")
    check(run_of("community", *short), {"vehicles", "machines", "rooms", "stores"})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["community", "winter_week"])
def test_every_interval(run_of, name):
    run = run_of(name)
    assert run.summary["intervals_done"] == {"community": 24, "winter_week": 168}[name]
    check(run, {"vehicles", "machines", "rooms"})
