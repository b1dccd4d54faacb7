"""Figures of certificates: verdicts over the day, cone gaps, violations of limits."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import (
    LEVEL_COLORS,
    decades,
    legend_mark,
    marks,
    new_figure,
    rule,
    state_cells,
    steps,
)
from stackelgrid.analysis.figures.verdict_states import (
    COLORS,
    LABELS,
    NONE,
    STATES,
    number,
)
from stackelgrid.analysis.results.axes import LEVELS, Clock, clock, grids_of, levels
from stackelgrid.analysis.results.findings import beyond_in_reality, violations_by_view
from stackelgrid.analysis.run import Run
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.explanation import VIEWS, Row, View, violated
from stackelgrid.controllers.verdict import FEASIBLE, INFEASIBLE, exactness_asked
from stackelgrid.controllers.words import words

_PHASES = " phases"  # ending of the rows that show the three-phase view of a grid


def certificate_strip(run: Run) -> go.Figure:
    """Verdict of every grid's plan by interval; marks for recoveries, fallbacks, and reality.

    Rows "... phases" are the three-phase view of a grid.
    """
    figure = _strip(run, *_codes(run, clock(run)))
    _marks(figure, run, clock(run))
    return figure


def certificate_of_levels(run: Run) -> go.Figure:
    """Worst verdict of the plans of a level by interval, as a strip a level."""
    codes, texts = _codes(run, clock(run))
    worst: dict[str, list[int]] = {}
    said: dict[str, list[str]] = {}
    for row, own in codes.items():
        grid = row.removesuffix(_PHASES)
        level = LEVELS[run.grids[grid].level] + (_PHASES if row != grid else "")
        before = worst.get(level, own)
        later = [new > old for new, old in zip(own, before, strict=True)]
        known = said.get(level, texts[row])
        worst[level] = [max(pair) for pair in zip(own, before, strict=True)]
        said[level] = [
            new if worse else old for worse, new, old in zip(later, texts[row], known, strict=True)
        ]
    figure = _strip(run, worst, said)
    figure.update_yaxes(title_text="level")
    return figure


def _strip(run: Run, codes: dict[str, list[int]], texts: dict[str, list[str]]) -> go.Figure:
    """Cells of verdicts by row and interval, the first row on top."""
    when = clock(run)
    rows = list(codes)[::-1]
    figure = new_figure(
        when, "grid", height=130 + 22 * len(rows), hovermode="closest", plot_bgcolor="#ffffff"
    )
    cells = {
        "x0": when.middles[0],
        "dx": when.step_ms,  # one cell alone has its width from here only
        "xgap": 0.5,
        "ygap": 3,
        "text": [texts[row] for row in rows],
        "hovertemplate": "%{y}, %{x|%H:%M}: %{text}<extra></extra>",
    }
    z = np.array([codes[row] for row in rows], dtype=np.int8)
    figure.add_trace(state_cells(rows, z, COLORS, **cells))
    present, counts = np.unique([codes[row] for row in rows], return_counts=True)
    for code, count in zip(present, counts, strict=True):
        legend_mark(figure, f"{LABELS[STATES[code]]}: {count}", COLORS[code])
    figure.update_yaxes(showgrid=False, ticks="", title_standoff=12, dtick=1)
    figure.update_xaxes(showgrid=False)
    return figure


def cone_gap(run: Run) -> go.Figure:
    """Largest gap of a cone at the applied step by level, p.u., logarithmic."""
    return _largest_by_level(run, "cone_gap_pu", "cone gap in p.u.", "p.u.")


def fictitious_loss(run: Run) -> go.Figure:
    """Largest share of losses that no flow explains, by level; below the line a plan is exact."""
    figure = _largest_by_level(run, "fictitious_loss_share", "fictitious loss / load (1)", "")
    decades(figure, tolerances.EXACT_LOSS_SHARE)
    rule(figure, tolerances.EXACT_LOSS_SHARE, "exact below", logarithmic=True)
    return figure


def violations(run: Run) -> go.Figure:
    """Largest violation of a limit over all grids by interval: planned, by phase, and realised.

    Of a voltage limit in p.u., of a rating as a share of it; marks where a power flow of a plan
    diverged.
    """
    when = clock(run)
    figure = new_figure(when, "violation in p.u.")
    largest = largest_violations(run, when)
    without = np.isinf(largest.to_numpy(np.float64)).any(axis=1)
    largest = largest.replace(np.inf, np.nan)
    for name, color, dash, width in (  # thin lines above the thick one, where they are equal
        ("in reality", style.ORANGE, "solid", 4),
        ("planned", style.BLUE, "solid", 1.5),
        ("planned, phase by phase", style.PURPLE, "dot", 1.5),
    ):
        if name in largest:
            line = {"color": color, "dash": dash, "width": width}
            figure.add_trace(steps(when, largest[name], name, "", 5, line=line))
    if without.any():
        x, mark = when.middles[without], {"symbol": "x", "size": 9, "color": style.VERMILION}
        hover = "power flow diverged"
        figure.add_trace(marks(x, np.zeros(len(x)), "planned, diverged", mark, hover))
    figure.update_yaxes(rangemode="tozero")
    return figure


def largest_violations(run: Run, when: Clock) -> pd.DataFrame:
    """Largest violation over all grids by interval: planned, planned phase by phase, in reality.

    Phases are left out where no grid has such a view. Infinite: the power flow of a plan diverged.
    """
    by = violations_by_view(run.interval).groupby(run.interval["interval"]).max()
    columns = {"planned": by["plan"]}
    if (run.interval["verdict_three_phase"] != "").any():
        columns["planned, phase by phase"] = by["phases"]
    columns["in reality"] = by["reality"]
    return pd.DataFrame(columns).reindex(when.intervals)


def _codes(run: Run, when: Clock) -> tuple[dict[str, list[int]], dict[str, list[str]]]:
    """State and text by row of the strip and interval."""
    codes: dict[str, list[int]] = {}
    texts: dict[str, list[str]] = {}
    table = run.interval
    rows = {
        grid: table[table["grid"] == grid].set_index("interval").reindex(when.intervals)
        for grid in run.grids
    }

    def add(row: str, own: pd.DataFrame, view: View, asked: bool) -> None:
        codes[row] = [number(verdict, asked) for verdict in own[VIEWS[view].verdict]]
        texts[row] = [_text(cells, view) for cells in own.to_dict("records")]

    for grid, info in run.grids.items():
        add(grid, rows[grid], "plan", exactness_asked(info.level))
    for grid, own in rows.items():
        if own["verdict_three_phase"].isin([FEASIBLE, INFEASIBLE]).any():
            add(grid + _PHASES, own, "phases", False)
    return codes, texts


def _text(row: Row, view: View) -> str:
    """Verdict of a plan in a view, and its violation; none for an interval without a row."""
    verdict, found = row[VIEWS[view].verdict], violated(row).get(view)
    text = verdict if isinstance(verdict, str) and verdict else LABELS[NONE]
    if found is not None:
        text += f", {found.text}"
    rung = row["recovery"] if view == "plan" else ""
    return f"{text}, recovered by {words(rung)}" if isinstance(rung, str) and rung else text


def _marks(figure: go.Figure, run: Run, when: Clock) -> None:
    table = run.interval
    middle = dict(zip(when.intervals, when.middles, strict=True))
    real = beyond_in_reality(table)
    white = {"line": {"color": style.INK, "width": 1.2}, "color": "#ffffff"}
    for name, chosen, marker in (
        ("recovered", table["recovery"] != "", {"symbol": "diamond", "size": 7, **white}),
        ("fallback", table["fallback"], {"symbol": "x-thin", "size": 8, "line": {"width": 2}}),
        ("beyond a limit in reality", real, {"symbol": "circle", "size": 6, "color": style.INK}),
    ):
        rows = table[chosen & table["interval"].isin(when.intervals)]
        if rows.empty:
            continue
        x = [middle[interval] for interval in rows["interval"]]
        figure.add_trace(marks(x, rows["grid"], name, marker))


def _largest_by_level(run: Run, column: str, title: str, unit: str) -> go.Figure:
    when = clock(run)
    figure = new_figure(when, title)
    for level in levels(run):
        mine = run.interval[run.interval["grid"].isin(grids_of(run, level))]
        values = mine.groupby("interval")[column].max().reindex(when.intervals)
        if values.isna().all():
            continue
        positive = values.where(values > 0.0)
        line = {"color": LEVEL_COLORS[level]}
        trace = steps(when, positive, LEVELS[level], unit, line=line)
        trace.hovertemplate = f"%{{y:.1e}} {unit}"
        figure.add_trace(trace)
    decades(figure)
    return figure
