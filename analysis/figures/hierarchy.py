"""Map of the hierarchy: grids below the buses that supply them, exchange, voltage margin."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import color_bar, legend_mark
from stackelgrid.analysis.results.axes import Clock, by_grid, clock, copies
from stackelgrid.analysis.results.limits import has_network, with_limits
from stackelgrid.analysis.run import Run
from stackelgrid.controllers import tolerances
from stackelgrid.profiles.arrays import Floats, Ints

_MOST_TIMES = 96  # times on the slider: a day of quarter hours
_LEVEL_PX = 140
_EASY_PU = 0.05  # margin from which a grid has the colour of an easy one
_COLUMN_PX = 33  # room for the texts of a grid
_WIDEST = 0.34  # columns: width of the line with the largest exchange
_FLOW_MW = 1e-6
_BAR = 0.14  # height of a grid's bar, in levels
_IMPORT, _EXPORT, _NONE = style.IMPORT, style.ORANGE, style.GREY
_MARGINS = ((0.0, style.VERMILION), (0.3, style.ORANGE), (0.6, style.YELLOW), (1.0, style.GREEN))


@dataclass(frozen=True)
class _Places:
    """Grids from the top: columns of their ends, level below the top (grids,)."""

    names: list[str]
    left: Floats
    right: Floats
    level: Ints

    @property
    def middle(self) -> Floats:
        return (self.left + self.right) / 2.0


def hierarchy(run: Run) -> go.Figure:
    """Grids below the buses that supply them: exchange and voltage margin at a chosen time.

    A bar is a grid with all its copies, in the colour of the smallest distance of a bus to its
    voltage limit. A line is the exchange of all copies with the grid above; its width is the power.
    The slider starts at the interval with the smallest margin of all grids. Runs of more than 96
    intervals have fewer times.
    """
    when, places = clock(run), _places(run)
    margin = _margins(run, when, places.names)
    power = by_grid(run, "p_import_mw", when)[places.names].to_numpy(np.float64)
    voltages = {
        column: by_grid(run, column, when, weighted=False)[places.names].to_numpy(np.float64)
        for column in ("min_vm_pu", "max_vm_pu")
    }
    known = np.nan_to_num(margin, nan=np.inf)
    worst = int(known.min(axis=1).argmin()) if known.size else 0
    times = _times(len(when.intervals), worst)
    supplied = np.array([run.grids[name].parent is not None for name in places.names])
    widest = float(np.nanmax(np.abs(power[:, supplied]), initial=0.0)) or 1.0

    def values(at: int) -> list[dict[str, Any]]:
        state = np.column_stack([voltages["min_vm_pu"][at], voltages["max_vm_pu"][at], margin[at]])
        return [
            _exchange(power[at, supplied], widest),
            _bars(margin[at], state),
            _arrows(power[at, supplied]),
            _numbers(power[at, supplied]),
        ]

    figure = go.Figure(layout=_layout(places))
    for trace, change in zip(_traces(run, places, supplied), values(worst), strict=True):
        figure.add_trace(trace.update(change))
    _name(figure, run, places)
    for name, color in (("from above, MW", _IMPORT), ("to above, MW", _EXPORT)):
        legend_mark(figure, name, color)
    figure.frames = [  # plain data is checked once, a go.Frame twice
        {"name": when.text(int(when.intervals[t])), "data": values(t), "traces": [0, 1, 2, 3]}
        for t in times
    ]
    figure.update_layout(sliders=[_slider(when, times, times.index(worst))] if times else [])
    return figure


def _times(count: int, worst: int) -> list[int]:
    """Rows of the intervals on the slider, in order, with the worst one."""
    step = -(-count // _MOST_TIMES) or 1
    return sorted({*range(0, count, step), worst}) if count else []


def _places(run: Run) -> _Places:
    """Place the grids: those without grids below side by side, others above theirs."""
    below: dict[str, list[str]] = {name: [] for name in run.grids}
    for name in sorted(run.grids, key=lambda n: run.grids[n].bus or 0):
        if parent := run.grids[name].parent:
            below[parent].append(name)
    names: list[str] = []
    ends: dict[str, tuple[float, float, int]] = {}
    used = 0

    def place(name: str, level: int) -> None:
        nonlocal used
        names.append(name)
        first = used
        for lower in below[name]:
            place(lower, level + 1)
        used += not below[name]
        ends[name] = (first - 0.36, used - 1 + 0.36, level)

    for name, info in run.grids.items():
        if not info.parent:
            place(name, 0)
    left, right, level = zip(*(ends[name] for name in names), strict=True)
    return _Places(names, np.array(left), np.array(right), np.array(level, dtype=np.int64))


def _margins(run: Run, when: Clock, names: list[str]) -> Floats:
    """Smallest distance of a bus to its voltage limit (intervals, grids); NaN without limits."""
    if not has_network(run):
        return np.full((len(when.intervals), len(names)), np.nan)
    wide = with_limits(run, names).pivot_table("margin_pu", "interval", "grid", aggfunc="min")
    return wide.reindex(index=when.intervals, columns=names).to_numpy(np.float64)


def _exchange(power: Floats, widest: float) -> dict[str, Any]:
    width = np.maximum(0.03, _WIDEST * np.abs(np.nan_to_num(power)) / widest)
    return {
        "type": "bar",
        "width": width,
        "marker": {"color": [_flow_color(p) for p in power]},
        "customdata": power,
    }


def _flow_color(power: float) -> str:
    if not abs(power) > _FLOW_MW:
        return _NONE
    return _IMPORT if power > 0.0 else _EXPORT


def _bars(margin: Floats, state: Floats) -> dict[str, Any]:
    beyond = margin < -tolerances.AC_LIMIT_PU
    line = {"width": np.where(beyond, 3.0, 0.0)}
    return {"type": "bar", "marker": {"color": margin, "line": line}, "customdata": state}


def _arrows(power: Floats) -> dict[str, Any]:
    flows = np.abs(np.nan_to_num(power)) > _FLOW_MW
    symbol = np.where(flows, np.where(power > 0.0, "triangle-down", "triangle-up"), "line-ew")
    return {"type": "scatter", "marker": {"symbol": symbol.tolist()}}


def _numbers(power: Floats) -> dict[str, Any]:
    return {"type": "scatter", "text": ["" if np.isnan(p) else _short(abs(p)) for p in power]}


def _short(power: float) -> str:
    """Power in MW with four characters at most, below 1,000."""
    return f"{power:.{2 if power < 9.995 else 1 if power < 99.95 else 0}f}"


def _traces(run: Run, places: _Places, supplied: "np.typing.NDArray[np.bool_]") -> list[Any]:
    """Exchange, bars of grids, arrows and numbers, still without values."""
    x, level = places.middle[supplied], -places.level[supplied].astype(np.float64)
    hover = [_hover(run, name) for name in places.names]
    below = [text for text, has in zip(hover, supplied, strict=True) if has]
    length = 1.0 - _BAR
    return [
        go.Bar(
            x=x, y=np.full(len(x), length), base=level + _BAR / 2.0, opacity=0.75, hovertext=below,
            hovertemplate="%{hovertext}<br>draws %{customdata:.4g} MW<extra></extra>",
            showlegend=False,
        ),
        go.Bar(
            x=places.middle, y=np.full(len(places.names), _BAR), width=places.right - places.left,
            base=-places.level - _BAR / 2.0, hovertext=hover, showlegend=False,
            marker={
                "cmin": 0.0, "cmax": _EASY_PU, "colorscale": _MARGINS, "line": {"color": style.INK},
                "colorbar": color_bar(
                    "smallest distance to a voltage limit in p.u.",
                    y=0.0, yanchor="top", thickness=9, len=0.8,
                    tickvals=[0.0, 0.01, 0.02, 0.03, 0.04, _EASY_PU],
                    ticktext=["0", "0.01", "0.02", "0.03", "0.04", "0.05 or more"],
                ),
            },
            hovertemplate="%{hovertext}<br>%{customdata[0]:.4f} to %{customdata[1]:.4f} p.u.<br>"
            "%{customdata[2]:.4f} p.u. to the nearest limit<extra></extra>",
        ),
        go.Scatter(
            x=x, y=level + 0.5, mode="markers", hoverinfo="skip", showlegend=False,
            marker={"size": 12, "color": style.INK,
                    "line": {"color": style.PAPER, "width": 1}},
        ),
        go.Scatter(
            x=x + _WIDEST / 2.0 + 0.03, y=level + 0.5, mode="text", textposition="middle right",
            textfont={"size": 10}, hoverinfo="skip", showlegend=False, cliponaxis=False,
        ),
    ]  # fmt: skip


def _hover(run: Run, name: str) -> str:
    info, count = run.grids[name], copies(run)[name]
    text = f"<b>{name}</b>{f', {count} copies together' if count > 1 else ''}"
    return f"{text}<br>at bus {info.bus} of {info.parent}" if info.parent else text


def _name(figure: go.Figure, run: Run, places: _Places) -> None:
    """Write names and copies at the grids, and the bus of each at the grid above."""
    count = copies(run)
    least = _COLUMN_PX * (float(places.right.max()) + 1.0)
    wide = places.right - places.left > 1.0
    for inner in (True, False):
        chosen = wide == inner
        pairs = [(n, count[n]) for n, c in zip(places.names, chosen, strict=True) if c]
        between = " " if inner else "<br>"
        figure.add_scatter(
            x=(places.left if inner else places.middle)[chosen],
            y=-places.level[chosen] + (_BAR / 2.0 if inner else -0.02 - _BAR / 2.0),
            mode="text",
            text=[f"<b>{n}</b>{f'{between}x {c}' if c > 1 else ''}" for n, c in pairs],
            textposition="top right" if inner else "bottom center",
            textfont={"size": 12}, hoverinfo="skip", showlegend=False, cliponaxis=False,
            meta=None if inner else {"textFrom": least},
        )  # fmt: skip
    below = [k for k, name in enumerate(places.names) if run.grids[name].parent]
    figure.add_scatter(
        x=places.middle[below] + _WIDEST / 2.0 + 0.03,
        y=-places.level[below] + 1.0 - _BAR / 2.0,
        mode="text",
        text=[f"bus {run.grids[places.names[k]].bus}" for k in below],
        textposition="bottom right",
        textfont={"size": 9, "color": "#8a8a8a"},
        hoverinfo="skip", showlegend=False, cliponaxis=False, meta={"textFrom": 1.5 * least},
    )  # fmt: skip


def _layout(places: _Places) -> dict[str, Any]:
    depth = int(places.level.max())
    axis: dict[str, Any] = {"visible": False, "fixedrange": True}
    return style.layout(
        height=_LEVEL_PX * depth + 170,
        barmode="overlay",
        hovermode="closest",
        margin={"l": 6, "r": 6, "t": 36, "b": 60},
        xaxis={**axis, "range": [-0.6, float(places.right.max()) + 0.4]},
        yaxis={**axis, "range": [-depth - 0.45, 0.32]},
    )


def _slider(when: Clock, times: list[int], active: int) -> Mapping[str, Any]:
    """Slider of a notebook; a report has its own."""
    at_once = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}}
    labels = [when.text(int(when.intervals[t])) for t in times]
    steps = [{"label": t, "method": "animate", "args": [[t], at_once]} for t in labels]
    return {"active": active, "currentvalue": {"prefix": "Time "}, "steps": steps}
