"""Lines, table and picture of benchmarks/misocp.py."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

GAPS = (1e-3, 1e-4)
OURS = "misocp"
ROUNDED = ("seconds", "again_s", "build_s", "gap", "root_gap", "trade_mwh")


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    instance: str
    variables: int
    rows: int
    binaries: int
    cones: int
    trade_mwh: float
    solver: str
    wanted_gap: float
    seconds: float
    again_s: float | None
    closed: bool
    nodes: int
    conic_solves: int | None
    objective: float
    bound: float
    gap: float
    root_gap: float | None
    build_s: float


HEADER = (
    f"{'instance':26} {'variables':>9} {'rows':>7} {'binaries':>8} {'cones':>6} {'trade MWh':>9} "
    f"{'solver':8} {'to gap':>6} {'seconds':>8} {'again':>6} {'nodes':>6} {'conic':>5} "
    f"{'objective':>12} {'bound':>12} {'gap':>8} {'root gap':>8}"
)


def show(row: Row) -> None:
    """Print one line."""
    mark = " " if row.closed else ">"
    conic = "" if row.conic_solves is None else str(row.conic_solves)
    again = "" if row.again_s is None else f"{row.again_s:.3f}"
    root = "" if row.root_gap is None else f"{row.root_gap:.1e}"
    print(
        f"{row.instance:26} {row.variables:9} {row.rows:7} {row.binaries:8} {row.cones:6} "
        f"{row.trade_mwh:9.2f} {row.solver:8} {row.wanted_gap:6.0e} {mark}{row.seconds:7.3f} "
        f"{again:>6} {row.nodes:6} {conic:>5} {row.objective:12.4f} {row.bound:12.4f} "
        f"{row.gap:8.1e} {root:>8}",
        flush=True,
    )


def ratios(rows: Sequence[Row], limit_s: float) -> None:
    """Print SCIP's time over ours to the first gap; a stopped SCIP counts with its limit."""
    ours = {r.instance: r for r in rows if r.solver == OURS and r.wanted_gap == GAPS[0]}
    for row in rows:
        if row.solver == "scip" and row.wanted_gap == GAPS[0]:
            seconds = row.seconds if row.closed else limit_s
            sign = "" if row.closed else "more than "
            own = ours[row.instance]
            again = f"{seconds / own.again_s:.0f}" if own.again_s else "-"
            print(
                f"{row.instance}: scip takes {sign}{seconds / own.seconds:.0f} times as long to "
                f"{GAPS[0]:.0e}, {again} times as long as the next solve"
            )


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write all rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {
                    k: f"{v:.6g}" if k in ROUNDED and v is not None else v
                    for k, v in asdict(row).items()
                }
            )


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw seconds to both gaps by instance and solver, on a logarithmic axis."""
    instances = list(dict.fromkeys(r.instance for r in rows))
    series = list(dict.fromkeys((r.solver, r.wanted_gap) for r in rows))
    series.sort(key=lambda s: (s[0] != OURS, s[0], -s[1]))
    colours = {OURS: ("#0b5394", "#9fc5e8"), "scip": ("#b45f06", "#f9cb9c")}
    height = 0.8 / len(series)
    figure, axes = plt.subplots(figsize=(9.0, 0.5 + 0.8 * len(instances)))
    for k, (solver, gap) in enumerate(series):
        shade = colours.get(solver, ("#38761d", "#b6d7a8"))[GAPS.index(gap)]
        label = f"{solver}, gap {gap:.0e}"
        for row in rows:
            if (row.solver, row.wanted_gap) != (solver, gap):
                continue
            y = instances.index(row.instance) + (k - (len(series) - 1) / 2) * height
            axes.barh(y, row.seconds, 0.9 * height, color=shade, label=label)
            label = "_"
            left = f"{row.gap:.0e} left" if np.isfinite(row.gap) else "no point"
            text = f"{row.seconds:.2g} s"
            if not row.closed:
                text = f"stopped at {row.seconds:.0f} s, {left}"
            axes.text(1.08 * row.seconds, y, text, va="center", fontsize=7)
    axes.set_xscale("log")
    axes.set_xlim(0.05, 20.0 * max(r.seconds for r in rows))
    axes.set_yticks(range(len(instances)), instances)
    axes.invert_yaxis()
    axes.set_xlabel("seconds from the compiled program to the solution")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
