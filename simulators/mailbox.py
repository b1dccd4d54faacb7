"""What one party of a negotiation may send and read, over a communication network."""

from collections import Counter
from typing import Any

import simpy

from stackelgrid.controllers.agents.messages import Message, MessageError, decode, encode
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.simulators.communication import CommunicationNetwork

__all__ = ["Mailbox", "PostOffice"]


class Mailbox(Carrying):
    """Messages to and from the parties in `known`; bad ones are dropped and counted by reason.

    Carries the counts; between two intervals nothing waits in it, whoever it belongs to reads.
    """

    carried = ("refused",)

    def __init__(
        self, network: CommunicationNetwork, name: str, known: frozenset[str], steps: int
    ) -> None:
        self.name, self.known, self.steps = name, known, steps
        self.refused: Counter[str] = Counter()
        self._network = network
        self._inbox = simpy.Store(network.environment)

    def send(self, message: Message) -> None:
        """Put a message on the link to its recipient."""
        self._network.send(self.name, message.recipient, encode(message))

    def get(self) -> Any:
        """Event of the next arrival, to be given to `read`."""
        return self._inbox.get()

    def waiting(self) -> list[Any]:
        """Take what has arrived and nobody waits for, oldest first."""
        arrivals, self._inbox.items = list(self._inbox.items), []
        return arrivals

    def put(self, origin: str, payload: bytes) -> None:
        """Take a payload that came over the link from `origin`."""
        self._inbox.put((origin, payload))

    def read(self, arrival: tuple[str, bytes]) -> Message | None:
        """Return the message of an arrival, or None where it is refused."""
        origin, payload = arrival
        try:
            message = decode(payload, recipient=self.name, known=self.known, steps=self.steps)
            if message.sender != origin:
                raise MessageError(
                    f"message of {message.sender!r} came from {origin!r}: accepted is a message "
                    "in its sender's own name"
                )
        except MessageError as error:
            self.refused[str(error)] += 1
            return None
        return message


class PostOffice:
    """Hands arrivals to mailboxes: a grid in the middle has one above and one below.

    It goes by the link that a payload came over; what nobody expects is refused by the first one.
    """

    def __init__(self, network: CommunicationNetwork) -> None:
        self.network = network
        self._mailboxes: dict[str, list[Mailbox]] = {}

    def open(self, name: str, known: frozenset[str], steps: int) -> Mailbox:
        """Return a new mailbox for messages between a party and those in `known`."""
        mailbox = Mailbox(self.network, name, known, steps)
        boxes = self._mailboxes.setdefault(name, [])
        boxes.append(mailbox)
        if len(boxes) == 1:
            self.network.receive(name, lambda origin, payload: _hand_over(boxes, origin, payload))
        return mailbox


def _hand_over(boxes: list[Mailbox], origin: str, payload: bytes) -> None:
    for mailbox in boxes:
        if origin in mailbox.known:
            mailbox.put(origin, payload)
            return
    accepted = sorted(set().union(*(mailbox.known for mailbox in boxes)))
    boxes[0].refused[f"message from {origin!r}: accepted are {', '.join(accepted)}"] += 1
