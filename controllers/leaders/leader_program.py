"""The program of some feeders that decide together, alone or with the follower's constraints."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
import pyomo.environ as pyo
from scipy.sparse import coo_array, csr_array

from stackelgrid.controllers.bilevel.primal import PrimalForm
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.leaders.feeder_records import TARIFF, FeederInstance, Variant
from stackelgrid.controllers.models.conflicts import RowWords, conflict_words
from stackelgrid.controllers.models.p2p import SETTLING
from stackelgrid.controllers.solvers import CompiledModel, compile_model
from stackelgrid.controllers.solvers.backends.backend import (
    MixedIntegerBackend,
    MixedIntegerSolution,
)
from stackelgrid.controllers.solvers.compile.join import (
    Link,
    LinkTerm,
    join_models,
    parameter_values,
)
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, parameter_vector
from stackelgrid.controllers.solvers.infeasibility import conflicting_rows
from stackelgrid.controllers.solvers.mixed_integer.decomposition import (
    Decomposition,
    Part,
    PartSolver,
)
from stackelgrid.controllers.solvers.mixed_integer.incumbent import (
    MixedOptions,
    MixedSolution,
    Snap,
)
from stackelgrid.controllers.solvers.mixed_integer.misocp import MixedIntegerConicSolver
from stackelgrid.controllers.solvers.registry import (
    OPEN_MIXED_INTEGER,
    Choice,
    Driver,
    mixed_integer_solver,
)
from stackelgrid.controllers.solvers.snapping import snap_by_direction
from stackelgrid.profiles.arrays import Floats

_CLEARING = "across_clearing"
# limits named in a message
_CONFLICTS = 3

Instances = Mapping[str, FeederInstance]


class LeaderProgram:
    """Feeders' models side by side, trade across them cleared; built once, solved for new data.

    A feeder counts with its copies, except one that is alone and without follower (unless
    `counted`). With a `follower` its constraints are part of the program, the feeders' and the
    follower's costs count with `weights`, the columns are the feeders' and then the follower's.
    Feeders that only meet in their trade are solved on `threads` threads where they are alone.
    `form` splits the program between leaders and follower; None without a follower.
    """

    def __init__(
        self,
        agents: Mapping[str, FeederAgent],
        options: MixedOptions,
        choice: Choice = OPEN_MIXED_INTEGER,
        *,
        variant: Variant = TARIFF,
        follower: UpstreamAgent | None = None,
        weights: tuple[float, float] = (1.0, 0.0),
        deviation_eur_per_mwh: float | None = None,
        counted: bool = False,
        threads: int = 1,
    ) -> None:
        self.agents, self.variant, self.follower = dict(agents), variant, follower
        self._options, self.choice, self._threads = options, choice, threads
        self._counted = counted or len(agents) > 1 or follower is not None
        models = {name: agent.model(variant) for name, agent in agents.items()}
        self._first = np.cumsum([0, *(m.program.variables for m in models.values())])
        trading = [n for n, m in models.items() if "across_net" in m.columns]
        terms = tuple(
            LinkTerm(
                n,
                models[n].columns["across_net"],
                self.weight(n) * agents[n].feeder.network.base_mva,
            )
            for n in trading
        )
        self._links = [Link(_CLEARING, terms)] if trading else []
        copies = {n: self.weight(n) for n in agents}
        self._deviates = deviation_eur_per_mwh is not None
        if deviation_eur_per_mwh is not None:
            for name, agent in agents.items():
                deviation = _deviation(agent, deviation_eur_per_mwh)
                models[f"{name}_deviation"] = deviation
                copies[f"{name}_deviation"] = self.weight(name)
                self._links.append(_held(name, models[name], deviation))
        self.compiled = join_models(models, self._links, copies)
        self.form: PrimalForm | None = None
        self.row_names = self.compiled.row_names
        if follower is not None:
            under = follower.compiled
            self.form = PrimalForm(
                self.compiled.program, under.program, self.link(follower), weights
            )
            self.row_names = self.form.row_names(self.row_names, under.row_names)

    @property
    def program(self) -> ConicProgram:
        """The whole program."""
        return self.compiled.program if self.form is None else self.form.program

    @cached_property
    def solver(self) -> MixedIntegerBackend:
        """Mixed-integer solver of the program, built when first needed."""
        return mixed_integer_solver(
            self.choice,
            self.program,
            snap=self.snap(),
            row_names=self.row_names,
            options=self._options,
            decomposition=self._decomposition(),
        )

    @property
    def separable(self) -> bool:
        """True if the feeders share their trade only: each can be solved alone at its prices."""
        whole = self.form is not None or self._deviates
        return bool(self._links) and len(self.agents) > 1 and not whole

    def _decomposition(self) -> Decomposition | None:
        """Parts of a program whose feeders only meet in their trade; None for any other."""
        if not self.separable:
            return None
        return Decomposition(
            self.program,
            sum(len(link.terms[0].columns) for link in self._links),
            [
                Part(
                    agent.model(self.variant).program,
                    self.weight(name),
                    _part_solver(agent, self.variant, self._options),
                )
                for name, agent in self.agents.items()
            ],
            np.sort(
                np.concatenate(
                    [
                        self.compiled.columns[f"{name}.{component}"]
                        for name in self.agents
                        for component in SETTLING
                        if f"{name}.{component}" in self.compiled.columns
                    ]
                )
            ),
            self._threads,
        )

    def snap(self) -> Snap:
        """Integers from a relaxed point by net direction."""
        rules = [
            rule.shifted(int(first))
            for first, agent in zip(self._first, self.agents.values(), strict=False)
            for rule in agent.snap_rules(self.variant)
        ]
        return snap_by_direction(self.program.integer, rules)

    def weight(self, name: str) -> float:
        """Copies with which a feeder counts."""
        return float(self.agents[name].feeder.boundary.multiplicity) if self._counted else 1.0

    def link(self, follower: UpstreamAgent) -> csr_array:
        """Matrix (follower's parameters, leaders' columns) by which exchanges are its loads."""
        rows, columns, values = [], [], []
        for name, agent in self.agents.items():
            at, per_mw = follower.exchange(name)
            own = self.compiled.columns[f"{name}.p_import"]
            copies = agent.feeder.boundary.multiplicity
            rows.append(at)
            columns.append(own)
            values.append(np.full(len(own), per_mw * copies * agent.feeder.network.base_mva))
        count = follower.compiled.program.b_parameters.shape[1]
        triplets = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        shape = (count, self.compiled.program.variables)
        return csr_array(coo_array(triplets, shape=shape))

    def columns(self, name: str, component: str) -> "np.typing.NDArray[np.int64]":
        """Columns of one component of one feeder's model."""
        return self.compiled.columns[f"{name}.{component}"]

    def part(self, name: str, x: Floats) -> Floats:
        """Columns of one feeder, a copy."""
        at = list(self.agents).index(name)
        return x[self._first[at] : self._first[at + 1]].copy()

    def follower_part(self, x: Floats) -> Floats:
        """Columns of the follower."""
        return x[self.compiled.program.variables :]

    def leader_data(
        self, instances: Instances, targets: Mapping[str, Floats] | None = None
    ) -> ProgramData:
        """Vectors of the feeders' part; `targets` as in `data`."""
        values: dict[str, Floats | float] = {f"link.{link.name}": 0.0 for link in self._links}
        for name in self.agents:
            if self._deviates:
                if targets is None:
                    raise SolverError("a program with priced deviations needs targets")
                base = self.agents[name].feeder.network.base_mva
                values[f"link.{name}_held"] = targets[name] / base
            own = self.agents[name].parameters(instances[name], self.variant)
            values |= parameter_values(name, own)
        data = self.compiled.program.data(parameter_vector(self.compiled.parameters, values))
        for name in self.agents:
            amendment = instances[name].amendment
            if amendment is not None:
                columns = {
                    component.removeprefix(f"{name}."): at
                    for component, at in self.compiled.columns.items()
                    if component.startswith(f"{name}.")
                }
                weight = self.weight(name)
                data = amendment.apply(self.compiled.program, columns, data, weight)
        return data

    def data(
        self,
        instances: Instances,
        parameters: Floats | None = None,
        targets: Mapping[str, Floats] | None = None,
    ) -> ProgramData:
        """Vectors of the program; `parameters` are the follower's, without any exchange.

        `targets` (steps,) are exchanges of one copy in MW from which deviations are priced.
        """
        leader = self.leader_data(instances, targets)
        if self.form is None:
            return leader
        if parameters is None:
            raise SolverError("a program with a follower needs the follower's parameters")
        return self.form.data(leader, parameters)

    def solve(
        self, data: ProgramData, gap: float | None = None, prices: Floats | None = None
    ) -> MixedIntegerSolution:
        """Solve one instance to the relative gap (default: that of the options).

        `prices` (steps,) in EUR/MW of a step are tried to clear trade across first.
        """
        wanted = self._options.gap if gap is None else gap
        if prices is not None and self.separable and isinstance(self.solver, Driver):
            return self.solver.solve(data, wanted, prices=prices)
        return self.solver.solve(data, wanted)

    def prices(self, solution: MixedIntegerSolution) -> Floats | None:
        """Prices (steps,) in EUR/MW of a step that clear trade across; None where not known."""
        if not (self.separable and isinstance(solution, MixedSolution) and len(solution.x)):
            return None
        return solution.prices

    def traded(self, x: Floats) -> Floats:
        """Volume of trade across feeders (steps,) in MW, all copies."""
        sides = [
            self.weight(name) * agent.feeder.network.base_mva
            * np.abs(x[self.columns(name, "across_net")])
            for name, agent in self.agents.items()
            if f"{name}.across_net" in self.compiled.columns
        ]  # fmt: skip
        return np.asarray(0.5 * np.sum(sides, axis=0))

    def conflict(self, data: ProgramData) -> str:
        """Name the limits that stand in the way of a solution, by an elastic re-solve."""
        try:
            rows = conflicting_rows(self.program, data, self.row_names)
        except SolverError:
            return ""
        words = {
            name: RowWords(name, agent.reduction.network, agent.feeder.devices)
            for name, agent in self.agents.items()
        }
        if self.follower is not None:
            words[""] = self.follower.words
        shown = conflict_words(rows, words, _CONFLICTS)
        return f"limits in conflict: {shown}; " if shown else ""


def _part_solver(agent: FeederAgent, variant: Variant, options: MixedOptions) -> PartSolver:
    """Solver of one feeder's own program, for prices of its trade."""
    program = agent.model(variant).program
    snap = snap_by_direction(program.integer, agent.snap_rules(variant))
    solvers: list[MixedIntegerConicSolver] = []  # built when first needed

    def solve(data: ProgramData, gap: float) -> MixedSolution:
        if not solvers:
            solvers.append(MixedIntegerConicSolver(program, snap))
        return solvers[0].solve(data, replace(options, gap=gap, round_limit=0))

    return solve


def _deviation(agent: FeederAgent, eur_per_mwh: float) -> CompiledModel:
    """Model of a priced deviation `above - below` (steps,) from a target, p.u."""
    dt_h, base = agent.horizon.dt_h, agent.feeder.network.base_mva
    m = pyo.ConcreteModel(name="deviation")
    m.steps = pyo.RangeSet(0, len(dt_h) - 1)
    m.above = pyo.Var(m.steps, bounds=(0.0, None))
    m.below = pyo.Var(m.steps, bounds=(0.0, None))
    m.cost = pyo.Objective(
        expr=sum(eur_per_mwh * base * dt_h[t] * (m.above[t] + m.below[t]) for t in m.steps)
    )
    return compile_model(m)


def _held(name: str, model: CompiledModel, deviation: CompiledModel) -> Link:
    """Link p_import - above + below = target."""
    own = f"{name}_deviation"
    return Link(
        f"{name}_held",
        (
            LinkTerm(name, model.columns["p_import"], 1.0),
            LinkTerm(own, deviation.columns["above"], -1.0),
            LinkTerm(own, deviation.columns["below"], 1.0),
        ),
    )
