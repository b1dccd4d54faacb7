"""A radial grid laid out as a tree: depth to the right, laterals in rows below."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.profiles.arrays import Ints


def tree_table(network: RadialNetwork) -> pd.DataFrame:
    """Buses of a feeder, the head first, with their places and the line from the bus before.

    Columns: bus (index of the grid), parent (row of the bus before, -1 for the head), line (its
    name as in the tables of a sweep, empty for the head), depth (lines from the head), row.
    """
    depth, row = tree_places(network.parent)
    pairs = zip(network.branch_table, network.branch_index, strict=True)
    return pd.DataFrame({
        "bus": [str(b) for b in network.bus_index],
        "parent": [-1, *(int(p) for p in network.parent)],
        "line": ["", *(f"{table} {index}" for table, index in pairs)],
        "depth": depth,
        "row": row,
    })  # fmt: skip


def tree_places(parent: "Sequence[int] | Ints") -> tuple[Ints, Ints]:
    """Depth and row of every bus (buses,); `parent` is that of every bus but the first.

    A parent comes before its children. The deepest branch goes on in the row of its parent, every
    other one gets a row below; those that begin furthest from the head get the nearest rows, so
    that no two lines cross.
    """
    n = len(parent) + 1
    children: list[list[int]] = [[] for _ in range(n)]
    depth, height = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for k, above in enumerate(parent):
        children[above].append(k + 1)
        depth[k + 1] = depth[above] + 1
    for k in range(n - 2, -1, -1):
        height[parent[k]] = max(height[parent[k]], height[k + 1] + 1)
    row = np.zeros(n, dtype=np.int64)
    used = 0

    pending = [0]
    while pending:
        start = pending.pop()
        if start:
            used += 1
        row[start], path, bus = used, [start], start
        while children[bus]:
            bus = max(children[bus], key=lambda b: (height[b], -b))
            row[bus] = used
            path.append(bus)
        for bus in path:  # the one that begins last is taken first from the stack
            on = max(children[bus], key=lambda b: (height[b], -b)) if children[bus] else -1
            pending += [b for b in children[bus] if b != on]
    return depth, row
