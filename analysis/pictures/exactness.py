"""Pictures of an exactness sweep: heat maps over pairs of dimensions, and the feeder as a tree."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from stackelgrid.analysis.exactness import DIMENSIONS, Levels, SweepTables, cells_of
from stackelgrid.analysis.pictures.exactness_tree import draw_tree
from stackelgrid.analysis.pictures.files import save
from stackelgrid.analysis.style import BLACK, LOSS_SCALE, SHARE_SCALE
from stackelgrid.controllers.tolerances import EXACT_LOSS_SHARE
from stackelgrid.profiles.arrays import Floats

# log10 of the smallest fictitious loss shown: below is the rounding of the solver
_SMALLEST = -10.0


def write_plots(tables: SweepTables, tree: pd.DataFrame, directory: Path, title: str) -> list[Path]:
    """Write a heat map of every pair of varied dimensions and the tree of lines (PNG).

    Without a solved point there is nothing to show, and nothing is written.
    """
    points = tables.points
    if not (points["verdict"] != "").any():
        return []
    written = []
    for across, up in combinations(tables.varied, 2):
        figure = heat_maps(tables, across, up, title)
        written.append(save(figure, directory, f"heat_{_short(across)}_{_short(up)}"))
    return [*written, save(draw_tree(tables, tree, title), directory, "lines")]


def _short(dimension: str) -> str:
    return dimension.removesuffix("_eur_per_mwh").removesuffix("_pu").removesuffix("_scale")


def heat_maps(tables: SweepTables, across: str, up: str, title: str) -> Figure:
    """Share of exact points and the largest fictitious loss, all other dimensions together."""
    cells = cells_of(tables.points, across, up)
    columns, rows = cells.columns, cells.rows
    share, loss = cells.exact_share, cells.fictitious_loss_share
    size = (4.2 + 1.1 * len(columns.labels), 2.2 + 0.42 * len(rows.labels))
    figure = Figure(figsize=(max(size[0], 10.0), max(size[1], 4.2)), layout="constrained")
    figure.suptitle(title)
    panels: tuple[tuple[str, Floats, str, str, Normalize], ...] = (
        ("share of exact points", share, "{:.2f}", SHARE_SCALE, Normalize(0.0, 1.0)),
        (
            "log10 of the largest fictitious loss (share of load)",
            np.log10(np.maximum(loss, 10.0**_SMALLEST)),
            "{:.1f}",
            LOSS_SCALE,
            _loss_norm(loss),
        ),
    )
    for k, (name, values, form, colours, norm) in enumerate(panels):
        axes = figure.add_subplot(1, 2, k + 1)
        image = axes.imshow(values, origin="lower", aspect="auto", cmap=colours, norm=norm)
        axes.set_facecolor("0.8")
        nothing = " (grey: no solved point)" if np.isnan(values).any() else ""
        axes.set_title(name + nothing, fontsize=10)
        axes.set_xticks(range(len(columns.labels)), columns.labels, **_turned(columns))
        axes.set_yticks(range(len(rows.labels)), rows.labels)
        axes.set_xlabel(DIMENSIONS[across])
        if k == 0:
            axes.set_ylabel(DIMENSIONS[up])
        _annotate(axes, values, form, norm, dark_low=colours == SHARE_SCALE)
        bar = figure.colorbar(image, ax=axes, pad=0.02)
        if k == 1:
            bar.ax.axhline(np.log10(EXACT_LOSS_SHARE), color=BLACK, linewidth=2)
            bar.set_label("black: limit of the verdict exact", fontsize=8)
    return figure


def _loss_norm(loss: Floats) -> TwoSlopeNorm:
    limit = float(np.log10(EXACT_LOSS_SHARE))
    finite = loss[np.isfinite(loss) & (loss > 0.0)]
    most = float(np.log10(finite.max())) if len(finite) else limit
    return TwoSlopeNorm(limit, _SMALLEST, max(most, limit + 1.0))


def _annotate(axes: Axes, values: Floats, form: str, norm: Normalize, *, dark_low: bool) -> None:
    """Numbers in the cells, where they can be read."""
    rows, columns = values.shape
    if rows * columns > 150:
        return
    for i in range(rows):
        for j in range(columns):
            value = values[i, j]
            if np.isnan(value):
                continue
            shade = float(norm(value))
            dark = shade < 0.5 if dark_low else not 0.2 < shade < 0.8
            colour = "white" if dark else "black"
            text = form.format(value if abs(value) >= 0.05 else abs(value))  # no -0.0
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)


def _turned(levels: Levels) -> dict[str, Any]:
    """How labels below an axis are written: long ones slope."""
    if max(len(label) for label in levels.labels) <= 6:
        return {}
    return {"rotation": 30.0, "ha": "right", "rotation_mode": "anchor"}
