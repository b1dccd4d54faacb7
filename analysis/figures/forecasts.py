"""Figures of forecasts beside reality: what the plans of the feeders expected, and what came."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import steps
from stackelgrid.analysis.results.axes import Clock, by_grid, clock, copies
from stackelgrid.analysis.run import Run
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.profiles.arrays import Floats

USE = "uncontrolled use and losses"
_ALIKE = 1e-3  # share of the largest power up to which plan and reality are alike
_NOTHING_MW = 1e-6
_PANEL_PX = 190


def expected_and_real(run: Run) -> dict[str, tuple[Floats, Floats]]:
    """Return expected and real power (intervals,) of all feeders by quantity, all copies, MW.

    Of each kind with set points the expected and the delivered feed-in or consumption; what is left
    of the planned exchange are the uncontrolled use and the losses. NaN without a plan.
    """
    when = clock(run)
    feeders = [grid.name for grid in run.grids.values() if grid.level != "transmission"]

    def total(column: str) -> "pd.Series[float]":
        return by_grid(run, column, when)[feeders].sum(axis=1, skipna=False)

    planned, real = total("p_import_planned_mw"), total("p_import_mw")
    lower = run.boundary[run.boundary["parent"].isin(feeders)]
    for column, exchange in (("p_planned_mw", planned), ("p_mw", real)):
        power = lower[column] * lower["grid"].map(copies(run))
        below = power.groupby(lower["interval"]).sum(min_count=1).reindex(when.intervals)
        exchange -= below.fillna(0.0)
    found = {}
    devices = run.device[run.device["grid"].isin(feeders)]
    for kind in kinds():
        own = devices[devices["kind"] == kind.kind]
        if own.empty or own["asked_mw"].isna().all():
            continue
        count = own["grid"].map(copies(run))
        powers = [
            (own[column] * count).groupby(own["interval"]).sum().reindex(when.intervals)
            for column in ("asked_mw", "p_mw")
        ]
        sign = 1.0 if kind.injects else -1.0
        planned, real = planned + sign * powers[0], real + sign * powers[1]
        found[kind.label] = (powers[0].to_numpy(), powers[1].to_numpy())
    return {USE: (planned.to_numpy(), real.to_numpy()), **found}


def apart(run: Run) -> dict[str, tuple[Floats, Floats]]:
    """Return the quantities of `expected_and_real` in which expectation and reality differ."""
    found = expected_and_real(run)
    largest = max((np.nanmax(np.abs(real), initial=0.0) for _, real in found.values()), default=0.0)
    least = max(_ALIKE * largest, _NOTHING_MW)
    return {
        name: pair
        for name, pair in found.items()
        if np.nanmax(np.abs(pair[0] - pair[1]), initial=0.0) > least
    }


def forecasts(run: Run) -> go.Figure:
    """Expected and real power of all feeders, all copies, MW: where they differ, else all.

    Dashed: expected by the plan that was applied.
    """
    when, found = clock(run), apart(run) or expected_and_real(run)
    figure = make_subplots(
        rows=len(found),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.15 / len(found),
        subplot_titles=[_title(name, *pair) for name, pair in found.items()],
    )
    plot = _PANEL_PX * len(found)
    legend = {"orientation": "h", "y": 1.0 + 26.0 / plot, "yanchor": "bottom", "x": 0.0}
    margin = {"l": 60, "r": 20, "t": 76, "b": 52}
    figure.update_layout(style.layout(height=plot + 128, margin=margin, legend=legend))
    figure.update_annotations(font_size=13, x=0.0, xanchor="left")
    for row, (expected, real) in enumerate(found.values(), start=1):
        _draw(figure, when, row, expected, real)
    figure.update_yaxes(title_text="power in MW")
    figure.update_xaxes(range=[when.edges[0], when.edges[-1]])
    figure.update_xaxes(title_text=when.title, row=len(found), col=1)
    return figure


def _draw(figure: go.Figure, when: Clock, row: int, expected: Floats, real: Floats) -> None:
    dash = {"color": style.ORANGE, "dash": "dash", "width": 2}
    for values, name, line in (
        (real, "real", {"color": style.BLUE, "width": 2.5}),
        (expected, "expected", dash),
    ):
        trace = steps(when, values, name, "MW", line=line)
        trace.update(legendgroup=name, showlegend=row == 1)
        figure.add_trace(trace, row=row, col=1)


def _title(name: str, expected: Floats, real: Floats) -> str:
    """Name of a quantity with its mean absolute error, relative to the mean of reality."""
    error, mean = np.nanmean(np.abs(real - expected)), np.nanmean(np.abs(real))
    share = f" ({error / mean:.0%})" if mean > _NOTHING_MW else ""
    return f"{name}: off by {error:.3g} MW{share} on average"
