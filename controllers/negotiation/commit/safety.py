"""Safety of a commit: every mixture of the schedules that agents may hold keeps AC limits.

An agent may hold any schedule with a commit sent and no report received, so a new set of
schedules is safe only if the network above carries every combination (docs/negotiation.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from stackelgrid.controllers.certification.mixtures import MixtureVerdict
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.negotiation.commit.messages import Profile, Version
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.controllers.solvers.conic import Solution
from stackelgrid.controllers.stage.stage import StageInstance
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Carrying


@dataclass(frozen=True, slots=True)
class Holding:
    """Schedule that an agent holds or may hold: its version (None: before any commit).

    Profiles (steps,) in MW and MVAr of one copy of the agent's grid, load positive.
    """

    version: Version | None
    p_mw: Profile
    q_mvar: Profile

    @classmethod
    def uncommitted(cls, exchange: BoundaryProfile) -> "Holding":
        """Return the holding of an exchange (steps,) that was not committed."""
        return cls(None, tuple(exchange.p_mw.tolist()), tuple(exchange.q_mvar.tolist()))

    @property
    def boundary(self) -> BoundaryProfile:
        """Exchange of one copy."""
        return BoundaryProfile(np.array(self.p_mw), np.array(self.q_mvar))


# possible holdings of every agent, the most likely one last
Possible = Mapping[str, tuple[Holding, ...]]


def newest(possible: Possible) -> dict[str, Holding]:
    """Return each agent's most likely holding: a sent commit arrives more often than not."""
    return {agent: holdings[-1] for agent, holdings in possible.items()}


class PossibleHoldings(Carrying):
    """Schedules that each agent may hold, according to its messages.

    `enrolled`: holding of each agent at `interval`; `shift(profile, intervals)` returns a profile
    as seen that many intervals later.
    """

    carried = ("_interval", "_stated")

    def __init__(
        self,
        enrolled: Mapping[str, Holding],
        shift: Callable[[Profile, int], Profile],
        interval: int,
    ) -> None:
        self._shift = shift
        self._interval = interval
        # each with the interval that its profiles begin with
        self._stated: dict[str, tuple[tuple[int, Holding], ...]] = {
            agent: ((interval, holding),) for agent, holding in enrolled.items()
        }

    @property
    def present(self) -> Possible:
        """Possible holdings of every agent, from the present interval on."""
        return {
            agent: tuple(self._later(holding, self._interval - since) for since, holding in stated)
            for agent, stated in self._stated.items()
        }

    def versions(self, agent: str) -> tuple[Version | None, ...]:
        """Return the versions that an agent may hold."""
        return tuple(holding.version for _, holding in self._stated[agent])

    def advance(self, interval: int) -> None:
        """Set the present interval."""
        self._interval = interval

    def know(self, agent: str, holding: Holding) -> None:
        """Record that an agent holds this schedule."""
        self._stated[agent] = ((self._interval, holding),)

    def know_version(self, agent: str, version: Version | None) -> None:
        """Record that an agent holds this version."""
        self._stated[agent] = tuple(s for s in self._stated[agent] if s[1].version == version)

    def add(self, agent: str, holding: Holding) -> None:
        """Record that an agent may hold this schedule, too."""
        self._stated[agent] += ((self._interval, holding),)

    def _later(self, holding: Holding, age: int) -> Holding:
        if age == 0:
            return holding
        return Holding(
            holding.version, self._shift(holding.p_mw, age), self._shift(holding.q_mvar, age)
        )


class SafetyCheck:
    """Check of mixtures at the follower's dispatch, from its own data and the agents' messages.

    `multiplicity` of each agent's grid by name. `verdict` is the last one of the present interval.
    """

    def __init__(self, follower: UpstreamAgent, multiplicity: Mapping[str, float]) -> None:
        self.verdict: MixtureVerdict | None = None
        self._follower, self._multiplicity = follower, multiplicity

    def open(self, instance: StageInstance) -> None:
        """Take the follower's data of an interval."""
        assert instance.own_parameters is not None
        self.verdict = None
        self._interval, self._own = instance.interval, instance.own_parameters
        self._measured = instance.measured.get(self._follower.grid_name)

    def reason(self, possible: Possible, before: Mapping[str, Holding]) -> str:
        """Return why a mixture of possible schedules is unsafe; "" if none is.

        `before` is what the agents were assumed to hold when the interval was opened: where the
        network is beyond its limits at these and its dispatch for them, mixtures may be so, too.
        """
        answer = self._dispatch(newest(possible))
        if answer.status != "optimal":
            return f"{self._follower.grid_name} cannot serve the new schedules ({answer.status})"
        self.verdict = verdict = self._checked(answer, possible, self._violation_pu(before))
        return "" if verdict.holds else verdict.worst

    def _dispatch(self, holdings: Mapping[str, Holding]) -> Solution:
        """Return the follower's dispatch for the schedules held."""
        exchange = {name: self._boundary(name, holding) for name, holding in holdings.items()}
        return self._follower.solve(self._follower.with_boundaries(self._own, exchange))

    def _violation_pu(self, holdings: Mapping[str, Holding]) -> Floats:
        """Return the violation (steps,) at holdings and the dispatch for them, infinite if none."""
        answer = self._dispatch(holdings)
        if answer.status != "optimal":
            return np.full(self._follower.horizon.length, np.inf)
        verdict = self._checked(answer, {name: (held,) for name, held in holdings.items()})
        return np.array(verdict.step_violation_pu)

    def _checked(
        self, answer: Solution, possible: Possible, before_pu: Floats | None = None
    ) -> MixtureVerdict:
        """Return the verdict on all mixtures of possible holdings at a dispatch."""
        choices = {
            name: [self._boundary(name, holding) for holding in holdings]
            for name, holdings in possible.items()
        }
        return self._follower.check_mixtures(
            self._interval, answer, choices, self._measured, before_pu
        )

    def _boundary(self, name: str, holding: Holding) -> BoundaryProfile:
        """Return the exchange of all copies of an agent's grid."""
        return holding.boundary.times(self._multiplicity[name])
