"""Figures of powers: balances by level, imports planned and real, PV, storage, trade."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import (
    LEVEL_COLORS,
    LEVELS,
    Clock,
    band_figure,
    by_grid,
    clock,
    copies,
    faded,
    grids_of,
    levels,
    new_figure,
    steps,
)
from stackelgrid.analysis.run import Run
from stackelgrid.controllers import tolerances
from stackelgrid.profiles.arrays import Floats

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# name, column of interval.parquet, sign that makes supply positive, colour
_TERMS = (
    ("units", "unit_p_mw", 1.0, style.UNIT),
    ("import", "p_import_mw", 1.0, style.IMPORT),
    ("PV", "pv_p_mw", 1.0, style.PV),
    ("batteries", "battery_p_mw", -1.0, style.BATTERY),
    ("grids below", "lower_p_mw", -1.0, style.LOWER),
    ("load", "load_p_mw", -1.0, style.LOAD),
    ("losses", "loss_mw", -1.0, style.LOSS),
)
_NOTHING_MW = 1e-6  # a term that stays below is left out


def balance(run: Run, level: str) -> "Figure":
    """Supply (up) and use (down) of all grids of a level, all copies, MW; they are equal."""
    when = clock(run)
    names = grids_of(run, level)
    figure = new_figure(when, "use | supply in MW", height=380)
    for name, column, sign, color in _TERMS:
        power = sign * by_grid(run, column, when)[names].sum(axis=1).to_numpy()
        parts = {"supply": np.maximum(power, 0.0), "use": np.minimum(power, 0.0)}
        shown = False
        for side, part in parts.items():
            if np.abs(part).max(initial=0.0) < _NOTHING_MW:
                continue
            figure.add_trace(
                steps(
                    when,
                    part,
                    name,
                    "MW",
                    line={"color": color, "width": 0.5},
                    stackgroup=side,
                    fillcolor=faded(color, 0.55 if color != style.BLACK else 0.35),
                    legendgroup=name,
                    showlegend=not shown,
                )
            )
            shown = True
    figure.add_hline(y=0.0, line={"color": style.INK, "width": 1})
    return figure


def imports(run: Run, level: str) -> "Figure":
    """Import of a level's grids, all copies: planned and real (MW), and their difference (kW)."""
    from plotly.subplots import make_subplots

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
        figure.add_trace(steps(when, real[grid], grid, "MW", line=line, **group), row=1, col=1)
        figure.add_trace(
            steps(
                when, planned[grid], f"{grid} planned", "MW", line=plan, showlegend=False, **group
            ),
            row=1,
            col=1,
        )
        figure.add_trace(
            steps(
                when,
                1000.0 * (real[grid] - planned[grid]),
                grid,
                "kW",
                3,
                line=line,
                showlegend=False,
                **group,
            ),
            row=2,
            col=1,
        )
    figure.add_trace(_legend_only("planned", {"color": style.GREY, "dash": "dot", "width": 1.5}))
    figure.update_yaxes(title_text="import in MW", row=1, col=1)
    figure.update_yaxes(title_text="real - planned in kW", row=2, col=1)
    figure.update_xaxes(range=[when.edges[0], when.edges[-1]])
    figure.update_xaxes(title_text=when.title, row=2, col=1)
    return figure


def photovoltaics(run: Run) -> "Figure":
    """PV fed in by level and what was curtailed, all copies, MW; together what the sun offered."""
    when = clock(run)
    figure = new_figure(when, "PV in MW")
    fed, available = (by_grid(run, c, when) for c in ("pv_p_mw", "pv_available_mw"))
    for level in levels(run):
        names = grids_of(run, level)
        power = fed[names].sum(axis=1)
        if power.max() < _NOTHING_MW:
            continue
        color = LEVEL_COLORS[level]
        figure.add_trace(
            steps(
                when,
                power,
                f"fed in, {LEVELS[level]}",
                "MW",
                line={"color": color, "width": 1},
                stackgroup="pv",
                fillcolor=faded(color, 0.45),
            )
        )
    curtailed = (available - fed).sum(axis=1).clip(lower=0.0)
    if curtailed.max() > _NOTHING_MW:
        figure.add_trace(
            steps(
                when,
                curtailed,
                "curtailed",
                "MW",
                line={"color": style.VERMILION, "width": 0},
                stackgroup="pv",
                fillcolor=faded(style.VERMILION, 0.7),
            )
        )
    return figure


def state_of_charge(run: Run, level: str) -> "Figure":
    """State of charge of a level's batteries: bands of percentiles over devices and copies."""
    when = clock(run)
    values, weights = _batteries(run, level, when)
    figure = band_figure(
        when,
        values,
        weights,
        style.BATTERY,
        "state of charge in %",
        "%",
        1,
        "batteries",
    )
    figure.update_yaxes(range=[0, 100])
    return figure


def has_batteries(run: Run, level: str) -> bool:
    """Whether a level has batteries on record."""
    devices = run.device
    return bool(((devices["kind"] == "battery") & devices["grid"].isin(grids_of(run, level))).any())


def trade(run: Run) -> "Figure":
    """What prosumers buy from each other, inside a feeder and across feeders, all copies, MW."""
    when = clock(run)
    figure = new_figure(when, "bought from prosumers in MW")
    bought = trade_volumes(run, when)
    for market, name, color in (
        ("inside", "inside a feeder", style.GREEN),
        ("across", "across feeders", style.PURPLE),
    ):
        figure.add_trace(
            steps(
                when,
                bought[market],
                name,
                "MW",
                line={"color": color, "width": 1},
                stackgroup="trade",
                fillcolor=faded(color, 0.45),
            )
        )
    return figure


def trade_volumes(run: Run, when: Clock) -> pd.DataFrame:
    """Power bought by `market` (grid, inside, across) and interval, all copies, MW."""
    trades = run.trade[run.trade["side"] == "buy"]
    power = trades["p_mw"] * trades["grid"].map(copies(run))
    rows = trades.assign(power=power)
    wide = rows.pivot_table("power", "interval", "market", aggfunc="sum")
    return wide.reindex(index=when.intervals, columns=["grid", "inside", "across"]).fillna(0.0)


def has_trade(run: Run) -> bool:
    """Whether prosumers ever bought from each other."""
    between = run.trade["market"].isin(["inside", "across"])
    return bool((run.trade.loc[between, "p_mw"] > tolerances.NO_TRADE_MW).any())


def units(run: Run, level: str) -> "Figure":
    """Power of every dispatchable unit of a level, all copies, MW."""
    when = clock(run)
    devices = run.device
    mine = devices[(devices["kind"] == "unit") & devices["grid"].isin(grids_of(run, level))]
    key = ["grid", "element", "index"]
    rows = mine.assign(power=mine["p_mw"] * mine["grid"].map(copies(run)))
    wide = rows.pivot_table("power", "interval", key, sort=False).reindex(index=when.intervals)
    labels = _unit_labels(mine.drop_duplicates(key).set_index(key)["name"])
    figure = new_figure(when, "generation in MW", height=380)
    for n, (unit, label) in enumerate(labels.items()):
        figure.add_trace(steps(when, wide[unit], label, "MW", line=style.line_of(n)))
    return figure


def _unit_labels(names: "pd.Series[str]") -> dict[Any, str]:
    """Grid and name of units by (grid, element, index), which tell those of one name apart."""
    alike = names.groupby(level="grid").value_counts()
    labels = {}
    for key, name in zip(names.index, names, strict=True):
        grid, element, index = key
        own = f"{element} {index}"
        if name:
            own = name if alike[grid, name] == 1 else f"{name} ({own})"
        labels[key] = f"{grid} {own}"
    return labels


def has_units(run: Run, level: str) -> bool:
    """Whether a level has dispatchable units on record."""
    devices = run.device
    return bool(((devices["kind"] == "unit") & devices["grid"].isin(grids_of(run, level))).any())


def _batteries(run: Run, level: str, when: Clock) -> tuple[Floats, Floats]:
    devices = run.device
    mine = devices[(devices["kind"] == "battery") & devices["grid"].isin(grids_of(run, level))]
    wide = mine.pivot_table("soc_percent", "interval", ["grid", "element", "index"], sort=False)
    wide = wide.reindex(index=when.intervals)
    count = copies(run)
    weights = np.array([float(count[key[0]]) for key in wide.columns])
    return wide.to_numpy(np.float64), weights


def _legend_only(name: str, line: dict[str, object]) -> object:
    import plotly.graph_objects as go

    return go.Scatter(x=[None], y=[None], name=name, mode="lines", line=line)
