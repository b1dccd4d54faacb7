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


@dataclass(frozen=True, slots=True)
class ParticipantRecord:
    """Holding of an agent at a gate.

    `held`: the version that applies from the interval on (None: before any commit). `pending`: the
    version in doubt, which it voted for without receiving a decision. `settled`: versions that were
    in doubt at an earlier gate and no longer are, with whether it adopted them.
    """

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
    `held`: the version that is held, `trade_mw`: the cleared trade that it was committed with.
    Votes and versions survive a crash (`restart`). Ignored messages are counted in `dropped` by
    reason.
    """

    carried = (
        "held", "trade_mw", "pending", "wanted", "dropped", "_vote", "_closed", "_settled",
        "_outgoing",
    )  # fmt: skip

    def __init__(self, name: str, coordinator: str, gate_of: Callable[[int], float]) -> None:
        self.name, self.coordinator = name, coordinator
        self.held: Version | None = None
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
        """Take a message; return a `Prepare` that wants a vote or a `Commit` just adopted."""
        if message.sender != self.coordinator:
            self.dropped["not from the coordinator"] += 1
        elif isinstance(message, Prepare):
            return message if self._on_prepare(message, now) else None
        elif isinstance(message, Commit):
            return message if self._on_commit(message, now) else None
        elif isinstance(message, Abort):
            self._on_abort(message, now)
        elif isinstance(message, Offer):
            self._settle(message.committed, Version(message.interval, 0), now)
        else:
            self.dropped[f"unexpected {type(message).__name__}"] += 1
        return None

    def _on_prepare(self, message: Prepare, now: float) -> bool:
        """Take a `Prepare`; return whether it wants a vote that is not being computed yet."""
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

    def cast(self, vote: Vote, now: float) -> bool:
        """Send a vote on the `wanted` attempt; return whether it was cast.

        It is not when nothing is wanted any more, when the gate has passed, or when another version
        is held by now than the vote says: then `wanted` still waits for a vote.
        """
        prepare = self.wanted
        if prepare is None or vote.version != prepare.version:
            self.dropped["answer to nothing"] += 1
            return False
        if now >= self._gate_of(prepare.interval):
            self.wanted = None
            self.dropped["answer after the gate"] += 1
            return False
        if vote.held != self.held:
            self.dropped["answer from another held schedule"] += 1
            return False
        self.wanted = None
        if self.pending is not None:
            self._decided(False, now)  # by its vote it does not hold the pending version
        self._vote = vote
        if vote.yes:
            self.pending = vote.version
        self._outgoing.append(vote)
        return True

    def _on_commit(self, message: Commit, now: float) -> bool:
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

    def _on_abort(self, message: Abort, now: float) -> None:
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
        """Return the messages to send, once; the coordinator repeats."""
        messages, self._outgoing = self._outgoing, []
        return messages

    def restart(self) -> None:
        """Restart after a crash, with its votes and versions, without unfinished work."""
        self.wanted = None
        self._outgoing.clear()

    def close(self, interval: int) -> ParticipantRecord:
        """Return the record at the gate of an interval; no vote on it is cast from now on."""
        if self.wanted is not None and self.wanted.interval <= interval:
            self.wanted = None
        settled, self._settled = tuple(self._settled), []
        return ParticipantRecord(self.held, self.pending, settled)

    @property
    def _voted(self) -> Version | None:
        return None if self._vote is None else self._vote.version

    def _adopts(self, version: Version) -> bool:
        """Return whether a commit applies; it does not after a vote on a newer version."""
        return self.pending == version

    def _offered(self, trade_mw: Profile) -> bool:
        """Return whether cleared trade has the sign of its last offer and does not exceed it."""
        assert self._vote is not None
        sides = zip(trade_mw, self._vote.trade_mw, strict=True)
        return all(abs(cleared) <= abs(most) and cleared * most >= 0.0 for cleared, most in sides)

    def _settle(self, committed: Version | None, sent: Version, now: float) -> None:
        """Presume abort: a message newer than the pending version names the last one committed.

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
