"""Tables of an exactness sweep: columns, writing and reading."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stackelgrid.analysis.study_columns import LINES, POINTS, STEPS
from stackelgrid.simulators.results.manifest import Entry, Manifest, ManifestWriter, entry_of
from stackelgrid.simulators.results.whole_file import own_folder, whole_file

SCHEMAS: dict[str, pa.Schema] = {table.name: table.schema for table in (POINTS, STEPS, LINES)}


def table_of(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Build a table from rows, with the columns of its schema."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMAS[name])


def write_chunk(directory: Path, chunk: int, tables: Mapping[str, pa.Table]) -> None:
    """Write the parts of one chunk; the chunk is done once the manifest lists them."""
    written = {}
    for name in sorted(tables, key=lambda n: n == "points"):
        path = _part(directory, name, chunk)
        own_folder(path.parent)
        written[f"{name}/{path.name}"] = _write(tables[name], path)
    ManifestWriter(directory).add(chunk, written, durable=True)


def finished_chunks(directory: Path, chunks: int) -> list[int]:
    """Return the numbers of finished chunks."""
    if _whole(directory, "points").exists():
        return list(range(chunks))
    manifest = Manifest(directory)
    manifest.read()
    return [k for k in range(chunks) if k in manifest.parts]


def read_parts(directory: Path, name: str, chunks: Sequence[int]) -> pa.Table:
    """Read a table from the parts of some chunks, in the order of the points.

    After the parts of all chunks are merged, the whole table is read.
    """
    if _whole(directory, name).exists():
        return pq.read_table(_whole(directory, name))
    parts = [pq.read_table(_part(directory, name, k), schema=SCHEMAS[name]) for k in chunks]
    whole = pa.concat_tables(parts) if parts else SCHEMAS[name].empty_table()
    second = {"steps": ["step"]}.get(name, [])  # lines keep the order of the network
    row = pa.array(range(whole.num_rows), pa.int64())
    order = whole.append_column("_row", row).sort_by(
        [(key, "ascending") for key in ("point", *second, "_row")]
    )
    return order.drop_columns("_row").combine_chunks()


def read_table(directory: Path, name: str) -> pa.Table:
    """Read a table of a finished sweep, or of the finished chunks of an unfinished one."""
    path = _whole(directory, name)
    if path.exists():
        return pq.read_table(path)
    if not any((directory / name).glob("part-*.parquet")):
        return pq.read_table(path)  # parts are removed once all tables are merged
    manifest = Manifest(directory)
    if manifest.exists:
        manifest.read()
        done = sorted(manifest.parts)
    else:  # of version 0.1
        parts = (directory / "points").glob("part-*.parquet")
        done = sorted(int(p.stem.removeprefix("part-")) for p in parts)
    return read_parts(directory, name, done)


def merge_parts(directory: Path, chunks: int) -> None:
    """Merge the parts to one file for each table; continue an interrupted merge."""
    manifest = ManifestWriter(directory)
    for name in SCHEMAS:
        path = _whole(directory, name)
        if not path.exists():
            with whole_file(path) as unfinished:
                table = read_parts(directory, name, range(chunks))
                pq.write_table(table, unfinished, compression="zstd")
                manifest.whole(name, entry_of(unfinished, table.num_rows))
    for name in SCHEMAS:
        shutil.rmtree(directory / name, ignore_errors=True)


def _whole(directory: Path, name: str) -> Path:
    return directory / f"{name}.parquet"


def _part(directory: Path, name: str, chunk: int) -> Path:
    return directory / name / f"part-{chunk:06d}.parquet"


def _write(table: pa.Table, path: Path) -> Entry:
    """Write a file atomically; return its entry for the manifest."""
    with whole_file(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd")
        return entry_of(unfinished, table.num_rows)
