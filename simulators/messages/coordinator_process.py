"""Coordinator of a negotiation as a SimPy process: rounds, then the two-phase commit."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from stackelgrid.controllers.fallback import shifted
from stackelgrid.controllers.negotiation.commit.messages import (
    MessageError,
    PowerLimits,
    Profile,
    Response,
    Vote,
    check_range,
)
from stackelgrid.controllers.negotiation.commit.possible_holdings import newest
from stackelgrid.controllers.negotiation.commit.two_phase_commit import (
    CommitCoordinator,
    CommitRecord,
    Holding,
    RetryPolicy,
)
from stackelgrid.controllers.negotiation.coordinator import Coordinator
from stackelgrid.controllers.negotiation.coordinator_terms import Answer, PublicTerms
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Carrying, Stateful
from stackelgrid.simulators.messages.agent_process import Process
from stackelgrid.simulators.messages.mailbox import Mailbox
from stackelgrid.simulators.messages.round_trip import Patience

Check = Callable[[Mapping[str, tuple[Holding, ...]], Mapping[str, Holding]], str]

# growth of the waiting time each time that a Prepare, Commit or Abort is repeated
_WAIT_GROWTH = 1.2
# missed rounds of an interval after which the coordinator no longer waits for an agent in it
_CHANCES = 2
_NOBODY = "nobody answers"


@dataclass(frozen=True)
class Opening:
    """Data that a coordinator needs to open an interval; its gate closes at `gate_s`.

    `own_parameters` are the follower's, without any exchange of the agents.
    """

    interval: int
    gate_s: float
    public: Mapping[str, PublicTerms]
    own_parameters: Floats | None


class CoordinatorProcess(Carrying):
    """Runs a `Coordinator` and its commits, using public and received data only.

    `limits` are the power limits of enrolled agents; `check` returns why a mixture of possible
    schedules is unsafe ("" if all are safe), from these and the schedules that the agents were
    assumed to hold when the interval was opened.
    """

    carried = (
        "ignored", "agreed_s", "reason", "_gate_s", "_prepared_at_once", "_answers", "_asked",
        "_asked_round", "_heard", "_absent", "_missed", "_declined", "_members",
    )  # fmt: skip

    def __init__(
        self,
        environment: simpy.Environment,
        coordinator: Coordinator,
        mailbox: Mailbox,
        enrolled: Mapping[str, Holding],
        limits: Mapping[str, PowerLimits],
        check: Check,
        gate_length_s: float,
        interval: int,
    ) -> None:
        self.coordinator, self.mailbox = coordinator, mailbox
        self.ignored: Counter[str] = Counter()
        self.agreed_s = float("nan")
        self.reason = ""
        self._environment, self._limits = environment, dict(limits)
        self._patience = Patience(gate_length_s)
        self._gate_s = -np.inf
        self._prepared_at_once = False
        self._answers: dict[str, Answer] = {}
        self._asked: dict[str, list[float]] = {}  # times of the offers of this round
        self._asked_round = -1
        self._heard: Counter[str] = Counter()  # answers to this round and late ones
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
            lambda possible: check(possible, self._before),
            self._shifted,
            self._retry(),
            interval,
        )
        self._negotiating = False
        self._process = environment.process(self._run())

    def state(self) -> dict[str, Any]:
        """Return the state between two negotiations."""
        return {**super().state(), "parts": [part.state() for part in self._parts]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state before the environment runs."""
        super().restore(state)
        for part, carried in zip(self._parts, state["parts"], strict=True):
            part.restore(carried)

    @property
    def _parts(self) -> tuple[Stateful, ...]:
        return self._patience, self.commit, self.coordinator, self.mailbox

    def open(self, opening: Opening) -> None:
        """Begin the negotiation of an interval, now."""
        self._opened.succeed(opening)

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
                self._opened = self._environment.event()
                self._negotiating = True
                with suppress(simpy.Interrupt):  # the gate has closed
                    yield from self._negotiate(opened.value)
                self._negotiating = False

    def _negotiate(self, opening: Any) -> Process:
        assert isinstance(opening, Opening)
        self._gate_s = opening.gate_s
        self.agreed_s, self.reason = float("nan"), _NOBODY
        self._members = ()
        self._missed.clear()
        self._declined.clear()
        opened_s = self._environment.now
        self.commit.begin(opening.interval, opening.gate_s, opened_s)
        self._before = newest(self.commit.possible)
        held = {name: holding.boundary for name, holding in self._before.items()}
        self.coordinator.begin(opening.interval, opening.public, held, opening.own_parameters)
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
        self._answers, self._asked_round = {}, len(self.coordinator.rounds)
        self._asked = {name: [] for name in terms}
        self._heard.clear()
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
            for name, times in self._asked.items():
                repeated = bool(times) and name not in self._present
                if name not in self._answers and not repeated:
                    self.mailbox.send(self.commit.offer(name, terms[name]))
                    times.append(now)
            yield from self._exchange(now + patience.wait_s, self._complete)
        if self._complete():
            self._patience.round.seen(self._environment.now - began)
        questions = sum(len(self._asked[name]) for name in self._answers)
        self._patience.counted(questions, sum(self._heard[name] for name in self._answers))
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
        try:
            check_range(message, self._limits[message.sender])
        except MessageError as error:
            self.mailbox.refused[str(error)] += 1
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
            self.ignored["response of another interval"] += 1
            return
        self._heard[name] += 1
        if response.round != self._asked_round or name in self._answers:
            self.ignored["response of another round"] += 1
            return
        if self.reason == _NOBODY:
            self.reason = "too few answers in time"
        self._patience.answered(tuple(self._asked[name]), self._environment.now)
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
        cleared = self.coordinator.clear(offered)
        return {name: tuple(trade.tolist()) for name, trade in cleared.items()}

    def _shifted(self, profile: Profile, intervals: int) -> Profile:
        values = np.array(profile)[None, :]
        return tuple(shifted(values, self.coordinator.horizon, intervals)[0].tolist())
