"""Layout of the page; the callbacks supply the values."""

from dataclasses import astuple
from typing import Any

import numpy as np
from dash import dcc, html
from dash.development.base_component import Component
from plotly.colors import sample_colorscale

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.verdict_states import COLORS, LABELS, NONE, STATES
from stackelgrid.analysis.results.limits import has_network
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.geometry import GridGeometry
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.profiles.arrays import Floats

ALL = "*"  # choice of all grids at once
FOLLOW_MS, PLAY_MS = 1000, 250
# ms until the page considers an answer lost; a new request would drop an answer under way
ANSWER_MS = 60_000
_SHADES = 11  # colours of a scale, between which the page interpolates
_PLAIN: Any = {"displaylogo": False, "responsive": True, "displayModeBar": False}


def page(run: LiveRun) -> Component:
    """Return the page of a run as it is now."""
    run.update()
    shown = first_interval(run)
    has_maps = any(g.has_map for g in run.grids)
    return html.Div(
        [
            dcc.Store(id="geometry", data=browser_geometry(run) | {"settled": shown}),
            dcc.Store(id="chunk"),
            dcc.Store(id="done", data=0),
            dcc.Store(id="grid", data=first_grid(run)),
            dcc.Store(id="selected"),
            dcc.Store(id="picked"),
            dcc.Store(id="settled", data=shown),
            dcc.Store(id="dark"),
            dcc.Interval(id="follow", interval=FOLLOW_MS),
            dcc.Interval(id="play-tick", interval=PLAY_MS, disabled=True),
            html.Header([
                html.Div([html.H1(str(run.run.name)), html.Div(id="progress", role="status")],
                         className="headline"),
                html.P(id="problem", role="alert", className="problem"),
            ]),
            html.Div([
                html.Div([
                    html.Button("◀", id="previous", title="one interval back",
                                **aria(label="one interval back")),
                    html.Button("▶ Play", id="play", **aria(pressed="false")),
                    html.Button("▶", id="next", title="one interval on",
                                **aria(label="one interval on")),
                    html.Output(id="clock"),
                ], className="buttons"),
                html.Div(dcc.Slider(
                    id="interval", min=0, max=max(run.done - 1, 0), step=1,
                    value=shown, updatemode="drag", allow_direct_input=False,
                    marks=None, included=False,
                ), className="slider", **aria(label="interval")),
            ], className="controls"),
            html.Main([
                _part("hierarchy-part", "Hierarchy", [
                    html.Div(id="hierarchy", className="hierarchy"),
                    html.P(
                        "Of one copy: power from the grid above ↓ or to it ↑; voltage nearest to "
                        "a limit. Click, or arrow keys and Enter.", className="note",
                    ),
                ]),
                _part("map-part", "Grid", [
                    html.Nav(id="trail", **aria(label="grids above")),
                    html.Div(id="map", className="map"),
                    html.Div(id="map-legend", className="map-legend"),
                    html.P(_no_map(run) if not has_maps else "", className="note", id="map-note"),
                ]),
                _part("series-part", "Series", [
                    html.Label(["Element ", dcc.Dropdown(
                        id="element", options=[], placeholder="click on the map, or choose here",
                        clearable=False,
                    )], className="choice"),
                    html.H3(id="series-title"),
                    _timed("series"),
                    html.P(id="series-note", className="note"),
                ]),
                _part("certificate-part", "Certificate", [
                    _legend(),
                    _timed("strip"),
                    html.Div(id="why", **aria(live="polite")),
                ]),
                _part("trade-part", "Trades of the interval", [html.Div(id="trades")]),
                _part("decision-part", "Decision of the interval", [html.Div(id="decision")]),
            ]),
        ],
        id="page", style=_variables(),
    )  # fmt: skip


def first_grid(run: LiveRun) -> str | None:
    """Return the grid choice at opening: all grids."""
    names = [g.name for g in run.grids]
    return ALL if len(names) > 1 else (names[0] if names else None)


def first_interval(run: LiveRun) -> int:
    """Return the interval at opening: the last of a running run, else that of least margin."""
    run.update()
    return max(run.done - 1, 0) if run.running else run.tightest()


def browser_geometry(run: LiveRun) -> dict[str, Any]:
    """Return the data with which the page's JavaScript draws maps, as plain JSON values."""
    buses = branches = 0
    grids = []
    for g in run.grids:
        grids.append({**_browser_grid(g), "bus0": buses, "branch0": branches})
        buses, branches = buses + len(g.bus), branches + len(g.branch)
    times = run.times
    return {
        "revision": revision(run),
        "grids": grids,
        "buses": buses,
        "branches": branches,
        "labels": [f"{t:%a %d %b %Y, %H:%M}" for t in times],
        "middles": [(t + run.step / 2).isoformat() for t in times],
        "all": ALL,
        "states": [[LABELS[state], color] for state, color in _state_colors()],
        "tolerance": tolerances.AC_LIMIT_PU,
        "scales": {
            "light": {
                "voltage": _shades(style.VOLTAGE_SCALE, 0.0, 1.0, _SHADES),
                # the palest shades would be invisible on white
                "loading": _shades(style.LOADING_SCALE, 0.2, 1.0, _SHADES),
            },
            "dark": {
                "voltage": style.DARK_SCALES[style.VOLTAGE_SCALE],
                "loading": style.DARK_SCALES[style.LOADING_SCALE],
            },
        },
        "symbols": [
            *([k.kind, k.symbol, k.colour, k.label] for k in kinds() if k.symbol),
            ["agent", "star", style.IMPORT, "agent of a grid"],
        ],
        "colors": {"over": "var(--ink)", "missing": "var(--missing)"},
    }  # fmt: skip


def revision(run: LiveRun) -> str:
    """Return a text that changes if the page must reload: another run, or the first interval."""
    return f"{run.identity}-{bool(run.grids and run.grids[0].bus)}"


def _browser_grid(g: GridGeometry) -> dict[str, Any]:
    return {
        "name": g.name,
        "title": g.title,
        "parent": g.parent,
        "copies": g.multiplicity,
        "bus": list(g.bus),
        "x": [round(float(v), 4) for v in g.x],
        "y": [round(float(v), 4) for v in g.y],
        "tree": g.tree,
        "sides": g.sides,
        "names": g.names,
        "low": _numbers(g.low_pu),
        "high": _numbers(g.high_pu),
        "branch": [list(b) for b in g.branch],
        "ends": [list(e) for e in g.branch_ends],
        "full": _numbers(g.max_loading_percent),
        "devices": [astuple(d) for d in g.devices],
        "children": [list(c) for c in g.children],
        "head": g.head,
    }


def _numbers(values: Floats) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values]


def _shades(scale: str, low: float, high: float, count: int) -> list[tuple[float, str]]:
    at = [k / (count - 1) for k in range(count)]
    colors = sample_colorscale(scale, [low + (high - low) * a for a in at])
    return list(zip(at, colors, strict=True))


def _timed(name: str) -> Component:
    """Return a graph over time with a line at the shown interval, which the page moves."""
    return html.Div(
        [dcc.Graph(id=name, config=_PLAIN, figure=_empty()), html.Div(className="time-line")],
        className="timed",
    )


def _empty() -> dict[str, Any]:
    hidden = {"visible": False}
    return {"data": [], "layout": style.layout(xaxis=hidden, yaxis=hidden)}


def aria(**values: str) -> dict[str, Any]:
    """Return the attributes aria-... of a component."""
    return {f"aria-{name}": value for name, value in values.items()}


def _part(name: str, title: str, content: list[Component]) -> Component:
    heading = f"{name}-title"
    return html.Section([html.H2(title, id=heading), *content], id=name, **aria(labelledby=heading))


def _state_colors() -> list[tuple[str, str]]:
    """Return the states with their colours in the page's style sheet."""
    colors = dict(zip(STATES, COLORS, strict=True)) | {NONE: "var(--none)"}
    return list(colors.items())


def _legend() -> Component:
    items = [
        html.Span([html.Span(className="swatch", style={"background": color}), LABELS[state]])
        for state, color in _state_colors()
    ]
    marks = (
        "✕ infeasible, R recovered, F last schedule kept, ! limits exceeded in reality. "
        "Click on a cell."
    )
    return html.P([*items, html.Span(marks, className="note")], className="legend")


def _no_map(run: LiveRun) -> str:
    if has_network(run.run):
        return "Maps appear with the first interval."
    return (
        "No maps: this run has no network.parquet (it was written by an older version). Choose "
        "elements from the list."
    )


def _variables() -> dict[str, str]:
    """Return colours and fonts of style.py for the page's style sheet, light and dark."""
    colors = {
        "ink": style.INK, "paper": style.PAPER, "rule": style.RULE, "accent": style.BLUE,
        "none": style.VERDICTS[NONE],
    }  # fmt: skip
    dark = {f"--dark-{name}": style.DARK[color] for name, color in colors.items()}
    return (
        {f"--light-{name}": color for name, color in colors.items()} | dark | {"--font": style.FONT}
    )
