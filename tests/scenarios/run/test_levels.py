"""A net of several levels, cut at its transformers: power flow, sections, and refusals."""

import logging
import tomllib

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
import tomli_w
from support.levels_net import CABLE, levels_net
from support.scenario_texts import content_of

import stackelgrid as sg
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.load import load_content, load_scenario

TIMES = pd.date_range("2025-06-21T09:00", periods=4, freq="h", tz="UTC")
MV, LV = ["hv_trafo0"], ["hv_trafo0_trafo2", "hv_trafo0_trafo3"]


def constant(names):
    frame = pd.DataFrame(1.0, TIMES, [f"{name}_factor" for name in names])
    return frame.rename_axis("time")


def content(net, level="transmission", **grid):
    head = content_of("base")
    loads = {"file": constant(net.load.name)}
    keys = {"tariff": "t", "loads": loads, "vm_min_pu": 0.9, "vm_max_pu": 1.1}
    top = {} if level == "transmission" else {"tariff": "t"}
    return {
        **head,
        "name": "levels",
        "time": {**head["time"], "intervals": 1, "interval_min": 60},
        "horizon": {"steps": [{"count": 1, "minutes": 60}]},
        "tariffs": {"t": {"kind": "flat", "import": 200.0, "export": 50.0}},
        "baseline": False,
        "grids": [{"name": "hv", "case": net, "level": level, "loads": loads, **top,
                   "lower": {**keys, "lower": {"tariff": "t"}}, **grid}],
    }  # fmt: skip


def same_voltages(run, net):
    """Compare every bus of a run with pandapower's power flow of the uncut net."""
    logging.getLogger("pandapower").setLevel(logging.ERROR)
    pp.runpp(net, numba=False, tolerance_mva=1e-10, calculate_voltage_angles=True)
    names = {}
    for grid, rows in run.bus.groupby("grid"):
        own = run.net(grid).bus
        added = own.index[own.name.astype(str).str.startswith("open end")]  # no bus of the net
        names[grid] = set(rows.bus) - set(added)
        for row in rows[~rows.bus.isin(added)].itertuples():
            assert row.vm_pu == pytest.approx(net.res_bus.vm_pu[row.bus], abs=1e-6), row
    return names


@pytest.fixture(scope="module")
def three_levels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("levels")
    return sg.run(sg.Scenario(content(levels_net())), out=folder / "out", report=False, quiet=True)


def test_all_levels_together_have_pandapowers_voltages(three_levels):
    net = levels_net()
    buses = same_voltages(three_levels, net)
    assert set(buses) == {"hv", *MV, *LV}
    # every bus of the net but those that a switch joins is in a grid, the upper sides twice
    assert set().union(*buses.values()) >= set(net.bus.index) - {9, 11}
    slack = three_levels.interval[three_levels.interval.grid == MV[0]].p_import_mw.iloc[0]
    assert slack == pytest.approx(net.res_ext_grid.p_mw.iloc[0], abs=1e-4)


def test_the_scenario_of_a_run_lists_the_grids(three_levels):
    written = tomllib.loads((three_levels.directory / "scenario.toml").read_text())
    grids = {g["name"]: g for g in written["grids"]}
    assert list(grids) == ["hv", *MV, *LV]
    assert "part" not in grids["hv"]
    assert (grids[MV[0]]["part"], grids[MV[0]]["level"]) == ("trafo 0", "mv")
    for name, trafo in zip(LV, (2, 3), strict=True):
        lower = grids[name]
        assert (lower["part"], lower["level"], lower["parent"]) == (f"trafo {trafo}", "lv", MV[0])
        assert lower["replaces_load"] is False
    # it is valid by itself, without a section `lower`
    again = load_scenario(str(three_levels.directory / "scenario.toml"))
    assert [g.name for g in again.scenario.grids] == list(grids)


def test_two_levels_in_one_file(tmp_path):
    net = levels_net()
    pp.to_json(net, str(tmp_path / "net.json"))
    constant(net.load.name).to_parquet(tmp_path / "loads.parquet")
    data = content(net, "mv")
    grid = data["grids"][0]
    grid["case"], grid["loads"] = "net.json", {"file": "loads.parquet"}
    grid["lower"] = {"loads": {"file": "loads.parquet"}}
    # a section of that name adds keys; copies of a part draw its power several times
    data["grids"].append({"name": "hv_trafo2", "vm_min_pu": 0.92})
    (tmp_path / "own.toml").write_text(tomli_w.dumps(data))
    run = sg.run(tmp_path / "own.toml", out=tmp_path / "out", report=False, quiet=True)
    same_voltages(run, net)
    sections = {g["name"]: g for g in run.scenario["grids"]}
    assert list(sections) == ["hv", "hv_trafo2", "hv_trafo3"]
    assert sections["hv_trafo2"]["vm_min_pu"] == 0.92
    assert sections["hv_trafo2"]["tariff"] == "t"  # that of the grid above


def opened(net):
    net.switch.loc[0, "closed"] = True


def unequal(net):
    net.line.loc[6, "in_service"] = True
    pp.create_transformer_from_parameters(net, 13, 1, 0.25, 20.0, 0.4, 1.2, 4.0, 0.4, 0.3)


def sourced(net):
    pp.create_ext_grid(net, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (opened, r"the part below trafo 2 is also connected to the upper side by trafo 3; a part"),
        (unequal, r"the part below trafo 2 is also connected to the upper side by trafo 4"),
        (sourced, r"the part below trafo 0 holds ext_grid 1; a part without a source"),
    ],
)
def test_a_part_with_another_supply_is_refused(change, message):
    net = levels_net()
    change(net)
    with pytest.raises(NetworkError, match=message) as caught:
        sg.Scenario(content(net))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"part": "trafo 9"}, "trafo 9 does not exist; accepted: 0, 1, 2, 3"),
        ({"part": "ext_grid 4"}, "ext_grid 4 does not exist; accepted: 0"),
        ({"lower": 3}, r"grids.hv.lower: 3; a section"),
        ({"lower": {"name": "x"}}, r"grids.hv.lower.name: is stated by the cut"),
        ({"level": "lv"}, r"grids.hv.lower: an lv grid has no grids below"),
        ({"level": "mv", "part": "trafo 2"}, r"has no transformer from above 1 kV to at most 1 kV"),
    ],
)
def test_other_parts_are_refused(grid, message):
    with pytest.raises((NetworkError, ScenarioError), match=message) as caught:
        sg.Scenario(content(levels_net(), **grid))
    assert "\n" not in str(caught.value)


def test_parts_that_do_not_fit_are_refused():
    data = content(levels_net(), "mv", lower={"loads": {"mix": {"household": 1.0}}})
    expanded = sg.Scenario(data).content
    del expanded["grids"][0]["lower"]
    lower = {"case": expanded["grids"][0]["case"], "level": "lv", "parent": "hv", "tariff": "t",
             "loads": expanded["grids"][0]["loads"], "part": "trafo 2"}  # fmt: skip
    for grids, message in (
        ([{"name": "a", "bus": 10, **lower}], "grids.a.bus: 10 is not at trafo 2; 13 is accepted"),
        ([{"name": n, "bus": 13, **lower} for n in "ab"], "trafo 2 is the part of a, too"),
        ([{"name": "a", "bus": 13, **lower, "part": "trafo x"}], "grids.a.part"),
    ):
        wrong = {**expanded, "grids": [expanded["grids"][0], *grids]}
        with pytest.raises((NetworkError, ScenarioError), match=message):
            sg.validate(wrong)
    assert load_content  # the same rules for content without a file


def test_a_part_of_a_net_with_several_sources(tmp_path):
    """Two 20 kV feeders with a source each; the second is simulated alone."""
    net = levels_net()
    at = pp.create_bus(net, 20.0)
    end = pp.create_bus(net, 20.0)
    pp.create_line_from_parameters(net, at, end, 3.0, **CABLE)
    pp.create_load(net, end, 2.0, 0.5, name="alone")
    pp.create_ext_grid(net, at, vm_pu=1.01)
    data = content(net, "mv", part="ext_grid 1")
    del data["grids"][0]["lower"]
    run = sg.run(sg.Scenario(data), out=tmp_path / "out", report=False, quiet=True)
    names = same_voltages(run, net)
    assert names == {"hv": {at, end}}
    np.testing.assert_allclose(run.bus.p_mw.sum(), 2.0, atol=0.1)
