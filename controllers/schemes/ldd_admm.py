"""LDD-ADMM in one process: the rounds that the agents' messages carry, without a network.

Distributed solution of `bottom_up` under a tariff and of `integrated` (docs/formulation.md;
after arXiv 2606.17769, of which only the abstract was at hand). With nodal prices the agents take
the price at their bus as given, which is the `integrated` problem: as single level a heuristic.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from stackelgrid.controllers.decision import Negotiation, SchemeDecision
from stackelgrid.controllers.fallback import shifted
from stackelgrid.controllers.leaders.feeder_agent import TARIFF, UNPRICED, FeederPoint
from stackelgrid.controllers.negotiation.consensus import Consensus
from stackelgrid.controllers.negotiation.coordinator import Coordinator
from stackelgrid.controllers.negotiation.coordinator_terms import (
    Answer,
    CoordinatorState,
    PublicTerms,
)
from stackelgrid.controllers.negotiation.negotiating_agent import Bound, NegotiatingAgent
from stackelgrid.controllers.schedule import BoundaryProfile, Plan
from stackelgrid.controllers.stage.stage import Stage, StageInstance
from stackelgrid.profiles.arrays import Floats

_NOT_SERVED = "the exchange that the rounds led to cannot be served; its limits are left to it"


@dataclass(frozen=True)
class LddAdmmState:
    """State: the coordinator's, and the exchanges held since an interval, by agent."""

    coordinator: CoordinatorState | None
    held: Mapping[str, tuple[int, BoundaryProfile]]


class LddAdmm:
    """Rounds of prices and answers; agents answer on threads, binaries are fixed and polished."""

    name = "ldd_admm"

    def __init__(self, stage: Stage, consensus: type[Consensus] = Consensus) -> None:
        self.stage, self._consensus = stage, consensus
        self.agents = negotiating_agents(stage)
        self._coordinator: Coordinator | None = None
        # what each agent holds, with the interval that the profile begins with
        self._held: dict[str, tuple[int, BoundaryProfile]] = {}

    def state(self) -> LddAdmmState:
        """Return the coordinator's state, and the exchanges that agents hold."""
        coordinator = self._coordinator
        found = None if coordinator is None else coordinator.state()
        return LddAdmmState(found, self._held)

    def restore(self, state: LddAdmmState) -> None:
        """Take what earlier intervals have found."""
        self._held = dict(state.held)
        if state.coordinator is not None:
            self._coordinator = coordinator_of(
                self.stage, state.coordinator.public, self._consensus
            )
            self._coordinator.restore(state.coordinator)

    def decide(self, instance: StageInstance) -> SchemeDecision:
        """Decide for one instance; agents without a solution hold what they had."""
        coordinator, agents = self._begin(instance), self.agents

        def respond(name: str) -> Answer | None:
            return agents[name].respond(terms[name])

        def bind(name: str) -> Bound | None:
            return agents[name].bind(terms[name])

        while not coordinator.done:
            terms = {name: coordinator.terms(name) for name in agents}
            answers = self.stage.map(respond, tuple(agents))
            coordinator.receive({n: a for n, a in answers.items() if a is not None})
        terms = {name: coordinator.terms(name, binding=True) for name in agents}
        found = self.stage.map(bind, tuple(agents))
        bound = {name: b for name, b in found.items() if b is not None}
        cleared = coordinator.clear({name: b.trade_mw for name, b in bound.items()})
        settled = {name: self.agents[name].settle(b, cleared[name]) for name, b in bound.items()}
        for name, one in settled.items():
            boundary = BoundaryProfile(one.exchange_mw, one.exchange_mvar)
            self._held[name] = (instance.interval, boundary)
        reasons = {name: "no schedule at the agreed prices" for name in found if name not in bound}
        return negotiated(self.stage, self.agents, coordinator, settled, reasons)

    def _begin(self, instance: StageInstance) -> Coordinator:
        public, held = {}, {}
        horizon = next(iter(self.agents.values())).agent.horizon
        for name, agent in self.agents.items():
            leader = instance.leaders[name]
            agent.begin(leader, instance.across_price)
            public[name] = agent.public_terms(leader)
            if name not in self._held:
                self._held[name] = (instance.interval, agent.boundary(agent.held("")))
            since, boundary = self._held[name]
            age = instance.interval - since
            both = np.array([boundary.p_mw, boundary.q_mvar])
            held[name] = BoundaryProfile(*shifted(both, horizon, age))
        if self._coordinator is None:
            self._coordinator = coordinator_of(self.stage, public, self._consensus)
        self._coordinator.begin(instance.interval, public, held, instance.own_parameters)
        return self._coordinator


def negotiating_agents(stage: Stage) -> dict[str, NegotiatingAgent]:
    """Return the parties of a stage's negotiation; a single feeder has no trading partner."""
    variant = UNPRICED if _nodal(stage) else TARIFF
    alone = {group[0] for group in stage.group_names if len(group) == 1}
    return {
        name: NegotiatingAgent(
            agent,
            replace(variant, across=False) if name in alone else variant,
            stage.settings,
            stage.applied_steps,
        )
        for name, agent in stage.leaders.items()
    }


def coordinator_of(
    stage: Stage, public: Mapping[str, PublicTerms], consensus: type[Consensus] = Consensus
) -> Coordinator:
    """The operator of the upstream network as coordinator of a stage's leaders."""
    horizon = next(iter(stage.leaders.values())).horizon
    return Coordinator(
        public,
        stage.follower,
        horizon,
        stage.settings.conic,
        nodal=_nodal(stage),
        consensus=consensus,
    )


def _nodal(stage: Stage) -> bool:
    nodal = stage.pricing == "lmp" or stage.settings.scheme == "integrated"
    return nodal and stage.follower is not None


def negotiated(
    stage: Stage,
    agents: Mapping[str, NegotiatingAgent],
    coordinator: Coordinator,
    settled: Mapping[str, Bound],
    reasons: Mapping[str, str],
    negotiation: Negotiation | None = None,
    reported: Mapping[str, BoundaryProfile] | None = None,
) -> SchemeDecision:
    """Decision of a stage from what was settled, with the bound that its last prices prove.

    The other agents hold what they had, with a reason each. `reported` are the exchanges of one
    copy that the coordinator assumes, None: those of the plans.
    """
    plans: dict[str, Plan] = {}
    points = {}
    for name, agent in agents.items():
        if name in settled:
            plans[name], points[name] = settled[name].plan, settled[name].point
        else:
            plans[name] = agent.held(reasons[name])
            points[name] = FeederPoint(None, plans[name].report, agent.variant)
    objective = sum(agents[n].cost(p) for n, p in points.items())
    if reported is None:
        reported = {n: agents[n].boundary(plan) for n, plan in plans.items()}
    exchange = {n: reported[n].times(agent.priced.copies) for n, agent in agents.items()}
    served = coordinator.follower_cost(exchange)
    messages = (_NOT_SERVED,) if np.isnan(served) else ()
    if coordinator.nodal:
        objective += served
    every = len(settled) == len(agents)
    bound = float("nan")
    if every:
        bound = _agents_bound(stage, agents, coordinator) + coordinator.lower_bound(exchange)
    return SchemeDecision(
        points,
        objective,
        bound,
        rounds=len(coordinator.rounds),
        messages=messages,
        plans=plans,
        history=tuple(coordinator.rounds),
        negotiation=negotiation,
        exchange=None if stage.follower is None else exchange,
    )


def _agents_bound(
    stage: Stage, agents: Mapping[str, NegotiatingAgent], coordinator: Coordinator
) -> float:
    """The agents' part of the Lagrangian bound in EUR at the coordinator's prices; NaN for none."""
    nothing = np.zeros(len(coordinator.trade_price))
    exchange: Mapping[str, Floats] = coordinator.exchange_price
    bounds = stage.map(
        lambda name: agents[name].lower_bound(coordinator.trade_price, exchange.get(name, nothing)),
        tuple(agents),
    )
    return sum(bounds.values())
