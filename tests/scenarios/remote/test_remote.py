"""Runs with simulators in other processes: same results, resumed too; sections that are refused."""

import os
import signal
import subprocess
import sys
from collections import deque

import pyarrow as pa
import pytest
from support.children import running
from support.paths import SUPPORT
from support.remote_cases import FAULTY, answering, own

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.remote.agent_server import AgentServer
from stackelgrid.scenarios.remote.process import OwnSimulator
from stackelgrid.scenarios.run.resume import resumable, resume_run
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.simulators.remote.connection import RemoteError
from stackelgrid.simulators.results.tables import SCHEMAS, read_table


def written(table):
    """Bytes of a table without wall-clock times."""
    kept = table.drop_columns([c for c in table.column_names if c.endswith("_s")])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, kept.schema) as stream:
        stream.write_table(kept.combine_chunks())
    return sink.getvalue().to_pybytes()


def check_same_tables(run, directory):
    for name in SCHEMAS:
        assert written(read_table(run.directory, name)) == written(read_table(directory, name)), (
            name
        )
    assert len(run.tables["bus"]) > 100
    assert len(run.tables["schedule"]) > 100


def test_grids_and_agents_in_processes_of_their_own_give_the_same_bits(
    villages, remote_path, tmp_path
):
    path = remote_path(own("west", "lv3", "lv1"), {"name": "minds", "agents": True})
    result = run_scenario(load_scenario(str(path)), tmp_path / "out")
    check_same_tables(villages, tmp_path / "out")
    for key in ("cost_eur", "interface", "certificate", "bilevel"):
        assert result.summary[key] == villages.summary[key]
    assert result.summary["certificate_s"] > 0.0


def test_a_transformer_with_taps_and_all_levels_elsewhere_give_the_same_bits(
    run_of, write_scenario, tmp_path
):
    def village(data):
        data["time"]["intervals"] = 5
        data["grids"][2] |= {"case": "village.json", "batteries": [], "pv": []}

    here = run_of(write_scenario("three_levels", village))
    taps = here.tables["boundary"].query("grid == 'mv1'").tap_pos
    assert taps.nunique() > 1
    places = {"top": "tn", "middle": "mv1", "bottom": "lv1"}
    with answering(OwnSimulator) as address:  # in threads

        def remote(data):
            village(data)
            simulators = [own(name, grid, connect=address) for name, grid in places.items()]
            data["remote"] = {"simulators": simulators}

        path = write_scenario("three_levels", remote)
        run_scenario(load_scenario(str(path)), tmp_path / "out")
    check_same_tables(here, tmp_path / "out")


def test_a_simulator_of_the_users_own_takes_the_place_of_a_grid(
    villages, remote_path, tmp_path, tables_of
):
    path = remote_path(
        own("street", "lv2", command="mine", parameters={"branches": 7}),
        commands={"mine": ["%(python)s", str(SUPPORT / "street_simulator.py"), "%(addr)s"]},
    )
    said = []
    run_scenario(load_scenario(str(path)), tmp_path / "out", say=said.append)
    told = "simulator street has no methods state and restore: an interrupted run begins again"
    assert told in said
    tables = tables_of(tmp_path / "out")
    bus, interval = (
        t[t.grid == "lv2"].reset_index(drop=True) for t in (tables["bus"], tables["interval"])
    )
    device = tables["device"]
    consumed = device[(device.grid == "lv2") & (device.element != "sgen")]
    injected = device[(device.grid == "lv2") & (device.element == "sgen")]
    for k in range(2):
        # without losses the exchange is what the devices take, at one voltage everywhere
        expected = (
            consumed[consumed.interval == k].p_mw.sum()
            - injected[injected.interval == k].p_mw.sum()
        )
        assert interval.p_import_mw[k] == pytest.approx(expected, abs=1e-12)
        assert bus[bus.interval == k].vm_pu.nunique() == 1
    assert (interval.loss_mw == 0.0).all()
    exchange = tables["boundary"].set_index(["grid", "interval"])
    assert exchange.loc["lv2"].mismatch_mva.max() < 1e-6
    # the grids beside it and above are simulated as before, but for what the street draws
    before = villages.tables["interval"]
    change = interval.p_import_mw - before[before.grid == "lv2"].p_import_mw.to_numpy()
    assert (change.abs() > 1e-6).all()


def test_a_run_whose_simulator_was_lost_goes_on_from_its_state_to_the_same_bits(
    villages, remote_path, tmp_path
):
    """A process is lost; the agents, whose state is asked for, are a thread."""
    out = tmp_path / "out"
    with answering(OwnSimulator) as address:
        path = remote_path(
            own("west", "lv1", command="faulty"),
            {"name": "minds", "agents": True, "connect": address},
            commands={"faulty": [*FAULTY, "kill", "900", str(tmp_path / "once")]},
        )
        with pytest.raises(RemoteError, match="simulator west: its process was ended by SIGKILL"):
            run_scenario(load_scenario(str(path)), out)
        found = resumable(out)
        assert found.header is not None
        assert found.header.interval == 1
        said = []
        result = resume_run(found, say=said.append)
    assert result.summary["status"] == "done"
    assert any("goes on with interval 1" in line for line in said)
    check_same_tables(villages, out)
    assert result.summary["cost_eur"] == villages.summary["cost_eur"]


@pytest.fixture
def served():
    """`stackelgrid serve` on a free port: its address and its process."""
    server = subprocess.Popen(
        [sys.executable, "-m", "stackelgrid", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    address = server.stdout.readline().removeprefix("waiting at ").strip()
    assert address.startswith("127.0.0.1:")  # nobody has told it to bind elsewhere
    yield address, server
    server.kill()
    server.wait()
    server.stdout.close()


def test_simulators_of_another_host_give_the_same_bits_and_end_with_the_run(
    villages, remote_path, tmp_path, served
):
    address, server = served
    path = remote_path(
        own("west", "lv1", "lv3", connect=address),
        {"name": "minds", "agents": True, "connect": address},
    )
    run_scenario(load_scenario(str(path)), tmp_path / "out")
    check_same_tables(villages, tmp_path / "out")
    lines = [server.stdout.readline().split() for _ in range(4)]  # two come, two go
    pids = {int(line[1]) for line in lines}
    assert len(pids) == 2
    assert sum("ended" in line for line in lines) == 2
    assert not any(running(pid) for pid in pids)


def test_a_host_that_goes_away_ends_the_run(remote_path, tmp_path, served):
    address, server = served
    path = remote_path(own("west", "lv1", connect=address), controller="Quick")

    def kill_the_simulator(told):
        os.kill(int(server.stdout.readline().split()[1]), signal.SIGKILL)

    with pytest.raises(RemoteError, match="simulator west: closed its connection"):
        run_scenario(load_scenario(str(path)), tmp_path / "out", kill_the_simulator)


def test_agents_elsewhere_whose_state_is_no_plain_data_say_what_is_none():
    class Unusual:
        def state(self):
            return deque([1])

        def restore(self, state):
            raise NotImplementedError

    server = AgentServer()
    server.init("minds", scenario={}, folder=".")
    server.controller = Unusual()
    assert server.unsaved() == ""
    assert server.state() is None
    assert server.unsaved() == "collections.deque is not plain data"


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("remote", "words"),
    [
        ({"simulators": []}, "too few|at least 1"),
        ({"simulators": [own("west", "lv9")]}, "grid 'lv9' unknown; known: mv1, lv1, lv2, lv3"),
        ({"simulators": [own("west")]}, "hosts either grids or agents"),
        ({"simulators": [own("west", "lv1", agents=True)]}, "hosts either grids or agents"),
        ({"simulators": [own("w", "lv1", "lv1")]}, "grid 'lv1' given twice"),
        ({"simulators": [own("w", "lv1"), own("e", "lv1")]}, "'lv1' is hosted by w and e"),
        ({"simulators": [own("w", "lv1"), own("w", "lv2")]}, "simulator 'w' given twice"),
        ({"simulators": [own("w", "mv1", "lv1")]}, "levels lv and mv; one level is accepted"),
        ({"simulators": [own("w", "lv1", command="x")]}, "command 'x' unknown; commands has: none"),
        ({"simulators": [own("w", "lv1", connect="host")]}, "'host': host:port is accepted"),
        ({"simulators": [own("w", "lv1", connect="host:99999")]}, "host:port is accepted"),
        (
            {"simulators": [own("w", "lv1")], "commands": {"x": ["prog", "%(addr)s"]}},
            "command 'x' is used by no simulator",
        ),
        (
            {"simulators": [own("w", "lv1", command="x")], "commands": {"x": ["prog"]}},
            r"'x' has no address to connect to; an argument with %\(addr\)s is accepted",
        ),
        ({"simulators": [own("w", "lv1")], "step_deadline_s": 0.0}, "greater than 0"),
        ({"simulators": [own("w", "lv1", parameters={})]}, "with command or connect"),
        ({"simulators": [own("w", "lv1", speed=3)]}, "unknown key 'speed'"),
    ],
)
def test_bad_sections_are_refused_by_name(write_scenario, remote, words):
    path = write_scenario("villages", lambda data: data.update(remote=remote))
    with pytest.raises(ScenarioError, match=words):
        load_scenario(str(path))


def test_a_program_that_is_not_there_and_a_host_that_is_not_there_are_bad_input(
    command, remote_path, tmp_path
):
    path = remote_path(
        own("west", "lv1", command="mine"), commands={"mine": ["./no-such", "%(addr)s"]}
    )
    done = command("run", path, "--out", tmp_path / "out")
    assert done.status == 2
    assert done.stderr == (
        "stackelgrid: remote.commands.mine: ./no-such is not a program of this machine\n"
    )
    path = remote_path(own("west", "lv1", connect="127.0.0.1:1"))
    done = command("run", path, "--out", tmp_path / "out")
    assert done.status == 2
    assert "remote.simulators.west: 127.0.0.1:1 cannot be reached" in done.stderr
    assert not (tmp_path / "out").exists()
