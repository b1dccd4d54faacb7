"""Leaders first, the follower optimal: the model of both papers (docs/model.md)."""

from dataclasses import replace

import numpy as np

from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.leaders.feeder_records import UNPRICED, FeederPoint
from stackelgrid.controllers.leaders.leader_group import leader_points
from stackelgrid.controllers.schemes.nodal import NodalSearch
from stackelgrid.controllers.stage.stage import Stage, StageInstance

_NO_POINT = "no exchange of the leaders can be served by {}; its limits are left to it"


class BottomUp:
    """Under a tariff the separable case, with nodal prices the single level.

    Under a tariff nothing of the follower is in the leaders' objective. They are solved without
    its constraints first: if the follower can serve the result, that is the optimum. Else they
    are solved together with its constraints. With nodal prices the payment is a convex function of
    the follower's solution and multipliers, and the search is over its active sets (hull.py).
    """

    name = "bottom_up"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._search: NodalSearch | None = None

    def begin(self, instance: StageInstance) -> None:
        """Begin with the leaders' decisions where they need no prices of the follower."""
        if not self._at_nodal_prices:
            self.stage.begin_groups(instance)

    def decide(self, instance: StageInstance) -> SchemeDecision:
        """Decide for one instance; what falls back says so in its report."""
        if self._at_nodal_prices:
            return self._nodal(instance)
        return self._tariff(instance)

    @property
    def _at_nodal_prices(self) -> bool:
        return self.stage.follower is not None and self.stage.pricing == "lmp"

    def _tariff(self, instance: StageInstance) -> SchemeDecision:
        found = self.stage.decide_groups(instance)
        follower, parameters = self.stage.follower, instance.parameters
        if follower is None or parameters is None:
            return found
        exchange = self.stage.exchange(found.points)
        if len(exchange) < len(found.points):  # a leader holds its last schedule
            return found
        answer = follower.solve(follower.with_exchange(parameters, exchange))
        if answer.status == "optimal":
            return found
        program = self.stage.program(follower=True)
        data = program.data(instance.leaders, parameters)
        solution = program.solve(data)
        if not len(solution.x):
            note = _NO_POINT.format(follower.grid_name)
            return replace(found, messages=(note + "; " + program.conflict(data),))
        return leader_points(program, instance.leaders, solution)

    def _nodal(self, instance: StageInstance) -> SchemeDecision:
        stage, parameters = self.stage, instance.parameters
        assert stage.follower is not None
        assert parameters is not None
        program, settings = stage.program(UNPRICED), stage.settings
        if self._search is None:
            link = program.link(stage.follower)
            self._search = NodalSearch(
                program.program, stage.follower, link, program.snap(), settings.conic
            )
        data = program.data(instance.leaders)
        solution = self._search.solve(data, parameters, settings.gap, settings.node_limit)
        if not len(solution.x):
            fallback = self._tariff(instance)
            note = f"nodal pricing: {solution.status} ({solution.message}); decided at the tariff"
            points = {
                n: replace(p, report=replace(p.report, fallback=p.report.fallback or note))
                for n, p in fallback.points.items()
            }
            return replace(fallback, points=points, messages=(*fallback.messages, note))
        uncontrolled = sum(
            agent.feeder.boundary.multiplicity * agent.uncontrolled_cost(instance.leaders[name])
            for name, agent in stage.leaders.items()
        )
        gap_eur = max(solution.objective - solution.bound, 0.0)
        flexible_gap = gap_eur / max(abs(solution.objective - uncontrolled), 1e-9)
        points = {}
        for name, agent in stage.leaders.items():
            x = np.asarray(program.part(name, solution.x))
            own = agent.own_cost(instance.leaders[name], x, UNPRICED)
            report = self._search.report(solution, own)
            report = replace(report, gap_eur=gap_eur, flexible_gap=flexible_gap)
            points[name] = FeederPoint(x, report, UNPRICED)
        return SchemeDecision(points, solution.objective, solution.bound, solution.y)
