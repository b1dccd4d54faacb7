"""Bars of schemes or qualities, each under its name with its value written out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.profiles.arrays import Floats

# bars below this are none: an axis of their size would show rounding
_NOTHING = 1e-6
_ROW, _FRAME = 46, 78  # px of a name with its bars, and of everything around them


@dataclass(frozen=True)
class Part:
    """One bar of every name: values (names,), their texts, colours; the label of several."""

    values: Floats
    texts: Sequence[str]
    colors: Sequence[str]
    label: str = ""


def bar_figure(
    names: Sequence[str], parts: Sequence[Part], title: str, *, stacked: bool = False
) -> go.Figure:
    """Horizontal bars, the first name on top.

    names: names of the bars.
    parts: values of the bars, NaN for none.
    title: quantity and unit on the axis.
    stacked: whether parts are stacked; else they are side by side.

    Values are written beside the names, in the colours of their bars, so they are readable at any
    width.
    """
    figure = go.Figure(
        layout=style.layout(
            height=_FRAME + _ROW * len(names),
            barmode="stack" if stacked else "group",
            bargap=0.35,
            bargroupgap=0.0,
            hovermode="closest",
            showlegend=False,
            margin={"l": 10, "r": 16, "t": 8, "b": 44},
        )
    )
    where = np.arange(len(names))
    for part in parts:
        figure.add_trace(
            go.Bar(
                x=np.nan_to_num(part.values),
                y=where,
                orientation="h",
                marker={"color": list(part.colors)},
                name=part.label,
                customdata=[
                    f"{name}: {text}" for name, text in zip(names, part.texts, strict=True)
                ],
                hovertemplate="%{customdata}<extra></extra>",
            )
        )
    labels = [_label(name, [(p, k) for p in parts]) for k, name in enumerate(names)]
    figure.update_yaxes(
        tickvals=where, ticktext=labels, range=[len(names) - 0.5, -0.5], showgrid=False, ticks=""
    )
    figure.update_xaxes(title_text=title, **_reach(parts, stacked=stacked))
    return figure


def named_bars(
    values: Sequence[float],
    names: Sequence[str],
    texts: Sequence[str],
    colors: Sequence[str],
    titles: tuple[str, str],
    hover: str,
) -> go.Figure:
    """Horizontal bars with texts at their ends, the first name below.

    values: lengths of the bars.
    names: their names.
    texts: texts at their ends.
    colors: their colours.
    titles: titles of both axes.
    hover: Plotly's template of a value.
    """
    bars = go.Bar(
        x=values,
        y=names,
        orientation="h",
        marker={"color": colors},
        text=texts,
        textposition="auto",  # inside a long bar, because a phone would cut a text beside it
        insidetextanchor="end",
        textangle=0,
        constraintext="none",
        cliponaxis=False,
        hovertemplate=f"%{{y}}: {hover}<extra></extra>",
    )
    height = _FRAME + 24 * len(names)
    figure = go.Figure(
        bars,
        style.layout(height=height, hovermode="closest", showlegend=False, margin=style.BARE),
    )
    figure.update_xaxes(title_text=titles[0], range=[0, 1.25 * max(values, default=100.0)])
    figure.update_yaxes(title={"text": titles[1], "standoff": 12}, ticks="")
    return figure


def _label(name: str, cells: Sequence[tuple[Part, int]]) -> str:
    """Name, and below it the texts of the bars in the order of drawing."""
    several = len(cells) > 1
    if all(np.isnan(part.values[k]) for part, k in cells):
        return f"<b>{name}</b><br>none"
    texts = [
        f'<span style="color:{part.colors[k]}">{part.texts[k]} {part.label}</span>'
        if several
        else part.texts[k]
        for part, k in cells
    ]
    return f"<b>{name}</b><br>{', '.join(texts)}"


def _reach(parts: Sequence[Part], *, stacked: bool) -> dict[str, Any]:
    """Limits of the axis: from zero, and not of the size of rounding."""
    values = np.nan_to_num(np.stack([p.values for p in parts]))
    if stacked:
        values = values.sum(axis=0)
    low, high = min(float(values.min(initial=0.0)), 0.0), max(float(values.max(initial=0.0)), 0.0)
    if high - low < _NOTHING:
        return {"range": [0.0, 1.0]}
    room = 0.05 * (high - low)
    return {"range": [low - room if low < 0.0 else 0.0, high + room if high > 0.0 else 0.0]}
