"""The README: its examples executed, its counts those of the shipped scenario."""

import re
import tomllib

import pandapower as pp
import pandapower.networks as pn
import pandas as pd
import pytest
from support.paths import ROOT

from stackelgrid.scenarios.schema.load import load_scenario

README = (ROOT / "README.md").read_text(encoding="utf-8")
START = pd.Timestamp("2025-06-21T16:00", tz="Europe/Berlin")
PEAK, OFF_PEAK = 160.0, 80.0  # EUR/MWh


def block(language):
    (body,) = re.findall(rf"^```{language}\b[^\n]*\n(.*?)^```$", README, re.M | re.S)
    return body


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The three files that the README describes, and its scenario: half an hour, then the peak."""
    monkeypatch.chdir(tmp_path)
    net = pn.case33bw()
    net.line["max_i_ka"] = 0.4
    pp.to_json(net, "feeder.json")
    time = pd.date_range(START, periods=20, freq="15min", name="time")
    kw = {f"load {i}_kw": 500.0 * p for i, p in net.load.p_mw.items()}
    pd.DataFrame(kw, index=time).to_csv("loads.csv")
    price = pd.Series([OFF_PEAK] * 2 + [PEAK] * 6 + [OFF_PEAK] * 12, index=time)
    prices = {"import_eur_per_mwh": price, "export_eur_per_mwh": price - 20.0}
    pd.DataFrame(prices).to_csv("prices.csv")
    (tmp_path / "own.toml").write_text(block("toml"), encoding="utf-8")


def test_examples_run_on_a_grid_of_the_users_own(files, capsys):
    names = {}
    exec(compile(block("python").replace("out=", "report=False, out="), "README.md", "exec"), names)
    run, saved = names["run"], names["idle"] - names["cost"]
    assert list(run.interval.verdict) == ["exact"] * 8
    assert run.interval.load_p_mw.iloc[0] == pytest.approx(0.5 * pn.case33bw().load.p_mw.sum())
    # two batteries of 0.2 MWh: at most one discharge at the peak price
    assert 0.0 < saved < 2 * 0.2 * (PEAK - OFF_PEAK)
    assert f"control saves {saved:.2f} EUR" in capsys.readouterr().out
    assert len(names["net"].res_bus) == 33


def test_counts_of_the_shipped_day():
    scenario = load_scenario("day").scenario
    grids = {grid.name: grid for grid in scenario.grids}

    def copies(grid):
        return grid.multiplicity * (copies(grids[grid.parent]) if grid.parent else 1)

    cases = [grid.case for grid in scenario.grids]
    assert (cases.count("case33bw"), cases.count("european_lv_206")) == (5, 6)
    assert "five 33-bus feeders and six 206-bus communities" in " ".join(README.split())
    assert f"a day of {len(grids)} grids" in README
    assert f"{sum(map(copies, scenario.grids))} grids with all copies" in " ".join(README.split())
    # a bus more than the case for the upper side of each boundary transformer
    buses = sum(int(re.findall(r"\d+", case)[0]) for case in cases) + len(grids) - 1
    assert f"{buses:,} buses" in README
    plans = (len(grids) - 1) * scenario.time.intervals  # of all grids but the transmission grid
    assert f"All {plans:,} applied plans" in README


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = README[README.index("| package | why this one |") :]
    rows = re.findall(r"^\| (.+?) \| .+ \|$", table, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"[\w.-]+", row.split(" (extra")[0])}
    needed = {re.split(r"[<>=\[ ]", line)[0] for line in project["dependencies"]}
    groups = project["optional-dependencies"].values()
    optional = {re.split(r"[<>=\[ ]", line)[0] for lines in groups for line in lines}
    assert needed <= listed, needed - listed
    assert listed - needed <= {"package", "why"} | optional
    extras = table[table.index("Extras:") :]
    assert all(f"`{extra}`" in extras for extra in project["optional-dependencies"])
