"""Data of a run for the page: progress, geometry, and recorded values."""

import base64
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.files import check_held, run_summary
from stackelgrid.analysis.results.limits import has_network, loading_limits
from stackelgrid.analysis.run import Run
from stackelgrid.analysis.view.beside import Baseline, Plans
from stackelgrid.analysis.view.geometry import GridGeometry, geometry
from stackelgrid.analysis.view.growing import GrowingTable, LogTail
from stackelgrid.analysis.view.states import grid_states
from stackelgrid.profiles.arrays import Floats

# columns read of each table; None: all
_COLUMNS: dict[str, tuple[str, ...] | None] = {
    "bus": None,
    "branch": (
        "interval", "grid", "element", "index", "p_from_mw", "q_from_mvar", "pl_mw", "i_ka",
        "loading_percent", "loading_certified_percent",
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
# tables with rows in every interval
_REQUIRED = ("bus", "interval")
_Values = NDArray[np.float32]
_BUS = ["grid", "bus"]
_BRANCH = ["grid", "element", "index"]
# a run counts as silent if its current interval has taken this many times the mean, and this long
_SILENT_FACTOR, _SILENT_S = 10.0, 60.0


@dataclass(frozen=True)
class Progress:
    """Progress of a run; `left_s` and `silent_s` are None if they do not apply."""

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

    Shapes (done - first, buses of all grids) in p.u., (done - first, branches) in percent and
    (done - first, grids) in MW, encoded as little-endian float32 in base64; NaN where an element
    has no value or no rating. `states` and `marks` are described at GridStates.
    """

    first: int
    done: int
    vm_pu: str
    loading_percent: str
    exchange_mw: str
    states: list[str]
    marks: list[str]


class LiveRun:
    """A run that may still be running; reads each row once and writes nothing.

    Raises ResultsError for a directory that holds no run. `update` may be called from several
    threads; frames returned by `table` are never changed afterwards. `run` is the run as of
    opening; `identity` changes if another run begins in the directory; `step` is the length of an
    interval, `times` are the starts of all planned ones in local time; `grids` have no elements
    before the first interval. `baseline` is the run without control, `plans` the coming steps.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.run = Run(directory)
        self.identity = _identity(directory)
        self.step = pd.Timedelta(hours=self.run.dt_h)
        self.times = _times(self.run, self.step)
        self.grids: tuple[GridGeometry, ...] = ()
        names = tuple(self.run.grids)
        self._tables = {
            n: GrowingTable(directory, n, names, c, required=n in _REQUIRED)
            for n, c in _COLUMNS.items()
        }
        self.baseline = Baseline(directory, names)
        self.plans = Plans(directory, names, self.run.scenario.get("horizon", {}), self.step)
        self._summary: Mapping[str, Any] = {}
        self._manifest = self.run.manifest  # what it has compared is not compared again
        self._log = LogTail(directory / "log.jsonl")
        self._stamp = -1
        self._first: tuple[int, float] | None = None
        self._positions: dict[str, pd.MultiIndex] = {}
        self._unrated = np.empty(0, dtype=bool)
        self._look()
        self._lock = threading.Lock()

    def update(self) -> Progress:
        """Read the results recorded since the last call."""
        with self._lock:
            problem = ""
            try:
                if _identity(self.directory) == self.identity:
                    self._look()
                else:
                    other = vars(type(self)(self.directory))
                    vars(self).update(other | {"_lock": self._lock})
            except ResultsError as error:  # the page keeps its content and shows the error
                problem = str(error)
            return self._progress(problem)

    @property
    def running(self) -> bool:
        """True if the run is running according to its summary."""
        return bool(self._summary["status"] == "running")

    @property
    def done(self) -> int:
        """Number of intervals read."""
        return int(self._summary["intervals_done"])

    @property
    def planned(self) -> int:
        """Number of planned intervals."""
        return int(self._summary["intervals_planned"])

    def table(self, name: str) -> pd.DataFrame:
        """Return the rows of a table read so far."""
        return self._tables[name].frame

    def grid(self, name: str) -> GridGeometry:
        """Return the geometry of one grid."""
        return next(g for g in self.grids if g.name == name)

    def chunk(self, first: int) -> Chunk:
        """Return voltages and loadings from interval `first` on; empty beyond the recorded ones."""
        with self._lock:
            done = self.done
            first = min(max(first, 0), done)
            vm = self._voltages(first, done)
            loading = self._loadings(first, done)
            names = list(self.run.grids)
            grids = grid_states(self._tables["interval"].frame, names, first, done)
        exchange = _base64(grids.exchange_mw.astype("<f4"))
        return Chunk(
            first, done, _base64(vm), _base64(loading), exchange, grids.states, grids.marks
        )

    def tightest(self) -> int:
        """Return the interval with the smallest margin of a bus to its limit; 0 without any."""
        with self._lock:
            vm = self._voltages(0, self.done)
            grids = self.grids
        low = np.concatenate([g.low_pu for g in grids])
        high = np.concatenate([g.high_pu for g in grids])
        margin = np.fmin(high - vm, vm - low) if vm.size else np.empty((0, 0))
        known = np.isfinite(margin)
        if not known.any():
            return 0
        return int(np.where(known, margin, np.inf).min(axis=1).argmin())

    def _look(self) -> None:
        """Read all tables up to the recorded intervals; none if one of them cannot be read."""
        path = self.run.directory / "summary.json"
        try:
            stamp = path.stat().st_mtime_ns
        except OSError as error:
            raise ResultsError(f"{path}: cannot be read ({error.strerror})") from error
        if stamp == self._stamp:
            return
        summary = run_summary(self.run.directory)
        done = int(summary["intervals_done"])
        check_held(self._manifest, summary, tuple(self._tables), done)
        for table in self._tables.values():
            table.update(done)
        self._log.update()
        if not self.grids or not self.grids[0].bus:
            self._settle()
        if done and (self._first is None or done < self._first[0]):
            self._first = done, float(summary["wall_s"])
        self._summary, self._stamp = summary, stamp

    def _voltages(self, first: int, done: int) -> _Values:
        """Return voltages (intervals, buses) in p.u."""
        return self._matrix("bus", _BUS, "vm_pu", first, done)

    def _loadings(self, first: int, done: int) -> _Values:
        """Return loadings (intervals, branches) in percent; NaN without a rating."""
        values = self._matrix("branch", _BRANCH, "loading_percent", first, done)
        if values.size:
            values[:, self._unrated] = np.nan
        return values

    def _progress(self, problem: str) -> Progress:
        """Return the progress; `left_s` is based on the pace since the first reading."""
        s = self._summary
        done, planned, wall_s = (
            int(s["intervals_done"]), int(s["intervals_planned"]), float(s["wall_s"]),
        )  # fmt: skip
        running = s["status"] == "running"
        mean = (wall_s - float(s["timings"]["build_s"])) / done if done else None
        silent = max(0.0, time.time() - self._stamp / 1e9)
        limit = max(_SILENT_S, _SILENT_FACTOR * mean) if mean else _SILENT_S * _SILENT_FACTOR
        left = None
        if running and self._first is not None and done > self._first[0]:
            pace = (wall_s - self._first[1]) / (done - self._first[0])
            left = max(0.0, pace * (planned - done) - silent)
        return Progress(
            name=str(s["scenario"]),
            status=str(s["status"]),
            done=done,
            planned=planned,
            wall_s=wall_s + (silent if running and silent < limit else 0.0),
            left_s=left,
            silent_s=silent if running and silent > limit else None,
            solver=str(s["solver"]["version"]),
            warning=self._log.warning,
            problem=problem,
        )

    def _settle(self) -> None:
        """Take the elements from the first interval and their places from the network."""
        branches = self._first_rows("branch", _BRANCH)
        buses = self._first_rows("bus", _BUS)
        devices = self._first_rows("device", ["grid", "kind", "element", "index", "name", "bus"])
        limits = self._loading_limits(branches)
        self.grids = geometry(self.run, buses, branches, devices, limits)
        self._unrated = np.isnan(np.concatenate([g.max_loading_percent for g in self.grids]))
        self._positions = {
            "bus": pd.MultiIndex.from_tuples(
                [(g.name, b) for g in self.grids for b in g.bus], names=_BUS
            ),
            "branch": pd.MultiIndex.from_tuples(
                [(g.name, *b) for g in self.grids for b in g.branch], names=_BRANCH
            ),
        } if buses.size else {}  # fmt: skip

    def _loading_limits(self, branches: pd.DataFrame) -> Floats:
        """Return the loading limit of each branch in percent, NaN without a rating.

        Older versions did not record it; there a branch with current but without loading has none.
        """
        limits = loading_limits(self.run) if has_network(self.run) else pd.Series(dtype=float)
        if not limits.notna().any():
            recorded = self._tables["branch"].frame.astype({"grid": str})
            most = recorded.groupby(_BRANCH)[["loading_percent", "i_ka"]].max()
            unrated = (most["i_ka"] > 0.0) & ~(most["loading_percent"] > 0.0)
            limits = pd.Series(np.where(unrated, np.nan, 100.0), index=most.index)
        at = pd.MultiIndex.from_frame(branches.astype({"grid": str}))
        return limits.reindex(at).to_numpy(dtype=np.float64)

    def _first_rows(self, table: str, columns: list[str]) -> pd.DataFrame:
        frame = self._tables[table].frame
        first: pd.DataFrame = frame.loc[frame["interval"] == frame["interval"].min(), columns]
        return first

    def _matrix(self, table: str, key: list[str], column: str, first: int, done: int) -> _Values:
        """Return the values of a column by interval and element."""
        positions = self._positions.get(table)
        if positions is None:
            return np.empty((done - first, 0), dtype="<f4")
        values = np.full((done - first, len(positions)), np.nan, dtype="<f4")
        frame = self._tables[table].frame
        frame = frame[frame["interval"].between(first, done - 1)]
        if len(frame):
            at = positions.get_indexer(pd.MultiIndex.from_frame(frame[key]))
            known = at >= 0
            rows = frame["interval"].to_numpy() - first
            values[rows[known], at[known]] = frame[column].to_numpy()[known]
        return values


def _identity(directory: Path) -> str:
    """Return an identity of the run in a directory, different for a run that replaces it."""
    try:
        stat = (directory / "scenario.toml").stat()
    except OSError as error:
        raise ResultsError(
            f"{directory / 'scenario.toml'}: cannot be read ({error.strerror})"
        ) from error
    return f"{stat.st_ino}-{stat.st_mtime_ns}"


def _times(run: Run, step: pd.Timedelta) -> pd.DatetimeIndex:
    """Return the starts of all planned intervals in local time, without clock changes."""
    section = run.scenario["time"]
    planned = int(run.summary["intervals_planned"])
    try:
        return pd.date_range(pd.Timestamp(section["start"]), periods=planned, freq=step)
    except (KeyError, ValueError, OverflowError) as error:
        raise ResultsError(
            f"{run.directory / 'scenario.toml'}: time.start and {planned} intervals are no times "
            f"({error})"
        ) from error


def _base64(values: _Values) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
