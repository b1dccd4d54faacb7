"""Tables and pictures of a comparison, and the status of a scheme that failed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.paths import ROOT

from stackelgrid.analysis import comparison as compare
from stackelgrid.analysis.comparison import (
    CLOSED_LOOP,
    PLAN,
    Comparison,
    grid_table,
    markdown,
    total_table,
    value_text,
    write_tables,
)
from stackelgrid.analysis.kpis.indicators import TOTAL, UNITS, Row, frame_of
from stackelgrid.analysis.pictures.studies import write_comparison


def exchange(scheme):
    return pd.DataFrame({
        "scheme": scheme, "grid": ["a", "a"], "start_h": [0.0, 0.5], "dt_h": 0.5,
        "p_mw": [1.0, -2.0],
    })  # fmt: skip


@pytest.fixture
def comparison():
    c = Comparison("tariff")
    for scheme, cost in (("bottom_up", 111.114), ("feasibility_only", 120.0)):
        rows = [
            Row(TOTAL, "total_cost", cost),
            Row(TOTAL, "import", 3.0),
            Row(TOTAL, "self_consumption", np.nan),
            Row(TOTAL, "gap", 2e-4),
            Row("a", "leader_cost", -0.001),
        ]
        if scheme == "feasibility_only":
            names = ("follower_cost", "follower_returned", "follower_min", "follower_max")
            rows += [Row("mv", n, v) for n, v in zip(names, (1.0, 1.5, 1.0, 2.0), strict=True)]
        c.add(PLAN, scheme, frame_of(rows, scheme, "tariff"), exchange(scheme))
    c.fail(PLAN, "integrated", "RuntimeError: no | luck\nat all")
    return c


def test_total_table_says_why_a_scheme_failed(comparison):
    table = total_table(comparison, PLAN)
    assert list(table.columns) == ["bottom-up", "feasibility only", "integrated"]
    assert list(table.loc["status"]) == ["done", "done", "failed: RuntimeError: no | luck at all"]
    assert list(table.loc["cost of the system, EUR"]) == ["111.11", "120.00", "-"]
    assert table.loc["relative gap", "bottom-up"] == "2.0e-04"
    assert "self-consumption" not in table.index
    assert comparison.failed() == ("integrated",)
    assert comparison.bases == (PLAN,)


def test_table_by_grid(comparison):
    table = grid_table(comparison, PLAN)
    assert list(table.loc[("a", "cost of the leaders, EUR")]) == ["0.00", "0.00", "-"]
    assert list(table.loc[("mv", "follower's highest possible cost, EUR")]) == ["-", "2.00", "-"]


def test_markdown_has_one_width(comparison):
    lines = [x for x in markdown(comparison, "T").splitlines() if x.startswith("| indicator")]
    assert len(lines) == 1
    rows = [x.replace("\\|", "") for x in markdown(comparison, "T").splitlines()]
    cells = {x.count("|") for x in rows if x.startswith("|")}
    assert cells == {5, 6}


def test_tables_are_written_and_read_back(comparison, tmp_path):
    write_tables(comparison, tmp_path, "T")
    table = pd.read_parquet(tmp_path / "compare.parquet")
    pd.testing.assert_frame_equal(table, comparison.indicators)
    failed = table[table["scheme"] == "integrated"]
    assert len(failed) == 1
    assert failed["value"].isna().all()
    assert failed["status"].iloc[0].startswith("failed: RuntimeError")
    assert len(pd.read_csv(tmp_path / "compare.csv")) == len(table)
    assert len(pd.read_parquet(tmp_path / "compare_exchange.parquet")) == 4


def test_a_write_that_is_cut_short_leaves_what_was_there(comparison, tmp_path, monkeypatch):
    write_tables(comparison, tmp_path, "T")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def cut_short(table, path):
        Path(path).write_bytes(b"PAR1 half")
        raise OSError("no space left")

    monkeypatch.setattr(compare.pq, "write_table", cut_short)
    comparison.fail(PLAN, "top_down", "no luck")
    with pytest.raises(OSError, match="no space"):
        write_tables(comparison, tmp_path, "T")
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    monkeypatch.undo()
    write_tables(comparison, tmp_path, "T")
    assert not list(tmp_path.glob("*.tmp"))
    assert "top_down" in (tmp_path / "compare.csv").read_text()


def test_pictures(comparison, tmp_path):
    rows = [Row(TOTAL, "total_cost", 1.0)]
    comparison.add(
        CLOSED_LOOP, "bottom_up", frame_of(rows, "bottom_up", "tariff"), exchange("bottom_up")
    )
    written = {p.name for p in write_comparison(comparison, tmp_path)}
    plan = {"costs", "indicators", "exchange"}
    expected = {f"{n}.png" for n in plan} | {f"{n}_closed_loop.png" for n in plan}
    assert written == expected | {"follower_range.png"}
    assert all((tmp_path / n).stat().st_size > 5000 for n in written)


def test_nothing_but_failures_still_makes_tables(tmp_path):
    c = Comparison("tariff")
    c.fail(PLAN, "top_down", "no")
    write_tables(c, tmp_path, "T")
    assert write_comparison(c, tmp_path) == []
    assert list(total_table(c, PLAN).index) == ["status"]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1.005, "EUR", "1.00"), (-1e-9, "MWh", "0.000"), (np.nan, "EUR", "-"), (0.25, "1", "0.250")],
)
def test_value_text(value, unit, text):
    assert value_text(value, unit) == text


def test_every_indicator_and_column_is_described(comparison):
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    names = [*UNITS, *comparison.indicators.columns, *comparison.exchange.columns]
    assert [n for n in names if f"`{n}`" not in text] == []
