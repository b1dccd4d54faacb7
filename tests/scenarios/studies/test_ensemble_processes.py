"""The verb `ensemble` with workers in processes of their own: some killed, some of a scheduler."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pandas as pd
import pytest
from distributed import Client
from support.children import running, wait_for
from support.ensemble_cases import (
    LEVEL_ONE,
    assert_same_tables,
    cell,
    in_threads,
    load_small,
    start,
    workers_of,
)

from stackelgrid.scenarios.studies.ensemble import Workers, run_ensemble
from stackelgrid.scenarios.studies.ensemble_design import ensemble_of

# two runs of each member
VARIANTS = ("scenario", "perfect")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, texts, village_json):
    """Directory of the ensemble of two members with errors, run by a thread."""
    folder = tmp_path_factory.mktemp("ensemble")
    shutil.copy(village_json, folder)
    path = folder / "village.toml"
    path.write_text(texts["village"], encoding="utf-8")
    loaded = load_small(path, "[1.0]", short=False)
    with pytest.MonkeyPatch.context() as patch, in_threads(patch):
        ensemble = ensemble_of(loaded, members=2)
        return run_ensemble(loaded, ensemble, folder / "out", Workers(count=1)).directory


@pytest.mark.parametrize("victims", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_workers_lose_no_member(victims, undisturbed, tmp_path):
    """One of two workers, or both, are killed at work: their members are run again and equal.

    What the killed ones had written of their members is removed.
    """
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    scratch.mkdir()
    options = (LEVEL_ONE, "--members", 2, "--workers", 2, "--out", out, "--quiet", "--no-report")
    process = start(undisturbed / "scenario.toml", *options, TMPDIR=str(scratch))
    try:
        wait_for(lambda: len(workers_of(process.pid)) == 2 and out.exists())
        wait_for(lambda: len(list((out / "ensemble").glob("*/*/*/member=*"))) > 0)
        wait_for(lambda: len(list(scratch.rglob("stackelgrid-member-*"))) == 2)
        killed = workers_of(process.pid)[:victims]
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        stdout, stderr = process.communicate(timeout=180)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    assert not [line for line in stderr.splitlines() if "resource_tracker" not in line]
    assert stdout.strip() == str(out)
    assert len(killed) == victims
    assert not list(scratch.rglob("stackelgrid-member-*"))
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["runs_done"], summary["runs_failed"]) == (4, 0)
    for member in range(2):
        for variant in VARIANTS:
            places = (1.0, member, variant)
            assert_same_tables(cell(out, *places), cell(undisturbed, *places))


HOLDS_A_WORKER = """
import time
from stackelgrid.scenarios.studies.cluster import local_workers
if __name__ == "__main__":
    with local_workers(1, None):
        print("there", flush=True)
        time.sleep(60.0)
"""


def test_workers_end_with_the_process_that_started_them(tmp_path):
    program = tmp_path / "holds_a_worker.py"
    program.write_text(HOLDS_A_WORKER)
    process = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "there\n"
        (worker,) = workers_of(process.pid)
    finally:
        process.kill()
        process.communicate()
    wait_for(lambda: not running(worker), 30.0)


@pytest.mark.slow
def test_a_killed_ensemble_goes_on(undisturbed, tmp_path):
    """Killed itself, then resumed without its scenario: what was done is not run again."""
    out = tmp_path / "out"
    scenario = undisturbed / "scenario.toml"
    process = start(scenario, LEVEL_ONE, "--members", 2, "--workers", 2, "--out", out)
    try:
        wait_for(lambda: len(list((out / "ensemble").glob("*/*/*/member=0"))) > 0)
        left = workers_of(process.pid)
        process.kill()
        process.communicate(timeout=60)
    finally:
        process.kill()
    wait_for(lambda: not any(running(pid) for pid in left), 30.0)
    before = {p: p.stat().st_mtime_ns for p in (out / "ensemble").glob("*/*/*/member=*/*")}
    assert 0 < len({p.parent for p in before}) < 4
    resumed = start("--resume", out, "--workers", 2)
    _, stderr = resumed.communicate(timeout=180)
    assert resumed.returncode == 0, stderr
    assert all(p.stat().st_mtime_ns == at for p, at in before.items())
    found, expected = (pd.read_parquet(d / "kpis.parquet") for d in (out, undisturbed))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and one worker as a user would start them, on loopback."""
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    options = ["--port", "0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, *options, "--scheduler-file", str(file)], stderr=subprocess.DEVNULL
    )
    children = [process]
    try:
        wait_for(lambda: file.exists() and file.read_text().endswith("}"), 60.0)
        address = json.loads(file.read_text())["address"]
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1"]
        scratch = ["--no-dashboard", "--local-directory", str(tmp_path / "scratch")]
        children.insert(0, subprocess.Popen([*worker, *scratch], stderr=subprocess.DEVNULL))
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
        yield address
    finally:
        for child in children:
            child.terminate()
            child.wait(timeout=30)


@pytest.mark.slow
def test_a_scheduler_of_the_user_runs_members(undisturbed, command, scheduler, tmp_path):
    out = tmp_path / "out"
    outcome = command(
        "ensemble", undisturbed / "scenario.toml", LEVEL_ONE, "--members", 1,
        "--cluster", scheduler, "--out", out,
    )  # fmt: skip
    assert outcome.status == 0, outcome.stderr
    for variant in VARIANTS:
        assert_same_tables(cell(out, 1.0, 0, variant), cell(undisturbed, 1.0, 0, variant))


@pytest.mark.slow
def test_twenty_days_survive_two_killed_workers(tmp_path):
    """20 members of 24 intervals: all there, each equal to its run in an undisturbed ensemble."""
    settings = (LEVEL_ONE, "--set=ensemble.sizes={}", "--set=ensemble.variants={}")
    options = (*settings, "--members", 20, "--workers", 2, "--quiet", "--out")
    calm, out = tmp_path / "calm", tmp_path / "out"
    undisturbed = start("forecast_error", *options, calm)
    _, stderr = undisturbed.communicate(timeout=1800)
    assert undisturbed.returncode == 0, stderr
    process = start("forecast_error", *options, out)
    killed = []
    try:
        for done in (5, 15):
            wait_for(lambda n=done: len(list((out / "ensemble").glob("*/*/*/*"))) >= n, 900.0)
            wait_for(lambda: len(workers_of(process.pid)) == 2)
            killed.append(workers_of(process.pid)[0])
            os.kill(killed[-1], signal.SIGKILL)
        _, stderr = process.communicate(timeout=1800)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    assert len(set(killed)) == 2
    for member in range(20):
        for variant in ("scenario", "perfect"):
            assert_same_tables(cell(out, 1.0, member, variant), cell(calm, 1.0, member, variant))
