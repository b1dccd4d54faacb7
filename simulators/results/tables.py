"""Tables of a run directory, written interval by interval.

Every interval becomes one Parquet part, because a Parquet file that was never closed cannot be
read; at the end the parts are merged into one file a table. Readers accept both forms.
"""

import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.simulators.results.columns import BOOL, FLOAT, INT, UTC_TIME, S, Table
from stackelgrid.simulators.results.decision_tables import COMMITMENT, NEGOTIATION, ROUND, STAGE
from stackelgrid.simulators.results.device_tables import DEVICE, DISPATCH, SCHEDULE, TRADE
from stackelgrid.simulators.results.grid_tables import BOUNDARY, BRANCH, BUS
from stackelgrid.simulators.results.interval_table import CERTIFICATE, INTERVAL, PHASE
from stackelgrid.simulators.results.manifest import Entry, Manifest, ManifestWriter, entry_of
from stackelgrid.simulators.results.whole_file import own_folder, sync, whole_file

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        INTERVAL, BUS, BRANCH, DEVICE, BOUNDARY, TRADE, CERTIFICATE, PHASE, SCHEDULE, STAGE,
        DISPATCH, ROUND, NEGOTIATION, COMMITMENT,
    )
}  # fmt: skip
# tables with few rows, whose columns stay in memory for totals of the run
_KEPT = (INTERVAL, BOUNDARY, STAGE, ROUND, NEGOTIATION, COMMITMENT)
# units and meanings are metadata of the fields in whole tables; parts may lack them
SCHEMAS: dict[str, pa.Schema] = {name: t.schema for name, t in TABLES.items()}
_DTYPES = {INT: np.int32, FLOAT: np.float64, BOOL: np.bool_}
_PLAIN = {name: pa.schema([(c.name, c.type) for c in t.columns]) for name, t in TABLES.items()}


class TableWriter:
    """Writes parts of the tables of one run directory and merges them at the end.

    Committed parts are listed in the manifest of the directory, if it has one.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._not_synced: list[Path] = []
        self._written: dict[str, Entry] = {}
        self._manifest = ManifestWriter(directory)

    def write_part(self, table: str, interval: int, columns: Mapping[str, Any]) -> None:
        """Write the rows of one interval; the file appears whole or not at all."""
        schema = _PLAIN[table]
        data = pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
        part = own_folder(self.directory / table) / f"part-{interval:06d}.parquet"
        with whole_file(part, durable=False) as unfinished:
            pq.write_table(data, unfinished, compression="zstd")
            self._written[f"{table}/{part.name}"] = entry_of(unfinished, data.num_rows)
        self._not_synced.append(part)

    def commit(self, interval: int, *, durable: bool) -> None:
        """List the parts of an interval in the manifest.

        If `durable`, the entry survives a loss of power.
        """
        if durable:
            for path in [*self._not_synced, *sorted({p.parent for p in self._not_synced})]:
                sync(path)
        self._manifest.add(interval, self._written, durable=durable)
        self._not_synced, self._written = [], {}

    def remove_from(self, interval: int) -> None:
        """Remove the parts from an interval on, and unfinished files."""
        if Manifest(self.directory).exists:
            self._manifest.keep_before(interval)
        for table in SCHEMAS:
            for part in (self.directory / table).glob("part-*"):
                number = re.fullmatch(r"part-(\d+)\.parquet", part.name)
                if number is None or int(number[1]) >= interval:
                    part.unlink()

    def merge(self) -> None:
        """Replace the parts of every table by one file; continues an interrupted merge."""
        manifest = Manifest(self.directory)
        if manifest.exists:
            manifest.read()
        for table, schema in SCHEMAS.items():
            folder, path = self.directory / table, self.directory / f"{table}.parquet"
            if path.exists():
                shutil.rmtree(folder, ignore_errors=True)
                continue
            rows = 0
            with whole_file(path) as unfinished:
                with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
                    for part in sorted(folder.glob("part-*.parquet")):
                        data = pq.read_table(part, schema=schema)
                        rows += data.num_rows
                        writer.write_table(data)
                if manifest.exists:
                    _check_rows(path, rows, manifest)
                    self._manifest.whole(table, entry_of(unfinished, rows))
            if folder.exists():  # a run without a lower grid has no boundary, one without plans ...
                sync(self.directory)  # the whole is on disk before parts are removed
                shutil.rmtree(folder)
        if manifest.exists:
            self._manifest.settle()


class WholeTables(TableWriter):
    """Writes each table as one file without parts, for a run that begins again if interrupted.

    A context manager; rows are written about `row_group` at a time.
    """

    def __init__(self, directory: Path, row_group: int = 65_536) -> None:
        super().__init__(directory)
        self._row_group = row_group
        self._files = ExitStack()
        self._writers: dict[str, pq.ParquetWriter] = {}
        self._waiting: dict[str, list[pa.Table]] = {name: [] for name in SCHEMAS}

    def __enter__(self) -> Self:
        """Open the files; they replace those of the directory if the block ends without error."""
        for name, schema in SCHEMAS.items():
            path = self._files.enter_context(
                whole_file(self.directory / f"{name}.parquet", durable=False)
            )
            writer = pq.ParquetWriter(path, schema, compression="zstd")
            self._writers[name] = self._files.enter_context(writer)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            for name in SCHEMAS:
                self._write(name)
        self._files.__exit__(kind, error, traceback)

    def write_part(self, table: str, interval: int, columns: Mapping[str, Any]) -> None:
        """Add the rows of one interval."""
        schema, waiting = SCHEMAS[table], self._waiting[table]
        arrays = [pa.array(columns[f.name], f.type) for f in schema]
        waiting.append(pa.table(arrays, schema=schema))
        if sum(len(rows) for rows in waiting) >= self._row_group:
            self._write(table)

    def _write(self, table: str) -> None:
        if self._waiting[table]:
            self._writers[table].write_table(pa.concat_tables(self._waiting[table]))
            self._waiting[table] = []


class KeptRows:
    """Rows of a table so far: `rows["gap"]` is the column of all of them, in their order."""

    def __init__(self, table: Table) -> None:
        self._parts: dict[str, list[Any]] = {
            column.name: [np.zeros(0, dtype=_DTYPES.get(column.type, object))]
            for column in table.columns
            if column.type != UTC_TIME
        }

    def add(self, columns: Mapping[str, Any]) -> None:
        """Add the rows of an interval."""
        for name, parts in self._parts.items():
            parts.append(np.asarray(columns[name], dtype=parts[0].dtype))

    def __getitem__(self, name: str) -> Any:
        parts = self._parts[name]
        if len(parts) > 1:
            parts[:] = [np.concatenate(parts)]
        return parts[0]


class RunTables:
    """Tables of a run: rows are written interval by interval; those for totals are kept.

    writer: destination of the rows.
    times: start of every interval.
    """

    def __init__(self, writer: TableWriter, times: pd.DatetimeIndex) -> None:
        self.writer, self._times = writer, times.tz_convert("UTC").as_unit("ms")
        self.intervals_done = 0
        # states of the devices at the end of the last recorded interval, by grid
        self.states: dict[str, Mapping[str, Floats]] = {}
        self.kept = {table.name: KeptRows(table) for table in _KEPT}

    def highest_imports_mw(self) -> dict[str, float]:
        """Return the highest recorded import of each grid."""
        rows = self.kept["interval"]
        grids, imports = rows["grid"], rows["p_import_mw"]
        return {
            str(name): max(float(imports[grids == name].max()), 0.0) for name in np.unique(grids)
        }

    def write(
        self, table: Table[S], interval: int, sources: Iterable[tuple[Any, S]]
    ) -> dict[str, Any]:
        """Write and return the rows of the sources (`Table.rows`) in an interval."""
        columns = table.rows(interval, self._times[interval].to_datetime64(), sources)
        if len(columns["interval"]):
            self.writer.write_part(table.name, interval, columns)
            if table.name in self.kept:
                self.kept[table.name].add(columns)
        return columns

    def resume(self, interval: int, states: Mapping[str, Mapping[str, Floats]]) -> None:
        """Remove the rows from an interval on; `states` are those recorded before."""
        self.writer.remove_from(interval)
        self.intervals_done, self.states = interval, dict(states)
        for name, rows in self.kept.items():
            rows.add(read_table(self.writer.directory, name).to_pydict())


def _check_rows(path: Path, rows: int, manifest: Manifest) -> None:
    """Raise StackelgridError if the parts have other rows than were written."""
    listed = sum(
        entry.rows or 0
        for files in manifest.parts.values()
        for name, entry in files.items()
        if name.startswith(f"{path.stem}/")
    )
    if rows != listed:
        raise StackelgridError(f"{path}: its parts have {rows} rows, {listed} were written")


def read_table(directory: Path, table: str) -> pa.Table:
    """Read a table of a finished or an unfinished run."""
    whole = directory / f"{table}.parquet"
    if whole.exists():
        return pq.read_table(whole)
    parts = sorted(str(p) for p in (directory / table).glob("part-*.parquet"))
    return ds.dataset(parts, schema=SCHEMAS[table], format="parquet").to_table()
