"""Elements of a user's net in a run, against pandapower's DC OPF and power flow."""

import logging
import tomllib

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
import tomli_w
from pandapower.control import ConstControl
from support.outside_nets import street, triangle
from support.scenario_texts import content_of

from stackelgrid.analysis import Run
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.scenarios.build.net_notices import net_lines
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario

TIMES = pd.date_range("2025-06-21T09:00", periods=8, freq="h", tz="UTC")


def scenario(folder, net, **grid):
    """Scenario file of one grid with constant loads, two hours from 11:00 local time."""
    pp.to_json(net, str(folder / "net.json"))
    names = [n if isinstance(n, str) and n else f"load {i}" for i, n in net.load.name.items()]
    factors = dict.fromkeys((f"{name}_factor" for name in names), 1.0)
    pd.DataFrame({"time": TIMES.astype(str), **factors}).to_csv(folder / "loads.csv", index=False)
    head = content_of("base")
    data = {
        **head,
        "name": "net",
        "time": {**head["time"], "interval_min": 60},
        "horizon": {"steps": [{"count": 2, "minutes": 60}]},
        "weather": {"sky": "clear"},
        "grids": [{"name": "g", "case": "net.json", "level": "transmission",
                   "loads": {"file": "loads.csv"}, **grid}],
    }  # fmt: skip
    if grid.get("level") == "lv":
        periods = [{"from": "00:00", "import": 300.0, "export": -50.0},
                   {"from": "12:00", "import": 20.0, "export": -50.0}]  # fmt: skip
        data["tariffs"] = {"t": {"kind": "time_of_use", "periods": periods}}
        data["grids"][0]["tariff"] = "t"
    path = folder / "net.toml"
    path.write_text(tomli_w.dumps(data))
    return path


def finished(folder, net, **grid):
    loaded = load_scenario(str(scenario(folder, net, **grid)))
    run_scenario(loaded, folder / "out")
    return Run(folder / "out")


def fixed_generator(net):
    """120 MW, whatever its price."""
    net.gen["controllable"] = False
    net.gen["p_mw"] = 240.0
    net.gen["scaling"] = 0.5


def no_limits(net):
    """The slack may export; the generator is cheap and large."""
    net.ext_grid[["min_p_mw", "max_p_mw"]] = np.nan
    net.poly_cost.loc[net.poly_cost.et == "gen", "cp1_eur_per_mw"] = 5.0
    net.gen["max_p_mw"] = 400.0


def fixed_injections(net):
    """At B 30 MW for 30 * 7 + 12 EUR/h, and a storage that takes 10 MW."""
    pp.create_sgen(net, 1, 20.0, 5.0, scaling=1.5, type="WP")
    pp.create_poly_cost(net, 0, "sgen", 7.0, cp0_eur=12.0)
    pp.create_storage(net, 1, 2.0, 10.0, q_mvar=1.0, scaling=5.0, controllable=False)


def least_cost(net):
    """Cost of pandapower's DC OPF, which leaves out ratings without max_loading_percent.

    It counts no cost of fixed static generators, takes no fixed storages and does not scale fixed
    generators.
    """
    net.line["max_loading_percent"] = net.trafo["max_loading_percent"] = 100.0
    net.gen["p_mw"] *= net.gen.scaling
    # its solver needs limits; these do not bind
    net.ext_grid["min_p_mw"] = net.ext_grid.min_p_mw.fillna(-1000.0)
    net.ext_grid["max_p_mw"] = net.ext_grid.max_p_mw.fillna(1000.0)
    beside = 0.0
    if len(net.storage):
        beside = 30.0 * 7.0 + 12.0
        net.poly_cost = net.poly_cost[net.poly_cost.et != "sgen"]
        pp.create_load(net, 1, 10.0)
        net.storage = net.storage.iloc[:0]
    logging.disable(logging.WARNING)
    pp.rundcopp(net)
    logging.disable(logging.NOTSET)
    return net.res_cost + beside


@pytest.mark.parametrize(
    ("change", "cost"), [(fixed_generator, 4900.0), (no_limits, 500.0), (fixed_injections, None)]
)
def test_dispatch_costs_what_pandapowers_dc_opf_says(change, cost, tmp_path):
    net, oracle = triangle(), triangle()
    change(net)
    change(oracle)
    run = finished(tmp_path, net)
    objective = run.interval.objective_eur.iloc[0] / 2.0  # two equal hours
    if cost is not None:
        assert objective == pytest.approx(cost, abs=5e-4)
    assert objective == pytest.approx(least_cost(oracle), rel=1e-6)
    # and the power flow of the run is pandapower's at the powers of the run
    solved = run.net("g", 0)
    before = solved.res_bus.vm_pu.to_numpy()
    pp.runpp(solved, calculate_voltage_angles=True)
    np.testing.assert_allclose(solved.res_bus.vm_pu, before, atol=1e-7)
    if change is fixed_injections:
        device = run.device[run.device.interval == 0].set_index("element")
        assert tuple(device.loc["storage", ["p_mw", "q_mvar"]]) == (10.0, 5.0)
        assert tuple(device.loc["sgen", ["p_mw", "q_mvar"]]) == (30.0, 7.5)


def test_a_dispatch_that_cannot_be_names_what_is_in_conflict(tmp_path):
    net = triangle()
    pp.create_sgen(net, 1, 650.0, type="WP")  # 400 MW more than all loads
    row = finished(tmp_path, net).interval.iloc[0]
    assert row.fallback
    assert row.status == "infeasible"
    assert "limits in conflict: g." in row.fallback_reason
    assert "g.ext_grid 0: limits [0, 500] MW missed by " in row.fallback_reason


def test_a_battery_of_the_net_keeps_to_its_own_limits(tmp_path):
    net = street()
    pp.create_storage(net, 4, 0.0, 0.02, soc_percent=50.0, min_e_mwh=0.002,
                      min_p_mw=-0.002, max_p_mw=0.005)  # fmt: skip
    run = finished(tmp_path, net, level="lv", boundary={"kind": "fixed_tap"})
    power = run.device[run.device.element == "storage"].p_mw.to_numpy()
    # a dear hour, then cheap ones in which it takes back what it gave
    assert power[0] == pytest.approx(-0.002, abs=1e-7)
    assert 0.0 < power[1] <= 0.005


def house(folder):
    """The street as a grid of its own with all that a net may bring."""
    net = street()
    pp.create_sgen(net, 5, 0.030, 0.006, type="pv")
    pp.create_sgen(net, 6, 0.030, sn_mva=0.033, type="Solar roof", controllable=True)
    pp.create_sgen(net, 7, 0.002, 0.001, type="CHP", scaling=0.5)
    return finished(folder, net, level="lv", boundary={"kind": "fixed_tap"}), net


def test_devices_of_a_feeders_net_do_what_its_columns_say(tmp_path):
    run, _ = house(tmp_path)
    device = run.device.set_index(["interval", "element", "index"])
    fixed, free = device.loc[(0, "sgen", 0)], device.loc[(0, "sgen", 1)]
    assert fixed.kind == free.kind == "pv"
    # the sun of the site on both; only what is controllable is curtailed while export costs money
    assert min(fixed.available_mw, free.available_mw) > 0.015
    assert fixed.p_mw == fixed.available_mw
    assert fixed.q_mvar == pytest.approx(0.2 * fixed.p_mw, rel=1e-12)
    assert free.p_mw < free.available_mw - 0.001
    assert (device.loc[(0, "sgen", 2)].p_mw, device.loc[(0, "sgen", 2)].q_mvar) == (0.001, 0.0005)
    for interval in (0, 1):
        solved = run.net("g", interval)
        before = solved.res_bus.vm_pu.to_numpy()
        pp.runpp(solved, calculate_voltage_angles=True)
        np.testing.assert_allclose(solved.res_bus.vm_pu, before, atol=1e-7)


def test_what_has_no_profile_or_is_replaced_is_said_in_a_line(tmp_path):
    net = street()
    net.ext_grid["max_p_mw"] = 0.1
    pp.create_poly_cost(net, 0, "ext_grid", 30.0)
    pp.create_sgen(net, 5, 0.03, type="PV")
    pp.create_sgen(net, 6, 0.002, type="WP", scaling=0.5)
    pp.create_sgen(net, 7, 0.004, type="hydro")
    pp.create_poly_cost(net, 2, "sgen", 4.0)
    ConstControl(net, "load", "p_mw", [0])
    path = scenario(tmp_path, net, level="lv", boundary={"kind": "fixed_tap"})
    lines = net_lines(build_scenario(load_scenario(str(path))))
    assert any("sgen 1 of type WP has no profile: 0.001 MW in all intervals" in x for x in lines)
    assert any("sgen 2 of type hydro has no profile: 0.004 MW" in x for x in lines)
    assert any("sgen 0 is PV that is not controllable" in x for x in lines)
    assert any(
        "sgen 2 is not controllable: fixed at its p_mw, and its poly_cost" in x for x in lines
    )
    assert any("ext_grid 0: poly_cost not used" in x for x in lines)
    assert any("ext_grid 0: the exchange is limited by max_p_mw = 0.1" in x for x in lines)
    assert any("controller 0 (ConstControl) is not run" in x for x in lines)
    assert len(lines) == 7


def test_orientation_of_the_nets_own_pv(tmp_path):
    net = street()
    pp.create_sgen(net, 5, 0.03, type="PV")
    flat = {"tilt_degree": 0.0}
    grids = []
    for k, extra in enumerate(({}, {"net_pv": flat})):
        folder = tmp_path / str(k)
        folder.mkdir()
        path = scenario(folder, net, level="lv", boundary={"kind": "fixed_tap"}, **extra)
        grids.append(build_scenario(load_scenario(str(path))).series["g"].pv_available_mw)
    assert grids[0].shape == grids[1].shape
    assert 0.7 < grids[1][0, 0] / grids[0][0, 0] < 0.999  # less on a flat roof at eleven
    net.sgen = net.sgen.iloc[:0]
    path = scenario(tmp_path, net, level="lv", boundary={"kind": "fixed_tap"}, net_pv=flat)
    with pytest.raises(ScenarioError, match=r"grids.g.net_pv: the net brings no PV system"):
        build_scenario(load_scenario(str(path)))


def test_pv_on_a_transmission_grid_is_refused_with_a_way_out(tmp_path):
    net = triangle()
    pp.create_sgen(net, 1, 10.0, type="PV")
    with pytest.raises(NetworkError, match=r"sgen 0 \(PV\) is accepted on mv and lv grids"):
        build_scenario(load_scenario(str(scenario(tmp_path, net))))


def test_the_slacks_angle_is_that_of_the_net(tmp_path):
    net = triangle()
    net.ext_grid["va_degree"] = 30.0
    bus = finished(tmp_path, net).bus.set_index(["interval", "bus"])
    assert bus.va_degree[0, 0] == pytest.approx(30.0, abs=1e-12)


def test_a_feeder_at_a_bus_without_reactive_or_any_load(tmp_path):
    upper = triangle()  # its loads have no reactive power
    pp.to_json(upper, str(tmp_path / "upper.json"))
    path = scenario(tmp_path, street(), level="lv", boundary={"kind": "fixed_tap"})
    lower = tomllib.loads(path.read_text())
    lower["grids"][0].update(parent="tn", bus=1, multiplicity=10)
    root = {"name": "tn", "case": "upper.json", "level": "transmission"}
    lower["grids"].insert(0, root | {"loads": {"mix": {"household": 1.0}}})

    def load(**changes):
        lower["grids"][1].update(changes)
        path.write_text(tomli_w.dumps(lower))
        return build_scenario(load_scenario(str(path))).grids["tn"].net.load

    left = load()
    assert left.p_mw[0] == pytest.approx(200.0 - 10 * 6 * 0.004, rel=1e-12)
    assert left.q_mvar[0] == 0.0
    with pytest.raises(
        ScenarioError, match=r"replaces 0\.24 MW of the load of 0 MW at bus 0 of tn"
    ):
        load(bus=0)
    assert load(bus=0, replaces_load=False).p_mw.tolist() == [200.0, 50.0]
    with pytest.raises(
        ScenarioError, match=r"a multiplicity of at most 8333 is accepted, or loads.scale of at "
    ):
        load(bus=1, replaces_load=True, multiplicity=10_000)
