"""The recovery ladder of a stage: leaders decide anew until their schedules are exact or feasible.

Rungs in their order: a loss price, limits tightened by the AC violation (of the balanced or the
three-phase view), the convex-concave procedure, capped PV, the last good schedule. Every decision
is certified again, and the best one of each leader is kept (docs/model.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.agents.feeder_agent import FeederAgent, FeederInstance, FeederPoint
from stackelgrid.controllers.certification.recovery import (
    Excess,
    convex_concave,
    largest_reward,
    loss_price,
    pv_cap,
    tightened_limits,
)
from stackelgrid.controllers.coordination.stage import Scheme, SchemeDecision, Stage, StageInstance
from stackelgrid.controllers.schedule import Plan, Schedule
from stackelgrid.controllers.solvers.amendment import Amendment
from stackelgrid.controllers.verdict import EXACT, INFEASIBLE, Recovery
from stackelgrid.profiles.arrays import Floats

LOSS_PRICE, LIMITS, CONVEX_CONCAVE = "loss_price", "tightened_limits", "convex_concave"
PV_CAP, LAST_GOOD = "pv_curtailment", "last_good_schedule"
_DECISIONS = {
    LOSS_PRICE: 1,
    LIMITS: tolerances.RECOVERY_DECISIONS,
    CONVEX_CONCAVE: tolerances.RECOVERY_DECISIONS,
    PV_CAP: 1,
}


@dataclass(frozen=True)
class Recovered:
    """A stage's decision after recovery, its plans, and what to tell about it."""

    decision: SchemeDecision
    plans: dict[str, Plan]
    messages: tuple[str, ...]


@dataclass(frozen=True)
class _Candidate:
    """A leader's plan, the point and instance it came from, and the rung that made it."""

    rung: str
    plan: Plan
    point: FeederPoint
    instance: FeederInstance


@dataclass
class _Leader:
    """A leader whose first schedule was not exact, and what has been tried on it.

    `kept` are the amendments of rungs that stay in force, the convex-concave one replaces itself.
    """

    agent: FeederAgent
    first: _Candidate
    now: _Candidate
    best: _Candidate
    kept: Amendment = field(default_factory=Amendment)
    tried: dict[str, int] = field(default_factory=dict)


def recover(
    stage: Stage,
    scheme: Scheme,
    instance: StageInstance,
    decision: SchemeDecision,
    plans: dict[str, Plan],
) -> Recovered:
    """Mend the schedules that are not exact at the steps that will be applied."""
    return _Ladder(stage, scheme, instance, decision, plans).climb()


class _Ladder:
    """One climb; leaders that are settled keep the instance they were settled with."""

    def __init__(
        self,
        stage: Stage,
        scheme: Scheme,
        instance: StageInstance,
        decision: SchemeDecision,
        plans: dict[str, Plan],
    ) -> None:
        self.stage, self.scheme, self.instance = stage, scheme, instance
        self.steps = stage.applied_steps
        self.decision, self.plans = decision, plans
        self.first_bound = decision.bound
        self.leaders: dict[str, _Leader] = {}
        for name, plan in plans.items():
            if not self._settled(plan):
                self._admit(name)

    def climb(self) -> Recovered:
        """Try the rungs one after the other."""
        if not self.leaders:
            return Recovered(self.decision, self.plans, ())
        for rung, most in _DECISIONS.items():
            for attempt in range(most):
                amended = {
                    name: amendment
                    for name, leader in self.leaders.items()
                    if (amendment := self._amendment(rung, attempt, leader)) is not None
                }
                if not amended:
                    break
                self._decide_anew(rung, amended)
        self._take_best()
        for leader in self.leaders.values():
            if self._infeasible(leader.best.plan):
                self._hold_last_good(leader)
        return self._result()

    def _amendment(self, rung: str, attempt: int, leader: _Leader) -> Amendment | None:
        """What a rung changes for a leader; None where it has nothing to offer."""
        agent, now = leader.agent, leader.now
        if self._settled(leader.best.plan):
            return None
        certificate, x = now.plan.certificate, now.point.x
        if certificate is None or x is None or now.plan.schedule.flows is None:
            return None
        relaxed = self._relaxed(now.plan)
        dt_h, reduced = agent.horizon.dt_h, agent.reduction.network
        if rung == LOSS_PRICE:
            if not relaxed:
                return None
            reward = self._reward(leader)
            price = loss_price(reduced, dt_h, reward + tolerances.LOSS_PRICE_MARGIN)
            leader.kept |= price
            return leader.kept
        if rung == LIMITS:
            if not self._infeasible(now.plan):
                return None
            flows, excess = now.plan.schedule.flows, Excess.of(certificate)
            leader.kept |= tightened_limits(agent.reduction, flows, excess)
            return leader.kept
        if rung == CONVEX_CONCAVE:
            if not relaxed:
                return None
            price_eur = tolerances.GAP_PRICE * tolerances.GAP_PRICE_GROWTH**attempt
            flows = agent.flows(now.point)
            return leader.kept | convex_concave(reduced, dt_h, flows, price_eur)
        if not self._infeasible(leader.best.plan):
            return None
        schedule = leader.best.plan.schedule
        share = self._feasible_share(leader, schedule)
        cap = np.full_like(schedule.pv_p_mw, np.inf)
        steps = list(self.steps)
        cap[:, steps] = share[steps] * schedule.pv_p_mw[:, steps]
        leader.kept |= pv_cap(agent.feeder.network.base_mva, cap)
        return leader.kept

    def _decide_anew(self, rung: str, amended: Mapping[str, Amendment]) -> None:
        """Let the stage decide with amendments, and keep what became better."""
        leaders = {name: leader.best.instance for name, leader in self.leaders.items()} | {
            name: replace(self.leaders[name].first.instance, amendment=amendment)
            for name, amendment in amended.items()
        }
        decision, plans = self._decided(leaders)
        for name in amended:
            leader = self.leaders[name]
            leader.tried[rung] = leader.tried.get(rung, 0) + 1
            found = _Candidate(rung, plans[name], decision.points[name], leaders[name])
            if found.point.x is None:
                continue  # the amended program has no solution
            leader.now = found
            if self._rank(found.plan) < self._rank(leader.best.plan):
                leader.best = found

    def _decided(
        self, leaders: Mapping[str, FeederInstance]
    ) -> tuple[SchemeDecision, dict[str, Plan]]:
        instance = replace(self.instance, leaders={**self.instance.leaders, **leaders})
        decision = self.scheme.decide(instance)
        plans = {
            name: self.stage.leaders[name].plan(
                self.instance.leaders[name], point, self.instance.across_price
            )
            for name, point in decision.points.items()
        }
        self.decision, self.plans = decision, plans
        for name, plan in plans.items():  # one that shares a program with an amended one may suffer
            if name not in self.leaders and not self._settled(plan):
                self._admit(name)
        return decision, plans

    def _admit(self, name: str) -> None:
        candidate = _Candidate(
            "", self.plans[name], self.decision.points[name], self.instance.leaders[name]
        )
        self.leaders[name] = _Leader(self.stage.leaders[name], candidate, candidate, candidate)

    def _take_best(self) -> None:
        """Decide once more where the best plans of the leaders are not those of one decision."""
        best = {name: leader.best.instance for name, leader in self.leaders.items()}
        points = self.decision.points
        if any(points[n] is not leader.best.point for n, leader in self.leaders.items()):
            self._decided(best)
            for name, leader in self.leaders.items():
                leader.best = replace(
                    leader.best, plan=self.plans[name], point=self.decision.points[name]
                )

    def _hold_last_good(self, leader: _Leader) -> None:
        """Continue the last good schedule, PV curtailed as far as AC asks for it."""
        agent, instance = leader.agent, leader.first.instance
        schedule = agent.held(instance, agent.last_good)
        share = self._feasible_share(leader, schedule)
        schedule = curtailed(schedule, share)
        report = replace(
            leader.first.plan.report,
            fallback=f"{LAST_GOOD.replace('_', ' ')} held: no schedule of the model is AC feasible",
        )
        plan = agent.certified(instance, schedule, report)
        leader.tried[LAST_GOOD] = 1
        if self._rank(plan) < self._rank(leader.best.plan):
            point = FeederPoint(None, report, leader.first.point.variant)
            leader.best = _Candidate(LAST_GOOD, plan, point, instance)

    def _feasible_share(self, leader: _Leader, schedule: Schedule) -> Floats:
        """Largest share (steps,) of scheduled PV with which AC is feasible; 0 where none is."""
        low, high = np.zeros(len(schedule.dt_h)), np.ones(len(schedule.dt_h))
        for halving in range(tolerances.CURTAILMENT_HALVINGS):
            share = high if halving == 0 else (low + high) / 2
            plan = leader.agent.certified(
                leader.first.instance, curtailed(schedule, share), leader.first.plan.report
            )
            assert plan.certificate is not None
            good = np.array([plan.certificate.good((k,)) for k in range(len(share))])
            low = np.where(good, share, low)
            high = np.where(good, high, share)
        return low

    def _reward(self, leader: _Leader) -> float:
        """Largest amount per MWh that burning power could have saved this leader."""
        instance, options = leader.first.instance, leader.agent.feeder.options
        forecast = instance.forecast
        prices = np.concatenate([forecast.import_eur_per_mwh, forecast.export_eur_per_mwh])
        follower, parameters = self.stage.follower, self.instance.parameters
        if self.stage.pricing == "lmp" and follower is not None and parameters is not None:
            exchange = self.stage.exchange(self.decision.points)
            answer = follower.solve(follower.with_exchange(parameters, exchange))
            if answer.status == "optimal":
                prices = follower.prices(answer)[leader.agent.feeder.name]
        return largest_reward(prices, options.curtailment_eur_per_mwh)

    def _result(self) -> Recovered:
        plans, points, messages = dict(self.plans), dict(self.decision.points), []
        penalty = 0.0
        for name, leader in self.leaders.items():
            best, first = leader.best, leader.first
            assert first.plan.certificate is not None
            cost = self._cost(leader, best) - self._cost(leader, first)
            certificate = first.plan.certificate
            worst = certificate.worst_step(self.steps)
            record = Recovery(
                used=best.rung,
                tried=tuple(leader.tried.items()),
                before=certificate.step(worst),
                before_verdict=certificate.verdicts([worst])[0],
                before_violation_pu=certificate.largest_violation([worst]),
                before_worst=certificate.worst_place(worst),
                cost_eur=cost,
            )
            plans[name] = replace(best.plan, recovery=record)
            points[name] = best.point
            messages.append(_message(name, record, plans[name]))
            if best.instance.amendment is not None and best.point.x is not None:
                columns = leader.agent.model(best.point.variant).columns
                copies = leader.agent.feeder.boundary.multiplicity
                penalty += copies * best.instance.amendment.cost(columns, best.point.x)
        decision = replace(
            self.decision,
            points=points,
            objective=self.decision.objective - penalty,
            bound=self.first_bound,
        )
        return Recovered(decision, plans, tuple(messages))

    def _cost(self, leader: _Leader, candidate: _Candidate) -> float:
        """Cost of a plan over the horizon in EUR, one copy; nodal payments at the tariff."""
        agent, instance = leader.agent, leader.first.instance
        x, variant = candidate.point.x, candidate.point.variant
        if x is None:
            return agent.held_cost(instance, candidate.plan.schedule)
        return agent.own_cost(instance, x, variant) + agent.tariff_payment(instance, x, variant)

    def _verdicts(self, plan: Plan) -> list[str]:
        return plan.certificate.verdicts(self.steps) if plan.certificate is not None else []

    def _settled(self, plan: Plan) -> bool:
        return all(v == EXACT for v in self._verdicts(plan))

    def _infeasible(self, plan: Plan) -> bool:
        return INFEASIBLE in self._verdicts(plan)

    def _relaxed(self, plan: Plan) -> bool:
        """Whether the relaxation is open at an applied step, whatever a phase says."""
        assert plan.certificate is not None
        return any(plan.certificate.verdict[k] != EXACT for k in self.steps)

    def _rank(self, plan: Plan) -> tuple[float, ...]:
        """Order of plans: AC feasible first, then a solver's before a held one, then exact."""
        verdicts, certificate = self._verdicts(plan), plan.certificate
        assert certificate is not None
        infeasible = INFEASIBLE in verdicts
        share = np.nan_to_num(certificate.fictitious_loss_share[list(self.steps)], nan=np.inf)
        return (
            float(infeasible),
            certificate.largest_violation(self.steps) if infeasible else 0.0,
            float(bool(plan.report.fallback)),
            float(len(verdicts) - verdicts.count(EXACT)),
            float(np.max(share)),
        )


def curtailed(schedule: Schedule, share: Floats) -> Schedule:
    """Schedule with a share (steps,) of its PV; the import grows by what is left out."""
    lost_p = ((1.0 - share) * schedule.pv_p_mw).sum(axis=0)
    lost_q = ((1.0 - share) * schedule.pv_q_mvar).sum(axis=0)
    return replace(
        schedule,
        pv_p_mw=share * schedule.pv_p_mw,
        pv_q_mvar=share * schedule.pv_q_mvar,
        p_import_mw=schedule.p_import_mw + lost_p,
        q_import_mvar=schedule.q_import_mvar + lost_q,
        flows=None,
        trade=None,
    )


def _message(name: str, record: Recovery, plan: Plan) -> str:
    """What a run's log says of one recovery."""
    tried = ", ".join(f"{rung} x {count}" for rung, count in record.tried) or "nothing"
    found = f"{name}: schedule {record.before_verdict}, not exact"
    if record.before_violation_pu > 0.0:
        found += f", violation {record.before_violation_pu:.1e} p.u. at {record.before_worst}"
    if record.before.fictitious_loss_share > tolerances.EXACT_LOSS_SHARE:
        found += f", fictitious loss {record.before.fictitious_loss_mw:.3g} MW"
    if not record.used:
        return f"{found}; tried {tried}, none was better"
    return f"{found}; mended by {record.used} at {record.cost_eur:+.3g} EUR (tried {tried})"
