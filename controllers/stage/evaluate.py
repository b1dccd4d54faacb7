"""A stage at one interval: decide, certify, recover; then evaluated alike for every scheme.

Evaluation: exchange -> follower solved again -> costs, prices, audit.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from stackelgrid.controllers.decision import Outcome, SchemeDecision
from stackelgrid.controllers.leaders.feeder_records import FeederInstance
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.controllers.solvers.conic import Solution
from stackelgrid.controllers.stage.recovery import recover
from stackelgrid.controllers.stage.stage import Stage, StageInstance
from stackelgrid.controllers.stage.threads import settle
from stackelgrid.profiles.arrays import Floats

_NAN = float("nan")

Audit = Future[float]


def decide_and_evaluate(
    stage: Stage,
    instance: StageInstance,
    foreseen: Callable[[Mapping[str, BoundaryProfile]], None] | None = None,
) -> tuple[Outcome, Audit | None]:
    """Let a stage decide, recover plans that are not exact, and evaluate the result.

    `foreseen` is called with the exchanges of all copies before the plans are certified; they are
    final unless a plan needs recovery. The audit finds the follower gap on a thread while the next
    stage decides; there is none where the follower has no solution.
    """
    started = time.perf_counter()
    # nothing to decide before the follower where no grid is below it
    decision = stage.scheme.decide(instance) if stage.leaders else SchemeDecision({}, 0.0, 0.0)
    ahead = None
    if decision.plans is None:  # agents that negotiate have certified and mended their own
        expected = stage.boundaries(decision.points, instance)
        if expected is not None:
            if foreseen is not None:
                foreseen(expected)
            ahead = _audit_ahead(stage, instance, decision, expected)
        decision = replace(decision, plans=stage.plans(decision.points, instance))
        if stage.settings.recovery:
            decision = _recovered(stage, instance, decision)
    solve_s = time.perf_counter() - started
    for name, plan in (decision.plans or {}).items():
        stage.leaders[name].adopt(plan)
    return _evaluated(stage, instance, decision, solve_s, ahead)


def _recovered(stage: Stage, instance: StageInstance, decision: SchemeDecision) -> SchemeDecision:
    """Decision with mended schedules; all leaders of the stage decide anew."""

    def decide(leaders: Mapping[str, FeederInstance]) -> SchemeDecision:
        found = stage.scheme.decide(replace(instance, leaders=leaders))
        # costs and certificates are those of the data, not of amended prices and bounds
        return replace(
            found, plans={n: stage.plan(n, point, instance) for n, point in found.points.items()}
        )

    def nodal_prices(found: SchemeDecision) -> Mapping[str, Floats]:
        follower, base = stage.follower, instance.parameters
        if stage.pricing != "lmp" or follower is None or base is None:
            return {}
        answer = follower.solve(follower.with_exchange(base, stage.exchange(found.points)))
        return follower.prices(answer) if answer.status == "optimal" else {}

    return recover(
        stage.leaders, instance.leaders, decision, decide, stage.applied_steps, nodal_prices
    )


@dataclass(frozen=True)
class _Ahead:
    """Audit of the follower's dispatch for its parameters p, begun before plans are certified."""

    p: Floats
    gap: Audit


def _audit_ahead(
    stage: Stage,
    instance: StageInstance,
    decision: SchemeDecision,
    exchange: Mapping[str, BoundaryProfile],
) -> _Ahead | None:
    """Begin to audit the follower's dispatch for exchanges that mending may still change."""
    follower, base = stage.follower, instance.parameters
    if follower is None or base is None or decision.follower_x is not None:
        return None
    p = follower.with_exchange(base, {name: profile.p_mw for name, profile in exchange.items()})
    answer = follower.solve(p)
    if answer.status != "optimal":
        return None
    return _Ahead(p, stage.submit(partial(follower_gap, stage, p, answer, _NAN)))


def _evaluated(
    stage: Stage,
    instance: StageInstance,
    decision: SchemeDecision,
    solve_s: float,
    ahead: _Ahead | None,
) -> tuple[Outcome, Audit | None]:
    plans = dict(decision.plans or {})
    planned = {
        name: plan.schedule.boundary(stage.leaders[name].feeder.boundary.multiplicity)
        for name, plan in plans.items()
    }
    outcome = Outcome(
        scheme=stage.scheme.name,
        pricing=stage.pricing,
        plans=plans,
        exchange=decision.exchange or planned,
        objective=decision.objective,
        bound=decision.bound,
        gap=decision.gap,
        solve_s=solve_s,
        remaining_gain_eur=decision.remaining_gain_eur,
        rounds=decision.rounds,
        messages=decision.messages,
        recoveries=decision.recoveries,
        history=decision.history,
        negotiation=decision.negotiation,
    )
    follower = stage.follower
    if follower is None:
        return outcome, None
    assert instance.parameters is not None
    assert instance.own_parameters is not None
    exchange = {name: profile.p_mw for name, profile in planned.items()}
    if decision.exchange is None:
        p = follower.with_exchange(instance.parameters, exchange)
    else:  # it dispatches for what was reported, and leaders pay for what they do
        p = follower.with_boundaries(instance.own_parameters, decision.exchange)
    answer = follower.solve(p)
    solved = answer.status == "optimal"
    if not solved:
        answer = follower.explained(p, answer)
    name, program = follower.grid_name, follower.compiled.program
    plan = follower.plan(instance.interval, p, answer, instance.measured.get(name))
    returned, audit = _NAN, None
    if decision.follower_x is not None:
        returned = program.objective(decision.follower_x, program.data(p))
    # the audit includes the dispatch of a scheme with an optimal follower
    held = returned if decision.follower_range_eur is None else _NAN
    if ahead is not None and np.isnan(held) and np.array_equal(p, ahead.p):
        audit = ahead.gap
    elif ahead is not None:
        settle(ahead.gap)  # the independent solver serves one audit at a time
    if audit is None and solved:
        audit = stage.submit(partial(follower_gap, stage, p, answer, held))
    own, payment = _leader_costs(stage, instance, decision, exchange, answer)
    least, most = decision.follower_range_eur or (_NAN, _NAN)
    outcome = replace(
        outcome,
        follower=name,
        plans={**plans, name: plan},
        leader_cost_eur={n: own[n] + payment[n] for n in own},
        payment_eur=payment,
        follower_cost_eur=answer.objective if solved else _NAN,
        follower_returned_eur=returned,
        follower_min_eur=least,
        follower_max_eur=most,
    )
    return outcome, audit


def _leader_costs(
    stage: Stage,
    instance: StageInstance,
    decision: SchemeDecision,
    exchange: Mapping[str, Floats],
    answer: Solution,
) -> tuple[dict[str, float], dict[str, float]]:
    """Own costs and boundary payments in EUR, all copies; NaN where a schedule was held."""
    follower = stage.follower
    assert follower is not None
    own, payment = {}, {}
    priced = stage.pricing == "lmp" and answer.status == "optimal"
    prices = follower.prices(answer) if priced else {}
    for name, point in decision.points.items():
        agent, leader = stage.leaders[name], instance.leaders[name]
        multiplicity = agent.feeder.boundary.multiplicity
        own[name] = payment[name] = _NAN
        if point.x is None:
            continue
        own[name] = multiplicity * agent.own_cost(leader, point.x, point.variant)
        if stage.pricing == "tariff":
            payment[name] = multiplicity * agent.tariff_payment(leader, point.x, point.variant)
        elif name in prices:
            payment[name] = float((agent.horizon.dt_h * prices[name] * exchange[name]).sum())
    return own, payment


def follower_gap(stage: Stage, p: Floats, answer: Solution, returned_eur: float) -> float:
    """Return the follower's cost above its optimum, by an independent solver.

    Relative to max(1, |optimum|); NaN where the independent solver found no optimum.
    """
    assert stage.follower is not None
    data = stage.follower.compiled.program.data(p)
    optimum, _ = stage.independent.optimum(data, answer)
    if optimum is None:
        return _NAN
    cost = answer.objective if np.isnan(returned_eur) else returned_eur
    return abs(cost - optimum) / max(1.0, abs(optimum))
