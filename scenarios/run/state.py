"""The state of a run between two intervals, saved so that a later process can resume.

One file in the run directory, replaced atomically: a header line of JSON, then the states of
grids, devices and controller as plain data. Totals are computed from the tables.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.plain_state import StateError, bytes_of_state, state_of_bytes
from stackelgrid.profiles.stateful import Stateful
from stackelgrid.scenarios.build.system import BuiltScenario
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.simulators.remote.agents import RemoteController
from stackelgrid.simulators.remote.grids import GridElsewhere
from stackelgrid.simulators.results.tables import RunTables
from stackelgrid.simulators.results.whole_file import sync, whole_file
from stackelgrid.simulators.timings import Timings

STATE_FILE = "state.bin"
FORMAT = 7
# libraries that compute a run; another version may change the last digits
_LIBRARIES = ("numpy", "scipy", "clarabel", "highspy", "lightsim2grid", "pandapower", "mosaik")


@dataclass(frozen=True)
class StateHeader:
    """Header of a state: scenario, versions and files; `interval` is the next one to run.

    `scenario` is the resolved content, `files` holds digests of the files it names.
    """

    format: int
    version: str
    interval: int
    folder: str
    scenario: Mapping[str, Any]
    files: Mapping[str, str]
    libraries: Mapping[str, str]
    digest: str = ""


@dataclass(frozen=True)
class RunState:
    """State of a run between two intervals.

    `recorded` are the last recorded states of devices, and measured values, by grid; `users` is
    the state of users' simulators.
    """

    fleets: Mapping[str, Any]
    grids: Mapping[str, Any]
    controller: Any
    intervals_done: int
    recorded: Mapping[str, Mapping[str, Floats]]
    timings: Timings
    wall_s: float
    log_bytes: int
    users: Any = None

    def give(self, built: BuiltScenario) -> None:
        """Restore the saved state in a freshly built scenario; raises ScenarioError."""
        assert isinstance(built.controller, Stateful)
        try:
            for name, fleet in built.fleets.items():
                fleet.restore(self.fleets[name])
            for name, grid in built.simulated.items():
                grid.restore(self.grids[name])
            built.controller.restore(self.controller)
            if built.host is not None:
                built.host.restore(self.users)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ScenarioError(
                f"{STATE_FILE}: does not fit the scenario ({reason}); without it the run begins "
                "again"
            ) from error


def state_of(
    built: BuiltScenario, tables: RunTables, timings: Timings, wall_s: float, log_bytes: int
) -> RunState:
    """Return the state of a run after a recorded interval; it shares data with the run."""
    assert isinstance(built.controller, Stateful)
    return RunState(
        {name: fleet.state() for name, fleet in built.fleets.items()},
        {name: grid.state() for name, grid in built.simulated.items()},
        built.controller.state(),
        tables.intervals_done,
        tables.states,
        timings,
        wall_s,
        log_bytes,
        None if built.host is None else built.host.state(),
    )


def why_unsaved(built: BuiltScenario) -> str:
    """Return the reason why the state of a run cannot be saved; empty if it can."""
    if not isinstance(built.controller, Stateful):
        kind = type(built.controller).__name__
        return f"controller {kind} has no methods state and restore"
    for part in (built.controller, *built.simulated.values()):
        if isinstance(part, RemoteController | GridElsewhere) and part.unsaved:
            return part.unsaved
    return built.host.unsaved if built.host is not None else ""


def header_of(content: Mapping[str, Any], folder: Path, files: Mapping[str, str]) -> StateHeader:
    """Return the header of a run's states; `content` is the resolved scenario."""
    return StateHeader(FORMAT, version("stackelgrid"), 0, str(folder), content, files, libraries())


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that compute a run."""
    return {name: version(name) for name in _LIBRARIES}


def file_digests(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 digest of every file that a resolved scenario names."""
    digests = {}
    for text in sorted(set(_texts(content))):
        path = Path(text)
        if path.is_absolute() and path.is_file():
            digests[text] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def save_state(directory: Path, header: StateHeader, state: RunState) -> None:
    """Replace the state of a run directory atomically and durably; raises OSError, StateError."""
    payload = bytes_of_state(state)
    complete = {**asdict(header), "digest": hashlib.sha256(payload).hexdigest()}
    with whole_file(directory / STATE_FILE) as unfinished:
        unfinished.write_bytes(json.dumps(complete).encode() + b"\n" + payload)
    sync(directory)


def remove_state(directory: Path) -> None:
    """Remove the state of a finished run."""
    for name in (STATE_FILE, f"{STATE_FILE}.tmp"):
        (directory / name).unlink(missing_ok=True)


def read_header(directory: Path) -> StateHeader | None:
    """Read the header of a run directory's state; None if there is no state."""
    path = directory / STATE_FILE
    if not path.exists():
        return None
    with path.open("rb") as file:
        line = file.readline()
    try:
        return msgspec.json.decode(line, type=StateHeader)
    except ValueError as error:
        raise ScenarioError(f"{path}: is not the state of a run") from error


def load_state(directory: Path, header: StateHeader) -> RunState:
    """Read the state of a run directory; raises ScenarioError if it is damaged."""
    path = directory / STATE_FILE
    payload = path.read_bytes().partition(b"\n")[2]
    if hashlib.sha256(payload).hexdigest() != header.digest:
        raise ScenarioError(f"{path}: is damaged; without it the run begins again")
    try:
        state = state_of_bytes(payload)
    except StateError as error:
        raise ScenarioError(f"{path}: {error}; without it the run begins again") from error
    if not (isinstance(state, RunState) and isinstance(state.timings, Timings)):
        raise ScenarioError(f"{path}: is not the state of a run; without it the run begins again")
    return state
