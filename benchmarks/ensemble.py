"""Throughput of an ensemble on several workers and on one.

Days of the size of `quick` (ensemble.toml beside this file): 24 intervals, one MV feeder, one LV
community. Time is `wall_s` of summary.json: building, start of the workers, tables and pictures
count, loading of libraries and the report do not. One worker is given fewer members, throughputs
are compared.

    python benchmarks/ensemble.py [--members N] [--alone N] [--workers N]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

SCENARIO = Path(__file__).with_name("ensemble.toml")


def throughput(members: int, workers: int, folder: Path) -> tuple[float, float, int]:
    """Runs an hour, seconds, and runs of one command; its failure ends the benchmark."""
    out = folder / f"{workers}-workers"
    command = [
        sys.executable, "-m", "stackelgrid", "ensemble", str(SCENARIO), "--quiet",
        "--members", str(members), "--workers", str(workers), "--out", str(out),
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return (
        3600.0 * summary["runs_done"] / summary["wall_s"],
        summary["wall_s"],
        summary["runs_done"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--alone", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for members, workers in ((arguments.alone, 1), (arguments.members, arguments.workers)):
            found[workers], wall_s, runs = throughput(members, workers, Path(folder))
            print(
                f"{workers} workers, {members} members: {runs} runs in {wall_s:.1f} s, "
                f"{found[workers]:.0f} runs/h",
                flush=True,
            )
    if len(found) > 1:
        print(f"ratio {found[arguments.workers] / found[1]:.2f}")


if __name__ == "__main__":
    main()
