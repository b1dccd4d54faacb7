"""Heat maps of voltages: time over bus, feeder by feeder, coloured by the limits."""

from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import color_bar
from stackelgrid.analysis.figures.grid_map import connections
from stackelgrid.analysis.results.axes import Clock, clock, grids_of, with_copies
from stackelgrid.analysis.results.limits import band_of, bus_limits, has_network, with_limits
from stackelgrid.analysis.run import Run
from stackelgrid.profiles.arrays import Floats

_ROW_PX, _LEAST_PX, _MOST_PX = 6, 60, 260  # height of a bus, and of a feeder
_PAGE_PX = 880  # height of a figure that is printed on a page
_CHOSEN_PX, _GAP_PX = 340, 34
_MARGIN = {"l": 60, "r": 20, "t": 64, "b": 52}
_STACKED = 8  # feeders below one another; more are chosen
_STACKED_BUSES = 400
_CELLS = 300_000  # of all feeders of a figure; the page stays small
_REACH = 1.0 / (1.0 - 2.0 * style.ROOM_ENDS)  # of the colours; limits are at -1 and 1
_SPAN_PU = 0.1  # distance of the limits from 1 p.u. where none are known


def stacked(run: Run, level: str) -> bool:
    """Return whether the feeders of a level can be shown below one another."""
    names = grids_of(run, level)
    buses = run.bus.loc[run.bus["grid"].isin(names), ["grid", "bus"]].drop_duplicates()
    return len(names) <= _STACKED and len(buses) <= _STACKED_BUSES


def shown_grids(run: Run, level: str) -> list[str]:
    """Return the grids of a level from the closest to a limit, as many as keep a page small."""
    names = closest_first(run, grids_of(run, level))
    rows = run.bus["grid"].value_counts()
    reached = np.cumsum([rows.get(name, 0) for name in names])
    return names[: max(1, int(np.searchsorted(reached, _CELLS, side="right")))]


def voltage_heat_map(run: Run, grid: str) -> go.Figure:
    """Voltages bus by bus over time: blue below 1 p.u., red above, deepest at a limit.

    Buses are in the order of the tree, branch by branch from the head.
    """
    return _figure(run, [grid], _CHOSEN_PX)


def voltage_heat_maps(run: Run, level: str) -> go.Figure:
    """Voltages of a level's feeders, one below the other, bus by bus over time.

    Blue below 1 p.u., red above, deepest at a limit.
    """
    names = grids_of(run, level)
    frame = _MARGIN["t"] + _MARGIN["b"] + _GAP_PX * (len(names) - 1)
    return _figure(run, names, min(_MOST_PX, (_PAGE_PX - frame) // len(names)))


def _figure(run: Run, names: list[str], most: int) -> go.Figure:
    when = clock(run)
    buses = run.bus.groupby("grid")["bus"].nunique()
    heights = [int(np.clip(_ROW_PX * buses[name], _LEAST_PX, most)) for name in names]
    total = sum(heights) + _GAP_PX * (len(names) - 1)
    figure = make_subplots(
        rows=len(names),
        cols=1,
        shared_xaxes=True,
        row_heights=heights,
        vertical_spacing=_GAP_PX / total if len(names) > 1 else 0.0,
        subplot_titles=[with_copies(run, name) if len(names) > 1 else "" for name in names],
    )
    height = total + _MARGIN["t"] + _MARGIN["b"]
    figure.update_layout(style.layout(height=height, hovermode="closest", margin=_MARGIN))
    figure.update_annotations(font_size=13, x=0.0, xanchor="left")
    for row, name in enumerate(names, start=1):
        figure.add_trace(_cells(run, name, when, _bar(total) if row == 1 else {}), row=row, col=1)
    figure.update_yaxes(
        title_text="bus", nticks=8, autorange="reversed", showgrid=False, type="category"
    )
    figure.update_xaxes(showgrid=False, range=[when.edges[0], when.edges[-1]])
    figure.update_xaxes(title_text=when.title, row=len(names), col=1)
    return figure


def closest_first(run: Run, names: list[str]) -> list[str]:
    """Return grids in the order of their least margin to a voltage limit."""
    if not has_network(run):
        return names
    margin = with_limits(run, names).groupby("grid")["margin_pu"].min()
    return sorted(names, key=lambda name: float(margin.get(name, np.inf)))


def _bar(height: int) -> dict[str, Any]:
    """Colour bar above a plot of `height` px."""
    return color_bar(
        len=1.0,
        y=1.0 + 26.0 / height,
        yanchor="bottom",
        ypad=0,
        tickvals=[-1.0, 0.0, 1.0],
        ticktext=["lower limit", "1 p.u.", "upper limit"],
    )


def _cells(run: Run, grid: str, when: Clock, bar: dict[str, Any]) -> go.Heatmap:
    """Heat map of one grid: voltages in p.u. as custom data, coloured by their room to a limit."""
    rows = run.bus[run.bus["grid"] == grid]
    table = rows.pivot_table("vm_pu", "bus", "interval", sort=False, dropna=False)
    table = table.reindex(index=_order(run, grid, table.index), columns=when.intervals)
    volts = table.to_numpy(np.float64)
    low, high = _limits(run, grid, table.index)
    middle = np.where((low < 1.0) & (high > 1.0), 1.0, 0.5 * (low + high))
    room = np.where(volts >= middle[:, None], (high - middle)[:, None], (middle - low)[:, None])
    return go.Heatmap(
        x0=when.middles[0],
        dx=when.step_ms,
        y=[f"{bus}" for bus in table.index],
        z=(volts - middle[:, None]) / room,
        customdata=volts,
        zmin=-_REACH,
        zmax=_REACH,
        colorscale=[list(stop) for stop in style.ROOM_SCALE],
        name=grid,
        showscale=bool(bar),
        colorbar=bar,
        hovertemplate=f"{grid} bus %{{y}}, %{{x|%H:%M}}: %{{customdata:.4f}} p.u.<extra></extra>",
    )


def _limits(run: Run, grid: str, buses: pd.Index) -> tuple[Floats, Floats]:
    """Return the limits of buses in p.u.; those of most buses where a bus has none."""
    most = band_of(run, [grid])
    low = np.full(len(buses), 1.0 - _SPAN_PU)
    high = np.full(len(buses), 1.0 + _SPAN_PU)
    if most is None:
        return low, high
    if not np.isnan(most.min_pu):
        low[:] = most.min_pu
    if not np.isnan(most.max_pu):
        high[:] = most.max_pu
    table = bus_limits(run)
    own = table.loc[table.index.get_level_values("grid") == grid].droplevel("grid").reindex(buses)
    return own["min_vm_pu"].fillna(pd.Series(low, buses)).to_numpy(), own["max_vm_pu"].fillna(
        pd.Series(high, buses)
    ).to_numpy()


def _order(run: Run, grid: str, buses: pd.Index) -> list[int]:
    """Return buses along the tree from the head, branch by branch; by number without a network."""
    known = [int(bus) for bus in buses]
    if not has_network(run):
        return sorted(known)
    whole, heads = connections(run.network, grid)
    graph = nx.Graph(whole.subgraph(known))
    graph.add_nodes_from(known)
    found: dict[int, None] = {}
    for start in (*heads, *sorted(known)):
        if start in graph and start not in found:
            found |= dict.fromkeys(nx.dfs_preorder_nodes(graph, start, sort_neighbors=sorted))
    return list(found)
