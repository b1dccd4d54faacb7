"""Pictures of negotiations: residuals round by round, and who held which schedule in a day."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from stackelgrid.analysis.negotiation import (
    RESIDUALS,
    NegotiationTables,
    cold_and_warm,
    held_states,
    rounds_of,
)
from stackelgrid.analysis.pictures.files import save
from stackelgrid.analysis.style import BLACK, BLUE, GREEN, HELD, MARKERS, ORANGE
from stackelgrid.controllers import tolerances

# a residual that is zero cannot be drawn on a log axis
_SMALLEST = 1e-8
_STATES = tuple(HELD.items())
_TIME, _ROUNDS = BLUE, BLACK


def write_plots(tables: NegotiationTables, directory: Path, title: str) -> list[Path]:
    """Write negotiation_rounds_GRID.png of every follower and negotiation_timeline.png.

    What a run has no data for is left out: no rounds, or no messages.
    """
    figures = {
        f"negotiation_rounds_{grid}": rounds(tables, str(grid), title)
        for grid in tables.round["grid"].unique()
    }
    if len(tables.commitment):
        figures["negotiation_timeline"] = timeline(tables, title)
    return [save(figure, directory, name) for name, figure in figures.items()]


def rounds(tables: NegotiationTables, grid: str, title: str) -> Figure:
    """Residuals of the first and of a typical later negotiation on the same log axis."""
    cold, warm = cold_and_warm(tables, grid)
    panels = [(cold, "first negotiation")]
    if warm is not None:
        panels.append((warm, "typical later one"))
    figure = Figure(figsize=(5.6 * len(panels) + 0.8, 5.2), layout="constrained")
    figure.suptitle(f"{title}: rounds of the negotiation at {grid}")
    shared: Axes | None = None
    for k, (interval, label) in enumerate(panels):
        own = rounds_of(tables, grid, interval)
        axes = figure.add_subplot(1, len(panels), k + 1, sharey=shared)
        shared = shared or axes
        _draw_residuals(axes, own)
        axes.set_title(f"{label} (interval {interval}, {len(own)} rounds)", fontsize=10)
        if k == 0:
            axes.set_ylabel("residual")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _draw_residuals(axes: Axes, own: pd.DataFrame) -> None:
    rounds = own["round"].to_numpy(dtype=np.float64)
    for (column, label), colour, marker in zip(
        RESIDUALS.items(), (BLUE, ORANGE, GREEN), MARKERS, strict=False
    ):
        values = own[column].to_numpy(dtype=np.float64)
        axes.semilogy(
            rounds, np.maximum(values, _SMALLEST), marker=marker, markersize=4, color=colour,
            linewidth=1.4, label=label,
        )  # fmt: skip
    axes.axhline(
        tolerances.NEGOTIATION_PRICE, color=BLACK, linestyle="--", linewidth=1,
        label="limit of the two price residuals",
    )  # fmt: skip
    fixed = own["fixed"].to_numpy(dtype=bool)
    spans = [(r - 0.5, r + 0.5) for r in rounds[fixed]]
    for i, (left, right) in enumerate(spans):
        again = "" if i == 0 else "_"  # labels that begin so are not in the legend
        label = f"{again}binaries fixed"
        axes.axvspan(left, right, color="0.85", linewidth=0, zorder=0, label=label)
    axes.set_xlim(0.5, max(rounds[-1], 2.0) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("round")
    axes.grid(alpha=0.3)


def timeline(tables: NegotiationTables, title: str) -> Figure:
    """Agents times intervals by what they hold, above the time to agreement and the rounds."""
    held = held_states(tables)
    names, states = [str(n) for n in held.index], held.to_numpy(dtype=np.float64)
    first, last = int(held.columns[0]), int(held.columns[-1])
    figure = Figure(figsize=(10.0, 3.6 + 0.34 * len(names)), layout="constrained")
    figure.suptitle(f"{title}: schedules that agents held, and how they came about")
    upper, lower = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [0.34 * len(names) + 0.4, 1.9]}
    )
    colours = ListedColormap([colour for _, colour in _STATES])
    upper.pcolormesh(
        np.arange(first, last + 2) - 0.5, np.arange(len(names) + 1), states, cmap=colours,
        edgecolors="white", linewidth=0.8,
        norm=BoundaryNorm(np.arange(len(_STATES) + 1) - 0.5, len(_STATES)),
    )  # fmt: skip
    upper.set_yticks(np.arange(len(names)) + 0.5, names)
    upper.invert_yaxis()
    upper.tick_params(length=0)
    shown = np.unique(states[np.isfinite(states)]).astype(int)
    figure.legend(
        handles=[Patch(color=_STATES[k][1], label=_STATES[k][0]) for k in shown],
        loc="outside lower center", ncols=3, fontsize=9,
    )  # fmt: skip
    _draw_agreement(lower, tables)
    return figure


def _draw_agreement(axes: Axes, tables: NegotiationTables) -> None:
    """Simulated time to agreement as bars and rounds as dots; stages side by side."""
    told = tables.negotiation
    followers = list(told["grid"].unique())
    width = 0.8 / len(followers)
    rounds = axes.twinx()
    for k, follower in enumerate(followers):
        own = told[told["grid"] == follower]
        middle = own["interval"] + (k - (len(followers) - 1) / 2.0) * width
        axes.bar(middle, own["agreement_after_sec"], width=width, color=_TIME, alpha=0.55)
        rounds.plot(middle, own["rounds"], "o", color=_ROUNDS, markersize=3.5)
    axes.set_ylabel("time to agreement, s", color=_TIME)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("interval")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", alpha=0.3)
    rounds.set_ylabel("rounds (dots)", color=_ROUNDS)
    rounds.set_ylim(0.0, max(float(told["rounds"].max()), 1.0) * 1.15)
    rounds.yaxis.set_major_locator(MaxNLocator(integer=True))
