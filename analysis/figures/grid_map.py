"""Positions of a grid's buses on a map: the net's coordinates, or a computed layout."""

from dataclasses import dataclass

import networkx as nx
import numpy as np
import pandas as pd

from stackelgrid.analysis.exactness.feeder_tree import tree_places

_BESIDE = 0.05  # share of the grid's extent: distance of a bus without coordinates to its neighbour
_MESHED_MOST = 400  # buses; above, distances between all pairs take too long


@dataclass(frozen=True)
class GridMap:
    """Positions of one grid: `buses` (index bus; x, y, name), `branches` (element, index, ends).

    `surveyed` is True if positions are the net's coordinates; otherwise they show connections, not
    distances. `branches` has columns element, index, name, bus, to_bus; `heads` are the buses that
    supply the grid.
    """

    buses: pd.DataFrame
    branches: pd.DataFrame
    surveyed: bool
    heads: tuple[int, ...]


def grid_map(network: pd.DataFrame, grid: str) -> GridMap:
    """Build the map of a grid from the rows of network.parquet; equal rows give equal maps."""
    own = network[network["grid"] == grid]
    rows = own[own["element"] == "bus"]
    buses = rows.set_index("index")[["x", "y", "name"]].astype({"x": "float64", "y": "float64"})
    buses.index.name = "bus"
    branches = own[own["element"].isin(["line", "trafo"])][
        ["element", "index", "name", "bus", "to_bus"]
    ].reset_index(drop=True)
    heads = tuple(int(b) for b in own.loc[own["element"] == "ext_grid", "bus"])
    graph = nx.Graph()
    graph.add_nodes_from(int(b) for b in buses.index)
    graph.add_edges_from(branches[["bus", "to_bus"]].to_numpy(int).tolist())
    known = buses[["x", "y"]].notna().all(axis=1)
    surveyed = bool(known.mean() >= 0.5) and _spread(buses[known])
    if surveyed:
        _place_beside(buses, graph, known)
    else:
        root = heads[0] if heads else int(buses.index[0])
        for bus, (x, y) in _computed(graph, root).items():
            buses.loc[bus, ["x", "y"]] = x, y
    return GridMap(buses, branches, surveyed, heads)


def _spread(buses: pd.DataFrame) -> bool:
    """Return True if coordinates differ between buses: some nets hold zeros for all."""
    return len(buses.drop_duplicates(["x", "y"])) > 0.5 * len(buses)


def _place_beside(buses: pd.DataFrame, graph: nx.Graph, known: pd.Series) -> None:
    """Place buses without coordinates next to a neighbour with coordinates, on its free side."""
    extent = float((buses[["x", "y"]].max() - buses[["x", "y"]].min()).max())
    missing = [int(b) for b in buses.index[~known]]
    placed = {int(b) for b in buses.index[known]}
    while missing:
        left = []
        for bus in missing:
            near = [n for n in sorted(graph[bus]) if n in placed]
            if not near:
                left.append(bus)
                continue
            at = buses.loc[near[0], ["x", "y"]].to_numpy(np.float64)
            others = [n for n in graph[near[0]] if n in placed]
            towards = buses.loc[others, ["x", "y"]].to_numpy(np.float64) - at
            away = -towards.sum(axis=0) if len(others) else np.array([0.0, 1.0])
            length = float(np.hypot(*away))
            step = away / length if length > 0.0 else np.array([0.0, 1.0])
            buses.loc[bus, ["x", "y"]] = at + _BESIDE * extent * step
            placed.add(bus)
        if len(left) == len(missing):  # an island without any coordinates: below the others
            low, first = float(buses["y"].min()), float(buses["x"].min())
            for n, bus in enumerate(left):
                buses.loc[bus, ["x", "y"]] = first + n * _BESIDE * extent, low - _BESIDE * extent
            return
        missing = left


def _computed(graph: nx.Graph, root: int) -> dict[int, tuple[float, float]]:
    """Compute the layout of a grid: a tree from the root to the right, otherwise by distances."""
    if nx.is_forest(graph):
        return _tree(graph, root)
    if len(graph) <= _MESHED_MOST:
        found = nx.kamada_kawai_layout(graph)
    else:
        found = nx.spring_layout(graph, seed=0)
    return {int(bus): (float(x), float(y)) for bus, (x, y) in found.items()}


def _tree(graph: nx.Graph, root: int) -> dict[int, tuple[float, float]]:
    """Lay out a tree: x is the depth from the root, y the row; islands follow below."""
    place: dict[int, tuple[float, float]] = {}
    rows = 0
    roots = [root] + [min(c) for c in nx.connected_components(graph) if root not in c]
    for start in roots:
        lines = list(nx.bfs_edges(graph, start, sort_neighbors=sorted))
        buses = [start, *(bus for _, bus in lines)]
        number = {bus: k for k, bus in enumerate(buses)}
        depth, row = tree_places([number[above] for above, _ in lines])
        for bus, x, y in zip(buses, depth, row, strict=True):
            place[bus] = (float(x), -float(rows + y))
        rows += int(row.max()) + 1
    return place
