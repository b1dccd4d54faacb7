"""Records of a run: summary, scenario, log, and tables read at first use."""

import copy
import glob
import itertools
import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import duckdb
import pandas as pd
import pyarrow as pa

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.files import GridInfo, check_held, run_scenario, run_summary
from stackelgrid.simulators.results.columns import completed
from stackelgrid.simulators.results.grid_tables import NETWORK as NETWORK_COLUMNS
from stackelgrid.simulators.results.manifest import Manifest
from stackelgrid.simulators.results.tables import SCHEMAS
from stackelgrid.simulators.results.tables import TABLES as DECLARED

NETWORK = "network"
# folder of a run for the run without control that it is compared with
BASELINE = "baseline"
TABLES = (*SCHEMAS, NETWORK)
_PARTS = "part-*.parquet"
_DUCKDB_PREFIX = "Error: "


class RunRecord:
    """Summary, scenario, log and tables of a run directory; `analysis.run.Run` is what users open.

    Raises ResultsError for a directory that holds no run, or not what the run wrote there: a file
    that is missing or was changed since. `notice` says so where that cannot be checked.
    """

    interval: pd.DataFrame
    bus: pd.DataFrame
    branch: pd.DataFrame
    device: pd.DataFrame
    boundary: pd.DataFrame
    trade: pd.DataFrame
    stage: pd.DataFrame
    dispatch: pd.DataFrame
    certificate: pd.DataFrame
    phase: pd.DataFrame
    schedule: pd.DataFrame
    round: pd.DataFrame
    negotiation: pd.DataFrame
    commitment: pd.DataFrame
    network: pd.DataFrame

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.summary = run_summary(self.directory)
        self.manifest = Manifest(self.directory)
        self.notice = check_held(self.manifest, self.summary, tuple(SCHEMAS), self.intervals_done)
        self.scenario, self._grids = run_scenario(self.directory)
        self._frames: dict[str, pd.DataFrame] = {}
        self._intervals: int | None = None  # first intervals of the tables, None for all
        self._firsts: dict[int, Self] = {}

    def __repr__(self) -> str:
        done, planned = self.summary["intervals_done"], self.summary["intervals_planned"]
        return (
            f"Run({str(self.directory)!r}: {self.name}, {self.status}, {done}/{planned} intervals)"
        )

    @property
    def name(self) -> str:
        """Name of the scenario."""
        return str(self.summary["scenario"])

    @property
    def status(self) -> str:
        """Status of the run: done, running or interrupted."""
        return str(self.summary["status"])

    @property
    def intervals_done(self) -> int:
        """Intervals that are on record."""
        return int(self.summary["intervals_done"])

    @property
    def dt_h(self) -> float:
        """Length of an interval in hours."""
        return float(self.scenario["time"]["interval_min"]) / 60.0

    @property
    def grids(self) -> dict[str, GridInfo]:
        """Grids by name, in the scenario's order."""
        return self._grids

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """Events of log.jsonl, as dictionaries with a key `event`; raises ResultsError.

        The last line of a run that goes on, or was killed, may be half-written: it is left out.
        """
        path = self.directory / "log.jsonl"
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise ResultsError(f"{path}: cannot be read ({error})") from error
        events = []
        for number, line in enumerate(lines, 1):
            try:
                events.append(json.loads(line))
            except ValueError as error:
                if number == len(lines):
                    break
                raise ResultsError(
                    f"{path}: line {number} is not a JSON object ({error})"
                ) from error
        return events

    @cached_property
    def baseline(self) -> Self | None:
        """Run of the same world without control: devices at rest, no trade; None without one.

        It has the same tables, one row for each grid, bus, branch and device in every interval, and
        can be used wherever a run can. Its status is "done" where it covers all intervals; where
        its power flow diverges it ends before, and `summary["baseline"]` of this run has the
        reason. For a running run it is as of its first use. Raises ResultsError where its files are
        missing or were changed. docs/results.md describes it.
        """
        directory = self.directory / BASELINE
        section = self.summary.get("baseline")
        recorded = section is not None and section["status"] in ("done", "failed")
        if recorded or (directory / "summary.json").is_file():
            return type(self)(directory)
        return None

    def first(self, intervals: int) -> Self:
        """Return the run with the tables of its first intervals; its summary is of all of them."""
        if intervals not in self._firsts:  # figures share its tables
            part = copy.copy(self)
            part._frames, part._intervals, part._firsts = {}, intervals, {}
            self._firsts[intervals] = part
        return self._firsts[intervals]

    def refreshed(self) -> Self:
        """Return the run as it is now."""
        return type(self)(self.directory)

    def table(self, name: str) -> pd.DataFrame:
        """Return a table by name, whole, with the declared types.

        Raises ResultsError for an unknown name, and for a file that cannot be read.
        """
        check_table(name)
        if name not in self._frames:
            declared = DECLARED.get(name, NETWORK_COLUMNS)
            data = completed(self._arrow(f'SELECT * FROM "{name}"'), declared.columns)
            schema = declared.schema
            missing = [n for n in schema.names if n not in data.column_names]
            if missing:
                raise ResultsError(
                    f"{self.directory}: table {name} has no column {missing[0]!r}; tables of "
                    "this version are accepted (run the scenario again)"
                )
            try:
                data = data.select(schema.names).cast(schema)
            except pa.ArrowInvalid as error:
                raise ResultsError(f"{self.directory}: table {name}: {error}") from error
            frame = data.to_pandas()
            if self._intervals is not None and "interval" in frame:
                frame = frame[frame["interval"] < self._intervals]
            self._frames[name] = frame
        return self._frames[name]

    if not TYPE_CHECKING:  # the tables are declared above

        def __getattr__(self, name: str) -> pd.DataFrame:
            if name in TABLES:
                return self.table(name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *TABLES]

    def query(self, sql: str) -> pd.DataFrame:
        """Answer of a DuckDB query over the tables; times are UTC. Raises ResultsError."""
        frame: pd.DataFrame = self._arrow(sql).to_pandas()
        return frame

    def _arrow(self, sql: str) -> pa.Table:
        """Answer a query; repeats it if the parts of a table were merged meanwhile."""
        for _ in SCHEMAS:  # every table is merged once
            parts: list[str] = []
            failure: duckdb.Error | None = None
            answer = None
            try:
                answer = self._answer(sql, parts)
            except duckdb.Error as error:
                failure = error
            if any(self._whole(name).exists() for name in parts):
                continue  # what was read may be a part of the parts
            if failure is None:
                return answer
            raise ResultsError(f"{self.directory}: {_first_line(failure)}") from failure
        raise ResultsError(f"{self.directory}: changes while it is read; try again")

    def _answer(self, sql: str, parts: list[str]) -> pa.Table:
        """Answer a query, opening the tables it names; notes in `parts` those not yet merged."""
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET python_enable_replacements = false")
            for name in sorted(set(re.findall(r"\w+", sql.lower())) & set(TABLES)):
                self._open(connection, name, parts)
            return connection.sql(sql).to_arrow_table()

    def _open(self, connection: duckdb.DuckDBPyConnection, name: str, parts: list[str]) -> None:
        found = self._parts(name)
        # after the parts: while they are removed, the whole is there
        whole = self._whole(name)
        if whole.exists():
            _view(connection, name, [whole])
        elif found:
            parts.append(name)
            _view(connection, name, found)
        elif name != NETWORK:
            connection.register(name, SCHEMAS[name].empty_table())
        else:
            raise ResultsError(f"{whole}: does not exist; runs of this version write it")

    def _parts(self, name: str) -> list[Path]:
        """Parts of a table that are on record: an interval may be under way, or have been."""
        if not self.manifest.exists:  # version 0.1 wrote none
            return sorted((self.directory / name).glob(_PARTS))
        files = itertools.chain(*self.manifest.parts.values())
        return [self.directory / file for file in files if file.startswith(f"{name}/")]

    def _whole(self, name: str) -> Path:
        return self.directory / f"{name}.parquet"

    def check_grid(self, grid: str) -> None:
        """Raise ResultsError for a grid that the run does not have."""
        if grid not in self.grids:
            accepted = ", ".join(self.grids)
            raise ResultsError(f"grid {grid!r} is unknown; accepted: {accepted}")

    def check_interval(self, interval: int) -> None:
        """Raise ResultsError for an interval that is not on record."""
        done = self.intervals_done
        if not 0 <= interval < done:
            accepted = f"0 to {done - 1} are accepted" if done else "none is done yet"
            raise ResultsError(f"interval {interval} is not on record; {accepted}")


def check_table(name: str) -> None:
    """Raise ResultsError for a table that runs do not have."""
    if name not in TABLES:
        raise ResultsError(f"table {name!r} is unknown; accepted: {', '.join(sorted(TABLES))}")


def _first_line(error: duckdb.Error) -> str:
    """Return DuckDB's message without its error class."""
    line = str(error).splitlines()[0]
    return line.split(_DUCKDB_PREFIX, 1)[-1]


def _view(connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[Path]) -> None:
    """Make a view of some files."""
    paths = ", ".join("'" + glob.escape(str(path)).replace("'", "''") + "'" for path in files)
    connection.execute(f'CREATE VIEW "{name}" AS FROM read_parquet([{paths}])')
