"""Communication network that delays, loses, doubles and reorders messages, on SimPy's clock.

Agents are SimPy processes that exchange nothing but bytes: `send` puts a payload on a directed
link, `receive` sets the function that takes it at the other end. A delivered copy costs one event.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import simpy

from stackelgrid.simulators.messages.communication_settings import (
    ANYONE,
    CommunicationError,
    LinkQuality,
    Outage,
)
from stackelgrid.simulators.messages.link import Link, TrafficCounts, UnderWay

# function of the sender, by whose link a payload came, and the payload
Receiver = Callable[[str, bytes], None]


class CommunicationNetwork:
    """Directed links between named agents.

    Each link draws from its own random stream, derived from `seed` and the names of its ends:
    traffic on one never changes deliveries on another, and equal seeds give equal deliveries.
    Links not in `links` have `quality`. Several networks may share one environment.

    environment: clock of the network.
    names: agents.
    quality: quality of all links that `links` does not contain.
    links: quality by (sender, recipient).
    outages: spans in which links are down.
    seed: seed of all random streams.

    Raises CommunicationError for names that occur twice or are reserved, and for links and outages
    of agents that do not exist.
    """

    def __init__(
        self,
        environment: simpy.Environment,
        names: Sequence[str],
        quality: LinkQuality,
        links: Mapping[tuple[str, str], LinkQuality] | None = None,
        outages: Iterable[Outage] = (),
        *,
        seed: np.random.SeedSequence,
    ) -> None:
        self._environment = environment
        self._quality = quality
        self._qualities = dict(links or {})
        self._outages = tuple(outages)
        self._seed = seed
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise CommunicationError(f"agent {twice[0]!r} is given twice; once is accepted")
        if ANYONE in names:
            raise CommunicationError(f"agent {ANYONE!r}: the name is reserved (any agent)")
        # by recipient and sender; ANYONE is any other sender
        self._receivers: dict[str, dict[str, Receiver]] = {name: {} for name in names}
        self._links: dict[tuple[str, str], Link] = {}
        self._order = count()
        for sender, recipient in self._qualities:
            self._check_ends(sender, recipient)
        for outage in self._outages:
            for role, name in (("sender", outage.sender), ("recipient", outage.recipient)):
                if name != ANYONE:
                    self._check_name(f"outage: {role}", name)

    def send(self, sender: str, recipient: str, payload: bytes) -> None:
        """Put a message on the link between two agents, now.

        Raises CommunicationError for an agent that does not exist, or one that sends to itself.
        """
        link = self._links.get((sender, recipient))
        if link is None:
            link = self._open(sender, recipient)
        link.send(payload)

    def receive(
        self, name: str, receiver: Receiver, senders: frozenset[str] = frozenset({ANYONE})
    ) -> None:
        """Set the function of sender and payload that receives messages for an agent.

        It gets those that come over the links of `senders`. Messages of other senders go to the
        first function that was set for the agent; they are dropped where there is none. Raises
        CommunicationError for an agent that does not exist.
        """
        self._check_name("recipient", name)
        self._receivers[name].setdefault(ANYONE, receiver)
        self._receivers[name].update(dict.fromkeys(senders, receiver))

    def _arrived(self, sender: str, recipient: str, payload: bytes) -> None:
        receivers = self._receivers[recipient]
        receiver = receivers.get(sender) or receivers.get(ANYONE)
        if receiver is not None:
            receiver(sender, payload)

    @property
    def environment(self) -> simpy.Environment:
        """Environment whose clock the network uses."""
        return self._environment

    def counts(self, *links: tuple[str, str]) -> TrafficCounts:
        """Return total counts of the given directed links, without arguments of all links.

        Counts begin with the network. Raises CommunicationError as `send` does.
        """
        for sender, recipient in links:
            self._check_ends(sender, recipient)
        counted = (link.counts() for e, link in self._links.items() if not links or e in links)
        return sum(counted, TrafficCounts())

    def state(self) -> dict[tuple[str, str], Any]:
        """Return the states of used links with messages under way; receivers are not part of it."""
        return {ends: link.state() for ends, link in self._links.items()}

    def restore(self, state: Mapping[tuple[str, str], Any]) -> None:
        """Restore the states of links; messages under way arrive in the same order."""
        under_way: list[tuple[UnderWay, Link]] = []
        for ends, carried in state.items():
            link = self._open(*ends)
            link.restore(carried)
            under_way += [(copy, link) for copy in link.take_under_way()]
        for copy, link in sorted(under_way, key=lambda pair: pair[0].order):
            link.put_under_way(copy.at_s, copy.number, copy.payload)

    def _open(self, sender: str, recipient: str) -> Link:
        """Return the link between two agents, made at its first use: n agents have n (n - 1)."""
        ends = (sender, recipient)
        if ends not in self._links:
            self._check_ends(sender, recipient)
            words = (zlib.crc32(name.encode()) for name in ends)
            stream = np.random.SeedSequence(
                self._seed.entropy, spawn_key=(*self._seed.spawn_key, *words)
            )
            self._links[ends] = Link(
                self._environment,
                partial(self._arrived, sender, recipient),
                self._qualities.get(ends, self._quality),
                tuple((o.from_s, o.to_s) for o in self._outages if o.concerns(*ends)),
                np.random.default_rng(stream),
                self._order,
            )
        return self._links[ends]

    def _check_ends(self, sender: str, recipient: str) -> None:
        self._check_name("sender", sender)
        self._check_name("recipient", recipient)
        if sender == recipient:
            raise CommunicationError(f"agent {sender!r} sends to itself; another one is accepted")

    def _check_name(self, role: str, name: str) -> None:
        if name not in self._receivers:
            known = ", ".join(self._receivers) or "none"
            raise CommunicationError(
                f"{role} {name!r} is not an agent of the network; known: {known}"
            )
