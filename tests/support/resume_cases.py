"""Small scenarios of every kind that carries something, and how a resumed run is compared."""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
from support.scenario_texts import write_extending

from stackelgrid.scenarios.run.state import read_header
from stackelgrid.simulators.results.tables import SCHEMAS, read_table

# messages under way and agents computing when gates close; three stages share the network
_BUSY = """
[communication]
gate_s = 600.0
compute_s = 35.0
quality = "bad"
[communication.qualities.bad]
latency_s = 70.0
jitter_s = 60.0
loss = 0.2
duplication = 0.1
reordering = 0.3
bandwidth_bit_per_s = 20000.0
"""
_QUICK_LINKS = (
    _BUSY.replace("= 35.0", "= 1.0").replace("= 70.0", "= 2.0").replace("= 60.0", "= 2.0")
)

# s that a process takes to load its libraries
_STARTUP_S = 2.0
_SHORT = "horizon.steps=[{count=2,minutes=60}]"

# one key a scheme, three hours each: text of the scenario and overrides
_CENTRAL = {
    "trade": ("streets", ["controller=bottom_up", _SHORT]),
    "top_down": ("streets", ["controller=top_down", _SHORT]),
    "diagonalization": ("levels", ["controller=diagonalization", _SHORT]),
    "prices_and_rounds": ("streets", ["controller=ldd_admm"]),
    "nodal_prices": ("streets", ["controller=ldd_admm", "pricing=lmp"]),
    "every_second": ("streets", ["controller=uncoordinated", "horizon.resolve_every=2"]),
    "day_ahead": ("streets", ["controller=top_down", "horizon.mode=day_ahead",
                              "time.intervals=4"]),
    "homes": ("homes", []),
    "winter_streets": ("winter_streets", ["controller=bottom_up"]),
}  # fmt: skip
_BY_MESSAGES = {"lossy": ("streets", _QUICK_LINKS), "busy": ("streets", _BUSY),
                "three_levels_by_messages": ("levels", _BUSY),
                "homes_by_messages": ("winter_streets", _QUICK_LINKS)}  # fmt: skip
CASES = (*_CENTRAL, *_BY_MESSAGES, "three_levels")


def write_case(name, folder, village_json, intervals=3):
    """Write a case to a folder; returns its path and overrides."""
    (folder / "village.json").write_bytes(village_json.read_bytes())
    base, network, own = name, "", []  # else a tap changer that moves
    if name in _CENTRAL:
        base, own = _CENTRAL[name]
    elif name in _BY_MESSAGES:
        base, network = _BY_MESSAGES[name]
        own = ["coordination=ldd_admm"]
    return write_extending(folder, base, network), [f"time.intervals={intervals}", *own]


def without_times(value):
    """Summary without wall-clock seconds, which end in _s."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if not k.endswith("_s") and k != "timings"}
        return {key: without_times(inner) for key, inner in kept.items()}
    return value


def differences(first, second):
    """Columns of all tables of two runs that are not equal bit for bit, wall times left out."""
    found = []
    for table in SCHEMAS:
        a, b = (read_table(run, table).to_pandas() for run in (first, second))
        if len(a) != len(b):
            found.append(f"{table}: {len(a)} and {len(b)} rows")
            continue
        for name in a.columns:
            if name.endswith("_s"):
                continue
            x, y = a[name].to_numpy(), b[name].to_numpy()
            if x.dtype == np.float64:
                x, y = x.view(np.int64), y.view(np.int64)
            if not (x == y).all():
                found.append(f"{table}.{name}")
    return found


def command_line(path, overrides, out=None, resume=None):
    """The command that runs a scenario, or goes on with a run."""
    command = [sys.executable, "-m", "stackelgrid", "run", "--no-report"]
    if resume is not None:
        return [*command, "--resume", str(resume)]
    command += [str(path), "--out", str(out)]
    return [*command, *(part for text in overrides for part in ("--set", text))]


@dataclass(frozen=True)
class Kills:
    """How often a run was killed, and how often it then had a state to go on from."""

    all: int = 0
    with_state: int = 0


def run_and_kill(path, overrides, out, kills, whole, chance, early=1, spare=0):
    """Run a scenario to its end, killing its process `kills` times; returns `Kills`.

    The first `early` kills come anywhere in the start-up, each of the others when another interval
    has been saved, and up to as long after that as an interval takes; in the start-up again once
    all but the last and `spare` others are saved. A run may end before its last kill where `spare`
    is 0. `whole` is the summary of an uninterrupted run.
    """
    done, intervals = Kills(), whole["intervals_done"]
    timings = whole["timings"]
    interval_s = (whole["wall_s"] - timings["build_s"]) / intervals
    while True:
        begun = (out / "scenario.toml").exists()
        command = command_line(path, overrides, out, out if begun else None)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   text=True, cwd=path.parent)  # fmt: skip
        try:
            left, saved = kills - done.all, _saved(out)
            if left and done.all >= early and saved < intervals - 1 - spare:
                # every later kill is left an interval of its own, where there are as many
                last = max(saved + 1, intervals - left - spare)
                _wait_for(out, chance.randint(saved + 1, last), process)
                patience = chance.uniform(0.0, interval_s)
            else:
                patience = chance.uniform(0.0, _STARTUP_S + timings["build_s"]) if left else 300.0
            _, stderr = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert left, "the run does not end"
            done = Kills(done.all + 1, done.with_state + (_saved(out) > 0))
            continue
        assert process.returncode == 0, stderr
        return done


def _saved(out):
    """Intervals that the state of a run holds, 0 without one."""
    try:
        header = read_header(out)
    except FileNotFoundError:  # the run ended just now
        return 0
    return 0 if header is None else header.interval


def _wait_for(out, interval, process):
    """Wait until an interval has been saved, or the process has ended."""
    until = time.monotonic() + 300.0
    while process.poll() is None and _saved(out) < interval:
        assert time.monotonic() < until, "the run saves nothing"
        time.sleep(0.005)
