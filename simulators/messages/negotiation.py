"""Negotiations by messages inside the co-simulation: one SimPy environment for a whole run.

The agents of all stages are its processes and exchange nothing but messages; the rounds for an
interval run in the `gate_s` seconds before it begins. Controllers use a scheme like any other
(`NegotiatedLddAdmm`), mosaik delivers measurements and takes set points.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import simpy

from stackelgrid.controllers.decision import Negotiation, SchemeDecision
from stackelgrid.controllers.negotiation.agent import BindingSchedule
from stackelgrid.controllers.negotiation.commit.coordinator import CommitRecord
from stackelgrid.controllers.negotiation.commit.messages import PowerLimits
from stackelgrid.controllers.negotiation.commit.participant import ParticipantRecord
from stackelgrid.controllers.negotiation.commit.safety import Holding, SafetyCheck
from stackelgrid.controllers.negotiation.contracts import confirmed
from stackelgrid.controllers.negotiation.coordinator import PublicTerms
from stackelgrid.controllers.schemes.ldd_admm import LddAdmm, NegotiatingScheme
from stackelgrid.controllers.stage.stage import Scheme, Stage, StageInstance
from stackelgrid.simulators.messages.agent_process import AgentProcess
from stackelgrid.simulators.messages.communication import CommunicationNetwork
from stackelgrid.simulators.messages.communication_settings import CommunicationSettings
from stackelgrid.simulators.messages.coordinator_process import CoordinatorProcess
from stackelgrid.simulators.messages.enrolment import enrolled_limits
from stackelgrid.simulators.messages.link import TrafficCounts
from stackelgrid.simulators.messages.mailbox import Mailbox


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

    def state(self) -> dict[str, Any]:
        """Return the state of the network and of all stages, while all gates are closed."""
        stages = [stage.process_state() for stage in self.stages]
        return {"now": self.environment.now, "links": self.network.state(), "stages": stages}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state: processes start anew, messages under way arrive in the same order."""
        self._begin_at(state["now"])
        for stage, carried in zip(self.stages, state["stages"], strict=True):
            if carried is not None:
                stage.restore_processes(carried)
        self.network.restore(state["links"])

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
            (agent.multiplicity, stage.limits(below))
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


class NegotiatedLddAdmm(NegotiatingScheme):
    """LDD-ADMM of one stage by messages; it commits schedules, so it decides once an interval."""

    commits = True

    def __init__(self, host: NegotiationHost, stage: Stage, place: int) -> None:
        super().__init__(stage)
        assert stage.follower is not None
        self.follower = stage.follower
        self.host, self._place = host, place
        self.processes: dict[str, AgentProcess] = {}
        self.coordinator: CoordinatorProcess | None = None
        multiplicity = {name: agent.multiplicity for name, agent in self.agents.items()}
        self._safety = SafetyCheck(self.follower, multiplicity)
        self._counted = TrafficCounts()

    def decide(self, instance: StageInstance) -> SchemeDecision:
        """Negotiate up to the gate; agents without a new schedule by then hold the old one."""
        host, interval = self.host, instance.interval
        opens, gate = (f(interval, self._place) for f in (host.opens_s, host.gate_s))
        if host.environment.now < opens:  # messages under way arrive
            host.environment.run(until=opens)
        public = self.prepare(instance)
        self._safety.open(instance)
        if self.coordinator is None:
            self.coordinator = self.start(public, self.enrolled(), interval)
        for process in self.processes.values():
            process.begin(interval)
        self.coordinator.open(interval, gate, public, instance.own_parameters)
        host.environment.run(until=gate)
        for process in self.processes.values():
            process.rest()
        record = self.coordinator.close()
        if record.committed is None:
            record = replace(record, reason=self.coordinator.reason or record.reason)
        closed = {n: p.participant.close(interval) for n, p in self.processes.items()}
        settled = self._settled(record)
        found = self.decision(
            self.coordinator.coordinator,
            settled,
            {n: self._reason(n, record) for n in self.agents if n not in settled},
            self._negotiation(self.coordinator, record, closed),
            self.coordinator.reported,
        )
        if not record.reason:
            return found
        return replace(found, messages=(*found.messages, f"no new schedules: {record.reason}"))

    # ------------------------------------------------------------------ parts

    def process_state(self) -> dict[str, Any] | None:
        """Return the state of the stage's processes; None before the first negotiation."""
        if self.coordinator is None:
            return None
        return {
            "agents": {name: process.state() for name, process in self.processes.items()},
            "coordinator": self.coordinator.state(),
            "counted": self._counted,
        }

    def restore_processes(self, state: Mapping[str, Any]) -> None:
        """Start the stage's processes from their state."""
        public = state["coordinator"]["coordinator"]["public"]
        self.coordinator = self.start(public, dict.fromkeys(self.agents, Holding(None, (), ())), 0)
        for name, process in self.processes.items():
            process.restore(state["agents"][name])
        self.coordinator.restore(state["coordinator"])
        self._counted = state["counted"]

    def limits(self, name: str) -> PowerLimits:
        """Return the limits of an agent, with all grids below it."""
        return enrolled_limits(self.agents[name].agent.feeder, self.host.enrolled_below(name))

    def start(
        self, public: Mapping[str, PublicTerms], enrolled: Mapping[str, Holding], interval: int
    ) -> CoordinatorProcess:
        """Start the processes of the agents and return that of the coordinator."""
        host, name, steps = self.host, self.follower.grid_name, self.horizon.length
        for agent_name, agent in self.agents.items():
            self.processes[agent_name] = AgentProcess(
                host.environment,
                agent,
                Mailbox(host.network, agent_name, frozenset({name}), steps),
                name,
                lambda interval: host.gate_s(interval, self._place),
                host.settings.compute_s,
                self.stage.pool,
            )
        limits = {agent: self.limits(agent) for agent in self.agents}
        return CoordinatorProcess(
            host.environment,
            self.new_coordinator(public),
            Mailbox(host.network, name, frozenset(self.agents), steps, limits),
            enrolled,
            self._safety,
            host.settings.gate_s / len(host.stages),
            interval,
        )

    def _settled(self, record: CommitRecord) -> dict[str, BindingSchedule]:
        """Return agents on a new schedule, with the trade that both sides have confirmed.

        Contracts are settled after the gate, from the messages that the coordinator received by
        then: only payments depend on it, no schedule does.
        """
        cleared = {n: np.array(trade) for n, trade in record.trades.items()}
        multiplicity = {n: agent.multiplicity for n, agent in self.agents.items()}
        counted = confirmed(cleared, record.confirmed, multiplicity)
        nothing = np.zeros(self.horizon.length)
        found = {n: p.settled(counted.get(n, nothing)) for n, p in self.processes.items()}
        return {name: schedule for name, schedule in found.items() if schedule is not None}

    def _reason(self, name: str, record: CommitRecord) -> str:
        """Return why an agent holds an older schedule."""
        held = self.processes[name].participant.held
        what = f"holds {held}" if held is not None else "holds what it had before any commit"
        if record.committed is None:
            return f"{what}: {record.reason}"
        why = "left out" if name not in record.members else "heard of no commit"
        return f"{what}: {why} of {record.committed}"

    def traffic(self) -> TrafficCounts:
        """Return the counts of the stage's links since the last interval."""
        there = [(self.follower.grid_name, name) for name in self.agents]
        counts = self.host.network.counts(*there, *((b, a) for a, b in there))
        since, self._counted = counts - self._counted, counts
        return since

    def _negotiation(
        self,
        coordinator: CoordinatorProcess,
        record: CommitRecord,
        closed: Mapping[str, ParticipantRecord],
    ) -> Negotiation:
        """Return the record of an interval's messages and commit; counters start again."""
        verdict, traffic = self._safety.verdict, self.traffic()
        doubts = {*record.in_doubt, *(n for n, r in closed.items() if r.in_doubt)}
        settled = {agent for agent, _, _ in record.settled}
        settled |= {name for name, r in closed.items() if r.settled}
        agents = self.processes.values()
        refused = _taken(coordinator.mailbox.refused, *(a.mailbox.refused for a in agents))
        ignored = _taken(coordinator.commit.dropped, *(a.participant.dropped for a in agents))
        failures = [text for a in agents for text in a.failures]
        for agent in agents:
            agent.failures.clear()
        return Negotiation(
            committed="" if record.committed is None else str(record.committed),
            reason=record.reason,
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
            refused=refused,
            ignored=ignored,
            failures=tuple(failures),
            mixtures=0.0 if verdict is None else float(verdict.mixtures),
            mixtures_checked=0 if verdict is None else verdict.checked,
            worst_mixture_pu=0.0 if verdict is None else verdict.violation_pu,
        )


def _taken(*counters: Counter[str]) -> dict[str, int]:
    """Return the sum of counters, which start again."""
    total = sum(counters, Counter[str]())
    for counter in counters:
        counter.clear()
    return dict(total)
