"""A run as its readers see it, from rows made by hand."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from stackelgrid.analysis.results.files import GridInfo
from stackelgrid.simulators.results.grid_tables import NETWORK
from stackelgrid.simulators.results.tables import TABLES

START = pd.Timestamp("2025-06-20T10:00", tz="UTC")
STEP = pd.Timedelta(minutes=15)
NAN = float("nan")
# what a row of interval.parquet says of a good plan of a feeder
GOOD = {
    "level": "lv", "verdict": "exact", "violation_pu": 0.0, "realised_violation_pu": 0.0,
    "violation_three_phase_pu": NAN, "fictitious_loss_share": 1e-9, "cone_gap_pu": 1e-9,
    "realised_voltage_change_pu": 0.004, "violation_before_pu": NAN,
}  # fmt: skip
_BLANK = {"string": "", "int32": 0, "bool": False, "double": NAN}


def frame(schema, rows):
    """Frame of a table; what a row does not say is empty."""
    columns = {f.name: [row.get(f.name, _BLANK.get(str(f.type))) for row in rows] for f in schema}
    return pd.DataFrame(columns)


def run_of(grids, *, directory=Path("nowhere"), summary=None, network=(), baseline=None, **tables):
    """Run with some grids (name: level, parent, copies); rows of a table need no time."""
    made = {}
    for name, declared in TABLES.items():
        absent = {c.name: 0.0 for c in declared.columns if c.missing == 0.0}
        rows = [
            {**absent, "time": START + row.get("interval", 0) * STEP, **row}
            for row in tables.get(name, ())
        ]
        made[name] = frame(declared.schema, rows)
    if network:
        (directory / "network.parquet").touch()
    return SimpleNamespace(
        grids={
            name: GridInfo(name, level, parent, 1 if parent else None, copies)
            for name, (level, parent, copies) in grids.items()
        },
        directory=directory,
        baseline=baseline,
        intervals_done=len({row["interval"] for row in tables.get("interval", ())}),
        summary=summary or {},
        status="done",
        dt_h=0.25,
        scenario={
            "time": {"timezone": "Europe/Berlin", "interval_min": 15},
            "grids": [{"name": name} for name in grids],
        },
        network=frame(NETWORK.schema, network),
        **made,
    )


def judged(interval, grid, **own):
    """Row of interval.parquet."""
    return {**GOOD, "interval": interval, "grid": grid, **own}


def voltages(interval, grid, values, column="vm_pu"):
    """Rows of bus.parquet from voltages by bus."""
    return [{"interval": interval, "grid": grid, "bus": b, column: v} for b, v in values.items()]


def limits(grid, low, high, buses):
    """Rows of network.parquet with the limits of buses."""
    own = {"grid": grid, "element": "bus", "min_vm_pu": low, "max_vm_pu": high}
    return [{**own, "index": b, "bus": b} for b in buses]
