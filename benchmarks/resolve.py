"""Building a model against preparing a re-solve, for every feeder of a scenario.

The model is built and compiled once; an interval only replaces data. The ratio is what counts:
times are of one machine in one run.

    python benchmarks/resolve.py [SCENARIO] [--repeat N]
"""

import argparse
import statistics
import time

import numpy as np

from stackelgrid.controllers.models.active_network import active_network_data, active_network_model
from stackelgrid.controllers.schedule import BoundaryProfile, Measurement
from stackelgrid.controllers.solvers import ClarabelSolver, compile_model
from stackelgrid.controllers.solvers.conic import parameter_vector
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.load import load_scenario


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="?", default="day")
    parser.add_argument("--repeat", type=int, default=20)
    arguments = parser.parse_args()
    built = build_scenario(load_scenario(arguments.scenario))
    print(
        f"{'grid':8} {'variables':>9} {'rows':>7} {'cones':>6} {'build s':>8} {'prepare s':>10} "
        f"{'prepare/build':>13} {'solve s':>8}"
    )
    worst = 0.0
    for name, agent in built.controller.agents.items():
        feeder, program = agent.feeder, agent.compiled.program
        measured = Measurement(1.0, 0, feeder.devices.initial)
        quiet = np.zeros(built.horizon.length)
        lower = {
            n: BoundaryProfile(quiet, quiet) for n in (f.name for f in built.system.children(name))
        }

        started = time.perf_counter()
        model = active_network_model(*agent.model_arguments)
        compiled = compile_model(model, active_network_data(model))
        solver = ClarabelSolver(compiled.program)
        build = time.perf_counter() - started

        prepare, solve = [], []
        for k in range(arguments.repeat):
            started = time.perf_counter()
            instance = agent.prepare(k % built.scenario.time.intervals, measured, lower)
            p = parameter_vector(agent.compiled.parameters, instance.values)
            data = program.data(p)
            prepare.append(time.perf_counter() - started)
            if k < 3:
                solve.append(solver.solve(data).solve_s)
        typical = statistics.median(prepare)
        worst = max(worst, typical / build)
        print(
            f"{name:8} {program.variables:9} {program.rows:7} {len(program.cones):6} {build:8.3f} "
            f"{typical:10.5f} {typical / build:13.5f} {statistics.median(solve):8.3f}"
        )
    print(f"worst prepare/build {worst:.5f}; at most 0.1 is asked")


if __name__ == "__main__":
    main()
