"""A stage of the cascade with its scheme, one pass over all, and what a cascade carries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stackelgrid.controllers.decision import Decision, Outcome
from stackelgrid.controllers.leaders.feeder_agent import FeederState
from stackelgrid.controllers.schedule import BoundaryProfile, Measurement, Plan
from stackelgrid.controllers.stage.evaluate import Evaluated
from stackelgrid.controllers.stage.stage import Scheme, Stage, StageInstance
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Stateful

__all__ = ["CascadeState", "Level", "LevelState", "Pass"]


@dataclass(frozen=True)
class LevelState:
    """State of a stage: follower and scheme (None without one), and groups of leaders."""

    follower: Any
    scheme: Any
    groups: Any


@dataclass(frozen=True)
class CascadeState:
    """State of agents and stages, and the decision whose steps are being executed."""

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
        """State of follower, scheme and groups of leaders."""
        follower, scheme = self.stage.follower, self.scheme
        return LevelState(
            None if follower is None else follower.state(),
            scheme.state() if isinstance(scheme, Stateful) else None,
            self.stage.state(),
        )

    def restore(self, state: LevelState) -> None:
        """Take what follower, scheme and groups of leaders carried."""
        if self.stage.follower is not None:
            self.stage.follower.restore(state.follower)
        if isinstance(self.scheme, Stateful):
            self.scheme.restore(state.scheme)
        self.stage.restore(state.groups)


@dataclass(frozen=True)
class Foreseen:
    """Instance that a stage has begun with, for exchanges of the grids below its leaders."""

    level: Level
    exchange: Mapping[str, BoundaryProfile]
    instance: StageInstance

    def holds(self, level: Level, exchange: Mapping[str, BoundaryProfile]) -> bool:
        """Return whether an instance equals the requested one; all exchanges are known by now."""
        return level is self.level and all(
            np.array_equal(own.p_mw, exchange[name].p_mw)
            and np.array_equal(own.q_mvar, exchange[name].q_mvar)
            for name, own in self.exchange.items()
        )


@dataclass
class Pass:
    """One pass over the stages: data of all of them, and what those decided so far have found.

    `stages` by the grid above; `exchange` is what the grid above each one counts on, all copies;
    `foreseen` is what the next stage has begun with.
    """

    interval: int
    measured: Mapping[str, Measurement]
    heads: Mapping[str, Floats]
    plans: dict[str, Plan] = field(default_factory=dict)
    stages: dict[str, Evaluated] = field(default_factory=dict)
    exchange: dict[str, BoundaryProfile] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    foreseen: Foreseen | None = None

    def superseded(self) -> None:
        """Leave out the audits that have not begun: all stages are decided again."""
        for stage in self.stages.values():
            stage.superseded()

    def outcomes(self) -> tuple[Outcome, ...]:
        """Outcomes of the stages with a follower, once their audits are done."""
        found = (stage.outcome for stage in self.stages.values())
        return tuple(outcome for outcome in found if outcome is not None)
