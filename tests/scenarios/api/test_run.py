"""`stackelgrid.run` and the studies: names, mappings, nets and frames in memory; errors; stops."""

import asyncio
import json
import os
import signal
import tomllib

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pandas as pd
import pytest

import stackelgrid as sg

START = "2025-06-21T11:00"
INTERVALS = 11  # two, and a horizon of 2.5 hours that begins with the second


def frame_of(columns, rows=INTERVALS):
    index = pd.date_range(START, periods=rows, freq="15min", tz="Europe/Berlin")
    return pd.DataFrame(columns, index=index)


def forecast_of(rows=INTERVALS):
    """A forecast of the load issued at the start: 10 % more than the profile."""
    valid = frame_of({}, rows).index
    return pd.DataFrame(
        {
            "issue_time": valid[0],
            "valid_time": valid,
            "grid": "mv1",
            "quantity": "load",
            "factor": 1.1,
        }
    )


@pytest.fixture
def in_memory(texts):
    """The feeder with everything that a file could hold in memory."""
    content = tomllib.loads(texts["feeder"])
    prices = np.linspace(80.0, 40.0, INTERVALS)
    factors = np.linspace(0.1, 1.3, INTERVALS * 32).reshape(INTERVALS, 32)
    grid = content["grids"][0]
    grid["case"] = pn.case33bw()
    grid["loads"] = {"file": frame_of({f"load {i}_factor": factors[:, i] for i in range(32)})}
    grid["pv"][0]["file"] = frame_of({"pv 7_factor": 0.5, "pv 13_factor": 0.25})
    content["tariffs"]["mv"] = {
        "kind": "series",
        "file": frame_of({"import_eur_per_mwh": prices, "export_eur_per_mwh": prices - 20.0}),
    }
    content["forecast"] = {
        "model": "perfect",
        "load": {"model": "file"},
        "file": forecast_of(),
        "update_min": 60,
    }
    content["deviations"] = {
        "level": 0.0,
        "correlation_sites": pd.DataFrame({"name": ["mv1"], "mv1": [1.0]}),
    }
    return content


@pytest.fixture
def quietly(tmp_path, monkeypatch):
    """Run without progress and report, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(scenario=None, **how):
        return sg.run(scenario, quiet=True, report=False, **how)

    return run


def same_tables(a, b):
    for table in ("interval", "bus", "branch", "device", "certificate"):
        one, other = getattr(a, table), getattr(b, table)
        times = [c for c in one.columns if c.endswith("_s")]
        pd.testing.assert_frame_equal(
            one.drop(columns=times), other.drop(columns=times), check_exact=True
        )
        assert len(one) > 0


def test_objects_in_memory_are_files_of_the_run_and_run_again_to_the_same_bits(
    quietly, in_memory, command, tmp_path
):
    first = quietly(in_memory, out="first")
    files = sorted(path.name for path in (tmp_path / "first" / "inputs").iterdir())
    assert files == [
        "deviations.correlation_sites.parquet",
        "forecast.file.parquet",
        "grids.mv1.case.json",
        "grids.mv1.loads.file.parquet",
        "grids.mv1.pv.0.file.parquet",
        "tariffs.mv.file.parquet",
    ]
    nominal = pn.case33bw().load.p_mw.to_numpy()
    load = first.device.query("interval == 1 and kind == 'load'")
    np.testing.assert_allclose(
        load.p_mw, in_memory["grids"][0]["loads"]["file"].iloc[1] * nominal, rtol=1e-14, atol=0
    )
    pv = first.device.query("interval == 0 and kind == 'pv'")
    assert pv.available_mw.tolist() == [0.15, 0.075]
    interval = first.interval
    np.testing.assert_allclose(
        interval.boundary_eur, 0.25 * np.array([80.0, 76.0]) * interval.p_import_mw, rtol=1e-13
    )

    assert command("run", tmp_path / "first" / "scenario.toml", "--out", "again").status == 0
    same_tables(first, sg.Run("again"))


def test_a_run_stopped_in_its_second_interval_goes_on_to_the_same_bits(
    quietly, in_memory, monkeypatch, tmp_path
):
    """Stopped by Ctrl-C in this process, beside a running event loop."""
    whole = quietly(in_memory, out="whole")

    def stop(self, progress):
        if progress.intervals_done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    async def cell(**how):
        return quietly(**how)

    loop = asyncio.new_event_loop()
    with monkeypatch.context() as patch:
        patch.setattr("stackelgrid.scenarios.api.run_panel.Listener.interval_ended", stop)
        with pytest.raises(KeyboardInterrupt, match="interrupted; resume='cut' goes on"):
            loop.run_until_complete(cell(scenario=in_memory, out="cut"))
    assert sg.Run("cut").summary["status"] == "interrupted"
    again = loop.run_until_complete(cell(resume="cut"))
    loop.close()
    assert again.summary["status"] == "done"
    same_tables(whole, again)
    assert quietly(resume="cut").summary == again.summary  # finished: read, not run


def test_scenario_of_python_objects(quietly, texts):
    content = tomllib.loads(texts["feeder"])
    scenario = sg.Scenario(content, seed=np.int64(4), certificate={"recovery": False})
    assert repr(scenario) == "Scenario('feeder')"
    run = quietly(scenario, out="run", set={"time.intervals": 1, "grids.mv1.vm_min_pu": 0.91})
    assert run.scenario["seed"] == 4
    assert run.scenario["certificate"]["recovery"] is False
    assert run.scenario["time"]["intervals"] == 1
    assert run.scenario["grids"][0]["vm_min_pu"] == 0.91
    assert run.grids["mv1"].level == "mv"


def test_extends_and_set_take_objects(quietly, texts, tmp_path):
    (tmp_path / "feeder.toml").write_text(texts["feeder"], encoding="utf-8")
    net = pn.case33bw()
    net.load["p_mw"] *= 0.5
    run = quietly(
        {"extends": "feeder.toml", "seed": 9},
        out="run", set={"time.intervals": 1, "grids.mv1.case": net},
    )  # fmt: skip
    assert run.scenario["seed"] == 9
    assert run.scenario["grids"][0]["case"].endswith("/run/inputs/grids.mv1.case.json")
    assert pp.from_json(run.scenario["grids"][0]["case"]).load.p_mw.tolist() == (
        net.load.p_mw.tolist()
    )


NET, FRAME = pn.case33bw(), frame_of({"a_factor": 1.0})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"grids.mv1.case": FRAME},
            "scenario: grids.mv1.case: is a DataFrame; a DataFrame is accepted as file or "
            "correlation_sites",
        ),
        (
            {"tariffs.mv.file": NET},
            "scenario: tariffs.mv.file: is a pandapower net; a pandapower net is accepted as case",
        ),
        ({"time.intervals": 0}, "scenario: time.intervals: 0 is not accepted: "),
        ({"controller": 7}, "scenario: controller: 7 is not accepted: "),
        (
            {"controller": type("Mine", (), {"__module__": "__main__"})},
            "scenario: controller: class Mine of __main__ cannot be imported again; ",
        ),
        (
            {"grids.mv1.objective": "f"},
            "scenario: grids.mv1.objective: 'f' is not accepted: package.",
        ),
        ({"colour": "red"}, "scenario: scenario: unknown key 'colour'; accepted: name, "),
        # found while building, after the files were written
        (
            {"grids.mv1.pv.0.file": FRAME},
            "scenario: grids.mv1.pv.0.file: ",
        ),
    ],
)
def test_refusals_leave_nothing_behind(changes, expected, quietly, texts, tmp_path):
    content = tomllib.loads(texts["feeder"])
    with pytest.raises(sg.StackelgridError) as refused:
        quietly(content, out="run", set=changes)
    assert str(refused.value).startswith(expected)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, "SCENARIO is missing; "),
        ({"scenario": "nothing"}, "nothing: no such scenario; "),
        ({"seed": 3, "resume": "x"}, "--resume: continues with the saved scenario; "),
        ({"resume": "x"}, "--resume x: is not a run; "),
    ],
)
def test_refused_arguments(how, expected, quietly):
    with pytest.raises(sg.StackelgridError) as refused:
        quietly(**how)
    assert str(refused.value).startswith(expected)


def test_a_controller_is_a_class_of_a_module(quietly, texts):
    from support.slow_controller import Quick

    scenario = sg.Scenario(tomllib.loads(texts["feeder"]), controller=Quick)
    run = quietly(scenario, out="run", set={"time.intervals": 1})
    assert run.scenario["controller"] == "support.slow_controller:Quick"
    assert len(run.interval) == 1


def test_compare_returns_its_study(texts, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "village.json").write_text("{}")
    study = sg.compare(
        "quick", schemes=["bottom_up"], out="study",
        set={"time.intervals": 1}, report=False, quiet=True,
    )  # fmt: skip
    assert study.comparison.failed() == ()
    assert study.comparison.schemes("plan") == ("bottom_up",)
    summary = json.loads((tmp_path / "study" / "summary.json").read_text(encoding="utf-8"))
    assert summary["status"] == "done"
    with pytest.raises(sg.StackelgridError, match="--out study: holds a run"):
        sg.compare("quick", out="study", quiet=True)


def test_names_of_schemes_may_be_one_text(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(sg.StackelgridError, match="--schemes nowhere: no such scheme"):
        sg.compare("quick", schemes="bottom_up,nowhere", out="study", quiet=True)


@pytest.mark.parametrize("members", ["a", 0, -3, 2.5, True])
def test_members_of_an_ensemble_are_a_whole_number(members, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(sg.StackelgridError, match=f"--members {members!r}: a whole number"):
        sg.ensemble("forecast_error", members=members, out="study", quiet=True)
    assert not (tmp_path / "study").exists()
