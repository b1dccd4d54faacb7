"""Streets with homes of every kind below one feeder: schemes, messages, processes, comparisons."""

import json

import pytest
from support.balances import largest_errors
from support.remote_cases import own
from support.resume_cases import differences
from support.scenario_texts import write_extending
from support.trade_checks import assert_balanced

from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario

COPIES = {"lv1": 7, "lv2": 5, "lv3": 4}
LINKS = """
[communication]
gate_s = 600.0
quality = "lossy"
[communication.qualities.lossy]
latency_s = 2.0
jitter_s = 2.0
loss = 0.1
duplication = 0.1
"""
ONE = "time.intervals=1"
BY_MESSAGES = ("coordination=ldd_admm", ONE)


def written(folder, village_json, text=""):
    (folder / "village.json").write_bytes(village_json.read_bytes())
    return write_extending(folder, "winter_streets", text)


@pytest.fixture(scope="module")
def path(tmp_path_factory, village_json):
    return written(tmp_path_factory.mktemp("streets"), village_json)


@pytest.fixture(scope="module")
def linked(tmp_path_factory, village_json):
    return written(tmp_path_factory.mktemp("linked"), village_json, LINKS)


@pytest.fixture(scope="module")
def central(run_of, path):
    return run_of(path, "controller=bottom_up", ONE)


@pytest.fixture(scope="module")
def negotiated(run_of, linked):
    return run_of(linked, *BY_MESSAGES)


def check(run, infeasible=0):
    assert run.summary["certificate"]["infeasible"] == infeasible
    errors = largest_errors(run.tables, run.built)
    assert errors.keys() == {"vehicles", "machines", "rooms", "stores", "tasks"}
    assert max(errors.values()) < 1e-9, errors


def test_agents_agree_by_messages_and_commit(negotiated):
    section, held = negotiated.summary["negotiation"], negotiated.tables["commitment"]
    assert section["negotiations"] == section["agreements"] == 1
    assert section["lost"] > 0
    assert held["on_new"].all()
    assert set(held["grid"]) == set(COPIES)
    check(negotiated)
    assert_balanced(negotiated.tables, COPIES)
    across = negotiated.tables["trade"].query("market == 'across'")
    assert across.p_mw.sum() > 1e-4


@pytest.mark.slow
def test_two_negotiations_are_the_same_bits(negotiated, run_of, linked):
    again = run_of(linked, *BY_MESSAGES, "solver.threads=1")
    assert differences(negotiated.directory, again.directory) == []


def test_a_program_of_all_streets_and_the_negotiation_cost_the_same(central, negotiated):
    check(central)
    assert_balanced(central.tables, COPIES)
    cost = [run.summary["cost_eur"]["total_corrected"] for run in (central, negotiated)]
    assert cost[1] == pytest.approx(cost[0], rel=2e-3)


@pytest.mark.slow
def test_threads_change_nothing(central, run_of, path):
    one = run_of(path, "controller=bottom_up", ONE, "solver.threads=1")
    assert differences(central.directory, one.directory) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "scheme",
    ["top_down", "ldd_admm", "diagonalization", "integrated", "feasibility_only", "uncoordinated"],
)
def test_every_scheme_carries_every_kind(scheme, run_of, path):
    check(run_of(path, f"controller={scheme}"))


@pytest.mark.slow
def test_grids_and_agents_elsewhere_measure_the_same(tmp_path, run_of, village_json):
    """States of homes and the highest import are sent to an agent in another process."""
    prices = "capacity_eur_per_mw = 900.0\n"
    plain, remote = tmp_path / "plain", tmp_path / "remote"
    for folder in (plain, remote):
        folder.mkdir()
        (folder / "village.json").write_bytes(village_json.read_bytes())
    path = write_extending(plain, "homes")
    assert prices in (plain / "homes.toml").read_text(encoding="utf-8")
    simulators = [own("west", "lv1"), {"name": "minds", "agents": True}]
    text = "\n".join(
        "[[remote.simulators]]\n"
        + "\n".join(f"{key} = {json.dumps(value)}" for key, value in one.items())
        for one in simulators
    )
    here = run_of(path, "time.intervals=3")
    there = write_extending(remote, "homes", text)
    run_scenario(load_scenario(str(there), ["time.intervals=3"]), tmp_path / "out")
    assert differences(here.directory, tmp_path / "out") == []
