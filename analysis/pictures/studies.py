"""Pictures of studies and negotiations as PNG files: figures of the reports side by side.

Each function writes into the directory of a study and returns the paths; a picture without data is
left out.
"""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stackelgrid.analysis.comparison import CLOSED_LOOP, COSTS, PLAN, TITLES, Comparison
from stackelgrid.analysis.ensemble.statistics import KEY_FIGURES, EnsembleTables, KeyFigure
from stackelgrid.analysis.exactness.analysis import SweepTables, line_shares
from stackelgrid.analysis.figures import compare, ensemble, exactness, negotiation
from stackelgrid.analysis.kpis.negotiation import cold_and_warm, rounds_of
from stackelgrid.analysis.pictures.draw import panels, save
from stackelgrid.analysis.results.record import RunRecord
from stackelgrid.controllers.words import words

_BROAD = 13.0  # inches of a picture with three columns
_NAMED_LINES = 3  # lines that a title names


def write_comparison(comparison: Comparison, directory: Path) -> list[Path]:
    """Write costs, indicators, exchange and follower_range of every basis (PNG).

    Those of the closed loop end in `_closed_loop`.
    """
    pictures = {}
    for basis in filter(comparison.done, comparison.bases):
        what = f"({TITLES[basis]}, {words(comparison.pricing)})"
        suffix = "" if basis == PLAN else f"_{basis}"
        of_costs = [
            (label, _with_legend(compare.costs(comparison, basis, name.partition("_")[0])))
            for name, label in COSTS[basis].items()
        ]
        pictures[f"costs{suffix}"] = panels(
            of_costs, f"Cost by scheme {what}", columns=3, width=_BROAD
        )
        bars = compare.indicators(comparison, basis, empty=True)
        pictures[f"indicators{suffix}"] = panels(
            [(title, _with_legend(figure)) for title, figure in bars.items()],
            f"Indicators by scheme, all active networks {what}", columns=3, width=_BROAD,
            own_legends=True,
        )  # fmt: skip
        exchange = compare.exchange(comparison, basis, columns=3)
        if exchange.data:
            pictures[f"exchange{suffix}"] = panels(
                [("", exchange)],
                f"Exchange with the grid above, import above zero, all copies {what}",
                width=max(4.2 * min(3, len({trace.xaxis for trace in exchange.data})), 8.0),
            )  # fmt: skip
        ranges = compare.follower_range(comparison, basis)
        if ranges.data:
            title = f"Follower cost that feasibility alone leaves open {what}"
            pictures[f"follower_range{suffix}"] = panels([("", ranges)], title)
    return [save(drawn, directory, name) for name, drawn in pictures.items()]


def write_qualities(comparison: Comparison, directory: Path) -> list[Path]:
    """Write qualities.png; nothing where every run failed."""
    if not comparison.done(CLOSED_LOOP):
        return []
    bars = compare.indicators(comparison, CLOSED_LOOP, compare.QUALITIES, empty=True)
    figures = [(title, _with_legend(figure)) for title, figure in bars.items()]
    title = f"Runs by quality of communication, {words(comparison.pricing)}"
    drawn = panels(figures, title, columns=3, width=_BROAD, own_legends=True)
    return [save(drawn, directory, "qualities")]


def write_ensemble(tables: EnsembleTables, directory: Path, name: str) -> list[Path]:
    """Write ensemble.png, imbalance.png and, with other horizons, horizons.png."""
    title = f"{name}: mean and 95 % confidence interval against the error level"
    figures = [(shown.title, ensemble.key_figure(tables, shown)) for shown in KEY_FIGURES]
    pictures = {"ensemble": panels(figures, title, columns=3, width=_BROAD)}
    if tables.boundaries:
        shown = KeyFigure("imbalance", "Imbalance", "MWh", perfect=False)
        figures = [(grid, ensemble.key_figure(tables, shown, grid)) for grid in tables.boundaries]
        pictures["imbalance"] = panels(
            figures, f"{name}: exchange beyond the plan in force, all copies",
            columns=3, width=max(4.2 * min(3, len(figures)), 8.0),
        )  # fmt: skip
    if tables.horizons:
        figures = [
            (f"{words(scheme)}: {what}", ensemble.horizons(tables, scheme, kpi))
            for kpi, what in (
                ("horizon_cost", "cost beyond the scenario's own horizon"),
                ("regret", "regret against perfect foresight"),
            )
            for scheme in tables.schemes
        ]
        pictures["horizons"] = panels(
            figures, f"{name}: what another horizon or period of re-solving costs",
            columns=len(tables.schemes), width=max(5.2 * len(tables.schemes), 8.0),
        )  # fmt: skip
    return [save(drawn, directory, file) for file, drawn in pictures.items()]


def write_sweep(tables: SweepTables, tree: pd.DataFrame, directory: Path, title: str) -> list[Path]:
    """Write a heat map of every pair of varied dimensions and the tree of lines (PNG).

    tables: tables of the sweep; without a solved point nothing is written.
    tree: the feeder as a tree.
    directory: directory of the pictures.
    title: title of all pictures.
    """
    solved = int((tables.points["verdict"] != "").sum())
    if not solved:
        return []
    pictures = {}
    for across, up in combinations(tables.varied, 2):
        pictures[f"heat_{_short(across)}_{_short(up)}"] = panels(
            [
                _heat("exact points in %", exactness.exact_share(tables, across, up)),
                _heat(
                    "log10 of the largest fictitious loss (share of load), white: limit of exact",
                    exactness.fictitious_loss(tables, across, up),
                ),
            ],
            title, columns=2, width=_BROAD,
        )  # fmt: skip
    shares = line_shares(tables).reindex(tree["line"][1:]).fillna(0.0)
    columns = [("inexact", "a line is inexact"), ("c1_fails", "C1 fails at a line")]
    trees = [
        (
            f"points in which {what}: {_worst(shares[column])}",
            exactness.feeder_tree(tables, tree, column),
        )
        for column, what in columns
        if column == "inexact" or shares[column].any()
    ]
    pictures["lines"] = panels(trees, f"{title}: {solved} solved points", width=12.0)
    return [save(drawn, directory, name) for name, drawn in pictures.items()]


def write_negotiations(run: RunRecord, directory: Path, title: str) -> list[Path]:
    """Write negotiation_rounds_GRID.png of every follower and negotiation_timeline.png.

    Pictures without data (no rounds, or no messages) are left out.
    """
    pictures = {}
    for grid in map(str, run.round["grid"].unique()):
        intervals = zip(
            cold_and_warm(run, grid), ("first negotiation", "typical later one"), strict=True
        )
        figures = [
            (
                f"{which} (interval {at}, {len(rounds_of(run, grid, at))} rounds)",
                negotiation.rounds(run, grid, at),
            )
            for at, which in intervals
            if at is not None
        ]
        pictures[f"negotiation_rounds_{grid}"] = panels(
            figures, f"{title}: rounds of the negotiation at {grid}",
            columns=2, width=5.6 * len(figures) + 0.8, same_y=True,
        )  # fmt: skip
    if len(run.commitment):
        pictures["negotiation_timeline"] = panels(
            [("", negotiation.schedules_held(run)), ("", negotiation.agreement(run))],
            f"{title}: schedules that agents held, and how they came about", width=10.0,
        )  # fmt: skip
    return [save(drawn, directory, name) for name, drawn in pictures.items()]


def _with_legend(figure: Any) -> Any:
    """Bars whose parts are named below: a picture has no coloured texts."""
    return figure.update_layout(showlegend=True)


def _short(dimension: str) -> str:
    return dimension.removesuffix("_eur_per_mwh").removesuffix("_pu").removesuffix("_scale")


def _heat(title: str, figure: Any) -> tuple[str, Any]:
    missing = np.isnan(np.asarray(figure.data[0].z, dtype=np.float64)).any()
    return f"{title} (grey: no solved point)" if missing else title, figure


def _worst(shares: "pd.Series[float]") -> str:
    """Name the lines with the largest shares."""
    worst = shares[shares > 0.0].sort_values(ascending=False, kind="stable").head(_NAMED_LINES)
    listed = ", ".join(f"{line} ({100.0 * share:.0f} %)" for line, share in worst.items())
    return f"worst {listed}" if listed else "none"
