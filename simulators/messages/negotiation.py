"""Negotiations by messages inside the co-simulation: one SimPy environment for a whole run.

The agents of all stages are its processes and exchange nothing but messages; the rounds for an
interval run in the `gate_s` seconds before it begins. Controllers use a scheme like any other
(`NegotiatedLddAdmm`), mosaik delivers measurements and takes set points.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import simpy

from stackelgrid.controllers.decision import Negotiation, SchemeDecision
from stackelgrid.controllers.negotiation.commit.messages import PowerLimits
from stackelgrid.controllers.negotiation.commit.safety import CommitCheck
from stackelgrid.controllers.negotiation.commit.two_phase_commit import (
    CommitRecord,
    Holding,
    ParticipantRecord,
)
from stackelgrid.controllers.negotiation.coordinator_terms import PublicTerms
from stackelgrid.controllers.negotiation.negotiating_agent import Bound
from stackelgrid.controllers.schemes.ldd_admm import (
    LddAdmm,
    coordinator_of,
    negotiated,
    negotiating_agents,
)
from stackelgrid.controllers.stage.stage import Scheme, Stage, StageInstance
from stackelgrid.simulators.messages.agent_process import AgentProcess
from stackelgrid.simulators.messages.communication import (
    CommunicationNetwork,
    CommunicationSettings,
)
from stackelgrid.simulators.messages.coordinator_process import CoordinatorProcess, Opening
from stackelgrid.simulators.messages.enrolment import enrolled_limits
from stackelgrid.simulators.messages.mailbox import PostOffice
from stackelgrid.simulators.messages.traffic import Traffic, TrafficCounts


@dataclass(frozen=True)
class StageProcesses:
    """State of the processes of one stage: public terms, and the states of its parts."""

    public: Mapping[str, PublicTerms]
    agents: Mapping[str, Any]
    coordinator: Any
    traffic: Any


@dataclass(frozen=True)
class HostState:
    """State of the host: clock in s, links, and stages; None is a stage that has not begun."""

    now: float
    links: Mapping[tuple[str, str], Any]
    stages: tuple[StageProcesses | None, ...]


class NegotiationHost:
    """Environment, network and clock of all negotiations of a run.

    Interval k begins at k times `interval_s`; its window is the `gate_s` seconds before. Stages
    share the window in the order in which they decide.
    """

    def __init__(
        self,
        settings: CommunicationSettings,
        names: tuple[str, ...],
        interval_s: float,
        seed: np.random.SeedSequence,
    ) -> None:
        self.settings, self.interval_s = settings, interval_s
        self._names, self._seed = names, seed
        self.stages: list[NegotiatedLddAdmm] = []
        self._begin_at(-settings.gate_s)

    def _begin_at(self, now: float) -> None:
        """Create a network at time `now`, with no message under way."""
        self.environment = simpy.Environment(initial_time=now)
        self.network = CommunicationNetwork(
            self.environment,
            self._names,
            self.settings.quality,
            self.settings.links,
            self.settings.outages,
            seed=self._seed,
        )
        self.post = PostOffice(self.network)

    def state(self) -> HostState:
        """Return the state of the network and of all stages, while all gates are closed."""
        stages = tuple(stage.process_state() for stage in self.stages)
        return HostState(self.environment.now, self.network.state(), stages)

    def restore(self, state: HostState) -> None:
        """Restore the state: processes start anew, messages under way arrive in the same order."""
        self._begin_at(state.now)
        for stage, carried in zip(self.stages, state.stages, strict=True):
            if carried is not None:
                stage.restore_processes(carried)
        self.network.restore(state.links)

    def scheme(self, stage: Stage) -> Scheme:
        """Return the scheme of a stage: by messages if it has a coordinator."""
        if stage.follower is None or not stage.leaders:
            return LddAdmm(stage)
        found = NegotiatedLddAdmm(self, stage, len(self.stages))
        self.stages.append(found)
        return found

    def enrolled_below(self, name: str) -> list[tuple[float, PowerLimits]]:
        """Return multiplicity and enrolled limits of each agent below a grid."""
        return [
            (agent.priced.copies, stage.limits(below))
            for stage in self.stages
            if stage.follower.grid_name == name
            for below, agent in stage.agents.items()
        ]

    def opens_s(self, interval: int, place: int) -> float:
        """Return the time at which the stage at `place` may begin to negotiate an interval."""
        share = self.settings.gate_s / max(len(self.stages), 1)
        return interval * self.interval_s - self.settings.gate_s + place * share

    def gate_s(self, interval: int, place: int) -> float:
        """Return the time at which the gate of the stage at `place` closes."""
        if place + 1 == len(self.stages):
            return interval * self.interval_s
        return self.opens_s(interval, place + 1)


class NegotiatedLddAdmm:
    """LDD-ADMM of one stage by messages; it commits schedules, so it decides once an interval."""

    name = "ldd_admm"
    commits = True

    def __init__(self, host: NegotiationHost, stage: Stage, place: int) -> None:
        self.stage, self._host, self._place = stage, host, place
        self.agents = negotiating_agents(stage)
        assert stage.follower is not None
        self.follower = stage.follower
        self.processes: dict[str, AgentProcess] = {}
        self.coordinator: CoordinatorProcess | None = None
        there = [(self.follower.grid_name, name) for name in self.agents]
        links = (*there, *((b, a) for a, b in there))
        self._traffic = Traffic(lambda: host.network.counts(*links))
        self._commit_check: CommitCheck | None = None  # of the present interval

    def decide(self, instance: StageInstance) -> SchemeDecision:
        """Negotiate up to the gate; agents without a new schedule by then hold the old one."""
        host, interval = self._host, instance.interval
        copies = {name: agent.priced.copies for name, agent in self.agents.items()}
        self._commit_check = CommitCheck(self.follower, copies, instance)
        opens, gate = (f(interval, self._place) for f in (host.opens_s, host.gate_s))
        if host.environment.now < opens:  # messages under way arrive
            host.environment.run(until=opens)
        public = {}
        for name, agent in self.agents.items():
            agent.begin(instance.leaders[name], instance.across_price)
            public[name] = agent.public_terms(instance.leaders[name])
        if self.coordinator is None:
            self.coordinator = self._start(instance)
        for process in self.processes.values():
            process.begin(interval)
        self.coordinator.open(Opening(interval, gate, public, instance.own_parameters))
        host.environment.run(until=gate)
        for process in self.processes.values():
            process.rest()
        record = self.coordinator.close()
        closed = {n: p.participant.close(interval) for n, p in self.processes.items()}
        settled = self._settled(record)
        reasons = {n: self._reason(n, record) for n in self.agents if n not in settled}
        found = negotiated(
            self.stage,
            self.agents,
            self.coordinator.coordinator,
            settled,
            reasons,
            self._told(record, closed, self._traffic.take()),
            self.coordinator.reported,
        )
        if not record.reason:
            return found
        return replace(found, messages=(*found.messages, self._summary(record)))

    # ------------------------------------------------------------------ parts

    def process_state(self) -> StageProcesses | None:
        """Return the state of the stage's processes; None before the first negotiation."""
        if self.coordinator is None:
            return None
        coordinator = self.coordinator
        return StageProcesses(
            coordinator.coordinator.state().public,
            {name: process.state() for name, process in self.processes.items()},
            coordinator.state(),
            self._traffic.state(),
        )

    def restore_processes(self, state: StageProcesses) -> None:
        """Start the stage's processes from their state."""
        nothing = {name: Holding(None, (), ()) for name in self.agents}
        self.coordinator = self._processes(state.public, nothing, 0)
        for name, process in self.processes.items():
            process.restore(state.agents[name])
        self.coordinator.restore(state.coordinator)
        self._traffic.restore(state.traffic)

    def _start(self, instance: StageInstance) -> CoordinatorProcess:
        """Enrol the agents with the schedules that they hold before any commit."""
        enrolled, public = {}, {}
        for name, agent in self.agents.items():
            boundary = agent.boundary(agent.held(""))
            p, q = (tuple(v.tolist()) for v in (boundary.p_mw, boundary.q_mvar))
            enrolled[name] = Holding(None, p, q)
            public[name] = agent.public_terms(instance.leaders[name])
        return self._processes(public, enrolled, instance.interval)

    def limits(self, name: str) -> PowerLimits:
        """Return the limits of an agent, with all grids below it."""
        return enrolled_limits(self.agents[name].agent.feeder, self._host.enrolled_below(name))

    def _processes(
        self, public: Mapping[str, PublicTerms], enrolled: Mapping[str, Holding], interval: int
    ) -> CoordinatorProcess:
        """Start the processes of the agents and of the coordinator."""
        host, name = self._host, self.follower.grid_name
        steps = next(iter(self.stage.leaders.values())).horizon.length
        for agent_name, agent in self.agents.items():
            self.processes[agent_name] = AgentProcess(
                host.environment,
                agent,
                host.post.open(agent_name, frozenset({name}), steps),
                name,
                lambda interval: host.gate_s(interval, self._place),
                host.settings.compute_s,
                self.stage.pool,
            )
        return CoordinatorProcess(
            host.environment,
            coordinator_of(self.stage, public),
            host.post.open(name, frozenset(self.agents), steps),
            enrolled,
            {agent: self.limits(agent) for agent in self.agents},
            self._check,
            host.settings.gate_s / len(host.stages),
            interval,
        )

    def _check(
        self, possible: Mapping[str, tuple[Holding, ...]], before: Mapping[str, Holding]
    ) -> str:
        """Return why a mixture of possible schedules is unsafe upstream; "" if none is."""
        assert self._commit_check is not None
        return self._commit_check.reason(possible, before)

    def _settled(self, record: CommitRecord) -> dict[str, Bound]:
        """Return agents on a new schedule, with the trade that both sides have confirmed.

        The coordinator settles contracts after the gate, from all messages received by then:
        only payments depend on it, no schedule does.
        """
        assert self.coordinator is not None
        offered = {n: np.array(record.trades[n]) for n in record.trades}
        counted = self.coordinator.coordinator.confirmed(offered, record.confirmed)
        nothing = np.zeros(next(iter(self.stage.leaders.values())).horizon.length)
        settled = {}
        for name, process in self.processes.items():
            bound = process.new(process.participant.held)
            if bound is not None:
                trade = process.settled(counted.get(name, nothing))
                settled[name] = self.agents[name].settle(bound, trade)
        return settled

    def _reason(self, name: str, record: CommitRecord) -> str:
        assert self.coordinator is not None
        held = self.processes[name].participant.held
        what = f"holds {held}" if held is not None else "holds what it had before any commit"
        if record.committed is None:
            return f"{what}: {self._why(record)}"
        why = "left out" if name not in record.members else "heard of no commit"
        return f"{what}: {why} of {record.committed}"

    def _why(self, record: CommitRecord) -> str:
        assert self.coordinator is not None
        return self.coordinator.reason or record.reason

    def _summary(self, record: CommitRecord) -> str:
        return f"no new schedules: {self._why(record)}"

    def _told(
        self,
        record: CommitRecord,
        closed: Mapping[str, ParticipantRecord],
        traffic: TrafficCounts,
    ) -> Negotiation:
        coordinator = self.coordinator
        assert coordinator is not None
        assert self._commit_check is not None
        verdict = self._commit_check.verdict
        doubts = {*record.in_doubt, *(n for n, r in closed.items() if r.in_doubt)}
        settled = {s.agent for s in record.settled} | {n for n, r in closed.items() if r.settled}
        refused, ignored, failures = Counter[str](), Counter[str](), []
        refused += coordinator.mailbox.refused
        ignored += coordinator.ignored + coordinator.commit.dropped
        coordinator.mailbox.refused.clear()
        coordinator.ignored.clear()
        coordinator.commit.dropped.clear()
        for process in self.processes.values():
            refused += process.mailbox.refused
            ignored += process.ignored + process.participant.dropped
            failures += process.failures
            process.mailbox.refused.clear()
            process.ignored.clear()
            process.participant.dropped.clear()
            process.failures.clear()
        committed = record.committed
        return Negotiation(
            committed="" if committed is None else str(committed),
            reason="" if committed is not None else self._why(record),
            attempts=record.attempts,
            rounds=len(coordinator.coordinator.rounds),
            seconds=coordinator.agreed_s,
            members=record.members,
            confirmed=record.confirmed,
            silent=coordinator.silent,
            in_doubt=tuple(sorted(doubts)),
            settled=tuple(sorted(settled)),
            held={n: "" if r.held is None else str(r.held) for n, r in closed.items()},
            sent=traffic.sent,
            delivered=traffic.delivered,
            lost=traffic.lost,
            in_outage=traffic.in_outage,
            duplicated=traffic.duplicated,
            reordered=traffic.reordered,
            bytes_sent=traffic.bytes_sent,
            refused=dict(refused),
            ignored=dict(ignored),
            failures=tuple(failures),
            mixtures=0.0 if verdict is None else float(verdict.mixtures),
            mixtures_checked=0 if verdict is None else verdict.checked,
            worst_mixture_pu=0.0 if verdict is None else verdict.violation_pu,
        )
