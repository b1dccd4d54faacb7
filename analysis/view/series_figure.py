"""Panels of a series one below the other, as a Plotly figure."""

from typing import Any

import numpy as np

from stackelgrid.analysis import style
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.series import Line, Panel, Series

# px: height of a panel, and of titles and time axis together
_PANEL, _MARGIN = 150, 100


def series_figure(run: LiveRun, found: Series) -> dict[str, Any]:
    """Return the figure of an element's series as Plotly's JSON."""
    times = run.times[: run.done]
    edges = [*times, times[-1] + run.step] if len(times) else []
    x = [t.isoformat() for t in edges]
    height = _MARGIN + _PANEL * max(1, len(found.panels))
    figure: dict[str, Any] = {
        "data": [],
        "layout": style.layout(
            height=height,
            margin={"l": 56, "r": 12, "t": 30, "b": 60},
            showlegend=False,
            annotations=[],
            shapes=[],
            uirevision=found.title,
        ),
    }
    layout, count = figure["layout"], len(found.panels)
    share = 1.0 / max(count, 1)
    gap = 34.0 / max(height - 90, 1)
    for k, panel in enumerate(found.panels):
        top, bottom = 1.0 - k * share, 1.0 - (k + 1) * share + (gap if k < count - 1 else 0.0)
        axis = "" if k == 0 else str(k + 1)
        layout[f"yaxis{axis}"] = {
            "domain": [bottom, top], "title": {"text": panel.unit, "standoff": 4},
            "anchor": "x", "nticks": 5, "zeroline": True,
        }  # fmt: skip
        layout["annotations"].append(_heading(panel, top))
        layout["shapes"] += [_limit(v, axis) for v in panel.limits]
        for line in panel.lines:
            if np.isfinite(line.values).any():
                figure["data"].append(_trace(x, line, panel, axis))
    anchor = "y" if count < 2 else f"y{count}"
    layout["xaxis"] = {
        "type": "date", "anchor": anchor, "nticks": 6, "showspikes": True, "spikemode": "across",
        "spikethickness": 1, "spikedash": "dot", "title": time_title(run),
    }  # fmt: skip
    if x:
        layout["xaxis"]["range"] = [x[0], x[-1]]
    return figure


def _trace(x: list[str], line: Line, panel: Panel, axis: str) -> dict[str, Any]:
    y = [None if np.isnan(v) else float(v) for v in line.values]
    return {
        "type": "scatter", "mode": "lines", "name": line.name, "x": x, "y": [*y, *y[-1:]],
        "yaxis": f"y{axis}",
        "line": {"color": line.color, "dash": line.dash, "shape": "hv", "width": 2},
        "hovertemplate": f"{line.name} %{{y:.{panel.digits}f}} {panel.unit}<extra></extra>",
    }  # fmt: skip


def _heading(panel: Panel, top: float) -> dict[str, Any]:
    """Return the title of a panel with the names of its lines in their colours, as a legend."""
    dashes = {"solid": "━", "dash": "╍", "dot": "┄"}
    shown = [line for line in panel.lines if np.isfinite(line.values).any()]
    names = "  ".join(
        f'<span style="color:{line.color}">{dashes[line.dash]}</span> {line.name}' for line in shown
    )
    text = f"<b>{panel.title}</b>" + (f"  {names}" if len(shown) > 1 else "")
    return {
        "text": text, "x": 0.0, "xref": "paper", "xanchor": "left", "y": top, "yref": "paper",
        "yanchor": "bottom", "showarrow": False, "xshift": -50, "font": {"size": 11},
    }  # fmt: skip


def _limit(value: float, axis: str) -> dict[str, Any]:
    return {
        "type": "line", "x0": 0.0, "x1": 1.0, "xref": "paper", "y0": value, "y1": value,
        "yref": f"y{axis}", "line": {"color": style.VERMILION, "dash": "dash", "width": 1},
    }  # fmt: skip


def time_title(run: LiveRun) -> dict[str, Any]:
    """Return the title of a time axis, with its time zone."""
    zone = run.run.scenario["time"].get("timezone", "UTC")
    return {"text": f"time ({zone})", "standoff": 4}
