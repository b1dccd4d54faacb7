"""A radial feeder drawn as a tree, its lines coloured by how often they are inexact."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stackelgrid.analysis.exactness import SweepTables, line_shares
from stackelgrid.analysis.style import BLACK, LINE_SCALE
from stackelgrid.profiles.arrays import Floats

# buses up to which each carries its number
_NUMBERED = 80
_NAMED_LINES = 3
# most inches of one panel: laterals then lie closer
_TALLEST = 8.0


def draw_tree(tables: SweepTables, tree: pd.DataFrame, title: str) -> Figure:
    """Share of solved points in which each line is inexact; below, in which C1 fails there."""
    shares = line_shares(tables).reindex(tree["line"][1:]).fillna(0.0)
    names = list(shares.index)
    solved = int((tables.points["verdict"] != "").sum())
    panels = [("inexact", shares["inexact"].to_numpy(dtype=np.float64))]
    if shares["c1_fails"].any():
        panels.append(("C1 fails", shares["c1_fails"].to_numpy(dtype=np.float64)))
    height = len(panels) * min(1.6 + 0.55 * (int(tree["row"].max()) + 1), _TALLEST)
    figure = Figure(figsize=(12.0, max(height, 3.6)), layout="constrained")
    figure.suptitle(f"{title}: {solved} solved points")
    for k, (what, share) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, k + 1)
        _panel(axes, tree, share)
        axes.set_title(f"share of points in which a line is {what}: {_worst(share, names)}"
                       if what == "inexact"
                       else f"share of points in which {what} at a line: {_worst(share, names)}",
                       fontsize=10)  # fmt: skip
        figure.colorbar(axes.collections[0], ax=axes, pad=0.01)
    return figure


def _worst(share: Floats, names: list[str]) -> str:
    order = [int(k) for k in np.argsort(-share, kind="stable")[:_NAMED_LINES] if share[k] > 0.0]
    if not order:
        return "none"
    return "worst " + ", ".join(f"{names[k]} ({100.0 * share[k]:.0f} %)" for k in order)


def _panel(axes: Axes, tree: pd.DataFrame, share: Floats) -> None:
    x, y = tree["depth"].to_numpy(), tree["row"].to_numpy()
    paths = []
    for k, parent in enumerate(tree["parent"][1:]):
        bend = (x[parent], y[k + 1])
        paths.append([(x[parent], y[parent]), bend, (x[k + 1], y[k + 1])])
    numbered = len(tree) <= _NUMBERED
    collection = LineCollection(
        paths, linewidths=5 if numbered else 2, cmap=LINE_SCALE, capstyle="round"
    )
    collection.set_array(share)
    collection.set_clim(0.0, max(float(share.max(initial=0.0)), 0.01))
    axes.add_collection(collection)
    axes.scatter(x, y, s=150 if numbered else 6, color="white", edgecolors=BLACK, zorder=3)
    if numbered:
        for bus, at_x, at_y in zip(tree["bus"], x, y, strict=True):
            axes.text(at_x, at_y, str(bus), ha="center", va="center", fontsize=7, zorder=4)
    worst = int(np.argmax(share)) if len(share) else 0
    if len(share) and share[worst] > 0.0:
        child = worst + 1
        name = str(tree["line"][child])
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
