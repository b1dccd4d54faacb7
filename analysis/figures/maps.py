"""Maps of grids: voltages at the buses and loadings of the branches in one interval."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import marks
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
    hidden = {"visible": False}
    axes = {"xaxis": hidden, "yaxis": {**hidden, "scaleanchor": "x", "scaleratio": 1.0}}
    margin = {"l": 6, "r": 6, "t": 30, "b": 6}
    figure = go.Figure(layout=style.layout(height=430, hovermode="closest", margin=margin, **axes))
    _draw_branches(figure, run, grid, at, found)
    figure.add_trace(
        go.Scatter(
            x=state["x"],
            y=state["y"],
            mode="markers",
            name="bus",
            showlegend=False,
            marker={
                "size": 11 if len(state) < 60 else 7,
                "color": state["vm_pu"],
                "colorscale": style.VOLTAGE_SCALE,
                "cmin": 1.0 - span,
                "cmax": 1.0 + span,
                "line": {
                    "color": [style.INK if beyond else "#8a8a8a" for beyond in state["beyond"]],
                    "width": [2.5 if beyond else 0.7 for beyond in state["beyond"]],
                },
                "colorbar": {
                    "title": {"text": "voltage in p.u.", "side": "top", "font": {"size": 11}},
                    "orientation": "h",
                    "y": -0.02,
                    "yanchor": "top",
                    "thickness": 9,
                    "len": 0.7,
                    "tickfont": {"size": 11},
                    "tickvals": [1.0 + share * span for share in (-1.0, -0.5, 0.0, 0.5, 1.0)],
                    "tickformat": ".3~f",
                },
            },
            text=state["label"],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    heads = found.buses.loc[found.buses.index.isin(found.heads)]
    head = {"symbol": "square-open", "size": 17, "color": style.INK, "line": {"width": 2}}
    figure.add_trace(marks(heads["x"], heads["y"], "fed from here", head))
    if state["beyond"].any():
        ring = {"size": 11, "color": "#ffffff", "line": {"color": style.INK, "width": 2.5}}
        figure.add_trace(marks([None], [None], "beyond its limit", ring))
    return figure


def _state(run: Run, grid: str, interval: int, found: GridMap) -> pd.DataFrame:
    """Buses with x, y, vm_pu, whether beyond their limit, and the text shown at them."""
    rows = run.bus[(run.bus["grid"] == grid) & (run.bus["interval"] == interval)]
    state = found.buses.join(rows.set_index("bus")[["vm_pu", "p_mw"]])
    limits = bus_limits(run)
    own = limits.loc[limits.index.get_level_values("grid") == grid].droplevel("grid")
    low, high = own["min_vm_pu"].reindex(state.index), own["max_vm_pu"].reindex(state.index)
    margin = np.fmin(high - state["vm_pu"], state["vm_pu"] - low)
    state["beyond"] = np.asarray(margin < -tolerances.AC_LIMIT_PU)
    state["label"] = [
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
