"""Agent of a negotiation as a SimPy process: it reads messages, computes and answers."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor, Future, wait
from typing import Any

import numpy as np
import simpy

from stackelgrid.controllers.negotiation.commit.messages import (
    Commit,
    Message,
    Offer,
    Prepare,
    Response,
    Version,
)
from stackelgrid.controllers.negotiation.commit.two_phase_commit import Answer as VoteData
from stackelgrid.controllers.negotiation.commit.two_phase_commit import CommitParticipant, Terms
from stackelgrid.controllers.negotiation.coordinator_terms import Answer
from stackelgrid.controllers.negotiation.negotiating_agent import Bound, NegotiatingAgent
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.simulators.messages.mailbox import Mailbox

Process = Generator[simpy.Event, Any, None]

_TERMS = (Offer, Prepare)


class AgentProcess(Carrying):
    """Runs one `NegotiatingAgent`; exchanges nothing but messages with other processes.

    An answer takes `compute_s` seconds of the network's clock. Exceptions of the agent are kept in
    `failures`: the agent then does not answer an offer, and votes no on a `Prepare`.
    """

    carried = ("failures", "ignored", "interval", "_answered", "_voted", "_batch", "_newest")

    def __init__(
        self,
        environment: simpy.Environment,
        agent: NegotiatingAgent,
        mailbox: Mailbox,
        coordinator: str,
        gate_of: Callable[[int], float],
        compute_s: float,
        pool: Executor,
    ) -> None:
        self.agent, self.mailbox, self.coordinator = agent, mailbox, coordinator
        self.participant = CommitParticipant(agent.name, coordinator, gate_of)
        self.failures: list[str] = []
        self.ignored: Counter[str] = Counter()
        self.interval = -1
        self._environment, self._gate_of = environment, gate_of
        self._compute_s, self._pool = compute_s, pool
        self._answered: tuple[tuple[int, int], Response] | None = None
        self._voted: dict[Version, Bound] = {}
        self._working: Future[Any] | None = None
        # messages read together, oldest first, and the newest terms among them
        self._batch: list[Message] = []
        self._newest: tuple[int, int, int] | None = None
        self._process = environment.process(self._run())

    def state(self) -> dict[str, Any]:
        """Return the held schedules and the messages not read or sent; nothing is computing."""
        return {
            **super().state(),
            "participant": self.participant.state(),
            "mailbox": self.mailbox.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state before the environment runs."""
        super().restore(state)
        self.participant.restore(state["participant"])
        self.mailbox.restore(state["mailbox"])

    def begin(self, interval: int) -> None:
        """Begin an interval, once the agent has its data."""
        self.interval, self._answered = interval, None

    def new(self, version: Version | None) -> Bound | None:
        """Return the agent's schedule of a version that begins now; None for any other version."""
        if version is None or version.interval != self.interval:
            return None
        return self._voted.get(version)

    def settled(self, counted_mw: Floats) -> Floats:
        """Limit counted trade (steps,) of the held schedule to the trade that `Commit` cleared."""
        cleared = np.array(self.participant.trade_mw)
        return np.where(np.abs(counted_mw) <= np.abs(cleared), counted_mw, cleared)

    def rest(self) -> None:
        """Stop computing at a gate, after which an answer would be late.

        Afterwards no thread uses the agent, and unread messages are part of its state.
        """
        if self._working is None:
            return
        wait((self._working,))
        error = self._working.exception()
        if isinstance(error, Exception):
            self._failed(error)
        self._working = None
        del self._batch[0]
        self._take(self.mailbox.waiting())
        self._process.interrupt()

    def _run(self) -> Process:
        while True:
            self._send()  # messages left unsent when a gate closed
            if not self._batch:
                self._newest = None
                first = yield self.mailbox.get()
                self._take([first, *self.mailbox.waiting()])
            while self._batch:
                message = self._batch[0]
                try:
                    yield from self._read(message)
                except simpy.Interrupt:  # computing was stopped: the message is removed
                    self._send()
                    continue
                del self._batch[0]

    def _take(self, arrivals: list[Any]) -> None:
        """Append the messages of arrivals to the batch."""
        messages = [m for m in map(self.mailbox.read, arrivals) if m is not None]
        self._batch += messages
        numbers = [_number(m) for m in messages if isinstance(m, _TERMS)]
        if self._newest is not None:
            numbers.append(self._newest)
        self._newest = max(numbers, default=None)

    def _read(self, message: Message) -> Process:
        newest = self._newest
        if isinstance(message, Offer) and newest is not None and _number(message) < newest:
            self.ignored["offer overtaken by another"] += 1
            return
        try:
            yield from self._handle(message)
        except simpy.Interrupt:
            raise
        except Exception as error:  # an error of one agent must not stop the others
            self._failed(error)

    def _handle(self, message: Message) -> Process:
        now = self._environment.now
        wanted = self.participant.receive(message, now)
        if isinstance(message, Offer):
            yield from self._on_offer(message)
        elif isinstance(wanted, Prepare):
            yield from self._on_prepare(wanted)
        elif isinstance(wanted, Commit):
            self._on_commit(wanted, now)
        self._send()

    def _send(self) -> None:
        for answer in self.participant.outgoing():
            self.mailbox.send(answer)

    def _on_offer(self, offer: Offer) -> Process:
        number = (offer.interval, offer.round)
        if self._answered is not None and self._answered[0] == number:
            self.mailbox.send(self._answered[1])  # a repeated offer: the answer was lost
            return
        if offer.interval != self.interval or (self._answered and self._answered[0] > number):
            self.ignored["offer of another round"] += 1
            return
        if self._gate_of(offer.interval) <= self._environment.now:
            self.ignored["offer after the gate"] += 1
            return
        answer: Answer | None = yield from self._computed(self.agent.respond, _terms(offer))
        if answer is None or self._gate_of(offer.interval) <= self._environment.now:
            return
        response = Response(
            sender=self.agent.name,
            recipient=self.coordinator,
            interval=offer.interval,
            attempt=offer.attempt,
            round=offer.round,
            exchange_mw=_profile(answer.exchange_mw),
            trade_mw=_profile(answer.trade_mw),
        )
        self._answered = (number, response)
        self.mailbox.send(response)

    def _on_prepare(self, prepare: Prepare) -> Process:
        if prepare.interval != self.interval:
            self.ignored["prepare of another interval"] += 1
            return
        bound: Bound | None = yield from self._computed(self.agent.bind, _terms(prepare))
        cast = False
        while not cast and self.participant.wanted is prepare:
            cast = self.participant.answer(self._vote(bound), self._environment.now)
        if cast and bound is not None:
            self._voted = {prepare.version: bound, **self._still_wanted()}

    def _on_commit(self, commit: Commit, now: float) -> None:
        """Adopt a version; one whose gate has passed is held from now on."""
        if now < self._gate_of(commit.version.interval):
            return
        bound = self._voted.get(commit.version)
        if bound is not None:
            self.agent.agent.adopt(bound.plan)

    def _still_wanted(self) -> dict[Version, Bound]:
        held = self.participant.held
        return {held: self._voted[held]} if held is not None and held in self._voted else {}

    def _vote(self, bound: Bound | None) -> VoteData:
        """Return the agent's vote, with the schedule that it keeps without a commit."""
        held = self.agent.boundary(self.agent.held(""))
        held_mw, held_mvar = _profile(held.p_mw), _profile(held.q_mvar)
        version = self.participant.held
        if bound is None:
            nothing = (0.0,) * len(held_mw)
            return VoteData(False, held_mw, held_mvar, nothing, version, held_mw, held_mvar)
        return VoteData(
            True,
            _profile(bound.exchange_mw),
            _profile(bound.exchange_mvar),
            _profile(bound.trade_mw),
            version,
            held_mw,
            held_mvar,
        )

    def _computed(
        self, task: Callable[[Terms], Any], terms: Terms
    ) -> Generator[simpy.Event, Any, Any]:
        """Compute on a thread while simulated time passes, so that agents work in parallel.

        Returns the result of the task, None if it raises.
        """
        self._working = future = self._pool.submit(task, terms)
        yield self._environment.timeout(self._compute_s)
        self._working = None
        try:
            return future.result()
        except Exception as error:  # counts as no result
            self._failed(error)
            return None

    def _failed(self, error: Exception) -> None:
        self.failures.append(f"{self.agent.name}: {type(error).__name__}: {error}")


def _number(message: Offer | Prepare) -> tuple[int, int, int]:
    return message.interval, message.attempt, message.round


def _terms(message: Offer | Prepare) -> Terms:
    return Terms(
        message.round,
        message.fixed,
        message.trade_price,
        message.trade_target,
        message.trade_penalty,
        message.exchange_price,
        message.exchange_target,
        message.exchange_penalty,
    )


def _profile(values: Floats) -> tuple[float, ...]:
    return tuple(np.asarray(values, dtype=float).tolist())
