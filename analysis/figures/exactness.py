"""Figures of an exactness sweep: along dimensions, by pairs of them, by condition, by line.

from stackelgrid.analysis.studies import read_sweep

along(read_sweep("runs/sweep").tables, "load_scale").show()
"""

from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from stackelgrid.analysis import style
from stackelgrid.analysis.exactness.analysis import (
    CONDITION_NAMES,
    PREDICTED,
    Cells,
    SweepTables,
    cells_of,
    conditions_table,
    judged,
    levels_of,
    line_shares,
)
from stackelgrid.analysis.figures.frame import faded
from stackelgrid.analysis.figures.tree_layout import tree_places
from stackelgrid.analysis.study_columns import DIMENSIONS
from stackelgrid.controllers.tolerances import EXACT_LOSS_SHARE
from stackelgrid.controllers.verdict import EXACT, FEASIBLE, INFEASIBLE
from stackelgrid.profiles.arrays import Floats

# log10 of the smallest fictitious loss shown: below is the rounding of the solver
_SMALLEST = -10.0
_LARGEST = 3.0  # and of the largest one
_NUMBERED = 80  # buses up to which each carries its number
_OUTCOMES = (
    ("holds_exact", "holds, exact", style.GREEN),
    ("fails_inexact", "fails, not exact", style.SKY),
    ("fails_exact", "fails, yet exact", style.YELLOW),
    ("holds_inexact", "holds, not exact", style.VERMILION),
)


def along(tables: SweepTables, dimension: str) -> go.Figure:
    """Verdicts of the points by level of one dimension, percent, and points predicted exact."""
    points = tables.points[tables.points["verdict"] != ""]
    levels = levels_of(points[dimension])
    labels = list(levels.labels)
    at = pd.Series(levels.of_point, index=points.index)
    count = at.value_counts().reindex(range(len(labels)), fill_value=0).to_numpy()
    figure = go.Figure(layout=style.layout(height=330, barmode="stack", bargap=0.15))
    figure.update_layout(legend_traceorder="normal")

    def share(flag: "pd.Series[bool]") -> Floats:
        own = at[flag.astype(bool)].value_counts().reindex(range(len(labels)), fill_value=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            percent: Floats = 100.0 * own.to_numpy() / count
        return percent

    for verdict in (EXACT, FEASIBLE, INFEASIBLE):
        figure.add_trace(
            go.Bar(
                x=labels, y=share(points["verdict"] == verdict), name=verdict,
                marker={"color": style.VERDICTS[verdict]}, hovertemplate="%{y:.1f} %",
            )
        )  # fmt: skip
    if judged(points):
        figure.add_trace(
            go.Scatter(
                x=labels, y=share(points[PREDICTED]), name="predicted exact", mode="lines+markers",
                line={"color": style.BLACK, "width": 2}, marker={"size": 8},
                hovertemplate="%{y:.1f} %",
            )
        )  # fmt: skip
    figure.update_xaxes(title_text=DIMENSIONS[dimension], type="category")
    figure.update_yaxes(title_text="percent of points", range=[0, 101])
    return figure


def conditions(tables: SweepTables, basis: str = "point") -> go.Figure:
    """Share of right predictions by each a priori condition, and all; basis point or step.

    Only all three together predict: points where they hold that are not exact would refute them.
    """
    table = conditions_table(tables.points, tables.steps)
    table = table[table["basis"] == basis].set_index("condition")
    names = [CONDITION_NAMES[str(c)] for c in table.index]
    figure = go.Figure(
        layout=style.layout(
            height=150 + 40 * len(names), barmode="stack", bargap=0.3, hovermode="y unified"
        )
    )
    figure.update_layout(legend_traceorder="normal")
    for column, label, color in _OUTCOMES:
        alone = faded(color, 0.35) if column == "holds_inexact" else color
        figure.add_trace(
            go.Bar(
                x=table[column], y=names, orientation="h", name=label,
                marker={"color": [color, *[alone] * (len(names) - 1)]}, hovertemplate="%{x}",
            )
        )  # fmt: skip
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(title_text=f"number of {basis}s")
    return figure


def exact_share(tables: SweepTables, across: str, up: str) -> go.Figure:
    """Percent of points that are exact by two dimensions, all others together."""
    cells = cells_of(tables.points, across, up)
    colors = (style.SHARE_SCALE, 0.0, 100.0)
    share, hover = 100.0 * cells.exact_share, "%{z:.1f} % exact"
    return _heat(cells, across, up, share, colors, "%", "%{z:.0f}", hover)


def fictitious_loss(tables: SweepTables, across: str, up: str) -> go.Figure:
    """Largest fictitious loss by two dimensions, log10 of its share of the load; white: the limit.

    The limit is that of the verdict exact.
    """
    cells = cells_of(tables.points, across, up)
    # infinite where no uncontrolled load is left to compare with
    loss = np.log10(np.clip(cells.fictitious_loss_share, 10.0**_SMALLEST, 10.0**_LARGEST))
    limit = float(np.log10(EXACT_LOSS_SHARE))
    most = max(float(np.nanmax(loss, initial=limit)), limit + 1.0)
    colors = (_scale_around(limit, _SMALLEST, most), _SMALLEST, most)
    return _heat(cells, across, up, loss, colors, "log10", "%{z:.1f}", "10^%{z:.2f} of the load")


def _scale_around(middle: float, low: float, high: float) -> list[list[Any]]:
    """Colours of losses with the middle one, white, at a value between low and high."""
    shades = np.linspace(0.0, 1.0, 21)
    values = np.interp(shades, [0.0, 0.5, 1.0], [low, middle, high])
    places = (values - low) / (high - low)
    colors = sample_colorscale(style.LOSS_SCALE, list(shades))
    return [[float(place), color] for place, color in zip(places, colors, strict=True)]


def _heat(
    cells: Cells,
    across: str,
    up: str,
    values: Floats,
    colors: tuple[Any, float, float],
    unit: str,
    number: str,
    hover: str,
) -> go.Figure:
    """Heat map of values (rows, columns); `colors` are a scale and the values at its ends.

    `number` and `hover` are Plotly's templates of a value; cells without a point are grey.
    """
    columns, rows = cells.columns.labels, cells.rows.labels
    margin = {"l": 60, "r": 10, "t": 12, "b": 44}
    layout = {"height": 150 + 34 * max(len(rows), 5), "hovermode": "closest", "margin": margin}
    figure = go.Figure(layout=style.layout(plot_bgcolor=style.VERDICTS[""], **layout))
    many = values.size > 150  # numbers would not be readable
    text = {} if many else {"texttemplate": number, "textfont": {"size": 11}}
    scale, low, high = colors
    bar, template = {"title": {"text": unit}, "thickness": 12}, f"{hover}<extra></extra>"
    figure.add_trace(
        go.Heatmap(
            x=columns, y=rows, z=values, xgap=1, ygap=1, colorscale=scale, zmin=low, zmax=high,
            colorbar=bar, hovertemplate=template, **text,
        )
    )  # fmt: skip
    figure.update_xaxes(title_text=DIMENSIONS[across], type="category", showgrid=False)
    figure.update_yaxes(title_text=DIMENSIONS[up], type="category", showgrid=False)
    return figure


def feeder_tree(tables: SweepTables, tree: pd.DataFrame, column: str = "inexact") -> go.Figure:
    """The feeder as a tree; lines coloured by the percent of points in which they are inexact.

    `tree` is that of feeder_tree.tree_table; with `column` c1_fails where condition C1 fails.
    """
    shares = line_shares(tables)[column].reindex(tree["line"][1:]).fillna(0.0).to_numpy()
    lines = nx.Graph(list(enumerate(tree["parent"].tolist()))[1:])
    lines.add_node(0)
    places = tree_places(lines, 0)
    x, y = np.array([places[k] for k in range(len(tree))]).T
    numbered = len(tree) <= _NUMBERED
    figure = go.Figure(
        layout=style.layout(
            height=int(min(110 + 46 * (int(y.max(initial=0)) + 1), 620)),
            hovermode="closest",
            showlegend=False,
            margin={"l": 10, "r": 10, "t": 10, "b": 44},
        )
    )
    most = max(float(shares.max(initial=0.0)), 0.01)
    for k, parent in enumerate(tree["parent"][1:]):
        color = sample_colorscale(style.LINE_SCALE, [shares[k] / most])[0]
        line = {"color": color, "width": 6 if numbered else 2}
        figure.add_trace(
            go.Scatter(
                x=[x[parent], x[parent], x[k + 1]], y=[y[parent], y[k + 1], y[k + 1]],
                mode="lines", line=line, hoverinfo="skip",
            )
        )  # fmt: skip
    texts = [f"{n}: {100.0 * s:.1f} %" for n, s in zip(tree["line"][1:], shares, strict=True)]
    figure.add_trace(
        go.Scatter(
            x=x, y=y, mode="markers+text" if numbered else "markers",
            text=list(tree["bus"]) if numbered else None, textfont={"size": 9},
            marker={
                "size": 18 if numbered else 4,
                "color": style.PAPER,
                "line": {"color": style.BLACK, "width": 1},
            },
            customdata=[f"bus {tree['bus'].iloc[0]} (head)", *texts],
            hovertemplate="%{customdata}<extra></extra>",
        )
    )  # fmt: skip
    scale = {"colorscale": style.LINE_SCALE, "cmin": 0.0, "cmax": 100.0 * most, "size": 0.1}
    bar = {"title": {"text": "% of points"}, "thickness": 12}
    figure.add_trace(  # meaning of the colours
        go.Scatter(
            x=[None], y=[None], mode="markers",
            marker={**scale, "color": [0.0], "showscale": True, "colorbar": bar},
            hoverinfo="skip",
        )
    )  # fmt: skip
    if shares.any():
        worst = int(np.argmax(shares)) + 1
        name = f"<b>{tree['line'].iloc[worst]}</b>"
        figure.add_annotation(x=x[worst] - 0.5, y=y[worst], text=name, yshift=18, showarrow=False)
    figure.update_yaxes(visible=False, range=[float(y.max(initial=0)) + 0.6, -0.9])
    figure.update_xaxes(
        title_text="lines from the head", tickformat="d", showgrid=False, zeroline=False
    )
    return figure
