"""Kill runs at random moments, many times, and compare what they come to: `make soak`.

Most kills come when a state has been saved: a resumed run then goes on from it.
"""

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any

import pandapower as pp
from support.resume_cases import CASES, differences, run_and_kill, write_case
from support.scenario_texts import village_net

from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario

INTERVALS = 6
MOST_OF_ONE_RUN = 5


def main() -> None:
    """Kill runs of all kinds in turn until there were enough kills; status 1 at a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    chance, kills, with_state, runs = random.Random(wanted.seed), 0, 0, 0
    cases = [case for case in CASES if case != "day_ahead"]  # has one step for each interval
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        net = folder / "net.json"
        pp.to_json(village_net(), str(net))
        wholes: dict[str, dict[str, Any]] = {}
        while kills < wanted.kills:
            case = cases[runs % len(cases)]
            place = folder / case
            place.mkdir(exist_ok=True)
            path, overrides = write_case(case, place, net, INTERVALS)
            if case not in wholes:
                result = run_scenario(load_scenario(str(path), overrides), place / "whole")
                wholes[case] = result.summary
            most = min(MOST_OF_ONE_RUN, wanted.kills - kills)
            out = place / f"killed{runs}"
            killed = run_and_kill(path, overrides, out, most, wholes[case], chance)
            kills += killed.all
            with_state += killed.with_state
            runs += 1
            found = differences(place / "whole", out)
            told = f"{kills} kills ({with_state} with a state) in {runs} runs"
            print(f"{told}; {case}: {found or 'equal'}", flush=True)
            if found:
                raise SystemExit(1)


if __name__ == "__main__":
    main()
