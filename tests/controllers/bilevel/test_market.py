"""Markets of some hundred pairs: `auto` proves the optimum that SCIP proves."""

import numpy as np
import pytest
from support.bilevel_market import OPTIMA, transport_market

from stackelgrid.controllers.bilevel import solve_bilevel
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.presolve.bounds import recourse_bounds
from stackelgrid.controllers.bilevel.reading.compiled import compile_bilevel
from stackelgrid.controllers.bilevel.search.follower import FollowerResponse

SMALL = [key for key in OPTIMA if key[0] <= 100]


def confirm(units, seed, **arguments):
    model = transport_market(units, seed)
    result = solve_bilevel(model, model.follower, **arguments)
    assert result.status == "optimal", result.message
    assert result.objective == pytest.approx(OPTIMA[units, seed], rel=1e-6)
    assert result.bound <= result.objective
    assert result.gap <= 1e-6
    assert result.follower_gap <= 1e-6


@pytest.mark.parametrize(("units", "seed"), SMALL)
def test_auto_proves_the_optimum(units, seed):
    confirm(units, seed, time_limit=60)


@pytest.mark.slow
@pytest.mark.parametrize(("units", "seed"), [key for key in OPTIMA if key not in SMALL])
def test_auto_proves_the_optimum_of_larger_ones(units, seed):
    confirm(units, seed, time_limit=120)


def test_without_a_limit_the_search_goes_on_to_the_optimum():
    confirm(67, 4001)


@pytest.mark.parametrize(
    ("units", "seed", "optimum"), [(40, 4000, -855.4424275), (67, 4001, -913.6322437)]
)
def test_a_curved_leader_over_one_block(units, seed, optimum):
    """Above 200 pairs the hull of one block proves nothing; optima by SCIP as above."""
    model = transport_market(units, seed)
    model.cost.set_value(model.cost.expr + 0.5 * sum(v**2 for v in model.x.values()))
    result = solve_bilevel(model, model.follower, time_limit=60)
    assert result.status == "optimal", result.message
    assert result.objective == pytest.approx(optimum, rel=1e-6)


def test_a_limit_that_is_reached_keeps_point_bound_and_gap():
    model = transport_market(150, 4003)
    result = solve_bilevel(model, model.follower, time_limit=1.0)
    assert result.status == "time_limit"
    assert result.message.startswith("time limit of 1 s reached: a gap of ")
    assert 1.0 <= result.seconds <= 10.0
    assert result.bound <= OPTIMA[150, 4003] <= result.objective + 1e-6
    assert result.gap == pytest.approx((result.objective - result.bound) / abs(result.objective))


@pytest.mark.parametrize(
    ("units", "seed", "loads"),
    [(10, 1, 3), (20, 1, 3), pytest.param(40, 4000, 5, marks=pytest.mark.slow)],
)
def test_big_m_is_proven_where_the_follower_always_has_room(units, seed, loads):
    """Shedding serves every load, so a dispatch has room in all rows and prices are bounded."""
    model = transport_market(units, seed, loads)
    known = solve_bilevel(model, model.follower)
    result = solve_bilevel(model, model.follower, "kkt_big_m", time_limit=120)
    assert result.status == "optimal", result.message
    assert result.objective == pytest.approx(known.objective, rel=1e-6)


def test_multipliers_stay_below_their_proven_bounds():
    """At decisions across the leader's box, in the corners above all."""
    model = transport_market(12, 3, 3)
    compiled = compile_bilevel(model, model.follower)
    bounds = recourse_bounds(KktForm(compiled.program), compiled.data)
    assert np.isfinite(bounds).all()
    response = FollowerResponse(compiled.program, compiled.data)
    first, worst = compiled.program.follower.zero, np.zeros(len(bounds))
    corners = np.array(np.meshgrid(*[(0.0, 3.0, 6.0)] * 3)).reshape(3, -1).T
    for x in corners[corners.sum(axis=1) <= 9.0]:
        worst = np.maximum(worst, response.solve(x).dual[first : first + len(bounds)])
    assert (worst <= bounds).all()
    assert worst.max() > 100.0  # a load is shed at 200 somewhere
