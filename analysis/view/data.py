"""What the page needs of a run: its progress, its geometry, and values as they are recorded."""

import base64
import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stackelgrid.analysis.errors import ResultsError
from stackelgrid.analysis.limits import bus_limits, has_network
from stackelgrid.analysis.run import Run, read_summary
from stackelgrid.analysis.view.geometry import Elements, GridGeometry, Static, geometry
from stackelgrid.analysis.view.tables import GrowingTable

# columns read of each table; None: all
_COLUMNS: dict[str, tuple[str, ...] | None] = {
    "bus": None,
    "branch": (
        "interval", "grid", "element", "index", "p_from_mw", "q_from_mvar", "pl_mw", "i_ka",
        "loading_percent",
    ),
    "device": None,
    "interval": None,
    "boundary": None,
    "trade": None,
    "stage": None,
    "round": None,
    "negotiation": None,
    "commitment": None,
    "phase": None,
}  # fmt: skip
_BUS = ["grid", "bus"]
_BRANCH = ["grid", "element", "index"]
# a run is said to be silent when its last interval took so many times as long as the mean before
_SILENT_FACTOR, _SILENT_S = 10.0, 60.0


@dataclass(frozen=True)
class Progress:
    """How far a run has come. `left_s` and `silent_s` are None where there is nothing to say."""

    name: str
    status: str
    done: int
    planned: int
    wall_s: float
    left_s: float | None
    silent_s: float | None
    solver: str
    warning: str
    problem: str


@dataclass(frozen=True)
class Chunk:
    """Values of the intervals `first` ... `done` - 1, one row each, in the order of the geometry.

    Shapes (done - first, buses of all grids) in p.u. and (done - first, branches) in percent,
    encoded as little-endian float32 in base64; NaN where an element has no value.
    """

    first: int
    done: int
    vm_pu: str
    loading_percent: str


class LiveRun:
    """A run that is looked at while it goes on: nothing is written, nothing is read twice.

    Raises ResultsError for a directory that holds no run. `update` may be called from several
    threads; frames returned by `table` are never changed afterwards.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        run = Run(self.directory)
        self._identity = _identity(self.directory)
        self.run = run
        self.step = pd.Timedelta(hours=run.dt_h)
        self.times = _times(run, self.step)
        names = tuple(run.grids)
        self._tables = {n: GrowingTable(self.directory, n, names, c) for n, c in _COLUMNS.items()}
        self._log = _LogTail(self.directory / "log.jsonl")
        self._summary: dict[str, Any] = {}
        self._stamp = -1
        self._problem = ""
        self.grids: tuple[GridGeometry, ...] = ()
        self._positions: dict[str, pd.MultiIndex] = {}
        self._look()

    def update(self) -> Progress:
        """Look at what has been recorded since the last call."""
        with self._lock:
            try:
                if _identity(self.directory) != self._identity:
                    self._open()
                else:
                    self._look()
                self._problem = ""
            except ResultsError as error:  # the page stays as it is, and says so
                self._problem = str(error)
            return self._progress()

    @property
    def identity(self) -> str:
        """Changes when another run has begun in the directory."""
        return self._identity

    @property
    def done(self) -> int:
        """Intervals that have been read."""
        return int(self._summary["intervals_done"])

    @property
    def planned(self) -> int:
        """Intervals of the whole run."""
        return int(self._summary["intervals_planned"])

    def table(self, name: str) -> pd.DataFrame:
        """Return a table as far as it has been read."""
        return self._tables[name].frame

    def grid(self, name: str) -> GridGeometry:
        """Geometry of one grid."""
        return next(g for g in self.grids if g.name == name)

    def chunk(self, first: int) -> Chunk:
        """Voltages and loadings from an interval on; from where the run is, if it went back."""
        with self._lock:
            done = self.done
            first = min(max(first, 0), done)
            vm = self._matrix("bus", _BUS, "vm_pu", first, done)
            loading = self._matrix("branch", _BRANCH, "loading_percent", first, done)
        return Chunk(first, done, _base64(vm), _base64(loading))

    def _look(self) -> None:
        path = self.directory / "summary.json"
        try:
            stamp = path.stat().st_mtime_ns
        except OSError as error:
            raise ResultsError(f"{path}: cannot be read ({error.strerror})") from error
        if stamp == self._stamp:
            return
        summary = read_summary(self.directory)
        done = int(summary["intervals_done"])
        for table in self._tables.values():
            table.update(done)
        self._log.update()
        if not self.grids or not self.grids[0].bus:
            self._settle()
        self._summary, self._stamp = summary, stamp

    def _settle(self) -> None:
        """Take the elements from the first interval and their places from the network."""
        known = has_network(self.run)
        static = Static(self.run.network, bus_limits(self.run)) if known else None
        elements = Elements(
            self._first("bus", _BUS),
            self._first("branch", _BRANCH),
            self._first("device", ["grid", "kind", "element", "index", "name", "bus"]),
        )
        self.grids = geometry(self.run.grids, elements, static)
        self._positions = {
            "bus": pd.MultiIndex.from_tuples(
                [(g.name, b) for g in self.grids for b in g.bus], names=_BUS
            ),
            "branch": pd.MultiIndex.from_tuples(
                [(g.name, *b) for g in self.grids for b in g.branch], names=_BRANCH
            ),
        } if elements.bus.size else {}  # fmt: skip

    def _first(self, table: str, columns: list[str]) -> pd.DataFrame:
        frame = self.table(table)
        first: pd.DataFrame = frame.loc[frame["interval"] == frame["interval"].min(), columns]
        return first

    def _matrix(
        self, table: str, key: list[str], column: str, first: int, done: int
    ) -> "np.typing.NDArray[np.float32]":
        """Values of a column by interval and element."""
        positions = self._positions.get(table)
        if positions is None:
            return np.empty((done - first, 0), dtype="<f4")
        values = np.full((done - first, len(positions)), np.nan, dtype="<f4")
        frame = self.table(table)
        frame = frame[frame["interval"].between(first, done - 1)]
        if len(frame):
            at = positions.get_indexer(pd.MultiIndex.from_frame(frame[key]))
            known = at >= 0
            rows = frame["interval"].to_numpy() - first
            values[rows[known], at[known]] = frame[column].to_numpy()[known]
        return values

    def _progress(self) -> Progress:
        s = self._summary
        done, planned, wall_s = self.done, self.planned, float(s["wall_s"])
        running = s["status"] == "running"
        pace = (wall_s - float(s["timings"]["build_s"])) / done if done else None
        silent = max(0.0, time.time() - self._stamp / 1e9)
        limit = max(_SILENT_S, _SILENT_FACTOR * pace) if pace else _SILENT_S * _SILENT_FACTOR
        left = max(0.0, pace * (planned - done) - silent) if running and pace else None
        solver = s["solver"]
        return Progress(
            name=str(s["scenario"]),
            status=str(s["status"]),
            done=done,
            planned=planned,
            wall_s=wall_s + (silent if running and silent < limit else 0.0),
            left_s=left,
            silent_s=silent if running and silent > limit else None,
            solver=str(solver["version"]),
            warning=self._log.warning,
            problem=self._problem,
        )


class _LogTail:
    """The last warning of a log that grows."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self.warning = ""

    def update(self) -> None:
        try:
            with self._path.open("rb") as file:
                if self._path.stat().st_size < self._offset:  # a resumed run cuts its log
                    self._offset, self.warning = 0, ""
                file.seek(self._offset)
                text = file.read()
        except OSError:
            return
        end = text.rfind(b"\n") + 1
        self._offset += end
        for line in text[:end].splitlines():
            if b'"warning"' in line or b'"fallback"' in line:
                self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        where = f"interval {event.get('interval', 0) + 1}: "
        if event["event"] == "warning":
            self.warning = where + str(event.get("text", ""))
        elif event["event"] == "fallback":
            reasons = event.get("reasons", "")
            self.warning = f"{where}last schedule kept ({reasons})"


def _identity(directory: Path) -> str:
    """What tells the run in a directory from another one that takes its place."""
    try:
        stat = (directory / "scenario.toml").stat()
    except OSError as error:
        raise ResultsError(
            f"{directory / 'scenario.toml'}: cannot be read ({error.strerror})"
        ) from error
    return f"{stat.st_ino}-{stat.st_mtime_ns}"


def _times(run: Run, step: pd.Timedelta) -> pd.DatetimeIndex:
    """Starts of all planned intervals in local time, running on evenly when clocks change."""
    section = run.scenario["time"]
    zone = str(section.get("timezone", "UTC"))
    start = pd.Timestamp(section["start"])
    if start.tzinfo is not None:
        start = start.tz_convert(zone).tz_localize(None)
    planned = int(run.summary["intervals_planned"])
    return pd.date_range(start, periods=planned, freq=step)


def _base64(values: "np.typing.NDArray[np.float32]") -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
