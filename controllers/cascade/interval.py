"""An interval while its stages decide: data, outcomes, audits under way."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from stackelgrid.controllers.decision import Outcome
from stackelgrid.controllers.schedule import BoundaryProfile, Measurement, Plan
from stackelgrid.controllers.stage.evaluate import Audit
from stackelgrid.controllers.stage.stage import Stage, StageInstance
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class Foreseen:
    """Instance that a stage has begun with, for exchanges of the grids below its leaders."""

    stage: Stage
    exchange: Mapping[str, BoundaryProfile]
    instance: StageInstance

    def holds(self, stage: Stage, exchange: Mapping[str, BoundaryProfile]) -> bool:
        """Return whether an instance equals the requested one; all exchanges are known by now."""
        return stage is self.stage and all(
            np.array_equal(own.p_mw, exchange[name].p_mw)
            and np.array_equal(own.q_mvar, exchange[name].q_mvar)
            for name, own in self.exchange.items()
        )


@dataclass
class Interval:
    """One pass over the stages at an interval: its data, and what the stages have found so far.

    `outcomes` and `audits` by the grid above; `exchange` is what the grid above each one counts on,
    all copies; `foreseen` is what the next stage has begun with.
    """

    interval: int
    measured: Mapping[str, Measurement]
    heads: Mapping[str, Floats]
    plans: dict[str, Plan] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    audits: dict[str, Audit] = field(default_factory=dict)
    exchange: dict[str, BoundaryProfile] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    foreseen: Foreseen | None = None

    def take(self, name: str, outcome: Outcome, audit: Audit | None) -> None:
        """Take the outcome of a stage instead of an earlier one."""
        self.drop_audit(name)
        self.outcomes[name] = outcome
        self.exchange |= outcome.exchange
        if audit is not None:
            self.audits[name] = audit

    def drop_audit(self, name: str) -> None:
        """Leave out an audit that has not begun: the stage is decided again."""
        if (audit := self.audits.pop(name, None)) is not None:
            audit.cancel()

    def audited(self) -> tuple[Outcome, ...]:
        """Outcomes of the stages with a follower, once their audits are done."""
        return tuple(
            replace(outcome, follower_gap=self.audits[name].result())
            if name in self.audits
            else outcome
            for name, outcome in self.outcomes.items()
            if outcome.follower
        )
