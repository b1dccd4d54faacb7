"""Figures of how a run came about: convergence of interfaces, and where the time went."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.bars import named_bars
from stackelgrid.analysis.figures.frame import decades, interval_bars, new_figure, steps
from stackelgrid.analysis.results.axes import clock
from stackelgrid.analysis.run import Run

_PARTS = {
    "build_s": "building the models, run without control",
    "solve_s": "deciding (solving and certifying)",
    "power_flow_s": "power flow",
    "cosimulation_s": "co-simulation",
    "state_s": "saving the state",
    "other_s": "tables, summary and other",
}


def interface_rounds(run: Run) -> go.Figure:
    """Power flows until all interfaces had converged: the most of any grid by interval."""
    when = clock(run)
    rounds = run.interval.groupby("interval")["rounds"].max().reindex(when.intervals)
    figure = new_figure(when, "rounds (power flows)", height=280, bargap=0, showlegend=False)
    hover = "%{y} rounds<extra></extra>"
    figure.add_trace(interval_bars(when, rounds, "rounds", style.SKY, hover))
    figure.update_yaxes(rangemode="tozero", tickformat="d")
    figure.update_layout(showlegend=False, margin=style.BARE)
    return figure


def interface_mismatch(run: Run) -> go.Figure:
    """Largest mismatch left at an interface by interval, MVA, logarithmic."""
    when = clock(run)
    mismatch = run.boundary.groupby("interval")["mismatch_mva"].max().reindex(when.intervals)
    figure = new_figure(when, "mismatch in MVA", height=280)
    trace = steps(when, mismatch.where(mismatch > 0.0), "mismatch", "MVA")
    trace.line.color = style.BLUE
    trace.hovertemplate = "%{y:.1e} MVA<extra></extra>"
    figure.add_trace(trace)
    figure.update_layout(showlegend=False, margin=style.BARE)
    decades(figure)
    return figure


def time_spent(run: Run) -> go.Figure:
    """Wall-clock time of a run by activity, seconds."""
    timings: Mapping[str, Any] = run.summary["timings"]
    parts = {text: float(timings[key]) for key, text in _PARTS.items() if key in timings}
    total = max(sum(parts.values()), 1e-9)
    names = list(parts)[::-1]
    seconds = [parts[name] for name in names]
    texts = [f"{s:,.1f} s ({s / total:.0%})" for s in seconds]
    colors = [style.BLUE] * len(names)
    titles = ("wall-clock time in s", "part of the run")
    return named_bars(seconds, names, texts, colors, titles, "%{x:.2f} s")


def time_of_decisions(run: Run) -> go.Figure:
    """Wall-clock time of every interval's decision by follower, seconds."""
    when = clock(run)
    figure = new_figure(when, "time in s", height=300, barmode="stack", bargap=0)
    for n, (grid, rows) in enumerate(run.stage.groupby("grid", sort=False)):
        seconds = rows.groupby("interval")["solve_s"].sum().reindex(when.intervals, fill_value=0.0)
        color, name = style.line_of(n)["color"], f"follower {grid}"
        figure.add_trace(interval_bars(when, seconds, name, color, "%{y:.2f} s"))
    return figure
