"""Tables of an exactness sweep: their columns, and how they are written and read."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_I, _F, _S, _B = pa.int32(), pa.float64(), pa.string(), pa.bool_()

# quantities that a sweep varies; empty where the scenario's own value holds
SWEPT = ("pv_scale", "load_scale", "export_price_eur_per_mwh", "vm_max_pu", "battery_scale")
CONDITIONS = ("price_condition", "voltage_condition", "line_condition")

SCHEMAS: dict[str, pa.Schema] = {
    "points": pa.schema([
        ("point", _I), *((name, _F) for name in SWEPT),
        # how the schedule came about, and what it does
        ("status", _S), ("reason", _S), ("objective_eur", _F), ("gap", _F), ("import_mwh", _F),
        ("export_mwh", _F), ("curtailed_mwh", _F),
        # what the certificate says
        ("verdict", _S), ("steps", _I), ("steps_exact", _I), ("steps_feasible", _I),
        ("steps_infeasible", _I), ("max_cone_gap_pu", _F), ("max_fictitious_loss_share", _F),
        ("fictitious_loss_mwh", _F), ("max_voltage_error_pu", _F), ("max_violation_pu", _F),
        ("worst_line", _S), ("worst_step", _I),
        # what was known before solving
        *((name, _B) for name in CONDITIONS), ("predicted_exact", _B), ("failing_line", _S),
        ("failing_direction", _S), ("min_margin", _F), ("highest_vm_pu", _F),
        ("build_s", _F), ("solve_s", _F), ("certify_s", _F),
    ]),
    "steps": pa.schema([
        ("point", _I), ("step", _I), ("verdict", _S), ("cone_gap_pu", _F),
        ("fictitious_loss_share", _F), ("voltage_error_pu", _F), ("violation_pu", _F),
        ("import_mw", _F), *((name, _B) for name in CONDITIONS), ("predicted_exact", _B),
        ("min_margin", _F),
    ]),
    "lines": pa.schema([
        ("point", _I), ("line", _S), ("max_fictitious_loss_share", _F), ("max_cone_gap_pu", _F),
        ("inexact_steps", _I), ("c1_failing_steps", _I), ("c1_fails", _B),
    ]),
}  # fmt: skip


def table_of(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Table from rows with the columns of its schema."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMAS[name])


def write_chunk(directory: Path, chunk: int, tables: Mapping[str, pa.Table]) -> None:
    """Write the parts of one chunk; it counts as done with the part of `points`, the last one."""
    for name in sorted(tables, key=lambda n: n == "points"):
        path = _part(directory, name, chunk)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(tables[name], path)


def finished_chunks(directory: Path, chunks: int) -> list[int]:
    """Numbers of the chunks that need not be computed again."""
    return [k for k in range(chunks) if _part(directory, "points", k).exists()]


def read_parts(directory: Path, name: str, chunks: Sequence[int]) -> pa.Table:
    """Rows of a table from the parts of some chunks, in the order of the points."""
    parts = [pq.read_table(_part(directory, name, k), schema=SCHEMAS[name]) for k in chunks]
    whole = pa.concat_tables(parts) if parts else SCHEMAS[name].empty_table()
    second = {"steps": ["step"]}.get(name, [])  # lines keep the order of the network
    row = pa.array(range(whole.num_rows), pa.int64())
    order = whole.append_column("_row", row).sort_by(
        [(key, "ascending") for key in ("point", *second, "_row")]
    )
    return order.drop_columns("_row").combine_chunks()


def read_table(directory: Path, name: str) -> pa.Table:
    """Rows of a table: of a finished sweep, or of the chunks that an unfinished one has done."""
    path = directory / f"{name}.parquet"
    if path.exists():
        return pq.read_table(path)
    done = sorted((directory / "points").glob("part-*.parquet"))
    if not done:  # parts are gone when all tables are whole
        return pq.read_table(path)
    return read_parts(directory, name, [int(p.stem.removeprefix("part-")) for p in done])


def merge_parts(directory: Path, chunks: int) -> None:
    """Replace the parts by one file a table."""
    for name in SCHEMAS:
        _write(read_parts(directory, name, range(chunks)), directory / f"{name}.parquet")
    for name in SCHEMAS:
        shutil.rmtree(directory / name)


def _part(directory: Path, name: str, chunk: int) -> Path:
    return directory / name / f"part-{chunk:06d}.parquet"


def _write(table: pa.Table, path: Path) -> None:
    """Write a file that appears whole or not at all."""
    unfinished = path.with_suffix(".tmp")
    pq.write_table(table, unfinished, compression="zstd")
    unfinished.rename(path)
