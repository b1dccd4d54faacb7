"""Connections to remote simulators, their processes, and what crosses."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from support.machine import in_time

from stackelgrid.profiles.plain_state import StateError
from stackelgrid.simulators.grid import META
from stackelgrid.simulators.remote.agents import RemoteController
from stackelgrid.simulators.remote.connection import Connection, RemoteError
from stackelgrid.simulators.remote.decision_text import DecisionError, decision_of
from stackelgrid.simulators.remote.grids import RemoteGrids
from stackelgrid.simulators.remote.processes import ChildProcess
from stackelgrid.simulators.remote.supervision import Supervisor


def read_request(sock):
    length = int.from_bytes(sock.recv(4, socket.MSG_WAITALL), "big")
    return json.loads(sock.recv(length, socket.MSG_WAITALL))


def write(sock, content):
    body = json.dumps(content).encode()
    sock.sendall(len(body).to_bytes(4, "big") + body)


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    yield Connection("west", here), there
    here.close()
    there.close()


def answering(sock, *answers):
    """Answer requests one after another from a thread; the requests come back in a list."""
    seen = []

    def work():
        for answer in answers:
            seen.append(read_request(sock))
            write(sock, answer(seen[-1]) if callable(answer) else answer)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return seen


def echo(request):
    return [1, request[1], request[2][1][0]]


def test_every_bit_of_a_number_crosses_and_comes_back(pair):
    link, peer = pair
    rng = np.random.default_rng(5)
    bits = rng.integers(0, 2**64, 2000, dtype=np.uint64)
    values = bits.view(np.float64)
    values = np.concatenate([values[np.isfinite(values)], [-0.0, 5e-324, np.inf, -np.inf]])
    answering(peer, echo)
    back = np.array(link.call(5.0, "step", values))
    assert back.tobytes() == values.tobytes()
    answering(peer, echo)
    assert np.isnan(link.call(5.0, "step", np.float64("nan")))


def test_a_remote_exception_comes_through_with_its_type_and_text(pair):
    link, peer = pair
    answering(peer, lambda r: [2, r[1], ["ValueError", "bus 7 is on fire", "Traceback ..."]])
    with pytest.raises(RemoteError, match=r"^simulator west: ValueError: bus 7 is on fire$"):
        link.call(5.0, "step", 0)


def test_a_missed_deadline_is_an_error_in_time(pair):
    link, _ = pair
    started = time.monotonic()
    with pytest.raises(RemoteError, match=r"west: no answer to 'step' within its deadline of 0.3"):
        link.call(0.3, "step", 0)
    took = time.monotonic() - started
    assert took > 0.25
    assert in_time(took, 2.0)


def test_half_an_answer_does_not_stop_the_clock(pair):
    link, peer = pair
    peer.sendall(struct.pack(">I", 50) + b"[1, 0,")
    with pytest.raises(RemoteError, match=r"deadline of 0\.3 s"):
        link.call(0.3, "step", 0)


def test_a_peer_that_does_not_read_is_noticed_when_the_buffer_is_full(pair):
    link, _ = pair
    with pytest.raises(RemoteError, match=r"deadline of 0\.3 s"):
        link.call(0.3, "step", np.zeros(3_000_000))


def test_an_answer_that_came_before_it_was_waited_for_is_in_time(pair):
    link, peer = pair
    link.send(0.05, "create", 1)
    write(peer, [1, 0, "built"])
    time.sleep(0.1)
    assert link.receive() == "built"


def test_answers_come_in_the_order_of_the_requests(pair):
    link, peer = pair
    answering(peer, echo, echo)
    link.send(5.0, "step", "a")
    link.send(5.0, "step", "b")
    assert [link.receive(), link.receive()] == ["a", "b"]


def test_requests_of_the_simulator_to_the_world_are_refused_and_the_step_goes_on(pair):
    link, peer = pair
    refused = []

    def work():
        request = read_request(peer)
        write(peer, [0, 77, ["get_progress", [], {}]])
        refused.append(read_request(peer))
        write(peer, [1, request[1], 900])

    threading.Thread(target=work, daemon=True).start()
    assert link.call(5.0, "step", 0) == 900
    assert refused[0][:2] == [2, 77]


@pytest.mark.parametrize(
    "garbage",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x00\x00\x02{]", b"\x00\x00\x00\x07[1,9,0]"],
    ids=["another protocol", "no JSON", "answer to nothing"],
)
def test_what_is_not_the_protocol_is_refused(pair, garbage):
    link, peer = pair
    peer.sendall(garbage)
    with pytest.raises(RemoteError, match=r"west: .* does not follow mosaik's API 3"):
        link.call(2.0, "step", 0)


def test_a_closed_connection_is_told_at_once(pair):
    link, peer = pair
    peer.close()
    with pytest.raises(RemoteError, match="west: closed its connection"):
        link.call(20.0, "step", 0)


# ---------------------------------------------------------------------- processes


def gone(pid, within_s=3.0):
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if not os.path.exists(f"/proc/{pid}"):
            return True
        with open(f"/proc/{pid}/stat") as file:
            if file.read().rpartition(")")[2].split()[0] == "Z":
                return True
        time.sleep(0.05)
    return False


def wait_until(condition):
    until = time.monotonic() + 30.0
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def how_it_ended(process):
    """A process is started by two interpreters, which a busy machine may take long to start."""
    wait_until(lambda: not process.running())
    return process.why_ended()


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def test_thelast_words_of_a_process_are_kept():
    process = ChildProcess([sys.executable, "-c", "import sys; print('a'); sys.exit('no licence')"])
    assert how_it_ended(process) == "its process ended with exit status 1: no licence"
    process.stop()


def test_a_signal_is_named():
    process = ChildProcess([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert how_it_ended(process) == "its process was ended by SIGKILL"
    process.stop()


def test_a_command_that_does_not_exist_says_so():
    process = ChildProcess(["./no-such-simulator"])
    assert how_it_ended(process) == (
        "its process ended with exit status 127: ./no-such-simulator: No such file or directory"
    )
    process.stop()


@linux
def test_stop_ends_what_a_process_has_started_too():
    script = "sleep 60 & echo $! > /dev/stderr; wait"
    process = ChildProcess(["sh", "-c", script])
    grandchild = wait_until(process.last_words)
    assert not gone(int(grandchild), 0.1)
    process.stop(grace_s=0.0)
    assert gone(process.pid)
    assert gone(int(grandchild))


@linux
def test_a_process_ends_with_a_parent_that_was_killed():
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time; from stackelgrid.simulators.remote.processes import ChildProcess; "
            "print(ChildProcess(['sleep', '60']).pid, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(parent.stdout.readline())
    time.sleep(0.5)  # the launcher has become the command
    assert not gone(pid, 0.1)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone(pid)


def supervised(sock, work):
    with Supervisor() as supervisor:
        supervisor.add(Connection("west", sock))
        supervisor.watch()
        work()


def test_a_lost_simulator_interrupts_whoever_waits_for_something_else():
    here, there = socket.socketpair()
    handler = signal.getsignal(signal.SIGUSR1)
    threading.Timer(0.3, there.close).start()
    started = time.monotonic()
    with pytest.raises(RemoteError, match="west: closed its connection"):
        supervised(here, lambda: time.sleep(20.0))
    assert in_time(time.monotonic() - started, 3.0)
    assert signal.getsignal(signal.SIGUSR1) is handler


def test_without_a_loss_the_work_is_left_in_peace_and_processes_end():
    """One ends when its connection does, the other is killed when it does not."""
    pairs = [socket.socketpair() for _ in range(2)]
    (_, there), (_, other) = pairs
    fd = there.fileno()
    script = f"import sys; print('reads', flush=True); open({fd}, 'rb').read(); sys.exit(3)"
    ending = ChildProcess([sys.executable, "-c", script], [fd])
    staying = ChildProcess(["sh", "-c", "echo sleeps; exec sleep 60"])
    there.close()
    with Supervisor() as s:
        s.add(Connection("west", pairs[0][0]), ending)
        s.add(Connection("east", pairs[1][0]), staying)
        s.watch()
        assert [wait_until(p.last_words) for p in (ending, staying)] == ["reads", "sleeps"]
        time.sleep(0.6)
        assert ending.running()
        assert staying.running()
    assert read_request(other)[2][0] == "stop"
    assert ending.status == 3
    assert staying.status == -signal.SIGKILL
    other.close()


def test_another_error_stays_what_it_is():
    here, there = socket.socketpair()
    with pytest.raises(ZeroDivisionError):
        supervised(here, lambda: 1 / 0)
    assert there.recv(1) == b""  # no request to stop, just closed
    there.close()


# ---------------------------------------------------------------------- what crosses


@pytest.mark.parametrize("text", [None, 7, "", "no base64!", "AAAA", "gaFhAQ=="])
def test_what_is_no_decision_is_refused(text):
    with pytest.raises(DecisionError, match="not a decision"):
        decision_of(text)


def test_a_simulator_that_lacks_an_attribute_is_refused(pair):
    link, peer = pair
    meta = {"models": {"Grid": {"attrs": ["vm_pu"]}, "Boundary": {"attrs": []}}}
    answering(peer, lambda r: [1, r[1], meta])
    host = RemoteGrids(link, {}, [], 5.0, 5.0)
    with pytest.raises(RemoteError, match="west: its model Grid has no attribute va_degree"):
        host.started({}, 900)


@pytest.fixture
def street(pair):
    """A remote grid of three buses, two lines and a transformer; `ask(values)` for its data."""
    link, peer = pair
    host = RemoteGrids(link, {}, ["lv1"], 5.0, 5.0)
    power_flow = SimpleNamespace(bus_index=(4, 5, 6), lines=2, trafos=1, gens=0)
    grid = SimpleNamespace(name="lv1", lower=(), power_flow=power_flow)
    answering(
        peer,
        lambda r: [1, r[1], META],
        lambda r: [1, r[1], [{"eid": "lv1", "type": "Grid"}]],
        lambda r: [1, r[1], None],
    )
    host.started({"lv1": grid}, 900)

    def ask(**values):
        answering(peer, lambda r: [1, r[1], {"lv1": values}])
        host.begin_data({"lv1": list(values)})
        return host.end_data()["lv1"]

    return ask


def test_results_of_the_right_length_are_taken(street):
    found = street(
        bus_vm_pu=[1.0, 0.99, 0.98], gen_q_mvar=[], p_mw=0.02, tap_pos=-1,
        branch_loading_percent=[10.0, None, float("nan")],
    )  # fmt: skip
    assert found["bus_vm_pu"].tolist() == [1.0, 0.99, 0.98]
    assert (found["p_mw"], found["tap_pos"], len(found["gen_q_mvar"])) == (0.02, -1, 0)
    # a branch without a rating has no loading
    assert found["branch_loading_percent"][0] == 10.0
    assert np.isnan(found["branch_loading_percent"][1:]).all()


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("bus_vm_pu", [1.0, 0.99], "has 2 entries; 3 are accepted"),
        ("branch_loading_percent", [1.0] * 4, "has 4 entries; 3 are accepted"),
        ("gen_q_mvar", [0.1], "has 1 entries; 0 are accepted"),
        ("bus_vm_pu", [1.0, None, 0.98], "is nan at position 1; finite numbers are accepted"),
        ("branch_i_ka", [0.1, 0.1, float("inf")], "is inf at position 2; finite numbers"),
        ("bus_va_degree", "cold", "is 'cold'; a list of numbers is accepted"),
        ("p_mw", float("nan"), "is nan; a finite number is accepted"),
        ("loss_mw", None, "is None; a finite number is accepted"),
        ("tap_pos", 10**400, "is 1000.*; a finite number is accepted"),
    ],
)
def test_results_that_are_none_are_refused_by_name(street, attribute, value, words):
    with pytest.raises(RemoteError, match=f"simulator west: {attribute} of lv1 {words}"):
        street(**{attribute: value})


def test_agents_that_cannot_give_their_state_say_why(pair):
    link, peer = pair
    controller = RemoteController(link, {}, [], 900, 5.0, 5.0)
    methods = ["decision", "state", "restore", "unsaved"]
    answering(
        peer,
        lambda r: [1, r[1], {"extra_methods": methods}],
        lambda r: [1, r[1], None],
        lambda r: [1, r[1], ""],
        lambda r: [1, r[1], None],
        lambda r: [1, r[1], "collections.deque is not plain data"],
    )
    controller.started()
    assert controller.unsaved == ""
    with pytest.raises(StateError, match="deque is not plain data"):
        controller.state()
