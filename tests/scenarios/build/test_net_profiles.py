"""Profiles that come with a net, as SimBench stores them: series, files, overrides, refusals."""

import json

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
import tomli_w
from support.outside_nets import street
from support.scenario_texts import content_of

import stackelgrid as sg
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.scenarios.build.net_notices import net_lines
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.load import load_scenario

# three days around the end of summer time: 03:00 occurs twice on 2016-10-30 (German time)
LOCAL = pd.date_range("2016-10-29", "2016-11-01", freq="h", tz="Europe/Berlin", inclusive="left")
WAVE = 0.5 + 0.4 * np.sin(np.arange(len(LOCAL)))


def profiled_street():
    """Six houses with one profile, a battery that is not decided, PV, wind and a CHP plant."""
    net = street()
    stamps = LOCAL.strftime("%d.%m.%Y %H:%M")
    net.load["profile"] = "H0-A"
    buses = net.load.bus.tolist()
    for bus, p, kind, profile in (
        (buses[0], 0.006, "PV", "PV1"),
        (buses[1], 0.004, "Wind", "WP1"),
        (buses[2], 0.002, "CHP", None),
    ):
        pp.create_sgen(net, bus, p, q_mvar=-0.1 * p, type=kind, name=f"{kind} {bus}")
        net.sgen.loc[net.sgen.index[-1], "profile"] = profile
    pp.create_storage(net, buses[3], 0.003, 0.006, controllable=False)
    net.storage["profile"] = "S1"
    net["profiles"] = {
        "load": pd.DataFrame({"time": stamps, "H0-A_pload": WAVE, "H0-A_qload": -0.2 * WAVE}),
        "renewables": pd.DataFrame({"time": stamps, "PV1": WAVE**2, "WP1": 1.0 - WAVE}),
        "powerplants": pd.DataFrame({"time": stamps}),
        "storage": pd.DataFrame({"time": stamps, "S1": -WAVE}),
    }
    return net


def content(case, start="2016-10-30T00:00", **grid):
    head = content_of("base")
    return {
        **head,
        "name": "profiled",
        "time": {"start": start, "timezone": "Europe/Berlin", "intervals": 6, "interval_min": 60},
        "horizon": {"steps": [{"count": 3, "minutes": 60}]},
        "tariffs": {"t": {"kind": "flat", "import": 300.0, "export": 80.0}},
        "grids": [{"name": "g", "case": case, "level": "lv", "tariff": "t", **grid}],
    }


def built(folder, net, **grid):
    pp.to_json(net, str(folder / "street.json"))
    path = folder / "own.toml"
    path.write_text(tomli_w.dumps(content("street.json", **grid)))
    return build_scenario(load_scenario(str(path)))


# rows of the file from local midnight of the 30th: 24 before; the hour at 02:00 occurs twice
ROWS = slice(24, 24 + 8)


def test_elements_have_the_profiles_of_the_net(tmp_path):
    net = profiled_street()
    scenario = built(tmp_path, net)
    series, devices = scenario.series["g"], scenario.devices["g"]
    wave = WAVE[ROWS]
    loads = devices.loads
    assert loads.table == ("load",) * 6 + ("sgen",) * 2 + ("storage",)
    np.testing.assert_allclose(series.load_p_mw[:, :6], wave[:, None] * net.load.p_mw.to_numpy())
    np.testing.assert_allclose(
        series.load_q_mvar[:, :6], -0.2 * wave[:, None] * net.load.q_mvar.to_numpy()
    )
    # wind: a negative load, reactive power in its ratio; the CHP plant is constant
    np.testing.assert_allclose(series.load_p_mw[:, 6], -0.004 * (1.0 - wave))
    np.testing.assert_allclose(series.load_q_mvar[:, 6], 0.0004 * (1.0 - wave))
    np.testing.assert_array_equal(series.load_p_mw[:, 7], -0.002)
    np.testing.assert_allclose(series.load_p_mw[:, 8], -0.003 * wave)
    np.testing.assert_allclose(series.pv_available_mw[:, 0], 0.006 * wave**2)
    lines = net_lines(scenario)
    assert "grids.g: 6 load, 2 sgen, 1 storage elements have the profiles that came" in lines[0]
    assert [line for line in lines if "has no profile" in line] == [
        "grids.g: sgen 2 of type CHP has no profile: 0.002 MW in all intervals"
    ]


def test_a_net_in_memory_and_its_file_are_one(tmp_path):
    net = profiled_street()
    results = []
    for name, case in (("memory", net), ("file", str(tmp_path / "net.json"))):
        pp.to_json(net, str(tmp_path / "net.json"))
        settings = {"time.intervals": 2, "baseline": False}
        run = sg.run(content(case), out=tmp_path / name, set=settings, report=False, quiet=True)
        results.append(run.interval[["p_import_mw", "min_vm_pu", "load_p_mw"]])
    pd.testing.assert_frame_equal(*results)
    # the net of a run has no profiles of a year
    stored = json.loads((tmp_path / "file" / "grids" / "g.json").read_text())
    assert "profiles" not in stored["_object"]


def test_sections_replace_the_profiles_of_the_net(tmp_path):
    net = profiled_street()
    time = LOCAL.tz_convert("UTC")
    names = ["Wind 3", "CHP 4"]
    pp.create_ward(net, 5, ps_mw=0.002, qs_mvar=0.001, pz_mw=0.0, qz_mvar=0.0)
    assert net.sgen.name.tolist()[1:] == names
    table = pd.DataFrame({f"{name}_factor": 0.25 for name in names}, index=time.rename("time"))
    table.to_parquet(tmp_path / "sgen.parquet")
    scenario = built(
        tmp_path, net, net_sgen={"file": "sgen.parquet"}, loads={"mix": {"household": 1.0}},
        net_pv={"tilt_degree": 20.0},
    )  # fmt: skip
    series = scenario.series["g"]
    np.testing.assert_allclose(series.load_p_mw[:, 6:8], [[-0.001, -0.0005]] * 8)
    np.testing.assert_allclose(series.load_p_mw[:, 8], 0.002)  # a ward: constant, without a column
    np.testing.assert_allclose(series.load_q_mvar[:, 8], 0.001)
    assert not np.allclose(series.load_p_mw[:, 0], WAVE[ROWS] * net.load.p_mw.iloc[0])
    assert series.pv_available_mw[:6].max() == 0.0  # night
    assert not [line for line in net_lines(scenario) if "no profile" in line]


def lost_name(net):
    net.load.loc[1, "profile"] = "H9"


def none_for_one(net):
    net.load.loc[[1, 3], "profile"] = None


def no_time(net):
    net.profiles["load"] = net.profiles["load"].drop(columns="time")


def gap(net):
    net.profiles["load"] = net.profiles["load"].drop(index=[30])


@pytest.mark.parametrize(
    ("change", "start", "message"),
    [
        (lost_name, "2016-10-30", r"grids.g: .*load has the profile 'H9', .* known: H0-A"),
        (none_for_one, "2016-10-30", r"grids.g.loads: load 1, 3 has no profile in the net; mix"),
        (no_time, "2016-10-30", r"grids.g: .*table load has no column 'time'"),
        (gap, "2016-10-30", r"grids.g: .*\(table load\): no row between"),
        (lambda net: None, "2025-06-21", r"covers 2016-10-28T22:00.* to 2016-10-31T23:00.* is ne"),
    ],
)
def test_other_profiles_are_refused_in_one_line(change, start, message):
    net = profiled_street()
    change(net)
    with pytest.raises(ProfileError, match=message) as caught:
        sg.validate(content(net, start))
    assert "\n" not in str(caught.value)


def test_persistence_uses_the_day_before(tmp_path):
    """PV of a profile has no clear sky: the same time of the day before is the forecast."""
    forecast = {"model": "persistence", "seed": 1}
    pp.to_json(profiled_street(), str(tmp_path / "street.json"))
    path = tmp_path / "own.toml"
    path.write_text(tomli_w.dumps(content("street.json") | {"forecast": forecast}))
    scenario = build_scenario(load_scenario(str(path)))
    source = scenario.system.feeders[0].forecast
    ahead = source.at(0)
    np.testing.assert_allclose(ahead.pv_available_mw[0], 0.006 * WAVE[0] ** 2)
