"""Coordinator of a negotiation as a SimPy process: rounds, then the two-phase commit."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import simpy

from stackelgrid.controllers.negotiation.commit.coordinator import CommitCoordinator, CommitRecord
from stackelgrid.controllers.negotiation.commit.messages import (
    Profile,
    Response,
    Vote,
)
from stackelgrid.controllers.negotiation.commit.retransmission import RetryPolicy
from stackelgrid.controllers.negotiation.commit.safety import Holding, SafetyCheck, newest
from stackelgrid.controllers.negotiation.contracts import clear
from stackelgrid.controllers.negotiation.coordinator import Answer, Coordinator, PublicTerms
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.simulators.messages.agent_process import Process
from stackelgrid.simulators.messages.mailbox import Mailbox
from stackelgrid.simulators.messages.round_trip import Patience

# growth of the waiting time each time that a Prepare, Commit or Abort is repeated
_WAIT_GROWTH = 1.2
# missed rounds of an interval after which the coordinator no longer waits for an agent in it
_CHANCES = 2
_NOBODY = "nobody answers"


class CoordinatorProcess(Carrying):
    """Runs a `Coordinator` and its commits, using public and received data only.

    environment: clock of the network.
    coordinator: computes the terms of the rounds.
    mailbox: to and from the agents.
    enrolled: holding of each agent before any commit, from `interval` on.
    safety: check of the schedules that agents may hold.
    gate_length_s: seconds for the negotiation of an interval.
    """

    carried = (
        "agreed_s", "reason", "_gate_s", "_prepared_at_once", "_answers", "_offered_at",
        "_round_number", "_responses", "_absent", "_missed", "_declined", "_members", "_patience",
        "commit", "coordinator", "mailbox",
    )  # fmt: skip

    def __init__(
        self,
        environment: simpy.Environment,
        coordinator: Coordinator,
        mailbox: Mailbox,
        enrolled: Mapping[str, Holding],
        safety: SafetyCheck,
        gate_length_s: float,
        interval: int,
    ) -> None:
        self.coordinator, self.mailbox = coordinator, mailbox
        self.agreed_s = float("nan")
        self.reason = ""
        self._environment = environment
        self._patience = Patience(gate_length_s)
        self._gate_s = -np.inf
        self._prepared_at_once = False
        self._answers: dict[str, Answer] = {}
        self._offered_at: dict[str, list[float]] = {}  # times of the offers of this round
        self._round_number = -1
        self._responses: Counter[str] = Counter()  # to this round, and late ones
        self._absent: set[str] = set()  # agents that get offers, but are not waited for
        self._missed: Counter[str] = Counter()  # rounds of this interval, by agent
        self._declined: set[str] = set()  # agents that vote no in this interval
        self._members: tuple[str, ...] = ()  # agents that get a Prepare
        self._before: dict[str, Holding] = {}  # assumed holdings when the interval was opened
        self._opened: simpy.Event = environment.event()
        self.commit = CommitCoordinator(
            mailbox.name,
            enrolled,
            self._clear,
            lambda possible: safety.reason(possible, self._before),
            coordinator.shifted,
            self._retry(),
            interval,
        )
        self._negotiating = False
        self._process = environment.process(self._run())

    def open(
        self,
        interval: int,
        gate_s: float,
        public: Mapping[str, PublicTerms],
        own_parameters: Floats | None,
    ) -> None:
        """Begin the negotiation of an interval, now.

        interval: the one that the horizon begins with.
        gate_s: time at which the gate closes.
        public: public data of each agent.
        own_parameters: the follower's, without any exchange of the agents.
        """
        self._opened.succeed((interval, gate_s, public, own_parameters))

    def close(self) -> CommitRecord:
        """Close the gate and end the negotiation."""
        if self._negotiating:
            self._process.interrupt()
        return self.commit.close(self._environment.now)

    @property
    def reported(self) -> dict[str, BoundaryProfile]:
        """Exchanges of one copy that the coordinator assumes, from the messages received so far."""
        return {name: held.boundary for name, held in newest(self.commit.possible).items()}

    @property
    def in_time(self) -> bool:
        """Return whether another round and a commit after it fit before the gate."""
        needed = self._patience.round_s + self._patience.commit_s
        return self._environment.now + needed < self._gate_s

    @property
    def silent(self) -> tuple[str, ...]:
        """Agents left out because they did not answer."""
        left = set(self._absent)
        if self._members:
            left |= set(self.coordinator.names) - set(self._members) - self._declined
        elif not self.coordinator.rounds:  # the gate closed during the first round
            left |= set(self.coordinator.names) - set(self._answers)
        return tuple(n for n in self.coordinator.names if n in left)

    # ------------------------------------------------------------------ an interval

    def _run(self) -> Process:
        while True:
            get = self.mailbox.get()
            opened = self._opened
            yield get | opened
            if get.triggered:
                self._take(get.value)
                self._flush()
            else:
                self.mailbox.cancel(get)
            if opened.triggered:
                self._opened, arguments = self._environment.event(), opened.value
                assert arguments is not None
                self._negotiating = True
                with suppress(simpy.Interrupt):  # the gate has closed
                    yield from self._negotiate(*arguments)
                self._negotiating = False

    def _negotiate(
        self,
        interval: int,
        gate_s: float,
        public: Mapping[str, PublicTerms],
        own_parameters: Floats | None,
    ) -> Process:
        self._gate_s = gate_s
        self.agreed_s, self.reason = float("nan"), _NOBODY
        self._members = ()
        self._missed.clear()
        self._declined.clear()
        opened_s = self._environment.now
        self.commit.begin(interval, gate_s, opened_s)
        self._before = newest(self.commit.possible)
        held = {name: holding.boundary for name, holding in self._before.items()}
        self.coordinator.begin(interval, public, held, own_parameters)
        self._flush()
        coordinator = self.coordinator
        if self._prepared_at_once:
            self._patience.relax()
        # try earlier terms that led to agreement, if there is no time for a round
        self._prepared_at_once = coordinator.warm and not self.in_time
        if not self._prepared_at_once:
            answered = True
            while answered and not coordinator.done and (self.in_time or not coordinator.rounds):
                answered = yield from self._round()
        if coordinator.done or coordinator.agreed or self._prepared_at_once:
            yield from self._settle(opened_s)
        # repeat what is not acknowledged, up to the gate
        yield from self._exchange(self._gate_s, lambda: self.commit.next_due() is None)

    def _settle(self, opened_s: float) -> Process:
        """Run the two-phase commit; repeat it without agents that did not vote yes, in time."""
        self.reason = ""
        while True:
            members = tuple(n for n in self._present if n not in self._declined)
            if not members:
                self.reason = "nobody is left to agree with"
                return
            self._members = members
            terms = {n: self.coordinator.terms(n, binding=True) for n in self.coordinator.names}
            self.commit.pace(self._retry())
            now = self._environment.now
            if not self.commit.prepare(members, terms, now):
                return
            for name in self._absent:  # an answer readmits the agent to later intervals
                self.mailbox.send(self.commit.offer(name, terms[name]))
            until = now + self._patience.patience_s
            again = self._gate_s - self._patience.another_attempt_s
            if again > now + self._patience.wait_s:
                until = min(until, again)
            declined = len(self._declined)
            yield from self._exchange(until, lambda: not self.commit.missing)
            if self.commit.decision is not None:
                self.agreed_s = self._environment.now - opened_s
                return
            missing = self.commit.missing
            if not missing and len(self._declined) == declined:  # not cleared or unsafe
                return
            self._absent |= set(missing)
            self._missed.update(missing)

    def _round(self) -> Generator[simpy.Event, Any, bool]:
        """Send offers to all agents and take answers; return whether another round may follow.

        Agents that stay silent get offers in later rounds, too, but are not waited for.
        """
        terms = {name: self.coordinator.terms(name) for name in self.coordinator.names}
        self._answers, self._round_number = {}, len(self.coordinator.rounds)
        self._offered_at = {name: [] for name in terms}
        self._responses.clear()
        began = self._environment.now
        while not self._complete():
            now, patience = self._environment.now, self._patience
            if now >= self._gate_s:
                return False
            if now >= began + patience.patience_s:
                missing = set(self._present) - set(self._answers)
                self._absent |= missing
                self._missed.update(missing)
                if self._answers:
                    break
                patience.unanswered()
                began = now
            if now > began and not patience.trip.known:
                patience.unanswered()
            for name, times in self._offered_at.items():
                repeated = bool(times) and name not in self._present
                if name not in self._answers and not repeated:
                    self.mailbox.send(self.commit.offer(name, terms[name]))
                    times.append(now)
            yield from self._exchange(now + patience.wait_s, self._complete)
        if self._complete():
            self._patience.round.seen(self._environment.now - began)
        questions = sum(len(self._offered_at[name]) for name in self._answers)
        self._patience.counted(questions, sum(self._responses[name] for name in self._answers))
        names = [n for n in self.coordinator.names if n in self._answers]
        self.coordinator.receive({n: self._answers[n] for n in names})
        self.reason = "not converged in time"
        return True

    def _complete(self) -> bool:
        return bool(self._answers) and self._answers.keys() >= set(self._present)

    def _exchange(self, until: float, done: Callable[[], bool]) -> Process:
        """Receive and send until `done`, a time, or the gate, whichever is first."""
        end = min(until, self._gate_s)
        self._flush()
        while not done() and self._environment.now < end:
            due = self.commit.next_due()
            wake = end if due is None else min(end, max(due, self._environment.now))
            get = self.mailbox.get(wake)
            try:
                arrival = yield get
            except simpy.Interrupt:
                self.mailbox.cancel(get)
                raise
            if arrival is not None:
                self._take(arrival)
            self._flush()

    # ------------------------------------------------------------------ messages

    @property
    def _present(self) -> tuple[str, ...]:
        """Agents that the coordinator waits for; all of them if none is left."""
        names = self.coordinator.names
        return tuple(n for n in names if n not in self._absent) or names

    def _retry(self) -> RetryPolicy:
        patience = self._patience
        return RetryPolicy(patience.wait_s, _WAIT_GROWTH, patience.longest_s)

    def _take(self, payload: Any) -> None:
        message = self.mailbox.read(payload)
        if message is None:
            return
        if self._missed[message.sender] < _CHANCES:  # any message makes the agent present again
            self._absent.discard(message.sender)
        if isinstance(message, Response):
            self._on_response(message)
            return
        current = message.interval == self.commit.interval
        if current and isinstance(message, Vote) and not message.yes:
            self._declined.add(message.sender)
        self.commit.receive(message, self._environment.now)

    def _on_response(self, response: Response) -> None:
        """Process an answer to the present round."""
        name = response.sender
        if response.interval != self.commit.interval:
            self.commit.dropped["response of another interval"] += 1
            return
        self._responses[name] += 1
        if response.round != self._round_number or name in self._answers:
            self.commit.dropped["response of another round"] += 1
            return
        if self.reason == _NOBODY:
            self.reason = "too few answers in time"
        self._patience.answered(tuple(self._offered_at[name]), self._environment.now)
        self._answers[name] = Answer(np.array(response.exchange_mw), np.array(response.trade_mw))

    def _flush(self) -> None:
        for message in self.commit.outgoing(self._environment.now):
            self.mailbox.send(message)

    def _clear(self, votes: Mapping[str, Vote]) -> Mapping[str, Profile] | str:
        """Return the cleared trade of the voters, or the reason why there is none."""
        offered = {name: np.array(vote.trade_mw) for name, vote in votes.items()}
        if self._prepared_at_once:
            self.coordinator.receive({
                name: Answer(np.array(votes[name].exchange_mw), offered[name])
                for name in self.coordinator.names if name in votes
            })  # fmt: skip
            if not self.coordinator.agreed:
                return "not converged"
        cleared = clear(offered, self.coordinator.multiplicity)
        return {name: tuple(trade.tolist()) for name, trade in cleared.items()}
