"""Random instances by every method against the enumeration of all complementarity patterns."""

from functools import cache

import pytest
from support.bilevel_random import enumerate_patterns, random_instance, random_model

from stackelgrid.controllers.bilevel import solve_bilevel
from stackelgrid.controllers.errors import ModelError

SEEDS = [s for s in range(90) if random_instance(s).inequalities <= 6]
FAST = [*SEEDS[:24], 83]  # these hold every status; the others are slow tests


@cache
def expected(seed):
    return enumerate_patterns(random_instance(seed))


@pytest.mark.parametrize(
    "seed", [*FAST, *(pytest.param(s, marks=pytest.mark.slow) for s in SEEDS if s not in FAST)]
)
@pytest.mark.parametrize(
    "method", ["auto", "branch", "kkt_disjunctive", "kkt_big_m", "strong_duality"]
)
def test_same_status_and_optimum_as_enumeration(method, seed):
    instance = random_instance(seed)
    known = expected(seed)
    if known is None:
        pytest.skip("the oracle's solver has no answer to a pattern")
    status, objective = known
    model = random_model(instance)
    refusal = ""
    try:
        result = solve_bilevel(model, model.follower, method)
    except ModelError as error:
        refusal = str(error)
    if "unbounded for every decision" in refusal:
        assert status == "infeasible"
        return
    if refusal:
        reason = {"kkt_big_m": "no finite big-M", "strong_duality": "cannot be linearised"}[method]
        assert reason in refusal
        return
    assert result.status == status, result.message
    if status == "optimal":
        sign = -1.0 if instance.leader_maximises else 1.0
        assert sign * result.objective == pytest.approx(objective, rel=1e-5, abs=1e-5)


def test_the_seeds_hold_every_status():
    found = [known[0] for known in map(expected, FAST) if known]
    assert {s: found.count(s) >= 3 for s in set(found)} == {
        "optimal": True, "infeasible": True, "unbounded": True
    }  # fmt: skip
