"""Figures of an ensemble: members and means with 95 % confidence intervals by error level.

from stackelgrid.analysis.studies import read_ensemble

members(read_ensemble("runs/ensemble").tables, "regret").show()
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.ensemble.statistics import KEY_FIGURES, EnsembleTables, KeyFigure
from stackelgrid.analysis.ensemble.variants import OWN, PERFECT, variant_words
from stackelgrid.analysis.figures.frame import faded, marks
from stackelgrid.analysis.kpis.indicators import TOTAL
from stackelgrid.controllers.words import words

_ROUNDING = 1e-6  # of the largest value


def members(
    tables: EnsembleTables, kpi: str = "regret", variants: tuple[str, ...] = (OWN,)
) -> go.Figure:
    """Every member's value by error level, and the mean with its confidence interval beside.

    One colour a scheme; `variants` are drawn side by side.
    """
    k = tables.kpis[(tables.kpis["kpi"] == kpi) & (tables.kpis["grid"] == TOTAL)]
    unit = str(k["unit"].iloc[0]) if len(k) else "EUR"
    levels = _levels(tables)
    groups = [(s, v) for s in tables.schemes for v in variants]
    figure = _figure(f"{words(kpi)} in {unit}", levels)
    for n, (scheme, variant) in enumerate(groups):
        name = words(scheme)
        name += "" if len(variants) == 1 else f", {_title(variant)}"
        own = k[(k["scheme"] == scheme) & (k["variant"] == variant)]
        beside = _beside(n, len(groups))
        _members(figure, own, levels, beside - 0.04, n, f"{name}, each member")
        rows = tables.of(kpi)
        rows = rows[(rows["scheme"] == scheme) & (rows["variant"] == variant)]
        _means(figure, rows, levels, beside + 0.04, n, f"{name}, mean and 95 % interval")
    figure.update_yaxes(rangemode="tozero" if kpi == "regret" else "normal")
    return figure


def key_figure(tables: EnsembleTables, shown: KeyFigure, grid: str = TOTAL) -> go.Figure:
    """Mean of a key figure with its confidence interval, perfect foresight beside where defined.

    Of all grids together, or of one.
    """
    levels = _levels(tables)
    schemes = tables.schemes
    of_intervals = shown.unit == "number"
    what = f"{words(shown.kpi)} in {shown.unit}"
    what = "number of intervals" if of_intervals else what
    figure = _figure(what, levels)
    rows = tables.of(shown.kpi, grid)
    variants = (OWN, PERFECT) if shown.perfect else (OWN,)
    for n, scheme in enumerate(schemes):
        for m, variant in enumerate(variants):
            own = rows[(rows["scheme"] == scheme) & (rows["variant"] == variant)]
            name = words(scheme) + ("" if variant == OWN else f", {variant_words(variant)}")
            at = _beside(len(variants) * n + m, len(variants) * len(schemes))
            _means(figure, own, levels, at, n, name, hollow=variant == PERFECT)
    if of_intervals:  # an interval of a count may reach below zero, the count cannot
        most = rows["high"].fillna(rows["mean"]).max()
        top = max(1.0, 1.08 * float(most))
        figure.update_yaxes(range=[-0.04 * top, top])
    else:
        _widen(figure)
    return figure


def key_figures(tables: EnsembleTables) -> dict[str, go.Figure]:
    """Figures of all key figures that have a value, by title."""
    return {
        shown.title: key_figure(tables, shown)
        for shown in KEY_FIGURES
        if tables.of(shown.kpi)["mean"].notna().any()
    }


def unchanged(tables: EnsembleTables) -> dict[str, str]:
    """Value of each key figure that is the same in every run, by title of its figure."""
    found = {}
    for shown in KEY_FIGURES:
        rows = tables.kpis[(tables.kpis["kpi"] == shown.kpi) & (tables.kpis["grid"] == TOTAL)]
        values = rows["value"].dropna()
        if len(values) and float(np.ptp(values)) <= _ROUNDING * max(float(values.abs().max()), 1.0):
            unit = "" if shown.unit in ("1", "number") else f" {shown.unit}"
            found[shown.title] = f"{values.iloc[0] + 0.0:.3g}{unit}"
    return found


def imbalance(tables: EnsembleTables) -> go.Figure:
    """Exchange beyond the plan in force by boundary, MWh, all copies; one colour an error level."""
    levels = _levels(tables)
    figure = go.Figure(layout=style.layout(height=360, barmode="group"))
    for n, scheme in enumerate(tables.schemes):
        for m, level in enumerate(levels):
            rows = pd.concat([tables.of("imbalance", g) for g in tables.boundaries])
            mine = (rows["scheme"] == scheme) & (rows["variant"] == OWN)
            own = rows[mine & (rows["error_level"] == level)]
            name = f"level {level:g}" + (f", {words(scheme)}" if len(tables.schemes) > 1 else "")
            figure.add_trace(
                go.Bar(
                    x=own["grid"], y=own["mean"], name=name,
                    marker={"color": style.line_of(n * len(levels) + m)["color"]},
                    error_y={"type": "data", "array": _reach(own), "thickness": 1.5},
                    hovertemplate="%{y:.3f} MWh",
                )
            )  # fmt: skip
    figure.update_xaxes(title_text="boundary", type="category")
    figure.update_yaxes(title_text="mean imbalance in MWh")
    return figure


def horizons(tables: EnsembleTables, scheme: str, kpi: str = "horizon_cost") -> go.Figure:
    """Cost of other horizons beyond that of the scenario's own, EUR, with the same errors.

    With `kpi` regret: beyond that of perfect foresight, the scenario's own horizon too.
    """
    levels, variants = _levels(tables), [OWN, *tables.horizons]
    what = "perfect foresight" if kpi == "regret" else "the scenario's horizon"
    figure = _figure(f"EUR beyond {what}", levels)
    rows = tables.of(kpi)
    for n, variant in enumerate(variants):
        own = rows[(rows["scheme"] == scheme) & (rows["variant"] == variant)]
        name = "the scenario's own" if variant == OWN else variant_words(variant)
        _means(figure, own, levels, _beside(n, len(variants)), n, name)
    figure.add_hline(y=0.0, line={"color": style.BLACK, "width": 1})
    figure.update_layout(showlegend=True)
    _widen(figure)
    return figure


def _levels(tables: EnsembleTables) -> list[float]:
    return [float(v) for v in np.sort(tables.statistics["error_level"].unique())]


def _figure(y_title: str, levels: list[float]) -> go.Figure:
    """Figure over error levels: equally spaced, so that lines side by side never meet another."""
    figure = go.Figure(layout=style.layout(height=340, hovermode="closest"))
    figure.update_xaxes(
        title_text="error level",
        tickvals=list(range(len(levels))),
        ticktext=[f"{v:g}" for v in levels],
        range=[-0.6, len(levels) - 0.4],
        showgrid=False,
        zeroline=False,
    )
    figure.update_yaxes(title_text=y_title)
    return figure


def _beside(number: int, of: int) -> float:
    """Offset of a group around its level, so that groups do not hide one another."""
    return 0.6 * (number - (of - 1) / 2.0) / max(of, 1)


def _members(
    figure: go.Figure, rows: pd.DataFrame, levels: list[float], beside: float, n: int, name: str
) -> None:
    own = rows[rows["error_level"].isin(levels)].sort_values(["error_level", "member"])
    places = np.array([levels.index(float(v)) for v in own["error_level"]], dtype=np.float64)
    mark = {"color": faded(style.line_of(n)["color"], 0.45), "size": 8}
    hover = "member %{customdata}: %{y:,.2f}<extra></extra>"
    figure.add_trace(marks(places + beside, own["value"], name, mark, hover))
    figure.data[-1].customdata = own["member"]


def _means(
    figure: go.Figure,
    rows: pd.DataFrame,
    levels: list[float],
    beside: float,
    n: int,
    name: str,
    *,
    hollow: bool = False,
) -> None:
    """Means with their intervals, joined where there are several levels."""
    own = rows[rows["mean"].notna()]
    if own.empty:
        return
    places = np.array([levels.index(float(v)) for v in own["error_level"]], dtype=np.float64)
    color = style.line_of(n)["color"]
    symbol = style.SYMBOLS[n % len(style.SYMBOLS)]
    figure.add_trace(
        go.Scatter(
            x=places + beside, y=own["mean"], mode="markers+lines", name=name,
            line={"color": color, "width": 1.5, "dash": "dot" if hollow else "solid"},
            marker={"symbol": f"{symbol}-open" if hollow else symbol, "size": 10, "color": color},
            error_y={"type": "data", "array": _reach(own), "thickness": 2, "width": 6},
            customdata=[_interval(row) for _, row in own.iterrows()],
            hovertemplate="%{customdata}<extra>" + name + "</extra>",
        )
    )  # fmt: skip


def _widen(figure: go.Figure) -> None:
    """Give an axis whose values differ by rounding only a range of 2 around them."""
    ends = [
        np.asarray(trace.y) + sign * np.asarray(trace.error_y.array)
        for trace in figure.data
        if trace.error_y.array is not None
        for sign in (-1.0, 1.0)
    ]
    if ends:
        low, high = np.concatenate(ends).min(), np.concatenate(ends).max()
        if high - low < _ROUNDING * max(abs(high), 1.0):
            figure.update_yaxes(range=[high - 1.0, high + 1.0])


def _reach(rows: pd.DataFrame) -> "pd.Series[float]":
    """Half the width of the intervals; nothing where one member has none."""
    return (rows["high"] - rows["mean"]).fillna(0.0)


def _interval(row: "pd.Series[float]") -> str:
    unit = "" if str(row["unit"]) == "1" else f" {row['unit']}"  # a number has none
    if np.isnan(row["low"]):
        return f"{row['mean']:,.2f}{unit}, no interval (one member)"
    return f"{row['mean']:,.2f}{unit} ({row['low']:,.2f} to {row['high']:,.2f})"


def _title(variant: str) -> str:
    return "with errors" if variant == OWN else variant_words(variant)
