"""Values of one attribute over time, each held until the next one."""

from dataclasses import dataclass, field
from typing import Any

# no value, unlike None, which is one
NOTHING: Any = object()


@dataclass
class History:
    """Values with their times in s, in the order of time."""

    entries: list[tuple[int, Any]] = field(default_factory=list)

    def add(self, time: int, value: Any) -> None:
        """Add a value; one for the same time is replaced."""
        if not self.entries or self.entries[-1][0] < time:
            self.entries.append((time, value))
            return
        later = [entry for entry in self.entries if entry[0] > time]
        earlier = [entry for entry in self.entries if entry[0] < time]
        self.entries = [*earlier, (time, value), *later]

    def at(self, time: int) -> Any:
        """Return the value that holds at a time, NOTHING before the first one."""
        return next((v for begin, v in reversed(self.entries) if begin <= time), NOTHING)

    def event(self, time: int) -> Any:
        """Return the value that begins at exactly this time, otherwise NOTHING."""
        return next((v for begin, v in self.entries if begin == time), NOTHING)

    def mean(self, begin: int, end: int) -> float:
        """Return the mean over a time; exactly the value where only one holds.

        A value must hold at `begin`.
        """
        first = value = float(self.at(begin))
        since, weighted = begin, 0.0
        for time, following in self.entries:
            if begin < time < end:
                weighted += (value - first) * (time - since)
                since, value = time, float(following)
        weighted += (value - first) * (end - since)
        return first + weighted / (end - begin)

    def forget(self, time: int) -> None:
        """Remove the values that have been replaced before a time."""
        held = [entry for entry in self.entries if entry[0] <= time]
        self.entries = [*held[-1:], *(entry for entry in self.entries if entry[0] > time)]
