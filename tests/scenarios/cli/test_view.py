"""The verb `view`: what it refuses, in one line, and how it starts and ends."""

import http.client
import signal
import socket
import subprocess
import sys

import pytest
from support.run_cases import SMALL, RecordedRun

from stackelgrid.analysis.view.growing import LogTail
from stackelgrid.analysis.view.server import PageServer
from stackelgrid.scenarios.cli.results import view


@pytest.fixture
def recorded(tmp_path):
    return RecordedRun(tmp_path / "run", SMALL, 3).record(2)


def one_line(outcome, *texts):
    assert outcome.status == 2
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1, outcome.stderr
    for text in texts:
        assert text in outcome.stderr


def test_view_refuses_directories_that_hold_no_run(command, tmp_path):
    one_line(command("view", tmp_path / "nothing"), str(tmp_path / "nothing"), "does not exist")
    empty = tmp_path / "empty"
    empty.mkdir()
    one_line(command("view", empty), "is empty")
    (empty / "notes.txt").write_text("foreign")
    one_line(command("view", empty), "summary.json is missing")
    (empty / "summary.json").write_text('{"schemes": {}}')
    one_line(command("view", empty), "a run")
    (empty / "summary.json").write_text('{"scenario": ')
    one_line(command("view", empty), "summary.json: cannot be read")


def test_view_refuses_a_run_with_a_broken_table(command, recorded):
    part = recorded.directory / "bus" / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:40])
    one_line(command("view", recorded.directory), str(part), "cannot be read")


def test_view_refuses_an_empty_host(command, recorded):
    one_line(command("view", recorded.directory, "--host", ""), "--host is empty")


def test_view_names_a_port_or_host_that_cannot_be_had(command, recorded):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        one_line(command("view", recorded.directory, "--port", port), f"--port {port}", "in use")
    one_line(command("view", recorded.directory, "--host", "192.0.2.7"), "--host 192.0.2.7")
    one_line(command("view", recorded.directory, "--port", "70000"), "--port", "65535")


def test_view_says_where_other_hosts_reach_the_page(recorded, monkeypatch, capsys):
    def interrupted(server):
        raise KeyboardInterrupt

    monkeypatch.setattr(PageServer, "serve_forever", interrupted)
    for host, told in (("0.0.0.0", "(Ctrl-C ends; other hosts"), ("127.0.0.1", "(Ctrl-C ends)")):
        view(recorded.directory, port=0, host=host)
        assert told in capsys.readouterr().out


def test_what_cannot_be_read_is_not_told_as_a_host_that_cannot_be_had(recorded, monkeypatch):
    def broken(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(LogTail, "update", broken)
    with pytest.raises(OSError, match="Input/output error"):
        view(recorded.directory, port=0)


def test_view_prints_its_address_serves_and_ends_quietly_on_ctrl_c(recorded):
    started = subprocess.Popen(
        [sys.executable, "-m", "stackelgrid", "view", str(recorded.directory),
         "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        line = started.stdout.readline()
        assert line.startswith(f"{recorded.directory}: http://127.0.0.1:")
        url = line.split(": ", 1)[1].split()[0]
        # a connection that is kept open, as browsers do, and one that has never asked for anything
        kept, idle = (http.client.HTTPConnection(url.split("/")[2], timeout=20) for _ in range(2))
        idle.connect()
        kept.request("GET", "/_dash-layout")
        assert b"geometry" in kept.getresponse().read()
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=20)
    finally:
        if started.poll() is None:
            started.kill()
    assert (started.returncode, out) == (0, "")
    (notice,) = err.splitlines()
    assert notice.endswith(
        "has no manifest.jsonl (version 0.1 wrote none): its files are not checked"
    )
