"""Feeders that decide together: one mixed-integer conic program over all that may trade."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from stackelgrid.controllers.agents.feeder_agent import FeederAgent, FeederInstance, middle_price
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.schedule import BoundaryProfile, Measurement, Plan, SolveReport
from stackelgrid.controllers.solvers import CompiledModel
from stackelgrid.controllers.solvers.backend import MixedIntegerResult
from stackelgrid.controllers.solvers.conic import ProgramData, parameter_vector
from stackelgrid.controllers.solvers.infeasibility import conflicting_rows
from stackelgrid.controllers.solvers.join import Link, LinkTerm, join_models, parameter_values
from stackelgrid.controllers.solvers.misocp import MixedOptions, MixedSolution
from stackelgrid.controllers.solvers.registry import (
    OPEN_MIXED_INTEGER,
    Choice,
    mixed_integer_solver,
)
from stackelgrid.controllers.solvers.snapping import snap_by_direction
from stackelgrid.profiles.arrays import Floats

_CLEARING = "across_clearing"
# limits named in a message
_CONFLICTS = 3


@dataclass(frozen=True)
class GroupInputs:
    """What each feeder of a group is told: measurement, grids below, voltage of an ideal tie."""

    measured: Mapping[str, Measurement]
    lower: Mapping[str, Mapping[str, BoundaryProfile]]
    heads: Mapping[str, Floats]


class LeaderGroup:
    """Minimises the summed cost of some feeders, trade across them cleared; built once.

    A feeder counts with its multiplicity. A group of one solves its own program.
    """

    def __init__(
        self,
        agents: Mapping[str, FeederAgent],
        options: MixedOptions,
        choice: Choice = OPEN_MIXED_INTEGER,
    ) -> None:
        self.agents = dict(agents)
        self.options, self.choice = options, choice
        self._program = _GroupProgram(self.agents, options, choice)
        self._alone: dict[str, _GroupProgram] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the feeders."""
        return tuple(self.agents)

    @property
    def compiled(self) -> CompiledModel:
        """The program of the whole group."""
        return self._program.compiled

    def decide(self, interval: int, inputs: GroupInputs) -> dict[str, Plan]:
        """Plans of all feeders; never raises for a hard instance.

        When the group has no solution, each feeder is solved alone, without trade across; where
        that fails too the feeder keeps its last schedule, and the report says so.
        """
        instances = {
            name: agent.prepare(
                interval, inputs.measured[name], inputs.lower[name], inputs.heads.get(name)
            )
            for name, agent in self.agents.items()
        }
        solution = self._program.solve(instances)
        if len(solution.x) or len(self.agents) == 1:
            return self._plans(self._program, instances, solution, "")
        plans: dict[str, Plan] = {}
        reason = f"its group had no solution ({solution.status}), alone: "
        for name, agent in self.agents.items():
            if name not in self._alone:
                self._alone[name] = _GroupProgram({name: agent}, self.options, self.choice)
            own = {name: instances[name]}
            alone = self._alone[name].solve(own)
            plans |= self._plans(self._alone[name], own, alone, reason)
        return plans

    def _plans(
        self,
        program: "_GroupProgram",
        instances: Mapping[str, FeederInstance],
        solution: MixedIntegerResult,
        note: str,
    ) -> dict[str, Plan]:
        plans = {}
        across_price = np.mean([middle_price(i.forecast) for i in instances.values()], axis=0)
        uncontrolled = sum(
            program.weight(n) * self.agents[n].uncontrolled_cost(i) for n, i in instances.items()
        )
        conflict = "" if len(solution.x) else program.conflict(instances)
        for name, instance in instances.items():
            report = _report(self.choice.name, solution, uncontrolled, note + conflict)
            x = None
            if len(solution.x):
                x = program.part(name, solution.x)
                own = self.agents[name].compiled
                data = own.program.data(parameter_vector(own.parameters, instance.values))
                report = replace(report, objective_eur=own.program.objective(x, data))
            plans[name] = self.agents[name].plan(instance, x, report, across_price)
        return plans


class _GroupProgram:
    """The joined program of some feeders and its solver."""

    def __init__(
        self, agents: Mapping[str, FeederAgent], options: MixedOptions, choice: Choice
    ) -> None:
        self.agents = agents
        self._gap = options.gap
        models = {name: agent.compiled for name, agent in agents.items()}
        trading = [n for n, m in models.items() if "across_net" in m.columns]
        links = []
        if trading:
            terms = tuple(
                LinkTerm(
                    n,
                    models[n].columns["across_net"],
                    self.weight(n) * agents[n].feeder.network.base_mva,
                )
                for n in trading
            )
            links.append(Link(_CLEARING, terms))
        self._links = links
        weights = {n: self.weight(n) for n in agents}
        self.compiled = join_models(models, links, weights)
        self._first = np.cumsum([0, *(m.program.variables for m in models.values())])
        rules = [
            rule.shifted(int(first))
            for first, agent in zip(self._first, agents.values(), strict=False)
            for rule in agent.snap_rules()
        ]
        program = self.compiled.program
        self._solver = mixed_integer_solver(
            choice,
            program,
            snap=snap_by_direction(program.integer, rules),
            row_names=self.compiled.row_names,
            options=options,
        )

    def weight(self, name: str) -> float:
        """Copies that a feeder stands for; a feeder alone counts once."""
        return (
            float(self.agents[name].feeder.boundary.multiplicity) if len(self.agents) > 1 else 1.0
        )

    def part(self, name: str, x: Floats) -> Floats:
        """Columns of one feeder."""
        at = list(self.agents).index(name)
        return x[self._first[at] : self._first[at + 1]]

    def solve(self, instances: Mapping[str, FeederInstance]) -> MixedIntegerResult:
        """Solve for the instances of all feeders."""
        return self._solver.solve(self._data(instances), self._gap)

    def conflict(self, instances: Mapping[str, FeederInstance]) -> str:
        """Name the limits that stand in the way of a solution, by an elastic re-solve."""
        program, names = self.compiled.program, self.compiled.row_names
        try:
            rows = conflicting_rows(program, self._data(instances), names)
        except SolverError:
            return ""
        shown = ", ".join(f"{name} by {amount:.3g}" for name, amount in rows[:_CONFLICTS])
        return f"limits in conflict: {shown}; " if shown else ""

    def _data(self, instances: Mapping[str, FeederInstance]) -> ProgramData:
        values: dict[str, Floats | float] = {f"link.{link.name}": 0.0 for link in self._links}
        for name, instance in instances.items():
            values |= parameter_values(name, instance.values)
        return self.compiled.program.data(parameter_vector(self.compiled.parameters, values))


def _report(
    solver: str, solution: MixedIntegerResult, uncontrolled_eur: float, note: str
) -> SolveReport:
    found = len(solution.x) > 0
    nan = float("nan")
    gap_eur = max(solution.objective - solution.bound, 0.0) if found else nan
    flexible = abs(solution.objective - uncontrolled_eur) if found else nan
    return SolveReport(
        solver=solver,
        status=solution.status,
        objective_eur=solution.objective,
        gap=solution.gap,
        violation=solution.violation,
        iterations=solution.relaxation.iterations if isinstance(solution, MixedSolution) else 0,
        solve_s=solution.solve_s,
        fallback="" if found else f"{note}{solver} returned {solution.status} ({solution.message})",
        gap_eur=gap_eur,
        flexible_gap=gap_eur / max(flexible, 1e-9) if found else nan,
        nodes=solution.nodes,
        conic_solves=solution.conic_solves if isinstance(solution, MixedSolution) else 0,
    )
