"""Size and time of the bilevel model of TSO-DSO coordination for 1 to 10 active networks.

Feeders of tso_dso.toml and copies of them at other buses, three copies each, 24 periods, from the
data to the audited outcome; the compiled programs are built before. The exponent is that of a
straight line through the logarithms.

    python benchmarks/scaling.py [--most N] [--gap GAP] [--out FOLDER]
"""

import argparse
import csv
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np

from stackelgrid.controllers.cascade.cascade import Cascade
from stackelgrid.controllers.decision import Pricing
from stackelgrid.controllers.leaders.feeder_records import TARIFF, UNPRICED
from stackelgrid.controllers.system import Feeder, System
from stackelgrid.scenarios.build.measured import first_measured
from stackelgrid.scenarios.build.system import BuiltScenario, build_scenario, controller_settings
from stackelgrid.scenarios.schema.load import load_scenario

mpl.use("Agg")
import matplotlib.pyplot as plt

COPIES = 3
# transmission buses of the copies, besides those of the scenario
BUSES = (2, 3, 13, 16, 22)
PRICINGS: tuple[Pricing, ...] = ("tariff", "lmp")


@dataclass(frozen=True)
class Row:
    """One line of the table; sizes are those of the leaders' program with the follower's rows."""

    pricing: str
    networks: int
    variables: int
    binaries: int
    cones: int
    pairs: int
    seconds: float
    relaxations: int
    gap: float
    follower_gap: float


def feeders(built: BuiltScenario, count: int) -> tuple[Feeder, ...]:
    """The first `count` of the scenario's feeders and their copies."""
    own = built.system.feeders
    names = [f.name for f in own]
    copies = [
        replace(f, name=f"{f.name}_copy", boundary=replace(f.boundary, bus=bus))
        for f, bus in zip(own, BUSES, strict=True)
    ]
    chosen = [*own, *copies][:count]
    assert len(names) == len(BUSES)
    return tuple(replace(f, boundary=replace(f.boundary, multiplicity=COPIES)) for f in chosen)


def measure(built: BuiltScenario, pricing: Pricing, count: int, gap: float) -> Row:
    """Decide once and read the outcome."""
    system = System(built.system.transmission, feeders(built, count), built.horizon, True)
    settings = replace(controller_settings(built.scenario, built.solvers), pricing=pricing, gap=gap)
    measured = first_measured(built)
    measured |= {f"{n}_copy": m for n, m in measured.items()}
    cascade = Cascade(system, settings)
    stage = cascade.stages[0]
    program = stage.program(TARIFF if pricing == "tariff" else UNPRICED, follower=True).program
    started = time.perf_counter()
    decision = cascade.decide(0, measured)
    seconds = time.perf_counter() - started
    (outcome,) = decision.outcomes
    assert stage.follower is not None
    return Row(
        pricing=pricing,
        networks=count,
        variables=program.variables,
        binaries=len(program.integer),
        cones=len(program.cones),
        pairs=stage.follower.compiled.program.nonneg,
        seconds=seconds,
        relaxations=max(p.report.nodes for p in decision.plans.values()),
        gap=outcome.gap,
        follower_gap=outcome.follower_gap,
    )


def exponent(rows: list[Row]) -> tuple[float, float]:
    """Exponent and factor of seconds = factor * networks ** exponent."""
    x = np.log([r.networks for r in rows])
    slope, intercept = np.polyfit(x, np.log([r.seconds for r in rows]), 1)
    return float(slope), float(np.exp(intercept))


def plot(rows: list[Row], path: Path) -> None:
    """Seconds over the number of active networks with the fitted lines, logarithmic axes."""
    figure, axes = plt.subplots(figsize=(6.5, 4.2))
    for pricing, colour in zip(PRICINGS, ("#0b5394", "#b45f06"), strict=True):
        own = [r for r in rows if r.pricing == pricing]
        slope, factor = exponent(own)
        n = np.array([r.networks for r in own], dtype=float)
        axes.plot(n, [r.seconds for r in own], "o", color=colour)
        axes.plot(n, factor * n**slope, color=colour, lw=1, label=f"{pricing}: N^{slope:.2f}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = sorted({r.networks for r in rows})
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.minorticks_off()
    axes.set_xlabel("active distribution networks")
    axes.set_ylabel("seconds from data to audited outcome")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=10, help="largest number of networks")
    parser.add_argument("--gap", type=float, default=1e-3, help="relative gap to prove")
    parser.add_argument("--out", type=Path, help="folder for benchmarks_scaling.csv and .png")
    arguments = parser.parse_args()
    built = build_scenario(load_scenario("tso_dso", ()))
    print(f"load average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    rows = []
    for pricing in PRICINGS:
        for count in range(1, arguments.most + 1):
            rows.append(measure(built, pricing, count, arguments.gap))
            r = rows[-1]
            print(
                f"{pricing:7} {count:3} {r.variables:7} variables {r.binaries:6} binaries "
                f"{r.cones:6} cones {r.pairs:5} pairs {r.seconds:7.2f} s {r.relaxations:3} "
                f"relaxations gap {r.gap:.1e} follower gap {r.follower_gap:.1e}",
                flush=True,
            )
        slope, factor = exponent([r for r in rows if r.pricing == pricing])
        print(f"{pricing}: {factor:.2f} s x N^{slope:.2f}")
    print(f"load average {os.getloadavg()[0]:.2f}")
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        with (arguments.out / "benchmarks_scaling.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(list(vars(rows[0])))
            writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in vars(r).values()]
                             for r in rows)  # fmt: skip
        plot(rows, arguments.out / "benchmarks_scaling.png")


if __name__ == "__main__":
    main()
