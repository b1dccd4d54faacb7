"""Analysis of an exactness sweep: limits of exactness, and a priori conditions as predictors."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from stackelgrid.analysis.exactness.tables import SCHEMAS
from stackelgrid.analysis.study_columns import CONDITIONS, DIMENSIONS
from stackelgrid.analysis.study_columns import TREE as TREE_COLUMNS
from stackelgrid.controllers.verdict import EXACT
from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.results.columns import arrow_table
from stackelgrid.simulators.results.whole_file import whole_file

PREDICTED = "predicted_exact"
TREE = "tree.parquet"
CONDITION_NAMES = {
    PREDICTED: "all three",
    "price_condition": "price",
    "voltage_condition": "voltage",
    "line_condition": "lines (C1)",
}
# largest number of bins of a sampled dimension
_MOST_LEVELS = 12
_BINS = 8


@dataclass(frozen=True)
class SweepTables:
    """Tables of a finished sweep as frames (docs/exactness.md)."""

    points: pd.DataFrame
    steps: pd.DataFrame
    lines: pd.DataFrame

    @classmethod
    def read(cls, directory: Path) -> "SweepTables":
        """Read the merged tables of a directory."""
        read = {name: pq.read_table(directory / f"{name}.parquet").to_pandas() for name in SCHEMAS}
        return cls(**read)

    @property
    def varied(self) -> tuple[str, ...]:
        """Dimensions with more than one value."""
        return tuple(
            d for d in DIMENSIONS
            if d in self.points and len(self.points[d].dropna().unique()) > 1
        )  # fmt: skip


@dataclass(frozen=True)
class Levels:
    """Levels of one dimension: labels, and the level of every point (points,)."""

    labels: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    of_point: "np.typing.NDArray[np.int64]"


def levels_of(values: pd.Series) -> Levels:
    """Return the distinct values of a dimension, or equal bins if there are many."""
    distinct = np.sort(values.unique())
    if len(distinct) <= _MOST_LEVELS:
        at = np.searchsorted(distinct, values.to_numpy())
        labels = tuple(f"{v:g}" for v in distinct)
        ends = tuple(float(v) for v in distinct)
        return Levels(labels, ends, ends, at.astype(np.int64))
    edges = np.linspace(distinct[0], distinct[-1], _BINS + 1)
    at = np.clip(np.searchsorted(edges, values.to_numpy(), side="right") - 1, 0, _BINS - 1)
    labels = tuple(f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges))
    return Levels(labels, tuple(edges[:-1]), tuple(edges[1:]), at.astype(np.int64))


@dataclass(frozen=True)
class Cells:
    """Points by the levels of two dimensions, over all others; NaN without a solved point.

    `exact_share` and `fictitious_loss_share`, the largest, are (rows, columns).
    """

    columns: Levels
    rows: Levels
    exact_share: Floats
    fictitious_loss_share: Floats


def cells_of(points: pd.DataFrame, across: str, up: str) -> Cells:
    """Return the share of exact points and the largest fictitious loss by two dimensions."""
    columns, rows = levels_of(points[across]), levels_of(points[up])
    share, loss = np.full((2, len(rows.labels), len(columns.labels)), np.nan)
    solved = (points["verdict"] != "").to_numpy()
    exact = (points["verdict"] == EXACT).to_numpy()
    lost = points["max_fictitious_loss_share"].to_numpy()
    for i in range(len(rows.labels)):
        for j in range(len(columns.labels)):
            own = solved & (rows.of_point == i) & (columns.of_point == j)
            if own.any():
                share[i, j], loss[i, j] = exact[own].mean(), lost[own].max()
    return Cells(columns, rows, share, loss)


def pairs_by_effect(tables: SweepTables) -> list[tuple[str, str]]:
    """Return pairs of varied dimensions, those that explain exactness best first."""

    def explained(pair: tuple[str, str]) -> float:
        share = cells_of(tables.points, *pair).exact_share
        return float(np.nanvar(share)) if np.isfinite(share).any() else 0.0

    return sorted(combinations(tables.varied, 2), key=explained, reverse=True)


def line_shares(tables: SweepTables) -> pd.DataFrame:
    """Return the shares of solved points with an inexact line and with C1 failing; index line."""
    solved = tables.points.loc[tables.points["verdict"] != "", "point"]
    lines = tables.lines[tables.lines["point"].isin(solved)]
    flags = {"inexact": lines["inexact_steps"] > 0, "c1_fails": lines["c1_fails"].astype(bool)}
    return pd.DataFrame(flags).groupby(lines["line"], sort=False).mean()


def conditions_table(points: pd.DataFrame, steps: pd.DataFrame) -> pd.DataFrame:
    """Return the confusion matrix of every condition, and of all together, with the certificate.

    One row for each `basis` (point, step) and `condition` counts: holds and exact, holds and not
    exact (refutes the prediction), fails and exact (conservative), fails and not exact; `only_*`
    counts failures of one condition while the others hold. Points without a solution or without
    conditions (`judged`) are not counted.
    """
    rows = [
        _confusion(basis, condition, frame[frame["verdict"] != ""])
        for basis, frame in (("point", points), ("step", steps))
        for condition in (PREDICTED, *CONDITIONS)
    ]
    return pd.DataFrame(rows)


def judged(points: pd.DataFrame) -> bool:
    """Return True if the a priori conditions cover the feeder, and with it all points."""
    return bool(points[PREDICTED].notna().any())


def _confusion(basis: str, condition: str, solved: pd.DataFrame) -> dict[str, Any]:
    solved = solved[solved[condition].notna()]
    exact, holds = solved["verdict"] == EXACT, solved[condition].astype(bool)
    only = ~holds
    for other in CONDITIONS:
        if other != condition:
            only &= solved[other].astype(bool)
    if condition == PREDICTED:
        only = only & False
    return {
        "basis": basis,
        "condition": condition,
        "holds_exact": int((holds & exact).sum()),
        "holds_inexact": int((holds & ~exact).sum()),
        "fails_exact": int((~holds & exact).sum()),
        "fails_inexact": int((~holds & ~exact).sum()),
        "only_fails_exact": int((only & exact).sum()),
        "only_fails_inexact": int((only & ~exact).sum()),
    }


def levels_table(points: pd.DataFrame, varied: Sequence[str]) -> pd.DataFrame:
    """Count points by level of every dimension: exact, predicted, largest fictitious loss."""
    rows = []
    for dimension in varied:
        levels = levels_of(points[dimension])
        for k in range(len(levels.labels)):
            own = points[levels.of_point == k]
            solved = own[own["verdict"] != ""]
            rows.append(
                {
                    "dimension": dimension,
                    "from": levels.low[k],
                    "to": levels.high[k],
                    "points": len(own),
                    "solved": len(solved),
                    "exact": int((solved["verdict"] == EXACT).sum()),
                    PREDICTED: int(_known_as(solved[PREDICTED], True).sum()),
                    **{f"{c}_fails": int(_known_as(solved[c], False).sum()) for c in CONDITIONS},
                    "max_fictitious_loss_share": solved["max_fictitious_loss_share"].max(),
                }
            )
    return pd.DataFrame(rows)


def stops_table(points: pd.DataFrame, varied: Sequence[str]) -> pd.DataFrame:
    """Return the limits of exactness along the first varied dimension, by values of the others.

    Columns: the last level up to which all points are exact, the first inexact level, the same for
    the prediction, and the conditions that fail at the first inexact level. Only for points on a
    grid.
    """
    along, others = varied[0], list(varied[1:])
    solved = points[points["verdict"] != ""]
    if len(points) != np.prod([points[d].nunique() for d in varied]):
        return pd.DataFrame()
    rows = []
    groups = solved.groupby(others, dropna=False) if others else [((), solved)]
    for key, group in groups:
        ordered = group.sort_values(along)
        values = ordered[along].to_numpy()
        exact = (ordered["verdict"] == EXACT).to_numpy()
        last_exact, first_inexact = _turn(values, exact)
        last_predicted = first_unpredicted = float("nan")
        if judged(ordered):
            predicted = ordered[PREDICTED].to_numpy(dtype=bool)
            last_predicted, first_unpredicted = _turn(values, predicted)
        failing = ""
        if not exact.all():
            first = ordered.iloc[int(np.argmin(exact))]
            failing = " + ".join(
                c.removesuffix("_condition")
                for c in CONDITIONS
                if pd.notna(first[c]) and not first[c]
            )
        rows.append(
            {
                **dict(zip(others, key, strict=True)),
                "along": along,
                "last_exact": last_exact,
                "first_inexact": first_inexact,
                "last_predicted": last_predicted,
                "first_not_predicted": first_unpredicted,
                "failing_conditions": failing,
            }
        )
    return pd.DataFrame(rows)


def _known_as(flags: pd.Series, value: bool) -> "pd.Series[bool]":
    """Return a mask of the entries that are known and have a value."""
    return flags.notna() & (flags.astype(bool) == value)


def _turn(
    values: "np.typing.NDArray[Any]", good: "np.typing.NDArray[np.bool_]"
) -> tuple[float, float]:
    """Return the last value before the first bad one, and that first bad one; NaN for none."""
    if good.all():
        return float(values[-1]), float("nan")
    k = int(np.argmin(good))
    return (float(values[k - 1]) if k else float("nan")), float(values[k])


def write_tables(tables: SweepTables, tree: pd.DataFrame, directory: Path) -> None:
    """Write conditions.csv, tree.parquet, and levels.csv and stops.csv if they are defined."""
    with whole_file(directory / TREE) as path:
        pq.write_table(arrow_table(tree, TREE_COLUMNS), path)
    frames = {"conditions.csv": conditions_table(tables.points, tables.steps)}
    if tables.varied:
        frames["levels.csv"] = levels_table(tables.points, tables.varied)
        stops = stops_table(tables.points, tables.varied)
        if len(stops):
            frames["stops.csv"] = stops
    for name, frame in frames.items():
        with whole_file(directory / name) as path:
            frame.to_csv(path, index=False)
