"""A run that is interrupted anywhere and resumed is the run without interruption, bit for bit."""

import errno
import hashlib
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import msgspec
import pytest
from support.resume_cases import (
    CASES,
    command_line,
    differences,
    run_and_kill,
    without_times,
    write_case,
)

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run import directory as directory_module
from stackelgrid.scenarios.run import networks as networks_module
from stackelgrid.scenarios.run import run as run_module
from stackelgrid.scenarios.run.directory import locked
from stackelgrid.scenarios.run.resume import resumable, resume_run
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.run.state import load_state, read_header
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.simulators.results import manifest as manifest_module
from stackelgrid.simulators.results import tables as tables_module
from stackelgrid.simulators.results import whole_file as whole_file_module
from stackelgrid.simulators.results.tables import SCHEMAS, TableWriter


def summary_of(directory):
    return json.loads((directory / "summary.json").read_text(encoding="utf-8"))


def assert_same_run(whole, resumed):
    assert differences(whole, resumed) == []
    assert without_times(summary_of(whole)) == without_times(summary_of(resumed))
    assert sorted(p.name for p in whole.iterdir()) == sorted(p.name for p in resumed.iterdir())
    assert not (resumed / "state.bin").exists()


KILLED = {"trade": 3, "lossy": 4, "three_levels": 3, "homes": 3}


def whole_and_begun(case, folder, texts, village_json, intervals):
    """Run a case; its directory, and copies of it as they were after each interval."""
    path, overrides = write_case(case, folder, village_json, intervals)
    whole = folder / "whole"
    result = run_scenario(
        load_scenario(str(path), overrides),
        whole,
        lambda told: shutil.copytree(whole, folder / f"at{told.intervals_done}"),
    )
    return whole, [folder / f"at{k}" for k in range(1, result.summary["intervals_done"] + 1)]


def check_resumed(whole, again, at):
    assert read_header(again).interval == at
    summary = resume_run(resumable(again)).summary
    assert_same_run(whole, again)
    assert sum(summary["timings"].values()) == pytest.approx(summary["wall_s"], rel=1e-6)
    log = [json.loads(line) for line in (again / "log.jsonl").read_text().splitlines()]
    assert [e["interval"] for e in log if e["event"] == "resume"] == [at]
    # what was solved before and after: no interval twice, none left out
    solved = [(e["interval"], e["grid"]) for e in log if e["event"] == "solve"]
    assert len(solved) == len(set(solved)) > 0


@pytest.mark.parametrize("case", ["top_down", "every_second", "day_ahead", "busy", "homes"])
def test_resumed_after_one_interval(case, tmp_path, texts, village_json):
    whole, begun = whole_and_begun(case, tmp_path, texts, village_json, intervals=2)
    check_resumed(whole, begun[0], 1)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_resumed_from_every_interval(case, tmp_path, texts, village_json):
    whole, begun = whole_and_begun(case, tmp_path, texts, village_json, intervals=3)
    assert len(begun) >= 3
    # after the last interval only the end is left, which is the same for all
    for at in range(1, len(begun) + (case == "day_ahead")):
        check_resumed(whole, begun[at - 1], at)


def test_messages_are_under_way_when_a_state_is_saved(tmp_path, texts, village_json):
    """The cases by messages resume in the midst of things, else they would prove little."""
    path, overrides = write_case("busy", tmp_path, village_json)
    out, seen = tmp_path / "out", []

    def look(told):
        links = load_state(out, read_header(out)).controller.shared["links"]
        seen.append(sum(len(link["_under_way"]) for link in links.values()))

    run_scenario(load_scenario(str(path), overrides), out, look)
    assert max(seen) > 0


@pytest.fixture(scope="module")
def feeder_run(texts, tmp_path_factory):
    """Scenario, whole run, and the run as it was after its first interval of three."""
    folder = tmp_path_factory.mktemp("feeder")
    path, whole, begun = folder / "scenario.toml", folder / "whole", folder / "begun"
    path.write_text(texts["feeder"].replace("intervals = 2", "intervals = 3"), encoding="utf-8")

    def copy(told):
        if told.intervals_done == 1:
            shutil.copytree(whole, begun)

    run_scenario(load_scenario(str(path)), whole, copy)
    return path, whole, begun


@pytest.fixture
def feeder(feeder_run, tmp_path):
    """An interrupted run of the small feeder, after its first interval of three."""
    path, whole, begun = feeder_run
    out = tmp_path / "out"
    shutil.copytree(begun, out)
    return path, whole, out


def test_command_resumes_without_the_scenario(feeder, command, tmp_path):
    path, whole, out = feeder
    elsewhere = path.rename(tmp_path / "moved.toml")
    try:
        assert command("run", "--resume", out).status == 0
    finally:
        elsewhere.rename(path)
    assert_same_run(whole, out)
    again = command("run", "--resume", out)
    assert again.status == 0
    assert "is finished: nothing is left to do" in again.stderr
    assert_same_run(whole, out)


def test_what_came_after_the_state_is_removed(feeder, command):
    """A crash in the second interval: some of its parts are there, one is half written."""
    _, whole, out = feeder
    parts = sorted((out / "bus").iterdir())
    shutil.copy(parts[0], out / "bus" / "part-000001.parquet")
    (out / "branch" / "part-000001.tmp").write_bytes(b"half a part")
    (out / "state.bin.tmp").write_bytes(b"half a state")
    with (out / "log.jsonl").open("a") as log:
        log.write('{"event": "warn')
    assert command("run", "--resume", out).status == 0
    assert_same_run(whole, out)
    for line in (out / "log.jsonl").read_text().splitlines():
        json.loads(line)


def test_crash_before_the_first_state_begins_again(feeder, command):
    path, whole, out = feeder
    (out / "state.bin").unlink()
    (out / "summary.json").unlink()  # which would tell the folder of the scenario
    outcome = command("run", path, "--resume", out)
    assert outcome.status == 0
    assert "holds no saved state: the run begins again" in outcome.stderr
    assert_same_run(whole, out)


def test_interrupted_merge_is_finished(feeder, monkeypatch, command, tmp_path):
    """Some tables are merged, of one the parts are half removed, the others are parts."""
    path, whole, _ = feeder
    out = tmp_path / "merging"
    run_scenario(
        load_scenario(str(path)), tmp_path / "other",
        lambda told: shutil.copytree(tmp_path / "other", out, dirs_exist_ok=True),
    )  # fmt: skip
    with monkeypatch.context() as patch:
        first = ("interval", "bus")
        patch.setattr(tables_module, "SCHEMAS", {name: SCHEMAS[name] for name in first})
        TableWriter(out).merge()
    (out / "bus").mkdir()
    (out / "bus" / "part-000002.parquet").write_bytes(b"left over")
    assert command("run", "--resume", out).status == 0
    assert_same_run(whole, out)


@pytest.mark.parametrize("what", ["state", "table"])
def test_full_disk_leaves_a_resumable_run(what, feeder, monkeypatch, command, tmp_path):
    path, whole, _ = feeder
    out = tmp_path / "full"
    module, name = (
        (run_module, "save_state") if what == "state" else (tables_module.pq, "write_table")
    )
    real, calls = getattr(module, name), []

    def full(*arguments, **options):
        calls.append(arguments)
        if len(calls) > 1 if what == "state" else "000001" in str(arguments[1]):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, full)
        outcome = command("run", path, "--out", out)
    assert outcome.status == 1
    assert outcome.stderr.splitlines()[-1] == (
        f"stackelgrid: {out}: cannot be written (No space left on device)"
    )
    assert summary_of(out)["status"] == "interrupted"
    assert command("run", "--resume", out).status == 0
    assert_same_run(whole, out)


def test_disk_that_is_still_full_leaves_the_run_resumable(feeder, monkeypatch, command):
    _, whole, out = feeder

    def full(*arguments, **fields):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(run_module.RunLog, "event", full)
        outcome = command("run", "--resume", out)
    assert outcome.status == 1
    assert outcome.stderr.splitlines()[-1] == (
        f"stackelgrid: {out}: cannot be written (No space left on device)"
    )
    assert command("run", "--resume", out).status == 0
    assert_same_run(whole, out)


@pytest.mark.parametrize("other", ["runs", "has ended"])
def test_run_that_another_has_overtaken_overwrites_nothing(
    other, write_scenario, monkeypatch, tmp_path
):
    """While a scenario is built another run begins in its directory."""
    out = tmp_path / "out"
    lock = locked(out)
    build = run_module.build_scenario

    def overtaken(loaded, *arguments):
        out.mkdir()
        (out / "scenario.toml").write_text("the other's")
        if other == "runs":
            lock.__enter__()
        return build(loaded, *arguments)

    monkeypatch.setattr(run_module, "build_scenario", overtaken)
    words = "another process is running it" if other == "runs" else "is not empty"
    try:
        with pytest.raises(ScenarioError, match=words):
            run_scenario(load_scenario(str(write_scenario())), out)
    finally:
        if other == "runs":
            lock.__exit__(None, None, None)
    assert [p.name for p in out.iterdir()] == ["scenario.toml"]
    assert (out / "scenario.toml").read_text() == "the other's"


def test_run_killed_between_its_last_summary_and_its_state_is_finished(
    feeder, monkeypatch, command
):
    _, whole, out = feeder

    def killed(directory):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "remove_state", killed)
        assert command("run", "--resume", out).status == 130
    assert summary_of(out)["status"] == "done"
    assert (out / "state.bin").exists()
    outcome = command("run", "--resume", out)
    assert outcome.status == 0
    assert "is finished: nothing is left to do" in outcome.stderr
    assert_same_run(whole, out)


def test_what_a_resumed_run_needs_is_on_the_disk_before_it_counts(
    write_scenario, monkeypatch, tmp_path
):
    """A loss of power keeps what was synced before it was renamed, or replaced something."""
    done = []

    def noting(kind, real):
        def call(path, *arguments, **options):
            done.append((kind, os.path.basename(path)))
            return real(path, *arguments, **options)

        return call

    modules = (directory_module, networks_module, tables_module, whole_file_module, manifest_module)
    for module in modules:
        monkeypatch.setattr(module, "sync", noting("sync", module.sync))
    monkeypatch.setattr(type(tmp_path), "rename", noting("rename", type(tmp_path).rename))
    monkeypatch.setattr(shutil, "rmtree", noting("remove", shutil.rmtree))
    monkeypatch.setattr(run_module, "remove_state", noting("remove", run_module.remove_state))
    result = run_scenario(load_scenario(str(write_scenario())), tmp_path / "out")
    assert result.summary["status"] == "done"
    files = ("scenario.toml", "mv1.json", "network.parquet", *(f"{t}.parquet" for t in SCHEMAS))
    for name in (f"{file}.tmp" for file in files):
        at = done.index(("rename", name))
        assert done[at - 1] == ("sync", name)
        assert ("sync", "out" if name != "mv1.json.tmp" else "grids") in done[at:]
    for table in ("bus", "interval"):
        at = done.index(("remove", table))
        assert done[at - 2 : at] == [("rename", f"{table}.parquet.tmp"), ("sync", "out")]
        # a whole is listed before it takes the place of its parts
        listed = [("sync", "manifest.jsonl"), ("sync", f"{table}.parquet.tmp")]
        assert done[at - 4 : at - 2] == listed
    last = ["sync", "rename", "sync", "remove"]
    names = ["summary.json.tmp", "summary.json.tmp", "out", "out"]
    assert done[-4:] == list(zip(last, names, strict=True))
    # the summary of every interval costs no sync
    assert done.count(("rename", "summary.json.tmp")) == 4
    assert done.count(("sync", "summary.json.tmp")) == 1


def test_summary_that_a_loss_of_power_has_emptied_is_no_obstacle(feeder, command):
    _, whole, out = feeder
    (out / "summary.json").write_bytes(b"")
    assert command("run", "--resume", out).status == 0
    assert_same_run(whole, out)
    (out / "summary.json").write_bytes(b"")
    assert "summary.json: is not JSON" in refused(command, "--resume", out)


FORGETFUL = """
from stackelgrid.controllers.decision import Decision

class Forgetful:
    def __init__(self, system, settings):
        pass

    def decide(self, interval, measured):
        return Decision({}, 1)
"""


def test_controller_without_a_state_begins_again(write_scenario, command, tmp_path):
    (tmp_path / "forgetful.py").write_text(FORGETFUL)
    path = write_scenario(change=lambda data: data.update(controller="forgetful:Forgetful"))
    whole, out = tmp_path / "whole", tmp_path / "out"
    told = command("run", path, "--out", whole).stderr
    assert "controller Forgetful has no methods state and restore" in told

    def stop(told):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scenario(load_scenario(str(path)), out, stop)
    assert not (out / "state.bin").exists()
    sys.modules.pop("forgetful")  # as in a new process, which finds it beside the scenario only
    outcome = command("run", "--resume", out)
    assert outcome.status == 0, outcome.stderr
    assert "the run begins again" in outcome.stderr
    assert_same_run(whole, out)


UNUSUAL = """
from collections import deque
from stackelgrid.controllers.decision import Decision

class Unusual:
    def __init__(self, system, settings):
        self.decided = 0

    def decide(self, interval, measured):
        self.decided += 1
        return Decision({}, 1)

    def state(self):
        return STATES[self.decided]

    def restore(self, state):
        self.decided = state

STATES = {
    1: FIRST,
    2: (lambda: 2),
}
"""


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("deque([1])", r"collections\.deque is not plain data\): an interrupted run begins again"),
        ("1", r"lambda.*\): an interrupted run goes on with interval 1"),
    ],
)
def test_state_that_could_not_be_read_back_is_told_and_the_run_goes_on(
    first, words, write_scenario, tmp_path, monkeypatch
):
    (tmp_path / "unusual.py").write_text(UNUSUAL.replace("FIRST", first))
    monkeypatch.delitem(sys.modules, "unusual", raising=False)
    path = write_scenario(change=lambda data: data.update(controller="unusual:Unusual"))
    said, saved, out = [], [], tmp_path / "out"
    result = run_scenario(
        load_scenario(str(path)), out, lambda told: saved.append(read_header(out)), said.append
    )
    assert result.summary["intervals_done"] == 2
    (line,) = [line for line in said if "its state cannot be saved" in line]
    assert re.search(f"controller unusual:Unusual: .*{words}$", line)
    found = [None if header is None else header.interval for header in saved]
    assert found == ([1, 1] if first == "1" else [None, None])


def refused(command, *arguments):
    outcome = command("run", *arguments)
    assert outcome.status == 2
    (line,) = outcome.stderr.splitlines()
    return line


def test_other_scenario_is_refused_by_key(feeder, command):
    path, _, out = feeder
    line = refused(command, path, "--resume", out, "--set", "grids.mv1.vm_max_pu=1.05")
    assert "grids.mv1.vm_max_pu is 1.1 in the saved run and 1.05 asked for" in line
    text = (out / "scenario.toml").read_text(encoding="utf-8")
    (out / "scenario.toml").write_text(text.replace("seed = 3", "seed = 4"), encoding="utf-8")
    assert "seed is 3 in the saved run and 4 in scenario.toml" in refused(command, "--resume", out)


def test_other_version_is_refused(feeder, command):
    _, _, out = feeder
    header, _, payload = (out / "state.bin").read_bytes().partition(b"\n")
    told = json.loads(header) | {"version": "0.0.1"}
    (out / "state.bin").write_bytes(json.dumps(told).encode() + b"\n" + payload)
    assert "was saved by version 0.0.1" in refused(command, "--resume", out)


def test_changed_file_of_the_scenario_is_refused(write_scenario, command, tmp_path):
    path, out = write_scenario("villages"), tmp_path / "out"

    def stop(told):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scenario(load_scenario(str(path)), out, stop)
    assert summary_of(out)["status"] == "interrupted"
    net = tmp_path / "village.json"
    net.write_text(net.read_text() + " ")
    assert f"{net} has changed since the run was saved" in refused(command, "--resume", out)


def test_damaged_state_is_refused(feeder, command):
    _, _, out = feeder
    content = (out / "state.bin").read_bytes()
    (out / "state.bin").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "state.bin: is damaged" in refused(command, "--resume", out)


def test_what_is_no_run_is_refused(command, tmp_path):
    assert "is not a run" in refused(command, "--resume", tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no run")
    assert "is not a run" in refused(command, "--resume", tmp_path)
    assert "SCENARIO is missing" in refused(command)
    line = refused(command, "quick", "--out", tmp_path / "a", "--resume", tmp_path)
    assert "--out and --resume: one of them is accepted" in line


def test_run_that_another_process_is_at_is_refused(feeder, command):
    _, _, out = feeder
    with locked(out):
        assert "another process is running it" in refused(command, "--resume", out)


def test_state_holds_plain_data_only(feeder):
    """A state that names anything else is not read, whoever has written it."""
    _, _, out = feeder
    header, _, _ = (out / "state.bin").read_bytes().partition(b"\n")
    for payload, words in (
        (msgspec.msgpack.encode(["subprocess:Popen", [["true"]]]), "is not plain data"),
        (msgspec.msgpack.encode(["dict", []]), "is not the state of a run"),
        (pickle.dumps(subprocess.Popen), "not a state"),
    ):
        told = json.loads(header) | {"digest": hashlib.sha256(payload).hexdigest()}
        (out / "state.bin").write_bytes(json.dumps(told).encode() + b"\n" + payload)
        with pytest.raises(StackelgridError, match=words):
            load_state(out, read_header(out))


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
@pytest.mark.parametrize(
    ("case", "wanted"),
    [("village", 2), *(pytest.param(*case, marks=pytest.mark.slow) for case in KILLED.items())],
)
def test_killed_at_random_moments(case, wanted, tmp_path, texts, village_json):
    """One kill of each run comes while it starts, the others among and after its states."""
    intervals = 24 if case == "village" else min(6, 2 * wanted)  # of a twentieth of a second
    path, overrides = write_case(case, tmp_path, village_json, intervals)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    summary = run_scenario(load_scenario(str(path), overrides), whole).summary
    chance = random.Random(case)
    kills = run_and_kill(path, overrides, killed, wanted, summary, chance, spare=1)
    assert kills.all == wanted
    assert kills.with_state >= wanted - 1
    assert_same_run(whole, killed)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGTERM")
def test_sigterm_leaves_a_resumable_run(write_scenario, tmp_path):
    path, out = write_scenario("village"), tmp_path / "terminated"
    many = ["time.intervals=400"]
    process = subprocess.Popen(
        [*command_line(path, many, out), "--quiet"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        deadline = time.monotonic() + 60.0
        while not (out / "state.bin").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 143
    assert stderr == f"stackelgrid: interrupted; stackelgrid run --resume {out} goes on\n"
    assert summary_of(out)["status"] == "interrupted"
    assert resumable(out).header.interval >= 1
