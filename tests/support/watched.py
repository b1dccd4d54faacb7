"""Runs that lose a simulator, watched with their processes."""

import json
import os
import signal
import threading
import time
from dataclasses import dataclass

from support.children import children_of, running, wait_for

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


def while_deciding(folder, work):
    """Return an act that calls `work` with the children once the controller of the test decides."""

    def act(children):
        if not (folder / "deciding").exists():
            return False
        work(children)
        return True

    return act


def kill_only(children):
    (simulator,) = children
    os.kill(simulator, signal.SIGKILL)


def interrupt_main_thread(children):
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


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


def check_interrupted(out, intervals_done):
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["status"] == "interrupted"
    assert summary["intervals_done"] == intervals_done
