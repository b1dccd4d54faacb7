"""Pictures of an ensemble, drawn without a display."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stackelgrid.analysis.ensemble import KEY_FIGURES, EnsembleTables
from stackelgrid.analysis.ensemble_variants import OWN, PERFECT
from stackelgrid.analysis.pictures.files import save
from stackelgrid.analysis.style import BLACK, CYCLE, MARKERS

_COLUMNS = 3


def write_plots(tables: EnsembleTables, directory: Path, name: str) -> list[Path]:
    """Write ensemble.png, imbalance.png and, with other horizons, horizons.png."""
    figures = {
        "ensemble": overview(tables, name),
        "imbalance": imbalance(tables, name),
        "horizons": horizons(tables, name),
    }
    return [save(figure, directory, n) for n, figure in figures.items() if figure is not None]


def _line(
    axes: Axes, rows: pd.DataFrame, at: tuple[int, int], colour: int, label: str, style: str = "-"
) -> None:
    """Means against the error level with their confidence intervals; `at` is (line, of lines)."""
    if rows.empty:
        return
    level = rows["error_level"].to_numpy(dtype=float)
    mean = rows["mean"].to_numpy(dtype=float)
    reach = (rows["high"] - rows["mean"]).fillna(0.0).to_numpy(dtype=float)
    span = float(level.max() - level.min()) or 1.0
    # intervals of lines must not hide one another
    beside = 0.012 * span * (at[0] - (at[1] - 1) / 2.0)
    axes.errorbar(
        level + beside, mean, yerr=reach, label=label, capsize=3,
        color=CYCLE[colour % len(CYCLE)],
        marker=MARKERS[colour % len(MARKERS)], linestyle=style,
        markerfacecolor=None if style == "-" else "white",
        linewidth=1.4, markersize=5,
    )  # fmt: skip
    axes.set_xticks(level, [f"{v:g}" for v in level])


def _finish(axes: Axes, title: str, unit: str, bottom: bool) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3)
    low, high = axes.get_ylim()
    if unit == "number":
        axes.set_ylim(0.0, max(high, 1.0))
    elif high - low < 1e-6 * max(abs(high), 1.0):  # an axis of this size would show rounding
        axes.set_ylim(high - 1.0, high + 1.0)
    if bottom:
        axes.set_xlabel("error level")


def overview(tables: EnsembleTables, name: str) -> Figure:
    """Means of all key figures with 95 % confidence intervals against the error level."""
    figure = Figure(figsize=(13.0, 7.2), layout="constrained")
    figure.suptitle(f"{name}: mean and 95 % confidence interval against the error level")
    schemes = tables.schemes
    for k, shown in enumerate(KEY_FIGURES):
        axes = figure.add_subplot(2, _COLUMNS, k + 1)
        rows = tables.of(shown.kpi)
        lines = 2 * len(schemes) if shown.perfect else len(schemes)
        for i, scheme in enumerate(schemes):
            own = rows[rows["scheme"] == scheme]
            _line(axes, own[own["variant"] == OWN], (i, lines), i, scheme)
            if shown.perfect:
                told, at = f"{scheme}, perfect foresight", (len(schemes) + i, lines)
                _line(axes, own[own["variant"] == PERFECT], at, i, told, ":")
        _finish(axes, shown.title, shown.unit, k >= _COLUMNS)
    _legend(figure)
    return figure


def imbalance(tables: EnsembleTables, name: str) -> Figure | None:
    """Imbalance of every boundary in MWh, all its copies together; None without one."""
    grids, schemes = tables.boundaries, tables.schemes
    if not grids:
        return None
    columns = min(_COLUMNS, len(grids))
    rows = -(-len(grids) // columns)
    size = (max(4.2 * columns, 7.0), 2.8 * rows + 1.2)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{name}: exchange beyond the plan in force, all copies", fontsize=11)
    for k, grid in enumerate(grids):
        axes = figure.add_subplot(rows, columns, k + 1)
        own = tables.of("imbalance", grid)
        for i, scheme in enumerate(schemes):
            part = own[(own["scheme"] == scheme) & (own["variant"] == OWN)]
            _line(axes, part, (i, len(schemes)), i, scheme)
        _finish(axes, str(grid), "MWh" if k % columns == 0 else "", k >= len(grids) - columns)
    _legend(figure)
    return figure


def horizons(tables: EnsembleTables, name: str) -> Figure | None:
    """Cost of other horizons beyond the scenario's own, and their regret; one column a scheme."""
    variants, schemes = tables.horizons, tables.schemes
    if not variants:
        return None
    figure = Figure(figsize=(max(5.2 * len(schemes), 7.0), 7.2), layout="constrained")
    figure.suptitle(f"{name}: what another horizon or period of re-solving costs", fontsize=11)
    for i, scheme in enumerate(schemes):
        for j, (title, kpi, drawn) in enumerate((
            ("cost beyond the scenario's own horizon", "horizon_cost", variants),
            ("regret against perfect foresight", "regret", [OWN, *variants]),
        )):  # fmt: skip
            axes = figure.add_subplot(2, len(schemes), j * len(schemes) + i + 1)
            rows = tables.of(kpi)
            for variant in drawn:
                k = [OWN, *variants].index(variant)
                own = rows[(rows["scheme"] == scheme) & (rows["variant"] == variant)]
                told = "the scenario's own" if variant == OWN else variant
                _line(axes, own, (k, len(variants) + 1), k, told)
            axes.axhline(0.0, color=BLACK, linewidth=0.8)
            _finish(axes, f"{scheme}: {title}", "EUR" if i == 0 else "", j == 1)
    _legend(figure)
    return figure


def _legend(figure: Figure) -> None:
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(str(label), handle)
    handles = [found[label] for label in found]
    figure.legend(
        handles, list(found), loc="outside lower center", ncols=min(len(found), 4), fontsize=9
    )
