"""A January week of homes: what coordination and the price of capacity are worth.

python benchmarks/winter.py --out docs [--runs DIRECTORY] [--intervals N]

Runs `winter_week` under the tariff, with a price of capacity besides, decided in the conventional
order and by all at once, and without vehicles and heat pumps. Writes winter.csv, winter_day.png and
winter_moves.png. Finished runs in DIRECTORY are read again, interrupted ones are resumed.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

import stackelgrid as sg
from stackelgrid.analysis import style
from stackelgrid.analysis.kpis.system import key_figures
from stackelgrid.simulators.results.totals import OWN_EUR

mpl.use("Agg")
import matplotlib.pyplot as plt

# about 100 EUR a year for a kW, a week's share of it
CAPACITY_EUR_PER_MW = 2000.0
PRICED = {f"templates.{name}.capacity_eur_per_mw": CAPACITY_EUR_PER_MW
          for name in ("feeder", "street")}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "tariff": {},
    "tariff and capacity": PRICED,
    "top-down": {"controller": "top_down", "baseline": False},
    "integrated": {"controller": "integrated", "baseline": False},
    "no vehicles, no heat pumps": {
        "templates.street.vehicles": [], "templates.street.heat_pumps": [], "baseline": False,
    },
}  # fmt: skip
STREETS, FEEDERS = ("lv1", "lv2"), ("mv1", "mv2")
COLOURS = {
    "without control": style.GREY,
    "tariff": style.BLUE,
    "tariff and capacity": style.VERMILION,
}
KINDS = {"vehicle": "vehicles", "heat_pump": "heat pumps", "battery": "batteries"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--runs", type=Path, default=Path("runs/winter"))
    parser.add_argument("--intervals", type=int)
    arguments = parser.parse_args()
    runs = {name: run_of(name, arguments) for name in VARIANTS}
    assert runs["tariff"].baseline is not None
    runs = {"without control": runs["tariff"].baseline, **runs}
    at_feeders = runs["tariff"].boundary["grid"].isin(FEEDERS)
    nodal = float(runs["tariff"].boundary.loc[at_feeders, "nodal_price_eur_per_mwh"].mean())
    print(f"the system's stored energy is valued at the mean nodal price, {nodal:.1f} EUR/MWh")
    table = pd.DataFrame({name: figures(run, nodal) for name, run in runs.items()})
    table.to_csv(arguments.out / "winter.csv", float_format="%.6g")
    print(table.round(3).to_string())
    mean_day(runs, arguments.out / "winter_day.png")
    moves(runs, arguments.out / "winter_moves.png")


def run_of(name: str, arguments: argparse.Namespace) -> Any:
    """Return the finished run of a variant."""
    directory = arguments.runs / name.replace(" ", "_").replace(",", "")
    if directory.exists() and sg.Run(directory).status == "done":
        return sg.Run(directory)
    if directory.exists():
        return sg.run(resume=directory)
    changes = dict(VARIANTS[name])
    if arguments.intervals:
        changes["time.intervals"] = arguments.intervals
    return sg.run("winter_week", out=directory, set=changes, report=False)


def figures(run: Any, eur_per_mwh: float) -> dict[str, float]:
    """Return the figures of one run; stored energy of the system is valued at a price."""
    stored = run.summary["stored_energy"]
    kept = eur_per_mwh * (stored["end_mwh"] - stored["start_mwh"])
    found = {f"{f.name}, {f.unit}": f.value for f in key_figures(run)}
    rows, first = run.interval, run.interval["grid"].isin(STREETS)
    grids = rows[first].groupby("grid", sort=False)
    peaks = 1e3 * grids["p_import_mw"].max()
    trafo = run.branch.query("element == 'trafo'").groupby("grid")["loading_percent"].max()
    paid = rows[first].groupby("grid")[["boundary_eur", *OWN_EUR]].sum()
    copies = rows.loc[rows["grid"] == "lv1", "copies"].iloc[0]
    value = stored["grids"]["lv1"]["value_eur"] / copies
    capacity = float((rows["capacity_eur"] * rows["copies"]).sum())
    feeders = rows[rows["grid"].isin(FEEDERS)].groupby("grid")["p_import_mw"].max()
    devices = run.device
    rooms = devices[devices["kind"] == "heat_pump"]["room_c"]
    return {
        "peak of the street lv1, kW": peaks["lv1"],
        "peak of the street lv2, kW": peaks["lv2"],
        "transformer of the street lv1, %": trafo["lv1"],
        "peak of the feeder mv1, MW": feeders["mv1"],
        "peak of the feeder mv2, MW": feeders["mv2"],
        "peak of all feeders at once, MW": found["peak exchange, MW"],
        "lowest voltage, p.u.": found["lowest voltage, p.u."],
        "highest loading, %": found["highest loading, %"],
        "bill of the street lv1 without capacity, corrected, EUR": (
            paid.loc["lv1"].sum() - paid.loc["lv1", "capacity_eur"] - value
        ),
        "capacity of the street lv1, EUR": paid.loc["lv1", "capacity_eur"],
        "leaders without capacity, corrected, EUR":
            found["leaders, corrected by stored energy, EUR"] - capacity,
        "system without capacity, corrected, EUR":
            found["system, EUR"] - kept - capacity,
        "lost in lines and transformers, MWh": found["lost in lines and transformers, MWh"],
        "coldest room, degC": float(rooms.min()) if len(rooms) else np.nan,
        "warmest room, degC": float(rooms.max()) if len(rooms) else np.nan,
        "missing at departures, MWh": float(run.dt_h * (rows["vehicle_elsewhere_mw"] *
                                                        rows["copies"]).sum()),
        "outside the comfort band, K h": float(run.dt_h * (rows["heat_pump_off_k"] *
                                                           rows["copies"]).sum()),
        "largest gap of a decision": float(rows["gap"].max()),
        "intervals with a second solve": float((rows.groupby("interval")["conic_solves"].max() > 1
                                                ).sum()),
        "exact intervals": float(run.summary["certificate"]["exact"]),
    }  # fmt: skip


def by_hour(run: Any, column: str, grid: str = "lv1") -> "pd.Series[float]":
    """Return a column's mean by hour of the day, kW of a street."""
    rows = run.interval[run.interval["grid"] == grid]
    hour = rows["time"].dt.tz_convert("Europe/Berlin").dt.hour
    return 1e3 * rows[column].groupby(hour.to_numpy()).mean()


def mean_day(runs: dict[str, Any], path: Path) -> None:
    """Draw the exchange of a street over the mean day, and its ordered duration."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.0), layout="constrained")
    for name, colour in COLOURS.items():
        values = by_hour(runs[name], "p_import_mw")
        left.stairs(values, np.arange(len(values) + 1), baseline=None, color=colour, linewidth=1.6)
        rows = runs[name].interval
        ordered = 1e3 * np.sort(rows[rows["grid"] == "lv1"]["p_import_mw"].to_numpy())[::-1]
        right.plot(np.arange(1, len(ordered) + 1), ordered, color=colour, label=name)
    left.set(xlabel="hour of the day", ylabel="import of street lv1, kW", xlim=(0, 24), ylim=0)
    left.set_title("mean day of the week", fontsize=10)
    right.set(xlabel="hours with at least this import", ylabel="kW", xlim=(1, None), ylim=0)
    right.set_title("ordered", fontsize=10)
    right.legend(frameon=False, loc="upper right")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def moves(runs: dict[str, Any], path: Path) -> None:
    """Draw the power of vehicles, heat pumps and batteries over the mean day."""
    figure, axes = plt.subplots(1, 3, figsize=(10.0, 3.4), layout="constrained", sharey=True)
    for panel, (kind, label) in zip(axes, KINDS.items(), strict=True):
        for name, colour in COLOURS.items():
            values = by_hour(runs[name], f"{kind}_p_mw")
            edges = np.arange(len(values) + 1)
            panel.stairs(values, edges, baseline=None, color=colour, linewidth=1.6, label=name)
        panel.axhline(0.0, color=style.BLACK, linewidth=0.6)
        panel.set(xlabel="hour of the day", xlim=(0, 24))
        panel.set_title(f"{label} of street lv1", fontsize=10)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("mean power, kW, positive when drawing")
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
