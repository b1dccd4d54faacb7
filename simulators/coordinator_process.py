"""The coordinator of a negotiation as a SimPy process: rounds, then the two-phase commit."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from stackelgrid.controllers.agents.fallback import shifted
from stackelgrid.controllers.agents.messages import (
    Message,
    MessageError,
    Profile,
    Response,
    Vote,
    check_range,
)
from stackelgrid.controllers.agents.two_phase_commit import (
    CommitCoordinator,
    CommitRecord,
    Holding,
    RetryPolicy,
)
from stackelgrid.controllers.coordination.coordinator import Answer, Coordinator, PublicTerms
from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.agent_process import Mailbox, Process

Check = Callable[[Mapping[str, tuple[Holding, ...]]], str]

# waits as shares of the gate: before anything is known of the network, at least, and at most
_FIRST_WAIT, _SHORTEST_WAIT, _LONGEST_WAIT = 0.02, 1e-4, 0.25
# a wait is this many times the one before when a Prepare, Commit or Abort is repeated
_WAIT_GROWTH = 1.2
# who has not answered after so many waits is left out
_PATIENCE = 8.0
# round trips that the two-phase commit is given: vote, commit and acknowledgement, one repetition
_COMMIT_TRIPS = 3.0


@dataclass(frozen=True)
class Opening:
    """What a coordinator needs to open an interval; its gate closes at `gate_s`."""

    interval: int
    gate_s: float
    public: Mapping[str, PublicTerms]
    parameters: Floats | None


@dataclass
class RoundTrip:
    """Seconds from a question to its answer, computing included (Jacobson and Karels 1988)."""

    mean_s: float = 0.0
    deviation_s: float = 0.0
    known: bool = False

    def seen(self, seconds: float) -> None:
        """Take a round trip of a question that was asked once."""
        if not self.known:
            self.mean_s, self.deviation_s, self.known = seconds, seconds / 2.0, True
            return
        self.deviation_s += 0.25 * (abs(seconds - self.mean_s) - self.deviation_s)
        self.mean_s += 0.125 * (seconds - self.mean_s)

    @property
    def wait_s(self) -> float:
        """Seconds after which an answer is probably lost."""
        return self.mean_s + 4.0 * self.deviation_s


class CoordinatorProcess:
    """Runs a `Coordinator` and its commits; knows what is public and what it is told.

    `limits_mw` are the largest powers that the agents are enrolled with; `check` tells why a
    mixture of possible schedules is unsafe ("" if all are safe).
    """

    def __init__(
        self,
        environment: simpy.Environment,
        coordinator: Coordinator,
        mailbox: Mailbox,
        enrolled: Mapping[str, Holding],
        limits_mw: Mapping[str, float],
        check: Check,
        gate_length_s: float,
        interval: int,
    ) -> None:
        self.coordinator, self.mailbox = coordinator, mailbox
        self.ignored: Counter[str] = Counter()
        self.agreed_s = float("nan")
        self.reason = ""
        self.silent: set[str] = set()
        self._environment, self._limits = environment, dict(limits_mw)
        self._gate_length, self._gate_s = gate_length_s, -np.inf
        self._trip = RoundTrip()
        self._prepared_at_once = False
        self._answers: dict[str, Answer] = {}
        self._asked_round = -1
        self._last_answer_s = 0.0
        self._opened: simpy.Event = environment.event()
        self.commit = CommitCoordinator(
            mailbox.name,
            enrolled,
            self._clear,
            check,
            self._shifted,
            self._retry(),
            interval,
        )
        environment.process(self._run())

    def open(self, opening: Opening) -> None:
        """Begin the negotiation of an interval, now."""
        self._opened.succeed(opening)

    def close(self) -> CommitRecord:
        """Close the gate."""
        return self.commit.close(self._environment.now)

    @property
    def in_time(self) -> bool:
        """Whether another round and a commit after it fit before the gate."""
        trips = 1.0 + _COMMIT_TRIPS
        return self._environment.now + trips * self._trip.mean_s < self._gate_s

    # ------------------------------------------------------------------ an interval

    def _run(self) -> Process:
        while True:
            get = self._inbox.get()
            opened = self._opened
            yield get | opened
            if get.triggered:
                self._take(get.value)
                self._flush()
            else:
                get.cancel()
            if opened.triggered:
                self._opened = self._environment.event()
                yield from self._negotiate(opened.value)

    def _negotiate(self, opening: Any) -> Process:
        assert isinstance(opening, Opening)
        self._gate_s = opening.gate_s
        self.agreed_s, self.silent, self.reason = float("nan"), set(), ""
        opened_s = self._environment.now
        self.commit.begin(opening.interval, opening.gate_s, opened_s)
        held = {
            name: np.array(holdings[-1].p_mw) for name, holdings in self.commit.possible.items()
        }
        self.coordinator.begin(opening.interval, opening.public, held, opening.parameters)
        self._flush()
        coordinator = self.coordinator
        while not coordinator.done and self._active and self.in_time:
            yield from self._round()
        # too slow for rounds: the terms of the interval before may still lead to agreement
        self._prepared_at_once = not coordinator.rounds and coordinator.warm
        if not self._active:
            self.reason = "nobody answers"
        elif coordinator.agreed or self._prepared_at_once:
            yield from self._settle(opened_s)
        else:
            self.reason = "not converged in time" if coordinator.rounds else "no time for a round"
        # repeat what is not acknowledged, up to the gate
        yield from self._exchange(self._gate_s, lambda: self.commit.next_due() is None)

    def _settle(self, opened_s: float) -> Process:
        """Two-phase commit, without those who do not vote if there is time to ask again."""
        while self._active:
            terms = {name: self.coordinator.terms(name) for name in self._active}
            self.commit.pace(self._retry())
            if not self.commit.prepare(self._active, terms, self._environment.now):
                return
            until = self._environment.now + _PATIENCE * self._wait_s
            yield from self._exchange(until, lambda: not self.commit.missing)
            missing = self.commit.missing
            if self.commit.decision is not None:
                self.agreed_s = self._environment.now - opened_s
                return
            if not missing:  # voted down, not cleared or unsafe
                return
            self.silent |= set(missing)

    def _round(self) -> Process:
        """Ask all active agents, take what they answer; who stays silent is left out."""
        asked = {name: self.coordinator.terms(name) for name in self._active}
        self._answers, self._asked_round = {}, len(self.coordinator.rounds)
        began, wait = self._environment.now, self._wait_s
        for attempt in range(int(_PATIENCE)):
            for name in asked:
                if name not in self._answers:
                    self.mailbox.send(self.commit.offer(name, asked[name]))
            yield from self._exchange(
                self._environment.now + wait, lambda: len(self._answers) == len(asked)
            )
            if self._answers and not attempt:  # a later answer may be to any of the repetitions
                self._trip.seen(self._last_answer_s - began)
            if len(self._answers) == len(asked) or self._environment.now >= self._gate_s:
                break
        self.silent |= set(asked) - set(self._answers)
        if self._answers:
            names = [n for n in self.coordinator.names if n in self._answers]
            self.coordinator.receive({n: self._answers[n] for n in names})

    def _exchange(self, until: float, done: Callable[[], bool]) -> Process:
        """Read and send until something is done or a time is reached, at most the gate."""
        end = min(until, self._gate_s)
        self._flush()
        while not done() and self._environment.now < end:
            due = self.commit.next_due()
            wake = end if due is None else min(end, max(due, self._environment.now))
            get = self._inbox.get()
            yield get | self._environment.timeout(wake - self._environment.now)
            if get.triggered:
                self._take(get.value)
            else:
                get.cancel()
            self._flush()

    # ------------------------------------------------------------------ messages

    @property
    def _inbox(self) -> simpy.Store:
        return self.mailbox.network.inbox(self.mailbox.name)

    @property
    def _active(self) -> tuple[str, ...]:
        return tuple(n for n in self.coordinator.names if n not in self.silent)

    @property
    def _wait_s(self) -> float:
        """How long an answer may take."""
        wait = self._trip.wait_s if self._trip.known else _FIRST_WAIT * self._gate_length
        shortest, longest = _SHORTEST_WAIT * self._gate_length, _LONGEST_WAIT * self._gate_length
        return min(max(wait, shortest), longest)

    def _retry(self) -> RetryPolicy:
        return RetryPolicy(self._wait_s, _WAIT_GROWTH, _LONGEST_WAIT * self._gate_length)

    def _take(self, payload: Any) -> None:
        message = self.mailbox.read(payload)
        if message is None:
            return
        try:
            check_range(message, self._limits[message.sender])
        except MessageError as error:
            self.mailbox.refused[str(error)] += 1
            return
        if isinstance(message, Response):
            self._on_response(message)
        else:
            self.commit.receive(message, self._environment.now)

    def _on_response(self, response: Response) -> None:
        stale = (
            response.interval != self.commit.interval
            or response.round != self._asked_round
            or response.sender in self._answers
            or response.sender in self.silent
        )
        if stale:
            self.ignored["response of another round"] += 1
            return
        self._last_answer_s = self._environment.now
        self._answers[response.sender] = Answer(
            np.array(response.exchange_mw), np.array(response.trade_mw)
        )

    def _flush(self) -> None:
        for message in self.commit.outgoing(self._environment.now):
            self._send(message)

    def _send(self, message: Message) -> None:
        self.mailbox.send(message)

    def _clear(self, votes: Mapping[str, Vote]) -> Mapping[str, Profile] | str:
        """Cleared trade of the voters, or why there is none."""
        offered = {name: np.array(vote.trade_mw) for name, vote in votes.items()}
        if self._prepared_at_once:
            self.coordinator.receive({
                name: Answer(np.array(votes[name].exchange_mw), offered[name])
                for name in self.coordinator.names if name in votes
            })  # fmt: skip
            if not self.coordinator.agreed:
                return "not converged"
        cleared = self.coordinator.clear(offered)
        return {name: tuple(trade.tolist()) for name, trade in cleared.items()}

    def _shifted(self, profile: Profile, intervals: int) -> Profile:
        values = np.array(profile)[None, :]
        return tuple(shifted(values, self.coordinator.horizon, intervals)[0].tolist())
