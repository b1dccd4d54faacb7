"""Positions of a grid's buses on a map: a tree if it is radial, otherwise its coordinates.

Report and page place buses by this one rule. A radial grid is a tree from the bus that supplies it,
whatever its coordinates: they often are made up, and a tree is read faster. A meshed grid has the
coordinates of its net, or a computed layout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

from stackelgrid.analysis.figures.tree_layout import tree_places

_BESIDE = 0.05  # share of the grid's extent: distance of a bus without coordinates to its neighbour
_MESHED_MOST = 400  # buses; above, distances between all pairs take too long


@dataclass(frozen=True)
class GridMap:
    """Positions of one grid: `buses` (index bus; x, y, name, label, side), `branches`, `heads`.

    `label` is the text at a bus on a map, its number as in the tables; `side` is where it hides no
    line: above, below or right. `branches` has columns element, index, name, bus, to_bus; `heads`
    are the buses that supply the grid. `tree` is True if the grid is radial: x is the number of
    branches from the head, y the row. `surveyed` is True if positions are the net's coordinates;
    all others show connections, not distances.
    """

    buses: pd.DataFrame
    branches: pd.DataFrame
    tree: bool
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
    graph, heads = connections(network, grid)
    tree = nx.is_forest(graph)
    known = buses[["x", "y"]].notna().all(axis=1)
    surveyed = bool(not tree and known.mean() >= 0.5) and _spread(buses[known])
    if tree:
        root = heads[0] if heads else int(buses.index[0])
        _place(buses, {b: (x, -row) for b, (x, row) in tree_places(graph, root).items()})
    elif surveyed:
        _place_beside(buses, graph, known)
    else:
        _place(buses, _by_distance(graph))
    buses["label"] = [str(bus) for bus in buses.index]
    buses["side"] = _sides(buses, graph, tree)
    return GridMap(buses, branches, tree, surveyed, heads)


def connections(network: pd.DataFrame, grid: str) -> tuple[nx.Graph, tuple[int, ...]]:
    """Return the graph of a grid, of lines and transformers, and the buses that supply it."""
    own = network[network["grid"] == grid]
    graph = nx.Graph()
    graph.add_nodes_from(int(bus) for bus in own.loc[own["element"] == "bus", "index"])
    ends = own.loc[own["element"].isin(["line", "trafo"]), ["bus", "to_bus"]]
    graph.add_edges_from(ends.to_numpy(int).tolist())
    return graph, tuple(int(bus) for bus in own.loc[own["element"] == "ext_grid", "bus"])


def equal_grids(network: pd.DataFrame, grids: Sequence[str]) -> list[list[str]]:
    """Group grids whose buses, branches and heads are the same, in the order given."""
    columns = ["element", "index", "name", "bus", "to_bus"]
    drawn = network[network["element"].isin(["bus", "line", "trafo", "ext_grid"])]
    groups: dict[tuple[Any, ...], list[str]] = {}
    for grid in grids:
        own = drawn.loc[drawn["grid"] == grid, columns]
        groups.setdefault(tuple(own.itertuples(index=False, name=None)), []).append(grid)
    return list(groups.values())


def _place(buses: pd.DataFrame, places: Mapping[int, tuple[float, float]]) -> None:
    for axis, column in enumerate(("x", "y")):
        at = {bus: float(place[axis]) for bus, place in places.items()}
        buses[column] = buses.index.map(at).astype("float64")


def _sides(buses: pd.DataFrame, graph: nx.Graph, tree: bool) -> list[str]:
    """Return the side of each bus on which its label hides the fewest lines."""
    height = dict(zip(buses.index.to_list(), buses["y"].to_list(), strict=True))
    sides = []
    for bus in map(int, buses.index):
        up = sum(height[n] > height[bus] for n in graph[bus])
        down = sum(height[n] < height[bus] for n in graph[bus])
        end = tree and len(graph[bus]) == 1 and up + down  # the end of a branch off a row
        sides.append("right" if end else "above" if up <= down else "below")
    return sides


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


def _by_distance(graph: nx.Graph) -> dict[int, tuple[float, float]]:
    """Lay out a meshed grid by the number of branches between its buses."""
    if len(graph) <= _MESHED_MOST:
        found = nx.kamada_kawai_layout(graph)
    else:
        found = nx.spring_layout(graph, seed=0)
    return {int(bus): (float(x), float(y)) for bus, (x, y) in found.items()}
