"""Common parts of the figures of a run: axes over time, steps, areas, bands of percentiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.results.axes import Clock, copies
from stackelgrid.analysis.run import Run
from stackelgrid.profiles.arrays import Floats

LEVEL_COLORS = {"transmission": style.PURPLE, "mv": style.BLUE, "lv": style.ORANGE}
# shares of buses (or devices) between which a band lies, from outside to inside
BANDS = ((0.0, 100.0), (5.0, 95.0), (25.0, 75.0))


def new_figure(when: Clock, y_title: str, *, height: int = 340, **layout: Any) -> go.Figure:
    """Return an empty figure over time."""
    figure = go.Figure(layout=style.layout(height=height, **layout))
    figure.update_layout(showlegend=True, legend_traceorder="normal")
    figure.update_yaxes(title={"text": y_title, "standoff": 10})
    if len(when.edges):
        figure.update_xaxes(title_text=when.title, range=[when.edges[0], when.edges[-1]])
    else:
        figure.update_xaxes(title_text=when.title)
    return figure


def steps(
    when: Clock, values: "Floats | pd.Series", name: str, unit: str, digits: int = 3, **own: Any
) -> go.Scatter:
    """Line that holds each interval's value to its end."""
    y = np.asarray(values, dtype=np.float64)
    line = {"shape": "hv", "width": 2, **own.pop("line", {})}
    return go.Scatter(
        x=when.edges,
        y=np.append(y, y[-1:]),
        name=name,
        mode="lines",
        line=line,
        hovertemplate=f"%{{y:.{digits}f}} {unit}",
        **own,
    )


def area(
    when: Clock,
    values: "Floats | pd.Series",
    name: str,
    color: str,
    stack: str,
    opacity: float = 0.45,
    line: float = 1.0,
    unit: str = "MW",
    **own: Any,
) -> go.Scatter:
    """Area by interval on those of the same `stack`; `line` is the width of its edge."""
    edge, fill = {"color": color, "width": line}, faded(color, opacity)
    return steps(when, values, name, unit, line=edge, fillcolor=fill, stackgroup=stack, **own)


def marks(x: Any, y: Any, name: str, marker: dict[str, Any], hover: str = "") -> go.Scatter:
    """Marks at points, with texts by `hover`, Plotly's template of a value."""
    shown = {"hovertemplate": hover} if hover else {"hoverinfo": "skip"}
    return go.Scatter(x=x, y=y, name=name, mode="markers", marker=marker, **shown)


def legend_mark(figure: go.Figure, name: str, color: str, symbol: str = "square") -> None:
    """Add a mark that stands in the legend only."""
    mark = {"symbol": symbol, "size": 12, "color": color}
    figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=name, marker=mark))


def state_cells(
    rows: Sequence[str], states: Any, colors: Sequence[str], **own: Any
) -> dict[str, Any]:
    """Heat map of the numbers of states (rows, columns), each in its colour, as Plotly's JSON."""
    n = len(colors)
    scale = [((k + end) / n, color) for k, color in enumerate(colors) for end in (0, 1)]
    look = {"zmin": -0.5, "zmax": n - 0.5, "colorscale": scale, "showscale": False}
    return {"type": "heatmap", "y": list(rows), "z": states, **look, **own}


def color_bar(title: str = "", **own: Any) -> dict[str, Any]:
    """Return a horizontal bar of colours, as Plotly's JSON, with own entries added."""
    font = {"size": 11}
    above = {"title": {"text": title, "side": "top", "font": font}} if title else {}
    return {"orientation": "h", "thickness": 10, "tickfont": font, **above, **own}


def wide(
    run: Run, rows: pd.DataFrame, column: str, key: list[str], when: Clock
) -> tuple[Floats, Floats]:
    """Column of a table as (intervals, elements), and the copies of each element (elements,)."""
    table = rows.pivot_table(column, "interval", key, sort=False).reindex(index=when.intervals)
    count = copies(run)
    weights = np.array([float(count[element[0]]) for element in table.columns])
    return table.to_numpy(np.float64), weights


def percentiles(values: Floats, weights: Floats, shares: tuple[float, ...]) -> Floats:
    """Weighted percentiles (shares, rows) over columns of `values` (rows, columns), NaN left out.

    A column counts as `weights` (columns,) equal ones: the smallest value below which at least that
    share of the weight lies.
    """
    order = np.argsort(values, axis=1)  # NaN last
    ordered = np.take_along_axis(values, order, axis=1)
    weight = np.where(np.isnan(ordered), 0.0, weights[order])
    reached = np.cumsum(weight, axis=1)
    total = reached[:, -1:]
    result = np.full((len(shares), len(values)), np.nan)
    for k, share in enumerate(shares):
        at = np.argmax(reached >= share / 100.0 * total - 1e-9 * total, axis=1)
        if share == 0.0:
            at = np.zeros_like(at)
        result[k] = ordered[np.arange(len(values)), at]
    return result


def interval_bars(
    when: Clock, values: "Floats | pd.Series", name: str, color: str, hover: str
) -> go.Bar:
    """Bars from the start of each interval to its end; `hover` is Plotly's template of a value."""
    return go.Bar(
        x=when.edges[:-1],
        y=np.asarray(values, dtype=np.float64),
        name=name,
        offset=0,
        width=np.diff(when.edges) / np.timedelta64(1, "ms"),
        marker={"color": color, "line": {"width": 0}},
        hovertemplate=hover,
    )


def band_figure(
    when: Clock,
    values: Floats,
    weights: Floats,
    color: str,
    y_title: str,
    unit: str,
    digits: int,
    of: str,
) -> go.Figure:
    """Bands of percentiles over the columns of `values` (intervals, columns), and their median."""
    figure = new_figure(when, y_title)
    shares = tuple(sorted({s for band in BANDS for s in band} | {50.0}))
    found = dict(zip(shares, percentiles(values, weights, shares), strict=True))
    for k, (low, high) in enumerate(BANDS):
        share = f"{high - low:.0f} % of {of}" if high - low < 100.0 else f"all {of}"
        shade = {"color": color, "width": 0}
        opacity = (0.18, 0.22, 0.35)[k]
        fill = {"fill": "tonexty", "fillcolor": faded(color, opacity)}
        figure.add_trace(steps(when, found[low], share, unit, digits, line=shade, showlegend=False))
        figure.add_trace(steps(when, found[high], share, unit, digits, line=shade, **fill))
    figure.add_trace(steps(when, found[50.0], "median", unit, digits, line={"color": color}))
    for trace in figure.data:  # one line for a band's two edges reads better than seven
        if trace.line.width == 0:
            trace.hovertemplate = f"%{{y:.{digits}f}} {unit}<extra>{trace.name}</extra>"
    return figure


def faded(color: str, opacity: float) -> str:
    """Colour #rrggbb with an opacity."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def decades(figure: go.Figure, *limits: float) -> None:
    """Make the y axis logarithmic over whole powers of ten that hold all lines and limits."""
    drawn = [np.asarray(trace.y, dtype=np.float64) for trace in figure.data if trace.y is not None]
    values = np.concatenate([np.asarray(limits), *drawn])
    values = np.log10(values[values > 0.0])
    if len(values):
        low, high = np.floor(values.min()), np.ceil(values.max() + 1e-9)
        ticks = {"dtick": 1 if high - low <= 7.0 else 2, "range": [low, high]}
        figure.update_yaxes(type="log", exponentformat="power", **ticks)


def rule(
    figure: go.Figure, y: float, text: str, *, below: bool = False, logarithmic: bool = False
) -> None:
    """Draw a limit as a dashed line with its name on it; nothing where there is none (NaN)."""
    if np.isnan(y):
        return
    figure.add_hline(y=y, line={"color": style.VERMILION, "width": 1.5, "dash": "dash"})
    figure.add_annotation(
        x=1.0,
        xref="paper",
        y=np.log10(y) if logarithmic else y,  # Plotly places texts by the exponent
        yref="y",
        text=text,
        font={"size": 11, "color": style.VERMILION},
        xanchor="right",
        yanchor="top" if below else "bottom",
        showarrow=False,
    )
