"""Small grids of the zoo against the power flow of the nets as their authors wrote them."""

import csv
import importlib

import pytest
from support.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"
# a net of several voltage levels with switches, one of OpenDSS, a net without tap data
SMALL = ("CIGRE MV, all DER", "OpenDSS feeder", "Kerber Landnetz Freileitung 2")
QUICK = {
    "time.intervals": 1,
    "horizon.steps": [{"count": 2, "minutes": 15}],
    "exactness.pv_scale": [2.0],
    "exactness.load_scale": [1.0],
}


@pytest.fixture
def zoo(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("zoo")


@pytest.mark.parametrize("name", SMALL)
def test_a_grid_of_the_zoo_is_exact_and_flows_as_pandapower_says(name, zoo, tmp_path):
    (entry,) = (e for e in zoo.zoo() if e.name == name)
    row = zoo.measure(entry, tmp_path / "grid", QUICK)
    assert zoo.missed(row, entry) == ""
    assert row.voltage_difference_pu < 1e-8
    assert row.loss_mw == pytest.approx(row.loss_pandapower_mw, abs=1e-6)
    assert (row.exact, row.points_exact) == (1, 1)


def test_a_grid_that_misses_the_bar_is_named(zoo):
    (entry,) = (e for e in zoo.zoo() if e.name == "CIGRE LV")
    good = {"levels": "lv", "intervals": 4, "exact": 4, "points": 4, "points_exact": 4,
            "voltage_difference_pu": 1e-12, "loss_mw": 0.01, "loss_pandapower_mw": 0.01,
            "min_vm_pu": 1.0, "max_vm_pu": 1.0, "max_loading_percent": 10.0, "run_s": 1.0,
            "sweep_s": 1.0}  # fmt: skip
    row = {"grid": entry.name, "case": entry.case}
    assert zoo.missed(zoo.Row(**row, **good), entry) == ""
    assert "1.0e-07" in zoo.missed(zoo.Row(**row, **good | {"voltage_difference_pu": 1e-7}), entry)
    assert "losses" in zoo.missed(zoo.Row(**row, **good | {"loss_mw": 0.02}), entry)
    assert "not exact" in zoo.missed(zoo.Row(**row, **good | {"points_exact": 3}), entry)
    assert zoo.missed(zoo.Row(**row, message="refused"), entry) == "refused"
    assert zoo.missed(zoo.Row(**row), entry) == "voltages differ from pandapower's by nan p.u."


def test_the_page_has_every_grid_of_the_list(zoo):
    entries = zoo.zoo()
    names = [entry.name for entry in entries]
    assert len(set(names)) == len({entry.folder for entry in entries}) == len(names)
    with (ROOT / "docs" / "zoo.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["grid"], row["case"]) for row in rows] == [(e.name, e.case) for e in entries]
    page = (ROOT / "docs" / "zoo.md").read_text("utf-8")
    for entry in entries:
        assert f"| {entry.name} |" in page
        assert bool(entry.refused) == bool(entry.because)
