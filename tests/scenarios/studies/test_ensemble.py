"""The verb `ensemble` with workers in threads: members equal to plain runs, failures, resume."""

import errno
import json
import os
import shutil
import time
import tomllib
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from support.ensemble_cases import (
    FORECAST,
    LEVEL_ONE,
    VARIANTS,
    assert_same_tables,
    cell,
    in_threads,
    load_small,
    thread_cluster,
)
from support.machine import in_time
from support.typed_summary import mismatches

from stackelgrid.analysis.results.summaries import EnsembleSummary
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.directory import locked
from stackelgrid.scenarios.studies import cluster as cluster_module
from stackelgrid.scenarios.studies import ensemble as ensemble_module
from stackelgrid.scenarios.studies import study
from stackelgrid.scenarios.studies.ensemble import Workers, run_ensemble
from stackelgrid.scenarios.studies.ensemble_design import ensemble_of, member_seed, runs_of


@pytest.fixture(scope="module", autouse=True)
def threads():
    """Workers are threads here; those in processes are the subject of another file."""
    with pytest.MonkeyPatch.context() as patch, in_threads(patch):
        yield


@pytest.fixture(scope="module")
def path(tmp_path_factory, texts, village_json):
    folder = tmp_path_factory.mktemp("ensemble")
    (folder / "village.json").write_bytes(village_json.read_bytes())
    path = folder / "village.toml"
    path.write_text(texts["village"], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def loaded(path):
    return load_small(path)


@pytest.fixture(scope="module")
def finished(loaded, tmp_path_factory):
    out = tmp_path_factory.mktemp("ensemble") / "out"
    seen = []
    ensemble = ensemble_of(loaded)
    result = run_ensemble(loaded, ensemble, out, Workers(count=2), progress=seen.append)
    return result, seen


def test_cells_that_are_the_same_are_run_once(loaded):
    """Without errors all members are one; with them each has three runs."""
    ensemble = ensemble_of(loaded)
    runs = runs_of(loaded, ensemble)
    assert len(runs) == 3 + 3 * 3
    assert sum(len(run.cells) for run in runs) == 2 * 3 * 3
    numbers = [{c.member for c in run.cells} for run in runs]
    assert [n for n in numbers if len(n) > 1] == [{0, 1, 2}] * 3


def test_a_member_is_the_same_whatever_the_size_of_the_ensemble(loaded):
    many = runs_of(loaded, ensemble_of(loaded, members=5))
    few = runs_of(loaded, ensemble_of(loaded))
    texts = {c: run.scenario for run in many for c in run.cells}
    assert all(texts[c] == run.scenario for run in few for c in run.cells)
    assert len({member_seed(loaded.scenario.seed, m) for m in range(1000)}) == 1000


def test_every_cell_holds_a_run_and_its_content_says_which(finished):
    result, seen = finished
    assert result.summary["status"] == "done"
    assert (result.summary["runs_done"], result.summary["runs_failed"]) == (12, 0)
    assert mismatches(result.summary, EnsembleSummary) == []
    assert [p.done for p in seen] == list(range(13))
    assert [p.running for p in seen[-3:]] == ["2 running", "1 running", ""]
    for level in (0.0, 1.0):
        for member in range(3):
            for variant in VARIANTS:
                where = cell(result.directory, level, member, variant)
                content = tomllib.loads((where / "scenario.toml").read_text())
                assert content["baseline"] is False
                assert content["deviations"]["level"] == level
                assert ("forecast" in content) == (variant != "perfect")
                steps = sum(s["count"] for s in content["horizon"]["steps"])
                assert steps == (2 if variant == "short" else 4)
                assert json.loads((where / "summary.json").read_text())["intervals_done"] == 2
    seeds = {
        tomllib.loads((cell(result.directory, 1.0, m) / "scenario.toml").read_text())["deviations"][
            "seed"
        ]
        for m in range(3)
    }
    assert len(seeds) == 3
    assert not (result.directory / "unfinished").exists()


def test_a_member_is_bitwise_a_plain_run(finished, command, tmp_path):
    result, _ = finished
    for level, member, variant in ((0.0, 2, "scenario"), (1.0, 0, "short"), (1.0, 1, "perfect")):
        where = cell(result.directory, level, member, variant)
        out = tmp_path / f"{level}-{member}-{variant}"
        outcome = command("run", where / "scenario.toml", "--out", out)
        assert outcome.status == 0, outcome.stderr
        assert_same_tables(out, where, but=("indicators.parquet",))


def test_the_number_of_workers_changes_nothing(finished, loaded, tmp_path):
    result, _ = finished
    ensemble = replace(ensemble_of(loaded, members=1), error_levels=(1.0,))
    alone = run_ensemble(loaded, ensemble, tmp_path / "out", Workers(count=1))
    assert alone.summary["workers"] == 1
    for variant in VARIANTS:
        one, other = (cell(d, 1.0, 0, variant) for d in (alone.directory, result.directory))
        assert_same_tables(one, other)
    kpis = result.tables.kpis
    own = alone.tables.kpis.reset_index(drop=True)
    same = kpis[(kpis["member"] == 0) & (kpis["error_level"] == 1.0)].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, same, check_exact=True)


def test_key_figures_are_those_of_the_tables(finished):
    """Imbalance, regret and wear of one member by hand from its tables."""
    result, _ = finished
    k = result.tables.kpis.set_index(["error_level", "variant", "member", "grid", "kpi"])["value"]
    for member in range(3):
        interval = pd.read_parquet(cell(result.directory, 1.0, member) / "interval.parquet")
        off = (interval["p_import_mw"] - interval["p_import_planned_mw"]).abs().sum() * 0.25
        assert off > 1e-6
        assert k[1.0, "scenario", member, "lv1", "imbalance"] == pytest.approx(off, rel=1e-12)
        assert k[1.0, "scenario", member, "total", "imbalance"] == pytest.approx(off, rel=1e-12)
        wear = interval["wear_eur"].sum()
        assert k[1.0, "scenario", member, "total", "battery_wear"] == pytest.approx(wear, abs=1e-12)
        cost = {v: k[1.0, v, member, "total", "cost"] for v in VARIANTS}
        regret = k[1.0, "scenario", member, "total", "regret"]
        assert regret == cost["scenario"] - cost["perfect"]
        assert k[1.0, "short", member, "total", "horizon_cost"] == cost["short"] - cost["scenario"]
    costs = [k[1.0, "scenario", m, "total", "cost"] for m in range(3)]
    assert len(set(costs)) == 3
    s = result.tables.of("cost")
    row = s[(s["error_level"] == 1.0) & (s["variant"] == "scenario")].iloc[0]
    assert row["members"] == 3
    assert row["mean"] == pytest.approx(np.mean(costs), rel=1e-12)
    # quantile 0.975 of Student's t with 2 degrees of freedom: 4.30265 (any table of it)
    reach = 4.30265 * np.std(costs, ddof=1) / np.sqrt(3.0)
    assert row["high"] - row["mean"] == pytest.approx(reach, rel=1e-5)
    assert row["mean"] - row["low"] == pytest.approx(reach, rel=1e-5)


def test_without_errors_nothing_is_regretted(finished):
    result, _ = finished
    kpis = result.tables.kpis
    rows = kpis[(kpis["kpi"] == "regret") & (kpis["error_level"] == 0.0)]
    own = rows[rows["variant"] == "scenario"]
    assert len(own) == 3
    assert np.abs(own["value"]).max() < 1e-6


def test_tables_and_pictures_are_written(finished):
    result, _ = finished
    for name in ("ensemble.png", "imbalance.png", "horizons.png"):
        assert (result.directory / name).read_bytes().startswith(b"\x89PNG")
    for name in ("kpis.parquet", "statistics.parquet", "statistics.csv", "statistics.md"):
        assert (result.directory / name).stat().st_size > 0


def test_an_interrupted_ensemble_goes_on(finished, path, command, tmp_path):
    """Resumed without its scenario: what was done is not run again."""
    result, _ = finished
    loaded = load_small(path, "[1.0]")
    out = tmp_path / "out"

    def stop(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_ensemble(loaded, ensemble_of(loaded, members=2), out, Workers(count=2), progress=stop)
    assert status_of(out) == "interrupted"
    before = {p: p.stat().st_mtime_ns for p in (out / "ensemble").glob("*/*/*/member=*/*")}
    assert 0 < len({p.parent for p in before}) < 6
    resumed = command("ensemble", "--resume", out, "--workers", 2, "--report")
    assert resumed.status == 0, resumed.stderr
    assert f"report: {out / 'report.html'}" in resumed.stderr
    assert all(p.stat().st_mtime_ns == at for p, at in before.items())
    expected = result.tables.kpis
    expected = expected[(expected["error_level"] == 1.0) & (expected["member"] < 2)]
    found = pd.read_parquet(out / "kpis.parquet")
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True), check_exact=True)


def test_a_member_that_fails_is_recorded_and_the_others_go_on(command, write_scenario, tmp_path):
    """A controller that gives up in the worlds of some members."""
    (tmp_path / "moody.py").write_text(
        "from dataclasses import replace\n"
        "from stackelgrid.controllers.cascade.cascade import Cascade\n"
        "class Moody(Cascade):\n"
        "    def __init__(self, system, settings):\n"
        "        super().__init__(system, replace(settings, scheme='bottom_up'))\n"
        "    def decide(self, interval, measured):\n"
        "        load = self.system.feeders[0].forecast.at(0).load_p_mw.sum()\n"
        "        if int(1e6 * load) % 2:\n"
        "            raise RuntimeError('not today')\n"
        "        return super().decide(interval, measured)\n",
        encoding="utf-8",
    )
    path, out = write_scenario("village"), tmp_path / "out"
    settings = ("controller=moody:Moody", "ensemble.vary_world=true", "time.intervals=1")
    options = [f"--set={s}" for s in settings]
    outcome = command("ensemble", path, *options, "--members", 6, "--workers", 2, "--out", out)
    summary = json.loads((out / "summary.json").read_text())
    done, failed = summary["runs_done"], summary["runs_failed"]
    assert done + failed == 6
    assert 0 < failed < 6
    assert outcome.status == 1
    assert outcome.stderr.splitlines()[-1].startswith(f"stackelgrid: {failed} of 6 runs failed")
    assert summary["status"] == "failed"
    assert {f["reason"] for f in summary["failed"]} == {"RuntimeError: not today"}
    kpis = pd.read_parquet(out / "kpis.parquet")
    assert kpis["member"].nunique() == done


def test_a_finished_ensemble_says_so_and_may_grow(finished, command, tmp_path):
    result, _ = finished
    outcome = command("ensemble", "--resume", result.directory)
    assert outcome.status == 0
    assert "nothing is left to resume" in outcome.stderr
    assert outcome.stdout.strip() == str(result.directory)
    outcome = command("ensemble", "--resume", result.directory, "--json", "--quiet")
    assert outcome.stderr == ""
    assert json.loads(outcome.stdout)["runs_done"] == result.summary["runs_done"]
    out = tmp_path / "out"
    shutil.copytree(result.directory, out)
    outcome = command("ensemble", "--resume", out, "--members", 4, "--workers", 2)
    assert outcome.status == 0, outcome.stderr
    assert "15 of 15 runs" in outcome.stderr
    kpis = pd.read_parquet(out / "kpis.parquet")
    before = kpis[kpis["member"] < 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(before, result.tables.kpis, check_exact=True)
    assert set(kpis["member"]) == {0, 1, 2, 3}


@pytest.fixture
def all_saved(finished, monkeypatch, tmp_path):
    """Directory of an ensemble that was killed after its last run; nothing is built or run here."""
    result, _ = finished
    out = tmp_path / "out"
    shutil.copytree(result.directory, out)
    for path in (*out.glob("*.png"), *out.glob("statistics.*")):
        path.unlink()
    summary = {**result.summary, "status": "running"}
    (out / "summary.json").write_text(json.dumps(summary), encoding="utf-8")

    @contextmanager
    def nobody(count, memory_mb):
        yield SimpleNamespace(nthreads=dict, cancel=lambda futures: None)

    monkeypatch.setattr(ensemble_module, "local_workers", nobody)
    monkeypatch.setattr(ensemble_module, "build_scenario", lambda loaded: None)
    monkeypatch.setattr(ensemble_module, "notices", lambda built: [])
    return out


def status_of(directory):
    return json.loads((directory / "summary.json").read_text())["status"]


def test_an_ensemble_is_done_when_its_pictures_are_there(all_saved, monkeypatch, command):
    """Ctrl-C while they are drawn: the tables are written, and the ensemble is not done."""

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ensemble_module, "write_ensemble", interrupted)
        assert command("ensemble", "--resume", all_saved, "--no-report").status == 130
    assert (all_saved / "kpis.parquet").exists()
    assert status_of(all_saved) == "interrupted"
    outcome = command("ensemble", "--resume", all_saved, "--no-report")
    assert outcome.status == 0, outcome.stderr
    assert status_of(all_saved) == "done"
    for name in ("ensemble.png", "imbalance.png", "horizons.png", "statistics.md"):
        assert (all_saved / name).exists()


@pytest.mark.parametrize("since", ["start", "pictures"])
def test_a_full_disk_is_one_line(all_saved, monkeypatch, command, since):
    """From the first line of the log on, or while the pictures are drawn: nothing can be said."""
    real = study.RunLog.event

    def full(*arguments, **fields):
        if since == "start" or arguments[1:] != ("start",):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(*arguments, **fields)

    monkeypatch.setattr(study.RunLog, "event", full)
    monkeypatch.setattr(ensemble_module, "write_ensemble", full)
    outcome = command("ensemble", "--resume", all_saved, "--no-report")
    assert outcome.status == 1
    said = f"stackelgrid: {all_saved}: cannot be written (No space left on device)"
    assert outcome.stderr.splitlines() == [said]
    assert status_of(all_saved) == "running"


def test_only_one_process_writes_to_an_ensemble(all_saved, command):
    before = {p: p.stat().st_mtime_ns for p in all_saved.rglob("*")}
    with locked(all_saved):
        outcome = command("ensemble", "--resume", all_saved)
    assert outcome.status == 2
    assert f"{all_saved}: another process is running it" in outcome.stderr
    assert {p: p.stat().st_mtime_ns for p in all_saved.rglob("*")} == before


def test_an_ensemble_that_began_in_the_meantime_is_left_alone(
    loaded, all_saved, monkeypatch, tmp_path
):
    """Another command takes the new directory while this one builds its scenario."""
    out, theirs = tmp_path / "new", "theirs"

    def build(loaded):
        out.mkdir(exist_ok=True)
        (out / "scenario.toml").write_text(theirs, encoding="utf-8")

    monkeypatch.setattr(ensemble_module, "build_scenario", build)
    with pytest.raises(ScenarioError, match="is not empty"):
        run_ensemble(loaded, ensemble_of(loaded), out, Workers(count=1))
    assert [p.read_text() for p in out.iterdir()] == [theirs]


def test_another_scenario_is_not_resumed(finished, command, path):
    result, _ = finished
    outcome = command("ensemble", path, "--set=seed=9", "--resume", result.directory)
    assert outcome.status == 2
    assert "seed is 3 in the saved run and 9 asked for" in outcome.stderr


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--members", "0"], "--members 0: a whole number from 1 is accepted"),
        (["--workers", "0"], "--workers 0: a whole number from 1 is accepted"),
        (["--set=ensemble.members=0"], "ensemble.members: 0 is not accepted"),
        (["--set=ensemble.error_levels=[-0.5]"], "-0.5 is not accepted"),
        (["--set=ensemble.error_levels=[1.0, 1.0]"], "1.0 given twice"),
        (["--set=ensemble.error_levels=[]"], "ensemble.error_levels: [] is not accepted"),
        (["--set=ensemble.schemes=['upside_down']"], "'upside_down' unknown"),
        (["--set=ensemble.variants={ perfect = { resolve_every = 2 } }"], "perfect is the name"),
        (["--set=ensemble.variants={ rare = { resolve_every = 9 } }"], "resolve_every = 9 needs 9"),
        (["--size", "large"], "has no sizes"),
        (["--cluster", "tcp://127.0.0.1:1", "--workers", "2"], "one of them is accepted"),
        (["--cluster", "nowhere"], "--cluster nowhere: missing port number"),
    ],
)
def test_bad_input_is_one_line(command, path, tmp_path, options, found):
    settings = [f"--set={s}" for s in FORECAST]
    out = tmp_path / "out"
    outcome = command("ensemble", path, *settings, "--out", out, *options)
    assert outcome.status == 2
    assert found in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("options", [["--members", "2"], []])
def test_members_that_do_not_differ_are_refused(command, path, tmp_path, options):
    outcome = command("ensemble", path, *options, "--out", tmp_path / "out")
    assert outcome.status == 2
    assert "all members would be the same" in outcome.stderr
    assert not (tmp_path / "out").exists()


def test_a_member_that_the_file_of_forecasts_lacks_is_refused(command, path, tmp_path):
    """Two members of the three that are asked for."""
    start = pd.Timestamp("2025-06-21T11:00", tz="Europe/Berlin")
    rows = [
        {"issue_time": start.isoformat(), "lead_min": 15 * k, "grid": "lv1", "quantity": quantity,
         "factor": 1.0, "member": member}
        for member in (0, 1)
        for quantity in ("load", "pv", "price")
        for k in range(11)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "told.csv", index=False)
    section = f"forecast={{ model = 'file', file = '{tmp_path / 'told.csv'}', member = 0 }}"
    outcome = command("ensemble", path, "--set", section, "--members", 3, "--out", tmp_path / "out")
    assert outcome.status == 2
    assert "member 2: forecast.file" in outcome.stderr
    assert "no member 2; it has 0, 1" in outcome.stderr
    assert not (tmp_path / "out").exists()


def test_an_unreachable_cluster_is_said_within_the_stated_time(
    command, path, tmp_path, monkeypatch
):
    assert cluster_module.CONNECT_S == 10
    monkeypatch.setattr(cluster_module, "CONNECT_S", 1)
    settings = [f"--set={s}" for s in FORECAST]
    began = time.monotonic()
    outcome = command(
        "ensemble", path, *settings, "--cluster", "tcp://127.0.0.1:1", "--out", tmp_path / "out"
    )
    assert outcome.status == 2
    assert "no scheduler answers within 1 s" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert in_time(time.monotonic() - began, 10.0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [("--set", "time.intervals=1"), ("--seed", "9")])
def test_an_ensemble_goes_on_as_begun(command, tmp_path, option):
    """Without its scenario there is nothing that an override could change."""
    outcome = command("ensemble", "--resume", tmp_path, *option)
    assert outcome.status == 2
    assert "--set and --seed need SCENARIO, too" in outcome.stderr


@pytest.mark.parametrize("content", [None, {"status": "done"}])
def test_a_directory_without_ensemble_is_not_resumed(command, tmp_path, content):
    if content is not None:
        (tmp_path / "summary.json").write_text(json.dumps(content), encoding="utf-8")
    outcome = command("ensemble", "--resume", tmp_path)
    assert outcome.status == 2
    assert "holds no ensemble" in outcome.stderr


def test_any_scheduler_runs_members(finished, command, tmp_path):
    """By its address, on loopback; one that a user has started is part of make test-slow."""
    result, _ = finished
    out = tmp_path / "out"
    with thread_cluster(1, protocol="tcp://", host="127.0.0.1") as cluster:
        outcome = command(
            "ensemble", result.directory / "scenario.toml", LEVEL_ONE, "--members", 1,
            "--cluster", cluster.scheduler_address, "--out", out,
        )  # fmt: skip
    assert outcome.status == 0, outcome.stderr
    for variant in VARIANTS:
        assert_same_tables(cell(out, 1.0, 0, variant), cell(result.directory, 1.0, 0, variant))
