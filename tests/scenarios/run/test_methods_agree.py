"""Every method of the bilevel layer on one 30-bus + 1 x 33-bus instance over four periods."""

from dataclasses import replace

import pytest
from support.single_level import solve_single_level

from stackelgrid.controllers.bilevel import BilevelOptions
from stackelgrid.controllers.bilevel.problem import METHODS
from stackelgrid.controllers.cascade.cascade import Cascade
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.stage.stage import Stage, StageInstance
from stackelgrid.controllers.system import System
from stackelgrid.scenarios.build.measured import first_measured
from stackelgrid.scenarios.build.system import build_scenario, controller_settings
from stackelgrid.scenarios.schema.load import load_scenario

FOUR_HOURS = (
    "horizon.steps=[{count=4,minutes=60}]",
    "time.intervals=4",
    "time.start=2025-06-20T08:00:00",
)


PRICINGS = ("tariff", "lmp")


@pytest.fixture(scope="module", params=PRICINGS)
def solved(request):
    built = build_scenario(load_scenario("tso_dso", FOUR_HOURS))
    feeder = built.system.feeders[0]
    feeder = replace(feeder, boundary=replace(feeder.boundary, multiplicity=8))
    system = System(built.system.transmission, (feeder,), built.horizon, True)
    settings = controller_settings(built.scenario, built.solvers)
    cascade = Cascade(system, replace(settings, pricing=request.param, gap=1e-7))
    measured = first_measured(built)
    (outcome,) = cascade.decide(0, measured).outcomes
    stage = cascade.stages[0]
    base = stage.follower.parameters(0)
    leaders = {name: agent.prepare(0, measured[name], {}) for name, agent in stage.leaders.items()}
    return stage, StageInstance(0, measured, leaders, base), outcome


# 20 s and more each; on random programs these methods run in make test as well
LONG = (
    ("tariff", "kkt_disjunctive"),
    ("lmp", "kkt_disjunctive"),
    ("lmp", "kkt_big_m"),
    ("lmp", "branch"),
)
CASES = [
    pytest.param(pricing, method, marks=pytest.mark.slow if (pricing, method) in LONG else ())
    for pricing in PRICINGS
    for method in METHODS
]


@pytest.mark.parametrize(("solved", "method"), CASES, indirect=["solved"])
def test_a_method_agrees_with_the_scheme_or_refuses_by_name(solved, method):
    stage: Stage = solved[0]
    options = BilevelOptions(method=method, gap=1e-7)
    if method == "strong_duality":
        with pytest.raises(ModelError, match=r"dual of balance\[\d+,0\].*linearised exactly"):
            solve_single_level(stage, solved[1], options)
        return
    solution = solve_single_level(stage, solved[1], options)
    assert solution.status == "optimal"
    assert solution.objective == pytest.approx(solved[2].objective, rel=1e-6)
    assert solution.follower_gap <= 1e-6
    assert not solution.big_m_active


def test_the_scheme_is_proven_and_its_follower_optimal(solved):
    outcome = solved[2]
    assert outcome.gap <= 1e-7
    assert outcome.follower_gap <= 1e-6
    assert outcome.leader_eur == pytest.approx(outcome.objective, rel=1e-6)
