"""Figures of negotiations: residuals round by round, schedules held, times to agreement."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stackelgrid.analysis import style
from stackelgrid.analysis.negotiation import (
    RESIDUALS,
    NegotiationTables,
    cold_and_warm,
    held_states,
    rounds_of,
)
from stackelgrid.controllers import tolerances

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# a residual that is zero cannot be drawn on a log axis
_SMALLEST = 1e-8


def rounds(tables: NegotiationTables, grid: str, interval: int | None = None) -> "Figure":
    """Residuals of one negotiation round by round, on a log axis; the first one by default."""
    import plotly.graph_objects as go

    own = rounds_of(tables, grid, cold_and_warm(tables, grid)[0] if interval is None else interval)
    figure = go.Figure(layout=style.layout(height=400))
    at = own["round"].to_numpy(dtype=np.float64)
    colors = (style.BLUE, style.ORANGE, style.GREEN)
    for (column, label), color in zip(RESIDUALS.items(), colors, strict=True):
        values = np.maximum(own[column].to_numpy(dtype=np.float64), _SMALLEST)
        figure.add_trace(
            go.Scatter(
                x=at, y=values, mode="lines+markers", name=label, line={"color": color},
                hovertemplate="%{y:.1e}",
            )
        )  # fmt: skip
    ends = [float(at[0]) - 0.5, float(at[-1]) + 0.5]
    figure.add_trace(
        go.Scatter(
            x=ends, y=[tolerances.NEGOTIATION_PRICE] * 2, mode="lines",
            name="limit of the two price residuals",
            line={"color": style.BLACK, "dash": "dash", "width": 1}, hoverinfo="skip",
        )
    )  # fmt: skip
    fixed = at[own["fixed"].to_numpy(dtype=bool)]
    for r in fixed:
        figure.add_vrect(x0=r - 0.5, x1=r + 0.5, fillcolor=style.RULE, line_width=0, layer="below")
    if len(fixed):
        mark = {"color": style.RULE, "size": 12, "symbol": "square"}
        figure.add_trace(
            go.Scatter(x=[None], y=[None], mode="markers", name="binaries fixed", marker=mark)
        )
    figure.update_yaxes(title_text="residual (1)", type="log", exponentformat="power", dtick=1)
    figure.update_xaxes(title_text="round", range=ends, tickformat="d")
    return figure


def schedules_held(tables: NegotiationTables) -> "Figure":
    """What every agent held at the gate of every interval: agents by intervals."""
    import plotly.graph_objects as go

    held = held_states(tables)
    states = list(style.HELD.items())
    figure = go.Figure(
        layout=style.layout(height=int(150 + 24 * len(held)), hovermode="closest", showlegend=True)
    )
    codes = held.to_numpy(dtype=np.float64)
    n = len(states)
    scale = [[(k + e) / n, color] for k, (_, color) in enumerate(states) for e in (0, 1)]
    told = [[states[int(c)][0] if np.isfinite(c) else "" for c in row] for row in codes]
    figure.add_trace(
        go.Heatmap(
            x=[int(c) for c in held.columns], y=[str(g) for g in held.index], z=codes,
            zmin=-0.5, zmax=n - 0.5, colorscale=scale, showscale=False, xgap=1, ygap=1,
            customdata=told,
            hovertemplate="%{y}, interval %{x}: %{customdata}<extra></extra>",
        )
    )  # fmt: skip
    for k in np.unique(codes[np.isfinite(codes)]).astype(int):
        label, color = states[k]
        mark = {"color": color, "size": 12, "symbol": "square"}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=label, marker=mark))
    figure.update_yaxes(title_text="agent", autorange="reversed", type="category", showgrid=False)
    figure.update_xaxes(
        showgrid=False, zeroline=False, **_intervals([int(c) for c in held.columns])
    )
    return figure


def agreement(tables: NegotiationTables) -> "Figure":
    """Simulated time to agreement of every interval by follower; no bar where there was none."""
    import plotly.graph_objects as go

    told = tables.negotiation
    figure = go.Figure(layout=style.layout(height=300, barmode="group"))
    for k, follower in enumerate(told["grid"].unique()):
        own = told[told["grid"] == follower]
        figure.add_trace(
            go.Bar(
                x=own["interval"], y=own["agreement_after_sec"], name=str(follower),
                marker={"color": style.line_of(k)["color"]}, customdata=own["rounds"],
                hovertemplate="%{y:.2f} s, %{customdata} rounds", showlegend=True,
            )
        )  # fmt: skip
    figure.update_yaxes(title_text="time to agreement in s", rangemode="tozero")
    figure.update_xaxes(**_intervals(list(told["interval"])))
    return figure


def _intervals(shown: Sequence[int]) -> dict[str, Any]:
    """Axis of intervals: a few whole numbers."""
    first, last = min(shown), max(shown)
    every = max(1, -(-(last + 1 - first) // 12))
    return {"title_text": "interval", "dtick": every, "range": [first - 0.5, last + 0.5]}
