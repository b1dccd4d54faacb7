"""Tables of a run directory, and how they are written as a run goes.

Every interval becomes one Parquet part, because a Parquet file that was never closed cannot be
read; at the end the parts are merged into one file a table. Readers take both forms.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from stackelgrid.simulators.columns import Table
from stackelgrid.simulators.result_columns import GRID_TABLES
from stackelgrid.simulators.result_columns_decisions import NEGOTIATION_TABLES, STAGE_TABLES

TABLES: dict[str, Table] = {t.name: t for t in (*GRID_TABLES, *STAGE_TABLES, *NEGOTIATION_TABLES)}
# with units and meanings as metadata of the fields: whole tables carry them, parts need not
SCHEMAS: dict[str, pa.Schema] = {name: t.schema for name, t in TABLES.items()}
_PLAIN = {name: pa.schema([(c.name, c.type) for c in t.columns]) for name, t in TABLES.items()}


class TableWriter:
    """Writes parts of the tables of one run directory and merges them at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._not_synced: list[Path] = []

    def write_part(self, table: str, interval: int, columns: Mapping[str, Any]) -> None:
        """Write the rows of one interval; the file appears whole or not at all."""
        schema = _PLAIN[table]
        data = pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
        folder = self.directory / table
        folder.mkdir(exist_ok=True)
        part = folder / f"part-{interval:06d}.parquet"
        unfinished = part.with_suffix(".tmp")
        try:
            pq.write_table(data, unfinished, compression="zstd")
        except BaseException:  # a full disk, Ctrl-C
            unfinished.unlink(missing_ok=True)
            raise
        unfinished.rename(part)
        self._not_synced.append(part)

    def sync(self) -> None:
        """Make the parts written so far survive a loss of power."""
        for path in [*self._not_synced, *sorted({p.parent for p in self._not_synced})]:
            sync(path)
        self._not_synced = []

    def remove_from(self, interval: int) -> None:
        """Remove the parts from an interval on, and what was not finished."""
        for table in SCHEMAS:
            folder = self.directory / table
            for part in folder.glob("part-*"):
                if part.suffix == ".tmp" or int(part.stem.removeprefix("part-")) >= interval:
                    part.unlink()

    def merge(self) -> None:
        """Replace the parts of every table by one file; goes on where it was interrupted."""
        for table, schema in SCHEMAS.items():
            folder = self.directory / table
            if (self.directory / f"{table}.parquet").exists():
                shutil.rmtree(folder, ignore_errors=True)
                continue
            parts = sorted(folder.glob("part-*.parquet"))
            unfinished = self.directory / f"{table}.tmp"
            with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
                for part in parts:
                    writer.write_table(pq.read_table(part, schema=schema))
            sync(unfinished)
            unfinished.rename(self.directory / f"{table}.parquet")
            if folder.exists():  # a run without a lower grid has no boundary, one without plans ...
                sync(self.directory)  # a loss of power takes parts only where there is the whole
                shutil.rmtree(folder)


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, survive a loss of power; raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_table(directory: Path, table: str) -> pa.Table:
    """Read a table of a finished or an unfinished run."""
    whole = directory / f"{table}.parquet"
    if whole.exists():
        return pq.read_table(whole)
    parts = sorted(str(p) for p in (directory / table).glob("part-*.parquet"))
    return ds.dataset(parts, schema=SCHEMAS[table], format="parquet").to_table()
