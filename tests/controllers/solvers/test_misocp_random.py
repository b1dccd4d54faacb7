"""The mixed-integer driver against SCIP on small seeded programs."""

from functools import cache

import pytest
from support.misocp_instances import random_instance, solve_with_scip

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.controllers.solvers.mixed_integer.misocp import MixedIntegerConicSolver

pytest.importorskip("pyscipopt", reason="SCIP is an optional extra")


# of the first 60 seeds those that SCIP settles within 4 s; the test is slow where it takes longest,
# and for two of three others
SEEDS = sorted(set(range(60)) - {15, 41, 50})
LONGEST = {3, 5, 7, 12, 22, 25, 39, 44, 58}


@cache
def instance(seed):
    return random_instance(seed)


@cache
def solved(seed):
    conic, data = instance(seed)
    return MixedIntegerConicSolver(conic).solve(data, MixedOptions(gap=1e-7))


@pytest.mark.parametrize(
    "seed",
    [pytest.param(s, marks=[pytest.mark.slow] if s in LONGEST or s % 3 else []) for s in SEEDS],
)
def test_same_status_and_optimum_as_scip(seed):
    conic, data = instance(seed)
    ours = solved(seed)
    status, objective = solve_with_scip(conic, data)
    assert ours.status == status, ours.message
    if status == "optimal":
        assert ours.objective == pytest.approx(objective, rel=1e-5, abs=1e-5)
        assert ours.bound <= ours.objective
        assert ours.gap <= 1e-7
        assert ours.violation <= tolerances.POINT_VIOLATION
        integers = ours.x[conic.integer]
        assert (integers == integers.round()).all()


def test_the_seeds_hold_every_status():
    seen = [solved(seed).status for seed in SEEDS if seed not in LONGEST]
    assert seen.count("optimal") >= 30
    assert seen.count("infeasible") >= 3
    assert seen.count("unbounded") >= 3
