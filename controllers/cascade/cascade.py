"""The controller of a tree of grids: stage by stage from the bottom up, each by one scheme.

A stage is a grid and the active networks directly below it. Its leaders decide together with the
follower above them; what they exchange are loads of that grid from then on. A feeder that was a
follower decides again as a leader of the grid above, with its own conic model: only that dispatch
is applied, both are recorded. Where it cannot carry what its linear model allowed, the limits of
that model are tightened and the stage is decided again (docs/model.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from stackelgrid.controllers.cascade.level import CascadeState, Foreseen, Level, Pass
from stackelgrid.controllers.cascade.tree import (
    check_tree,
    leaders_of,
    stage_parents,
    trading_groups,
)
from stackelgrid.controllers.decision import Decision, Outcome, Pricing
from stackelgrid.controllers.followers.mv_operator import MvDispatchAgent
from stackelgrid.controllers.followers.tso import TsoAgent
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.models.active_network import ActiveNetworkLibrary
from stackelgrid.controllers.networks.radial import voltage_band
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.schedule import BoundaryProfile, Measurement, Plan
from stackelgrid.controllers.schemes.registry import scheme
from stackelgrid.controllers.solvers.registry import conic_solver
from stackelgrid.controllers.stage.evaluate import decide_and_evaluate
from stackelgrid.controllers.stage.stage import (
    Beginning,
    Committing,
    Scheme,
    Stage,
    StageInstance,
)
from stackelgrid.controllers.stage.threads import Threads
from stackelgrid.controllers.system import Feeder, System
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Stateful

# head voltages of ideal ties: p.u. below which a decision is stable, and most rounds
_TIE_TOLERANCE_PU = 1e-4
_TIE_ROUNDS = 12
_TIE_FULL_STEPS = 3
# a follower's limits in later rounds: share of the ratings taken off, and p.u. of the voltage band
_TIGHTER = ((0.05, 0.005), (0.1, 0.01), (0.2, 0.02))


class Cascade:
    """Decides every stage of the tree; groups of a stage are solved on threads.

    `make_scheme` gives a stage (by the name of the grid above) its scheme; the one that the
    settings name, if left out. A scheme that commits is asked once an interval. `shared` is what
    schemes have in common that carries something, too.
    """

    def __init__(
        self,
        system: System,
        settings: ControllerSettings,
        make_scheme: Callable[[str, Stage], Scheme] | None = None,
        shared: Stateful | None = None,
        building: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.system, self.settings = system, settings
        self._shared = shared
        self._make_scheme = make_scheme or (lambda _, stage: scheme(settings.scheme, stage))
        check_tree(system)
        self.library = ActiveNetworkLibrary()
        self._pool = Threads(settings.threads)
        self.agents: dict[str, FeederAgent] = {}
        for n, f in enumerate(system.feeders, start=1):
            building(f"programs: {f.name}, {n} of {len(system.feeders)}")
            lower = self._lower_buses(f.name)
            self.agents[f.name] = FeederAgent(f, system.horizon, self.library, lower)
        self._parent_band = {f.name: self._band_above(f) for f in system.feeders}
        self.tso: TsoAgent | None = None
        parents, levels = stage_parents(system), []
        for n, parent in enumerate(parents, start=1):
            building(f"leaders below {parent or 'the source'}, {n} of {len(parents)}")
            levels.append(self._level(parent))
        self.levels = tuple(levels)
        self._tightened: dict[tuple[str, int], Level] = {}
        self._day: Decision | None = None

    def state(self) -> CascadeState:
        """Return the state that is carried to the next interval."""
        return CascadeState(
            {name: agent.state() for name, agent in self.agents.items()},
            tuple(level.state() for level in self.levels),
            {key: level.state() for key, level in self._tightened.items()},
            self._day,
            None if self._shared is None else self._shared.state(),
        )

    def restore(self, state: CascadeState) -> None:
        """Take what was carried."""
        for name, agent in self.agents.items():
            agent.restore(state.agents[name])
        for level, carried in zip(self.levels, state.levels, strict=True):
            level.restore(carried)
        for (parent, attempt), carried in state.tightened.items():
            level = self._tightened[parent, attempt] = self._level(parent, *_TIGHTER[attempt])
            level.restore(carried)
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
            return self._later(self._day, interval)
        try:
            decision = self._decided(interval, measured)
        except KeyboardInterrupt:  # the run ends: what has not begun on a thread never does
            self._pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            for level in self.levels:
                level.stage.cancel_begun()
        if self.system.applied_steps > 1:
            self._day = decision
        return decision

    def _decided(self, interval: int, measured: Mapping[str, Measurement]) -> Decision:
        heads: dict[str, Floats] = {}
        rounds, change = 0, 0.0
        settled = False
        # what is committed is not decided again
        commits = any(isinstance(level.scheme, Committing) for level in self.levels)
        most = 1 if commits else _TIE_ROUNDS
        while not settled and rounds < most:
            rounds += 1
            found = self._pass(interval, measured, heads)
            moved = self._tie_voltages(found.plans)
            change = max(
                (
                    float(np.max(np.abs(v - heads[n]))) if n in heads else np.inf
                    for n, v in moved.items()
                ),
                default=0.0,
            )
            settled = change <= _TIE_TOLERANCE_PU
            if not settled and rounds < most:
                found.superseded()
            # later rounds go half the way only: full steps can run in a cycle
            share = 1.0 if rounds < _TIE_FULL_STEPS else 0.5
            heads = {n: share * v + (1.0 - share) * heads.get(n, v) for n, v in moved.items()}
        messages = found.messages
        if not settled and np.isfinite(change):
            messages.append(
                f"head voltages behind ideal ties still moved by {change:.1e} p.u. after "
                f"{rounds} rounds"
            )
        if commits:
            messages += self._tie_notice(moved, measured)
        return Decision(found.plans, rounds, tuple(messages), found.outcomes())

    def _later(self, day: Decision, interval: int) -> Decision:
        plans = {
            name: plan.at_step(interval - plan.schedule.interval)
            for name, plan in day.plans.items()
        }
        return Decision(plans, day.rounds)

    def _pass(
        self, interval: int, measured: Mapping[str, Measurement], heads: Mapping[str, Floats]
    ) -> Pass:
        found = Pass(interval, measured, heads)
        plans, messages = found.plans, found.messages
        for level, following in zip(self.levels, (*self.levels[1:], None), strict=True):
            self._decide_level(level, found, following)
            for child in level.stage.leaders:  # a follower below that asked for too much
                below = next((x for x in self.levels if x.parent == child), None)
                committed = below is not None and isinstance(below.scheme, Committing)
                if child in found.stages and plans[child].report.fallback and not committed:
                    messages += self._tighten(child, level, found)
        messages += [text for stage in found.stages.values() for text in stage.recoveries]
        for name, stage in found.stages.items():
            if stage.unaudited is None:
                continue
            messages += [f"{name}: {text}" for text in stage.unaudited.messages]
            if name in self.agents:  # prices that its stage found at its buses
                prices = stage.unaudited.plans[name].schedule.price_eur_per_mwh
                priced = replace(plans[name].schedule, price_eur_per_mwh=prices)
                plans[name] = replace(plans[name], schedule=priced)
        if self.tso is not None:
            name = self.tso.grid.name
            if name not in plans:
                plans[name] = self.tso.decide(interval, {})
            plans[name] = self.tso.certified(plans[name], self._imports(name, found.exchange))
        return found

    def _decide_level(self, level: Level, into: Pass, following: Level | None = None) -> None:
        """Let a stage decide; the one that follows begins while its plans are certified."""
        foreseen, into.foreseen = into.foreseen, None
        if foreseen is not None and foreseen.holds(level, into.exchange):
            instance = foreseen.instance
        else:
            instance = self._instance(
                level.stage, into.interval, into.measured, into.heads, into.exchange
            )
        begin = None
        if following is not None and isinstance(following.scheme, Beginning):
            begin = partial(self._begin, following, following.scheme, into)
        found = decide_and_evaluate(level.stage, level.scheme, instance, begin)
        into.plans |= found.plans
        into.exchange |= found.exchange
        if level.parent in into.stages:
            into.stages[level.parent].superseded()
        into.stages[level.parent] = found
        at_tso = self.tso is not None and level.parent == self.tso.grid.name
        if found.unaudited is not None and at_tso:
            into.plans[level.parent] = found.unaudited.plans[level.parent]

    def _begin(
        self,
        level: Level,
        scheme: Beginning,
        into: Pass,
        expected: Mapping[str, BoundaryProfile],
    ) -> None:
        """Let a stage begin with the exchanges that the stage below it is expected to end with."""
        exchange = {**into.exchange, **expected}
        imports = {
            below: profile
            for name in level.stage.leaders
            for below, profile in self._imports(name, exchange).items()
        }
        instance = self._instance(level.stage, into.interval, into.measured, into.heads, exchange)
        into.foreseen = Foreseen(level, imports, instance)
        scheme.begin(instance)

    def _tighten(self, parent: str, above: Level, into: Pass) -> list[str]:
        """Decide the stage below a feeder again with tighter limits, until it can carry it."""
        first = into.plans[parent].report.fallback
        for attempt in range(len(_TIGHTER)):
            key = (parent, attempt)
            if key not in self._tightened:
                self._tightened[key] = self._level(parent, *_TIGHTER[attempt])
            for level in (self._tightened[key], above):
                self._decide_level(level, into)
            if not into.plans[parent].report.fallback:
                return [
                    f"{parent}: limits of its dispatch tightened by {_TIGHTER[attempt][0]:.0%} of "
                    f"the ratings and {_TIGHTER[attempt][1]:g} p.u. ({first})"
                ]
        return [f"{parent}: cannot carry the grids below even with tightened limits ({first})"]

    def _instance(
        self,
        stage: Stage,
        interval: int,
        measured: Mapping[str, Measurement],
        heads: Mapping[str, Floats],
        exchange: Mapping[str, BoundaryProfile],
    ) -> StageInstance:
        leaders = {
            name: agent.prepare(
                interval,
                self._within_parent_band(name, measured[name]),
                self._imports(name, exchange),
                heads.get(name),
            )
            for name, agent in stage.leaders.items()
        }
        follower = stage.follower
        if follower is None:
            return StageInstance(interval, measured, leaders, None)
        own = measured.get(follower.grid_name)
        if isinstance(follower, MvDispatchAgent):
            head = heads.get(follower.grid_name)
            alone = follower.parameters(interval, own, vm_head_pu=head)
        else:
            alone = follower.parameters(interval, own)
        q_mvar = {
            name: agent.feeder.boundary.multiplicity * leaders[name].load_q_mvar.sum(axis=0)
            for name, agent in stage.leaders.items()
        }
        parameters = follower.with_reactive(alone, q_mvar)
        return StageInstance(interval, measured, leaders, parameters, alone)

    def _within_parent_band(self, name: str, measured: Measurement) -> Measurement:
        """Measurement whose voltage is one that the grid above will plan with.

        A voltage beyond the limits of the grid above is a deviation which that grid is about to
        mend; the last measured value would ask the grid below to mend it instead.
        """
        band = self._parent_band[name]
        return replace(measured, vm_pu=min(max(measured.vm_pu, band[0]), band[1]))

    def _band_above(self, feeder: Feeder) -> tuple[float, float]:
        """Voltage limits of the bus that feeds a feeder, p.u."""
        parent, bus = feeder.boundary.parent, feeder.boundary.bus
        if parent in self.agents:
            network = self.agents[parent].feeder.network
            at = network.positions([bus])[0]
            return float(network.vm_min[at]), float(network.vm_max[at])
        transmission = self.system.transmission
        if parent is None or transmission is None:
            return 0.0, np.inf
        low, high = voltage_band(transmission.net)
        at = transmission.net.bus.index.get_loc(bus)
        return float(low[at]), float(high[at])

    def _level(self, parent: str, rating_off: float = 0.0, band_off_pu: float = 0.0) -> Level:
        leaders = {f.name: self.agents[f.name] for f in leaders_of(self.system, parent)}
        follower = self._follower(parent, rating_off, band_off_pu)
        groups = trading_groups([a.feeder for a in leaders.values()])
        applied = tuple(range(self.system.applied_steps))
        stage = Stage(leaders, follower, groups, self.settings, self._pool, applied)
        return Level(parent, stage, self._make_scheme(parent, stage))

    def _follower(self, parent: str, rating_off: float, band_off_pu: float) -> UpstreamAgent | None:
        solver, horizon = conic_solver(self.settings.conic), self.system.horizon
        transmission = self.system.transmission
        if transmission is not None and parent == transmission.name:
            self.tso = TsoAgent(transmission, horizon, self._lower_buses(parent), solver)
            return self.tso
        if parent not in self.agents:
            return None
        feeder = self.agents[parent].feeder
        network = feeder.network
        tightened = replace(
            network,
            i_max=(1.0 - rating_off) * network.i_max,
            vm_min=network.vm_min + band_off_pu,
            vm_max=network.vm_max - band_off_pu,
        )
        return MvDispatchAgent(
            replace(feeder, network=tightened), horizon, self._lower_buses(parent), solver
        )

    def _lower_buses(self, name: str) -> dict[str, int]:
        return {f.name: f.boundary.bus for f in self.system.children(name)}

    def _imports(
        self, name: str, exchange: Mapping[str, BoundaryProfile]
    ) -> dict[str, BoundaryProfile]:
        """Exchanges of the grids directly below."""
        return {f.name: exchange[f.name] for f in self.system.children(name)}

    def _tie_notice(
        self, planned: Mapping[str, Floats], measured: Mapping[str, Measurement]
    ) -> list[str]:
        """Say where schedules that are not decided again hold to measured head voltages."""
        apart = {
            n: float(np.max(np.abs(v - self._within_parent_band(n, measured[n]).vm_pu)))
            for n, v in planned.items()
        }
        apart = {n: by for n, by in apart.items() if by > _TIE_TOLERANCE_PU}
        if not apart:
            return []
        return [
            f"behind ideal ties {', '.join(apart)} committed at measured head voltages, up to "
            f"{max(apart.values()):.1e} p.u. from the planned ones"
        ]

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
