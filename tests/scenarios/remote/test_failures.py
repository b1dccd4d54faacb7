"""Runs that lose a simulator: they end at once, name it and leave no process.

Their controller plans nothing. They run in the process of the test; one that is killed itself uses
the real command.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import pytest
from support.children import children_of, running, wait_for
from support.faulty_simulator import FaultySimulator
from support.machine import in_time
from support.remote_cases import FAULTY, answering, own

DEADLINE_S = 2.0
# s beyond a deadline within which a run must have ended, on a busy machine
SLACK_S = 8.0


class Watched:
    """Children of a process while a block runs; `act` is called with them until it returns True."""

    def __init__(self, pid, act):
        self._pid, self._act = pid, act
        self._before = set(children_of(pid))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.children, self.acted_at = set(), None

    def _look(self):
        while not self._over.wait(0.05):
            self.children |= set(children_of(self._pid)) - self._before
            if self.acted_at is None and self._act(self.children):
                self.acted_at = time.monotonic()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self.ended_at = time.monotonic()
        self._over.set()
        self._thread.join()


def check_message(status, console, words):
    assert status == 1, console
    (line,) = [line for line in console.splitlines() if line.startswith("stackelgrid: ")]
    assert line == f"stackelgrid: {words}"
    assert "Traceback" not in console


@dataclass(frozen=True)
class Ended:
    """How a run ended: status, what it printed, s since the act, the processes it had started."""

    status: int
    console: str
    took: float
    children: set

    def check(self, words):
        """It failed with one line that names the simulator, and no process is left."""
        check_message(self.status, self.console, words)
        self.check_nothing_left()

    def check_nothing_left(self):
        assert self.children
        wait_for(lambda: not any(running(pid) for pid in self.children), 3.0)


@pytest.fixture
def run_here(command, tmp_path):
    """Run a scenario in this process; `act` is called meanwhile, in a thread."""

    def call(path, act):
        with Watched(os.getpid(), act) as seen:
            outcome = command("run", path, "--out", tmp_path / "out")
        took = seen.ended_at - seen.acted_at
        return Ended(outcome.status, outcome.stderr, took, seen.children)

    return call


@pytest.fixture
def run_command(tmp_path):
    """Run a scenario by the real command; `act` is called meanwhile with its process."""

    def call(path, act):
        program = [sys.executable, "-m", "stackelgrid", "run", "--no-report"]
        process = subprocess.Popen(
            [*program, path, "--out", tmp_path / "out"], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, cwd=path.parent,
        )  # fmt: skip
        try:
            with Watched(process.pid, lambda children: act(process, children)) as seen:
                _, console = process.communicate(timeout=150)
        finally:
            process.kill()
            process.communicate()
        return Ended(process.returncode, console, seen.ended_at - seen.acted_at, seen.children)

    return call


def check_interrupted(out, intervals_done):
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["status"] == "interrupted"
    assert summary["intervals_done"] == intervals_done


@pytest.mark.parametrize(
    ("fault", "words", "done"),
    [
        ("exception", "ValueError: the oil of the transformer is hot", 1),
        ("text", "loss_mw of lv1 is 'much'; a finite number is accepted", 0),
        ("hole", "gave no bus_vm_pu of lv1", 0),
    ],
)
def test_a_simulator_that_fails_or_answers_nonsense_is_named(
    command, remote_path, tmp_path, fault, words, done
):
    """It is a thread here, to which the run connects."""
    out = tmp_path / "out"
    with answering(lambda: FaultySimulator(fault, 900.0)) as address:
        path = remote_path(own("west", "lv1", connect=address), controller="Quick")
        outcome = command("run", path, "--out", out)
    check_message(outcome.status, outcome.stderr, f"simulator west: {words}")
    check_interrupted(out, done)


def test_a_simulator_that_stalls_ends_the_run_at_its_deadline(run_here, remote_path, tmp_path):
    path = remote_path(
        own("west", "lv1", command="faulty"),
        commands={"faulty": [*FAULTY, "stall", "900"]},
        step_deadline_s=DEADLINE_S,
        controller="Quick",
    )
    out = tmp_path / "out"
    ended = run_here(path, lambda children: (out / "interval").exists())  # the first of two
    assert in_time(ended.took, DEADLINE_S + SLACK_S)
    ended.check("simulator west: no answer to 'step' within its deadline of 2 s")
    check_interrupted(out, 1)


def test_a_simulator_that_is_killed_while_stepping_ends_the_run_and_its_other_processes(
    run_here, remote_path, tmp_path
):
    path = remote_path(
        own("west", "lv1", command="faulty"),
        own("east", "lv2"),
        commands={"faulty": [*FAULTY, "kill", "900"]},
        step_deadline_s=DEADLINE_S,
        controller="Quick",
    )
    out = tmp_path / "out"
    ended = run_here(path, lambda children: (out / "interval").exists())
    assert in_time(ended.took, DEADLINE_S + SLACK_S)
    assert len(ended.children) == 2
    ended.check("simulator west: its process was ended by SIGKILL")
    check_interrupted(out, 1)


def test_a_simulator_killed_while_idle_ends_the_run_at_once(run_here, remote_path, tmp_path):
    def kill(children):
        if not (tmp_path / "deciding").exists():
            return False
        (simulator,) = children
        os.kill(simulator, signal.SIGKILL)
        return True

    ended = run_here(remote_path(own("west", "lv1"), controller="Slow"), kill)
    assert in_time(ended.took, DEADLINE_S + SLACK_S)  # the controller would have taken 40 s
    ended.check("simulator west: its process was ended by SIGKILL")
    check_interrupted(tmp_path / "out", 1)


def test_a_process_that_does_not_start_in_time_ends_the_run_before_it_began(
    run_here, remote_path, tmp_path
):
    def stop(children):
        for simulator in children:
            os.kill(simulator, signal.SIGSTOP)
        return len(children) == 1

    ended = run_here(remote_path(own("west", "lv1"), start_deadline_s=DEADLINE_S), stop)
    assert ended.status == 1
    assert in_time(ended.took, DEADLINE_S + SLACK_S)
    *building, last = ended.console.splitlines()
    assert all(line.startswith("building ") for line in building)
    assert last == "stackelgrid: simulator west: no answer to 'init' within its deadline of 2 s"
    assert not (tmp_path / "out").exists()
    ended.check_nothing_left()


def test_a_run_that_is_killed_leaves_no_process(run_command, remote_path, tmp_path):
    path = remote_path(
        own("west", "lv1", command="faulty"),
        own("east", "lv2"),
        commands={"faulty": [*FAULTY, "stall", "900"]},
        step_deadline_s=60.0,
        controller="Quick",
    )

    def kill(process, children):
        if not (tmp_path / "out" / "interval").exists():
            return False
        time.sleep(0.5)  # one simulator stalls in a step, the other one waits
        process.send_signal(signal.SIGKILL)
        return True

    ended = run_command(path, kill)
    assert ended.status == -signal.SIGKILL
    assert len(ended.children) >= 2  # a library may start another one for a moment
    ended.check_nothing_left()


def test_control_c_leaves_no_process(run_here, remote_path, tmp_path):
    def interrupt(children):
        if not (tmp_path / "deciding").exists():
            return False
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return True

    path = remote_path(own("west", "lv1"), {"name": "minds", "agents": True}, controller="Slow")
    ended = run_here(path, interrupt)
    assert ended.status == 130, ended.console
    assert "stackelgrid: interrupted" in ended.console
    said = "controller Slow has no methods state and restore: an interrupted run begins again"
    assert said in ended.console
    assert in_time(ended.took, SLACK_S)
    assert len(ended.children) == 2
    ended.check_nothing_left()
