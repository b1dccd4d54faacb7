"""Our mixed-integer conic driver against SCIP (and MOSEK, Gurobi where licensed), in one run.

Every solver gets the same conic program, data and gap. Seconds count from the compiled program to
the solution, the creation of the solver object included; "again" are those of the next solve with
the same object, as in every interval but the first. A solver stopped at its limit is shown with
that limit. SCIP's gap is that of its own point and bound. Ratios are what counts: times are of one
machine in one run, whose load average is printed.

    python benchmarks/misocp.py [--limit SECONDS] [--only TEXT] [--out FOLDER]
"""

import argparse
import os
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from misocp_report import GAPS, HEADER, OURS, Row, plot, ratios, show, write_table

from stackelgrid.controllers.cascade.cascade import Cascade
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.leaders.feeder_records import FeederInstance
from stackelgrid.controllers.leaders.leader_program import LeaderProgram
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.controllers.solvers.backends.scip import ScipSolver
from stackelgrid.controllers.solvers.conic import ProgramData
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions, MixedSolution
from stackelgrid.controllers.solvers.registry import Choice, available_backends
from stackelgrid.controllers.solvers.registry import mixed_integer_solver as backend
from stackelgrid.profiles.arrays import Floats, Ints
from stackelgrid.scenarios.build.measured import first_measured
from stackelgrid.scenarios.build.system import BuiltScenario, build_scenario
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.simulators.blas_threads import one_blas_thread

FEEDERS = ("mv1", "mv2", "mv3", "mv4", "mv5")
COMMUNITIES = ("lv1", "lv2", "lv3", "lv4", "lv5", "lv6")
# paid for consuming at noon: cones open; without wear relaxed batteries also burn energy
NEGATIVE_NOON = (
    "tariffs.mv.periods=["
    '{from="00:00",import=70.0,export=50.0},{from="07:00",import=95.0,export=70.0},'
    '{from="11:00",import=-30.0,export=-31.0},{from="15:00",import=60.0,export=40.0},'
    '{from="17:00",import=125.0,export=100.0},{from="21:00",import=80.0,export=55.0}]',
)
NO_WEAR = "templates.feeder.batteries.0.wear_eur_per_mwh=0.0"


@dataclass(frozen=True)
class Case:
    """A case: feeders of a scenario, with or without the transmission network's rows."""

    name: str
    scenario: str
    feeders: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    transmission: bool = False
    rivals: bool = True  # other solvers take part


CASES = (
    Case("1 ADN", "tso_dso", FEEDERS[:1]),
    Case("1 ADN (village)", "tso_dso", FEEDERS[4:]),
    Case("3 ADNs", "tso_dso", ("mv1", "mv2", "mv5")),
    Case("5 ADNs", "tso_dso", FEEDERS, rivals=False),
    Case("5 ADNs + TN", "tso_dso", FEEDERS, transmission=True),
    Case("5 ADNs, -30", "tso_dso", FEEDERS, NEGATIVE_NOON, rivals=False),
    Case("5 ADNs, -30, no wear", "tso_dso", FEEDERS, (*NEGATIVE_NOON, NO_WEAR), rivals=False),
    Case("1 LV community", "lv_mv", COMMUNITIES[:1]),
    Case("6 LV communities", "lv_mv", COMMUNITIES, rivals=False),
)


@dataclass(frozen=True)
class Instance:
    """A joined program, its data, and how to read the trade across feeders."""

    joined: LeaderProgram
    data: ProgramData
    across: tuple[tuple[Ints, float], ...]
    build_s: float

    def trade_mwh(self, x: Floats) -> float:
        """Energy traded across feeders, bought side, all copies; NaN without a point."""
        if not len(x):
            return float("nan")
        return float(sum(factor * x[columns].sum() for columns, factor in self.across))


def build(case: Case) -> Instance:
    """Program and data of the feeders, as the cascade decides them at the tariff."""
    built = build_scenario(load_scenario(case.scenario, case.overrides))
    started = time.perf_counter()
    controller = built.controller
    assert isinstance(controller, Cascade)
    agents = {n: controller.agents[n] for n in case.feeders}
    follower = controller.tso if case.transmission else None
    joined = LeaderProgram(agents, MixedOptions(), follower=follower)
    instances = {n: _prepare(built, n, a) for n, a in agents.items()}
    data = joined.data(instances, None if follower is None else follower.parameters(0))
    hours = built.horizon.dt_h
    if not np.allclose(hours, hours[0]):
        raise ValueError("steps of equal length are accepted")
    across = tuple(
        (
            joined.columns(n, "across_buy"),
            joined.weight(n) * a.feeder.network.base_mva * float(hours[0]),
        )
        for n, a in agents.items()
        if f"{n}.across_buy" in joined.compiled.columns
    )
    return Instance(joined, data, across, time.perf_counter() - started)


def _prepare(built: BuiltScenario, name: str, agent: FeederAgent) -> FeederInstance:
    """Data of the first decision; grids below draw nothing."""
    quiet = np.zeros(built.horizon.length)
    lower = {f.name: BoundaryProfile(quiet, quiet) for f in built.system.children(name)}
    return agent.prepare(0, first_measured(built)[name], lower)


def measure_ours(case: Case, instance: Instance, gap: float, limit_s: float, repeat: int) -> Row:
    """Our driver; the median of its times where it is repeated."""
    seconds, again = [], []
    for _ in range(repeat):
        known = instance.joined
        joined = LeaderProgram(known.agents, MixedOptions(), follower=known.follower)
        started = time.perf_counter()
        solution = joined.solver.solve(instance.data, gap, limit_s)
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        joined.solver.solve(instance.data, gap, limit_s)
        again.append(time.perf_counter() - started)
        if seconds[-1] > 20.0:
            break
    assert isinstance(solution, MixedSolution)
    relaxed = solution.relaxation.bound
    root = (solution.objective - relaxed) / max(1.0, abs(solution.objective))
    return replace(
        _row(case, instance, OURS, gap, statistics.median(seconds), solution),
        again_s=statistics.median(again),
        conic_solves=solution.conic_solves,
        root_gap=max(root, 0.0),
    )


def measure_scip(case: Case, instance: Instance, gap: float, limit_s: float) -> Row:
    """SCIP, judged by its own point and bound (its point may open a cone a little)."""
    program, data = instance.joined.program, instance.data
    started = time.perf_counter()
    claim = ScipSolver(program).claim(data, gap, limit_s)
    seconds = time.perf_counter() - started
    x, objective, left = np.zeros(0), float("nan"), float("inf")
    if claim.x is not None and bool(np.isfinite(claim.x).all()):
        x, objective = claim.x, program.objective(claim.x, data)
        left = max(objective - claim.bound, 0.0) / max(1.0, abs(objective))
    own = SimpleNamespace(
        x=x,
        status="optimal" if left <= gap else "limit",
        nodes=claim.nodes,
        objective=objective,
        bound=claim.bound,
        gap=left,
    )
    return _row(case, instance, "scip", gap, seconds, own)


def measure_licensed(
    case: Case, instance: Instance, choice: Choice, gap: float, limit_s: float
) -> Row:
    """A solver with a licence."""
    started = time.perf_counter()
    solution = backend(choice, instance.joined.program).solve(instance.data, gap, limit_s)
    seconds = time.perf_counter() - started
    return _row(case, instance, choice.name, gap, seconds, solution)


def _row(
    case: Case, instance: Instance, solver: str, gap: float, seconds: float, solution: Any
) -> Row:
    program = instance.joined.program
    return Row(
        instance=case.name,
        variables=program.variables,
        rows=program.rows,
        binaries=len(program.integer),
        cones=len(program.cones),
        trade_mwh=instance.trade_mwh(solution.x),
        solver=solver,
        wanted_gap=gap,
        seconds=seconds,
        again_s=None,
        closed=solution.status == "optimal",
        nodes=solution.nodes,
        conic_solves=None,
        objective=solution.objective,
        bound=solution.bound,
        gap=solution.gap,
        root_gap=None,
        build_s=instance.build_s,
    )


def run(case: Case, limit_s: float, own_limit_s: float, repeat: int) -> list[Row]:
    """Run all solvers on one instance; a solver that misses a gap skips the smaller ones."""
    instance = build(case)
    rows = []
    for gap in GAPS:
        rows.append(measure_ours(case, instance, gap, own_limit_s, repeat))
        show(rows[-1])
    if not case.rivals:
        return rows
    installed = {b.name: b for b in available_backends() if b.kind == "mixed-integer conic"}
    for name in ("scip", "mosek", "gurobi"):
        solver = installed.get(name)
        if solver is None or solver.version is None or not solver.licence.available:
            continue
        for gap in GAPS:
            if name == "scip":
                rows.append(measure_scip(case, instance, gap, limit_s))
            else:
                choice = Choice(name, solver.version, None)
                rows.append(measure_licensed(case, instance, choice, gap, limit_s))
            show(rows[-1])
            if not rows[-1].closed:
                break
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for the other solvers")
    parser.add_argument("--own-limit", type=float, default=60.0, help="seconds for our driver")
    parser.add_argument("--repeat", type=int, default=3, help="runs of our driver, median taken")
    parser.add_argument("--only", default="", help="instances whose name contains this")
    parser.add_argument("--out", type=Path, help="folder for benchmarks_misocp.csv and .png")
    arguments = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    print(HEADER)
    rows: list[Row] = []
    with one_blas_thread():  # as in a run
        for case in CASES:
            if arguments.only in case.name:
                rows += run(case, arguments.limit, arguments.own_limit, arguments.repeat)
    ratios(rows, arguments.limit)
    print(f"load average {os.getloadavg()[0]:.2f}")
    if arguments.out is not None and rows:
        arguments.out.mkdir(parents=True, exist_ok=True)
        write_table(rows, arguments.out / "benchmarks_misocp.csv")
        plot(rows, arguments.out / "benchmarks_misocp.png")


if __name__ == "__main__":
    main()
