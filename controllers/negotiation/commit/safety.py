"""Safety check of new schedules upstream, whichever agents receive the commit."""

from collections.abc import Mapping

import numpy as np

from stackelgrid.controllers.certification.mixtures import MixtureVerdict
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.negotiation.commit.possible_holdings import newest
from stackelgrid.controllers.negotiation.commit.two_phase_commit import Holding
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.controllers.solvers.conic import Solution
from stackelgrid.controllers.stage.stage import StageInstance
from stackelgrid.profiles.arrays import Floats


class CommitCheck:
    """Check of one interval, from the follower's own data and the messages to the coordinator.

    `copies` of each agent's grid by name. `verdict` is the last one on mixtures.
    """

    def __init__(
        self, follower: UpstreamAgent, copies: Mapping[str, float], instance: StageInstance
    ) -> None:
        assert instance.own_parameters is not None
        self.verdict: MixtureVerdict | None = None
        self._follower, self._copies = follower, copies
        self._interval, self._own = instance.interval, instance.own_parameters
        self._measured = instance.measured.get(follower.grid_name)

    def reason(
        self, possible: Mapping[str, tuple[Holding, ...]], before: Mapping[str, Holding]
    ) -> str:
        """Return why a mixture of possible schedules is unsafe; "" if none is.

        `before` is what the agents were taken to hold when the interval was opened: where the
        network is beyond its limits at these and its dispatch for them, mixtures may be so, too.
        """
        answer = self._dispatch(newest(possible))
        if answer.status != "optimal":
            return f"{self._follower.grid_name} cannot serve the new schedules ({answer.status})"
        self.verdict = verdict = self._judged(answer, possible, self._violation_pu(before))
        return "" if verdict.holds else verdict.worst

    def _dispatch(self, holdings: Mapping[str, Holding]) -> Solution:
        """The follower's answer to what every agent holds."""
        exchange = {name: self._boundary(name, holding) for name, holding in holdings.items()}
        return self._follower.solve(self._follower.with_boundaries(self._own, exchange))

    def _violation_pu(self, holdings: Mapping[str, Holding]) -> Floats:
        """Violation of every step at what agents hold and the dispatch for it, infinite if none."""
        answer = self._dispatch(holdings)
        if answer.status != "optimal":
            return np.full(self._follower.horizon.length, np.inf)
        verdict = self._judged(answer, {name: (held,) for name, held in holdings.items()})
        return np.array(verdict.step_violation_pu)

    def _judged(
        self,
        answer: Solution,
        possible: Mapping[str, tuple[Holding, ...]],
        before_pu: Floats | None = None,
    ) -> MixtureVerdict:
        """Verdict on all mixtures of what agents may hold at a dispatch."""
        choices = {
            name: [self._boundary(name, holding) for holding in holdings]
            for name, holdings in possible.items()
        }
        return self._follower.check_mixtures(
            self._interval, answer, choices, self._measured, before_pu
        )

    def _boundary(self, name: str, holding: Holding) -> BoundaryProfile:
        """Exchange of all copies of an agent."""
        return holding.boundary.times(self._copies[name])
