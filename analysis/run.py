"""A run directory as an object: summary, scenario, log, grids, and tables that are read when asked.

    from stackelgrid.analysis import Run

    run = Run("runs/day")
    run.bus                                    # pandas, read once
    run.query("select grid, max(vm_pu) from bus group by grid")

Tables are those of docs/results.md; DuckDB reads them, of finished and of unfinished runs alike.
"""

import json
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import pyarrow as pa

from stackelgrid.analysis.errors import ResultsError
from stackelgrid.simulators.tables import SCHEMAS

if TYPE_CHECKING:
    from pandapower.auxiliary import pandapowerNet

_KEYS = ("scenario", "status", "intervals_planned", "intervals_done")


@dataclass(frozen=True)
class GridInfo:
    """A grid of a run: level (transmission, mv, lv), parent and bus there (None for the root)."""

    name: str
    level: str
    parent: str | None
    bus: int | None
    multiplicity: int


class Run:
    """Results of one run: finished, interrupted, or still going on.

    Raises ResultsError for a directory that holds no run. Each table is an attribute: `interval`,
    `bus`, `branch`, `device`, `boundary`, ... (a pandas frame, read when first asked for and kept);
    `network` is the static data of all grids. A run that goes on is seen as it was when it was
    opened (`summary`) or asked (tables); `refreshed()` looks again.
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
        self.summary = read_summary(self.directory)
        missing = [key for key in _KEYS if key not in self.summary]
        if missing:
            raise ResultsError(
                f"{self.directory}: summary.json has no {missing[0]!r}; the directory of a run "
                "(stackelgrid run) is accepted"
            )
        self.scenario: dict[str, Any] = _scenario(self.directory)
        self._frames: dict[str, pd.DataFrame] = {}

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
        """Whether it is done, running or interrupted."""
        return str(self.summary["status"])

    @property
    def intervals_done(self) -> int:
        """Intervals that are on record."""
        return int(self.summary["intervals_done"])

    @property
    def dt_h(self) -> float:
        """Length of an interval in hours."""
        return float(self.scenario["time"]["interval_min"]) / 60.0

    @cached_property
    def grids(self) -> dict[str, GridInfo]:
        """Grids by name, in the scenario's order."""
        return {
            g["name"]: GridInfo(
                g["name"], g["level"], g.get("parent"), g.get("bus"), int(g.get("multiplicity", 1))
            )
            for g in self.scenario["grids"]
        }

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """Events of log.jsonl, as dictionaries with a key `event`."""
        try:
            lines = (self.directory / "log.jsonl").read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        return [json.loads(line) for line in lines if _whole(line)]

    def refreshed(self) -> "Run":
        """Return the run as it is now."""
        return Run(self.directory)

    def table(self, name: str) -> pd.DataFrame:
        """Return a table by name, whole; raises ResultsError for an unknown name."""
        if name not in SCHEMAS and name != "network":
            accepted = ", ".join(["network", *SCHEMAS])
            raise ResultsError(f"table {name!r} is unknown; accepted: {accepted}")
        if name not in self._frames:
            self._frames[name] = self.query(f'SELECT * FROM "{name}"')
        return self._frames[name]

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name in SCHEMAS or name == "network":
            return self.table(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *SCHEMAS, "network"]

    def query(self, sql: str) -> pd.DataFrame:
        """Answer of a DuckDB query over the tables; times are UTC. Raises ResultsError."""
        try:
            return self._answer(sql)
        except duckdb.IOException:  # the parts of a table have just been merged
            return self._answer(sql)
        except duckdb.Error as error:
            raise ResultsError(f"{self.directory}: {str(error).splitlines()[0]}") from error

    def _answer(self, sql: str) -> pd.DataFrame:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for name, schema in SCHEMAS.items():
                self._open(connection, name, schema)
            network = self.directory / "network.parquet"
            if network.exists():
                _view(connection, "network", network)
            table: pa.Table = connection.sql(sql).to_arrow_table()
        frame: pd.DataFrame = table.to_pandas()
        return frame

    def _open(self, connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema) -> None:
        whole, parts = self.directory / f"{name}.parquet", self.directory / name
        source = whole if whole.exists() else parts / "part-*.parquet"
        if whole.exists() or any(parts.glob("part-*.parquet")):
            _view(connection, name, source)
        else:
            connection.register(name, schema.empty_table())

    def net(self, grid: str) -> "pandapowerNet":
        """Return a grid's pandapower net as the run began with it; raises ResultsError."""
        import pandapower as pp  # takes a second, and only exports need it

        path = self.directory / "grids" / f"{grid}.json"
        if grid not in self.grids:
            accepted = ", ".join(self.grids)
            raise ResultsError(f"grid {grid!r} is unknown; accepted: {accepted}")
        if not path.is_file():
            raise ResultsError(f"{path}: does not exist; runs of this version write it")
        return pp.from_json(str(path))


def read_summary(directory: Path) -> dict[str, Any]:
    """Return summary.json of a directory of results; raises ResultsError in one line."""
    if not directory.exists():
        raise ResultsError(f"{directory}: does not exist; a directory of results is accepted")
    if not directory.is_dir():
        raise ResultsError(f"{directory}: is a file; a directory of results is accepted")
    if not any(directory.iterdir()):
        raise ResultsError(f"{directory}: is empty; a directory of results is accepted")
    path = directory / "summary.json"
    if not path.is_file():
        raise ResultsError(
            f"{directory}: holds no results (summary.json is missing); a directory that "
            "stackelgrid run, compare, exactness or ensemble has written is accepted"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise ResultsError(f"{path}: holds no object; a summary of stackelgrid is accepted")
    return content


def _scenario(directory: Path) -> dict[str, Any]:
    path = directory / "scenario.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: cannot be read ({error})") from error


def _whole(line: str) -> bool:
    """Whether a line of the log has been written to its end."""
    return line.startswith("{") and line.endswith("}")


def _view(connection: duckdb.DuckDBPyConnection, name: str, files: Path) -> None:
    path = str(files).replace("'", "''")
    connection.execute(f"CREATE VIEW \"{name}\" AS FROM read_parquet('{path}')")
