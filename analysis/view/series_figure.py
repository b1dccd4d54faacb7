"""Figure of the series of an element, as Plotly's JSON."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from stackelgrid.analysis import style
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.series import PLAN, SET_POINT, Line, Panel, Series
from stackelgrid.analysis.view.source import Ahead

# px: plot of a panel, a line of its heading, space below a plot, time axis
_PLOT, _LINE, _GAP, _AXIS = 116, 15, 16, 60
_WIDE = 46  # characters of a line of a heading: as many fit on a phone
_DASHES = {"solid": "━", "dash": "╍", "dot": "┄"}
_AHEAD, _AHEAD_COLOR = "plan ahead", "#8a8a8a"  # in style.DARK, too
_PALE = 0.5  # opacity of plans of coming steps
# share of the run, and least time, by which the time axis is longer for the plan of coming steps
_BEYOND, _BEYOND_H = 0.25, 3.0


def series_figure(run: LiveRun, found: Series) -> dict[str, Any]:
    """Return the figure of an element's series as Plotly's JSON."""
    x = {"x0": run.times[0].isoformat(), "dx": run.step / pd.Timedelta("1ms")}
    headings = [_heading(panel) for panel in found.panels]
    heads = [_LINE * (text.count("<br>") + 1) + 4 for text in headings]
    tall = max(sum(heads) + len(heads) * (_PLOT + _GAP) - _GAP, _PLOT)
    layout = style.layout(
        height=tall + _AXIS,
        margin={"l": 56, "r": 12, "t": 0, "b": _AXIS},
        showlegend=False,
        annotations=[],
        shapes=[],
        uirevision=found.title,
    )
    data, top = [], 0
    for k, (panel, text, head) in enumerate(zip(found.panels, headings, heads, strict=True)):
        axis = "" if k == 0 else str(k + 1)
        upper = 1.0 - (top + head) / tall
        layout[f"yaxis{axis}"] = {
            "domain": [max(upper - _PLOT / tall, 0.0), upper], "anchor": "x", "nticks": 5,
            "title": {"text": panel.unit, "standoff": 4}, "zeroline": True,
        }  # fmt: skip
        layout["annotations"].append(_title(text, upper))
        layout["shapes"] += [_limit(v, axis) for v in panel.limits]
        for line in panel.lines:
            if line.recorded:
                values = [None if np.isnan(v) else float(v) for v in line.values]
                data.append(_trace(x, values, line, panel, axis))
            if line.ahead is not None:
                data.append(_coming(line, line.ahead, panel, axis))
        top += head + _PLOT + _GAP
    count = len(found.panels)
    layout["xaxis"] = {
        "type": "date", "anchor": "y" if count < 2 else f"y{count}", "nticks": 6,
        "tickangle": 0, "showspikes": True, "spikemode": "across", "spikethickness": 1,
        "spikedash": "dot", "title": time_title(run), "range": _range(run, found),
    }  # fmt: skip
    return {"data": data, "layout": layout}


def _range(run: LiveRun, found: Series) -> list[str]:
    """Return the ends of the time axis: the planned run, and a part of the plan beyond it."""
    first, end = run.times[0], run.times[-1] + run.step
    if any(line.ahead for panel in found.panels for line in panel.lines):
        most = max(_BEYOND * (end - first), pd.Timedelta(hours=_BEYOND_H))
        end += min(most, pd.Timedelta(hours=run.plans.length_h))
    return [first.isoformat(), end.isoformat()]


def _trace(
    x: dict[str, Any], values: list[float | None], line: Line, panel: Panel, axis: str
) -> dict[str, Any]:
    """Line that holds each value to the end of its interval."""
    return {
        "type": "scatter", "mode": "lines", "name": line.name, **x,
        "y": [*values, *values[-1:]], "yaxis": f"y{axis}",
        "line": {"color": line.color, "dash": line.dash, "shape": "hv",
                 "width": 2 if line.dash == "solid" else 1.5},
        "hovertemplate": f"{line.name} %{{y:.{panel.digits}f}} {panel.unit}<extra></extra>",
    }  # fmt: skip


def _coming(line: Line, ahead: Ahead, panel: Panel, axis: str) -> dict[str, Any]:
    """Plan of the coming steps: paler, dashed."""
    plan = line.name in (PLAN, SET_POINT)
    named = replace(line, name=_AHEAD if plan else f"{line.name}, {_AHEAD}", dash="dash")
    x = {"x": [t.isoformat() for t in ahead.edges]}
    return _trace(x, ahead.values.tolist(), named, panel, axis) | {"opacity": _PALE}


def _heading(panel: Panel) -> str:
    """Return the title of a panel with the names of its lines in their colours, as a legend."""
    entries = [(line.name, line.color, line.dash) for line in panel.lines if line.recorded]
    if any(line.ahead for line in panel.lines):
        entries.append((_AHEAD, _AHEAD_COLOR, "dash"))
    entries = list(dict.fromkeys(entries)) if len(entries) > 1 else []
    text, width = f"<b>{panel.title}</b>", len(panel.title)
    for name, color, dash in entries:
        width += len(name) + 4
        text += "<br>" if width > _WIDE else "  "
        width = len(name) + 4 if width > _WIDE else width
        text += f'<span style="color:{color}">{_DASHES[dash]}</span> {name}'
    return text


def _title(text: str, y: float) -> dict[str, Any]:
    return {
        "text": text, "x": 0.0, "xref": "paper", "xanchor": "left", "y": y, "yref": "paper",
        "yanchor": "bottom", "showarrow": False, "xshift": -50, "font": {"size": 11},
        "align": "left",
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
