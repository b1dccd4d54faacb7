"""Counters of the messages on the links of a communication network."""

from collections.abc import Callable
from dataclasses import astuple, dataclass

from stackelgrid.profiles.stateful import Carrying


@dataclass(frozen=True)
class TrafficCounts:
    """Messages and bytes of a time span.

    `sent` counts messages as the sender handed them over; `duplicated` the second copies that the
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
        """Sum of two time spans, or of two links."""
        return TrafficCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: "TrafficCounts") -> "TrafficCounts":
        """What came since an earlier count."""
        return TrafficCounts(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def under_way(self) -> int:
        """Copies neither delivered nor lost, where the span began with none under way."""
        return self.sent + self.duplicated - self.delivered - self.lost - self.in_outage


class Traffic(Carrying):
    """Counter of messages by time span, over what `read` counts; carries what was taken."""

    carried = ("_taken",)

    def __init__(self, read: Callable[[], TrafficCounts]) -> None:
        self._read = read
        self._taken = TrafficCounts()

    def take(self) -> TrafficCounts:
        """Counts since they were last taken from this counter."""
        now = self._read()
        since = now - self._taken
        self._taken = now
        return since
