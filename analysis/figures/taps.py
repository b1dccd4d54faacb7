"""Taps of on-load tap changers over time."""

import numpy as np
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import color_bar, new_figure
from stackelgrid.analysis.results.axes import by_grid, clock
from stackelgrid.analysis.run import Run
from stackelgrid.controllers.networks.naming import counted

_CHANGER = "oltc"
_ROW, _FRAME = 30, 130  # px of a grid, and of everything around them


def tap_changers(run: Run) -> list[str]:
    """Return the grids whose boundary transformer changes its tap under load, if tap is known."""
    known = set(run.interval.loc[run.interval["tap_pos"].notna(), "grid"])
    return [
        str(grid["name"])
        for grid in run.scenario["grids"]
        if grid.get("boundary", {}).get("kind") == _CHANGER and grid["name"] in known
    ]


def taps(run: Run) -> go.Figure:
    """Tap position of every tap changer over time, and the number of its changes."""
    when = clock(run)
    names = tap_changers(run)[::-1]  # the first grid on top
    table = by_grid(run, "tap_pos", when, weighted=False)[names]
    changes = (table.diff().iloc[1:] != 0.0).sum()
    rows = [f"{name}, {counted(int(changes[name]), 'change')}" for name in names]
    values = table.to_numpy(np.float64).T
    reach = max(1.0, float(np.nanmax(np.abs(values), initial=1.0)))
    figure = new_figure(
        when, "grid", height=_FRAME + _ROW * len(rows), hovermode="closest", showlegend=False
    )
    figure.add_trace(
        go.Heatmap(
            x0=when.middles[0],
            dx=when.step_ms,
            y=rows,
            z=values,
            zmin=-reach,
            zmax=reach,
            colorscale=style.TAP_SCALE,
            ygap=3,
            hovertemplate="%{y}, %{x|%H:%M}: tap %{z:d}<extra></extra>",
            colorbar=color_bar(
                "tap position", y=1.0, yanchor="bottom", len=0.8, tickvals=[-reach, 0.0, reach]
            ),
        )
    )
    figure.update_yaxes(showgrid=False, ticks="", dtick=1)
    figure.update_xaxes(showgrid=False)
    return figure
