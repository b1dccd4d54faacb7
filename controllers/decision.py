"""Records of a decision: result of a scheme, its evaluation, and the plans of all grids."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from stackelgrid.controllers.leaders.feeder_records import FeederPoint
from stackelgrid.controllers.schedule import BoundaryProfile, Plan
from stackelgrid.profiles.arrays import Floats

Pricing = Literal["tariff", "lmp"]


@dataclass(frozen=True)
class Round:
    """Round of a negotiation, as recorded by its coordinator.

    `open_share`: trade that does not clear over the volume; `price_apart`, `price_moved`: residuals
    as a share of the price range, root mean square over the steps; `exchange_apart_mw`: largest
    distance between an exchange and the nearest feasible one for the follower; `cut_eur`: most that
    cutting the long side of trade can cost at public prices; (steps,): `price_eur_per_mwh` of trade
    across.
    """

    number: int
    fixed: bool
    answers: int
    open_share: float
    volume_mwh: float
    cut_eur: float
    price_apart: float
    price_moved: float
    exchange_apart_mw: float
    penalty: tuple[float, float]
    price_eur_per_mwh: Floats
    limits: bool


@dataclass(frozen=True)
class Negotiation:
    """Messages and commit of one stage in one interval; times in s on the network's clock.

    `committed`: version of the new schedules, "" with the `reason` if the old ones stay; `seconds`
    from the opening to the decision to commit (NaN without one). `held`: version that each agent
    holds from the interval on ("" before any commit). `silent`: agents that were left out;
    `in_doubt`: agents with an unconfirmed commit, or with a vote without a result, at the gate;
    `settled`: doubts of earlier gates that were settled. `refused`: messages that were dropped as
    bad (by reason), `ignored`: late, repeated or unexpected ones. `failures`: errors of agents.
    `mixtures`: number of mixtures that the last check covered; `mixtures_checked`: power flows.
    """

    committed: str
    reason: str
    attempts: int
    rounds: int
    seconds: float
    members: tuple[str, ...]
    confirmed: tuple[str, ...]
    silent: tuple[str, ...]
    in_doubt: tuple[str, ...]
    settled: tuple[str, ...]
    held: Mapping[str, str]
    sent: int
    delivered: int
    lost: int
    in_outage: int
    duplicated: int
    reordered: int
    bytes_sent: int
    refused: Mapping[str, int]
    ignored: Mapping[str, int]
    failures: tuple[str, ...]
    mixtures: float
    mixtures_checked: int
    worst_mixture_pu: float


@dataclass(frozen=True)
class SchemeDecision:
    """Decision of a scheme: the leaders' points, objective and proven bound of its program.

    `follower_x` are the follower's columns where the scheme's program returned them, and
    `follower_range_eur` its least and largest cost at the exchange. Money counts all copies; NaN
    where there is none. `plans` are certified schedules of the points: a scheme whose agents
    certify and mend their own returns them, for others the stage adds them. `recoveries` are
    messages on what was mended, `history` the rounds of a negotiation, `negotiation` its messages;
    `exchange` is the reported one for which a negotiating follower dispatches, all copies.
    """

    points: Mapping[str, FeederPoint]
    objective: float = float("nan")
    bound: float = float("nan")
    follower_x: Floats | None = None
    follower_range_eur: tuple[float, float] | None = None
    remaining_gain_eur: Mapping[str, float] = field(default_factory=dict)
    rounds: int = 1
    messages: tuple[str, ...] = ()
    plans: Mapping[str, Plan] | None = None
    recoveries: tuple[str, ...] = ()
    history: tuple[Round, ...] = ()
    negotiation: Negotiation | None = None
    exchange: Mapping[str, BoundaryProfile] | None = None

    @property
    def gap(self) -> float:
        """Relative gap between objective and bound."""
        return max(self.objective - self.bound, 0.0) / max(1.0, abs(self.objective))


@dataclass(frozen=True)
class Outcome:
    """Evaluated decision of a stage for the horizon; money in EUR over the horizon.

    `plans` holds the leaders' (active networks) and the follower's plan by grid name; `exchange` is
    what the grid above counts on, all copies: the reported one, or the plans'. Without a `follower`
    (the source is not simulated) there are no costs. Costs by active network count all its copies.
    `payment_eur` is the payment of an active network at its boundary under the stated pricing,
    `leader_cost_eur` its whole cost with that payment. `follower_cost_eur` is the cost of the
    follower at the leaders' exchange, solved again; NaN where the exchange cannot be met.
    `follower_returned_eur` is the cost of the follower that a scheme without a follower's
    optimality returned, `_min_eur` and `_max_eur` its range. `follower_gap` is NaN until its audit
    is done. `objective`, `bound` and `gap` are those of the program that the scheme solved,
    `recoveries` messages on mended schedules, `history` the rounds of a negotiation, `negotiation`
    its messages and commit.
    """

    scheme: str
    pricing: Pricing
    plans: Mapping[str, Plan]
    objective: float
    bound: float
    gap: float
    solve_s: float
    exchange: Mapping[str, BoundaryProfile] = field(default_factory=dict)
    follower: str = ""
    leader_cost_eur: Mapping[str, float] = field(default_factory=dict)
    payment_eur: Mapping[str, float] = field(default_factory=dict)
    follower_cost_eur: float = float("nan")
    follower_gap: float = float("nan")
    follower_returned_eur: float = float("nan")
    follower_min_eur: float = float("nan")
    follower_max_eur: float = float("nan")
    remaining_gain_eur: Mapping[str, float] = field(default_factory=dict)
    rounds: int = 1
    messages: tuple[str, ...] = ()
    recoveries: tuple[str, ...] = ()
    history: tuple[Round, ...] = ()
    negotiation: Negotiation | None = None

    @property
    def leader_eur(self) -> float:
        """Cost of all leaders, boundary payments included."""
        return sum(self.leader_cost_eur.values())

    @property
    def total_eur(self) -> float:
        """Follower's cost plus leaders' cost without the boundary payment, which is a transfer."""
        return self.follower_cost_eur + self.leader_eur - sum(self.payment_eur.values())


@dataclass(frozen=True)
class Decision:
    """Plans of all grids for one interval, and the schedules' common rounds if they negotiated.

    `outcomes` contain the decision of each stage's scheme, followers included; a controller without
    schemes leaves them empty.
    """

    plans: Mapping[str, Plan]
    rounds: int = 1
    messages: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
