"""Feeders that decide together: one mixed-integer conic program over all that may trade."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.leaders.clearing_prices import Cleared, ClearingPrices
from stackelgrid.controllers.leaders.feeder_agent import TARIFF, FeederAgent, FeederPoint, Variant
from stackelgrid.controllers.leaders.leader_program import Instances, LeaderProgram
from stackelgrid.controllers.schedule import SolveReport
from stackelgrid.controllers.solvers import CompiledModel
from stackelgrid.controllers.solvers.backend import MixedIntegerSolution
from stackelgrid.controllers.solvers.conic import NO_ROWS, ProgramData
from stackelgrid.controllers.solvers.misocp import AT_PRICES
from stackelgrid.controllers.solvers.mixed_search import MixedOptions, MixedSolution
from stackelgrid.controllers.solvers.registry import OPEN_MIXED_INTEGER, Choice
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class Experience:
    """Starting data for later intervals: binding rare rows, prices that cleared trade."""

    interval: int
    binding: Ints
    cleared: Cleared | None


@dataclass(frozen=True)
class GroupDecision:
    """Points of a group's feeders; objective and bound in EUR count every copy."""

    points: Mapping[str, FeederPoint]
    objective: float
    bound: float
    messages: tuple[str, ...] = ()
    experience: Experience | None = None


class LeaderGroup:
    """Minimises the summed cost of some feeders, trade across them cleared; built once.

    A feeder counts with its multiplicity. A group of one solves its own program. Feeders that trade
    are solved one by one at the prices of an earlier interval; where these do not clear, as one
    program.
    """

    def __init__(
        self,
        agents: Mapping[str, FeederAgent],
        options: MixedOptions,
        choice: Choice = OPEN_MIXED_INTEGER,
        variant: Variant = TARIFF,
        threads: int = 1,
    ) -> None:
        self.agents = dict(agents)
        self.options, self.choice, self.variant, self.threads = options, choice, variant, threads
        self._program = LeaderProgram(
            self.agents, options, choice, variant=variant, threads=threads
        )
        horizon = next(iter(self.agents.values())).horizon
        self._prices = ClearingPrices(horizon)
        # rows that bound when steps of the horizon last covered the same parts of the hour
        self._period = int(horizon.intervals_per_step.max())
        self._binding: dict[int, Ints] = {}
        self._mending: LeaderGroup | None = None
        self._alone: dict[str, LeaderProgram] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the feeders."""
        return tuple(self.agents)

    @property
    def compiled(self) -> CompiledModel:
        """The program of the whole group."""
        return self._program.compiled

    def decide(self, instances: Instances) -> GroupDecision:
        """Solve, and remember what later intervals begin with."""
        found = self.solve(instances)
        self.keep(found)
        return found

    def keep(self, found: GroupDecision) -> None:
        """Remember what later intervals begin with of a decision that is used."""
        experience = found.experience
        if experience is None:
            return
        own = {experience.interval % self._period: experience.binding}
        self._binding = {**self._binding, **own}
        if experience.cleared is not None:
            self._prices.keep(experience.cleared)

    def solve(self, instances: Instances) -> GroupDecision:
        """Points of all feeders; changes nothing that is carried, never raises for hard instances.

        When the group has no solution, each feeder is solved alone, without trade across; where
        that fails too its point is empty and the report says why. An amended instance is relaxed,
        snapped and restricted only: its exactness counts, not the last bit of its gap.
        """
        if self.options.round_limit and any(instances[n].amendment for n in self.agents):
            if self._mending is None:
                options = replace(self.options, round_limit=0, price_restricted=False)
                self._mending = LeaderGroup(
                    self.agents, options, self.choice, self.variant, self.threads
                )
            self._mending.restore(self.state())
            return replace(self._mending.solve(instances), experience=None)
        own = {name: instances[name] for name in self.agents}
        interval = next(iter(own.values())).interval
        binding = self._binding.get(interval % self._period, NO_ROWS)
        data = replace(self._program.data(own), binding=binding)
        start = self._prices.expected(interval)
        solution = self._program.solve(data, prices=start)
        if len(solution.x) or len(self.agents) == 1:
            note = "" if len(solution.x) else self._program.conflict(data)
            found = leader_points(self._program, own, solution, self.choice.name, note)
            return replace(
                found,
                messages=self._missed(start, solution),
                experience=self._experience(interval, data, solution),
            )
        points: dict[str, FeederPoint] = {}
        reason = f"its group had no solution ({solution.status}), alone: "
        for name, agent in self.agents.items():
            if name not in self._alone:
                self._alone[name] = LeaderProgram(
                    {name: agent}, self.options, self.choice, variant=self.variant
                )
            program, one = self._alone[name], {name: instances[name]}
            data = program.data(one)
            alone = program.solve(data)
            note = reason + ("" if len(alone.x) else program.conflict(data))
            points |= leader_points(program, one, alone, self.choice.name, note).points
        nan = float("nan")
        return GroupDecision(points, nan, nan)

    def _experience(
        self, interval: int, data: ProgramData, solution: MixedIntegerSolution
    ) -> Experience | None:
        if not len(solution.x):
            return None
        cleared, prices = None, self._program.prices(solution)
        if prices is not None:
            size = max(1.0, abs(solution.objective))
            volume = float(self._program.traded(solution.x).max(initial=0.0))
            cleared = Cleared(interval, prices, volume / size)
        return Experience(interval, self._program.program.binding(solution.x, data.b), cleared)

    def _missed(self, start: Floats | None, solution: MixedIntegerSolution) -> tuple[str, ...]:
        """Message where trade did not clear at the prices of an earlier interval."""
        if start is None or not self._program.separable or solution.message == AT_PRICES:
            return ()
        return (
            f"trade of {', '.join(self.agents)}: known prices did not clear it to "
            f"{tolerances.LINK_PRICES:g}; solved as one program",
        )

    def state(self) -> Mapping[str, Any]:
        """Prices at which trade was cleared, and rows that bound."""
        return {**self._prices.state(), "_binding": self._binding}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take prices at which trade was cleared, and rows that bound."""
        self._prices.restore(state)
        self._binding = state["_binding"]


def leader_points(
    program: LeaderProgram,
    instances: Instances,
    solution: MixedIntegerSolution,
    solver: str,
    note: str = "",
) -> GroupDecision:
    """Split a program's solution into the feeders' points, each with a report of its own cost."""
    uncontrolled = sum(
        program.weight(n) * program.agents[n].uncontrolled_cost(instances[n])
        for n in program.agents
    )
    report = solution_report(solver, solution, uncontrolled, note)
    points = {}
    copies = 1.0
    for name, agent in program.agents.items():
        x = None
        own = report
        if len(solution.x):
            x = program.part(name, solution.x)
            cost = agent.own_cost(instances[name], x, program.variant)
            if program.variant.tariff:
                cost += agent.tariff_payment(instances[name], x, program.variant)
            own = replace(report, objective_eur=cost)
        points[name] = FeederPoint(x, own, program.variant)
        if program.weight(name) == 1.0:
            copies = float(agent.feeder.boundary.multiplicity)
    share = copies if len(program.agents) == 1 else 1.0
    return GroupDecision(points, share * solution.objective, share * solution.bound)


def solution_report(
    solver: str, solution: MixedIntegerSolution, uncontrolled_eur: float, note: str
) -> SolveReport:
    """Report of a program over several feeders."""
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
