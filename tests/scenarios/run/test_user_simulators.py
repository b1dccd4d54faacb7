"""Runs with users' simulators: their power, forecasts, set points, measurements and records."""

import ast

import numpy as np
import pandapower as pp
import pytest
from support.households import houses

from stackelgrid.analysis import Run
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.resume import resumable, resume_run
from stackelgrid.scenarios.run.run import run_scenario


def externals(run, column="p_mw"):
    """Values (intervals, devices) of the table `device`."""
    own = run.device[run.device["kind"] == "external"]
    return own.pivot(index="interval", columns="index", values=column).to_numpy()


def test_power_is_in_the_power_flow_the_records_and_the_forecast(with_households, tmp_path):
    log = tmp_path / "log.txt"
    inputs = {
        "vm": "voltage", "load": {"from": "loading", "line": 5}, "price": "price",
        "T": "temperature",
    }  # fmt: skip
    loaded = with_households(
        houses(q={"attribute": "Q", "unit": "kVAr"}, inputs=inputs, p_initial_mw=0.001),
        parameters={"log": str(log)},
    )  # fmt: skip
    run_scenario(loaded, tmp_path / "run")
    run = Run(tmp_path / "run")
    # base 1 and 2 kW, times the number of the interval from 1
    assert externals(run) == pytest.approx(1e-3 * np.outer([1, 2, 3], [1, 2]), abs=1e-15)
    assert externals(run, "q_mvar") == pytest.approx(-0.5 * externals(run), abs=1e-15)
    assert np.isnan(externals(run, "asked_mw")).all()
    assert (run.interval["verdict"] == "exact").all()
    assert run.interval["external_p_mw"].to_numpy() == pytest.approx([0.003, 0.006, 0.009])
    # plans: the last delivered power holds, before the first interval p_initial_mw
    index = run.device.loc[run.device["kind"] == "external", "index"].unique()
    plans = run.schedule[(run.schedule["element"] == "load") & run.schedule["index"].isin(index)]
    planned = plans.pivot_table(index=["interval", "index"], columns="step", values="p_mw")
    assert planned.to_numpy() == pytest.approx(
        np.repeat(1e-3 * np.array([1, 1, 1, 2, 2, 4])[:, None], 4, axis=1), abs=1e-9
    )
    # AC power flow of pandapower's net with the recorded powers gives the recorded voltages
    net = pp.from_json(str(tmp_path / "run" / "grids" / "lv1.json"))
    own = run.device[run.device["interval"] == 2]
    for table in ("load", "sgen", "storage"):
        rows = own[own["element"] == table]
        net[table].loc[rows["index"], "p_mw"] = rows["p_mw"].to_numpy()
        net[table].loc[rows["index"], "q_mvar"] = rows["q_mvar"].to_numpy()
        net[table]["scaling"] = 1.0
    pp.runpp(net, tolerance_mva=1e-12, calculate_voltage_angles=True)
    bus = run.bus[run.bus["interval"] == 2]
    assert bus["vm_pu"].to_numpy() == pytest.approx(net.res_bus.vm_pu.to_numpy(), abs=1e-8)
    # measured values of the interval before, the price and temperature of this one
    seen = [ast.literal_eval(line.partition(" ")[2]) for line in log.read_text().splitlines()]
    first, last = seen[0]["h1"], seen[2]["h1"]
    got = {name: next(iter(sources.values())) for name, sources in last.items()}
    measured = run.bus[(run.bus["interval"] == 1) & (run.bus["bus"] == 7)]["vm_pu"].item()
    loading = run.branch[
        (run.branch["interval"] == 1) & (run.branch["element"] == "line")
        & (run.branch["index"] == 5)
    ]["loading_percent"].item()  # fmt: skip
    assert got == {"vm": measured, "load": loading, "price": 300.0, "T": 15.0}
    assert next(iter(first["vm"].values())) == 1.0
    assert next(iter(first["load"].values())) == 0.0
    assert Run(tmp_path / "run").summary["baseline"]["status"] == "off"


def test_planned_power_is_sent_as_set_points_in_the_unit_of_the_entity(with_households, tmp_path):
    def dear(data):
        data["tariffs"]["lv"] = {
            "kind": "time_of_use",
            "periods": [{"from": "00:00", "import": 300.0, "export": 80.0},
                        {"from": "11:15", "import": 90.0, "export": 80.0}],
        }  # fmt: skip
        data["horizon"] = {"steps": [{"count": 1, "minutes": 15}]}
        data["baseline"] = True
        del data["grids"][0]["pv"], data["grids"][0]["batteries"]

    limits = {"p_min_mw": 0.0005, "p_max_mw": 0.002, "price_eur_per_mwh": 150.0}
    generation = {"attribute": "P", "unit": "kW", "sign": "generation"}
    loaded = with_households(
        houses(**limits, inputs={"asked": "set_point"}),
        houses(name="Plant", p=generation, buses=[5], inputs={"asked": "set_point"},
               p_min_mw=-0.001, p_max_mw=0.0, price_eur_per_mwh=200.0),
        houses(name="Free", buses=[4]),
        change=dear, intervals=2,
    )  # fmt: skip
    run_scenario(loaded, tmp_path / "run")
    run = Run(tmp_path / "run")
    # worth 150 EUR/MWh: as little as possible at 300, as much at 90; the plant costs 200
    by_hand = [[0.0005, 0.0005, -0.001], [0.002, 0.002, 0.0]]
    assert externals(run)[:, :3] == pytest.approx(np.array(by_hand), abs=1e-6)
    assert externals(run, "asked_mw")[:, :3] == pytest.approx(externals(run)[:, :3], abs=1e-9)
    # the last entity is not planned (the fourth of its simulator)
    assert externals(run)[:, 3] == pytest.approx([0.001, 0.002])
    assert np.isnan(externals(run, "asked_mw")[:, 3]).all()
    # price of what is not drawn, or generated: by hand
    cost = 0.25 * np.array([2 * 150.0 * 0.0015 + 200.0 * 0.001, 0.0])
    assert run.interval["external_eur"].to_numpy() == pytest.approx(cost, abs=1e-3)
    # without control there are no set points: 1 and 2 kW, the plant 1 kW, times the interval
    rest = run.baseline
    assert externals(rest)[:, :3] == pytest.approx(1e-3 * np.outer([1, 2], [1, 2, -1]), abs=1e-12)
    assert np.isnan(externals(rest, "asked_mw")).all()


def test_forecasts_are_a_file_or_announced(with_households, tmp_path):
    (tmp_path / "homes.csv").write_text(
        "time,House_kw\n" + "".join(
            f"2025-06-21T{11 + q // 4}:{15 * (q % 4):02d}:00+02:00,{q + 1}\n" for q in range(16)
        )
    )  # fmt: skip
    loaded = with_households(
        houses(buses=[6], forecast={"file": "homes.csv"}),
        houses(name="Announced", buses=[7], forecast={"attribute": "ahead"}),
        intervals=2,
    )
    run_scenario(loaded, tmp_path / "run")
    plans = Run(tmp_path / "run").schedule
    own = plans[plans["index"] >= 6][["interval", "index", "step", "p_mw"]]
    planned = own.pivot_table(index=["index", "interval"], columns="step", values="p_mw")
    # two quarters, two hours; the file grows by 1 kW a quarter
    steps = [[1, 2, 4.5, 8.5], [2, 3, 5.5, 9.5]]
    # announced after the first interval: 2 and 3 kW, then the last of them
    announced = [[0, 0, 0, 0], [2, 3, 3, 3]]
    by_hand = 1e-3 * np.array([*steps, *announced])
    assert planned.to_numpy() == pytest.approx(by_hand, abs=1e-9)


def interrupted(out, loaded):
    """Interrupt a run after two intervals; returns what it said."""
    said = []

    def stop(progress):
        if progress.intervals_done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scenario(loaded, out, progress=stop, say=said.append)
    return said


@pytest.mark.parametrize("inputs", [{}, pytest.param({"vm": "voltage"}, marks=pytest.mark.slow)])
def test_stateful_simulators_resume_to_the_same_bits(with_households, tmp_path, inputs):
    own = houses(inputs=inputs)
    loaded = with_households(own, kind="Resumable", parameters={"step_s": 450})
    run_scenario(loaded, tmp_path / "whole")
    interrupted(tmp_path / "cut", loaded)
    said = []
    resume_run(resumable(tmp_path / "cut"), say=said.append)
    assert "goes on with interval 2" in said
    whole, cut = Run(tmp_path / "whole"), Run(tmp_path / "cut")
    for table in ("device", "bus", "schedule"):
        assert getattr(whole, table).equals(getattr(cut, table))


@pytest.mark.slow
def test_a_run_with_other_simulators_begins_again_and_says_so(with_households, tmp_path):
    said = interrupted(tmp_path / "run", with_households(houses(), intervals=3))
    assert any("an interrupted run begins again" in line and "homes" in line for line in said)
    resume_run(resumable(tmp_path / "run"), say=said.append)
    assert any("the run begins again" in line for line in said)
    assert externals(Run(tmp_path / "run")).shape == (3, 2)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"buses": [99]}, "simulators.homes.House: bus 99 does not exist in village.json"),
        ({"inputs": {"load": {"from": "loading", "line": 8}}},
         "simulators.homes.House.inputs.load: line 8 of lv1 does not exist; accepted: 0 to 5"),
        ({"forecast": {"file": "none.csv"}}, "simulators.homes.House.forecast.file: "),
    ],
)  # fmt: skip
def test_elements_and_files_that_do_not_exist_are_one_line(
    with_households, tmp_path, keys, message
):
    from stackelgrid.profiles.errors import StackelgridError

    with pytest.raises(StackelgridError) as refused:
        run_scenario(with_households(houses(**keys)), tmp_path / "run")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_groups_of_other_numbers_are_refused(with_households, tmp_path):
    stations = {"model": "House", "name": "Station", "count": 3}

    def add(data):
        homes = data["simulators"][0]
        data["simulators"].append({**homes, "name": "weather", "entities": [stations]})

    loaded = with_households(houses(inputs={"T": "weather.Station.P"}), change=add)
    with pytest.raises(ScenarioError, match=r"3 entities of weather\.Station for 2; equal numbers"):
        run_scenario(loaded, tmp_path / "run")


def at(grids, **keys):
    """Two households at each grid."""
    return [
        {"grid": g, "model": "House", "name": f"at_{g}", "count": 2,
         "p": {"attribute": "P", "unit": "kW"}, **keys}
        for g in grids
    ]  # fmt: skip


PLANNED = {
    "p_min_mw": 0.0, "p_max_mw": 0.003, "price_eur_per_mwh": 250.0,
    "inputs": {"asked": "set_point", "price": "price"},
}  # fmt: skip
STREETS = ("lv1", "lv2", "lv3")
WAYS = {
    "day_ahead": ("streets", STREETS, {"controller": "top_down"}, {"mode": "day_ahead"}, {}),
    "every_second": ("streets", STREETS, {"controller": "uncoordinated"}, {"resolve_every": 2}, {}),
    "nodal_prices": ("streets", STREETS, {"pricing": "lmp"}, {}, {}),
    "trade": ("streets", STREETS, {"controller": "bottom_up"}, {}, PLANNED),
    "by_messages": ("streets", STREETS, {"coordination": "ldd_admm"}, {}, {"p_rated_mw": 0.03}),
    "planned_by_messages": ("streets", STREETS, {"coordination": "ldd_admm"}, {}, PLANNED),
    "integrated": ("streets", STREETS, {"controller": "integrated"}, {}, PLANNED),
    "elsewhere": ("villages", ("lv1", "lv2"), {"remote": {"simulators": [
        {"name": "streets", "grids": ["lv1", "lv2"]}, {"name": "operators", "agents": True}]}},
        {}, {"inputs": {"vm": "voltage"}}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_deciding_takes_their_power(with_households, tmp_path, way):
    name, grids, keys, horizon, own = WAYS[way]

    def change(data):
        data |= keys
        data["horizon"] |= horizon

    count = 4 if way == "day_ahead" else 3
    loaded = with_households(*at(grids, **own), name=name, change=change, intervals=count)
    run_scenario(loaded, tmp_path / "run")
    run = Run(tmp_path / "run")
    rows = run.interval[run.interval["grid"].isin(grids)]
    assert not rows["fallback"].any()
    assert (rows["verdict"] == "exact").all()
    assert rows["balance_error_mw"].abs().max() < 1e-8
    powers = run.device[run.device["kind"] == "external"]
    assert len(powers) == 2 * len(grids) * count
    if "asked" in own.get("inputs", {}):
        assert powers["asked_mw"].to_numpy() == pytest.approx(powers["p_mw"].to_numpy())
        assert powers["p_mw"].between(-1e-9, 0.003 + 1e-9).all()
    else:  # the mean of 1 and 2 kW times the number of the quarter of an hour
        quarters = loaded.scenario.time.interval_min // 15
        numbers = np.arange(1, count * quarters + 1).reshape(count, quarters)
        by_hand = np.outer(numbers.mean(axis=1), [1.0, 2.0] * len(grids))
        found = powers.sort_values(["interval", "grid", "index"])["p_mw"].to_numpy()
        assert found.reshape(count, -1) == pytest.approx(1e-3 * by_hand, abs=1e-12)
