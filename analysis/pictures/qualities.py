"""Picture of a comparison of communication qualities, drawn without a display."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stackelgrid.analysis.compare import CLOSED_LOOP, DONE, Comparison, value_text
from stackelgrid.analysis.indicators import TOTAL, UNITS
from stackelgrid.analysis.pictures.files import save
from stackelgrid.analysis.qualities import PANELS
from stackelgrid.analysis.style import BLACK, CYCLE
from stackelgrid.profiles.arrays import Floats

# bars below this are none: an axis of their size would show rounding
_NOTHING = 1e-6


def write_plots(comparison: Comparison, directory: Path) -> list[Path]:
    """Write qualities.png; nothing where every run failed."""
    figure = qualities(comparison)
    return [] if figure is None else [save(figure, directory, "qualities")]


def qualities(comparison: Comparison) -> Figure | None:
    """What differs between qualities of communication, one panel each; None where all failed."""
    table = comparison.indicators
    table = table[(table["status"] == DONE) & (table["grid"] == TOTAL)]
    order = [s for s in comparison.schemes(CLOSED_LOOP) if s in set(table["scheme"])]
    if not order:
        return None
    first = comparison.schemes(CLOSED_LOOP)[0]
    figure = Figure(figsize=(max(11.0, 1.5 * len(order) + 8.0), 6.8), layout="constrained")
    figure.suptitle(f"Runs by quality of communication, {comparison.pricing} pricing")
    for k, panel in enumerate(PANELS):
        axes = figure.add_subplot(2, 3, k + 1)
        axes.set_title(panel.title.format(first=first), fontsize=10)
        axes.set_ylabel(panel.unit)
        _bars(axes, table, order, tuple(panel.parts.items()))
    return figure


def _bars(
    axes: Axes, table: pd.DataFrame, order: Sequence[str], parts: Sequence[tuple[str, str]]
) -> None:
    width = 0.8 / len(parts)
    drawn, largest = False, 0.0
    for i, (indicator, label) in enumerate(parts):
        values = _values(table, indicator, order)
        drawn |= bool(np.isfinite(values).any())
        largest = max(largest, float(np.abs(np.nan_to_num(values)).max()))
        at = np.arange(len(order)) + (i - (len(parts) - 1) / 2.0) * width
        bars = axes.bar(at, np.nan_to_num(values), width, color=CYCLE[i], label=label)
        axes.bar_label(bars, _labels(table, indicator, order, values), fontsize=7, padding=2)
    axes.set_xticks(range(len(order)), list(order), fontsize=9)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.axhline(0.0, color=BLACK, linewidth=0.8)
    axes.margins(y=0.2)
    if not drawn:
        axes.text(0.5, 0.5, "no such quantity", ha="center", transform=axes.transAxes)
    elif len(parts) == 1:  # either sign: room for labels on both sides of zero
        axes.use_sticky_edges = False
        axes.margins(y=0.35)
    else:
        axes.margins(y=0.3)  # room for the legend
        axes.legend(fontsize=8, loc="upper left", ncols=2)
    if largest < _NOTHING:
        axes.set_ylim(-1.0 if len(parts) == 1 else 0.0, 1.0)


def _values(table: pd.DataFrame, indicator: str, order: Sequence[str]) -> Floats:
    rows = table[table["indicator"] == indicator]
    return rows.set_index("scheme")["value"].reindex(list(order)).to_numpy(dtype=np.float64)


def _labels(table: pd.DataFrame, indicator: str, order: Sequence[str], values: Floats) -> list[str]:
    texts = [value_text(v, UNITS[indicator], indicator) for v in values]
    if indicator != "extra_cost":
        return texts
    shares = _values(table, "extra_cost_percent", order)
    percent = [value_text(s, "%", "extra_cost_percent") for s in shares]
    return [f"{t}\n({p} %)" for t, p in zip(texts, percent, strict=True)]
