"""One follower and its leaders: a stage of the cascade, on which every scheme decides."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from stackelgrid.controllers.bilevel.audit import IndependentSolver
from stackelgrid.controllers.decision import Pricing, SchemeDecision
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.leaders.feeder_records import (
    TARIFF,
    FeederInstance,
    FeederPoint,
    Variant,
)
from stackelgrid.controllers.leaders.feeder_schedule import middle_price
from stackelgrid.controllers.leaders.leader_group import LeaderGroup
from stackelgrid.controllers.leaders.leader_program import LeaderProgram
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.schedule import BoundaryProfile, Measurement, Plan
from stackelgrid.controllers.solvers.conic import ConicSolver
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.controllers.solvers.registry import conic_solver
from stackelgrid.controllers.stage.group_solves import GroupSolves
from stackelgrid.controllers.stage.threads import Threads, Urgency
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Stateful

T = TypeVar("T")


@dataclass(frozen=True)
class StageInstance:
    """Data of one decision: the leaders', and the follower's parameters without active exchange.

    `parameters` hold the reactive loads of the leaders; `own_parameters` are the follower's own
    data, to which a coordinator adds the reported exchange.
    """

    interval: int
    measured: Mapping[str, Measurement]
    leaders: Mapping[str, FeederInstance]
    parameters: Floats | None
    own_parameters: Floats | None = None

    @property
    def across_price(self) -> Floats:
        """Price (steps,) at which trade across feeders is settled."""
        prices = [middle_price(i.forecast) for i in self.leaders.values()]
        return np.asarray(np.mean(prices, axis=0))


class Scheme(Protocol):
    """An order of decision between leaders and follower; one object serves one stage."""

    name: str

    def decide(self, instance: StageInstance) -> SchemeDecision:
        """Decide for one instance; raises a SchemeError where the scheme is not defined."""
        ...


@runtime_checkable
class Beginning(Protocol):
    """A scheme that can begin with an instance before its decision.

    The instance may change until then: no decision, state or message depends on an early start.
    """

    def begin(self, instance: StageInstance) -> None:
        """Begin on threads with solves that need no follower."""
        ...


@runtime_checkable
class Committing(Protocol):
    """A scheme with decisions that agents commit to: it decides once in an interval."""

    commits: bool


@dataclass(frozen=True)
class StageState:
    """State of a stage: of its follower and its scheme (None without one), and of its groups."""

    follower: Any
    scheme: Any
    groups: Mapping[Variant, tuple[Any, ...]]


class Stage:
    """Programs of one follower and its leaders, each built when a scheme first needs it.

    `name` is that of the grid above the leaders. `groups` names the leaders that may trade with
    each other. Without a follower (a grid fed by a source that is not simulated) there are only the
    leaders. `make_scheme` gives the stage its scheme. `applied_steps` are the steps of the horizon
    that are carried out before the next decision.
    """

    def __init__(
        self,
        name: str,
        leaders: Mapping[str, FeederAgent],
        follower: UpstreamAgent | None,
        groups: tuple[tuple[str, ...], ...],
        settings: ControllerSettings,
        pool: Threads,
        make_scheme: Callable[["Stage"], Scheme],
        applied_steps: tuple[int, ...] = (0,),
    ) -> None:
        self.name, self.applied_steps = name, applied_steps
        self.leaders, self.follower = dict(leaders), follower
        self.settings, self.pool, self.group_names = settings, pool, groups
        self.pricing: Pricing = settings.pricing
        self.options = MixedOptions(
            gap=settings.gap, node_limit=settings.node_limit, round_limit=settings.round_limit
        )
        self._groups: dict[Variant, tuple[LeaderGroup, ...]] = {}
        self._programs: dict[tuple[object, ...], LeaderProgram] = {}
        self._conic: dict[int, ConicSolver] = {}
        self._plans: dict[str, tuple[FeederPoint, Plan]] = {}
        self._solves = GroupSolves(pool)
        self.scheme = make_scheme(self)

    @property
    def groups(self) -> tuple[LeaderGroup, ...]:
        """Groups of leaders under the tariff."""
        return self.groups_of(TARIFF)

    def groups_of(self, variant: Variant) -> tuple[LeaderGroup, ...]:
        """Groups of leaders for a variant; without trade across every leader is its own group."""
        if variant not in self._groups:
            names = self.group_names if variant.across else tuple((n,) for n in self.leaders)
            self._groups[variant] = tuple(
                LeaderGroup(
                    {n: self.leaders[n] for n in group},
                    self.options,
                    self.settings.mixed_integer,
                    variant,
                    self.settings.threads,
                )
                for group in names
            )
        return self._groups[variant]

    def program(
        self,
        variant: Variant = TARIFF,
        *,
        follower: bool = False,
        weights: tuple[float, float] = (1.0, 0.0),
        deviation_eur_per_mwh: float | None = None,
    ) -> LeaderProgram:
        """Program of all leaders, on request with the follower's constraints (LeaderProgram)."""
        key = (variant, follower, weights, deviation_eur_per_mwh)
        if key not in self._programs:
            self._programs[key] = LeaderProgram(
                self.leaders,
                self.options,
                self.settings.mixed_integer,
                variant=variant,
                follower=self.follower if follower else None,
                weights=weights,
                deviation_eur_per_mwh=deviation_eur_per_mwh,
                counted=True,
                threads=self.settings.threads,
            )
        return self._programs[key]

    def relaxation(self, program: LeaderProgram) -> ConicSolver:
        """Conic solver of a program's relaxation, bound once."""
        key = id(program)
        if key not in self._conic:
            self._conic[key] = conic_solver(self.settings.conic)(program.program)
        return self._conic[key]

    @cached_property
    def independent(self) -> IndependentSolver:
        """Audits of the follower, prepared once."""
        assert self.follower is not None
        return IndependentSolver(self.follower.compiled.program)

    def decide_groups(self, instance: StageInstance, variant: Variant = TARIFF) -> SchemeDecision:
        """Let every group decide without the follower on threads."""
        groups = self.groups_of(variant)
        futures = self._solves.solve(groups, instance.leaders)
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            found = [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
        for group, answer in zip(groups, found, strict=True):
            self._solves.keep(group, instance.leaders, answer)
        decisions = [decision for decision, _ in found]
        points = {name: p for d in decisions for name, p in d.points.items()}
        return SchemeDecision(
            {name: points[name] for name in self.leaders},
            sum(d.objective for d in decisions),
            sum(d.bound for d in decisions),
            messages=tuple(text for d in decisions for text in d.messages),
        )

    def begin_groups(self, instance: StageInstance, variant: Variant = TARIFF) -> None:
        """Let groups begin with an expected instance on an idle thread."""
        if self.settings.threads > 1:
            self._solves.begin(self.groups_of(variant), instance.leaders)

    def cancel_begun(self) -> None:
        """Cancel early solves of groups whose results were not requested."""
        self._solves.cancel_begun()

    def state(self) -> StageState:
        """State of follower, scheme and groups of leaders."""
        return StageState(
            None if self.follower is None else self.follower.state(),
            self.scheme.state() if isinstance(self.scheme, Stateful) else None,
            {v: tuple(g.state() for g in groups) for v, groups in self._groups.items()},
        )

    def restore(self, state: StageState) -> None:
        """Restore follower, scheme and groups of leaders."""
        if self.follower is not None:
            self.follower.restore(state.follower)
        if isinstance(self.scheme, Stateful):
            self.scheme.restore(state.scheme)
        for variant, carried in state.groups.items():
            for group, own in zip(self.groups_of(variant), carried, strict=True):
                group.restore(own)

    def map(
        self,
        task: Callable[[str], T],
        names: Sequence[str],
        urgency: Urgency = Urgency.DECIDE,
    ) -> dict[str, T]:
        """Let agents work on threads; results by name, in the order of the names.

        Once their results are not needed, those that have not begun never do.
        """
        futures = [self.pool.begin(partial(task, name), urgency) for name in names]
        try:
            return {name: f.result() for name, f in zip(names, futures, strict=True)}
        finally:
            for future in futures:
                future.cancel()

    def submit(self, task: Callable[[], T]) -> Future[T]:
        """Let a task run on a thread that no decision needs."""
        return self.pool.begin(task, Urgency.CERTIFY)

    def plans(self, points: Mapping[str, FeederPoint], instance: StageInstance) -> dict[str, Plan]:
        """Plans of leaders with their certificates, found on threads."""

        def planned(name: str) -> Plan:
            return self.plan(name, points[name], instance)

        return self.map(planned, tuple(points), Urgency.CERTIFY)

    def plan(self, name: str, point: FeederPoint, instance: StageInstance) -> Plan:
        """Plan of a leader with its certificate, which a point gets once."""
        known = self._plans.get(name)
        if known is None or known[0] is not point:
            plan = self.leaders[name].plan(instance.leaders[name], point, instance.across_price)
            known = self._plans[name] = point, plan
        return known[1]

    def exchange(self, points: Mapping[str, FeederPoint]) -> dict[str, Floats]:
        """Exchange (steps,) of all copies of every leader in MW."""
        found = {}
        for name, point in points.items():
            if point.x is not None:
                copies = self.leaders[name].feeder.boundary.multiplicity
                found[name] = copies * self.leaders[name].exchange(point.x, point.variant)
        return found

    def boundaries(
        self, points: Mapping[str, FeederPoint], instance: StageInstance
    ) -> dict[str, BoundaryProfile] | None:
        """Exchanges of all copies by the points' schedules; None where one holds its last."""
        found = {}
        for name, point in points.items():
            if point.x is None:
                return None
            schedule = self.leaders[name].schedule(instance.leaders[name], point)
            found[name] = schedule.boundary(self.leaders[name].feeder.boundary.multiplicity)
        return found
