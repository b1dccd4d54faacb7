"""Studies of scenarios with users' simulators: each works, or is refused in one line."""

import shutil

import pandas as pd
import pytest
from support.households import houses

from stackelgrid.analysis import Run
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.studies.compare import CompareOptions, compare_schemes
from stackelgrid.scenarios.studies.ensemble import run_member
from stackelgrid.scenarios.studies.ensemble_design import ensemble_of, runs_of
from stackelgrid.scenarios.studies.exactness import sweep_exactness
from stackelgrid.scenarios.studies.exactness_design import sweep_of


def sweep(dimensions):
    def change(data):
        data["solver"] |= {"threads": 1}
        data["exactness"] = {"design": "grid", **dimensions}

    return change


def test_a_sweep_needs_power_that_is_known_without_a_simulator(with_households, tmp_path):
    loaded = with_households(houses(), change=sweep({"pv_scale": [1.0]}))
    with pytest.raises(ScenarioError) as refused:
        sweep_exactness(loaded, sweep_of(loaded), tmp_path / "out")
    assert "exactness.grid: lv1: load 6 (House 6): its power is known while" in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_a_sweep_scales_forecasts_and_limits(with_households, tmp_path):
    limits = {
        "p_min_mw": 0.001,
        "p_max_mw": 0.002,
        "price_eur_per_mwh": 9.0,
        "inputs": {"asked": "set_point"},
    }
    loaded = with_households(houses(**limits), change=sweep({"external_scale": [0.0, 1.0, 3.0]}))
    sweep_exactness(loaded, sweep_of(loaded), tmp_path / "out")
    points = pd.read_parquet(tmp_path / "out" / "points.parquet").set_index("external_scale")
    assert (points["verdict"] == "exact").all()
    cost = points["objective_eur"]
    # energy costs 300 EUR/MWh, more than it is worth: two devices at 1 kW, priced below 2 kW, for
    # the 2.5 h of the horizon; losses in lines add some
    by_hand = 2.5 * 2 * (0.001 * 300.0 + 0.001 * 9.0)
    assert cost[1.0] - cost[0.0] == pytest.approx(by_hand, rel=0.05)
    assert cost[3.0] - cost[0.0] == pytest.approx(3 * by_hand, rel=0.05)


def test_every_run_of_an_ensemble_starts_its_own(with_households, tmp_path):
    def change(data):
        data["deviations"] = {"load": {"std": 0.2, "lead_h": 1.0}}
        data["ensemble"] = {"members": 2, "error_levels": [1.0]}

    loaded = with_households(houses(), change=change, intervals=2)
    runs = runs_of(loaded, ensemble_of(loaded))
    out = tmp_path / "member"
    out.mkdir()
    for name, content in run_member(runs[0]).items():
        (out / name).write_bytes(content)
    powers = pd.read_parquet(out / "device.parquet").query("kind == 'external'")["p_mw"]
    assert powers.to_numpy() == pytest.approx([0.001, 0.002, 0.002, 0.004])

    connected = with_households(houses(), change=change, python=None, connect="localhost:5555")
    with pytest.raises(ScenarioError, match=r"simulators\.homes\.connect: every run of an ensem"):
        runs_of(connected, ensemble_of(connected))


def test_there_is_no_run_without_control_where_no_second_simulator_is_started(with_households):
    from stackelgrid.scenarios.build.at_rest import why_left_out

    def change(data):
        data["baseline"] = True

    loaded = with_households(houses(), change=change, python=None, connect="localhost:5555")
    reason = "simulator homes runs at localhost:5555, where no second one is started"
    assert why_left_out(loaded.scenario) == reason
    assert why_left_out(with_households(houses(), change=change).scenario) == ""


def test_nets_of_a_run_are_refused_as_cases(with_households, tmp_path):
    loaded = with_households(houses(), intervals=1)
    run_scenario(loaded, tmp_path / "run")
    shutil.copy(tmp_path / "run" / "grids" / "lv1.json", tmp_path / "saved.json")

    def change(data):
        data["grids"][0]["case"] = "saved.json"

    with pytest.raises(ScenarioError, match=r"grids\.lv1\.case: has loads with a column external"):
        run_scenario(with_households(houses(), change=change), tmp_path / "again")


@pytest.mark.slow
def test_schemes_are_compared_with_simulators_of_their_own(with_households, tmp_path):
    at = houses(grid="lv1", buses=[3, 4])
    loaded = with_households(at, name="villages", intervals=2)
    options = CompareOptions(("bottom_up", "top_down"), "tariff", closed_loop=True)
    compare_schemes(loaded, tmp_path / "out", options)
    for scheme in options.schemes:
        run = Run(tmp_path / "out" / scheme)
        assert run.status == "done"
        assert run.interval["external_p_mw"].sum() == pytest.approx(0.009)
