"""Console output of the verb `exactness`: conditions against results, and limits of exactness."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from rich.table import Table

from stackelgrid.analysis.exactness.analysis import (
    CONDITION_NAMES,
    PREDICTED,
    SweepTables,
    conditions_table,
    judged,
    stops_table,
)

_MOST_ROWS = 24


def sweep_tables(tables: SweepTables, name: str) -> Iterator[Table]:
    """The table of conditions, and where exactness ends along the first dimension."""
    if judged(tables.points):
        yield _conditions(tables, name)
    if not tables.varied:
        return
    stops = stops_table(tables.points, tables.varied)
    if len(stops):
        yield _stops(stops, name)


def _conditions(tables: SweepTables, name: str) -> Table:
    title = f"{name}: a priori conditions against the certificate"
    table = Table("of", "condition", title=title, title_justify="left")
    headings = (
        "holds, exact", "holds, not exact", "fails, exact", "fails, not exact",
        "alone fails, exact", "alone fails, not exact",
    )  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in conditions_table(tables.points, tables.steps).itertuples(index=False):
        basis, condition, *counts = row
        alone = ["", ""] if condition == PREDICTED else [str(c) for c in counts[4:]]
        cells = [str(c) for c in counts[:4]] + alone
        table.add_row(f"{basis}s", CONDITION_NAMES[str(condition)], *cells)
    return table


def _stops(stops: pd.DataFrame, name: str) -> Table:
    along = str(stops["along"].iloc[0])
    others = [c for c in stops.columns if c in list(stops.columns)[: list(stops).index("along")]]
    more = f" (first {_MOST_ROWS} of {len(stops)} rows)" if len(stops) > _MOST_ROWS else ""
    title = f"{name}: {along} up to which points are exact, and are predicted to be{more}"
    table = Table(title=title, title_justify="left")
    for column in others:
        table.add_column(column, justify="right")
    for heading in ("last exact", "first inexact", "last predicted", "first not predicted"):
        table.add_column(heading, justify="right")
    table.add_column("conditions that fail at the first inexact point")
    numbers = ["last_exact", "first_inexact", "last_predicted", "first_not_predicted"]
    for _, row in stops.head(_MOST_ROWS).iterrows():
        cells = ["-" if pd.isna(row[c]) else f"{row[c]:g}" for c in (*others, *numbers)]
        table.add_row(*cells, str(row["failing_conditions"]) or "-")
    return table


def sweep_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about a finished sweep."""
    s, t = summary, summary["timings"]
    told = s["predicted_exact"]
    predicted = "" if told is None else f" ({told} predicted)"
    yield (
        f"{s['scenario']}: {s['points_done']} points of {s['grid']} in {s['wall_s']:.1f} s "
        f"(workers: {s['workers']}; build {t['build_s']:.1f}, solve {t['solve_s']:.1f}, "
        f"certify {t['certify_s']:.1f} s)"
    )
    yield (
        f"{s['exact']} exact{predicted}, {s['feasible']} feasible, "
        f"{s['infeasible']} infeasible, {s['unsolved']} without a solution"
    )
