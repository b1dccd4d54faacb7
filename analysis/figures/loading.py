"""Figures of loadings: over time, duration curves, and the fullest branches."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.bars import named_bars
from stackelgrid.analysis.figures.frame import LEVEL_COLORS, marks, new_figure, rule, steps
from stackelgrid.analysis.results.axes import LEVELS, Clock, clock, grids_of, levels
from stackelgrid.analysis.results.baseline import compared_with
from stackelgrid.analysis.results.limits import has_network
from stackelgrid.analysis.run import Run
from stackelgrid.profiles.arrays import Floats

_FULLEST = 12
_ELEMENTS = {"line": ("lines", 1.5), "trafo": ("transformers", 3.0)}  # in words, width of lines


def durations(run: Run) -> go.Figure:
    """Hours in which the fullest branch of a level has at least a loading, percent.

    Dashed: the run without control.
    """
    figure = go.Figure(layout=style.layout(height=360, hovermode="closest"))
    other, rated = compared_with(run), [of for of in levels(run) if has_rated_branches(run, of)]
    for level in rated:
        if other is None:
            break
        line = {"color": LEVEL_COLORS[level], "dash": "dash", "width": 1.5}
        figure.add_trace(_duration(other, level, f"{LEVELS[level]}, without control", line))
    for level in rated:
        line = {"color": LEVEL_COLORS[level], "width": 2.5}
        figure.add_trace(_duration(run, level, LEVELS[level], line))
    hours = run.dt_h * len(clock(run).intervals)
    figure.update_xaxes(title_text="time in h", range=[0.0, hours])
    figure.update_yaxes(title_text="loading in %", rangemode="tozero")
    rule(figure, 100.0, "rating")
    return figure


def over_time(run: Run) -> go.Figure:
    """Loading of the fullest line or transformer by level in every interval, percent.

    By kind of branch where a level has both; dashed: the run without control.
    """
    when, other = clock(run), compared_with(run)
    figure = new_figure(when, "loading in %", height=360)
    shown = [level for level in levels(run) if has_rated_branches(run, level)]
    for level in shown:
        largest = _by_element(run, level, when)
        before = _by_element(other, level, when) if other else {}
        for element, values in largest.items():
            words, width = _ELEMENTS.get(element, (element, 1.5))
            name = f"{words}, {LEVELS[level]}"
            look = {"color": LEVEL_COLORS[level], "width": width}
            own = {"legendgroup": name}
            if element in before:
                dashed = {**look, "dash": "dash"}
                text = f"{name}, without control"
                trace = steps(when, before[element], text, "%", 1, line=dashed, **own)
                figure.add_trace(trace)
            figure.add_trace(steps(when, values, name, "%", 1, line=look, **own))
    figure.update_yaxes(rangemode="tozero")
    rule(figure, 100.0, "rating")
    return figure


def _by_element(run: Run, level: str, when: Clock) -> dict[str, Floats]:
    """Return the largest loading (intervals,) by kind of branch, without those never loaded."""
    mine = run.branch[run.branch["grid"].isin(grids_of(run, level))]
    largest = mine.pivot_table("loading_percent", "interval", "element", aggfunc="max")
    largest = largest.reindex(index=when.intervals)
    return {str(n): v.to_numpy(np.float64) for n, v in largest.items() if v.max() > 0.0}


def _duration(run: Run, level: str, name: str, line: dict[str, object]) -> go.Scatter:
    loading = duration(run, level)
    loading = np.append(loading, loading[-1:])  # the last one holds to its end
    hours = run.dt_h * np.arange(len(loading))
    return go.Scatter(
        x=hours,
        y=loading,
        name=name,
        mode="lines",
        line={"shape": "hv", **line},
        hovertemplate="at least %{y:.1f} % for %{x:.4~g} h",
    )


def duration(run: Run, level: str) -> Floats:
    """Return the largest loading of a level in every interval, from the fullest down, percent."""
    mine = run.branch[run.branch["grid"].isin(grids_of(run, level))]
    mine = mine[mine["interval"].isin(clock(run).intervals)]
    largest = mine.groupby("interval")["loading_percent"].max().to_numpy(np.float64)
    return np.sort(largest)[::-1]


def has_rated_branches(run: Run, level: str) -> bool:
    """Return whether any branch of a level has a rating and a flow."""
    mine = run.branch["grid"].isin(grids_of(run, level))
    return bool((run.branch.loc[mine, "loading_percent"] > 0.0).any())


def fullest_branches(run: Run) -> go.Figure:
    """Largest loading of the fullest branches, by name, with the time of it, percent.

    Marks: the largest loading without control.
    """
    when = clock(run)
    branches = run.branch
    at = branches.groupby(["grid", "element", "index"], sort=False)["loading_percent"].idxmax()
    worst = branches.loc[at].nlargest(_FULLEST, "loading_percent").iloc[::-1]
    other, names = compared_with(run), branch_names(run, worst)
    loadings = [float(loading) for loading in worst["loading_percent"]]
    times = [when.text(interval) for interval in worst["interval"]]
    texts = [f"{loading:.0f} % at {at}" for loading, at in zip(loadings, times, strict=True)]
    if other:  # marks need the place of the texts
        names = [f"{name}, {at}" for name, at in zip(names, times, strict=True)]
        texts = [""] * len(names)
    colors = [LEVEL_COLORS[run.grids[str(grid)].level] for grid in worst["grid"]]
    titles = ("largest loading in %", "branch")
    figure = named_bars(loadings, names, texts, colors, titles, "%{x:.1f} %")
    if max(loadings, default=0.0) > 75.0:
        figure.add_vline(x=100.0, line={"color": style.VERMILION, "dash": "dash", "width": 1.5})
    if other:
        key = ["grid", "element", "index"]
        before = other.branch.groupby(key)["loading_percent"].max()
        values = before.reindex(pd.MultiIndex.from_frame(worst[key])).to_numpy(np.float64)
        mark = {"symbol": "diamond-open", "size": 9, "color": style.INK, "line": {"width": 2}}
        hover = "%{y}: %{x:.1f} % without control<extra></extra>"
        figure.data[0].showlegend = False
        figure.add_trace(marks(values, names, "largest loading without control", mark, hover))
        reach = 1.1 * np.nanmax([*values, *loadings])
        figure.update_layout(showlegend=True, margin={"t": 40}, xaxis_range=[0.0, reach])
    return figure


def branch_names(run: Run, rows: pd.DataFrame) -> list[str]:
    """Name of each branch of a table with grid, element, index: "mv1 line 3 (name)"."""
    known: dict[tuple[str, str, int], str] = {}
    if has_network(run):
        network = run.network
        known = {
            (str(g), str(e), int(i)): str(n)
            for g, e, i, n in zip(
                network["grid"], network["element"], network["index"], network["name"], strict=True
            )
        }
    texts = []
    for grid, element, index in zip(rows["grid"], rows["element"], rows["index"], strict=True):
        plain = f"{element} {index}"
        name = known.get((str(grid), str(element), int(index)), "")
        # a long merged name would push the figure off a phone
        own = f" ({name})" if name and name != plain and len(name) <= 18 else ""
        texts.append(f"{grid} {plain}{own}")
    return texts
