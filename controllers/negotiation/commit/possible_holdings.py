"""Schedules that each agent may hold, from its coordinator's messages."""

from collections.abc import Callable, Mapping

from stackelgrid.controllers.negotiation.commit.messages import Profile, Version
from stackelgrid.controllers.negotiation.commit.records import Holding
from stackelgrid.profiles.stateful import Carrying

__all__ = ["PossibleHoldings", "newest"]


def newest(possible: Mapping[str, tuple[Holding, ...]]) -> dict[str, Holding]:
    """Return each agent's most likely holding: a sent commit arrives more often than not."""
    return {agent: holdings[-1] for agent, holdings in possible.items()}


class PossibleHoldings(Carrying):
    """Possible schedules of each agent, always seen from the present interval.

    `enrolled`: what each holds at `interval`; `shift(profile, intervals)`: a profile as seen that
    many intervals later. Remembered profiles are shifted from the interval they were stated in.
    """

    carried = ("_interval", "_stated", "_present")

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
        self._present: dict[str, tuple[Holding, ...]] = {a: (h,) for a, h in enrolled.items()}

    @property
    def present(self) -> Mapping[str, tuple[Holding, ...]]:
        """Possible holdings of every agent, from the present interval on."""
        return dict(self._present)

    def versions(self, agent: str) -> tuple[Version | None, ...]:
        """Versions an agent may hold."""
        return tuple(holding.version for holding in self._present[agent])

    def advance(self, interval: int) -> None:
        """The present interval is another one."""
        self._interval = interval
        for agent in self._stated:
            self._look(agent)

    def know(self, agent: str, holding: Holding) -> None:
        """An agent holds this and nothing else."""
        self._stated[agent] = ((self._interval, holding),)
        self._look(agent)

    def know_version(self, agent: str, version: Version | None) -> None:
        """Record that the agent holds this version."""
        self._stated[agent] = tuple(s for s in self._stated[agent] if s[1].version == version)
        self._look(agent)

    def add(self, agent: str, holding: Holding) -> None:
        """An agent may hold this, too."""
        self._stated[agent] += ((self._interval, holding),)
        self._look(agent)

    def _look(self, agent: str) -> None:
        self._present[agent] = tuple(
            self._shifted(holding, self._interval - since) for since, holding in self._stated[agent]
        )

    def _shifted(self, holding: Holding, age: int) -> Holding:
        if age == 0:
            return holding
        return Holding(
            holding.version, self._shift(holding.p_mw, age), self._shift(holding.q_mvar, age)
        )
