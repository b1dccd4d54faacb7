"""Seconds and memory a feeder: building a system of many, and its first decision, apart.

The five medium-voltage feeders of day.toml, again and again, below the IEEE 30-bus network; loads
differ from feeder to feeder as in the scenario. Each number of feeders gets a process of its own;
what pandapower's test grids cost once a process is part of building. The last column is the growth
from the row above.

    python benchmarks/feeders.py [--counts 5 10 20 40] [--build-only]
"""

import argparse
import multiprocessing
import os
import resource
import time
from dataclasses import dataclass
from typing import Any

from stackelgrid.scenarios.build.measured import first_measured
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.content import scenario_content
from stackelgrid.scenarios.schema.load import load_content

# transmission buses below which feeders are connected, in turns
BUSES = (1, 2, 3, 6, 7, 9, 11, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 25, 28, 29)


@dataclass(frozen=True)
class Row:
    """Wall and processor seconds and resident memory (MB) of one number of feeders."""

    feeders: int
    programs: int
    build_s: float
    build_cpu_s: float
    build_mb: float
    decide_s: float
    decide_cpu_s: float
    decide_mb: float


def content(count: int) -> dict[str, Any]:
    """Content of a scenario with so many feeders."""
    data, _, _ = scenario_content("day", ())
    root, *others = data["grids"]
    kinds = [grid for grid in others if grid["template"] == "feeder"]
    feeders = [
        {
            **kinds[k % len(kinds)],
            "name": f"f{k + 1}",
            "bus": BUSES[k % len(BUSES)],
            "multiplicity": 1,
            "replaces_load": False,
        }
        for k in range(count)
    ]
    return {**data, "name": f"feeders_{count}", "grids": [root, *feeders]}


def measure(count: int, *, decide: bool) -> Row:
    """Build and decide once, in a process that has done neither before."""
    loaded = load_content(content(count), {})
    wall, cpu = time.perf_counter(), time.process_time()
    built = build_scenario(loaded)
    build = time.perf_counter() - wall, time.process_time() - cpu, memory_mb()
    nan = float("nan")
    first = nan, nan, nan
    if decide:
        measured = first_measured(built)
        wall, cpu = time.perf_counter(), time.process_time()
        built.controller.decide(0, measured)
        first = time.perf_counter() - wall, time.process_time() - cpu, memory_mb()
    library = getattr(built.controller, "library")  # noqa: B009 - of the project's own controller
    return Row(count, len(library), *build, *first)


def memory_mb() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[5, 10, 20, 40])
    parser.add_argument("--build-only", action="store_true", help="do not decide")
    arguments = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    print(
        f"{'feeders':>7} {'programs':>8} {'build s':>8} {'CPU s':>7} {'MB':>6} {'decide s':>9} "
        f"{'CPU s':>7} {'MB':>6}  a feeder more: build CPU s, MB, decide CPU s"
    )
    before: Row | None = None
    for count in arguments.counts:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row = pool.apply(measure, (count,), {"decide": not arguments.build_only})
        growth = ""
        if before is not None:
            more = row.feeders - before.feeders
            growth = (
                f"{(row.build_cpu_s - before.build_cpu_s) / more:.3f}, "
                f"{(row.build_mb - before.build_mb) / more:.1f}, "
                f"{(row.decide_cpu_s - before.decide_cpu_s) / more:.3f}"
            )
        print(
            f"{row.feeders:7} {row.programs:8} {row.build_s:8.2f} {row.build_cpu_s:7.2f} "
            f"{row.build_mb:6.0f} {row.decide_s:9.2f} {row.decide_cpu_s:7.2f} "
            f"{row.decide_mb:6.0f}  {growth}",
            flush=True,
        )
        before = row


if __name__ == "__main__":
    main()
