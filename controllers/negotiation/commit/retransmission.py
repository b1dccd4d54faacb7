"""Messages that are repeated until they are answered, without a clock of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from stackelgrid.controllers.errors import StackelgridError
from stackelgrid.controllers.negotiation.commit.messages import Message
from stackelgrid.profiles.stateful import Carrying


class ProtocolError(StackelgridError):
    """Raised for invalid use of the protocol."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Seconds until a message is sent again: `first_s`, then `factor` times as long each time.

    Waits grow up to `longest_s`. Raises `ProtocolError` for waits that are not positive or shrink.
    """

    first_s: float
    factor: float
    longest_s: float

    def __post_init__(self) -> None:
        if not (isfinite(self.first_s) and self.first_s > 0.0):
            raise ProtocolError(f"retry: first_s is {self.first_s}: accepted is above 0 s")
        if not (isfinite(self.factor) and self.factor >= 1.0):
            raise ProtocolError(f"retry: factor is {self.factor}: accepted is at least 1")
        if not (isfinite(self.longest_s) and self.longest_s >= self.first_s):
            raise ProtocolError(
                f"retry: longest_s is {self.longest_s}: accepted is at least first_s, "
                f"{self.first_s} s"
            )


@dataclass(slots=True)
class _Pending:
    message: Message
    due_s: float
    wait_s: float


class Outbox(Carrying):
    """At most one unanswered message a recipient, due at once and again after each wait."""

    carried = ("retry", "_pending")

    def __init__(self, retry: RetryPolicy) -> None:
        self.retry = retry
        self._pending: dict[str, _Pending] = {}

    def put(self, message: Message, now: float) -> None:
        """Send a message, in place of the one its recipient has not answered."""
        self._pending[message.recipient] = _Pending(message, now, self.retry.first_s)

    def pending(self, recipient: str) -> Message | None:
        """Return the message that a recipient has not answered."""
        pending = self._pending.get(recipient)
        return None if pending is None else pending.message

    @property
    def recipients(self) -> tuple[str, ...]:
        """Recipients of unanswered messages."""
        return tuple(self._pending)

    def drop(self, recipient: str) -> Message | None:
        """Stop repeating the message to a recipient, and return it."""
        pending = self._pending.pop(recipient, None)
        return None if pending is None else pending.message

    def restart(self, now: float) -> None:
        """Send all unanswered messages again, as if they were new."""
        for pending in self._pending.values():
            pending.due_s, pending.wait_s = now, self.retry.first_s

    def clear(self) -> None:
        """Stop repeating all messages."""
        self._pending.clear()

    def take(self, now: float) -> Iterator[Message]:
        """Yield the messages due by `now` and plan their next repetition."""
        for pending in self._pending.values():
            if pending.due_s <= now:
                pending.due_s = now + pending.wait_s
                pending.wait_s = min(pending.wait_s * self.retry.factor, self.retry.longest_s)
                yield pending.message

    def next_due(self) -> float:
        """Time of the next message, infinite if there is none."""
        return min((p.due_s for p in self._pending.values()), default=float("inf"))
