"""The command as its users call it: what it prints, writes and returns."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.machine import in_time

from stackelgrid.scenarios.cli import main as cli
from stackelgrid.simulators.results.tables import SCHEMAS, read_table

TABLES = {
    "interval", "bus", "branch", "device", "boundary", "trade", "schedule", "stage", "dispatch",
    "certificate", "phase", "round", "negotiation", "commitment",
}  # fmt: skip
KEYS = {
    "scenario": None,
    "seed": None,
    "version": None,
    "status": None,
    "intervals_planned": None,
    "intervals_done": None,
    "intervals_fallback": None,
    "wall_s": None,
    "timings": {"build_s", "solve_s", "power_flow_s", "cosimulation_s", "state_s", "other_s"},
    "solver": {"conic", "mixed_integer", "version", "fallback_reason"},
    "cost_eur": {"total", "leader", "follower"},
    "bilevel": {
        "scheme",
        "pricing",
        "max_relative_gap",
        "max_gap_eur",
        "max_gap_of_flexible_cost",
        "max_follower_gap",
        "big_m_active",
    },
    "certificate": {
        "exact",
        "feasible",
        "infeasible",
        "recovered",
        "max_cone_gap_pu",
        "max_voltage_error_pu",
        "max_violation_pu",
    },
    "negotiation": None,
    "interface": {"max_mismatch_mva", "max_rounds"},
    "energy_handover_max_error_mwh": None,
}


def one_line(outcome):
    """The only line on stderr of a refused or failed command."""
    lines = outcome.stderr.splitlines()
    assert len(lines) == 1, outcome.stderr
    assert lines[0].startswith("stackelgrid: ")
    return lines[0]


def summary_of(directory):
    return json.loads((directory / "summary.json").read_text(encoding="utf-8"))


def test_quick_ends_with_its_directory(quick_process):
    outcome, directory = quick_process
    assert outcome.status == 0, outcome.stderr
    assert outcome.stdout == f"{directory}\n"
    assert "Traceback" not in outcome.stderr
    assert "Task was destroyed" not in outcome.stderr


def test_quick_draws_no_progress_bar_into_a_pipe(quick_process):
    outcome, _ = quick_process
    for text in (outcome.stdout, outcome.stderr):
        assert "\x1b" not in text
        assert "\r" not in text
        assert "━" not in text
        assert "0/4" not in text


def test_quick_says_what_it_did(quick_process, quick):
    outcome, _ = quick_process
    said = " ".join(outcome.stderr.split())
    cost, baseline = quick.summary["cost_eur"], quick.summary["baseline"]["cost_eur"]
    verdict = f"All 4 intervals were exact and within limits; cost {cost['total']:,.0f} EUR."
    assert verdict in said  # the report begins with the same sentence
    assert f"MWh): {cost['total_corrected']:,.2f} EUR" in said
    saved = baseline["total_corrected"] - cost["total_corrected"]
    assert f"without control {baseline['total_corrected']:,.2f} EUR" in said
    assert f"control saves {saved:,.2f} EUR" in said
    assert f"time {quick.summary['wall_s']:.1f} s, most for: " in said
    assert said.index(verdict) < said.index("report: ")


def test_quick_leaves_every_table_and_nothing_unfinished(quick_process):
    _, directory = quick_process
    found = {path.name for path in directory.iterdir()}
    expected = {f"{table}.parquet" for table in TABLES}
    others = {
        "scenario.toml",
        "summary.json",
        "log.jsonl",
        "manifest.jsonl",
        "network.parquet",
        "grids",
        "baseline",
        "report.html",
    }
    assert found == expected | others
    assert set(SCHEMAS) == TABLES
    for table in TABLES:
        assert read_table(directory, table).schema == SCHEMAS[table]


def test_summary_holds_the_stable_names(quick):
    assert set(KEYS) <= set(quick.summary)
    for key, inner in KEYS.items():
        if inner is not None:
            assert inner <= set(quick.summary[key]), key


def test_summary_of_quick(quick):
    s = quick.summary
    assert (s["scenario"], s["seed"], s["status"]) == ("quick", 1, "done")
    assert (s["intervals_planned"], s["intervals_done"], s["intervals_fallback"]) == (4, 4, 0)
    certificate = s["certificate"]
    assert sum(certificate[k] for k in ("exact", "feasible", "infeasible")) == 4
    interval = quick.tables["interval"]
    exact = (interval.verdict == "exact").groupby(interval.interval).all()
    assert certificate["exact"] == exact.sum() == 4
    assert certificate["max_cone_gap_pu"] == interval.cone_gap_pu.max()
    assert s["bilevel"]["max_relative_gap"] == interval["gap"].max() <= 1e-5


def test_timings_add_up_and_quick_is_quick(quick, quick_process):
    timings, wall = quick.summary["timings"], quick.summary["wall_s"]
    assert sum(timings.values()) == pytest.approx(wall, rel=1e-6)
    assert min(timings.values()) >= 0.0
    # processor time: the wall clock of a shared machine says how busy its other users are; 6 s
    # alone, up to twice that where the other thread of each core has work, too
    assert in_time(quick_process[0].cpu_s, 12.0)
    # the tables know the solvers' own times, which are part of the agents'
    assert quick.tables["interval"].solve_s.sum() > 0.0
    assert timings["solve_s"] > 0.0


def test_log_has_start_and_end(quick):
    lines = (quick.directory / "log.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    kinds = [e["event"] for e in events]
    assert (kinds[0], kinds[-1]) == ("start", "done")
    assert set(kinds[1:-1]) <= {"notice", "program", "solve"}
    assert events[0]["seed"] == 1
    assert events[-1]["intervals_done"] == 4
    solves = [(e["interval"], e["grid"]) for e in events if e["event"] == "solve"]
    assert sorted(solves) == [(k, grid) for k in range(4) for grid in ("lv1", "mv1")]


def test_a_solver_that_stands_in_is_said_once(quick, quick_process):
    reason = quick.summary["solver"]["fallback_reason"]
    lines = (quick.directory / "log.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    said = [e["text"] for e in events if e["event"] == "notice" and "mosek" in e["text"].lower()]
    printed = " ".join(quick_process[0].stderr.split())
    if reason is None:  # here MOSEK answers
        assert quick.summary["solver"]["mixed_integer"] == "mosek"
        assert not said
    else:
        assert quick.summary["solver"]["mixed_integer"] == "misocp"
        assert len(said) == 1
        assert quick.summary["solver"]["fallback_reason"] == reason
        assert printed.count("MOSEK cannot be used here") == 1


def test_scenario_in_the_run_directory_validates(quick, command):
    outcome = command("validate", quick.directory / "scenario.toml")
    assert outcome.status == 0, outcome.stderr
    lines = outcome.stdout.splitlines()
    assert lines[0] == "mv1: 33 buses, 32 loads, 4 PV, 4 batteries; root"
    # 55 customers, 35 % of their buses with PV; one bus above the transformer of the 206
    assert lines[1] == "lv1: 207 buses, 55 loads, 19 PV, 12 batteries; bus 24 of mv1, 7 copies"
    assert lines[2] == f"{quick.directory / 'scenario.toml'}: valid"


def test_default_directory_is_below_runs(write_scenario, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = command("run", write_scenario(), "--seed", 8)
    directory = Path(outcome.stdout.split()[-1])
    assert directory.parent == Path("runs")
    assert directory.name.startswith("feeder-20")
    assert summary_of(directory)["seed"] == 8


def test_a_run_without_boundaries_writes_an_empty_table(write_scenario, command, tmp_path):
    outcome = command("run", write_scenario(), "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    boundary = read_table(tmp_path / "out", "boundary")
    assert boundary.num_rows == 0
    assert boundary.schema == SCHEMAS["boundary"]
    assert read_table(tmp_path / "out", "bus").num_rows == 2 * 33


def test_infeasible_band_runs_to_its_end_by_fallback(write_scenario, command, tmp_path):
    """A feeder at 1.0 p.u. cannot hold 1.09 anywhere: the fallback schedule is kept in limits."""
    out = tmp_path / "out"
    path = write_scenario()
    overrides = ["time.intervals=3", "grids.mv1.vm_min_pu=1.09"]
    arguments = [part for text in overrides for part in ("--set", text)]
    outcome = command("run", path, "--out", out, *arguments)
    assert outcome.status == 0, outcome.stderr
    summary = summary_of(out)
    assert summary["status"] == "done"
    assert summary["intervals_fallback"] == summary["intervals_done"] == 3
    interval = read_table(out, "interval").to_pandas()
    assert interval.fallback.all()
    reasons = interval.fallback_reason.str
    assert reasons.startswith("limits in conflict: mv1.").all()
    assert reasons.endswith("misocp returned infeasible (PrimalInfeasible)").all()
    assert summary["certificate"]["exact"] == summary["certificate"]["feasible"] == 0
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    fallbacks = [event for event in log if event["event"] == "fallback"]
    assert [event["interval"] for event in fallbacks] == [0, 1, 2]
    assert fallbacks[0]["reasons"] == [f"mv1: {interval.fallback_reason[0]}"]

    schedule = read_table(out, "schedule").to_pandas()
    device = read_table(out, "device").to_pandas()
    pv = device[device.kind == "pv"]
    assert (pv.available_mw > 0.1).all()

    def plan(interval, step):
        rows = schedule[(schedule.interval == interval) & (schedule.step == step)]
        return rows[rows.element == "sgen"].p_mw.to_numpy()

    available = pv.available_mw.to_numpy().reshape(3, 2)
    delivered = pv.p_mw.to_numpy().reshape(3, 2)
    # runs free, also where the schedule that is held expected less
    assert (plan(0, 2) < available[2]).any()
    np.testing.assert_array_equal([plan(k, 0) for k in range(3)], available)
    np.testing.assert_array_equal([plan(k, 0) for k in range(3)], delivered)
    battery = schedule[schedule.element == "storage"]
    assert (battery.p_mw == 0.0).all()  # rests at half of 0.2 MWh
    assert (battery.e_mwh == 0.1).all()


def test_diverging_power_flow_names_grid_interval_and_bus(write_scenario, command, tmp_path):
    """Ten times the load of case33bw has no solution; bus 17 ends its longest branch."""
    out = tmp_path / "out"
    heavy = ["--set", "grids.mv1.loads.scale=10.0", "--quiet"]
    outcome = command("run", write_scenario(), "--out", out, *heavy)
    assert outcome.status == 1
    line = one_line(outcome)
    assert "interval 0 (2025-06-21 11:00): grid mv1: AC power flow diverged" in line
    assert "the worst bus is 17" in line
    summary = summary_of(out)
    assert summary["status"] == "interrupted"
    assert summary["intervals_done"] == 0
    assert [path.name for path in out.glob("*.parquet")] == ["network.parquet"]
    log = (out / "log.jsonl").read_text().splitlines()
    assert json.loads(log[-1]) == {"event": "interrupted", "intervals_done": 0}


def test_what_the_machine_refuses_is_said_in_one_line(command, monkeypatch):
    def refused(**options):
        raise PermissionError(13, "Permission denied", "/runs/private")

    monkeypatch.setattr(cli, "app", refused)
    outcome = command("report", "/runs/private")
    assert outcome.status == 1
    assert one_line(outcome) == "stackelgrid: /runs/private: Permission denied"


def test_failed_process_says_one_line(write_scenario, tmp_path):
    """Nothing that asyncio or mosaik leave behind reaches the console."""
    done = subprocess.run(
        [sys.executable, "-m", "stackelgrid", "run", str(write_scenario()), "--out",
         str(tmp_path / "out"), "--set", "grids.mv1.loads.scale=10.0", "--quiet"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_leaves_readable_parts(write_scenario, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "stackelgrid", "run", str(write_scenario("village")),
         "--out", str(out), "--set", "time.intervals=300", "--quiet"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60.0
        # an interval counts once all its parts are written: this part shows that two are done
        while not (out / "schedule" / "part-000002.parquet").exists():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert summary_of(out)["status"] == "running"
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        stdout, stderr = process.communicate(timeout=60)
        assert in_time(time.monotonic() - began, 10.0)
    finally:
        process.kill()
    assert process.returncode == 130
    assert stdout == ""
    told = f"stackelgrid: interrupted; stackelgrid run --resume {out} goes on"
    assert stderr.splitlines() == [told]
    summary = summary_of(out)
    assert summary["status"] == "interrupted"
    done = summary["intervals_done"]
    assert 2 <= done < 300
    assert sum(summary["timings"].values()) == pytest.approx(summary["wall_s"], rel=1e-6)
    buses = read_table(out, "bus").to_pandas()
    rows = buses.groupby("interval").size()
    assert set(rows.index) >= set(range(done))
    assert (rows == 8).all()
    assert [path.name for path in out.glob("*.parquet")] == ["network.parquet"]
    assert not list(out.glob("*/*.tmp"))
