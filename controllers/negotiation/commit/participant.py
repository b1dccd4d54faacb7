"""An agent's side of the two-phase commit: one vote per attempt, adoption only after a commit."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from stackelgrid.controllers.negotiation.commit.messages import (
    Abort,
    Ack,
    Commit,
    Message,
    Offer,
    Prepare,
    Profile,
    Version,
    Vote,
)
from stackelgrid.profiles.stateful import Carrying

__all__ = ["Answer", "CommitParticipant", "ParticipantRecord"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of an agent to a `Prepare`; profiles (steps,) from its interval on, MW and MVAr.

    `held` is the version that `held_mw`, `held_mvar` (the schedule it keeps without a commit) were
    computed from. A no repeats them as the exchange.
    """

    yes: bool
    exchange_mw: Profile
    exchange_mvar: Profile
    trade_mw: Profile
    held: Version | None
    held_mw: Profile
    held_mvar: Profile


@dataclass(frozen=True, slots=True)
class ParticipantRecord:
    """Record of an agent's holding at a gate.

    `held`: the version that applies from the interval on (None: before any commit); `pending`: the
    version it voted for without a decision so far (in doubt), `settled`: versions in doubt at an
    earlier gate and decided since, with whether it adopted them.
    """

    interval: int
    held: Version | None
    pending: Version | None
    settled: tuple[tuple[Version, bool], ...]

    @property
    def in_doubt(self) -> bool:
        """Return whether a vote of this agent is without a decision."""
        return self.pending is not None


class CommitParticipant(Carrying):
    """State machine of one agent; time is an argument, nothing is sent but by `outgoing`.

    `gate_of(interval)`: time in s at which the gate of an interval closes; no vote from then on.
    `held`: the version held at the start, `trade_mw`: the cleared trade that it was committed with.
    State survives a crash (`restart`): what was voted and
    adopted is not forgotten, what was being computed is. What is ignored is counted in `dropped`
    by reason.
    """

    carried = (
        "held", "trade_mw", "pending", "wanted", "dropped", "_vote", "_closed", "_settled",
        "_outgoing",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        coordinator: str,
        gate_of: Callable[[int], float],
        held: Version | None = None,
    ) -> None:
        self.name = name
        self.coordinator = coordinator
        self.held = held
        self.trade_mw: Profile = ()
        self.pending: Version | None = None
        self.wanted: Prepare | None = None
        self.dropped: Counter[str] = Counter()
        self._gate_of = gate_of
        self._vote: Vote | None = None  # the last one, repeated for a repeated Prepare
        self._closed: Version | None = None  # newest version known to be aborted
        self._settled: list[tuple[Version, bool]] = []
        self._outgoing: list[Message] = []

    def receive(self, message: Message, now: float) -> Prepare | Commit | None:
        """Take a message; return a `Prepare` that wants an `answer` or a `Commit` just adopted."""
        if message.sender != self.coordinator:
            self.dropped["not from the coordinator"] += 1
        elif isinstance(message, Prepare):
            return message if self.on_prepare(message, now) else None
        elif isinstance(message, Commit):
            return message if self.on_commit(message, now) else None
        elif isinstance(message, Abort):
            self.on_abort(message, now)
        elif isinstance(message, Offer):
            self._settle(message.committed, Version(message.interval, 0), now)
        else:
            self.dropped[f"unexpected {type(message).__name__}"] += 1
        return None

    def on_prepare(self, message: Prepare, now: float) -> bool:
        """Take a `Prepare`; return whether an answer is wanted that is not being computed yet."""
        version = message.version
        self._settle(message.committed, version, now)
        if now >= self._gate_of(message.interval):
            self.dropped["prepare after the gate"] += 1
        elif self._voted == version and not _reached(self._closed, version):
            assert self._vote is not None
            self.dropped["repeated prepare"] += 1
            self._outgoing.append(self._vote)
        elif _reached(self._voted, version) or _reached(self._closed, version):
            self.dropped["prepare of an older attempt"] += 1
        elif self.wanted is not None and self.wanted.version >= version:
            self.dropped["repeated prepare"] += 1
        else:
            self.wanted = message
            return True
        return False

    def answer(self, answer: Answer, now: float) -> bool:
        """Vote on the `wanted` attempt; return whether the vote was cast.

        It is not when nothing is wanted any more, when the gate has passed, or when another version
        is held by now than the answer was computed from: then `wanted` still waits for an answer.
        """
        prepare = self.wanted
        if prepare is None:
            self.dropped["answer to nothing"] += 1
            return False
        if now >= self._gate_of(prepare.interval):
            self.wanted = None
            self.dropped["answer after the gate"] += 1
            return False
        if answer.held != self.held:
            self.dropped["answer from another held schedule"] += 1
            return False
        self.wanted = None
        if self.pending is not None:
            self._decided(False, now)  # the vote says so
        version = prepare.version
        self._vote = Vote(
            sender=self.name,
            recipient=self.coordinator,
            interval=version.interval,
            attempt=version.attempt,
            round=prepare.round,
            yes=answer.yes,
            exchange_mw=answer.exchange_mw,
            exchange_mvar=answer.exchange_mvar,
            trade_mw=answer.trade_mw,
            held=answer.held,
            held_mw=answer.held_mw,
            held_mvar=answer.held_mvar,
        )
        if answer.yes:
            self.pending = version
        self._outgoing.append(self._vote)
        return True

    def on_commit(self, message: Commit, now: float) -> bool:
        """Take a `Commit` and acknowledge it; return whether its version has just been adopted.

        Before the gate the version applies from its interval on, later from the next interval on.
        One with more trade than was offered, or of the other sign, is dropped.
        """
        version = message.version
        if message.committed != version:
            self.dropped["commit of two versions"] += 1
            return False
        if not _reached(self._voted, version):
            self.dropped["commit without a vote"] += 1
            return False
        adopts = self._adopts(version)
        if adopts and not self._offered(message.trade_mw):
            self.dropped["commit with trade that was not offered"] += 1
            return False
        if adopts:
            self.held, self.trade_mw = version, message.trade_mw
            self._decided(True, now)
        elif self.held == version:
            self.dropped["repeated commit"] += 1
        else:
            self.dropped["commit of an older version"] += 1
        self._acknowledge(version)
        return adopts

    def on_abort(self, message: Abort, now: float) -> None:
        """Take an `Abort` and acknowledge it."""
        version = message.version
        self._settle(message.committed, version, now)
        if self.pending == version:
            self._decided(False, now)
        if self.wanted is not None and self.wanted.version <= version:
            self.wanted = None
        if not _reached(self._closed, version):
            self._closed = version
        self._acknowledge(version)

    def outgoing(self) -> list[Message]:
        """Return what is to be sent, once; repetition is the coordinator's."""
        messages, self._outgoing = self._outgoing, []
        return messages

    def restart(self) -> None:
        """Wake after a crash: votes and versions were stored, work and unsent messages are lost."""
        self.wanted = None
        self._outgoing.clear()

    def close(self, interval: int) -> ParticipantRecord:
        """Return what is held at the gate of an interval; what is not answered by now never is."""
        if self.wanted is not None and self.wanted.interval <= interval:
            self.wanted = None
        settled, self._settled = tuple(self._settled), []
        return ParticipantRecord(interval, self.held, self.pending, settled)

    @property
    def _voted(self) -> Version | None:
        return None if self._vote is None else self._vote.version

    def _adopts(self, version: Version) -> bool:
        """Only what it voted for last: a vote on a newer version said that this one is not held."""
        return self.pending == version

    def _offered(self, trade_mw: Profile) -> bool:
        """Return whether cleared trade has the sign of its last offer and does not exceed it."""
        assert self._vote is not None
        sides = zip(trade_mw, self._vote.trade_mw, strict=True)
        return all(abs(cleared) <= abs(most) and cleared * most >= 0.0 for cleared, most in sides)

    def _settle(self, committed: Version | None, sent: Version, now: float) -> None:
        """Presumed abort: a message newer than the pending version names the last one committed.

        Nothing is committed after its gate, nor once a newer attempt is prepared or aborted.
        """
        if self.pending is not None and self.pending < sent and self.pending != committed:
            self._decided(False, now)

    def _decided(self, adopted: bool, now: float) -> None:
        assert self.pending is not None
        if now >= self._gate_of(self.pending.interval):
            self._settled.append((self.pending, adopted))
        self.pending = None

    def _acknowledge(self, version: Version) -> None:
        self._outgoing.append(
            Ack(
                sender=self.name,
                recipient=self.coordinator,
                interval=version.interval,
                attempt=version.attempt,
                held=self.held,
            )
        )


def _reached(last: Version | None, version: Version) -> bool:
    return last is not None and last >= version
