"""Tables and pictures of an exactness sweep, from frames made by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from stackelgrid.analysis.exactness.analysis import (
    SweepTables,
    conditions_table,
    levels_of,
    levels_table,
    stops_table,
    write_tables,
)
from stackelgrid.analysis.exactness.feeder_tree import tree_table
from stackelgrid.analysis.pictures.studies import write_sweep

# PV scale, ceiling, verdict, price, voltage, lines, largest share
POINTS = [
    (1.0, 1.05, "exact", True, True, True, 1e-9),
    (2.0, 1.05, "exact", True, False, True, 2e-9),  # conservative: only the voltage condition
    (3.0, 1.05, "infeasible", True, False, True, 0.1),
    (1.0, 1.10, "exact", False, True, True, 1e-9),  # conservative: only the price condition
    (2.0, 1.10, "feasible", False, True, True, 0.4),
    (3.0, 1.10, "feasible", False, False, False, 0.5),
    (4.0, 1.05, "", False, False, False, np.nan),  # no solution: no finding
]
NETWORK = SimpleNamespace(
    # 0 - 1 - 2 - 3 and a lateral 1 - 4
    parent=np.array([0, 1, 2, 1]),
    buses=5,
    branches=4,
    bus_index=(0, 1, 2, 3, 4),
    branch_table=("line",) * 4,
    branch_index=(10, 11, 12, 13),
)


@pytest.fixture
def points():
    conditions = ["price_condition", "voltage_condition", "line_condition"]
    columns = ["pv_scale", "vm_max_pu", "verdict", *conditions, "max_fictitious_loss_share"]
    frame = pd.DataFrame(POINTS, columns=columns)
    frame["point"] = range(len(frame))
    frame["load_scale"] = frame["battery_scale"] = 1.0
    frame["export_price_eur_per_mwh"] = np.nan
    frame["predicted_exact"] = frame[conditions].all(axis=1)
    return frame


@pytest.fixture
def tables(points):
    rows = [
        {
            "point": p,
            "line": f"line {line}",
            "inexact_steps": int(line == 12 and p in (2, 4, 5)),
            "c1_fails": line == 13 and p == 5,
        }
        for p in points["point"]
        for line in NETWORK.branch_index
    ]
    return SweepTables(points, points, pd.DataFrame(rows))


def test_conditions_are_counted_against_what_was_found(points):
    table = conditions_table(points, points.iloc[:2])
    assert len(table) == 8
    own = table[table["basis"] == "point"].set_index("condition").drop(columns="basis")
    # holds and exact, holds and not, fails and exact, fails and not, the last two alone
    assert own.loc["predicted_exact"].tolist() == [1, 0, 2, 3, 0, 0]
    assert own.loc["price_condition"].tolist() == [2, 1, 1, 2, 1, 1]
    assert own.loc["voltage_condition"].tolist() == [2, 1, 1, 2, 1, 1]
    assert own.loc["line_condition"].tolist() == [3, 2, 0, 1, 0, 0]
    steps = table[table["basis"] == "step"].set_index("condition").drop(columns="basis")
    assert steps.loc["voltage_condition"].tolist() == [1, 0, 1, 0, 1, 0]


def test_levels_tell_shares_and_failures(points):
    table = levels_table(points, ["pv_scale"]).set_index("from")
    assert table.loc[2.0, ["points", "solved", "exact", "predicted_exact"]].tolist() == [2, 2, 1, 0]
    assert table.loc[2.0, "voltage_condition_fails"] == 1
    assert table.loc[3.0, "max_fictitious_loss_share"] == 0.5
    assert table.loc[4.0, ["points", "solved"]].tolist() == [1, 0]


def test_many_values_are_put_into_equal_bins():
    levels = levels_of(pd.Series(np.linspace(0.0, 8.0, 81)))
    assert len(levels.labels) == 8
    assert (levels.low[3], levels.high[3]) == (3.0, 4.0)
    assert levels.of_point[30] == 3
    assert levels.of_point[-1] == 7
    assert np.bincount(levels.of_point).tolist() == [10] * 7 + [11]


def test_stops_name_the_last_exact_level_and_the_failing_conditions(points):
    grid = points.iloc[:6]
    table = stops_table(grid, ["pv_scale", "vm_max_pu"]).set_index("vm_max_pu")
    numbers = ["last_exact", "first_inexact", "last_predicted", "first_not_predicted"]
    assert table.loc[1.05, numbers].tolist() == [2.0, 3.0, 1.0, 2.0]
    assert table.loc[1.05, "failing_conditions"] == "voltage"
    assert table.loc[1.10, "first_inexact"] == 2.0
    assert np.isnan(table.loc[1.10, "last_predicted"])
    assert table.loc[1.10, "failing_conditions"] == "price"


def test_stops_need_a_grid(points):
    assert stops_table(points, ["pv_scale", "vm_max_pu"]).empty


def test_rows_of_the_tree_do_not_cross():
    tree = tree_table(NETWORK)
    depth, row = tree["depth"].to_numpy(), tree["row"].to_numpy()
    assert depth.tolist() == [0, 1, 2, 3, 2]
    assert row.tolist() == [0, 0, 0, 0, 1]


def test_tables_and_pictures_are_written(tables, tmp_path):
    write_tables(tables, tree_table(NETWORK), tmp_path)
    assert (tmp_path / "conditions.csv").read_text().startswith("basis,condition,holds_exact")
    assert (tmp_path / "levels.csv").exists()
    written = write_sweep(tables, tree_table(NETWORK), tmp_path, "a sweep")
    assert [p.name for p in written] == ["heat_pv_vm_max.png", "lines.png"]
    for path in written:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 10_000


def test_without_a_solved_point_no_picture_is_drawn(tables, tmp_path):
    empty = tables.points.assign(verdict="")
    nothing = SweepTables(empty, tables.steps, tables.lines)
    assert write_sweep(nothing, tree_table(NETWORK), tmp_path, "a sweep") == []
