"""Figures of powers: balances by level, imports planned and real, devices by kind, trade."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import (
    LEVEL_COLORS,
    area,
    band_figure,
    new_figure,
    steps,
    wide,
)
from stackelgrid.analysis.results.axes import (
    LEVELS,
    Clock,
    by_grid,
    clock,
    copies,
    grids_of,
    levels,
    outer_feeders,
)
from stackelgrid.analysis.results.baseline import compared_with
from stackelgrid.analysis.run import Run
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.registry import kind_named, kinds


class Term(NamedTuple):
    """Power of a balance: column of interval.parquet, sign that makes supply positive, colour."""

    name: str
    column: str
    sign: float
    colour: str


_NOTHING_MW = 1e-6  # a term that stays below is left out, a difference below is none
_SEEN_SHARE = 0.01  # of the largest exchange: a plan that is closer cannot be seen beside it
_NOTHING_SHARE = 1e-3  # of the largest term of one grid: cannot be seen


def terms() -> tuple[Term, ...]:
    """Return the powers of a balance from the axis outwards: first the least flexible kind."""
    first, *others = sorted(kinds(), key=lambda kind: kind.injects)

    def of(kind: type[DeviceKind]) -> Term:
        sign = 1.0 if kind.injects else -1.0
        return Term(kind.label, kind.filling("p_mw"), sign, kind.colour)

    return (
        of(first),
        Term("losses", "loss_mw", -1.0, style.LOSS),
        Term("import, export", "p_import_mw", 1.0, style.IMPORT),
        *(of(kind) for kind in reversed(others)),
        Term("grids below", "lower_p_mw", -1.0, style.LOWER),
    )


def balance(run: Run, level: str) -> go.Figure:
    """Supply (up) and use (down) of all grids of a level, all copies, MW; they are equal."""
    return _balance(run, grids_of(run, level), weighted=True)


def dispatch(run: Run, grid: str) -> go.Figure:
    """Supply (up) and use (down) of one copy of a grid, MW; they are equal."""
    return _balance(run, [grid], weighted=False)


def _balance(run: Run, names: list[str], *, weighted: bool) -> go.Figure:
    when = clock(run)
    figure = new_figure(when, "use | supply in MW", height=380)
    shown = [term for term in terms() if term.column in run.interval]
    powers = {}
    for t in shown:
        total = by_grid(run, t.column, when, weighted=weighted)[names].sum(axis=1)
        powers[t.name] = t.sign * total.to_numpy()
    largest = max(np.abs(power).max(initial=0.0) for power in powers.values())
    least = _NOTHING_MW if weighted else _NOTHING_SHARE * largest
    for name, _, _, color in shown:
        parts = {"supply": np.maximum(powers[name], 0.0), "use": np.minimum(powers[name], 0.0)}
        named = False
        for side, part in parts.items():
            if np.abs(part).max(initial=0.0) < least:
                continue
            own: dict[str, Any] = {"legendgroup": name, "showlegend": not named}
            figure.add_trace(area(when, part, name, color, side, 0.7, 0.5, **own))
            named = True
    figure.add_hline(y=0.0, line={"color": style.INK, "width": 1})
    return figure


def imports(run: Run, level: str) -> go.Figure:
    """Import of a level's grids, all copies: planned and real (MW), and their difference (kW)."""
    when = clock(run)
    real, planned = (by_grid(run, c, when) for c in ("p_import_mw", "p_import_planned_mw"))
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09, row_heights=[0.64, 0.36]
    )
    figure.update_layout(style.layout(height=460))
    for n, grid in enumerate(grids_of(run, level)):
        line = style.line_of(n)
        group: dict[str, Any] = {"legendgroup": grid}
        plan = {"color": line["color"], "dash": "dot", "width": 1.5}
        beside = {**group, "showlegend": False}
        off = real[grid] - planned[grid]
        off = 1000.0 * off.mask(off.abs() < _NOTHING_MW, 0.0)  # tolerances of solvers
        for row, trace in (
            (1, steps(when, real[grid], grid, "MW", line=line, **group)),
            (1, steps(when, planned[grid], f"{grid} planned", "MW", line=plan, **beside)),
            (2, steps(when, off, grid, "kW", line=line, **beside)),
        ):
            figure.add_trace(trace, row=row, col=1)
    line = {"color": style.GREY, "dash": "dot", "width": 1.5}
    figure.add_trace(go.Scatter(x=[None], y=[None], name="planned", mode="lines", line=line))
    figure.update_yaxes(title_text="import in MW", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="real - planned in kW", row=2, col=1)
    figure.update_xaxes(range=[when.edges[0], when.edges[-1]])
    figure.update_xaxes(title_text=when.title, row=2, col=1)
    return figure


def exchange(run: Run) -> go.Figure:
    """Exchange of all feeders with the grid above them, MW: real, planned, without control."""
    when, other = clock(run), compared_with(run)
    names = outer_feeders(run)

    def total(of: Run, column: str) -> "pd.Series[float]":
        return by_grid(of, column, when)[names].sum(axis=1, skipna=False)

    figure = new_figure(when, "import in MW")
    if other:
        line = {"color": style.GREY, "width": 2}
        figure.add_trace(
            steps(when, total(other, "p_import_mw"), "without control", "MW", line=line)
        )
    real = {"color": style.IMPORT, "width": 2.5}
    figure.add_trace(steps(when, total(run, "p_import_mw"), "this run", "MW", line=real))
    plan = {"color": style.ORANGE, "dash": "dot", "width": 1.5}
    planned, apart = total(run, "p_import_planned_mw"), total(run, "p_import_mw")
    if (planned - apart).abs().max() > _SEEN_SHARE * apart.abs().max():
        figure.add_trace(steps(when, planned, "planned", "MW", line=plan))
    figure.add_hline(y=0.0, line={"color": style.INK, "width": 1})
    return figure


def available(run: Run, kind: str) -> go.Figure:
    """Delivered and missing power of a kind by level, all copies, MW; the sum is available."""
    when, own = clock(run), kind_named(kind)
    figure = new_figure(when, f"{own.label} in MW")
    given, left = ("fed in", "curtailed") if own.injects else ("served", "not served")
    fed, most = (by_grid(run, own.filling(c), when) for c in ("p_mw", "available_mw"))
    for level in levels(run):
        power = fed[grids_of(run, level)].sum(axis=1)
        if power.max() < _NOTHING_MW:
            continue
        name = f"{given}, {LEVELS[level]}"
        figure.add_trace(area(when, power, name, LEVEL_COLORS[level], kind))
    curtailed = (most - fed).sum(axis=1).clip(lower=0.0)
    if curtailed.max() > _NOTHING_MW:
        figure.add_trace(area(when, curtailed, left, style.VERMILION, kind, 0.7, 0.0))
    return figure


def has_available(run: Run, kind: str) -> bool:
    """Return True if power was available to devices of a kind."""
    column = kind_named(kind).filling("available_mw")
    return column in run.interval and bool(run.interval[column].max() > 0.0)


def state_of_charge(run: Run, kind: str, level: str) -> go.Figure:
    """State of charge of a level's storage: bands of percentiles over devices and copies."""
    return charge_of(run, kind, grids_of(run, level))


def charge_of(run: Run, kind: str, grids: Sequence[str], *, weighted: bool = True) -> go.Figure:
    """State of charge of the storage in some grids at the ends of intervals, percentiles, %.

    run: the run.
    kind: kind of the devices.
    grids: names of the grids.
    weighted: whether a device counts as often as its grid has copies.
    """
    when, own = clock(run), kind_named(kind)
    key = ["grid", "element", "index"]
    values, weights = wide(run, devices_of(run, kind, grids), "soc_percent", key, when)
    weights = weights if weighted else np.ones(len(weights))
    figure = band_figure(
        when, values, weights, own.colour, "state of charge in %", "%", 1, own.label
    )
    figure.update_yaxes(range=[-2.0, 102.0])
    return figure


def charge_by_device(run: Run, kind: str, grid: str) -> go.Figure:
    """State of charge of each device of a kind in a grid at the ends of intervals, %."""
    when, key = clock(run), ["grid", "element", "index"]
    rows = devices_of(run, kind, [grid]).dropna(subset=["soc_percent"])
    charge = rows.pivot_table("soc_percent", "interval", key, sort=False)
    charge = charge.reindex(index=when.intervals)
    figure = new_figure(when, "state of charge in %", height=380)
    for n, (device, label) in enumerate(_labels(rows).items()):
        name = label.removeprefix(f"{grid} ")
        figure.add_trace(steps(when, charge[device], name, "%", 1, line=style.line_of(n)))
    figure.update_yaxes(range=[-2.0, 102.0])
    return figure


def stores() -> list[type[DeviceKind]]:
    """Return the kinds of devices that store energy."""
    return [kind for kind in kinds() if kind.filling("e_mwh")]


def has_devices(run: Run, kind: str, level: str) -> bool:
    """Return True if a level has recorded devices of a kind."""
    return not devices_of(run, kind, grids_of(run, level)).empty


def has_charge(run: Run, kind: str, grids: Sequence[str]) -> bool:
    """Return True if devices of a kind in some grids have a state of charge."""
    return bool(devices_of(run, kind, grids)["soc_percent"].notna().any())


def trade(run: Run) -> go.Figure:
    """Draw purchases between prosumers, inside a feeder and across feeders, all copies, MW."""
    when = clock(run)
    figure = new_figure(when, "bought from prosumers in MW")
    bought = trade_volumes(run, when)
    for market, name, color in (
        ("inside", "inside a feeder", style.GREEN),
        ("across", "across feeders", style.PURPLE),
    ):
        figure.add_trace(area(when, bought[market], name, color, "trade"))
    return figure


def trade_volumes(run: Run, when: Clock) -> pd.DataFrame:
    """Power bought by `market` (grid, inside, across) and interval, all copies, MW."""
    trades = run.trade[run.trade["side"] == "buy"]
    power = trades["p_mw"] * trades["grid"].map(copies(run))
    rows = trades.assign(power=power)
    bought = rows.pivot_table("power", "interval", "market", aggfunc="sum")
    return bought.reindex(index=when.intervals, columns=["grid", "inside", "across"]).fillna(0.0)


def has_trade(run: Run) -> bool:
    """Return True if prosumers bought from each other in any interval."""
    between = run.trade["market"].isin(["inside", "across"])
    return bool((run.trade.loc[between, "p_mw"] > tolerances.NO_TRADE_MW).any())


def one_by_one(run: Run, kind: str, level: str) -> go.Figure:
    """Power of every device of a kind at a level, all copies, MW."""
    when = clock(run)
    mine = devices_of(run, kind, grids_of(run, level))
    key = ["grid", "element", "index"]
    rows = mine.assign(power=mine["p_mw"] * mine["grid"].map(copies(run)))
    power = rows.pivot_table("power", "interval", key, sort=False).reindex(index=when.intervals)
    labels = _labels(mine)
    what = "generation" if kind_named(kind).injects else "consumption"
    figure = new_figure(when, f"{what} in MW", height=380)
    for n, (device, label) in enumerate(labels.items()):
        figure.add_trace(steps(when, power[device], label, "MW", line=style.line_of(n)))
    return figure


def _labels(devices: pd.DataFrame) -> dict[Any, str]:
    """Grid and name of devices by (grid, element, index), which tell equal names apart."""
    key = ["grid", "element", "index"]
    names = devices.drop_duplicates(key).set_index(key)["name"]
    alike = names.groupby(level="grid").value_counts()
    labels = {}
    for key, name in zip(names.index, names, strict=True):
        grid, element, index = key
        own = f"{element} {index}"
        if name:
            own = name if alike[grid, name] == 1 else f"{name} ({own})"
        labels[key] = f"{grid} {own}"
    return labels


def devices_of(run: Run, kind: str, grids: Sequence[str]) -> pd.DataFrame:
    """Rows of the devices of a kind in some grids."""
    devices = run.device
    return devices[(devices["kind"] == kind) & devices["grid"].isin(list(grids))]
