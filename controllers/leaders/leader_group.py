"""Feeders that decide together: one mixed-integer conic program over all that may trade."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.leaders.feeder_records import TARIFF, FeederPoint, Variant
from stackelgrid.controllers.leaders.leader_program import Instances, LeaderProgram
from stackelgrid.controllers.leaders.warm_start import WarmStart, WarmStarts
from stackelgrid.controllers.schedule import SolveReport
from stackelgrid.controllers.solvers import CompiledModel
from stackelgrid.controllers.solvers.backends.backend import MixedIntegerSolution
from stackelgrid.controllers.solvers.conic import ProgramData
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions, MixedSolution
from stackelgrid.controllers.solvers.mixed_integer.misocp import AT_PRICES
from stackelgrid.controllers.solvers.registry import OPEN_MIXED_INTEGER, Choice
from stackelgrid.profiles.arrays import Floats


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
        self._starts = WarmStarts(next(iter(self.agents.values())).horizon)
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

    def decide(self, instances: Instances) -> SchemeDecision:
        """Solve, and remember the warm start of later intervals."""
        found, start = self.solve(instances)
        self.keep(start)
        return found

    def keep(self, start: WarmStart | None) -> None:
        """Remember the warm start from a decision that is used, if it gave one."""
        if start is not None:
            self._starts.keep(start)

    def solve(self, instances: Instances) -> tuple[SchemeDecision, WarmStart | None]:
        """Points of all feeders; changes nothing that is carried, never raises for hard instances.

        When the group has no solution, each feeder is solved alone, without trade across; where
        that fails too its point is empty and the report has the reason. An amended instance is
        relaxed, snapped and restricted only: its exactness counts, not the last bit of its gap.
        """
        if self.options.round_limit and any(instances[n].amendment for n in self.agents):
            if self._mending is None:
                options = replace(self.options, round_limit=0, price_restricted=False)
                self._mending = LeaderGroup(
                    self.agents, options, self.choice, self.variant, self.threads
                )
            self._mending.restore(self.state())
            return self._mending.solve(instances)[0], None
        own = {name: instances[name] for name in self.agents}
        interval = next(iter(own.values())).interval
        prices = self._starts.prices(interval)
        data = replace(self._program.data(own), binding=self._starts.binding(interval))
        solution = self._program.solve(data, prices=prices)
        if len(solution.x) or len(self.agents) == 1:
            note = "" if len(solution.x) else self._program.conflict(data)
            found = leader_points(self._program, own, solution, note)
            found = replace(found, messages=self._missed(prices, solution))
            return found, self._warm_start(interval, data, solution)
        points: dict[str, FeederPoint] = {}
        reason = f"its group had no solution ({solution.status}), alone: "
        for name, agent in self.agents.items():
            if name not in self._alone:
                self._alone[name] = LeaderProgram(
                    {name: agent}, self.options, self.choice, variant=self.variant
                )
            points |= decide_together(self._alone[name], {name: own[name]}, note=reason).points
        return SchemeDecision(points), None

    def _warm_start(
        self, interval: int, data: ProgramData, solution: MixedIntegerSolution
    ) -> WarmStart | None:
        if not len(solution.x):
            return None
        binding, prices = self._program.program.at(data).binding(solution.x, data.b), None
        prices, weight = self._program.prices(solution), 0.0
        if prices is not None:
            volume = float(self._program.traded(solution.x).max(initial=0.0))
            weight = volume / max(1.0, abs(solution.objective))
        return WarmStart(interval, binding, prices, weight)

    def _missed(self, prices: Floats | None, solution: MixedIntegerSolution) -> tuple[str, ...]:
        """Message where trade did not clear at the prices of an earlier interval."""
        if prices is None or not self._program.separable or solution.message == AT_PRICES:
            return ()
        return (
            f"trade of {', '.join(self.agents)}: known prices did not clear it to "
            f"{tolerances.LINK_PRICES:g}; solved as one program",
        )

    def state(self) -> Mapping[str, Any]:
        """State of the warm starts."""
        return self._starts.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the warm starts."""
        self._starts.restore(state)


def decide_together(
    program: LeaderProgram,
    instances: Instances,
    parameters: Floats | None = None,
    targets: Mapping[str, Floats] | None = None,
    note: str = "",
) -> SchemeDecision:
    """Solve a program of leaders; without a solution the reports name the limits in conflict.

    program: program of the leaders, possibly with the follower's constraints.
    instances: data of the leaders.
    parameters, targets: as in `LeaderProgram.data`.
    note: beginning of a report without a solution.

    `follower_x` of the decision are the columns of a follower in the program, None without a
    solution.
    """
    data = program.data(instances, parameters, targets)
    solution = program.solve(data)
    if not len(solution.x):
        return leader_points(program, instances, solution, note + program.conflict(data))
    found = leader_points(program, instances, solution)
    if program.form is None:
        return found
    return replace(found, follower_x=program.follower_part(solution.x))


def leader_points(
    program: LeaderProgram, instances: Instances, solution: MixedIntegerSolution, note: str = ""
) -> SchemeDecision:
    """Split a program's solution into the feeders' points, each with a report of its own cost.

    program: program of the leaders.
    instances: data of the leaders.
    solution: solution of the program.
    note: beginning of a report without a solution.
    """
    report = _report(program, instances, solution, note)
    points = {}
    for name, agent in program.agents.items():
        x, own = None, report
        if len(solution.x):
            x = program.part(name, solution.x)
            cost = agent.own_cost(instances[name], x, program.variant)
            if program.variant.tariff:
                cost += agent.tariff_payment(instances[name], x, program.variant)
            own = replace(report, objective_eur=cost)
        points[name] = FeederPoint(x, own, program.variant)
    share = 1.0
    if len(program.agents) == 1 and program.weight(name) == 1.0:  # solved for one copy
        share = float(agent.feeder.boundary.multiplicity)
    return SchemeDecision(points, share * solution.objective, share * solution.bound)


def _report(
    program: LeaderProgram, instances: Instances, solution: MixedIntegerSolution, note: str
) -> SolveReport:
    """Report of a program over several feeders."""
    found, solver = len(solution.x) > 0, program.choice.name
    uncontrolled = sum(
        program.weight(n) * agent.uncontrolled_cost(instances[n])
        for n, agent in program.agents.items()
    )
    nan = float("nan")
    gap_eur = max(solution.objective - solution.bound, 0.0) if found else nan
    flexible = abs(solution.objective - uncontrolled) if found else nan
    mixed = solution if isinstance(solution, MixedSolution) else None
    return SolveReport(
        solver=solver,
        status=solution.status,
        objective_eur=solution.objective,
        gap=solution.gap,
        violation=solution.violation,
        iterations=0 if mixed is None else mixed.relaxation.iterations,
        solve_s=solution.solve_s,
        fallback="" if found else f"{note}{solver} returned {solution.status} ({solution.message})",
        gap_eur=gap_eur,
        flexible_gap=gap_eur / max(flexible, 1e-9) if found else nan,
        nodes=solution.nodes,
        conic_solves=0 if mixed is None else mixed.conic_solves,
    )
