"""Places of the buses of a radial grid, drawn as a tree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx as nx


@dataclass
class _Shape:
    """A subtree around the row of its first bus: rows of its buses, and those it takes by depth."""

    row: dict[int, int]
    least: dict[int, int]
    most: dict[int, int]

    def add(self, other: "_Shape", shift: int) -> None:
        """Take another subtree in, moved by a number of rows."""
        self.row.update({bus: row + shift for bus, row in other.row.items()})
        for depth, row in other.least.items():
            self.least[depth] = min(self.least.get(depth, row + shift), row + shift)
        for depth, row in other.most.items():
            self.most[depth] = max(self.most.get(depth, row + shift), row + shift)

    def room_below(self, other: "_Shape") -> int:
        """Return the rows by which another subtree must move down to lie below this one."""
        taken = [self.most[d] - row for d, row in other.least.items() if d in self.most]
        return 1 + max(0, *taken) if taken else 1

    def room_above(self, other: "_Shape") -> int:
        """Return the rows by which another subtree must move up to lie above this one."""
        taken = [row - self.least[d] for d, row in other.most.items() if d in self.least]
        return 1 + max(0, *taken) if taken else 1


def tree_places(graph: nx.Graph, root: int) -> dict[int, tuple[int, int]]:
    """Return depth and row of every bus of a forest; no lines cross, rows grow downwards.

    From every bus the longest path goes on in its row; the other branches lie above or below it, as
    close as the branches further on permit. Islands follow below, from their smallest bus.
    """
    places: dict[int, tuple[int, int]] = {}
    used = 0
    islands = [min(part) for part in nx.connected_components(graph) if root not in part]
    for start in (root, *sorted(islands)):
        shape, depth = _tree(graph, start)
        shift = used - min(shape.least.values())
        places |= {bus: (depth[bus], row + shift) for bus, row in shape.row.items()}
        used = shift + max(shape.most.values()) + 1
    return places


def _tree(graph: nx.Graph, root: int) -> tuple[_Shape, dict[int, int]]:
    """Lay out one tree, from its ends to the root."""
    children: dict[int, list[int]] = {root: []}
    depth = {root: 0}
    for above, bus in nx.bfs_edges(graph, root, sort_neighbors=sorted):
        children[above].append(bus)
        children[bus] = []
        depth[bus] = depth[above] + 1
    shapes: dict[int, _Shape] = {}
    for bus in reversed(children):  # in the order of the search: children come before parents
        shapes[bus] = _joined(bus, depth, [shapes.pop(child) for child in children[bus]])
    return shapes[root], depth


def _joined(bus: int, depth: Mapping[int, int], branches: Sequence[_Shape]) -> _Shape:
    """Join the branches that begin at a bus: the longest straight on, short ones next to it."""
    level = depth[bus]
    shape = _Shape({bus: 0}, {level: 0}, {level: 0})
    ordered = sorted(branches, key=lambda b: max(b.most), reverse=True)
    for branch in ordered[:1]:
        shape.add(branch, 0)
    for branch in reversed(ordered[1:]):
        branch.least[level] = branch.most[level] = 0  # a gap to what ends in its row
        down, up = shape.room_below(branch), shape.room_above(branch)
        shape.add(branch, down if down <= up else -up)
    return shape
