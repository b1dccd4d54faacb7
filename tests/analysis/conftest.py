"""Directories of studies with known contents, written as the verbs write them."""

import pandas as pd
import pyarrow.parquet as pq
import pytest
from study_cases import (
    COSTS,
    FEEDER,
    SOLVER,
    exchange_of,
    kpi_rows,
    scheme_rows,
    sweep_rows,
    write_summary,
)

from stackelgrid.analysis.comparison import qualities
from stackelgrid.analysis.comparison import schemes as compare
from stackelgrid.analysis.comparison.schemes import CLOSED_LOOP, PLAN, Comparison
from stackelgrid.analysis.ensemble import statistics as ensemble
from stackelgrid.analysis.exactness.analysis import SweepTables
from stackelgrid.analysis.exactness.analysis import write_tables as write_sweep
from stackelgrid.analysis.exactness.feeder_tree import tree_table
from stackelgrid.analysis.exactness.tables import table_of
from stackelgrid.analysis.kpis.indicators import TOTAL, UNITS, Row, frame_of


@pytest.fixture
def comparison():
    """Three schemes that end and one that fails, by their plans."""
    made = Comparison("tariff")
    for scheme, cost in COSTS.items():
        rows = scheme_rows(scheme, cost)
        made.add(PLAN, scheme, frame_of(rows, scheme, "tariff"), exchange_of(scheme))
    return made


@pytest.fixture
def compared(comparison, tmp_path):
    """Directory of a comparison of schemes."""
    directory = tmp_path / "compared"
    schemes = {s: {PLAN: {"status": "done"}} for s in COSTS}
    write_summary(directory, pricing="tariff", closed_loop=False, schemes=schemes, solver=SOLVER)
    compare.write_tables(comparison, directory, "T")
    return directory


@pytest.fixture
def compared_qualities(tmp_path):
    """Directory of a comparison of qualities: the second costs 2 % more, the third failed."""
    directory = tmp_path / "qualities"
    made = Comparison("tariff")
    for name, cost, old in (("perfect", 1000.0, 0.0), ("lossy", 1020.0, 6.0)):
        told = {"total_cost_corrected": cost, "messages": 100.0, "agents_fallback": old}
        rows = [Row(TOTAL, k, v) for k, v in told.items()]
        made.add(CLOSED_LOOP, name, frame_of(rows, name, "tariff"), exchange_of(name))
    made.fail(CLOSED_LOOP, "deaf", "nobody answers")
    names = {name: {} for name in ("perfect", "lossy", "deaf")}
    write_summary(directory, status="failed", pricing="tariff", qualities=names, solver=SOLVER)
    qualities.write_tables(qualities.with_extra_costs(made), directory, "T")
    return directory


@pytest.fixture
def swept(tmp_path):
    """Directory of a finished exactness sweep."""
    directory = tmp_path / "swept"
    write_summary(
        directory, grid="mv1", size="small", design="grid", points_planned=6, points_done=6,
        workers=1, solver=SOLVER,
        dimensions={"pv_scale": {"from": 0.0, "to": 2.0, "levels": 3},
                    "vm_max_pu": {"from": 1.05, "to": 1.1, "levels": 2}},
    )  # fmt: skip
    for name, rows in sweep_rows().items():
        pq.write_table(table_of(name, rows), directory / f"{name}.parquet")
    write_sweep(SweepTables.read(directory), tree_table(FEEDER), directory)
    return directory


@pytest.fixture
def ensemble_tables():
    kpis = pd.DataFrame(kpi_rows())
    return ensemble.EnsembleTables(kpis, ensemble.statistics_of(kpis))


@pytest.fixture
def ensembled(ensemble_tables, tmp_path):
    """Directory of a finished ensemble of three members."""
    directory = tmp_path / "ensembled"
    write_summary(
        directory, members=3, error_levels=[1.0], schemes=["bottom_up"], variants=[],
        runs_planned=6, runs_done=6, runs_failed=0, failed=[], workers=2,
    )  # fmt: skip
    ensemble.write_tables(ensemble_tables, directory, "village")
    assert set(ensemble_tables.kpis["unit"]) <= {*UNITS.values()}
    return directory
