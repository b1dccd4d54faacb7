"""The mixed-integer driver against SCIP on small seeded programs."""

import pytest
from misocp_instances import random_instance, solve_with_scip

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.misocp import MixedIntegerConicSolver, MixedOptions

pytest.importorskip("pyscipopt", reason="SCIP is an optional extra")


# of the first 60 seeds those that SCIP settles within 4 s
SEEDS = sorted(set(range(60)) - {15, 41, 50})


@pytest.mark.parametrize("seed", SEEDS)
def test_same_status_and_optimum_as_scip(seed):
    conic, data = random_instance(seed)
    ours = MixedIntegerConicSolver(conic).solve(data, MixedOptions(gap=1e-7))
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
    seen = [
        MixedIntegerConicSolver(conic).solve(data).status
        for conic, data in map(random_instance, SEEDS)
    ]
    assert seen.count("optimal") >= 30
    assert seen.count("infeasible") >= 3
    assert seen.count("unbounded") >= 3
