"""Settings of a communication network: quality of links, outages, and gates of negotiations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from stackelgrid.profiles.errors import StackelgridError

ANYONE = "*"


class CommunicationError(StackelgridError):
    """Raised for invalid settings or use of a communication network."""


def _finite(name: str, value: float, *, positive: bool) -> None:
    if not math.isfinite(value) or value < 0.0 or (positive and value == 0.0):
        sign = ">" if positive else ">="
        raise CommunicationError(f"{name} is {value!r}; a finite number {sign} 0 is accepted")


@dataclass(frozen=True)
class LinkQuality:
    """Quality of one directed link; the default neither delays nor loses messages.

    Delays are gamma distributed with mean `latency_s` and standard deviation `jitter_s` (constant
    without jitter). `loss`, `duplication` and `reordering` are probabilities of a message. A link
    keeps order, except for messages drawn for `reordering`, which overtake or are overtaken where
    their delay says so. With `bandwidth_bit_per_s` (None: unlimited) a message of n bytes occupies
    the link for 8 n / bandwidth seconds, and those behind it wait.

    Raises CommunicationError for a value out of range, jitter without latency (delays are
    positive) and reordering without jitter (equal delays never overtake each other).
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    bandwidth_bit_per_s: float | None = None

    def __post_init__(self) -> None:
        """Raise CommunicationError for an invalid quality."""
        for name in ("latency_s", "jitter_s"):
            _finite(name, getattr(self, name), positive=False)
        for name in ("loss", "duplication", "reordering"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise CommunicationError(f"{name} is {value!r}; a probability, 0 to 1, is accepted")
        if self.bandwidth_bit_per_s is not None:
            _finite("bandwidth_bit_per_s", self.bandwidth_bit_per_s, positive=True)
        if self.jitter_s > 0.0 and self.latency_s == 0.0:
            raise CommunicationError(
                f"jitter_s is {self.jitter_s:g} where latency_s is 0; latency_s > 0, or no jitter, "
                "is accepted"
            )
        if self.reordering > 0.0 and self.jitter_s == 0.0:
            raise CommunicationError(
                f"reordering is {self.reordering:g} where jitter_s is 0 and all delays are equal; "
                "jitter_s > 0, or no reordering, is accepted"
            )


PERFECT = LinkQuality()


@dataclass(frozen=True)
class Outage:
    """Outage of the links from `sender` to `recipient` ("*": any agent) from `from_s` to `to_s`.

    Seconds on the clock of the network. Messages sent or due for delivery in that span are lost;
    `to_s` itself is outside. Raises CommunicationError for an empty span.
    """

    sender: str
    recipient: str
    from_s: float
    to_s: float

    def __post_init__(self) -> None:
        """Raise CommunicationError for an outage of no length."""
        if not self.from_s < self.to_s:
            raise CommunicationError(
                f"outage from {self.sender} to {self.recipient}: from_s is {self.from_s:g} and "
                f"to_s {self.to_s:g}; from_s < to_s is accepted"
            )

    def concerns(self, sender: str, recipient: str) -> bool:
        """Return whether the outage covers a directed link."""
        return self.sender in (ANYONE, sender) and self.recipient in (ANYONE, recipient)


@dataclass(frozen=True)
class CommunicationSettings:
    """Communication settings of a run, on a clock of seconds.

    Interval 0 begins at second 0. A negotiation takes place in the last `gate_s` seconds before its
    interval begins; an agent takes `compute_s` for an answer. `links` holds the directed links,
    (sender, recipient), whose quality is not `quality`.

    Raises CommunicationError for a gate that is not positive or a negative time of computation.
    """

    gate_s: float
    compute_s: float = 1.0
    quality: LinkQuality = PERFECT
    links: Mapping[tuple[str, str], LinkQuality] = field(default_factory=dict)
    outages: tuple[Outage, ...] = ()

    def __post_init__(self) -> None:
        """Raise CommunicationError for a gate of no length or a negative computation time."""
        _finite("gate_s", self.gate_s, positive=True)
        _finite("compute_s", self.compute_s, positive=False)
