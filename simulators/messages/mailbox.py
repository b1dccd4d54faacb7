"""Mailbox of one party of a negotiation, over a communication network."""

from collections import Counter, deque
from collections.abc import Mapping
from math import inf

import simpy

from stackelgrid.controllers.negotiation.commit.messages import (
    Message,
    MessageError,
    PowerLimits,
    check_range,
    decode,
    encode,
)
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.simulators.messages.communication import CommunicationNetwork

# the agent that sent a payload, and the payload
Arrival = tuple[str, bytes]


class Mailbox(Carrying):
    """Messages to and from the parties in `known`; bad ones are dropped and counted by reason.

    They have profiles of `steps` values, powers within the `limits` of their senders.
    A grid in the middle of the tree has one mailbox above and one below: the link of a payload
    decides. Between two intervals mailboxes are empty, as their owners read every message.
    """

    carried = ("refused",)

    def __init__(
        self,
        network: CommunicationNetwork,
        name: str,
        known: frozenset[str],
        steps: int,
        limits: Mapping[str, PowerLimits] | None = None,
    ) -> None:
        self.name, self.known, self.steps, self.limits = name, known, steps, limits or {}
        self.refused: Counter[str] = Counter()
        self._network, self._environment = network, network.environment
        self._arrivals: deque[Arrival] = deque()
        # waiting event, its latest time, and the timer: the requested time, and when it fires
        self._waiter: simpy.Event | None = None
        self._until = inf
        self._timer = (-inf, -inf)
        network.receive(name, self.put, known)

    def send(self, message: Message) -> None:
        """Put a message on the link to its recipient."""
        self._network.send(self.name, message.recipient, encode(message))

    def get(self, until: float = inf) -> simpy.Event:
        """Return the event of the next arrival, for `read`; None if `until` comes first.

        `until` is a time of the clock, not in the past. One event serves for both, because a
        store's events cost twice as much.
        """
        event = self._environment.event()
        if self._arrivals:
            event.succeed(self._arrivals.popleft())
            return event
        self._waiter, self._until = event, inf
        if until < inf:
            self._until = self._rings_at(until)
        return event

    def cancel(self, get: simpy.Event) -> None:
        """Cancel the wait; a message that arrived in the meantime stays the next arrival."""
        if get is self._waiter:
            self._waiter = None
        elif get.triggered and get.value is not None:
            self._arrivals.appendleft(get.value)

    def waiting(self) -> list[Arrival]:
        """Take all arrivals that no event waits for, oldest first."""
        arrivals = list(self._arrivals)
        self._arrivals.clear()
        return arrivals

    def put(self, origin: str, payload: bytes) -> None:
        """Receive a payload that came over the link from `origin`."""
        waiter = self._waiter
        if waiter is None:
            self._arrivals.append((origin, payload))
        else:
            self._waiter = None
            waiter.succeed((origin, payload))

    def _rings_at(self, at: float) -> float:
        """Set a timer unless one is set for `at`; return when it fires."""
        now = self._environment.now
        if self._timer[0] != at or self._timer[1] <= now:
            self._timer = (at, now + (at - now))
            self._environment.timeout(at - now).callbacks.append(self._ring)
        return self._timer[1]

    def _ring(self, timer: simpy.Event) -> None:
        waiter = self._waiter
        if waiter is not None and self._until <= self._environment.now:
            self._waiter = None
            waiter.succeed(None)

    def read(self, arrival: Arrival) -> Message | None:
        """Return the message of an arrival, or None if it is refused."""
        origin, payload = arrival
        try:
            message = decode(payload, recipient=self.name, known=self.known, steps=self.steps)
            if message.sender != origin:
                raise MessageError(
                    f"message of {message.sender!r} came from {origin!r}: accepted is a message "
                    "in its sender's own name"
                )
            if origin in self.limits:
                check_range(message, self.limits[origin])
        except MessageError as error:
            self.refused[str(error)] += 1
            return None
        return message
