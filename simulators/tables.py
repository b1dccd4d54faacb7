"""Tables of a run directory: their columns, declared once, and how they are written as a run goes.

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

_I, _F, _S, _B = pa.int32(), pa.float64(), pa.string(), pa.bool_()
_KEY = [("interval", _I), ("time", pa.timestamp("ms", tz="UTC")), ("grid", _S)]

SCHEMAS: dict[str, pa.Schema] = {
    "interval": pa.schema([
        *_KEY, ("level", _S), ("copies", _I),
        # how the schedule came about
        ("solver", _S), ("status", _S), ("iterations", _I), ("gap", _F), ("solver_violation", _F),
        ("objective_eur", _F), ("gap_eur", _F), ("flexible_gap", _F), ("nodes", _I),
        ("conic_solves", _I), ("fallback", _B), ("fallback_reason", _S), ("solve_s", _F),
        ("simultaneous_mw", _F),
        # plan against power flow at the scheduled injections
        ("verdict", _S), ("cone_gap_pu", _F), ("fictitious_loss_mw", _F),
        ("fictitious_loss_share", _F), ("voltage_error_pu", _F), ("loss_error_mw", _F),
        ("import_error_mw", _F), ("violation_pu", _F), ("worst", _S),
        # the whole horizon of the plan
        ("horizon_exact", _I), ("horizon_feasible", _I), ("horizon_infeasible", _I),
        ("horizon_cone_gap_pu", _F), ("horizon_fictitious_loss_share", _F),
        ("horizon_violation_pu", _F),
        # the plan phase by phase
        ("verdict_three_phase", _S), ("violation_three_phase_pu", _F), ("worst_three_phase", _S),
        ("horizon_infeasible_three_phase", _I), ("unbalance_pu", _F), ("unbalance_percent", _F),
        ("min_vm_a_pu", _F), ("min_vm_b_pu", _F), ("min_vm_c_pu", _F),
        ("max_vm_a_pu", _F), ("max_vm_b_pu", _F), ("max_vm_c_pu", _F),
        # how a plan was mended that was not exact
        ("recovery", _S), ("recovery_tried", _S), ("recovery_decisions", _I),
        ("verdict_before", _S), ("violation_before_pu", _F), ("recovery_eur", _F),
        # what happened at realised load and PV
        ("realised_violation_pu", _F), ("realised_worst", _S), ("realised_voltage_change_pu", _F),
        # what happened, of one copy
        ("p_import_mw", _F), ("q_import_mvar", _F), ("p_import_planned_mw", _F),
        ("load_p_mw", _F), ("load_q_mvar", _F), ("lower_p_mw", _F), ("pv_p_mw", _F),
        ("pv_available_mw", _F), ("battery_p_mw", _F), ("battery_e_mwh", _F), ("unit_p_mw", _F),
        ("loss_mw", _F), ("balance_error_mw", _F), ("min_vm_pu", _F), ("max_vm_pu", _F),
        ("max_loading_percent", _F), ("rounds", _I), ("energy_handover_error_mwh", _F),
        ("boundary_eur", _F), ("retail_eur", _F), ("fee_eur", _F), ("wear_eur", _F),
        ("curtailment_eur", _F), ("generation_eur", _F),
    ]),
    "bus": pa.schema([
        *_KEY, ("bus", _I), ("vm_pu", _F), ("va_degree", _F), ("p_mw", _F), ("q_mvar", _F),
        ("price_eur_per_mwh", _F), ("vm_planned_pu", _F), ("vm_certified_pu", _F),
    ]),
    "branch": pa.schema([
        *_KEY, ("element", _S), ("index", _I), ("p_from_mw", _F), ("q_from_mvar", _F),
        ("p_to_mw", _F), ("q_to_mvar", _F), ("pl_mw", _F), ("i_ka", _F), ("loading_percent", _F),
        ("cone_gap_pu", _F), ("fictitious_loss_mw", _F), ("loading_certified_percent", _F),
    ]),
    "device": pa.schema([
        *_KEY, ("element", _S), ("index", _I), ("name", _S), ("kind", _S), ("bus", _I),
        ("phase", _S), ("p_mw", _F), ("q_mvar", _F), ("asked_mw", _F), ("available_mw", _F),
        ("e_mwh", _F), ("soc_percent", _F),
    ]),
    "boundary": pa.schema([
        *_KEY, ("parent", _S), ("parent_bus", _I), ("multiplicity", _I), ("kind", _S),
        ("p_mw", _F), ("q_mvar", _F), ("p_planned_mw", _F), ("vm_pu", _F), ("tap_pos", _I),
        ("mismatch_mva", _F), ("mismatch_pu", _F), ("import_eur_per_mwh", _F),
        ("export_eur_per_mwh", _F), ("nodal_price_eur_per_mwh", _F),
    ]),
    "trade": pa.schema([
        *_KEY, ("bus", _I), ("market", _S), ("side", _S), ("p_mw", _F), ("price_eur_per_mwh", _F),
        ("fee_eur_per_mwh", _F),
    ]),
    "stage": pa.schema([
        *_KEY, ("scheme", _S), ("pricing", _S), ("objective_eur", _F), ("bound_eur", _F),
        ("gap", _F), ("leader_eur", _F), ("payment_eur", _F), ("follower_eur", _F),
        ("total_eur", _F), ("follower_returned_eur", _F), ("follower_min_eur", _F),
        ("follower_max_eur", _F), ("follower_gap", _F), ("rounds", _I), ("message", _S),
        ("solve_s", _F),
    ]),
    "dispatch": pa.schema([
        *_KEY, ("step", _I), ("dt_h", _F), ("element", _S), ("index", _I), ("p_mw", _F),
    ]),
    "certificate": pa.schema([
        *_KEY, ("step", _I), ("dt_h", _F), ("verdict", _S), ("cone_gap_pu", _F),
        ("fictitious_loss_mw", _F), ("fictitious_loss_share", _F), ("voltage_error_pu", _F),
        ("loss_error_mw", _F), ("import_error_mw", _F), ("violation_pu", _F), ("worst", _S),
        ("verdict_three_phase", _S), ("violation_three_phase_pu", _F), ("worst_three_phase", _S),
        ("unbalance_pu", _F), ("unbalance_percent", _F),
    ]),
    "phase": pa.schema([
        *_KEY, ("bus", _I), ("vm_a_pu", _F), ("vm_b_pu", _F), ("vm_c_pu", _F),
        ("unbalance_percent", _F),
    ]),
    "schedule": pa.schema([
        *_KEY, ("step", _I), ("dt_h", _F), ("element", _S), ("index", _I), ("p_mw", _F),
        ("q_mvar", _F), ("e_mwh", _F),
    ]),
    # negotiations: what a coordinator saw, what became of the messages, who holds what
    "round": pa.schema([
        *_KEY, ("round", _I), ("fixed", _B), ("answers", _I), ("open_share", _F),
        ("volume_mwh", _F), ("cut_eur", _F), ("price_apart", _F), ("price_moved", _F),
        ("exchange_apart_mw", _F), ("penalty_min", _F), ("penalty_max", _F), ("limits", _B),
    ]),
    "negotiation": pa.schema([
        *_KEY, ("committed", _S), ("reason", _S), ("attempts", _I), ("rounds", _I),
        ("agreement_after_sec", _F), ("members", _I), ("confirmed", _I), ("silent", _I),
        ("in_doubt", _I), ("settled", _I), ("silent_agents", _S), ("in_doubt_agents", _S),
        ("settled_agents", _S), ("sent", _I), ("delivered", _I), ("lost", _I), ("in_outage", _I),
        ("duplicated", _I), ("reordered", _I), ("bytes_sent", _I), ("refused", _I),
        ("ignored", _I), ("mixtures", _F), ("mixtures_checked", _I), ("worst_mixture_pu", _F),
        ("failures", _S),
    ]),
    "commitment": pa.schema([
        *_KEY, ("follower", _S), ("version", _S), ("on_new", _B), ("in_doubt", _B),
        ("silent", _B),
    ]),
}  # fmt: skip


class TableWriter:
    """Writes parts of the tables of one run directory and merges them at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._not_synced: list[Path] = []

    def write_part(self, table: str, interval: int, columns: Mapping[str, Any]) -> None:
        """Write the rows of one interval; the file appears whole or not at all."""
        schema = SCHEMAS[table]
        data = pa.table([pa.array(columns[n], t) for n, t in _fields(schema)], schema=schema)
        folder = self.directory / table
        folder.mkdir(exist_ok=True)
        part = folder / f"part-{interval:06d}.parquet"
        unfinished = part.with_suffix(".tmp")
        pq.write_table(data, unfinished, compression="zstd")
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
            unfinished.rename(self.directory / f"{table}.parquet")
            if folder.exists():  # a run without a lower grid has no boundary, one without plans ...
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


def _fields(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    return [(field.name, field.type) for field in schema]
