"""A radial feeder drawn as a tree, its lines coloured by how often they are inexact."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stackelgrid.analysis.exactness import SweepTables
from stackelgrid.analysis.style import BLACK, LINE_SCALE
from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.profiles.arrays import Floats, Ints

# buses up to which each carries its number
_NUMBERED = 80
_NAMED_LINES = 3
# most inches of one panel: laterals then lie closer
_TALLEST = 8.0


def tree_layout(network: RadialNetwork) -> tuple[Ints, Ints]:
    """Positions (buses,) of the buses: depth to the right, and the row.

    The deepest branch goes on in the row of its parent, every other one gets a row below; those
    that begin furthest from the head get the nearest rows, so that no two lines cross.
    """
    n = network.buses
    children: list[list[int]] = [[] for _ in range(n)]
    depth, height = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    for k, parent in enumerate(network.parent):
        children[parent].append(k + 1)
        depth[k + 1] = depth[parent] + 1
    for k in range(network.branches - 1, -1, -1):
        height[network.parent[k]] = max(height[network.parent[k]], height[k + 1] + 1)
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


def draw_tree(tables: SweepTables, network: RadialNetwork, title: str) -> Figure:
    """Share of solved points in which each line is inexact; below, in which C1 fails there."""
    solved = tables.points.loc[tables.points["verdict"] != "", "point"]
    lines = tables.lines[tables.lines["point"].isin(solved)]
    names = [f"{t} {i}" for t, i in zip(network.branch_table, network.branch_index, strict=True)]
    panels = [("inexact", _share(lines, lines["inexact_steps"] > 0, names))]
    if lines["c1_fails"].any():
        panels.append(("C1 fails", _share(lines, lines["c1_fails"], names)))
    x, y = tree_layout(network)
    height = len(panels) * min(1.6 + 0.55 * (int(y.max()) + 1), _TALLEST)
    figure = Figure(figsize=(12.0, max(height, 3.6)), layout="constrained")
    figure.suptitle(f"{title}: {len(solved)} solved points")
    for k, (what, share) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, k + 1)
        _panel(axes, network, x, y, share)
        axes.set_title(f"share of points in which a line is {what}: {_worst(share, names)}"
                       if what == "inexact"
                       else f"share of points in which {what} at a line: {_worst(share, names)}",
                       fontsize=10)  # fmt: skip
        figure.colorbar(axes.collections[0], ax=axes, pad=0.01)
    return figure


def _share(lines: pd.DataFrame, flag: "pd.Series[bool]", names: list[str]) -> Floats:
    """Share of points with the flag by branch (branches,)."""
    by_line = flag.groupby(lines["line"]).mean()
    return np.asarray(by_line.reindex(names).fillna(0.0), dtype=np.float64)


def _worst(share: Floats, names: list[str]) -> str:
    order = [int(k) for k in np.argsort(-share, kind="stable")[:_NAMED_LINES] if share[k] > 0.0]
    if not order:
        return "none"
    return "worst " + ", ".join(f"{names[k]} ({100.0 * share[k]:.0f} %)" for k in order)


def _panel(axes: Axes, network: RadialNetwork, x: Ints, y: Ints, share: Floats) -> None:
    paths = []
    for k, parent in enumerate(network.parent):
        bend = (x[parent], y[k + 1])
        paths.append([(x[parent], y[parent]), bend, (x[k + 1], y[k + 1])])
    numbered = network.buses <= _NUMBERED
    collection = LineCollection(
        paths, linewidths=5 if numbered else 2, cmap=LINE_SCALE, capstyle="round"
    )
    collection.set_array(share)
    collection.set_clim(0.0, max(float(share.max(initial=0.0)), 0.01))
    axes.add_collection(collection)
    axes.scatter(x, y, s=150 if numbered else 6, color="white", edgecolors=BLACK, zorder=3)
    if numbered:
        for bus, at_x, at_y in zip(network.bus_index, x, y, strict=True):
            axes.text(at_x, at_y, str(bus), ha="center", va="center", fontsize=7, zorder=4)
    worst = int(np.argmax(share)) if len(share) else 0
    if len(share) and share[worst] > 0.0:
        name = f"{network.branch_table[worst]} {network.branch_index[worst]}"
        child = worst + 1
        axes.annotate(
            name, ((x[child] - 0.5), y[child]), xytext=(0, 14), textcoords="offset points",
            ha="center", fontsize=9, fontweight="bold",
            arrowprops={"arrowstyle": "-", "color": BLACK},
        )  # fmt: skip
    axes.set_xlim(-0.7, float(x.max()) + 0.7)
    axes.set_ylim(float(y.max()) + 0.7, -0.9 if numbered else -0.1 * (float(y.max()) + 1.0))
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("lines from the head")
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
