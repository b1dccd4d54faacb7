"""Order of users' simulators within one time, and who may start a step of whom."""

from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter
from typing import Protocol


class Connection(Protocol):
    """Connection between two simulators; the source "" is the world."""

    @property
    def source(self) -> str: ...  # noqa: D102

    @property
    def target(self) -> str: ...  # noqa: D102

    @property
    def shift(self) -> int: ...  # noqa: D102

    @property
    def triggers(self) -> bool: ...  # noqa: D102


def order_of(names: Sequence[str], connections: Iterable[Connection]) -> dict[str, int]:
    """Return the position of each simulator within one time; those of one position are independent.

    Connections without a time shift must not form a circle.
    """
    sources: dict[str, set[str]] = {name: set() for name in names}
    for connection in connections:
        if connection.source and not connection.shift:
            sources[connection.target].add(connection.source)
    position: dict[str, int] = {}
    for name in TopologicalSorter(sources).static_order():
        position[name] = 1 + max((position[source] for source in sources[name]), default=-1)
    return position


def triggering_distances(connections: Iterable[Connection]) -> dict[str, dict[str, int]]:
    """Return the sources that may start a step of each simulator, also through others.

    The value is the shortest delay in s from a step of the source; the source "" is the world.
    """
    direct: dict[str, dict[str, int]] = {}
    for connection in connections:
        if connection.triggers:
            own = direct.setdefault(connection.target, {})
            own[connection.source] = min(
                own.get(connection.source, connection.shift), connection.shift
            )
    for middle in list(direct):
        for target, own in direct.items():
            if middle == target or middle not in own:
                continue
            for source, distance in direct[middle].items():
                through = own[middle] + distance
                if through < own.get(source, through + 1):
                    own[source] = through
    return direct
