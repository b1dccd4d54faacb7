"""The recovery ladder of a stage: leaders decide anew until their schedules are exact or feasible.

Rungs: for open cones a loss price, then the convex-concave procedure; for what AC violates (in the
balanced or the three-phase view) tightened limits; then capped PV and the last good schedule. Every
decision is certified again, and the best one of each leader is kept (docs/model.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.certification.recovery import (
    Excess,
    convex_concave,
    largest_reward,
    loss_price,
    pv_cap,
    tightened_limits,
)
from stackelgrid.controllers.explanation import explanation
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent, FeederInstance, FeederPoint
from stackelgrid.controllers.schedule import Plan, Schedule
from stackelgrid.controllers.solvers.amendment import Amendment
from stackelgrid.controllers.stage.stage import Scheme, SchemeDecision, Stage, StageInstance
from stackelgrid.controllers.verdict import EXACT, INFEASIBLE, Recovery
from stackelgrid.profiles.arrays import Floats

LOSS_PRICE, LIMITS, CONVEX_CONCAVE = "loss_price", "tightened_limits", "convex_concave"
PV_CAP, LAST_GOOD = "pv_curtailment", "last_good_schedule"
_DECISIONS = {
    LOSS_PRICE: 1,
    LIMITS: tolerances.RECOVERY_DECISIONS,
    CONVEX_CONCAVE: tolerances.RECOVERY_DECISIONS,
    PV_CAP: tolerances.RECOVERY_DECISIONS,
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

    `kept` are the amendments that add up, `gap_price` that of the convex-concave procedure.
    """

    agent: FeederAgent
    first: _Candidate
    now: _Candidate
    best: _Candidate
    kept: Amendment = field(default_factory=Amendment)
    gap_price: Amendment = field(default_factory=Amendment)
    loss_price_eur_per_mwh: float = 0.0
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
            held = decision.points[name].x is None  # a held schedule claims nothing to be exact
            if self._infeasible(plan) or not (held or self._settled(plan)):
                self._admit(name)

    def climb(self) -> Recovered:
        """Decide anew, each leader on the rung that its last schedule asks for."""
        if not self.leaders:
            return Recovered(self.decision, self.plans, ())
        while amended := {
            name: (rung, self._amendment(rung, leader))
            for name, leader in self.leaders.items()
            if (rung := self._next_rung(leader)) is not None
        }:
            self._decide_anew(amended)
        self._take_best()
        for leader in self.leaders.values():
            if self._infeasible(leader.best.plan):
                self._apply_directly(leader)
        return self._result()

    def _next_rung(self, leader: _Leader) -> str | None:
        """The rung that mends what is wrong with the last schedule; None when there is none left.

        Open cones first: tightening limits while power is burnt makes burning worth more.
        """
        plan = leader.now.plan
        if self._settled(leader.best.plan) or leader.now.point.x is None:
            return None
        wanted: tuple[str, ...]
        if self._relaxed(plan):
            # where a tighter band opened cones, PV is the better way out
            opened = not self._relaxed(leader.first.plan)
            wanted = (PV_CAP, CONVEX_CONCAVE) if opened else (LOSS_PRICE, CONVEX_CONCAVE)
        elif self._infeasible(plan):
            assert plan.certificate is not None
            collapsed = np.isinf(plan.certificate.largest_violation(self.steps))
            wanted = () if collapsed else (LIMITS,)  # no solution says by how much to tighten
        else:
            return None
        if self._infeasible(leader.best.plan) or PV_CAP in leader.tried:
            wanted = (*wanted, PV_CAP)
        left = (r for r in wanted if leader.tried.get(r, 0) < _DECISIONS[r])
        return next(left, None)

    def _amendment(self, rung: str, leader: _Leader) -> Amendment:
        """Return the amendment of a leader's program by a rung."""
        agent, now = leader.agent, leader.now
        dt_h, reduced = agent.horizon.dt_h, agent.reduction.network
        if rung == LOSS_PRICE:
            self._price_losses(leader, self._reward(leader))
        elif rung == CONVEX_CONCAVE:
            growth = tolerances.GAP_PRICE_GROWTH ** leader.tried.get(rung, 0)
            price = tolerances.GAP_PRICE * growth
            leader.gap_price = convex_concave(reduced, dt_h, agent.flows(now.point), price)
        elif rung == LIMITS:
            # behind a tighter ceiling, power that is burnt makes room for power that is sold
            sold = float(np.max(leader.first.instance.forecast.export_eur_per_mwh))
            self._price_losses(leader, max(self._reward(leader), sold))
            flows, certificate = now.plan.schedule.flows, now.plan.certificate
            assert flows is not None
            assert certificate is not None
            leader.kept |= tightened_limits(agent.reduction, flows, Excess.of(certificate))
        else:
            if not leader.tried.get(rung) and not self._relaxed(leader.first.plan):
                leader.now, leader.kept, leader.loss_price_eur_per_mwh = (
                    leader.first,
                    Amendment(),
                    0.0,
                )
                self._price_losses(leader, self._reward(leader))
            schedule = leader.now.plan.schedule
            share = tolerances.RECOVERY_PV_SHARE * self._feasible_share(leader, schedule)
            cap = np.full_like(schedule.pv_p_mw, np.inf)
            steps = list(self.steps)
            cap[:, steps] = share[steps] * schedule.pv_p_mw[:, steps]
            leader.kept |= pv_cap(agent.feeder.network.base_mva, cap)
        return leader.kept | leader.gap_price

    def _decide_anew(self, amended: Mapping[str, tuple[str, Amendment]]) -> None:
        """Let the stage decide with amendments, and keep what became better."""
        leaders = {name: leader.best.instance for name, leader in self.leaders.items()} | {
            name: replace(self.leaders[name].first.instance, amendment=amendment)
            for name, (_, amendment) in amended.items()
        }
        decision, plans = self._decided(leaders)
        for name, (rung, _) in amended.items():
            leader = self.leaders[name]
            leader.tried[rung] = leader.tried.get(rung, 0) + 1
            found = _Candidate(rung, plans[name], decision.points[name], leaders[name])
            if found.point.x is None:  # the amended program has no solution
                leader.tried[rung] = _DECISIONS[rung]
                continue
            leader.now = found
            if self._rank(found.plan) < self._rank(leader.best.plan):
                leader.best = found

    def _decided(
        self, leaders: Mapping[str, FeederInstance]
    ) -> tuple[SchemeDecision, dict[str, Plan]]:
        instance = replace(self.instance, leaders={**self.instance.leaders, **leaders})
        decision = self.scheme.decide(instance)
        plans = {
            name: self.stage.plan(name, point, self.instance)
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

    def _apply_directly(self, leader: _Leader) -> None:
        """Give up planning: curtail PV of the best schedule, or else of the last good one."""
        agent, instance = leader.agent, leader.first.instance
        for rung, schedule in (
            (PV_CAP, leader.best.plan.schedule),
            (LAST_GOOD, agent.held(instance, agent.last_good)),
        ):
            schedule = curtailed(schedule, self._feasible_share(leader, schedule))
            report = replace(
                leader.first.plan.report,
                fallback=f"{rung.replace('_', ' ')}: no schedule of the model is AC feasible",
            )
            plan = agent.certified(instance, schedule, report)
            leader.tried[rung] = leader.tried.get(rung, 0) + 1
            if self._rank(plan) < self._rank(leader.best.plan):
                point = FeederPoint(None, report, leader.first.point.variant)
                leader.best = _Candidate(rung, plan, point, instance)
            if not self._infeasible(leader.best.plan):
                return

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

    def _price_losses(self, leader: _Leader, reward_eur_per_mwh: float) -> None:
        """Keep a loss price above what burning 1 MWh can earn."""
        price = reward_eur_per_mwh + tolerances.LOSS_PRICE_MARGIN
        more = price - leader.loss_price_eur_per_mwh
        if more > 0.0:
            agent = leader.agent
            leader.kept |= loss_price(agent.reduction.network, agent.horizon.dt_h, more)
            leader.loss_price_eur_per_mwh = price

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
            record = Recovery(
                used=best.rung,
                tried=tuple(leader.tried.items()),
                before=first.plan.certificate,
                cost_eur=cost,
            )
            plans[name] = replace(best.plan, recovery=record)
            points[name] = best.point
            messages.append(self._message(name, record, best.plan))
            if best.instance.amendment is not None and best.point.x is not None:
                columns = leader.agent.model(best.point.variant).columns
                copies = leader.agent.feeder.boundary.multiplicity
                penalty += copies * best.instance.amendment.cost(columns, best.point.x)
        held = any(leader.best.point.x is None for leader in self.leaders.values())
        decision = replace(
            self.decision,
            points=points,
            follower_x=None if held else self.decision.follower_x,
            objective=self.decision.objective - penalty,
            bound=self.first_bound,
        )
        return Recovered(decision, plans, tuple(messages))

    def _message(self, name: str, record: Recovery, plan: Plan) -> str:
        """Return the log message on one recovery."""
        before, worst = record.before, record.before.worst_step(self.steps)
        tried = ", ".join(f"{rung} x {count}" for rung, count in record.tried) or "nothing"
        reason = explanation({"grid": name, **before.columns(worst)})
        found = f"{name}: schedule {before.verdicts([worst])[0]} ({reason})"
        if not record.used:
            return f"{found}; tried {tried}, none was better"
        if self._infeasible(plan):
            return f"{found}; still infeasible, least by {record.used} (tried {tried})"
        return f"{found}; mended by {record.used} at {record.cost_eur:+.3g} EUR (tried {tried})"

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
        """Return whether the relaxation is open at an applied step, phases aside."""
        assert plan.certificate is not None
        return any(plan.certificate.verdict[k] != EXACT for k in self.steps)

    def _rank(self, plan: Plan) -> tuple[float, ...]:
        """Order of plans: AC feasible first, then a solver's before a held one, then exact.

        What differs by less than the tolerances of a certificate is no better.
        """
        verdicts, certificate = self._verdicts(plan), plan.certificate
        assert certificate is not None
        infeasible, violation = INFEASIBLE in verdicts, certificate.largest_violation(self.steps)
        share = np.nan_to_num(certificate.fictitious_loss_share[list(self.steps)], nan=np.inf)
        return (
            float(infeasible),
            float(np.round(violation / tolerances.AC_LIMIT_PU)) if infeasible else 0.0,
            float(bool(plan.report.fallback)),
            float(len(verdicts) - verdicts.count(EXACT)),
            max(float(np.max(share)), tolerances.EXACT_LOSS_SHARE),
        )


def curtailed(schedule: Schedule, share: Floats) -> Schedule:
    """Schedule with a share (steps,) of its PV; the import grows by what is left out.

    Where that is less than all of it, PV may not feed in more.
    """
    lost_p = ((1.0 - share) * schedule.pv_p_mw).sum(axis=0)
    lost_q = ((1.0 - share) * schedule.pv_q_mvar).sum(axis=0)
    pv_p = share * schedule.pv_p_mw
    limits = schedule.pv_p_max_mw
    return replace(
        schedule,
        pv_p_mw=pv_p,
        pv_q_mvar=share * schedule.pv_q_mvar,
        p_import_mw=schedule.p_import_mw + lost_p,
        q_import_mvar=schedule.q_import_mvar + lost_q,
        flows=None,
        trade=None,
        pv_p_max_mw=pv_p if limits is None else np.where(share < 1.0, pv_p, limits),
    )
