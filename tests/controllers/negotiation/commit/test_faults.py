"""Two-phase commit under 10,000 random fault schedules, driven by a small event queue.

The schedules lose, delay (up to several intervals), duplicate and reorder messages, silence links,
crash and wake agents, let agents vote no and forbid random mixtures. No optimisation inside. A
quarter of them visits every kind of fault often; the other three are slow tests.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from stackelgrid.controllers.negotiation.commit.coordinator import CommitCoordinator
from stackelgrid.controllers.negotiation.commit.messages import (
    Commit,
    Message,
    Prepare,
    Terms,
    Version,
    Vote,
)
from stackelgrid.controllers.negotiation.commit.participant import CommitParticipant
from stackelgrid.controllers.negotiation.commit.retransmission import RetryPolicy
from stackelgrid.controllers.negotiation.commit.safety import Holding

SCHEDULES, BLOCKS = 10_000, 4
INTERVAL_S, WINDOW_S = 10.0, 4.0
ZERO = (0.0,)
TERMS = Terms(0, True, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
RETRY = RetryPolicy(first_s=0.6, factor=2.0, longest_s=1.5)
COORDINATOR = "mv1"


class ViolationError(AssertionError):
    """The protocol broke a promise."""


def _gate(interval: int) -> float:
    return interval * INTERVAL_S


class Faults:
    """What goes wrong in one schedule; a perfect one has a single small delay for all."""

    def __init__(self, rng: random.Random, agents: list[str], intervals: int, perfect: bool):
        self.rng, self.perfect = rng, perfect
        end = _gate(intervals - 1)
        self.until = 0.0 if perfect else end  # the last window is perfect
        self.loss = rng.choice((0.0, 0.1, 0.2, 0.5))
        self.duplication = rng.choice((0.0, 0.3))
        self.mean_delay = rng.choice((0.05, 0.2, 0.8))
        self.very_late = rng.choice((0.0, 0.1))
        self.says_no = rng.choice((0.0, 0.0, 0.1))
        self.unsafe = rng.choice((0.0, 0.0, 0.05, 0.1))
        self.silent: dict[str, tuple[float, float]] = {}
        self.crashed: dict[str, tuple[float, float]] = {}
        for agent in agents if not perfect else []:
            if rng.random() < 0.3:
                start = rng.uniform(-WINDOW_S, end)
                self.silent[agent] = (start, start + rng.uniform(1.0, 2.5 * INTERVAL_S))
            if rng.random() < 0.3:
                start = rng.uniform(-WINDOW_S, end)
                wake = min(start + rng.expovariate(0.1), end - WINDOW_S - 0.1)
                self.crashed[agent] = (start, wake)

    def delays(self, agent: str, now: float) -> list[float]:
        """Delays of the copies of a message between an agent and the coordinator that arrive."""
        rng = self.rng
        if now >= self.until - WINDOW_S:
            return [0.01]
        from_s, to_s = self.silent.get(agent, (0.0, 0.0))
        if from_s <= now < to_s or rng.random() < self.loss:
            return []
        copies = 2 if rng.random() < self.duplication else 1
        return [
            rng.uniform(0.0, 3 * INTERVAL_S)
            if rng.random() < self.very_late
            else rng.expovariate(1.0 / self.mean_delay)
            for _ in range(copies)
        ]

    def down(self, agent: str, now: float) -> bool:
        from_s, to_s = self.crashed.get(agent, (0.0, 0.0))
        return from_s <= now < to_s


class Simulation:
    """One fault schedule; raises `ViolationError` as soon as a promise is broken."""

    def __init__(
        self,
        seed: int,
        perfect: bool = False,
        coordinator: type[CommitCoordinator] = CommitCoordinator,
        participant: type[CommitParticipant] = CommitParticipant,
    ):
        rng = self.rng = random.Random(seed)
        self.seed, self.perfect = seed, perfect
        self.agents = [f"lv{i}" for i in range(1, rng.randint(2, 5) + 1)]
        self.intervals = rng.randint(3, 6)
        self.faults = Faults(rng, self.agents, self.intervals, perfect)
        enrolled = {a: Holding(None, ZERO, ZERO) for a in self.agents}
        self.coordinator = coordinator(
            COORDINATOR, enrolled, self._clear, self._check, lambda profile, _: profile, RETRY
        )
        self.participants = {a: participant(a, COORDINATOR, _gate) for a in self.agents}
        self.events: list[tuple[float, int, Any, tuple[Any, ...]]] = []
        self.order = itertools.count()
        self.timer = float("inf")
        self.allowed: dict[str, set[Version | None]] = {a: {None} for a in self.agents}
        self.safe: dict[tuple[Version | None, ...], bool] = {(None,) * len(self.agents): True}
        self.yes: dict[Version, set[str]] = {}  # votes delivered
        self.prepared: dict[Version, tuple[str, ...]] = {}
        self.expected: dict[int, bool] = {}  # on a perfect network: safe and every vote yes
        self.adopted: dict[int, Version] = {}
        self.no_votes = 0
        self.counts: Counter[str] = Counter()

    # the application's part

    def _clear(self, votes: Mapping[str, Vote]) -> Mapping[str, tuple[float, ...]]:
        return dict.fromkeys(self.agents, ZERO)

    def _mixture_safe(self, mixture: tuple[Version | None, ...]) -> bool:
        if mixture not in self.safe:
            self.safe[mixture] = self.rng.random() >= self.faults.unsafe
        return self.safe[mixture]

    def _check(self, possible: Mapping[str, tuple[Holding, ...]]) -> str:
        versions = [[h.version for h in possible[a]] for a in self.agents]
        if all(self._mixture_safe(m) for m in itertools.product(*versions)):
            self.allowed = {a: set(v) for a, v in zip(self.agents, versions, strict=True)}
            return ""
        self.counts["unsafe"] += 1
        return "line 3"

    # events

    def at(self, time: float, action: Any, *arguments: Any) -> None:
        heapq.heappush(self.events, (time, next(self.order), action, arguments))

    def run(self) -> Counter[str]:
        for interval in range(self.intervals):
            self.at(_gate(interval) - WINDOW_S, self._begin, interval)
            self.at(_gate(interval), self._close, interval)
        for agent, (_, wake) in self.faults.crashed.items():
            self.at(wake, self._wake, agent)
        last = _gate(self.intervals - 1)
        while self.events:
            now, _, action, arguments = heapq.heappop(self.events)
            if now > last:
                break
            action(now, *arguments)
        self._finished()
        return self.counts

    def _begin(self, now: float, interval: int) -> None:
        self.coordinator.begin(interval, _gate(interval), now)
        for agent in self.agents:
            self._send(agent, self.coordinator.offer(agent, TERMS), now)
        self._flush(now)
        final = interval == self.intervals - 1
        if final and self.rng.random() < 0.5:
            return  # doubts settle without a new attempt, too
        self.expected[interval] = False
        # the last perfect window has time to decide what it starts
        times = (0.2,) if self.perfect else (0.2, 1.5) if final else (0.2, 1.7, 3.2)
        for wait in times:
            self.at(now + wait, self._prepare, interval)

    def _prepare(self, now: float, interval: int) -> None:
        c = self.coordinator
        last = self.prepared.get(Version(interval, max(self.prepared_attempts - 1, 0)), ())
        members = tuple(a for a in last if a not in c.missing) if c.missing else ()
        if not members or self.rng.random() < 0.3:
            members = tuple(self.agents)
        if c.prepare(members, dict.fromkeys(members, TERMS), now):
            self.prepared[Version(interval, self.prepared_attempts)] = members
            self.prepared_attempts += 1
            self.counts["attempts"] += 1
        self._flush(now)

    @property
    def prepared_attempts(self) -> int:
        return self.counts[f"attempts of {self.coordinator.interval}"]

    @prepared_attempts.setter
    def prepared_attempts(self, value: int) -> None:
        self.counts[f"attempts of {self.coordinator.interval}"] = value

    def _flush(self, now: float) -> None:
        c = self.coordinator
        for message in c.outgoing(now):
            self._send(message.recipient, message, now)
        due = c.next_due()
        if due is not None and not (now < self.timer <= due):
            self.timer = due
            self.at(due, self._repeat)

    def _repeat(self, now: float) -> None:
        self._flush(now)

    def _send(self, agent: str, message: Message, now: float) -> None:
        for delay in self.faults.delays(agent, now):
            self.at(now + delay, self._deliver, message)

    def _deliver(self, now: float, message: Message) -> None:
        if message.recipient == COORDINATOR:
            self._to_coordinator(now, message)
            return
        agent = message.recipient
        if self.faults.down(agent, now):
            return
        p = self.participants[agent]
        event = p.receive(message, now)
        if isinstance(event, Prepare):
            self.at(now + self.rng.choice((0.0, 0.1, 0.6)), self._answer, agent)
        elif isinstance(event, Commit):
            self.counts["adopted"] += 1
            self.counts["adopted late"] += now >= _gate(event.interval)
            if self.adopted.setdefault(event.interval, event.version) != event.version:
                raise ViolationError(f"two versions of interval {event.interval} are adopted")
            self._held(agent)
        self._reply(agent, now)

    def _reply(self, agent: str, now: float) -> None:
        for message in self.participants[agent].outgoing():
            for delay in self.faults.delays(agent, now):
                self.at(now + delay, self._deliver, message)

    def _answer(self, now: float, agent: str) -> None:
        if self.faults.down(agent, now):
            return
        p = self.participants[agent]
        if p.wanted is not None:
            yes = self.rng.random() >= self.faults.says_no
            version, asked = p.wanted.version, p.wanted.round
            vote = Vote(
                sender=agent, recipient=COORDINATOR, interval=version.interval,
                attempt=version.attempt, round=asked, yes=yes, exchange_mw=ZERO,
                exchange_mvar=ZERO, trade_mw=ZERO, held=p.held, held_mw=ZERO, held_mvar=ZERO,
            )  # fmt: skip
            p.cast(vote, now)
            self.no_votes += not yes
        self._reply(agent, now)

    def _wake(self, now: float, agent: str) -> None:
        self.participants[agent].restart()

    def _to_coordinator(self, now: float, message: Message) -> None:
        c = self.coordinator
        if isinstance(message, Vote) and message.yes:
            self.yes.setdefault(message.version, set()).add(message.sender)
        before = c.decision
        c.receive(message, now)
        version = c.decision
        if version is not None and version != before:
            self.counts["committed"] += 1
            if not set(self.prepared[version]) <= self.yes.get(version, set()):
                raise ViolationError(f"{version} is committed without every vote")
            if not now < _gate(version.interval):
                raise ViolationError(f"{version} is committed after its gate")
            for agent in self.agents:
                self._held(agent)
        elif version is None and before is not None:
            raise ViolationError(f"{before} is no longer committed")
        self._held(message.sender)
        self._flush(now)

    # promises

    def _held(self, agent: str) -> None:
        """What is held was allowed by the last check that passed, and is believed possible."""
        held = self.participants[agent].held
        if held not in self.allowed[agent]:
            raise ViolationError(f"{agent} holds {held}: not in a mixture that was checked")
        if all(h.version != held for h in self.coordinator.possible[agent]):
            raise ViolationError(f"{agent} holds {held}: believed impossible")
        mixture = tuple(p.held for p in self.participants.values())
        if not self.safe.get(mixture, False):
            raise ViolationError(f"an unsafe mixture is held: {mixture}")

    def _close(self, now: float, interval: int) -> None:
        record = self.coordinator.close(now)
        self.counts["in doubt"] += len(record.in_doubt)
        self.counts["settled"] += len(record.settled)
        self.counts["intervals"] += 1
        self.counts[record.reason.split()[0] if record.reason else "done"] += 1
        for agent, p in self.participants.items():
            self._held(agent)
            if self.faults.down(agent, now):
                continue
            mine = p.close(interval)
            self.counts["agents in doubt"] += mine.in_doubt
            self.counts["doubts settled by agents"] += len(mine.settled)
        if self.perfect:
            asked = interval in self.expected
            yes = asked and not self.no_votes and not self.counts["unsafe"]
            if yes and (record.committed is None or record.confirmed != tuple(self.agents)):
                raise ViolationError(f"interval {interval} is not committed: {record.reason}")
            if record.in_doubt or any(p.pending for p in self.participants.values()):
                raise ViolationError(f"a doubt on a perfect network in interval {interval}")
            self.counts["expected"] += yes
            self.no_votes = self.counts["unsafe"] = 0

    def _finished(self) -> None:
        """After a perfect window every doubt is settled and all agree on what is held."""
        possible = self.coordinator.possible
        for agent, p in self.participants.items():
            if p.pending is not None:
                raise ViolationError(f"{agent} is still in doubt about {p.pending}")
            if [h.version for h in possible[agent]] != [p.held]:
                raise ViolationError(f"{agent} holds {p.held}: the coordinator is not sure")
            self.counts.update(p.dropped)
        if self.coordinator.in_doubt:
            raise ViolationError(f"in doubt after a perfect window: {self.coordinator.in_doubt}")
        self.counts.update(self.coordinator.dropped)


@pytest.mark.parametrize(
    "block",
    [0, *(pytest.param(block, marks=pytest.mark.slow) for block in range(1, BLOCKS))],
)
def test_ten_thousand_random_fault_schedules_break_no_promise(block: int):
    counts: Counter[str] = Counter()
    schedules = SCHEDULES // BLOCKS
    for seed in range(block * schedules, (block + 1) * schedules):
        counts.update(Simulation(seed).run())
    # the schedules really visit what they are for (about half of what was seen)
    for what, least in {
        "committed": 2500,
        "adopted": 6000,
        "adopted late": 350,
        "in doubt": 900,
        "settled": 800,
        "agents in doubt": 5000,
        "doubts settled by agents": 5000,
        "unsafe": 700,
        "mixture": 150,
        "no": 2000,
        "too": 500,
        "repeated vote": 7000,
        "repeated prepare": 12000,
        "repeated commit": 2000,
        "repeated acknowledgement": 7000,
        "commit of an older version": 120,
        "vote of another attempt": 5000,
        "vote after the gate": 900,
        "prepare after the gate": 4000,
        "prepare of an older attempt": 900,
    }.items():
        assert counts[what] >= least, (what, counts[what])


def test_on_a_perfect_network_every_safe_yes_commits_and_no_doubt_is_left():
    counts: Counter[str] = Counter()
    for seed in range(1000):
        counts.update(Simulation(seed, perfect=True).run())
    assert counts["expected"] > 1500
    assert counts["committed"] >= counts["expected"]
    assert counts["in doubt"] == counts["agents in doubt"] == counts["settled"] == 0
    assert counts["adopted late"] == 0


class CommitsWithoutOneVote(CommitCoordinator):
    def _complete(self, attempt):
        return len(attempt.missing()) <= 1


class CommitsTwice(CommitCoordinator):
    def prepare(self, members, terms, now):
        self.decision = None
        return super().prepare(members, terms, now)


class IgnoresUnsafeMixtures(CommitCoordinator):
    def __init__(self, name, enrolled, clear, check, *rest):
        def ignore(possible):
            check(possible)
            return ""

        super().__init__(name, enrolled, clear, ignore, *rest)


class ForgetsThatACommitMayBeLost(CommitCoordinator):
    def _decide(self, attempt, now):
        super()._decide(attempt, now)
        if self.decision == attempt.version:
            for agent in attempt.members:
                self.holdings.know_version(agent, attempt.version)


class ForgetsAnOlderDoubt(CommitCoordinator):
    def begin(self, interval, gate_s, now):
        for agent in self.in_doubt:
            self.holdings.know_version(agent, self.holdings.versions(agent)[0])
        super().begin(interval, gate_s, now)


class NeverRepeatsACommit(CommitCoordinator):
    def outgoing(self, now):
        messages = super().outgoing(now)
        return [m for m in messages if not isinstance(m, Commit) or m.interval == self.interval]


class AdoptsAfterANewerVote(CommitParticipant):
    def _adopts(self, version):
        if self.held is not None and self.held >= version:
            return False
        self.pending = version
        return True


class AdoptsWithoutACommit(CommitParticipant):
    def cast(self, vote, now):
        voted = super().cast(vote, now)
        if voted and vote.yes:
            self.held = self.pending
        return voted


class ForgetsPresumedAbort(CommitParticipant):
    def _settle(self, committed, sent, now):
        pass


@pytest.mark.parametrize(
    ("mutant", "text"),
    [
        (CommitsWithoutOneVote, "without every vote"),
        (CommitsTwice, "two versions"),
        (IgnoresUnsafeMixtures, "mixture"),
        (ForgetsThatACommitMayBeLost, "believed impossible"),
        (ForgetsAnOlderDoubt, "believed impossible|not in a mixture"),
        (NeverRepeatsACommit, "not sure|in doubt"),
        (AdoptsAfterANewerVote, "believed impossible|not in a mixture|unsafe"),
        (AdoptsWithoutACommit, "not in a mixture|believed impossible"),
        (ForgetsPresumedAbort, "still in doubt"),
    ],
    ids=lambda part: part.__name__ if isinstance(part, type) else "",
)
def test_a_broken_protocol_is_found_out(mutant: type, text: str):
    role = "coordinator" if issubclass(mutant, CommitCoordinator) else "participant"

    def schedules() -> None:
        for seed in range(1000):
            Simulation(seed, **{role: mutant}).run()

    with pytest.raises(ViolationError, match=text):
        schedules()
