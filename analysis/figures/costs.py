"""Figures of money: cost of each interval by kind and by side, and prices."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import faded, interval_bars, new_figure, steps
from stackelgrid.analysis.results.axes import Clock, by_grid, clock, root_of
from stackelgrid.analysis.results.baseline import compared_with
from stackelgrid.analysis.run import Run
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.results.totals import cost_sides as split_costs

NOTHING_EUR = 0.005  # kinds that stay below are left out of figures and tables
_SIDES = {"system": style.INK, "follower": style.BLUE, "leaders": style.ORANGE}
_FOLLOWER, _OUTSIDE = "transmission generation", "bought from outside"


def own_costs() -> dict[str, tuple[str, str]]:
    """Return column of interval.parquet and colour of each kind of cost that a grid bears."""
    fixed = {
        "retail margin": ("retail_eur", style.YELLOW),
        "trade fees": ("fee_eur", style.SKY),
        "capacity": ("capacity_eur", style.BLACK),
        "emissions": ("emission_eur", style.GREY),
    }
    costly = (kind for kind in kinds() if kind.cost_column)
    return fixed | {kind.cost_label: (kind.cost_column, kind.colour) for kind in costly}


def cost_kinds(run: Run) -> pd.DataFrame:
    """Cost of the whole system in EUR, (intervals, kinds); the sum of all is `cost_eur.total`.

    Payments between grids of the system are transfers and left out; a negative cost is earned.
    """
    when = clock(run)
    top = [grid.name for grid in run.grids.values() if grid.level == "transmission"]
    below = [name for name in run.grids if name not in top]
    parts = {}
    if top:
        parts[_FOLLOWER] = by_grid(run, "generation_eur", when)[top].sum(axis=1)
    else:
        parts[_OUTSIDE] = by_grid(run, "boundary_eur", when)[_paying(run)].sum(axis=1)
    for name, (column, _) in own_costs().items():
        parts[name] = by_grid(run, column, when)[below].sum(axis=1)
    return pd.DataFrame(parts, index=when.intervals)


@dataclass(frozen=True)
class CostParts:
    """Costs of a run in EUR by payer (follower, leaders) and kind, and payments to the root.

    NaN where a nodal price, and so a payment, is not known.
    """

    root: str
    own: Mapping[str, Mapping[str, float]]
    paid_to_root: float


def cost_parts(run: Run) -> CostParts:
    """Return the costs of the root and of the grids below it by kind, and their payments to it."""
    when = clock(run)
    root = root_of(run)
    below = [name for name in run.grids if name != root.name]
    follower, leaders = {}, {}
    for name, (column, _) in own_costs().items():
        eur = by_grid(run, column, when)
        at_top = column == "generation_eur" and root.level == "transmission"
        follower[_FOLLOWER if at_top else name] = float(eur[root.name].sum())
        leaders[name] = float(eur[below].sum().sum())
    paid = by_grid(run, "boundary_eur", when)
    if root.level != "transmission":  # a transmission grid buys nothing
        follower = {_OUTSIDE: float(paid[root.name].sum(skipna=False))} | follower
    direct = [grid.name for grid in run.grids.values() if grid.parent == root.name]
    to_root = float(paid[direct].to_numpy().sum())
    return CostParts(root.name, {"follower": follower, "leaders": leaders}, to_root)


def cost_sides(run: Run) -> pd.DataFrame:
    """Cost of leaders (with their boundary payments), follower and system in EUR by interval.

    Columns leaders, follower, system; they add up to `cost_eur` of summary.json. The cost of
    leaders is NaN where a nodal price, and so their payment, is not known.
    """
    when = clock(run)
    parents = {grid.name: grid.parent or "" for grid in run.grids.values()}
    own: Any = sum(by_grid(run, column, when).fillna(0.0) for column, _ in own_costs().values())
    paid = by_grid(run, "boundary_eur", when)
    root = root_of(run)
    follower = own[root.name].to_numpy()
    if root.level != "transmission":  # a transmission grid buys nothing
        follower = follower + paid[root.name].to_numpy()
    below = [name for name in parents if name != root.name]
    sides = split_costs(
        parents,
        {name: own[name].to_numpy() for name in below},
        {name: paid[name].to_numpy() for name in below},
        follower,
    )
    columns = {"leaders": sides.leaders, "follower": sides.follower, "system": sides.system}
    return pd.DataFrame(columns, index=when.intervals)


def costs(run: Run) -> go.Figure:
    """Cost of the whole system by interval, stacked by kind, EUR."""
    when, parts = clock(run), cost_kinds(run)
    colors = {name: color for name, (_, color) in own_costs().items()}
    figure = new_figure(when, "cost in EUR per interval", height=380, barmode="relative", bargap=0)
    for name in parts:
        if parts[name].abs().sum() > NOTHING_EUR:
            color = colors.get(str(name), style.BLUE)
            figure.add_trace(interval_bars(when, parts[name], str(name), color, "%{y:,.2f} EUR"))
    return figure


def cumulative_costs(run: Run) -> go.Figure:
    """Cost of leaders, follower and system since the start, EUR."""
    when, sides = clock(run), cost_sides(run)
    figure = new_figure(when, "cost since the start in EUR")
    # without leaders the follower is the system
    for name, color in _SIDES.items() if len(run.grids) > 1 else {"system": style.INK}.items():
        since = np.append(0.0, sides[name].to_numpy().cumsum())
        if not np.isnan(since[-1]):
            figure.add_trace(_since(when, since, name, color))
    figure.update_yaxes(tickformat=",")
    return figure


def savings(run: Run) -> go.Figure:
    """Cost without control less that of a run since the start, by side, EUR."""
    when, own = clock(run), cost_sides(run)
    other = compared_with(run)
    before = own if other is None else cost_sides(other)
    figure = new_figure(when, "saved since the start in EUR")
    for name, color in _SIDES.items() if len(run.grids) > 1 else {"system": style.INK}.items():
        since = np.append(0.0, (before[name] - own[name]).to_numpy().cumsum())
        if not np.isnan(since[-1]):
            figure.add_trace(_since(when, since, name, color))
    figure.add_hline(y=0.0, line={"color": style.INK, "width": 1})
    figure.update_yaxes(tickformat=",")
    return figure


def _since(when: Clock, eur: Floats, name: str, color: str) -> go.Scatter:
    """Line of an amount at the edges of intervals (intervals + 1,)."""
    return go.Scatter(
        x=when.edges,
        y=eur,
        name=name,
        mode="lines",
        line={"color": color, "width": 2.5 if name == "system" else 2},
        hovertemplate="%{y:,.0f} EUR",
    )


def prices(run: Run, grid: str | None = None) -> go.Figure:
    """Import and export prices at boundaries, and the range of nodal prices there, EUR/MWh.

    Of all boundaries unless a grid is named.
    """
    when = clock(run)
    figure = new_figure(when, "price in EUR/MWh", height=380)
    boundary = run.boundary if grid is None else run.boundary[run.boundary["grid"] == grid]

    def line(values: pd.Series, name: str, color: str, width: float = 2.0, **own: Any) -> None:
        dash = "dash" if name.startswith("export") else "solid"
        look = {"color": color, "dash": dash, "width": width}
        figure.add_trace(steps(when, values, name, "EUR/MWh", 2, line=look, **own))

    tariffs = list(_tariffs(run, boundary, when))
    for n, (names, table) in enumerate(tariffs):
        for side in ("import", "export"):
            line(table[side], f"{side}, {names}", style.line_of(n)["color"])
    nodal = boundary.groupby(["parent", "interval"])["nodal_price_eur_per_mwh"]
    parents = nodal.agg(["min", "max"]).groupby(level="parent")
    for n, (parent, group) in enumerate(parents, start=len(tariffs)):
        if group["min"].isna().all():
            continue
        ends = group.droplevel("parent").reindex(when.intervals)
        color, name = style.line_of(n)["color"], f"nodal prices in {parent}"
        if ends["min"].equals(ends["max"]):
            line(ends["max"], name, color)
            continue
        line(ends["min"], name, color, 1.0, showlegend=False)
        line(ends["max"], name, color, 1.0, fill="tonexty", fillcolor=faded(color, 0.2))
    return figure


def _paying(run: Run) -> list[str]:
    """Grids whose boundary payment leaves the feeders: to the transmission network, or outside."""
    found = []
    for grid in run.grids.values():
        above = run.grids[grid.parent].level if grid.parent else ""
        if grid.level != "transmission" and above in ("", "transmission"):
            found.append(grid.name)
    return found


def _tariffs(
    run: Run, boundary: pd.DataFrame, when: Clock
) -> Iterator[tuple[str, Mapping[str, pd.Series]]]:
    """Prices that differ, with the names of the grids that have them."""
    alike: dict[bytes, list[str]] = {}
    tables: dict[bytes, Mapping[str, pd.Series]] = {}
    for grid, rows in boundary.groupby("grid", sort=False):
        own = rows.set_index("interval").reindex(when.intervals)
        table = {side: own[f"{side}_eur_per_mwh"] for side in ("import", "export")}
        key = np.column_stack([table["import"], table["export"]]).tobytes()
        alike.setdefault(key, []).append(str(grid))
        tables[key] = table
    order = {grid: n for n, grid in enumerate(run.grids)}
    for key, names in alike.items():
        names.sort(key=order.__getitem__)
        in_a_row = order[names[-1]] - order[names[0]] == len(names) - 1 > 0
        yield f"{names[0]} to {names[-1]}" if in_a_row else ", ".join(names), tables[key]
