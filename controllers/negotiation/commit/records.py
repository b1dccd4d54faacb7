"""Records of a coordinator's two-phase commits."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stackelgrid.controllers.negotiation.commit.messages import Profile, Version
from stackelgrid.controllers.schedule import BoundaryProfile

__all__ = ["CommitRecord", "Holding", "SettledDoubt", "Terms"]


@dataclass(frozen=True, slots=True)
class Holding:
    """A schedule an agent holds or may hold: its version (None: enrolled with), MW and MVAr.

    Profiles (steps,) of one copy of the agent's grid, load positive.
    """

    version: Version | None
    p_mw: Profile
    q_mvar: Profile

    @property
    def boundary(self) -> BoundaryProfile:
        """Exchange of one copy."""
        return BoundaryProfile(np.array(self.p_mw), np.array(self.q_mvar))


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of one agent in a round; profiles (steps,), units as in `Offer`."""

    round: int
    fixed: bool
    trade_price: Profile
    trade_target: Profile
    trade_penalty: Profile
    exchange_price: Profile
    exchange_target: Profile
    exchange_penalty: Profile


@dataclass(frozen=True, slots=True)
class SettledDoubt:
    """An agent whose commit was unacknowledged at a gate and by now is known to hold it or not."""

    agent: str
    version: Version
    adopted: bool


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """Result of an interval's commit, as known to its coordinator at the gate.

    `committed`: the version decided, or None with the `reason` of the last attempt; `members`:
    agents asked in it; `trades`: their cleared trades (steps,) in MW; `confirmed`: members that
    acknowledged; `in_doubt`: agents whose commit, of this or an earlier interval, was not
    acknowledged; `settled`: doubts of earlier gates settled since the last one.
    """

    interval: int
    committed: Version | None
    reason: str
    attempts: int
    members: tuple[str, ...]
    trades: Mapping[str, Profile]
    confirmed: tuple[str, ...]
    in_doubt: tuple[str, ...]
    settled: tuple[SettledDoubt, ...]
