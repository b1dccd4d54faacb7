"""One direction between two agents: it delays, loses, doubles and reorders messages."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass
from itertools import count
from typing import Any

import msgspec
import numpy as np
import simpy

from stackelgrid.profiles.stateful import Carrying
from stackelgrid.simulators.messages.communication_settings import LinkQuality

_BITS_PER_BYTE = 8
_BLOCK = 64


@dataclass(frozen=True)
class TrafficCounts:
    """Messages and bytes of a time span.

    `sent` counts messages when they were sent; `duplicated` the second copies that the
    network made. Every copy is in the end `delivered`, `lost` at random or lost `in_outage`.
    `reordered` are copies delivered after a message that was sent later on the same link, as RFC
    4737, section 3, counts them: one that overtakes ten makes ten.
    """

    sent: int = 0
    delivered: int = 0
    lost: int = 0
    in_outage: int = 0
    duplicated: int = 0
    reordered: int = 0
    bytes_sent: int = 0
    bytes_delivered: int = 0

    def __add__(self, other: "TrafficCounts") -> "TrafficCounts":
        """Return the sum of two time spans, or of two links."""
        return TrafficCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: "TrafficCounts") -> "TrafficCounts":
        """Return the counts since an earlier count."""
        return TrafficCounts(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def under_way(self) -> int:
        """Return the copies neither delivered nor lost, if none was under way at the start."""
        return self.sent + self.duplicated - self.delivered - self.lost - self.in_outage


class UnderWay(msgspec.Struct, frozen=True, gc=False):
    """Copy to be delivered at `at_s`, the `number`-th message of its link.

    `order` is its place in the order of scheduling over all links.
    """

    order: int
    at_s: float
    number: int
    payload: bytes


class Link(Carrying):
    """One direction between two agents: its queue, its random stream and its counters."""

    carried = (
        "_counts", "_free_at", "_last_in_order", "_newest_delivered", "_under_way", "_random",
    )  # fmt: skip

    def __init__(
        self,
        environment: simpy.Environment,
        arrived: Callable[[bytes], None],
        quality: LinkQuality,
        outages: tuple[tuple[float, float], ...],
        generator: np.random.Generator,
        order: "count[int]",
    ) -> None:
        self._counts: dict[str, int] = asdict(TrafficCounts())
        self._environment, self._arrived = environment, arrived
        self._quality, self._outages = quality, outages
        self._random = _RandomStream(generator, quality)
        self._free_at = -math.inf
        self._last_in_order = -math.inf
        self._newest_delivered = 0
        self._order = order
        self._under_way: dict[int, UnderWay] = {}

    def take_under_way(self) -> list[UnderWay]:
        """Return the copies that a restored link has to schedule again."""
        taken, self._under_way = list(self._under_way.values()), {}
        return taken

    def put_under_way(self, at_s: float, number: int, payload: bytes) -> None:
        """Schedule the delivery of a copy at a time that is not in the past."""
        self._put(_delay_until(at_s, self._environment.now), number, payload)

    def counts(self) -> TrafficCounts:
        """Return the counts since the network began."""
        return TrafficCounts(**self._counts)

    def send(self, payload: bytes) -> None:
        """Draw the fate of a message and schedule its delivery."""
        quality, draw = self._quality, self._random
        now = self._environment.now
        self._counts["sent"] += 1
        self._counts["bytes_sent"] += len(payload)
        # all random numbers are drawn first, so that an outage does not change later messages
        lost = quality.loss > 0.0 and draw.uniform() < quality.loss
        in_order = quality.reordering == 0.0 or draw.uniform() >= quality.reordering
        delay = draw.delay_s()
        twice = quality.duplication > 0.0 and draw.uniform() < quality.duplication
        second = draw.delay_s() if twice else 0.0
        if self._outages and self._down(now):
            self._counts["in_outage"] += 1
            return
        leaves = now
        if quality.bandwidth_bit_per_s is not None:
            occupied = _BITS_PER_BYTE * len(payload) / quality.bandwidth_bit_per_s
            leaves = self._free_at = max(now, self._free_at) + occupied
        if lost:  # lost after it has occupied the link
            self._counts["lost"] += 1
            return
        self._schedule(leaves - now + delay, payload, in_order)
        if twice:
            self._counts["duplicated"] += 1
            self._schedule(leaves - now + second, payload, in_order)

    def _schedule(self, delay: float, payload: bytes, in_order: bool) -> None:
        """Schedule a copy after a delay, behind the one before if it keeps its place."""
        now = self._environment.now
        if in_order:
            last = self._last_in_order
            if now + delay < last:
                delay = last - now
                while now + delay < last:  # now + (last - now) may round to just before last
                    delay = math.nextafter(delay, math.inf)
        at = now + delay
        if self._outages and self._down(at):
            self._counts["in_outage"] += 1
            return
        if in_order:
            self._last_in_order = at
        self._put(delay, self._counts["sent"], payload)

    def _put(self, delay: float, number: int, payload: bytes) -> None:
        order = next(self._order)
        self._under_way[order] = UnderWay(order, self._environment.now + delay, number, payload)
        arrival = self._environment.timeout(delay, order)
        arrival.callbacks.append(self._deliver)

    def _deliver(self, arrival: simpy.Event) -> None:
        order = arrival.value
        assert order is not None
        copy = self._under_way.pop(order)
        number, payload = copy.number, copy.payload
        self._counts["delivered"] += 1
        self._counts["bytes_delivered"] += len(payload)
        if number < self._newest_delivered:
            self._counts["reordered"] += 1
        else:
            self._newest_delivered = number
        self._arrived(payload)

    def _down(self, at: float) -> bool:
        return any(begin <= at < end for begin, end in self._outages)


def _delay_until(at: float, now: float) -> float:
    """Return the delay that, added to the present time, gives `at` to the last bit."""
    delay = at - now
    while now + delay < at:
        delay = math.nextafter(delay, math.inf)
    while now + delay > at:
        delay = math.nextafter(delay, -math.inf)
    return delay


class _RandomStream(Carrying):
    """Random numbers of one link, drawn in batches: a single draw costs ten times as much."""

    carried = ("_uniforms", "_delays")

    def __init__(self, generator: np.random.Generator, quality: LinkQuality) -> None:
        self._generator, self._quality = generator, quality
        # numbers drawn and not used yet, the next one last
        self._uniforms: list[float] = []
        self._delays: list[float] = []

    def state(self) -> dict[str, Any]:
        """Return the unused numbers and the state of the generator."""
        return {**super().state(), "generator": self._generator.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the unused numbers and the generator."""
        super().restore(state)
        self._generator.bit_generator.state = state["generator"]

    def uniform(self) -> float:
        """Return a number from 0 to 1."""
        if not self._uniforms:
            self._uniforms = self._generator.random(_BLOCK).tolist()[::-1]
        return self._uniforms.pop()

    def delay_s(self) -> float:
        """Return the delay of a copy in s."""
        latency, jitter = self._quality.latency_s, self._quality.jitter_s
        if jitter == 0.0:
            return latency
        if not self._delays:
            # mean = shape scale, variance = shape scale^2
            shape, scale = (latency / jitter) ** 2, jitter**2 / latency
            self._delays = self._generator.gamma(shape, scale, _BLOCK).tolist()[::-1]
        return self._delays.pop()
