"""Figures of a comparison of schemes: costs, indicators, exchanges, range of the follower's cost.

Each takes a Comparison and a basis, `plan` or `closed_loop`:

    from stackelgrid.analysis.studies import read_comparison

    costs(read_comparison("runs/compared").comparison, "plan").show()
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stackelgrid.analysis import style
from stackelgrid.analysis.comparison import (
    COSTS,
    Comparison,
    follower_ranges,
    proven_bound,
    value_text,
)
from stackelgrid.analysis.figures.bars import Part, bar_figure
from stackelgrid.analysis.kpis.indicators import STORES, UNITS
from stackelgrid.analysis.results.needs import lacked_quantities, unit_of
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.words import words


@dataclass(frozen=True)
class Panel:
    """Indicators drawn together: title of the figure, title of the axis, labels by indicator."""

    title: str
    axis: str
    parts: dict[str, str]


SCHEMES = (
    Panel("Import from upstream", "import in MWh", {"import": ""}),
    Panel("Peak of the summed exchange", "peak in MW", {"peak_exchange": ""}),
    Panel("Self-consumption", "share of the available energy", {"self_consumption": ""}),
    *(
        Panel(
            f"Throughput of {kind.label}",
            "charged and discharged in MWh",
            {f"{kind.kind}_throughput": ""},
        )
        for kind in STORES
    ),
    Panel("Peer-to-peer trade", "bought in MWh", {"p2p_inside": "inside", "p2p_across": "across"}),
    Panel("Losses", "losses in MWh", {"losses": ""}),
    Panel("Highest loading", "loading in %", {"max_loading": ""}),
    *(
        Panel(
            f"{quantity.lacked[0].upper()}{quantity.lacked[1:]}",
            f"need that was not met in {unit_of(quantity)}",
            {f"{kind.kind}_unmet": ""},
        )
        for kind, quantity in lacked_quantities()
    ),
)
QUALITIES = (
    Panel("Extra cost against {first}", "EUR", {"extra_cost": ""}),
    Panel("Messages", "number", {"messages": "sent", "messages_lost": "lost"}),
    Panel("Rounds", "number", {"rounds_mean": "mean", "rounds_max": "largest"}),
    Panel(
        "Time to agreement", "simulated s", {"agreement_mean": "mean", "agreement_max": "largest"}
    ),
    Panel(
        "Schedules at the gate",
        "agents times intervals",
        {"agents_fallback": "old schedule", "agents_in_doubt": "in doubt"},
    ),
    Panel("Peer-to-peer trade", "MWh bought", {"p2p_inside": "inside", "p2p_across": "across"}),
)
_QUALITY_COLORS = (style.BLUE, style.VERMILION)
# spread of values, as a share of the largest, below which bars from zero would look alike
_ALIKE = 0.25
_PANEL = 170  # px of the exchange of one grid


def cost_name(basis: str, which: str = "total") -> str:
    """Indicator by which schemes are compared: of the `total`, the `leader` or the `follower`."""
    return next(name for name in COSTS[basis] if name.startswith(which))


def costs(comparison: Comparison, basis: str, which: str = "total") -> go.Figure:
    """Draw the cost of each scheme above the lowest, EUR, with total costs beside the names.

    `which` is `total`, `leader` or `follower`. A dashed line is the proven bound of the total.
    Costs that are all the same are drawn from zero.
    """
    values = comparison.totals(basis, cost_name(basis, which))
    lowest = values.min()
    differ = values.max() - lowest > tolerances.COST_ALIKE * max(abs(lowest), 1.0)
    start = lowest if differ else 0.0
    texts = [
        "not defined" if np.isnan(v) else f"{v:,.2f} EUR" + ("" if v > lowest else ", the lowest")
        for v in values
    ]
    part = Part(np.asarray(values - start, dtype=np.float64), texts, _colors(comparison, basis))
    title = "EUR beyond the lowest" if differ else "EUR"
    figure = bar_figure([words(str(s)) for s in values.index], [part], title)
    bound = proven_bound(comparison, basis) - start
    if which == "total" and np.isfinite(bound):
        figure.add_trace(
            go.Scatter(
                x=[bound, bound], y=[-0.5, len(values) - 0.5], mode="lines",
                name=f"proven bound {bound + start:,.2f} EUR",
                line={"color": style.BLACK, "dash": "dash", "width": 1.5},
                hovertemplate=f"proven bound {bound + start:,.2f} EUR<extra></extra>",
            )
        )  # fmt: skip
        low, high = figure.layout.xaxis.range
        figure.update_xaxes(range=[min(low, bound - 0.03 * (high - low)), high])
    return figure


def indicators(
    comparison: Comparison, basis: str, panels: Sequence[Panel] = SCHEMES, *, empty: bool = False
) -> dict[str, go.Figure]:
    """Bars of the indicators of all active networks together, by title.

    comparison: the comparison.
    basis: plan or closed_loop.
    panels: SCHEMES or, for a comparison of qualities, QUALITIES.
    empty: whether figures without any value are included.
    """
    draw = _quality if panels is QUALITIES else _scheme
    first = next(iter(comparison.schemes(basis)), "")
    return {
        panel.title.format(first=words(first)): draw(comparison, basis, panel)
        for panel in panels
        if empty or any(comparison.totals(basis, name).notna().any() for name in panel.parts)
    }


def reference(comparison: Comparison, basis: str) -> str:
    """Scheme that others are compared to: uncoordinated, or the first that ended."""
    names = comparison.done(basis)
    return "uncoordinated" if "uncoordinated" in names else names[0]


def same(comparison: Comparison, basis: str) -> dict[str, str]:
    """Text of the value of each indicator that is the same with all schemes, by title of figure."""
    found = {}
    for panel in SCHEMES:
        texts = {name: _value_texts(comparison, basis, name) for name in panel.parts}
        known = {name: own for name, own in texts.items() if set(own) != {"-"}}
        if known and all(len(set(own)) == 1 for own in known.values()):
            found[panel.title] = ", ".join(
                f"{own[0]} {UNITS[name]} {panel.parts[name]}".replace(" 1 ", " ").strip()
                for name, own in known.items()
            )
    return found


def _value_texts(comparison: Comparison, basis: str, name: str) -> list[str]:
    values = comparison.totals(basis, name).to_numpy(np.float64)
    return [value_text(float(value), UNITS[name], name) for value in values]


def _scheme(comparison: Comparison, basis: str, panel: Panel) -> go.Figure:
    """Bars of a panel by scheme: stacked parts, or one bar in the colour of its scheme.

    Values that are close to each other are drawn as differences to those of the reference.
    """
    names, several = comparison.done(basis), len(panel.parts) > 1
    parts, title = [], panel.axis
    for k, (name, label) in enumerate(panel.parts.items()):
        values = comparison.totals(basis, name)
        texts = _value_texts(comparison, basis, name)
        colors = [style.CYCLE[k]] * len(names) if several else _colors(comparison, basis)
        if not several and _close(values):
            against = reference(comparison, basis)
            values = values - values[against]
            title = f"{panel.axis}, less that of {words(against)}"
        parts.append(Part(np.asarray(values, dtype=np.float64), texts, colors, label))
    return bar_figure([words(s) for s in names], parts, title, stacked=several)


def _close(values: "pd.Series[float]") -> bool:
    """Return True if bars from zero would look alike; False if a value is missing."""
    spread = float(values.max() - values.min())
    known = bool(values.notna().all())
    return known and len(values) > 1 and spread < _ALIKE * float(values.abs().max())


def _quality(comparison: Comparison, basis: str, panel: Panel) -> go.Figure:
    """Bars of a panel by quality, parts side by side; an extra cost with its share."""
    names = comparison.done(basis)
    shares = comparison.totals(basis, "extra_cost_percent")
    parts = []
    for (name, label), color in zip(panel.parts.items(), _QUALITY_COLORS, strict=False):
        values = np.asarray(comparison.totals(basis, name), dtype=np.float64)
        if name == "extra_cost":
            texts = [f"{v:+,.2f} EUR ({s:+.3f} %)" for v, s in zip(values, shares, strict=True)]
        else:
            texts = [value_text(float(value), UNITS[name], name) for value in values]
        texts = ["none" if np.isnan(v) else t for v, t in zip(values, texts, strict=True)]
        parts.append(Part(values, texts, [color] * len(names), label))
    return bar_figure([words(s) for s in names], parts, panel.axis)


def exchange(
    comparison: Comparison, basis: str, columns: int = 1, *, against: str = ""
) -> go.Figure:
    """Exchange of every active network with the grid above over time, MW, all copies.

    comparison: the comparison.
    basis: plan or closed_loop.
    columns: networks side by side.
    against: scheme whose exchange is subtracted from that of the others; none if empty.
    """
    flows = comparison.exchange
    flows = flows[flows["basis"] == basis]
    if against:
        base = flows[flows["scheme"] == against].set_index(["grid", "start_h"])["p_mw"]
        keys = pd.MultiIndex.from_frame(flows[["grid", "start_h"]])
        flows = flows.assign(p_mw=flows["p_mw"] - base.reindex(keys).to_numpy())
    grids = [str(g) for g in flows["grid"].unique()]
    columns = max(min(columns, len(grids)), 1)
    rows = max(-(-len(grids) // columns), 1)
    height = 96 + _PANEL * rows
    figure = make_subplots(
        rows=rows, cols=columns, shared_xaxes=True, vertical_spacing=18.0 / height
    )
    figure.update_layout(style.layout(height=height))
    order = comparison.schemes(basis)
    for k, grid in enumerate(grids):
        place = {"row": k // columns + 1, "col": k % columns + 1}
        for scheme in comparison.done(basis):
            own = flows[(flows["grid"] == grid) & (flows["scheme"] == scheme)]
            own = own.sort_values("start_h")
            if own.empty:
                continue
            number = order.index(scheme)
            # schemes that agree lie on one another: the later ones show gaps
            dash = style.DASHES[number % len(style.DASHES)]
            line = {"shape": "hv", "color": style.line_of(number)["color"], "dash": dash}
            trace = go.Scatter(
                x=[*own["start_h"], own["start_h"].iloc[-1] + own["dt_h"].iloc[-1]],
                y=[*own["p_mw"], own["p_mw"].iloc[-1]],
                mode="lines", line={**line, "width": 2}, name=words(scheme), legendgroup=scheme,
                showlegend=k == 0, hovertemplate="%{y:.3f} MW",
            )  # fmt: skip
            figure.add_trace(trace, **place)
        figure.update_yaxes(title_text=f"{grid}, MW", **place)
        if k >= len(grids) - columns:  # the last one of its column
            figure.update_xaxes(title_text="hours from the start", showticklabels=True, **place)
    return figure


def follower_range(comparison: Comparison, basis: str) -> go.Figure:
    """Cost that `feasibility_only` leaves open for every follower, EUR over the horizon.

    Each follower has an axis of its own: a range is compared with its own ends. Without such a
    scheme the figure has no bar.
    """
    wide = follower_ranges(comparison, basis)
    rows = max(len(wide), 1)
    figure = make_subplots(rows=rows, cols=1, vertical_spacing=0.36 / rows)
    figure.update_layout(
        style.layout(height=110 + 90 * rows, hovermode="closest", bargap=0.5, barmode="overlay")
    )
    for row, (grid, own) in enumerate(wide.iterrows(), start=1):
        low, high = float(own["follower_min"]), float(own["follower_max"])
        name = [f"<b>{grid}</b><br>{low:,.2f} to<br>{high:,.2f} EUR"]
        shown = {"legendgroup": "possible", "showlegend": row == 1}
        figure.add_trace(
            go.Bar(
                x=[high - low], base=[low], y=name, orientation="h", name="possible",
                marker={"color": style.SKY}, **shown,
                hovertemplate="%{base:,.2f} to %{x:,.2f} EUR<extra>possible</extra>",
            ),
            row=row, col=1,
        )  # fmt: skip
        for column, symbol, label in (
            ("follower_returned", "diamond", "returned"),
            ("follower_cost", "line-ns-open", "optimal at the same exchange"),
        ):
            size = 12 if symbol == "diamond" else 18
            edge = {"width": 3, "color": style.BLACK}
            marker = {"symbol": symbol, "size": size, "color": style.BLACK, "line": edge}
            figure.add_trace(
                go.Scatter(
                    x=[own[column]], y=name, mode="markers", name=label, marker=marker,
                    legendgroup=label, showlegend=row == 1,
                    hovertemplate=f"%{{x:,.2f}} EUR<extra>{label}</extra>",
                ),
                row=row, col=1,
            )  # fmt: skip
        room = 0.06 * max(high - low, 1.0)
        figure.update_xaxes(range=[low - room, high + room], row=row, col=1)
    figure.update_xaxes(title_text="cost of the follower in EUR", row=rows, col=1)
    return figure


def _colors(comparison: Comparison, basis: str) -> list[str]:
    """Colour of every scheme that ended; the same as in the other figures."""
    order = comparison.schemes(basis)
    return [style.line_of(order.index(s))["color"] for s in comparison.done(basis)]
