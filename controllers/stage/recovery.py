"""The recovery ladder: leaders decide anew until their schedules are exact or AC feasible.

Rungs: for open cones a loss price, then the convex-concave procedure; for limits violated by AC (in
the balanced or the three-phase view) tightened limits; then a capped feed-in or consumption and the
last good schedule. Every decision is certified again, the best one of each leader is kept
(docs/model.md).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.certification.recovery import (
    Excess,
    convex_concave,
    curtailed,
    feed_in_cap,
    largest_reward,
    load_cap,
    loss_price,
    tightened_limits,
    turned_down,
)
from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.explanation import explanation
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.leaders.feeder_records import FeederInstance, FeederPoint
from stackelgrid.controllers.schedule import Schedule
from stackelgrid.controllers.solvers.amendment import Amendment
from stackelgrid.controllers.stage.candidate import Candidate
from stackelgrid.controllers.verdict import INFEASIBLE, Certificate, Recovery
from stackelgrid.profiles.arrays import Bools, Floats

LOSS_PRICE, LIMITS, CONVEX_CONCAVE = "loss_price", "tightened_limits", "convex_concave"
FEED_IN_CAP, LOAD_CAP, LAST_GOOD = "pv_curtailment", "load_reduction", "last_good_schedule"
_DECISIONS = {LOSS_PRICE: 1} | dict.fromkeys(
    (LIMITS, CONVEX_CONCAVE, FEED_IN_CAP, LOAD_CAP), tolerances.RECOVERY_DECISIONS
)

Decide = Callable[[Mapping[str, FeederInstance]], SchemeDecision]
Prices = Callable[[SchemeDecision], Mapping[str, Floats]]


def recover(
    agents: Mapping[str, FeederAgent],
    instances: Mapping[str, FeederInstance],
    decision: SchemeDecision,
    decide: Decide,
    steps: tuple[int, ...],
    nodal_prices: Prices = lambda decision: {},
) -> SchemeDecision:
    """Mend the schedules of a decision (with plans) that are not exact at the applied steps.

    `decide` returns points and certified plans of all agents for changed instances, and
    `nodal_prices` those (steps,) in EUR/MWh at the agents that do not pay the tariff. Returned are
    the best points and plans; the bound is that of the first decision.
    """
    ladder = _Ladder(agents, instances, decide, steps, nodal_prices, decision)
    for name in agents:
        found = ladder.candidate(name)
        held = found.point.x is None  # a held schedule claims nothing to be exact
        if found.infeasible or not (held or found.settled):
            ladder.admit(name)
    if not ladder.leaders:
        return decision
    while rungs := {
        name: rung
        for name, leader in ladder.leaders.items()
        if (rung := leader.next_rung()) is not None
    }:
        ladder.climb(rungs)
    ladder.take_best()
    for leader in ladder.leaders.values():
        if leader.best.infeasible:
            leader.apply_directly()
    return replace(ladder.result(), bound=decision.bound)


@dataclass
class _Leader:
    """A leader whose first schedule was not exact, and what has been tried on it.

    `kept` are the amendments that add up, `gap_price` that of the convex-concave procedure.
    """

    agent: FeederAgent
    first: Candidate
    now: Candidate
    best: Candidate
    kept: Amendment = field(default_factory=Amendment)
    gap_price: Amendment = field(default_factory=Amendment)
    loss_price_eur_per_mwh: float = 0.0
    tried: Counter[str] = field(default_factory=Counter)

    def next_rung(self) -> str | None:
        """The next rung for the last schedule; None when there is none left.

        Open cones first: tightening limits increases the value of fictitious losses.
        """
        if self.best.settled or self.now.point.x is None:
            return None
        wanted: tuple[str, ...] = ()
        if self.now.relaxed:
            # where a tighter band opened cones, less feed-in is the better way out
            wanted = (LOSS_PRICE if self.first.relaxed else FEED_IN_CAP, CONVEX_CONCAVE)
        elif self.now.infeasible:
            # a diverged power flow gives no amount for tightening
            if np.isfinite(self.now.certificate.largest_violation(self.now.steps)):
                wanted = (LIMITS,)
        else:
            return None
        if self.best.infeasible or FEED_IN_CAP in self.tried or LOAD_CAP in self.tried:
            wanted = (*wanted, self._power_to_reduce(self.now.plan.schedule))
        return next((r for r in wanted if self.tried[r] < _DECISIONS[r]), None)

    def amendment(self, rung: str, nodal_price: Floats | None) -> Amendment:
        """Return the amendment of the leader's program by a rung."""
        agent, forecast = self.agent, self.first.instance.forecast
        tariff = np.concatenate([forecast.import_eur_per_mwh, forecast.export_eur_per_mwh])
        prices = tariff if nodal_price is None else nodal_price
        reward = largest_reward(prices, agent.feeder.options.curtailment_eur_per_mwh)
        if rung == LOSS_PRICE:
            self._price_losses(reward)
        elif rung == CONVEX_CONCAVE:
            price = tolerances.GAP_PRICE * tolerances.GAP_PRICE_GROWTH ** self.tried[rung]
            self.gap_price = convex_concave(
                agent.reduction.network, agent.horizon.dt_h, agent.flows(self.now.point), price
            )
        elif rung == LIMITS:
            # behind a tighter ceiling, fictitious losses make room for power that is sold
            self._price_losses(max(reward, float(np.max(forecast.export_eur_per_mwh))))
            flows, excess = self.now.plan.schedule.flows, Excess.of(self.now.certificate)
            assert flows is not None
            self.kept |= tightened_limits(agent.reduction, flows, excess)
        else:
            if not self.tried[rung] and not self.first.relaxed:
                self.now, self.kept, self.loss_price_eur_per_mwh = self.first, Amendment(), 0.0
                self._price_losses(reward)
            self.kept |= self._cap(rung)
        return self.kept | self.gap_price

    def _cap(self, rung: str) -> Amendment:
        """Return the cap of feed-in or consumption at the applied steps."""
        schedule, steps = self.now.plan.schedule, list(self.now.steps)
        base, devices = self.agent.feeder.network.base_mva, self.agent.feeder.devices
        share = np.full(len(schedule.dt_h), np.inf)
        carried = self._feasible_share(schedule, self._reduced(rung))[steps]
        share[steps] = tolerances.RECOVERY_POWER_SHARE * carried
        if rung == FEED_IN_CAP:
            return feed_in_cap(base, schedule, share)
        share[steps] = np.where(carried < 1.0, share[steps], np.inf)  # consumption moves there
        return load_cap(base, devices, schedule, share)

    def _reduced(self, rung: str) -> Callable[[Schedule, Floats], Schedule]:
        """Return the function that leaves a share (steps,) of feed-in or of consumption."""
        if rung != LOAD_CAP:
            return curtailed
        devices, instance = self.agent.feeder.devices, self.first.instance
        return lambda schedule, share: turned_down(
            devices, schedule, share, instance.forecast, instance.states
        )

    def _power_to_reduce(self, schedule: Schedule) -> str:
        """Return LOAD_CAP where less consumption mends more than less feed-in.

        More is a larger number of applied steps, then a smaller violation.
        """
        if not self.agent.feeder.devices.turned_down_first:
            return FEED_IN_CAP
        steps, nothing = self.now.steps, np.zeros(len(schedule.dt_h))

        def left(rung: str) -> tuple[int, float]:
            found = self._certificate(self._reduced(rung)(schedule, nothing))
            return found.verdicts(steps).count(INFEASIBLE), found.largest_violation(steps)

        return LOAD_CAP if left(LOAD_CAP) < left(FEED_IN_CAP) else FEED_IN_CAP

    def _price_losses(self, reward_eur_per_mwh: float) -> None:
        """Keep a loss price above the saving by 1 MWh of fictitious loss."""
        price = reward_eur_per_mwh + tolerances.LOSS_PRICE_MARGIN
        more = price - self.loss_price_eur_per_mwh
        if more > 0.0:
            self.kept |= loss_price(self.agent.reduction.network, self.agent.horizon.dt_h, more)
            self.loss_price_eur_per_mwh = price

    def take(self, candidate: Candidate) -> None:
        """Keep a candidate where it is better than the best one so far."""
        if candidate.rank < self.best.rank:
            self.best = candidate

    def cost(self, candidate: Candidate) -> float:
        """Cost of a plan over the horizon in EUR, one copy; nodal payments at the tariff.

        Without the user's term, which a held schedule cannot have.
        """
        agent, instance = self.agent, self.first.instance
        x, variant = candidate.point.x, candidate.point.variant
        if x is None:
            return agent.held_cost(instance, candidate.plan.schedule)
        term = agent.term_eur(instance, candidate.point)
        own = agent.own_cost(instance, x, variant) - (term or 0.0)
        return own + agent.tariff_payment(instance, x, variant)

    def apply_directly(self) -> None:
        """Give up planning: reduce feed-in or consumption of the best or the last good plan."""
        agent, first = self.agent, self.first
        for last, schedule in (
            (False, self.best.plan.schedule),
            (True, agent.held(first.instance, agent.last_good)),
        ):
            power = self._power_to_reduce(schedule)
            reduced, rung = self._reduced(power), LAST_GOOD if last else power
            schedule = reduced(schedule, self._feasible_share(schedule, reduced))
            reason = f"{rung.replace('_', ' ')}: no schedule of the model is AC feasible"
            report = replace(first.plan.report, fallback=reason)
            plan = agent.certified(first.instance, schedule, report)
            self.tried[rung] += 1
            point = FeederPoint(None, report, first.point.variant)
            self.take(Candidate(rung, plan, point, first.instance, first.steps))
            if not self.best.infeasible:
                return

    def _certificate(self, schedule: Schedule) -> Certificate:
        """Return the certificate of a schedule."""
        plan = self.agent.certified(self.first.instance, schedule, self.first.plan.report)
        assert plan.certificate is not None
        return plan.certificate

    def _good(self, schedule: Schedule) -> Bools:
        """Return whether AC is feasible with a schedule, (steps,)."""
        found = self._certificate(schedule)
        return np.array([found.good((k,)) for k in range(len(schedule.dt_h))])

    def _feasible_share(
        self, schedule: Schedule, reduced: Callable[[Schedule, Floats], Schedule]
    ) -> Floats:
        """Largest share (steps,) of a power at which AC is feasible; 0 where none is."""
        low, high = np.zeros(len(schedule.dt_h)), np.ones(len(schedule.dt_h))
        for halving in range(tolerances.CURTAILMENT_HALVINGS):
            share = high if halving == 0 else (low + high) / 2
            good = self._good(reduced(schedule, share))
            low = np.where(good, share, low)
            high = np.where(good, high, share)
        return low


@dataclass
class _Ladder:
    """Leaders on the ladder; those that are settled keep the instance they were settled with."""

    agents: Mapping[str, FeederAgent]
    instances: Mapping[str, FeederInstance]
    decide: Decide
    steps: tuple[int, ...]
    nodal_prices: Prices
    decision: SchemeDecision
    leaders: dict[str, _Leader] = field(default_factory=dict)

    def climb(self, rungs: Mapping[str, str]) -> None:
        """Let all leaders decide with amendments of some, and keep the better plans."""
        priced = any(rung != CONVEX_CONCAVE for rung in rungs.values())
        prices = self.nodal_prices(self.decision) if priced else {}
        instances = {name: leader.best.instance for name, leader in self.leaders.items()}
        for name, rung in rungs.items():
            leader = self.leaders[name]
            amendment = leader.amendment(rung, prices.get(name))
            instances[name] = replace(leader.first.instance, amendment=amendment)
        self.decide_anew(instances)
        for name, rung in rungs.items():
            leader = self.leaders[name]
            leader.tried[rung] += 1
            found = self.candidate(name, rung, instances[name])
            if found.point.x is None:  # the amended program has no solution
                leader.tried[rung] = _DECISIONS[rung]
            else:
                leader.now = found
                leader.take(found)

    def decide_anew(self, changed: Mapping[str, FeederInstance]) -> None:
        self.decision = self.decide({**self.instances, **changed})
        for name in self.agents:  # one that shares a program with an amended one may suffer
            if name not in self.leaders and not self.candidate(name).settled:
                self.admit(name)

    def admit(self, name: str) -> None:
        candidate = self.candidate(name)
        self.leaders[name] = _Leader(self.agents[name], candidate, candidate, candidate)

    def candidate(
        self, name: str, rung: str = "", instance: FeederInstance | None = None
    ) -> Candidate:
        """The latest plan of a leader."""
        assert self.decision.plans is not None
        plan, point = self.decision.plans[name], self.decision.points[name]
        return Candidate(rung, plan, point, instance or self.instances[name], self.steps)

    def take_best(self) -> None:
        """Decide once more where the best plans of the leaders are not those of one decision."""
        points, best = self.decision.points, {n: x.best for n, x in self.leaders.items()}
        if any(points[name] is not found.point for name, found in best.items()):
            self.decide_anew({name: found.instance for name, found in best.items()})
            for name, leader in self.leaders.items():
                leader.best = self.candidate(name, leader.best.rung, leader.best.instance)

    def result(self) -> SchemeDecision:
        plans, points = dict(self.decision.plans or {}), dict(self.decision.points)
        messages, penalty = [], 0.0
        for name, leader in self.leaders.items():
            best, first = leader.best, leader.first
            record = Recovery(
                used=best.rung,
                tried=tuple(leader.tried.items()),
                before=first.certificate,
                cost_eur=leader.cost(best) - leader.cost(first),
            )
            plans[name] = replace(best.plan, recovery=record)
            points[name] = best.point
            messages.append(_message(name, record, best))
            if best.instance.amendment is not None and best.point.x is not None:
                columns = leader.agent.model(best.point.variant).columns
                copies = leader.agent.feeder.boundary.multiplicity
                penalty += copies * best.instance.amendment.cost(columns, best.point.x)
        held = any(leader.best.point.x is None for leader in self.leaders.values())
        return replace(
            self.decision,
            points=points,
            plans=plans,
            recoveries=tuple(messages),
            follower_x=None if held else self.decision.follower_x,
            objective=self.decision.objective - penalty,
        )


def _message(name: str, record: Recovery, best: Candidate) -> str:
    """Return the log message on one recovery."""
    before, worst = record.before, record.before.worst_step(best.steps)
    tried = ", ".join(f"{rung} x {count}" for rung, count in record.tried) or "nothing"
    reason = explanation({"grid": name, **before.columns(worst)})
    found = f"{name}: schedule {before.verdicts([worst])[0]} ({reason})"
    if not record.used:
        return f"{found}; tried {tried}, none was better"
    if best.infeasible:
        return f"{found}; still infeasible, least by {record.used} (tried {tried})"
    return f"{found}; mended by {record.used} at {record.cost_eur:+.3g} EUR (tried {tried})"
