"""Users' simulators in whole runs: started in every way, failing in every way."""

import os
import shutil
import signal
import sys

import numpy as np
import pandapower as pp
import pytest
from support.children import children_of
from support.machine import in_time
from support.paths import SUPPORT
from support.remote_cases import answering
from support.watched import (
    SLACK_S,
    check_interrupted,
    check_message,
    interrupt_main_thread,
    kill_only,
    while_deciding,
)

from stackelgrid.scenarios.household import Household

DEADLINE_S = 2.0
PAUSE_S = 0.3  # before the fault, so that the first interval is seen
HOMES = {"grid": "lv1", "model": "House", "count": 3, "parameters": {"base_kw": 0.4}}


@pytest.fixture
def homes_path(write_scenario, tmp_path, monkeypatch):
    """Write the village with three households, whose simulator is started as the keys say."""
    monkeypatch.delitem(sys.modules, "users_controller", raising=False)  # of another test's folder
    shutil.copy(SUPPORT / "slow_controller.py", tmp_path / "users_controller.py")

    def write(controller="Quick", entities=HOMES, **keys):
        def change(data):
            data["controller"] = f"users_controller:{controller}"
            data["simulators"] = [
                {"name": "homes", **keys, "entities": [{"p": "P[kW]", **entities}]}
            ]

        return write_scenario("village", change)

    return write


@pytest.fixture
def oven_path(homes_path):
    """Write the village with an oven that fails in the second interval, or at the start."""

    def write(fault, **keys):
        shutil.copy(SUPPORT / "user_simulators.py", homes_path().parent)
        entities = {"grid": "lv1", "model": "Device", "count": 1, "p": "P"}
        return homes_path(
            python="user_simulators:Failing", entities=entities, step_deadline_s=DEADLINE_S,
            parameters={"fault": fault, "pause_s": PAUSE_S}, **keys,
        )  # fmt: skip

    return write


def household_kw(intervals, step_s):
    """Mean powers by interval of three households, simulated here."""
    simulator = Household()
    simulator.init("homes", step_s=step_s)
    ids = [e["eid"] for e in simulator.create(3, "House", base_kw=0.4)]
    steps = []
    for second in range(0, 900 * intervals, step_s):
        simulator.step(second, {}, second)
        data = simulator.get_data({eid: ["P[kW]"] for eid in ids})
        steps.append([data[eid]["P[kW]"] for eid in ids])
    return np.array(steps).reshape(intervals, -1, 3).mean(axis=1)


def external_mw(run):
    rows = run.tables["device"]
    own = rows[rows["kind"] == "external"].sort_values(["interval", "index"])
    return own["p_mw"].to_numpy().reshape(2, 3)


def test_a_class_a_program_and_a_waiting_simulator_give_the_same_power(homes_path, run_of):
    expected = household_kw(2, 300) / 1000.0
    by_class = external_mw(run_of(homes_path(python="stackelgrid.scenarios.household:Household")))
    assert by_class == pytest.approx(expected, rel=1e-14)
    program = ["%(python)s", "-m", "stackelgrid.scenarios.household", "%(addr)s"]
    assert external_mw(run_of(homes_path(command=program))).tolist() == by_class.tolist()
    with answering(Household) as address:
        assert external_mw(run_of(homes_path(connect=address))).tolist() == by_class.tolist()
    assert children_of(os.getpid(), "household") == []


def test_losses_of_a_street_of_entities_alone_are_relative_to_their_power(homes_path, run_of):
    """In the first interval nothing is known of them, and they are relative to PV and battery."""
    path = homes_path(
        python="stackelgrid.scenarios.household:Household",
        entities={"grid": "lv1", "model": "House", "buses": [3, 5, 7]},
    )
    net = pp.from_json(str(path.parent / "village.json"))
    net.load = net.load.iloc[:0]
    pp.to_json(net, str(path.parent / "village.json"))
    run = run_of(
        path, "controller=bottom_up", "grids.lv1.pv=[{buses=[6],p_mw=0.004}]",
        "grids.lv1.batteries=[{buses=[4],p_mw=0.004,e_mwh=0.008}]",
    )  # fmt: skip
    own = run.tables["interval"]
    assert (own["load_p_mw"] == 0.0).all()
    assert own["verdict"].tolist() == ["exact", "exact"]
    assert own["fictitious_loss_share"].iloc[1] == pytest.approx(
        own["fictitious_loss_mw"].iloc[1] / own["external_p_mw"].iloc[0], rel=1e-9
    )


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("slow", "no answer to 'step' within its deadline of 2 s (step at 2025-06-21 11:15:00)"),
        ("nan", "P of d0 is nan at 2025-06-21 11:15:00; a finite number is accepted"),
        pytest.param(
            "back",
            "step returned 0 as the time of the next step, not later than 900, the present one, "
            "at 2025-06-21 11:15:00; a time from 901 on is accepted",
            marks=pytest.mark.slow,  # as fast as NaN, and tests/simulators/external has it
        ),
        ("kill", "its process was ended by SIGKILL (step at 2025-06-21 11:15:00)"),
    ],
)
def test_a_run_with_a_simulator_that_fails_ends(run_here, oven_path, tmp_path, fault, words):
    ended = run_here(oven_path(fault), lambda children: (tmp_path / "out" / "interval").exists())
    assert in_time(ended.took, DEADLINE_S + SLACK_S)
    ended.check(f"simulator homes: {words}")
    check_interrupted(tmp_path / "out", 1)


def test_a_simulator_killed_while_the_controller_decides_ends_the_run(
    run_here, homes_path, tmp_path
):
    path = homes_path("Slow", python="stackelgrid.scenarios.household:Household")
    ended = run_here(path, while_deciding(tmp_path, kill_only))
    assert in_time(ended.took, DEADLINE_S + SLACK_S)  # the controller would have taken 40 s
    ended.check("simulator homes: its process was ended by SIGKILL")
    check_interrupted(tmp_path / "out", 1)


def test_control_c_leaves_no_user_process(run_here, homes_path, tmp_path):
    path = homes_path("Slow", python="stackelgrid.scenarios.household:Household")
    ended = run_here(path, while_deciding(tmp_path, interrupt_main_thread))
    assert ended.status == 130, ended.console
    assert in_time(ended.took, SLACK_S)
    ended.check_nothing_left()


def test_a_simulator_has_its_deadline_to_finalize(command, oven_path, tmp_path):
    path = oven_path("write")
    outcome = command("run", path, "--set", "baseline=false", "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    assert "simulator homes" not in outcome.stderr
    assert (path.parent / "written.txt").exists()


def test_a_simulator_that_fails_to_finalize_is_reported(command, oven_path, tmp_path):
    path = oven_path("disk")
    outcome = command("run", path, "--set", "baseline=false", "--out", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    words = "simulator homes: its process ended with exit status 1: OSError: the disk is full"
    assert f"{words}; its own results may be incomplete" in outcome.stderr


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_user_process(run_command, oven_path, tmp_path):
    def kill(process, children):
        if not (tmp_path / "out" / "interval").exists():
            return False
        process.send_signal(signal.SIGKILL)
        return True

    ended = run_command(oven_path("slow", start_deadline_s=60.0), kill)
    assert ended.status == -signal.SIGKILL
    ended.check_nothing_left()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"python": "nowhere:Household"},
            "its process ended with exit status 2: nowhere:Household cannot be loaded "
            "(ModuleNotFoundError: No module named 'nowhere')",
        ),
        (
            {
                "python": "stackelgrid.scenarios.household:Household",
                "entities": {**HOMES, "model": "Home"},
            },
            "model 'Home' is unknown; accepted: House",
        ),
    ],
)
def test_a_simulator_that_cannot_be_used_is_bad_input(command, homes_path, tmp_path, keys, words):
    path = homes_path(**keys)
    for verb in (("run", path, "--out", tmp_path / "out"), ("validate", path)):
        outcome = command(*verb)
        assert outcome.status == 2
        assert outcome.stderr.splitlines()[-1] == f"stackelgrid: simulator homes: {words}"
    assert not (tmp_path / "out").exists()


def test_a_late_start_is_named(command, homes_path, tmp_path):
    program = ["%(python)s", "-c", "import time; time.sleep(60.0)", "%(addr)s"]
    path = homes_path(command=program, start_deadline_s=0.5)
    outcome = command("run", path, "--out", tmp_path / "out")
    check_message(
        outcome.status, outcome.stderr,
        "simulator homes: simulators.homes.command has not connected within its deadline of 0.5 s",
    )  # fmt: skip
