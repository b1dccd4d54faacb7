"""Figures of a comparison of schemes: costs, indicators, exchanges, what a follower may return.

Each takes a Comparison and a basis, `plan` or `closed_loop`:

    from stackelgrid.analysis.studies import read_comparison

    costs(read_comparison("runs/compared").comparison, "plan").show()
"""

from typing import TYPE_CHECKING

import numpy as np

from stackelgrid.analysis import style
from stackelgrid.analysis.compare import COSTS, Comparison, follower_ranges, value_text
from stackelgrid.analysis.figures.bars import Part, bar_figure
from stackelgrid.analysis.indicators import UNITS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# indicators that are drawn: title of the axis, and its parts with their labels
INDICATORS: dict[str, tuple[str, dict[str, str]]] = {
    "Import from upstream": ("import in MWh", {"import": ""}),
    "Peak of the summed exchange": ("peak in MW", {"peak_exchange": ""}),
    "Self-consumption of PV": ("share of the available energy", {"self_consumption": ""}),
    "Battery throughput": ("charged and discharged in MWh", {"battery_throughput": ""}),
    "Peer-to-peer trade": ("bought in MWh", {"p2p_inside": "inside", "p2p_across": "across"}),
    "Losses": ("losses in MWh", {"losses": ""}),
}
_PANEL = 170  # px of the exchange of one grid


def cost_name(basis: str, which: str = "total") -> str:
    """Indicator by which schemes are compared: of the `total`, the `leader` or the `follower`."""
    return next(name for name in COSTS[basis] if name.startswith(which))


def costs(comparison: Comparison, basis: str, which: str = "total") -> "Figure":
    """What every scheme costs beyond the cheapest, EUR; costs themselves stand beside the names.

    `which` is `total`, `leader` or `follower`.
    """
    values = comparison.totals(basis, cost_name(basis, which))
    lowest = values.min()
    texts = [
        "not defined" if np.isnan(v) else f"{v:,.2f} EUR" + ("" if v > lowest else ", the lowest")
        for v in values
    ]
    part = Part(np.asarray(values - lowest, dtype=np.float64), texts, _colors(comparison, basis))
    return bar_figure(list(values.index), [part], "EUR beyond the lowest")


def indicators(comparison: Comparison, basis: str) -> dict[str, "Figure"]:
    """Figures of the indicators of all active networks together, by title; those with a value."""
    found = {}
    names = comparison.done(basis)
    for title, (axis, labels) in INDICATORS.items():
        values = {i: np.asarray(comparison.totals(basis, i), dtype=np.float64) for i in labels}
        if all(np.isnan(v).all() for v in values.values()):
            continue
        several = len(labels) > 1
        parts = [
            Part(
                v,
                [value_text(float(x), UNITS[i], i) for x in v],
                [style.CYCLE[k]] * len(names) if several else _colors(comparison, basis),
                labels[i],
            )
            for k, (i, v) in enumerate(values.items())
        ]
        found[title] = bar_figure(names, parts, axis, stacked=several)
    return found


def exchange(comparison: Comparison, basis: str) -> "Figure":
    """Exchange of every active network with the grid above over time, MW, all copies."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    flows = comparison.exchange
    flows = flows[flows["basis"] == basis]
    grids = [str(g) for g in flows["grid"].unique()]
    rows = max(len(grids), 1)
    height = 96 + _PANEL * rows
    figure = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=18.0 / height)
    figure.update_layout(style.layout(height=height))
    order = comparison.schemes(basis)
    for row, grid in enumerate(grids, start=1):
        for scheme in comparison.done(basis):
            own = flows[(flows["grid"] == grid) & (flows["scheme"] == scheme)]
            own = own.sort_values("start_h")
            if own.empty:
                continue
            figure.add_trace(
                go.Scatter(
                    x=[*own["start_h"], own["start_h"].iloc[-1] + own["dt_h"].iloc[-1]],
                    y=[*own["p_mw"], own["p_mw"].iloc[-1]],
                    mode="lines",
                    line={
                        "shape": "hv",
                        "width": 2,
                        "color": style.line_of(order.index(scheme))["color"],
                        # schemes that agree lie on one another: the later ones show gaps
                        "dash": style.DASHES[order.index(scheme) % len(style.DASHES)],
                    },
                    name=scheme,
                    legendgroup=scheme,
                    showlegend=row == 1,
                    hovertemplate="%{y:.3f} MW",
                ),
                row=row,
                col=1,
            )
        figure.update_yaxes(title_text=f"{grid}, MW", row=row, col=1)
    figure.update_xaxes(title_text="hours from the start", row=rows, col=1)
    return figure


def follower_range(comparison: Comparison, basis: str) -> "Figure":
    """Cost that feasibility_only leaves open for every follower, EUR over the horizon.

    Without such a scheme the figure has no bar.
    """
    import plotly.graph_objects as go

    wide = follower_ranges(comparison, basis)
    names = [str(g) for g in wide.index]
    figure = go.Figure(
        layout=style.layout(height=130 + 60 * len(names), hovermode="closest", bargap=0.5)
    )
    figure.add_trace(
        go.Bar(
            x=wide["follower_max"] - wide["follower_min"], base=wide["follower_min"], y=names,
            orientation="h", marker={"color": style.SKY}, name="possible",
            hovertemplate="%{base:,.2f} to %{x:,.2f} EUR<extra>possible</extra>",
        )
    )  # fmt: skip
    for column, symbol, label in (
        ("follower_returned", "diamond", "returned"),
        ("follower_cost", "line-ns-open", "optimal at the same exchange"),
    ):
        marker = {"symbol": symbol, "size": 18 if symbol != "diamond" else 12, "color": style.BLACK}
        figure.add_trace(
            go.Scatter(
                x=wide[column], y=names, mode="markers", name=label,
                marker=marker | {"line": {"width": 3, "color": style.BLACK}},
                hovertemplate=f"%{{x:,.2f}} EUR<extra>{label}</extra>",
            )
        )  # fmt: skip
    # a range is not compared with zero, but with its own ends
    ends = wide[["follower_min", "follower_max"]].to_numpy()
    if ends.size:
        room = 0.06 * max(float(ends.max() - ends.min()), 1.0)
        figure.update_xaxes(range=[float(ends.min()) - room, float(ends.max()) + room])
    figure.update_xaxes(title_text="cost of the follower in EUR")
    return figure


def _colors(comparison: Comparison, basis: str) -> list[str]:
    """Colour of every scheme that ended; the same as in the other figures."""
    order = comparison.schemes(basis)
    return [style.line_of(order.index(s))["color"] for s in comparison.done(basis)]
