"""Kill runs at random moments, many times, and compare what they come to: `make soak`."""

import argparse
import random
import tempfile
from pathlib import Path

import pandapower as pp
from conftest import TEXTS, village_net
from resume_cases import CASES, differences, run_and_kill, write_case

from stackelgrid.scenarios.load import load_scenario
from stackelgrid.scenarios.run import run_scenario

INTERVALS = 6
MOST_OF_ONE_RUN = 5


def main() -> None:
    """Kill runs of all kinds in turn until there were enough kills; status 1 at a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    chance, kills, runs = random.Random(wanted.seed), 0, 0
    cases = [case for case in CASES if case != "day_ahead"]  # has one step for each interval
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        net = folder / "net.json"
        pp.to_json(village_net(), str(net))
        wholes: dict[str, float] = {}
        while kills < wanted.kills:
            case = cases[runs % len(cases)]
            place = folder / case
            place.mkdir(exist_ok=True)
            path, overrides = write_case(case, place, TEXTS, net, INTERVALS)
            if case not in wholes:
                result = run_scenario(load_scenario(str(path), overrides), place / "whole")
                wholes[case] = result.summary["wall_s"]
            most = min(MOST_OF_ONE_RUN, wanted.kills - kills)
            out = place / f"killed{runs}"
            kills += run_and_kill(path, overrides, out, most, wholes[case], chance)
            runs += 1
            found = differences(place / "whole", out)
            print(f"{kills} kills in {runs} runs; {case}: {found or 'equal'}", flush=True)
            if found:
                raise SystemExit(1)


if __name__ == "__main__":
    main()
