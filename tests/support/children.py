"""Processes below a process: who they are, and whether they still run."""

import os
import time
from pathlib import Path


def children_of(pid, words=""):
    """Process ids of the processes that a process has started, with words in their command."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and words in (status.parent / "cmdline").read_text():
                found.append(int(status.parent.name))
        except OSError:  # it has ended
            continue
    return found


def running(pid):
    """Whether a process is there and more than an entry that its parent has not yet read."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_for(condition, seconds=120.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")
