"""Maps of grids: voltages at the buses and loadings of the branches in one interval."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import color_bar, marks
from stackelgrid.analysis.figures.grid_map import GridMap, grid_map
from stackelgrid.analysis.results.limits import bus_limits, with_limits
from stackelgrid.analysis.run import Run
from stackelgrid.controllers import tolerances
from stackelgrid.profiles.arrays import Floats

# loading up to which a branch is drawn so: percent, name, colour, width
_CLASSES = (
    (60.0, "below 60 %", "#b5b5b5", 1.5),
    (100.0, "60 to 100 %", style.ORANGE, 3.0),
    (np.inf, "above 100 %", style.VERMILION, 4.0),
)
_LEAST_RANGE_PU = 0.01  # voltages closer to 1 than this are pale
_TEXT = {"above": "top center", "below": "bottom center", "right": "middle right"}
_SMALL = 60  # buses from which a grid is drawn with small marks, and without some numbers


def worst_interval(run: Run, grid: str) -> int:
    """Interval in which a bus of the grid is closest to its limit, or furthest beyond it."""
    mine = with_limits(run, [grid]).dropna(subset=["margin_pu"])
    if mine.empty:
        return int(run.interval["interval"].min())
    return int(mine["interval"].iloc[int(mine["margin_pu"].to_numpy().argmin())])


def voltage_range(run: Run, grids: list[str]) -> float:
    """Largest distance of a voltage of some grids from 1 p.u., rounded up to a hundredth."""
    voltages = run.bus.loc[run.bus["grid"].isin(grids), "vm_pu"]
    far = float((voltages - 1.0).abs().max()) if len(voltages) else 0.0
    return max(_LEAST_RANGE_PU, float(np.ceil(far * 100.0 - 1e-9) / 100.0))


def voltage_map(
    run: Run, grid: str, interval: int | None = None, range_pu: float | None = None
) -> go.Figure:
    """Map of a grid: buses coloured by their distance from 1 p.u., branches by loading.

    run: run with network.parquet.
    grid: name of the grid.
    interval: interval to show; default the worst one (worst_interval).
    range_pu: distance with the deepest colour.

    Buses beyond their limit have a black ring.
    """
    at = worst_interval(run, grid) if interval is None else interval
    span = voltage_range(run, [grid]) if range_pu is None else range_pu
    found = grid_map(run.network, grid)
    state = _state(run, grid, at, found)
    figure = go.Figure(layout=_layout(found))
    _draw_branches(figure, run, grid, at, found)
    figure.add_trace(_buses(state, span, found))
    head = {"symbol": "square-open", "size": 13, "color": style.INK, "line": {"width": 1}}
    figure.add_trace(marks([None], [None], "fed from here", head))
    if state["beyond"].any():
        ring = {"size": 11, "color": "#ffffff", "line": {"color": style.INK, "width": 2.5}}
        figure.add_trace(marks([None], [None], "beyond its limit", ring))
    return figure


def _layout(found: GridMap) -> dict[str, Any]:
    """Layout of a map: a tree fills its width, a row has the height of a bus and its number."""
    across, along = (_around(found.buses[axis]) for axis in ("x", "y"))
    x: dict[str, Any] = {"visible": False, "range": across}
    y: dict[str, Any] = {"visible": False, "range": along}
    height = 430
    if found.tree:
        row = 30 if len(found.buses) >= _SMALL else 40  # px for a bus and its number
        height = int(row * (along[1] - along[0])) + 90
    else:
        y |= {"scaleanchor": "x", "scaleratio": 1.0}
    margin = {"l": 6, "r": 6, "t": 30, "b": 60}
    return style.layout(height=height, hovermode="closest", margin=margin, xaxis=x, yaxis=y)


def _around(values: pd.Series) -> list[float]:
    """Range with room for marks at its ends: a tree's places are whole numbers."""
    low, high = float(values.min()), float(values.max())
    room = max(0.7, 0.04 * (high - low)) if high - low >= 1.0 else 0.1 * (high - low) + 1e-3
    return [low - room, high + room]


def _buses(state: pd.DataFrame, span: float, found: GridMap) -> go.Scatter:
    """Buses in the colour of their voltage, with their numbers where there is room."""
    small = len(state) >= _SMALL
    size, head = (8 if small else 12), state.index.isin(found.heads)
    edge = [style.INK if black else "#8a8a8a" for black in state["beyond"] | head]
    return go.Scatter(
        x=state["x"],
        y=state["y"],
        mode="markers+text",
        name="bus",
        showlegend=False,
        marker={
            "size": np.where(head, size + 6, size),
            "symbol": np.where(head, "square", "circle"),
            "opacity": 1.0,
            "color": state["vm_pu"],
            "colorscale": style.VOLTAGE_SCALE,
            "cmin": 1.0 - span,
            "cmax": 1.0 + span,
            "line": {
                "color": edge,
                "width": [2.5 if beyond else 0.8 for beyond in state["beyond"]],
            },
            "colorbar": color_bar(
                "voltage in p.u.",
                y=-0.02,
                yanchor="top",
                thickness=9,
                len=0.7,
                tickvals=[1.0 + share * span for share in (-1.0, -0.5, 0.0, 0.5, 1.0)],
                tickformat=".3~f",
            ),
        },
        text=state["label"] if not small else _labels_of_ends(state, found),
        textposition=[_TEXT[side] for side in state["side"]],
        textfont={"size": 8 if small else 10},
        meta={"textFrom": 16 * round(np.ptp(state["x"]))} if found.tree else None,
        hovertext=state["hover"],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _labels_of_ends(state: pd.DataFrame, found: GridMap) -> list[str]:
    """Numbers of the buses at which a large grid ends or branches, nothing at others."""
    ends = found.branches[["bus", "to_bus"]].to_numpy(int).ravel()
    lines = pd.Series(ends).value_counts().reindex(state.index, fill_value=0)
    return list(state["label"].where(lines != 2, ""))


def _state(run: Run, grid: str, interval: int, found: GridMap) -> pd.DataFrame:
    """Buses with x, y, vm_pu, whether beyond their limit, and the text shown at them."""
    rows = run.bus[(run.bus["grid"] == grid) & (run.bus["interval"] == interval)]
    state = found.buses.join(rows.set_index("bus")[["vm_pu", "p_mw"]])
    limits = bus_limits(run)
    own = limits.loc[limits.index.get_level_values("grid") == grid].droplevel("grid")
    low, high = own["min_vm_pu"].reindex(state.index), own["max_vm_pu"].reindex(state.index)
    margin = np.fmin(high - state["vm_pu"], state["vm_pu"] - low)
    state["beyond"] = np.asarray(margin < -tolerances.AC_LIMIT_PU)
    state["hover"] = [
        f"bus {bus}{f' ({name})' if name and name != str(bus) else ''}: {vm:.4f} p.u.; "
        f"draws {p:.4g} MW"
        for bus, name, vm, p in zip(
            state.index, state["name"], state["vm_pu"], state["p_mw"], strict=True
        )
    ]
    return state


def _draw_branches(figure: go.Figure, run: Run, grid: str, interval: int, found: GridMap) -> None:
    rows = run.branch[(run.branch["grid"] == grid) & (run.branch["interval"] == interval)]
    loading = rows.set_index(["element", "index"])["loading_percent"]
    keys = pd.MultiIndex.from_frame(found.branches[["element", "index"]])
    percent = loading.reindex(keys).to_numpy(np.float64)
    full = bool((np.nan_to_num(percent) > _CLASSES[0][0]).any())
    low = -np.inf
    for high, name, color, width in _CLASSES:
        chosen = (np.nan_to_num(percent) > low) & (np.nan_to_num(percent) <= high)
        low = high
        if not chosen.any():
            continue
        x, y = _segments(found, chosen)
        line = {"color": color, "width": width}
        figure.add_trace(
            go.Scatter(
                x=x, y=y, mode="lines", name=f"loading {name}", line=line, hoverinfo="skip",
                showlegend=full,
            )
        )  # fmt: skip


def _segments(found: GridMap, chosen: "np.typing.NDArray[np.bool_]") -> tuple[Floats, Floats]:
    """Ends of branches one after the other, with a gap between any two."""
    ends = found.branches.loc[chosen, ["bus", "to_bus"]].to_numpy()
    result = []
    for axis in ("x", "y"):
        at = found.buses[axis].reindex(ends.ravel()).to_numpy().reshape(-1, 2)
        result.append(np.column_stack([at, np.full(len(at), np.nan)]).ravel())
    return result[0], result[1]
