"""LDD-ADMM in one process: the rounds that the agents' messages carry, without a network.

Distributed solution of `bottom_up` under a tariff and of `integrated` (docs/formulation.md;
after arXiv 2606.17769, of which only the abstract was at hand). With nodal prices the agents take
the price at their bus as given, which is the `integrated` problem: as single level a heuristic.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from stackelgrid.controllers.decision import Negotiation, SchemeDecision
from stackelgrid.controllers.leaders.feeder_records import TARIFF, UNPRICED, FeederPoint
from stackelgrid.controllers.negotiation.agent import BindingSchedule, NegotiatingAgent
from stackelgrid.controllers.negotiation.commit.safety import Holding, PossibleHoldings, newest
from stackelgrid.controllers.negotiation.consensus import Consensus
from stackelgrid.controllers.negotiation.contracts import clear
from stackelgrid.controllers.negotiation.coordinator import Answer, Coordinator, PublicTerms
from stackelgrid.controllers.schedule import BoundaryProfile, Plan
from stackelgrid.controllers.stage.stage import Stage, StageInstance
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.time_axis import Horizon

_NOT_SERVED = "the exchange of the last round cannot be served within the limits of the grid above"


class NegotiatingScheme:
    """Scheme with a negotiation of the stage's agents; the operator above is their coordinator."""

    name = "ldd_admm"

    def __init__(self, stage: Stage, consensus: type[Consensus] = Consensus) -> None:
        self.stage, self._consensus = stage, consensus
        nodal = stage.pricing == "lmp" or stage.settings.scheme == "integrated"
        self._nodal = nodal and stage.follower is not None
        variant = UNPRICED if self._nodal else TARIFF
        alone = {group[0] for group in stage.group_names if len(group) == 1}
        self.agents = {
            name: NegotiatingAgent(
                agent,
                replace(variant, across=False) if name in alone else variant,
                stage.settings,
                stage.applied_steps,
            )
            for name, agent in stage.leaders.items()
        }

    @property
    def horizon(self) -> Horizon:
        """Horizon of all agents."""
        return next(iter(self.stage.leaders.values())).horizon

    def prepare(self, instance: StageInstance) -> dict[str, PublicTerms]:
        """Let every agent begin an interval; return their public data."""
        for name, agent in self.agents.items():
            agent.begin(instance.leaders[name], instance.across_price)
        return {n: a.public_terms(instance.leaders[n]) for n, a in self.agents.items()}

    def enrolled(self) -> dict[str, Holding]:
        """Return the schedules that agents hold before any commit."""
        return {
            name: Holding.uncommitted(agent.boundary(agent.held("")))
            for name, agent in self.agents.items()
        }

    def new_coordinator(self, public: Mapping[str, PublicTerms]) -> Coordinator:
        """Return a coordinator of the agents, which has no state yet."""
        return Coordinator(
            public,
            self.stage.follower,
            self.horizon,
            self.stage.settings.conic,
            nodal=self._nodal,
            consensus=self._consensus,
        )

    def decision(
        self,
        coordinator: Coordinator,
        settled: Mapping[str, BindingSchedule],
        reasons: Mapping[str, str],
        negotiation: Negotiation | None = None,
        reported: Mapping[str, BoundaryProfile] | None = None,
    ) -> SchemeDecision:
        """Return the stage's decision, with the bound that the last prices prove.

        coordinator: after its last round.
        settled: new schedules by agent; the others hold the old ones.
        reasons: why, by agent.
        negotiation: messages and commit.
        reported: exchanges of one copy that the coordinator assumes; None: those of the plans.
        """
        plans: dict[str, Plan] = {}
        points = {}
        for name, agent in self.agents.items():
            if name in settled:
                plans[name], points[name] = settled[name].plan, settled[name].point
            else:
                plans[name] = agent.held(reasons[name])
                points[name] = FeederPoint(None, plans[name].report, agent.variant)
        objective = sum(self.agents[n].cost(p) for n, p in points.items())
        if reported is None:
            reported = {n: self.agents[n].boundary(plan) for n, plan in plans.items()}
        exchange = {n: reported[n].times(agent.multiplicity) for n, agent in self.agents.items()}
        served = coordinator.follower_cost(exchange)
        if coordinator.nodal:
            objective += served
        bound = float("nan")
        if len(settled) == len(self.agents):
            bound = self._agents_bound(coordinator) + coordinator.lower_bound(exchange)
        return SchemeDecision(
            points,
            objective,
            bound,
            rounds=len(coordinator.rounds),
            messages=(_NOT_SERVED,) if np.isnan(served) else (),
            plans=plans,
            history=tuple(coordinator.rounds),
            negotiation=negotiation,
            exchange=None if self.stage.follower is None else exchange,
        )

    def _agents_bound(self, coordinator: Coordinator) -> float:
        """Return the agents' part of the Lagrangian bound in EUR at the prices; NaN for none."""
        trade, exchange = coordinator.trade_price, coordinator.exchange_price
        nothing: Floats = np.zeros(len(trade))
        bounds = self.stage.map(
            lambda name: self.agents[name].lower_bound(trade, exchange.get(name, nothing)),
            tuple(self.agents),
        )
        return sum(bounds.values())


class LddAdmm(NegotiatingScheme):
    """Rounds of prices and answers; agents answer on threads, then fix their binaries."""

    _holdings: PossibleHoldings

    def __init__(self, stage: Stage, consensus: type[Consensus] = Consensus) -> None:
        super().__init__(stage, consensus)
        self.coordinator: Coordinator | None = None

    def state(self) -> dict[str, Any] | None:
        """Return the coordinator's state and the agents' holdings; None before any decision."""
        if self.coordinator is None:
            return None
        return {"coordinator": self.coordinator.state(), "holdings": self._holdings.state()}

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Restore what earlier intervals have found."""
        if state is not None:
            coordinator = self._start(state["coordinator"]["public"], {}, 0)
            coordinator.restore(state["coordinator"])
            self._holdings.restore(state["holdings"])

    def decide(self, instance: StageInstance) -> SchemeDecision:
        """Decide for one instance; agents without a solution hold what they had."""
        coordinator, agents = self._begin(instance), self.agents

        def respond(name: str) -> Answer | None:
            return agents[name].respond(terms[name])

        def bind(name: str) -> BindingSchedule | None:
            return agents[name].bind(terms[name])

        while not coordinator.done:
            terms = {name: coordinator.terms(name) for name in agents}
            answers = self.stage.map(respond, tuple(agents))
            coordinator.receive({n: a for n, a in answers.items() if a is not None})
        terms = {name: coordinator.terms(name, binding=True) for name in agents}
        found = self.stage.map(bind, tuple(agents))
        binding = {name: b for name, b in found.items() if b is not None}
        cleared = clear({n: b.trade_mw for n, b in binding.items()}, coordinator.multiplicity)
        settled = {name: agents[name].settle(b, cleared[name]) for name, b in binding.items()}
        for name, schedule in settled.items():
            self._holdings.know(name, Holding.uncommitted(schedule.exchange))
        reasons = {n: "no schedule at the agreed prices" for n in found if n not in binding}
        return self.decision(coordinator, settled, reasons)

    def _begin(self, instance: StageInstance) -> Coordinator:
        public = self.prepare(instance)
        if self.coordinator is None:
            self._start(public, self.enrolled(), instance.interval)
        assert self.coordinator is not None
        self._holdings.advance(instance.interval)
        held = {n: h.boundary for n, h in newest(self._holdings.present).items()}
        self.coordinator.begin(instance.interval, public, held, instance.own_parameters)
        return self.coordinator

    def _start(
        self, public: Mapping[str, PublicTerms], enrolled: Mapping[str, Holding], interval: int
    ) -> Coordinator:
        self.coordinator = self.new_coordinator(public)
        self._holdings = PossibleHoldings(enrolled, self.coordinator.shifted, interval)
        return self.coordinator
