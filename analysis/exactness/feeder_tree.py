"""A radial grid laid out as a tree: depth to the right, laterals in rows below."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.profiles.arrays import Ints


def tree_table(network: RadialNetwork) -> pd.DataFrame:
    """Return the buses of a feeder, the head first, with positions and the line to the parent bus.

    Columns: bus (index of the grid), parent (row of the parent bus, -1 for the head), line (name as
    in the tables of a sweep, empty for the head), depth (number of lines from the head), row.
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
    """Return depth and row of every bus (buses,); `parent` holds the parent of all but the first.

    A parent comes before its children. The deepest branch continues in the row of its parent; each
    other branch gets a row below. Branches that begin furthest from the head get the nearest rows,
    so that lines do not cross.
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
        for bus in path:  # the branch that begins last is first on the stack
            on = max(children[bus], key=lambda b: (height[b], -b)) if children[bus] else -1
            pending += [b for b in children[bus] if b != on]
    return depth, row
