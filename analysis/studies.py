"""Directories of studies as objects: comparisons, exactness sweeps and ensembles.

A directory may be finished, interrupted or still being written. Missing, empty, foreign, broken and
incomplete ones are refused with a one-line ResultsError.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stackelgrid.analysis.comparison import CLOSED_LOOP, Comparison
from stackelgrid.analysis.ensemble.statistics import EnsembleTables, analyse
from stackelgrid.analysis.exactness.analysis import TREE, SweepTables
from stackelgrid.analysis.exactness.tables import SCHEMAS
from stackelgrid.analysis.exactness.tables import read_table as read_sweep_table
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.files import check_held, check_members, read_summary
from stackelgrid.analysis.results.summaries import (
    ComparisonSummary,
    EnsembleSummary,
    SolverSection,
    SweepSummary,
)
from stackelgrid.analysis.study_columns import (
    COMPARE,
    COMPARE_EXCHANGE,
    KPIS,
    QUALITIES,
    STATISTICS,
)
from stackelgrid.analysis.study_columns import TREE as TREE_COLUMNS
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.simulators.results.manifest import Manifest

# folder of the runs of an ensemble
DATASET = "ensemble"


@dataclass(frozen=True)
class ComparisonStudy:
    """A comparison of schemes (`kind` schemes) or of qualities of communication (qualities)."""

    directory: Path
    summary: ComparisonSummary
    kind: Literal["schemes", "qualities"]
    comparison: Comparison


@dataclass(frozen=True)
class SweepStudy:
    """An exactness sweep; `tree` is its feeder as a table, None while unfinished."""

    directory: Path
    summary: SweepSummary
    tables: SweepTables
    tree: pd.DataFrame | None


@dataclass(frozen=True)
class EnsembleStudy:
    """An ensemble; `tables` is None if no run has ended, `solver` is the solver of a run."""

    directory: Path
    summary: EnsembleSummary
    solver: SolverSection | None
    tables: EnsembleTables | None


def read_comparison(directory: str | Path) -> ComparisonStudy:
    """Read the results of `stackelgrid compare`; raises ResultsError."""
    directory = Path(directory)
    summary = read_summary(directory)
    kinds: tuple[Literal["schemes", "qualities"], ...] = ("schemes", "qualities")
    kind = next((k for k in kinds if isinstance(summary.get(k), dict)), None)
    if kind is None:
        raise ResultsError(f"{directory}: holds no comparison (stackelgrid compare)")
    _need(directory, summary, {"pricing": str})
    if summary.get("manifest") is not None:  # an unfinished one has none
        check_held(Manifest(directory), summary, (), 0)
    if kind == "schemes":
        table = _table(directory / "compare.parquet", COMPARE.names)
        exchange = _table(directory / "compare_exchange.parquet", COMPARE_EXCHANGE.names)
    else:
        table = _table(directory / "qualities.parquet", QUALITIES.names)
        table = table.rename(columns={"quality": "scheme"}).assign(basis=CLOSED_LOOP)
        exchange = pd.DataFrame(columns=list(COMPARE_EXCHANGE.names))
    comparison = Comparison.of_tables(str(summary["pricing"]), table, exchange)
    return ComparisonStudy(directory, cast(ComparisonSummary, summary), kind, comparison)


def read_sweep(directory: str | Path) -> SweepStudy:
    """Read the results of `stackelgrid exactness`, including parts of an unfinished sweep.

    Raises ResultsError.
    """
    directory = Path(directory)
    summary = read_summary(directory)
    if not isinstance(summary.get("points_planned"), int):
        raise ResultsError(f"{directory}: holds no exactness sweep (stackelgrid exactness)")
    _need(directory, summary, {"grid": str, "dimensions": dict})
    check_held(Manifest(directory), summary, tuple(SCHEMAS), 0)
    frames = {}
    for name, schema in SCHEMAS.items():
        with _readable(directory / f"{name}.parquet"):
            table = read_sweep_table(directory, name)
        _check_columns(directory / f"{name}.parquet", table.column_names, schema.names)
        frames[name] = table.to_pandas()
    found, done = len(frames["points"]), summary.get("points_done", 0)
    if found < done:
        raise ResultsError(f"{directory}: table points holds {found} of {done} points; it is cut")
    path = directory / TREE
    tree = None
    if path.exists():
        tree = _table(path, TREE_COLUMNS.names)
    return SweepStudy(directory, cast(SweepSummary, summary), SweepTables(**frames), tree)


def read_ensemble(directory: str | Path) -> EnsembleStudy:
    """Read the results of `stackelgrid ensemble`; runs of an unfinished one are analysed.

    Raises ResultsError.
    """
    directory = Path(directory)
    summary = read_summary(directory)
    if not isinstance(summary.get("runs_planned"), int):
        raise ResultsError(f"{directory}: holds no ensemble (stackelgrid ensemble)")
    numbers = dict.fromkeys(("runs_planned", "runs_done", "runs_failed", "members"), int)
    _need(directory, summary, {**numbers, "error_levels": list, "schemes": list, "failed": list})
    manifest = Manifest(directory)
    check_held(manifest, summary, (), 0)
    if manifest.exists:
        check_members(manifest)
    if not summary["runs_done"]:
        return EnsembleStudy(directory, cast(EnsembleSummary, summary), None, None)
    ended = summary["status"] in ("done", "failed")
    tables = _kept(directory) if ended else _analysed(directory)
    solver = _solver(directory / DATASET)
    return EnsembleStudy(directory, cast(EnsembleSummary, summary), solver, tables)


def _solver(dataset: Path) -> SolverSection | None:
    """Return the solver of an ensemble's first run; None without runs."""
    first = next(iter(sorted(dataset.glob("*/*/*/*/summary.json"))), None)
    if first is None:
        return None
    found: SolverSection | None = read_summary(first.parent).get("solver")
    return found


def _kept(directory: Path) -> EnsembleTables:
    return EnsembleTables(
        _table(directory / "kpis.parquet", KPIS.names),
        _table(directory / "statistics.parquet", STATISTICS.names),
    )


def _analysed(directory: Path) -> EnsembleTables:
    path = directory / "scenario.toml"
    with _readable(path):
        scenario = tomllib.loads(path.read_text(encoding="utf-8"))
        step_h = float(scenario["time"]["interval_min"]) / 60.0
    dataset = directory / DATASET
    try:
        return analyse(dataset, step_h)
    except StackelgridError as error:
        raise ResultsError(str(error)) from error
    except duckdb.Error as error:  # a table of a run is broken, or of something else
        raise ResultsError(f"{dataset}: cannot be read ({' '.join(str(error).split())})") from error


def _need(directory: Path, summary: Mapping[str, Any], own: Mapping[str, type]) -> None:
    """Refuse a summary in which a key is missing or of another type."""
    common = {"scenario": str, "status": str, "version": str, "wall_s": float}
    for key, kind in {**common, **own}.items():
        if key not in summary:
            raise ResultsError(f"{directory}: summary.json has no {key!r}; it is incomplete")
        if not isinstance(summary[key], (kind, int) if kind is float else kind):
            raise ResultsError(
                f"{directory}: summary.json: {key}: {summary[key]!r} is not what stackelgrid writes"
            )


def _table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a Parquet file and check its columns."""
    with _readable(path):
        table = pq.read_table(path)
    _check_columns(path, table.column_names, columns)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _check_columns(path: Path, found: Sequence[str], wanted: Sequence[str]) -> None:
    missing = [c for c in wanted if c not in found]
    if missing:
        raise ResultsError(f"{path}: has no column {missing[0]!r}; a table of stackelgrid is read")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Convert errors to a one-line ResultsError that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise ResultsError(
            f"{path}: is missing; nothing has ended there yet, or a file is lost"
        ) from error
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ResultsError(f"{path}: cannot be read ({reason})") from error
