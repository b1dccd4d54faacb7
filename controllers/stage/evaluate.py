"""One evaluation for every scheme: exchange -> follower solved again -> costs, prices, audit."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from stackelgrid.controllers.decision import Outcome, SchemeDecision
from stackelgrid.controllers.followers.upstream import FollowerSolution
from stackelgrid.controllers.leaders.feeder_agent import FeederInstance
from stackelgrid.controllers.schedule import BoundaryProfile, Plan
from stackelgrid.controllers.stage.recovery import recover
from stackelgrid.controllers.stage.stage import Scheme, Stage, StageInstance
from stackelgrid.controllers.stage.threads import settle
from stackelgrid.profiles.arrays import Floats

_NAN = float("nan")


@dataclass(frozen=True)
class Evaluated:
    """Plans of a stage's leaders, its outcome (None without a follower), what recovery did.

    `exchange` is that assumed by the grid above, all copies: the reported one, or the plans'.
    `audit` is the follower gap, found on a thread while the next stage decides; `unaudited` is the
    outcome without it. There is no audit where the follower has no solution.
    """

    plans: dict[str, Plan]
    unaudited: Outcome | None
    recoveries: tuple[str, ...]
    exchange: Mapping[str, BoundaryProfile]
    audit: Future[float] | None = None

    @property
    def outcome(self) -> Outcome | None:
        """Outcome with its follower gap; waits for the audit."""
        if self.unaudited is None or self.audit is None:
            return self.unaudited
        return replace(self.unaudited, follower_gap=self.audit.result())

    def superseded(self) -> None:
        """Leave out an audit that has not begun: the stage is decided again."""
        if self.audit is not None:
            self.audit.cancel()


def decide_and_evaluate(
    stage: Stage,
    scheme: Scheme,
    instance: StageInstance,
    foreseen: Callable[[Mapping[str, BoundaryProfile]], None] | None = None,
) -> Evaluated:
    """Let a stage decide, mend what is not exact, and evaluate the result.

    `foreseen` is called with the exchanges of all copies before the plans are certified; they are
    final unless something has to be mended.
    """
    started = time.perf_counter()
    # nothing to decide before the follower where no grid is below it
    decision = scheme.decide(instance) if stage.leaders else SchemeDecision({}, 0.0, 0.0)
    messages: tuple[str, ...] = ()
    points, ahead = decision.points, None
    if decision.plans is None and decision.exchange is None:
        expected = stage.boundaries(points, instance)
        if expected is not None:
            if foreseen is not None:
                foreseen(expected)
            ahead = _audit_ahead(stage, instance, decision, expected)
    plans = dict(decision.plans or {}) or stage.plans(points, instance)
    if stage.settings.recovery and decision.plans is None:
        decision = _recovered(stage, scheme, instance, replace(decision, plans=plans))
        plans, messages = dict(decision.plans or {}), decision.recoveries
    solve_s = time.perf_counter() - started
    for name, plan in plans.items():
        stage.leaders[name].adopt(plan)
    exchange = decision.exchange or {
        name: plan.schedule.boundary(stage.leaders[name].feeder.boundary.multiplicity)
        for name, plan in plans.items()
    }
    if stage.follower is None:
        return Evaluated(plans, None, messages, exchange)
    outcome, audit = _outcome(stage, scheme.name, instance, decision, plans, solve_s, ahead)
    return Evaluated(plans, outcome, messages, exchange, audit)


def _recovered(
    stage: Stage, scheme: Scheme, instance: StageInstance, decision: SchemeDecision
) -> SchemeDecision:
    """Decision with mended schedules; all leaders of the stage decide anew."""

    def decide(leaders: Mapping[str, FeederInstance]) -> SchemeDecision:
        found = scheme.decide(replace(instance, leaders=leaders))
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
class _Audit:
    """Audit of the follower's dispatch for its parameters p, begun before plans are certified."""

    p: Floats
    gap: Future[float]


def _audit_ahead(
    stage: Stage,
    instance: StageInstance,
    decision: SchemeDecision,
    exchange: Mapping[str, BoundaryProfile],
) -> _Audit | None:
    """Begin to audit the follower's dispatch for exchanges that mending may still change."""
    follower, base = stage.follower, instance.parameters
    if follower is None or base is None or decision.follower_x is not None:
        return None
    p = follower.with_exchange(base, {name: profile.p_mw for name, profile in exchange.items()})
    answer = follower.solve(p)
    if answer.status != "optimal":
        return None
    return _Audit(p, stage.submit(partial(follower_gap, stage, p, answer, _NAN)))


def _outcome(
    stage: Stage,
    scheme: str,
    instance: StageInstance,
    decision: SchemeDecision,
    plans: dict[str, Plan],
    solve_s: float,
    ahead: _Audit | None,
) -> tuple[Outcome, Future[float] | None]:
    follower, base = stage.follower, instance.parameters
    assert follower is not None
    assert base is not None
    exchange = {
        name: plan.schedule.boundary(stage.leaders[name].feeder.boundary.multiplicity).p_mw
        for name, plan in plans.items()
    }
    if decision.exchange is None:
        p = follower.with_exchange(base, exchange)
    else:  # it dispatches for what it was told, and leaders pay for what they do
        assert instance.own_parameters is not None
        p = follower.with_boundaries(instance.own_parameters, decision.exchange)
    answer = follower.solve(p)
    if answer.status != "optimal":
        answer = follower.explained(p, answer)
    name = follower.grid_name
    plan = follower.plan(instance.interval, p, answer, instance.measured.get(name))
    solved = answer.status == "optimal"
    program = follower.compiled.program
    returned = _NAN
    if decision.follower_x is not None:
        returned = program.objective(decision.follower_x, program.data(p))
    least, most = decision.follower_range_eur or (_NAN, _NAN)
    own, payment = _leader_costs(stage, instance, decision, exchange, answer)
    # a scheme that asks the follower to be optimal is held to it
    held = returned if decision.follower_range_eur is None and returned == returned else _NAN
    audit: Future[float] | None = None
    if ahead is not None and held != held and np.array_equal(p, ahead.p):
        audit = ahead.gap
    elif ahead is not None:
        settle(ahead.gap)  # the independent solver serves one audit at a time
    if audit is None and solved:
        audit = stage.submit(partial(follower_gap, stage, p, answer, held))
    outcome = Outcome(
        scheme=scheme,
        pricing=stage.pricing,
        follower=name,
        plans={**plans, name: plan},
        leader_cost_eur={n: own[n] + payment[n] for n in own},
        payment_eur=payment,
        follower_cost_eur=answer.cost_eur if solved else _NAN,
        objective=decision.objective,
        bound=decision.bound,
        gap=decision.gap,
        follower_gap=_NAN,
        solve_s=solve_s,
        follower_returned_eur=returned,
        follower_min_eur=least,
        follower_max_eur=most,
        remaining_gain_eur=decision.remaining_gain_eur,
        rounds=decision.rounds,
        messages=decision.messages,
        history=decision.history,
        negotiation=decision.negotiation,
    )
    return outcome, audit


def _leader_costs(
    stage: Stage,
    instance: StageInstance,
    decision: SchemeDecision,
    exchange: dict[str, Floats],
    answer: FollowerSolution,
) -> tuple[dict[str, float], dict[str, float]]:
    """Own costs and boundary payments in EUR, all copies; NaN where a schedule was held."""
    follower = stage.follower
    assert follower is not None
    own, payment = {}, {}
    priced = stage.pricing == "lmp" and answer.status == "optimal"
    prices = follower.prices(answer) if priced else {}
    for name, point in decision.points.items():
        agent, leader = stage.leaders[name], instance.leaders[name]
        copies = agent.feeder.boundary.multiplicity
        if point.x is None:
            own[name], payment[name] = _NAN, _NAN
            continue
        own[name] = copies * agent.own_cost(leader, point.x, point.variant)
        if stage.pricing == "tariff":
            payment[name] = copies * agent.tariff_payment(leader, point.x, point.variant)
        elif name in prices:
            dt = agent.horizon.dt_h
            payment[name] = float((dt * prices[name] * exchange[name]).sum())
        else:
            payment[name] = _NAN
    return own, payment


def follower_gap(stage: Stage, p: Floats, answer: FollowerSolution, returned_eur: float) -> float:
    """Return the follower's cost above its optimum, by an independent solver.

    Relative to max(1, |optimum|); NaN where the independent solver found no optimum.
    """
    assert stage.follower is not None
    data = stage.follower.compiled.program.data(p)
    optimum, _ = stage.independent.optimum(data, answer.solution)
    if optimum is None:
        return _NAN
    cost = returned_eur if returned_eur == returned_eur else answer.cost_eur
    return abs(cost - optimum) / max(1.0, abs(optimum))
