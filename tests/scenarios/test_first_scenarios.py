"""Scenarios of at most five lines for grids of others, on the shipped base `sample_day`."""

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from support.outside_nets import street

import stackelgrid as sg
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.content import shipped_bases, shipped_scenarios
from stackelgrid.scenarios.schema.load import load_scenario

SIMBENCH = """
name = "rural"
extends = "sample_day"
grids = [{ name = "lv", case = "simbench:1-LV-rural1--0-sw", level = "lv" }]
"""
FILES = """
name = "street"
extends = "sample_day"
time.start = 2025-06-21
grids = [{ name = "street", case = "street.json", level = "lv", loads.file = "loads.csv" }]
"""


def written(folder, text):
    lines = [line for line in text.splitlines() if line]
    assert len(lines) <= 5
    path = folder / "own.toml"
    path.write_text(text)
    return path


def test_a_net_and_a_table_of_profiles(tmp_path):
    net = street()
    pp.to_json(net, str(tmp_path / "street.json"))
    time = pd.date_range("2025-06-21", periods=48, freq="h")
    kw = 1e3 * net.load.p_mw.to_numpy() * (1.0 + 0.5 * np.cos(np.arange(48) / 4.0))[:, None]
    names = [n or f"load {i}" for i, n in net.load["name"].items()]
    table = pd.DataFrame(kw, columns=[f"{name}_kw" for name in names])
    table.insert(0, "time", time)
    table.to_csv(tmp_path / "loads.csv", index=False)
    path = written(tmp_path, FILES)
    settings = {"time.intervals": 2, "baseline": False}
    run = sg.run(path, out=tmp_path / "out", set=settings, report=False, quiet=True)
    np.testing.assert_allclose(run.interval.load_p_mw, kw[:2].sum(axis=1) / 1e3, rtol=1e-12)
    assert run.summary["certificate"]["exact"] == 2
    # a tariff is the only one of the base; its prices are in the tables
    assert run.scenario["grids"][0]["tariff"] == "flat"


def test_the_base_has_no_grids_and_is_no_scenario():
    assert "sample_day" in shipped_bases()
    assert not set(shipped_bases()) & set(shipped_scenarios())
    with pytest.raises(ScenarioError, match="sample_day: grids: is missing"):
        load_scenario("sample_day")


@pytest.mark.slow
def test_a_grid_of_simbench_with_its_profiles(tmp_path):
    simbench = pytest.importorskip("simbench")
    path = written(tmp_path, SIMBENCH)
    run = sg.run(path, out=tmp_path / "out", set={"baseline": False}, report=False, quiet=True)
    assert run.summary["intervals_done"] == 24
    # powers of the package for that day, quarter-hours averaged; German summer time
    theirs = simbench.get_simbench_net("1-LV-rural1--0-sw")
    powers = simbench.get_absolute_values(theirs, profiles_instead_of_study_cases=True)
    first = 96 * (31 + 29 + 31 + 30 + 31 + 20)  # the skipped hour is repeated in October only
    rows = slice(first - 4, first - 4 + 96)
    assert theirs.profiles["load"].time.iloc[rows.start] == "21.06.2016 00:00"
    load = powers["load", "p_mw"].iloc[rows].sum(axis=1).to_numpy().reshape(24, 4).mean(axis=1)
    np.testing.assert_allclose(run.interval.load_p_mw, load, rtol=1e-9)
    pv = powers["sgen", "p_mw"].iloc[rows].sum(axis=1).to_numpy().reshape(24, 4).mean(axis=1)
    np.testing.assert_allclose(run.interval.pv_p_mw, pv, rtol=1e-9, atol=1e-12)
    # voltages of one hour, against pandapower's power flow at the hour's mean powers
    theirs.load[["p_mw", "q_mvar"]] = np.stack(
        [powers["load", c].iloc[rows].to_numpy().reshape(24, 4, -1).mean(axis=1)[12]
         for c in ("p_mw", "q_mvar")], axis=1)  # fmt: skip
    theirs.sgen["p_mw"] = (
        powers["sgen", "p_mw"].iloc[rows].to_numpy().reshape(24, 4, -1).mean(axis=1)[12]
    )
    pp.runpp(theirs, numba=False)
    for row in run.bus[run.bus.interval == 12].itertuples():
        assert row.vm_pu == pytest.approx(theirs.res_bus.vm_pu[row.bus], abs=1e-8)


@pytest.mark.slow
def test_the_levels_of_simbench_together_are_its_net(tmp_path):
    simbench = pytest.importorskip("simbench")
    code = "1-MVLV-rural-1.108-0-sw"
    grid = {"name": "mv", "case": f"simbench:{code}", "level": "mv", "lower": {}}
    scenario = {"name": "pair", "extends": "sample_day", "grids": [grid]}
    settings = {"time.start": "2016-06-21T12:00", "time.intervals": 1, "baseline": False,
                "horizon.steps": [{"count": 1, "minutes": 60}]}  # fmt: skip
    run = sg.run(scenario, out=tmp_path / "out", set=settings, report=False, quiet=True)
    net = simbench.get_simbench_net(code)
    powers = simbench.get_absolute_values(net, profiles_instead_of_study_cases=True)
    first = int(np.argmax(net.profiles["load"].time == "21.06.2016 12:00"))
    for (table, column), values in powers.items():
        net[table][column] = values.iloc[first : first + 4].mean()
    pp.runpp(net, numba=False, tolerance_mva=1e-9)
    compared = 0
    for name, rows in run.bus.groupby("grid"):
        own = run.net(name).bus.name.astype(str)
        rows = rows[~own.loc[rows.bus].str.startswith("open end").to_numpy()]
        np.testing.assert_allclose(rows.vm_pu, net.res_bus.vm_pu[rows.bus], rtol=0, atol=1e-6)
        compared += len(rows)
    assert compared >= len(net.bus) - 2  # two busbars are coupled by switches
