"""Figures of negotiations: residuals round by round, schedules held, times to agreement."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import faded, legend_mark, state_cells
from stackelgrid.analysis.kpis.negotiation import (
    RESIDUALS,
    cold_and_warm,
    held_states,
    rounds_of,
)
from stackelgrid.analysis.results.record import RunRecord
from stackelgrid.controllers import tolerances

# a residual that is zero cannot be drawn on a log axis
_SMALLEST = 1e-8


def rounds(run: RunRecord, grid: str, interval: int | None = None) -> go.Figure:
    """Residuals of one negotiation round by round, on a log axis; the first one by default."""
    own = rounds_of(run, grid, cold_and_warm(run, grid)[0] if interval is None else interval)
    figure = go.Figure(layout=style.layout(height=400))
    at = own["round"].to_numpy(dtype=np.float64)
    colors = (style.BLUE, style.ORANGE, style.GREEN)
    for (column, label), color, symbol in zip(
        RESIDUALS.items(), colors, style.SYMBOLS, strict=False
    ):
        values = np.maximum(own[column].to_numpy(dtype=np.float64), _SMALLEST)
        figure.add_trace(
            go.Scatter(
                x=at, y=values, mode="lines+markers", name=label, line={"color": color},
                marker={"symbol": symbol, "size": 7},
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
        legend_mark(figure, "binaries fixed", style.RULE)
    figure.update_yaxes(title_text="residual (1)", type="log", exponentformat="power", dtick=1)
    figure.update_xaxes(title_text="round", range=ends, tickformat="d")
    return figure


def schedules_held(run: RunRecord) -> go.Figure:
    """Draw the schedule held by every agent at the gate of every interval."""
    held = held_states(run)
    states = list(style.HELD.items())
    figure = go.Figure(
        layout=style.layout(height=int(150 + 24 * len(held)), hovermode="closest", showlegend=True)
    )
    codes = held.to_numpy(dtype=np.float64)
    names = [[states[int(c)][0] if np.isfinite(c) else "" for c in row] for row in codes]
    intervals = [int(c) for c in held.columns]
    hover = "%{y}, interval %{x}: %{customdata}<extra></extra>"
    cells = {"x": intervals, "xgap": 1, "ygap": 1, "customdata": names, "hovertemplate": hover}
    colors = [color for _, color in states]
    figure.add_trace(state_cells([str(g) for g in held.index], codes, colors, **cells))
    for k in np.unique(codes[np.isfinite(codes)]).astype(int):
        legend_mark(figure, *states[k])
    figure.update_yaxes(title_text="agent", autorange="reversed", type="category", showgrid=False)
    figure.update_xaxes(showgrid=False, zeroline=False, **_intervals(intervals))
    return figure


def agreement(run: RunRecord) -> go.Figure:
    """Simulated time to agreement of every interval by follower, and the rounds until then.

    There is no bar where there was no agreement; dots on the right axis are rounds.
    """
    met = run.negotiation
    figure = go.Figure(layout=style.layout(height=300, barmode="group", scattermode="group"))
    for k, follower in enumerate(met["grid"].unique()):
        own, color = met[met["grid"] == follower], style.line_of(k)["color"]
        figure.add_trace(
            go.Bar(
                x=own["interval"], y=own["agreement_after_sec"], name=str(follower),
                marker={"color": faded(color, 0.6)}, offsetgroup=str(follower),
                hovertemplate="%{y:.2f} s", showlegend=True,
            )
        )  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=own["interval"], y=own["rounds"], name=f"{follower}, rounds", yaxis="y2",
                mode="markers", marker={"color": color, "size": 6}, offsetgroup=str(follower),
                hovertemplate="%{y} rounds",
            )
        )  # fmt: skip
    most = 1.15 * max(float(met["rounds"].max()), 1.0)
    figure.update_layout(
        yaxis={"title_text": "time to agreement in s", "rangemode": "tozero"},
        yaxis2={
            "title_text": "rounds (dots)", "overlaying": "y", "side": "right", "showgrid": False,
            "range": [0.0, most], "tickformat": "d",
        },
    )  # fmt: skip
    figure.update_xaxes(**_intervals(list(met["interval"])))
    return figure


def _intervals(shown: Sequence[int]) -> dict[str, Any]:
    """Axis of intervals: a few whole numbers."""
    first, last = min(shown), max(shown)
    every = max(1, -(-(last + 1 - first) // 12))
    return {"title_text": "interval", "dtick": every, "range": [first - 0.5, last + 0.5]}
