"""The verb `exactness`: sweeps of operating points of one feeder."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import tomli_w
from support.children import children_of, wait_for
from support.typed_summary import mismatches

from stackelgrid.analysis.exactness import tables as exactness_tables
from stackelgrid.analysis.exactness.tables import SCHEMAS
from stackelgrid.analysis.report.exactness import page_of
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.summaries import SweepSummary
from stackelgrid.analysis.studies import read_sweep
from stackelgrid.controllers.tolerances import EXACT_LOSS_SHARE
from stackelgrid.scenarios.cli.texts import texts_of
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.scenarios.studies import exactness, study
from stackelgrid.scenarios.studies.begun import begun_sweep
from stackelgrid.scenarios.studies.exactness import chunks_of, sweep_exactness
from stackelgrid.scenarios.studies.exactness_design import points_of, sweep_of

FILES = {
    "scenario.toml", "summary.json", "log.jsonl", "manifest.jsonl", "points.parquet",
    "steps.parquet", "lines.parquet", "conditions.csv", "levels.csv", "stops.csv",
    "heat_pv_export_price.png", "heat_pv_vm_max.png", "heat_export_price_vm_max.png", "lines.png",
    "tree.parquet",
}  # fmt: skip
# from the night into the morning; exports are paid for or cost something between 8 and 12
NIGHT = slice(0, 3)


def change(data):
    data["time"] |= {"start": datetime(2025, 6, 21, 1), "intervals": 1}
    data["horizon"]["steps"] = [{"count": 4, "minutes": 15}, {"count": 10, "minutes": 60}]
    data["solver"]["threads"] = 1
    data["weather"] = {"sky": "clear"}
    data["costs"] = {"curtailment_eur_per_mwh": 20.0}
    data["grids"][0]["pv"][0]["min_power_factor"] = 1.0
    data["exactness"] = {
        "design": "grid",
        "export_hours": ["08:00", "12:00"],
        "pv_scale": [1.0, 9.0],
        "export_price_eur_per_mwh": [-10.0, 30.0],
        "vm_max_pu": [1.02, 1.3],
    }


@pytest.fixture(scope="module")
def scenario(tmp_path_factory, texts):
    data = tomllib.loads(texts["feeder"])
    change(data)
    path = tmp_path_factory.mktemp("exactness") / "scenario.toml"
    path.write_text(tomli_w.dumps(data), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def swept(scenario, tmp_path_factory):
    """Directory of the tiny sweep, evaluated in this process."""
    loaded = load_scenario(str(scenario))
    out = tmp_path_factory.mktemp("swept") / "out"
    seen = []
    sweep_exactness(loaded, sweep_of(loaded), out, progress=seen.append)
    assert [p.done for p in seen] == list(range(9))
    return out


@pytest.fixture(scope="module")
def points(swept):
    frame = pd.read_parquet(swept / "points.parquet")
    return frame.set_index(["pv_scale", "export_price_eur_per_mwh", "vm_max_pu"])


def content(directory, name):
    """A table without wall-clock times, as bytes."""
    table = pq.read_table(directory / f"{name}.parquet")
    return table.drop_columns([c for c in table.column_names if c.endswith("_s")])


def assert_same(one, other):
    for name in SCHEMAS:
        assert content(one, name).equals(content(other, name)), name
    for name in ("conditions.csv", "levels.csv", "stops.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_directory_holds_tables_and_pictures(swept):
    assert {p.name for p in swept.iterdir()} == FILES
    for name, schema in SCHEMAS.items():
        assert pq.read_schema(swept / f"{name}.parquet").equals(schema)
    summary = json.loads((swept / "summary.json").read_text(encoding="utf-8"))
    assert (summary["status"], summary["grid"], summary["design"]) == ("done", "mv1", "grid")
    assert mismatches(summary, SweepSummary) == []
    assert summary["points_planned"] == summary["points_done"] == 8
    found = [summary[k] for k in ("exact", "feasible", "infeasible", "unsolved")]
    assert sum(found) == 8
    assert summary["exact"] == 5


def test_positive_price_without_ceiling_is_exact_and_predicted(points):
    own = points.loc[(9.0, 30.0, 1.3)]
    assert own["export_mwh"] > 1.0
    assert own["verdict"] == "exact"
    assert own["predicted_exact"]
    assert own["max_fictitious_loss_share"] <= EXACT_LOSS_SHARE
    assert own["worst_line"] == ""


def test_negative_price_opens_cones_and_fails_the_price_condition(points):
    own = points.loc[(9.0, -10.0, 1.3)]
    assert own["verdict"] != "exact"
    assert not own["price_condition"]
    assert own["voltage_condition"]
    assert own["max_fictitious_loss_share"] > 0.1
    assert own["fictitious_loss_mwh"] > 1.0
    assert own["worst_line"].startswith("line ")
    # burning is cheaper than exporting: what is left to export shrinks
    assert own["export_mwh"] < points.loc[(9.0, 30.0, 1.3), "export_mwh"] - 1.0


def test_low_ceiling_opens_cones_and_fails_the_voltage_condition(points):
    own = points.loc[(9.0, 30.0, 1.02)]
    assert own["verdict"] == "infeasible"
    assert own["price_condition"]
    assert not own["voltage_condition"]
    # AC knows no fictitious loss: at these injections its voltage is above the ceiling
    assert own["max_violation_pu"] > 1e-3


def test_little_pv_is_exact_though_a_negative_price_predicts_nothing(points):
    own = points.loc[(1.0, -10.0, 1.3)]
    assert own["verdict"] == "exact"
    assert not own["predicted_exact"]  # conservative: nothing is exported, no loss pays
    assert own["export_mwh"] == pytest.approx(0.0, abs=1e-6)


def test_a_prediction_is_never_refuted(swept):
    table = pd.read_csv(swept / "conditions.csv").set_index(["basis", "condition"])
    for basis, count in (("point", 8), ("step", 8 * 14)):
        counts = table.loc[(basis, "predicted_exact")]
        assert counts["holds_inexact"] == 0
        assert counts["holds_exact"] > 0
        assert counts["fails_inexact"] > 0
        assert counts.iloc[:4].sum() == count


def test_night_steps_are_exact_and_predicted(swept):
    steps = pd.read_parquet(swept / "steps.parquet")
    night = steps[steps["step"] < NIGHT.stop]
    assert len(night) == 8 * NIGHT.stop
    assert (night["verdict"] == "exact").all()
    assert night["predicted_exact"].all()
    assert (night["import_mw"] > 0.0).all()
    # the price condition fails in the hours of the replaced price, and only there
    costly = pd.read_parquet(swept / "points.parquet")
    costly = costly.loc[costly["export_price_eur_per_mwh"] < 0.0, "point"]
    failing = steps.loc[~steps["price_condition"], ["point", "step"]]
    assert set(failing["point"]) == set(costly)
    assert set(failing["step"]) == {10, 11, 12, 13}


def test_lines_agree_with_the_points(swept, points):
    lines = pd.read_parquet(swept / "lines.parquet")
    assert len(lines) == 8 * 32
    largest = lines.loc[lines.groupby("point")["max_fictitious_loss_share"].idxmax()]
    open_points = points[points["verdict"] != "exact"].set_index("point")
    for _, row in largest.set_index("point").loc[open_points.index].iterrows():
        assert row["inexact_steps"] > 0
    exact = points.loc[points["verdict"] == "exact", "point"]
    assert (lines.loc[lines["point"].isin(exact), "inexact_steps"] == 0).all()


@pytest.fixture
def two_processes(scenario, tmp_path):
    data = tomllib.loads(scenario.read_text(encoding="utf-8"))
    data["solver"]["threads"] = 2
    path = tmp_path / "two.toml"
    path.write_text(tomli_w.dumps(data), encoding="utf-8")
    return path


def check_swept(done, out, swept):
    assert done.status == 0, done.stderr
    assert done.stdout.split()[-1] == str(out)
    assert "lines (C1)" in done.stdout
    assert "5 exact (3 predicted)" in done.stderr
    assert "8 points of mv1" in done.stderr
    assert_same(out, swept)


@pytest.mark.slow
def test_command_with_two_processes_gives_the_same_tables(two_processes, swept, tmp_path, command):
    out = tmp_path / "out"
    check_swept(command("exactness", two_processes, "--out", out), out, swept)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_what_two_processes_have_done_at_ctrl_c_is_kept_and_the_rest_is_resumed(
    two_processes, swept, tmp_path, command, monkeypatch
):
    out = tmp_path / "out"

    def interrupt():
        wait_for(lambda: list(out.glob("points/part-*.parquet")))
        for worker in children_of(os.getpid(), "spawn_main"):  # as a terminal does
            os.kill(worker, signal.SIGINT)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    stopped = command("exactness", two_processes, "--out", out)
    interrupting.join()
    check_interrupted(stopped.status, stopped.stderr, out, 8)

    def one_thread(workers, context, **how):  # for the rest, without the start of two processes
        return ThreadPoolExecutor(1, **how)

    monkeypatch.setattr(study, "ProcessPoolExecutor", one_thread)
    check_swept(command("exactness", two_processes, "--resume", out), out, swept)


def check_interrupted(status, stderr, out, planned):
    assert status == 130
    assert (
        stderr.splitlines()[-1]
        == f"stackelgrid: interrupted; stackelgrid exactness --resume {out} goes on"
    )
    assert "Traceback" not in stderr
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["status"] == "interrupted"
    parts = [pq.read_metadata(p).num_rows for p in out.glob("points/part-*.parquet")]
    assert 0 < sum(parts) == summary["points_done"] < planned


def test_interrupted_and_resumed_equals_uninterrupted(swept, scenario, tmp_path, command):
    loaded = load_scenario(str(scenario))
    out = tmp_path / "out"

    def stop(progress):
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep_exactness(loaded, sweep_of(loaded), out, progress=stop)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert (summary["status"], summary["points_done"]) == ("interrupted", 3)
    assert not (out / "points.parquet").exists()
    first = (out / "points" / "part-000000.parquet").stat().st_mtime_ns

    lost = out / "steps" / "part-000001.parquet"
    content = lost.read_bytes()
    lost.unlink()
    said = f"{lost}: is missing; manifest.jsonl lists it"
    with pytest.raises(ResultsError, match=re.escape(said)):
        read_sweep(out)
    damaged = command("exactness", out / "scenario.toml", "--resume", out)
    assert damaged.status == 2
    assert said in damaged.stderr
    lost.write_bytes(content)

    other = command("exactness", scenario, "--resume", out, "--seed", 8)
    assert other.status == 2
    assert "seed is 3 in the saved run and 8 asked for" in other.stderr
    assert (out / "points" / "part-000000.parquet").stat().st_mtime_ns == first

    with (out / "manifest.jsonl").open("ab") as file:  # a full disk has cut the last line
        file.write(b'{"files":{"points/')
    arguments = (out / "scenario.toml", "--resume", out, "--json", "--report")
    resumed = command("exactness", *arguments)
    assert resumed.status == 0, resumed.stderr
    told = json.loads(resumed.stdout)
    assert (told["directory"], told["status"], told["points_done"]) == (str(out), "done", 8)
    assert "lines (C1)" in resumed.stderr  # tables give way to the object
    assert {p.name for p in out.iterdir()} == FILES | {"report.html"}
    assert_same(out, swept)
    log = [json.loads(x) for x in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [e["chunks_kept"] for e in log if e["event"] == "start"] == [0, 3]
    again = command("exactness", scenario, "--resume", out)
    assert again.status == 2
    assert "is done; nothing is left to resume" in again.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_leaves_a_resumable_directory(scenario, tmp_path):
    out = tmp_path / "out"
    arguments = ["exactness", scenario, "--out", out, "--set", "solver.threads=2"]
    arguments += ["--set", "exactness.pv_scale={from=0.5,to=9.0,count=12}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "stackelgrid", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60.0
    while not list(out.glob("points/part-*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers too
    _, stderr = process.communicate(timeout=60)
    check_interrupted(process.returncode, stderr, out, 48)


def test_latin_hypercube_follows_the_seed(scenario):
    changes = [
        'exactness.design="latin_hypercube"',
        "exactness.points=40",
        "exactness.load_scale={from=0.5,to=1.5}",
    ]
    sweep = sweep_of(load_scenario(str(scenario), changes))
    one, again = points_of(sweep), points_of(sweep)
    other = points_of(sweep_of(load_scenario(str(scenario), changes, 99)))
    assert one == again
    assert one != other
    assert [p.number for p in one] == list(range(40))
    loads = np.sort([p.scale("load") for p in one])
    assert (np.floor((loads - 0.5) * 40.0) == np.arange(40)).all()  # one in each fortieth
    assert sorted({p.scale("pv") for p in one}) == [1.0, 9.0]
    assert sum(p.scale("pv") == 1.0 for p in one) == 20
    together = [p.structure for chunk in chunks_of(one) for p in chunk.points]
    assert together == sorted(together)


@pytest.mark.parametrize("when", ["merging", "drawing"])
def test_an_interrupt_after_the_last_point_computes_none_again(
    when, scenario, swept, tmp_path, monkeypatch
):
    loaded = load_scenario(str(scenario))
    sweep = sweep_of(loaded)
    out = tmp_path / "out"
    whole = {name: pq.read_table(swept / f"{name}.parquet") for name in SCHEMAS}
    computed = []

    class Known:
        """Evaluates points as they were found before."""

        def __init__(self, data, points):
            pass

        def evaluate(self, points):
            own = [p.number for p in points]
            computed.extend(own)
            return {n: t.filter(pc.is_in(t["point"], pa.array(own))) for n, t in whole.items()}

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(exactness, "Evaluator", Known)
    with monkeypatch.context() as patch:
        merging = (exactness_tables.shutil, "rmtree")
        patch.setattr(*(merging if when == "merging" else (exactness, "write_sweep")), interrupted)
        with pytest.raises(KeyboardInterrupt):
            sweep_exactness(loaded, sweep, out)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert (summary["status"], summary["points_done"]) == ("interrupted", 8)
    if when == "drawing":
        assert not (out / "points").exists()
    monkeypatch.setattr(exactness, "write_sweep", lambda *arguments: None)
    seen = []
    sweep_exactness(loaded, sweep, out, resume=begun_sweep(out), progress=seen.append)
    assert [p.done for p in seen] == [8]
    assert sorted(computed) == list(range(8))  # each once
    assert_same(swept, out)
    assert not any((out / name).exists() for name in SCHEMAS)


def test_a_scale_of_zero_takes_devices_away_and_no_solution_is_recorded(scenario, tmp_path):
    """PV and batteries may be left out; a load that no voltage can serve has no solution."""
    changes = ["exactness.pv_scale=[0.0]", "exactness.battery_scale=[0.0]"]
    changes += ["exactness.load_scale=[1.0, 40.0]", "exactness.vm_max_pu=[1.1]"]
    changes += ["exactness.export_price_eur_per_mwh=[-10.0]"]
    loaded = load_scenario(str(scenario), changes)
    result = sweep_exactness(loaded, sweep_of(loaded), tmp_path / "out")
    one, heavy = (row for _, row in result.tables.points.iterrows())
    assert (one["verdict"], one["export_mwh"], one["curtailed_mwh"]) == ("exact", 0.0, 0.0)
    assert heavy["status"] == "infeasible"
    assert heavy["verdict"] == ""
    assert "limits in conflict" in heavy["reason"]
    assert np.isnan(heavy["objective_eur"])
    assert not heavy["price_condition"]  # what is known before does not need a solution
    assert result.summary["unsolved"] == 1
    lines = result.tables.lines
    assert lines.loc[lines["point"] == 1, "max_cone_gap_pu"].isna().all()


REFUSED = [
    ("exactness.pv_scale=[]", "exactness.pv_scale: is empty; at least one level"),
    ("exactness.pv_scale=[nan]", "input should be a finite number"),
    ("exactness.pv_scale=[-1.0]", "pv_scale = -1 is negative; >= 0 is accepted"),
    ("exactness.load_scale=[-0.5]", "load_scale = -0.5 is negative"),
    ("exactness.battery_scale=[-2]", "battery_scale = -2 is negative"),
    ("exactness.pv_scale={from=2,to=1,count=3}", "from = 2 lies above to = 1"),
    ("exactness.pv_scale={from=1,to=1,count=3}", "the range from 1 to 1 is empty"),
    ("exactness.pv_scale={from=1,to=2,count=0}", "greater than or equal to 1"),
    ("exactness.pv_scale={from=1,to=2}", "a range of a grid needs a count"),
    ("exactness.pv_scale={from=1,to=2,count=250000}", "1,000,000 points; at most 100,000"),
    ("exactness.pv_scale=2", "a list of levels or { from, to, count } is accepted"),
    ("exactness.pv_scale=[1.0,1.0]", "level 1 given twice"),
    ("exactness.points=5", "a grid has no points"),
    ("exactness.design=latin_hypercube", "a latin_hypercube needs points"),
    ("exactness.design=sobol", "'sobol' is not accepted"),
    ("exactness.wind_scale=[1.0]", "unknown key 'wind_scale'"),
    ("exactness.grid=mv7", "exactness.grid: 'mv7' unknown; accepted: mv1"),
    ("exactness.vm_max_pu=[0.9]", "vm_max_pu = 0.9 is not above vm_min_pu = 0.9"),
    ("exactness.export_price_eur_per_mwh=[80.0]", "exceeds the import price; at most 75"),
    ('exactness.export_hours=["20:00","21:00"]', "no step of the horizon begins in these hours"),
]


@pytest.mark.parametrize(("override", "text"), REFUSED)
def test_bad_sweeps_are_refused_in_one_line(command, scenario, tmp_path, override, text):
    out = tmp_path / "out"
    outcome = command("exactness", scenario, "--out", out, "--set", override)
    assert outcome.status == 2, outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert text in outcome.stderr
    assert not out.exists()


def drop(*keys):
    return lambda data: [data["exactness"].pop(k) for k in keys]


@pytest.mark.parametrize(
    ("edit", "arguments", "text"),
    [
        (lambda d: d.pop("exactness"), (), "exactness: is missing"),
        (drop("pv_scale", "export_price_eur_per_mwh", "vm_max_pu", "export_hours"), (),
         "no dimension is varied"),
        (drop("export_price_eur_per_mwh"), (), "export_hours need export_price_eur_per_mwh"),
        (drop("design"), (), 'design is missing; "grid" or "latin_hypercube"'),
        (lambda d: None, ("--size", "full"), "has no sizes; --size full is not accepted"),
        (lambda d: d["exactness"].update(sizes={"small": {}}), ("--size", "huge"),
         "no size 'huge'; --size accepts small"),
        (lambda d: None, ("--resume", "nowhere"), "holds no interrupted sweep"),
        (lambda d: None, ("--resume", "a", "--out", "b"), "one of them is accepted, not both"),
    ],
)  # fmt: skip
def test_other_refusals(command, write_scenario, edit, arguments, text):
    def both(data):
        change(data)
        edit(data)

    outcome = command("exactness", write_scenario("feeder", both), *arguments)
    assert outcome.status == 2, outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert text in outcome.stderr


def test_grid_must_be_named_and_be_a_feeder(command, write_scenario):
    sweep = {"design": "grid", "pv_scale": [1.0, 2.0]}

    def ask(**more):
        path = write_scenario("three_levels", lambda d: d.update(exactness=sweep | more))
        return command("exactness", path)

    assert "exactness.grid: is missing; feeders of this scenario: mv1, lv1" in ask().stderr
    refused = ask(grid="tn")
    assert refused.status == 2
    assert "'tn' is a transmission grid; an mv or lv feeder is accepted: mv1, lv1" in refused.stderr


def test_used_directory_is_refused(command, scenario, tmp_path):
    (tmp_path / "other.txt").write_text("x")
    outcome = command("exactness", scenario, "--out", tmp_path)
    assert outcome.status == 2
    assert "is not empty" in outcome.stderr


def test_run_ignores_the_section(command, scenario, tmp_path):
    outcome = command("run", scenario, "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    assert Path(tmp_path / "out" / "interval.parquet").exists()


def test_shipped_sweeps(command):
    loaded = load_scenario("exactness")
    assert {s: sweep_of(loaded, s).points_planned for s in loaded.scenario.exactness.sizes} == {
        "small": 48,
        "full": 1200,
        "sampled": 400,
    }
    outcome = command("validate", "exactness")
    assert outcome.status == 0, outcome.stderr


def test_a_feeder_with_charging_is_swept_without_conditions(tmp_path, texts):
    net = pn.case33bw()
    net.line["c_nf_per_km"] = 100.0
    pp.to_json(net, str(tmp_path / "charged.json"))
    data = tomllib.loads(texts["feeder"])
    change(data)
    data["grids"][0]["case"] = "charged.json"
    data["exactness"] = {"design": "grid", "pv_scale": [1.0], "load_scale": [0.8, 1.0]}
    path = tmp_path / "scenario.toml"
    path.write_text(tomli_w.dumps(data), encoding="utf-8")
    loaded, out, said = load_scenario(str(path)), tmp_path / "out", []
    result = sweep_exactness(loaded, sweep_of(loaded), out, say=said.append)
    points = pd.read_parquet(out / "points.parquet")
    assert points["verdict"].tolist() == ["exact", "exact"]
    before = ["price_condition", "voltage_condition", "line_condition", "predicted_exact",
              "failing_line", "failing_direction", "min_margin", "highest_vm_pu"]  # fmt: skip
    assert points[before].isna().all(axis=None)
    assert pd.read_parquet(out / "lines.parquet")["c1_fails"].isna().all()
    assert (result.summary["exact"], result.summary["predicted_exact"]) == (2, None)
    assert any("which the a priori conditions do not cover" in line for line in said)
    page = page_of(out)  # the report says so, too
    assert "do not cover feeders with charging" in page.verdict.sentence
    titles = [text.title for text in texts_of(read_sweep(out)) if not isinstance(text, str)]
    assert not any("a priori conditions" in title for title in titles)
