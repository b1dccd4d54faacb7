"""Pictures of a comparison of schemes, drawn without a display."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stackelgrid.analysis.compare import (
    COSTS,
    PLAN,
    TITLES,
    Comparison,
    follower_ranges,
    proven_bound,
    value_text,
)
from stackelgrid.analysis.pictures.files import save
from stackelgrid.analysis.style import BLACK, CYCLE, LINE_STYLES, SKY
from stackelgrid.profiles.arrays import Floats

_COLUMNS = 3


def write_plots(comparison: Comparison, directory: Path) -> list[Path]:
    """Write the pictures of every basis: costs, indicators, exchange, follower_range (PNG).

    A picture without data is left out. Those of the closed loop end in `_closed_loop`.
    """
    written = []
    table = comparison.indicators
    for basis in comparison.bases:
        own = table[(table["basis"] == basis) & (table["status"] == "done")]
        if own.empty:
            continue
        figures = {
            "costs": costs(comparison, basis),
            "indicators": indicators(comparison, basis),
            "exchange": exchange(comparison, basis),
            "follower_range": follower_range(comparison, basis),
        }
        for name, figure in figures.items():
            if figure is not None:
                suffix = "" if basis == PLAN else f"_{basis}"
                written.append(save(figure, directory, f"{name}{suffix}"))
    return written


def _title(comparison: Comparison, basis: str) -> str:
    return f"{TITLES[basis]}, {comparison.pricing} pricing"


def _bar_axes(axes: Axes, order: Sequence[str], unit: str) -> None:
    axes.set_xticks(
        range(len(order)), list(order), rotation=30, ha="right", rotation_mode="anchor", fontsize=8
    )
    axes.set_ylabel(unit)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.axhline(0.0, color=BLACK, linewidth=0.8)
    axes.margins(y=0.12)


def costs(comparison: Comparison, basis: str) -> Figure:
    """Costs of leaders, follower and both without transfers in EUR; one panel each.

    Bars start at zero only where that shows the differences: a panel whose costs differ by less
    than a fifth is cut, and says so.
    """
    kinds, order = COSTS[basis], comparison.done(basis)
    figure = Figure(figsize=(4.4 * len(kinds), 4.6), layout="constrained")
    figure.suptitle(f"Cost by scheme ({_title(comparison, basis)})")
    bound = proven_bound(comparison, basis)
    for k, (indicator, label) in enumerate(kinds.items()):
        axes = figure.add_subplot(1, len(kinds), k + 1)
        values = comparison.totals(basis, indicator).to_numpy()
        bars = axes.bar(range(len(order)), values, color=CYCLE[k], width=0.65)
        axes.bar_label(
            bars, [value_text(float(v), "EUR") for v in values], fontsize=7, rotation=90, padding=3
        )
        _bar_axes(axes, order, "EUR")
        shown = [*values[np.isfinite(values)]]
        if indicator == "total_cost" and np.isfinite(bound):
            axes.axhline(bound, color=BLACK, linestyle="--", label="proven bound")
            axes.legend(loc="lower center", fontsize=8, framealpha=1.0)
            shown.append(bound)
        axes.set_title(label + _cut(axes, np.array(shown)))
    return figure


def _cut(axes: Axes, values: Floats) -> str:
    """Set the limits of a cost axis, room for labels above; a note where it does not start at 0."""
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    spread = high - low
    if low > 0.0 and 0.0 < spread < 0.2 * high:
        axes.set_ylim(low - spread, high + 0.9 * spread)
        return " (axis cut)"
    reach = max(high, 0.0) - min(low, 0.0) or 1.0
    axes.set_ylim(
        min(low, 0.0) - (0.3 * reach if low < 0.0 else 0.0),
        max(high, 0.0) + (0.3 * reach if high > 0.0 else 0.05 * reach),
    )
    return ""


def indicators(comparison: Comparison, basis: str) -> Figure:
    """Import, self-consumption, battery throughput and trade of all active networks by scheme."""
    order = comparison.done(basis)
    figure = Figure(figsize=(10.0, 7.0), layout="constrained")
    figure.suptitle(f"Indicators by scheme, all active networks ({_title(comparison, basis)})")
    panels = (
        ("Import from upstream", "MWh", ("import",)),
        ("Self-consumption of PV", "share of available energy", ("self_consumption",)),
        ("Battery throughput", "MWh charged + discharged", ("battery_throughput",)),
        ("Peer-to-peer trade", "MWh bought", ("p2p_inside", "p2p_across")),
    )
    for k, (name, unit, parts) in enumerate(panels):
        axes = figure.add_subplot(2, 2, k + 1)
        axes.set_title(name)
        below = np.zeros(len(order))
        drawn = False
        for part, colour in zip(parts, CYCLE, strict=False):
            values = comparison.totals(basis, part).to_numpy()
            drawn |= bool(np.isfinite(values).any())
            heights = np.nan_to_num(values)
            label = part.removeprefix("p2p_")
            axes.bar(range(len(order)), heights, bottom=below, color=colour, label=label)
            below = below + heights
        _bar_axes(axes, order, unit)
        if not drawn:
            axes.text(0.5, 0.5, "no such quantity", ha="center", transform=axes.transAxes)
        elif len(parts) > 1:
            axes.margins(y=0.3)  # room for the legend
            axes.legend(fontsize=8, loc="upper right", ncols=2)
    return figure


def exchange(comparison: Comparison, basis: str) -> Figure | None:
    """Exchange of every active network over time in MW, one line a scheme; None without one."""
    flows, order = comparison.exchange, comparison.done(basis)
    flows = flows[flows["basis"] == basis]
    grids = list(flows["grid"].unique())
    if not grids:
        return None
    columns = min(_COLUMNS, len(grids))
    rows = -(-len(grids) // columns)
    size = (max(4.2 * columns, 7.0), 2.6 * rows + 1.4)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"Exchange with the grid above, all copies ({_title(comparison, basis)})")
    for k, grid in enumerate(grids):
        axes = figure.add_subplot(rows, columns, k + 1)
        for i, scheme in enumerate(order):
            own = flows[(flows["grid"] == grid) & (flows["scheme"] == scheme)]
            own = own.sort_values("start_h")
            if own.empty:
                continue
            edges = [*own["start_h"], own["start_h"].iloc[-1] + own["dt_h"].iloc[-1]]
            power = [*own["p_mw"], own["p_mw"].iloc[-1]]
            axes.step(
                edges, power, where="post", label=scheme, linewidth=1.6 - 0.12 * i,
                color=CYCLE[i % len(CYCLE)], linestyle=LINE_STYLES[i % len(LINE_STYLES)],
            )  # fmt: skip
        axes.set_title(grid, fontsize=10)
        axes.axhline(0.0, color=BLACK, linewidth=0.6)
        axes.grid(alpha=0.3)
        if k % columns == 0:
            axes.set_ylabel("MW, import > 0")
        if k >= len(grids) - columns:
            axes.set_xlabel("hours from the start")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(order), 3), fontsize=9)
    return figure


def follower_range(comparison: Comparison, basis: str) -> Figure | None:
    """Cost in EUR that a follower may return where its optimality is not asked for, by follower.

    None where no scheme leaves it open.
    """
    wide = follower_ranges(comparison, basis)
    if wide.empty:
        return None
    figure = Figure(figsize=(8.0, 1.4 + 1.3 * len(wide)), layout="constrained")
    title = f"Follower cost that feasibility_only leaves open ({_title(comparison, basis)})"
    figure.suptitle(title, fontsize=11)
    for k, (grid, row) in enumerate(wide.iterrows()):
        axes = figure.add_subplot(len(wide), 1, k + 1)
        low, high = float(row["follower_min"]), float(row["follower_max"])
        axes.barh(0, high - low, left=low, height=0.5, color=SKY, alpha=0.6, label="possible")
        for indicator, marker, label in (
            ("follower_returned", "D", "returned"),
            ("follower_cost", "|", "optimal at the same exchange"),
        ):
            axes.plot(
                row.get(indicator, np.nan), 0, marker, color=BLACK, linestyle="none",
                markersize=18 if marker == "|" else 7, markeredgewidth=2, label=label,
            )  # fmt: skip
        text = f"{value_text(low, 'EUR')} to {value_text(high, 'EUR')}"
        axes.text(low, 0.32, text, fontsize=8)
        room = 0.06 * (high - low or 1.0)
        axes.set_xlim(low - room, high + room)
        axes.set_yticks([0], [str(grid)])
        axes.set_ylim(-0.45, 0.7)
        axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("EUR over the horizon")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    return figure
