"""Cost of users' simulators: 100 households as entities against the same powers as profiles.

python benchmarks/simulators.py [--out DIRECTORY] [--rounds N] [--intervals N] [--step-s S ...]

The street of `quick` has 100 households besides its other customers: entities of the shipped
simulator household.py in a process of its own, or loads whose profile has the same powers. The
forecasts are the same, too, so the decisions and the powers in the tables agree. Both worlds run in
turns, after one run that loads the libraries. The table has the wall time of the whole run, of its
start, and of its intervals, and the processor time of all processes, of the fastest round each.
"""

import argparse
import os
import time
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import tomli_w

import stackelgrid as sg
from stackelgrid.controllers.networks.sources.cases import load_case
from stackelgrid.scenarios.household import Household

HOUSES, START, INTERVAL_S, HORIZON = 100, "2025-06-21T11:00", 900, 96
BASE_KW, OTHERS_KW = 0.3, 0.1
GROUPS = {"first": slice(None, HOUSES // 2), "second": slice(HOUSES // 2, None)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/simulators"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--intervals", type=int, default=8)
    parser.add_argument("--step-s", type=int, nargs="+", default=[900, 60])
    arguments = parser.parse_args()
    rows = []
    for step_s in arguments.step_s:
        rows += compared(step_s, arguments)
    table = pd.DataFrame(rows)
    table.to_csv(arguments.out / "simulators.csv", index=False)
    columns = ["wall_s", "start_s", "intervals_s", "cpu_s"]
    fastest = table.groupby(["step_s", "world"])[columns].min()
    print(fastest.round(2).to_string())
    for step_s in arguments.step_s:
        ratio = fastest.loc[(step_s, "entities")] / fastest.loc[(step_s, "profiles")]
        print(
            f"steps of {step_s} s, fastest of {arguments.rounds} rounds: {ratio.wall_s:.3f} of the "
            f"wall time, {ratio.intervals_s:.3f} in the intervals, {ratio.cpu_s:.3f} of the "
            f"processor time; load {os.getloadavg()[0]:.1f}"
        )


def compared(step_s: int, arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Run both worlds in turns; check that the powers agree."""
    folder = arguments.out / f"{step_s}s"
    folder.mkdir(parents=True, exist_ok=True)
    paths = scenarios(folder, step_s, arguments.intervals)
    sg.run(paths["profiles"], out=folder / f"first-{time.time_ns()}", report=False)
    rows: list[dict[str, object]] = []
    for number in range(arguments.rounds):
        imports = []
        for world, path in paths.items():
            out = folder / f"{world}-{number}-{time.time_ns()}"
            began, used = time.perf_counter(), sum(os.times()[:4])
            run = sg.run(path, out=out, report=False)
            wall_s, cpu_s = time.perf_counter() - began, sum(os.times()[:4]) - used
            build_s = run.summary["timings"]["build_s"]
            intervals_s = run.summary["wall_s"] - build_s
            imports.append(run.interval["p_import_mw"].to_numpy())
            rows.append({
                "step_s": step_s, "world": world, "round": number, "wall_s": wall_s,
                "start_s": wall_s - intervals_s, "intervals_s": intervals_s, "cpu_s": cpu_s,
            })  # fmt: skip
        np.testing.assert_allclose(imports[0], imports[1], atol=1e-5)
    return rows


def scenarios(folder: Path, step_s: int, intervals: int) -> dict[str, Path]:
    """Write nets, profiles and both scenarios."""
    net = load_case("european_lv_206", "street")
    buses = sorted({int(b) for b in net.load.bus})
    buses = [*buses[: HOUSES // 2], *buses[: HOUSES - HOUSES // 2]]
    customers = [str(name) for name in net.load["name"]]
    pp.to_json(net, str(folder / "entities.json"))
    for number, bus in enumerate(buses):
        pp.create_load(net, bus, 1e-3, 0.0, name=f"house {number}")
    pp.to_json(net, str(folder / "profiles.json"))

    powers = power_kw(step_s, intervals + HORIZON)
    stamps = pd.date_range(START, periods=len(powers), freq="15min", tz="Europe/Berlin")
    index = pd.Index([t.isoformat() for t in stamps], name="time")
    others = pd.DataFrame(OTHERS_KW, index, [f"{name}_kw" for name in customers])
    others.to_csv(folder / "others.csv")
    houses = pd.DataFrame(powers, index, [f"house {i}_kw" for i in range(HOUSES)])
    others.join(houses).to_csv(folder / "all.csv")
    for group, own in GROUPS.items():
        names = [f"{group} {bus}_kw" for bus in buses[own]]
        pd.DataFrame(powers[:, own], index, names).to_csv(folder / f"{group}.csv")
    return {
        "profiles": scenario(folder, "profiles", buses, intervals, "all.csv"),
        "entities": scenario(
            folder, "entities", buses, intervals, "others.csv",
            [{
                "name": "homes",
                "python": "stackelgrid.scenarios.household:Household",
                "parameters": {"step_s": step_s},
                "entities": [
                    {
                        "name": group, "model": "House", "grid": "lv1", "buses": buses[own],
                        "parameters": {"base_kw": BASE_KW}, "p": "P[kW]",
                        "forecast": {"file": f"{group}.csv"},
                    }
                    for group, own in GROUPS.items()
                ],
            }],
        ),
    }  # fmt: skip


def scenario(
    folder: Path,
    name: str,
    buses: list[int],
    intervals: int,
    loads: str,
    simulators: list[dict[str, Any]] | None = None,
) -> Path:
    """Write `quick` with another street."""
    content = tomllib.loads(files("stackelgrid.scenarios").joinpath("quick.toml").read_text())
    content |= {"name": name, "baseline": False, "simulators": simulators or []}
    content["time"]["intervals"] = intervals
    street = content["grids"][1]
    street |= {
        "case": f"{name}.json",
        "loads": {"file": loads},
        "multiplicity": 1,
        "replaces_load": False,
    }
    street["pv"] = [{"buses": buses[: HOUSES // 2 : 3], "p_mw": 0.005, "sn_mva": 0.0055}]
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(content), encoding="utf-8")
    return path


def power_kw(step_s: int, intervals: int) -> np.ndarray:
    """Mean powers of the households by interval, from the simulator itself."""
    simulator = Household()
    simulator.init("homes", step_s=step_s)
    ids = [e["eid"] for e in simulator.create(HOUSES, "House", base_kw=BASE_KW)]
    steps = []
    for second in range(0, intervals * INTERVAL_S, step_s):
        simulator.step(second, {}, second)
        data = simulator.get_data({eid: ["P[kW]"] for eid in ids})
        steps.append([data[eid]["P[kW]"] for eid in ids])
    return np.array(steps).reshape(intervals, -1, HOUSES).mean(axis=1)


if __name__ == "__main__":
    main()
