"""Counters of the messages on the links of a communication network."""

from collections.abc import Callable
from dataclasses import astuple, dataclass

from stackelgrid.profiles.stateful import Carrying


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


class Traffic(Carrying):
    """Counts messages by time span from the totals that `read` returns; carries the last totals."""

    carried = ("_taken",)

    def __init__(self, read: Callable[[], TrafficCounts]) -> None:
        self._read = read
        self._taken = TrafficCounts()

    def take(self) -> TrafficCounts:
        """Return the counts since the last call."""
        now = self._read()
        since = now - self._taken
        self._taken = now
        return since
