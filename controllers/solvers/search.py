"""Common parts of the searches: a wall-clock limit, and a queue of open nodes."""

import heapq
import time
from typing import Generic, TypeVar

import numpy as np

_T = TypeVar("_T")


class Deadline:
    """Clock that starts when it is made; without a limit it never passes."""

    def __init__(self, limit_s: float | None = None) -> None:
        self._started, self._limit = time.perf_counter(), limit_s

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._started

    @property
    def left(self) -> float | None:
        """Seconds to the limit; None without one."""
        return None if self._limit is None else self._limit - self.seconds

    @property
    def passed(self) -> bool:
        """Return whether the limit is reached."""
        left = self.left
        return left is not None and left <= 0.0


class OpenNodes(Generic[_T]):
    """Open nodes of a tree, lowest bound first and among equals the oldest.

    `closed` is the lowest bound of nodes that were cut off or left undecided.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _T]] = []
        self._pushed = 0
        self.closed = np.inf

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, bound: float, node: _T) -> None:
        """Add a node with the bound of its parent."""
        self._pushed += 1
        heapq.heappush(self._heap, (bound, self._pushed, node))

    def pop(self) -> tuple[float, _T]:
        """Remove the node with the lowest bound."""
        bound, _, node = heapq.heappop(self._heap)
        return bound, node

    def close(self, bound: float) -> None:
        """Note the bound of a node that is not explored further."""
        self.closed = min(self.closed, bound)

    @property
    def bound(self) -> float:
        """Lowest bound of open and closed nodes; infinite without any."""
        return min(self._heap[0][0] if self._heap else np.inf, self.closed)
