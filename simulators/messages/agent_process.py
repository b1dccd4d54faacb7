"""Agent of a negotiation as a SimPy process: it reads messages, computes and answers."""

from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future, wait
from typing import Any

import numpy as np
import simpy

from stackelgrid.controllers.negotiation.agent import BindingSchedule, NegotiatingAgent
from stackelgrid.controllers.negotiation.commit.messages import (
    Commit,
    Message,
    Offer,
    Prepare,
    Response,
    Terms,
    Version,
    Vote,
)
from stackelgrid.controllers.negotiation.commit.participant import CommitParticipant
from stackelgrid.controllers.negotiation.coordinator import Answer
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.simulators.messages.mailbox import Mailbox

Process = Generator[simpy.Event, Any, None]


class AgentProcess(Carrying):
    """Runs one `NegotiatingAgent`; exchanges nothing but messages with other processes.

    environment: clock of the network.
    agent: computes the answers.
    mailbox: to and from the coordinator.
    coordinator: its name.
    gate_of: time in s at which the gate of an interval closes.
    compute_s: seconds of the clock that an answer takes.
    pool: computes answers on threads.

    Exceptions of the agent are kept in `failures`: it then does not answer an offer, and votes no
    on a `Prepare`. In a saved state nothing is computing.
    """

    carried = (
        "failures", "interval", "participant", "mailbox", "_answered", "voted",
        "_batch", "_newest",
    )  # fmt: skip

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
        self.agent, self.mailbox = agent, mailbox
        self.participant = CommitParticipant(agent.name, coordinator, gate_of)
        self.failures: list[str] = []
        self.interval = -1
        self._environment, self._gate_of = environment, gate_of
        self.compute_s, self._pool = compute_s, pool
        self._answered: Response | None = None
        self.voted: dict[Version, BindingSchedule] = {}
        self._working: Future[Any] | None = None
        # messages read together, oldest first, and the newest terms among them
        self._batch: list[Message] = []
        self._newest: tuple[int, int, int] | None = None
        self._process = environment.process(self._run())

    def begin(self, interval: int) -> None:
        """Begin an interval, once the agent has its data."""
        self.interval, self._answered = interval, None

    def settled(self, counted_mw: Floats) -> BindingSchedule | None:
        """Return the held schedule with its trade if it begins now; None if it is an older one.

        Counted trade (steps,) in MW is limited to the trade that the `Commit` has cleared.
        """
        version = self.participant.held
        if version is None or version.interval != self.interval or version not in self.voted:
            return None
        cleared = np.array(self.participant.trade_mw)
        trade = np.where(np.abs(counted_mw) <= np.abs(cleared), counted_mw, cleared)
        return self.agent.settle(self.voted[version], trade)

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
        numbers = [_number(m) for m in messages if isinstance(m, Offer | Prepare)]
        if self._newest is not None:
            numbers.append(self._newest)
        self._newest = max(numbers, default=None)

    def _read(self, message: Message) -> Process:
        newest = self._newest
        if isinstance(message, Offer) and newest is not None and _number(message) < newest:
            self.participant.dropped["offer overtaken by another"] += 1
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
        last = self._answered  # of this interval
        if last is not None and (last.interval, last.round) == (offer.interval, offer.round):
            self.mailbox.send(last)  # a repeated offer: the answer was lost
            return
        if offer.interval != self.interval or (last is not None and last.round > offer.round):
            self.participant.dropped["offer of another round"] += 1
            return
        if self._gate_of(offer.interval) <= self._environment.now:
            self.participant.dropped["offer after the gate"] += 1
            return
        answer: Answer | None = yield from self._computed(self.agent.respond, offer.terms)
        if answer is None or self._gate_of(offer.interval) <= self._environment.now:
            return
        self._answered = Response(
            **offer.answer_header,
            exchange_mw=_profile(answer.exchange_mw),
            trade_mw=_profile(answer.trade_mw),
        )
        self.mailbox.send(self._answered)

    def _on_prepare(self, prepare: Prepare) -> Process:
        if prepare.interval != self.interval:
            self.participant.dropped["prepare of another interval"] += 1
            return
        found: BindingSchedule | None = yield from self._computed(self.agent.bind, prepare.terms)
        cast = False
        while not cast and self.participant.wanted is prepare:
            cast = self.participant.cast(self._vote(prepare, found), self._environment.now)
        if cast and found is not None:
            held = self.participant.held
            kept = {version: s for version, s in self.voted.items() if version == held}
            self.voted = {prepare.version: found, **kept}

    def _on_commit(self, commit: Commit, now: float) -> None:
        """Adopt a version; one whose gate has passed is held from now on."""
        if now < self._gate_of(commit.version.interval):
            return
        schedule = self.voted.get(commit.version)
        if schedule is not None:
            self.agent.agent.adopt(schedule.plan)

    def _vote(self, prepare: Prepare, found: BindingSchedule | None) -> Vote:
        """Return the agent's vote, with the schedule that it keeps without a commit."""
        held = self.agent.boundary(self.agent.held(""))
        new = held if found is None else found.exchange
        return Vote(
            **prepare.answer_header,
            yes=found is not None,
            exchange_mw=_profile(new.p_mw),
            exchange_mvar=_profile(new.q_mvar),
            trade_mw=_profile(np.zeros(self.agent.steps) if found is None else found.trade_mw),
            held=self.participant.held,
            held_mw=_profile(held.p_mw),
            held_mvar=_profile(held.q_mvar),
        )

    def _computed(
        self, task: Callable[[Terms], Any], terms: Terms
    ) -> Generator[simpy.Event, Any, Any]:
        """Compute on a thread while simulated time passes, so that agents work in parallel.

        Returns the result of the task, None if it raises.
        """
        self._working = future = self._pool.submit(task, terms)
        yield self._environment.timeout(self.compute_s)
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


def _profile(values: Floats) -> tuple[float, ...]:
    return tuple(np.asarray(values, dtype=float).tolist())
