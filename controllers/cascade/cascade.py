"""The controller of a tree of grids: stage by stage from the bottom up, each by one scheme.

A stage is a grid and the active networks directly below it. Its leaders decide together with the
follower above them; their exchanges are then loads of that grid. A feeder that was a
follower decides again as a leader of the grid above, with its own conic model: only that dispatch
is applied, both are recorded. Where it cannot carry what its linear model allowed, the limits of
that model are tightened and the stage is decided again (docs/model.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from stackelgrid.controllers.cascade.interval import Foreseen, Interval
from stackelgrid.controllers.cascade.tree import Tree
from stackelgrid.controllers.decision import Decision, Outcome, Pricing
from stackelgrid.controllers.leaders.feeder_records import FeederState
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.schedule import BoundaryProfile, Measurement, Plan
from stackelgrid.controllers.schemes.registry import scheme
from stackelgrid.controllers.stage.evaluate import decide_and_evaluate
from stackelgrid.controllers.stage.stage import (
    Beginning,
    Committing,
    Scheme,
    Stage,
    StageInstance,
    StageState,
)
from stackelgrid.controllers.system import System
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Stateful

# head voltages of ideal ties: p.u. below which a decision is stable, and most rounds
_TIE_TOLERANCE_PU = 1e-4
_TIE_ROUNDS = 12
_TIE_FULL_STEPS = 3
# a follower's limits in later rounds: share of the ratings taken off, and p.u. of the voltage band
_TIGHTER = ((0.05, 0.005), (0.1, 0.01), (0.2, 0.02))


@dataclass(frozen=True)
class CascadeState:
    """State of agents and stages, and the decision whose steps are being executed."""

    agents: Mapping[str, FeederState]
    stages: tuple[StageState, ...]
    tightened: Mapping[tuple[str, int], StageState]
    decision: Decision | None
    shared: Any


class Cascade:
    """Decides every stage of the tree; groups of a stage are solved on threads.

    `make_scheme` gives a stage its scheme; the one that the settings name, if left out. A scheme
    that commits decides once in an interval. `shared` is a common state of the schemes.
    """

    def __init__(
        self,
        system: System,
        settings: ControllerSettings,
        make_scheme: Callable[[Stage], Scheme] | None = None,
        shared: Stateful | None = None,
        building: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.system, self.settings, self._shared = system, settings, shared
        make_scheme = make_scheme or partial(scheme, settings.scheme)
        self.tree = Tree(system, settings, make_scheme, building)
        self.agents, self.stages, self.tso = self.tree.agents, self.tree.stages, self.tree.tso
        self._tightened: dict[tuple[str, int], Stage] = {}
        self._day: Decision | None = None

    def state(self) -> CascadeState:
        """Return the state that is carried to the next interval."""
        return CascadeState(
            {name: agent.state() for name, agent in self.agents.items()},
            tuple(stage.state() for stage in self.stages),
            {key: stage.state() for key, stage in self._tightened.items()},
            self._day,
            None if self._shared is None else self._shared.state(),
        )

    def restore(self, state: CascadeState) -> None:
        """Restore agents, stages and the decision whose steps are being executed."""
        for name, agent in self.agents.items():
            agent.restore(state.agents[name])
        for stage, carried in zip(self.stages, state.stages, strict=True):
            stage.restore(carried)
        for (parent, attempt), carried in state.tightened.items():
            self._tighter(parent, attempt).restore(carried)
        self._day = state.decision
        if self._shared is not None:
            self._shared.restore(state.shared)

    @property
    def certificate_s(self) -> float:
        """Seconds spent on certificates so far."""
        own = self.tso.certificate_s if self.tso is not None else 0.0
        return own + sum(agent.certificate_s for agent in self.agents.values())

    def decide(self, interval: int, measured: Mapping[str, Measurement]) -> Decision:
        """One pass from the lowest stage up; repeated while head voltages of ideal ties move.

        Between two decisions (of a day-ahead system there is one) the plan is stepped through.
        """
        again = not self.system.day_ahead and interval % self.system.resolve_every == 0
        if self._day is not None and not again:
            day = self._day
            plans = {n: p.at_step(interval - p.schedule.interval) for n, p in day.plans.items()}
            return Decision(plans, day.rounds)
        try:
            decision = self._decided(interval, measured)
        except KeyboardInterrupt:  # the run ends: no waiting task of a thread begins any more
            self.tree.pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            for stage in self.stages:
                stage.cancel_begun()
        if self.system.applied_steps > 1:
            self._day = decision
        return decision

    # ------------------------------------------------------------------ one interval

    def _decided(self, interval: int, measured: Mapping[str, Measurement]) -> Decision:
        """Decide all stages, certify the transmission grid, and collect plans and messages."""
        now, rounds, notices = self._settled(interval, measured)
        messages = [*now.messages, *(t for o in now.outcomes.values() for t in o.recoveries)]
        for name, outcome in now.outcomes.items():
            if not outcome.follower:
                continue
            messages += [f"{name}: {text}" for text in outcome.messages]
            plan = now.plans[name]
            if self.tso is not None and name == self.tso.grid_name:
                now.plans[name] = self.tso.certified(plan, self._imports(name, now.exchange))
            else:  # prices that its stage found at its buses
                prices = outcome.plans[name].schedule.price_eur_per_mwh
                priced = replace(plan.schedule, price_eur_per_mwh=prices)
                now.plans[name] = replace(plan, schedule=priced)
        return Decision(now.plans, rounds, (*messages, *notices), now.audited())

    def _settled(
        self, interval: int, measured: Mapping[str, Measurement]
    ) -> tuple[Interval, int, list[str]]:
        """Pass over all stages, repeated until head voltages of ideal ties hold; and its number.

        The texts name those that do not. A commit is not decided again.
        """
        heads: dict[str, Floats] = {}
        commits = any(isinstance(stage.scheme, Committing) for stage in self.stages)
        most = 1 if commits else _TIE_ROUNDS
        for rounds in range(1, most + 1):
            now = self._pass(interval, measured, heads)
            moved = self._tie_voltages(now.plans)
            change = max(
                (
                    float(np.max(np.abs(v - heads[n]))) if n in heads else np.inf
                    for n, v in moved.items()
                ),
                default=0.0,
            )
            if change <= _TIE_TOLERANCE_PU:
                break
            # later rounds go half the way only: full steps can run in a cycle
            share = 1.0 if rounds < _TIE_FULL_STEPS else 0.5
            heads = {n: share * v + (1.0 - share) * heads.get(n, v) for n, v in moved.items()}
            if rounds < most:
                for name in tuple(now.audits):
                    now.drop_audit(name)
        notices = []
        if _TIE_TOLERANCE_PU < change < np.inf:
            notices.append(
                f"head voltages behind ideal ties still moved by {change:.1e} p.u. after "
                f"{rounds} rounds"
            )
        if commits:
            notices += self._tie_notice(moved, measured)
        return now, rounds, notices

    def _pass(
        self, interval: int, measured: Mapping[str, Measurement], heads: Mapping[str, Floats]
    ) -> Interval:
        """Decide stage by stage; one again whose follower asked for too much of the grid above."""
        now = Interval(interval, measured, heads)
        committed = {s.name for s in self.stages if isinstance(s.scheme, Committing)}
        for stage, following in zip(self.stages, (*self.stages[1:], None), strict=True):
            self._decide_stage(stage, now, following)
            for child in stage.leaders:
                decided = child in now.outcomes and child not in committed
                if decided and now.plans[child].report.fallback:
                    now.messages.append(self._tighten(child, stage, now))
        return now

    def _decide_stage(self, stage: Stage, now: Interval, following: Stage | None = None) -> None:
        """Prepare, decide, certify, recover and apply; meanwhile the next stage begins."""
        foreseen, now.foreseen = now.foreseen, None
        if foreseen is not None and foreseen.holds(stage, now.exchange):
            instance = foreseen.instance
        else:
            instance = self.prepare(stage, now.interval, now.measured, now.heads, now.exchange)
        begin = None
        if following is not None and isinstance(following.scheme, Beginning):
            begin = partial(self._begin, following, following.scheme, now)
        outcome, audit = decide_and_evaluate(stage, instance, begin)
        now.take(stage.name, outcome, audit)
        # a feeder above the leaders is dispatched as a leader of its own stage
        now.plans |= {
            name: plan
            for name, plan in outcome.plans.items()
            if name in stage.leaders or name not in self.agents
        }

    def _begin(
        self,
        stage: Stage,
        scheme: Beginning,
        now: Interval,
        expected: Mapping[str, BoundaryProfile],
    ) -> None:
        """Let a stage begin with the exchanges that the stage below it is expected to end with."""
        exchange = {**now.exchange, **expected}
        imports: dict[str, BoundaryProfile] = {}
        for name in stage.leaders:
            imports |= self._imports(name, exchange)
        instance = self.prepare(stage, now.interval, now.measured, now.heads, exchange)
        now.foreseen = Foreseen(stage, imports, instance)
        scheme.begin(instance)

    def _tighten(self, parent: str, above: Stage, now: Interval) -> str:
        """Decide the stage below a feeder again with tighter limits, until it can carry it."""
        first = now.plans[parent].report.fallback
        for attempt, (rating_off, band_off_pu) in enumerate(_TIGHTER):
            for stage in (self._tighter(parent, attempt), above):
                self._decide_stage(stage, now)
            if not now.plans[parent].report.fallback:
                return (
                    f"{parent}: limits of its dispatch tightened by {rating_off:.0%} of the "
                    f"ratings and {band_off_pu:g} p.u. ({first})"
                )
        return f"{parent}: cannot carry the grids below even with tightened limits ({first})"

    def _tighter(self, parent: str, attempt: int) -> Stage:
        """Stage below a feeder with tightened limits, built when first needed."""
        key = (parent, attempt)
        if key not in self._tightened:
            self._tightened[key] = self.tree.stage(parent, *_TIGHTER[attempt])
        return self._tightened[key]

    # ------------------------------------------------------------------ data

    def prepare(
        self,
        stage: Stage,
        interval: int,
        measured: Mapping[str, Measurement],
        heads: Mapping[str, Floats] | None = None,
        exchange: Mapping[str, BoundaryProfile] | None = None,
    ) -> StageInstance:
        """Data of a stage's decision for the horizon from an interval on.

        measured: measurements of all grids.
        heads: planned head voltages (steps,) in p.u. of the leaders behind ideal ties.
        exchange: exchanges of the grids below the leaders, all copies.
        """
        heads, exchange = heads or {}, exchange or {}
        leaders = {
            name: agent.prepare(
                interval,
                self._within_band_above(name, measured[name]),
                self._imports(name, exchange),
                heads.get(name),
            )
            for name, agent in stage.leaders.items()
        }
        follower = stage.follower
        if follower is None:
            return StageInstance(interval, measured, leaders, None)
        name = follower.grid_name
        own = follower.parameters(interval, measured.get(name), heads.get(name))
        q_mvar = {
            name: agent.feeder.boundary.multiplicity * leaders[name].load_q_mvar.sum(axis=0)
            for name, agent in stage.leaders.items()
        }
        return StageInstance(interval, measured, leaders, follower.with_reactive(own, q_mvar), own)

    def _within_band_above(self, name: str, measured: Measurement) -> Measurement:
        """Measurement with a voltage that the grid above will plan with.

        A voltage beyond the limits of the grid above is a deviation that this grid is about to
        correct; with the last measured value the grid below would correct it instead.
        """
        low, high = self.tree.bands_above[name]
        return replace(measured, vm_pu=min(max(measured.vm_pu, low), high))

    def _imports(
        self, name: str, exchange: Mapping[str, BoundaryProfile]
    ) -> dict[str, BoundaryProfile]:
        """Exchanges of the grids directly below."""
        return {f.name: exchange[f.name] for f in self.system.children(name)}

    # ------------------------------------------------------------------ ideal ties

    def _tie_voltages(self, plans: Mapping[str, Plan]) -> dict[str, Floats]:
        """Planned voltages at the buses where ideal ties leave a feeder."""
        voltages = {}
        for f in self.system.feeders:
            parent = self.agents.get(f.boundary.parent or "")
            if f.boundary.kind == "ideal" and parent is not None:
                plan = plans[parent.feeder.name]
                if plan.schedule.flows is not None:
                    voltages[f.name] = parent.head_voltage_of(plan.schedule, f.boundary.bus)
        return voltages

    def _tie_notice(
        self, planned: Mapping[str, Floats], measured: Mapping[str, Measurement]
    ) -> list[str]:
        """Say where schedules that are not decided again hold to measured head voltages."""
        apart = {
            n: float(np.max(np.abs(v - self._within_band_above(n, measured[n]).vm_pu)))
            for n, v in planned.items()
        }
        apart = {n: by for n, by in apart.items() if by > _TIE_TOLERANCE_PU}
        if not apart:
            return []
        return [
            f"behind ideal ties {', '.join(apart)} committed at measured head voltages, up to "
            f"{max(apart.values()):.1e} p.u. from the planned ones"
        ]


def decide_plan(
    system: System,
    settings: ControllerSettings,
    name: str,
    pricing: Pricing,
    measured: Mapping[str, Measurement],
) -> list[Outcome]:
    """Outcomes of every stage at interval 0 by one scheme, lowest stage first."""
    chosen = replace(settings, scheme=name, pricing=pricing)
    return list(Cascade(system, chosen).decide(0, measured).outcomes)
