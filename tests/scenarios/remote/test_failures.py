"""Runs that lose a simulator: they end at once, name it and leave no process.

Their controller plans nothing. They run in the process of the test; one that is killed itself uses
the real command.
"""

import os
import signal
import time

import pytest
from support.faulty_simulator import FaultySimulator
from support.machine import in_time
from support.remote_cases import FAULTY, answering, own
from support.watched import (
    SLACK_S,
    check_interrupted,
    check_message,
    interrupt_main_thread,
    kill_only,
    while_deciding,
)

DEADLINE_S = 2.0


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
    path = remote_path(own("west", "lv1"), controller="Slow")
    ended = run_here(path, while_deciding(tmp_path, kill_only))
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
    path = remote_path(own("west", "lv1"), {"name": "minds", "agents": True}, controller="Slow")
    ended = run_here(path, while_deciding(tmp_path, interrupt_main_thread))
    assert ended.status == 130, ended.console
    assert "stackelgrid: interrupted" in ended.console
    said = "controller Slow has no methods state and restore: an interrupted run begins again"
    assert said in ended.console
    assert in_time(ended.took, SLACK_S)
    assert len(ended.children) == 2
    ended.check_nothing_left()
