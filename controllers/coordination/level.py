"""A stage of the cascade with its scheme, and what a cascade carries from interval to interval."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackelgrid.controllers.agents.feeder_agent import FeederState
from stackelgrid.controllers.coordination.stage import Scheme, Stage
from stackelgrid.controllers.decision import Decision
from stackelgrid.profiles.stateful import Stateful

__all__ = ["CascadeState", "Level", "LevelState"]


@dataclass(frozen=True)
class LevelState:
    """What follower and scheme of a stage carry; None where they carry nothing."""

    follower: Any
    scheme: Any


@dataclass(frozen=True)
class CascadeState:
    """What agents and stages carry and share, and the decision that is stepped through."""

    agents: Mapping[str, FeederState]
    levels: tuple[LevelState, ...]
    tightened: Mapping[tuple[str, int], LevelState]
    decision: Decision | None
    shared: Any


@dataclass
class Level:
    """A stage of the tree, the scheme on it, and the same with tightened limits when needed."""

    parent: str
    stage: Stage
    scheme: Scheme

    def state(self) -> LevelState:
        """What follower and scheme carry."""
        follower, scheme = self.stage.follower, self.scheme
        return LevelState(
            None if follower is None else follower.state(),
            scheme.state() if isinstance(scheme, Stateful) else None,
        )

    def restore(self, state: LevelState) -> None:
        """Take what follower and scheme carried."""
        if self.stage.follower is not None:
            self.stage.follower.restore(state.follower)
        if isinstance(self.scheme, Stateful):
            self.scheme.restore(state.scheme)
