"""The exchanges that a follower can serve, as its part in a negotiation: copies, prices, penalties.

Consensus ADMM (Boyd et al. 2011, section 7.1) between the agents' exchanges and the follower's
copies of them, with over-relaxation. Without the follower's cost a price is needed only where its
limits bind: the copies are made in the first round in which it cannot serve what is wanted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.negotiation.consensus import OVER_RELAXATION, StepPenalties
from stackelgrid.controllers.negotiation.follower_block import FollowerBlock
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.controllers.solvers.registry import Choice
from stackelgrid.profiles.arrays import Floats

Later = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class Served:
    """Distance of answers from exchanges that the follower can serve, each (steps,).

    Largest distance in MW; mean distance, and mean movement of what it can serve, as a share of a
    typical price (penalty times MW). `possible`: it can serve the answers as they are.
    """

    distance_mw: Floats
    apart: Floats
    moved: Floats
    possible: bool = True


@dataclass
class _Copies:
    """Prices and targets (n, steps), penalties, and the typical price (steps,) in EUR/MW."""

    price: Floats
    target: Floats
    penalties: StepPenalties
    typical: Floats


@dataclass(frozen=True)
class ServedState:
    """Final prices and targets (n, steps) and penalties (steps,)."""

    price: Floats
    target: Floats
    penalty: Floats


class ServedExchange:
    """Exchanges of some agents below a follower, `copies` of each; one object for all intervals.

    With `nodal` the follower's cost counts and every exchange has a price; without, only where
    limits bind.
    """

    def __init__(
        self, follower: UpstreamAgent, copies: Mapping[str, float], conic: Choice, *, nodal: bool
    ) -> None:
        self.follower, self.nodal = follower, nodal
        self.names = tuple(copies)
        self._count = np.array(list(copies.values()))
        self._block = FollowerBlock(follower, copies, conic, 1.0 if nodal else 0.0)
        self._copies: _Copies | None = None
        self._hopeless = False  # in this interval: the follower can serve nothing at all
        self._own: Floats = np.zeros(0)  # the follower's parameters without any exchange
        self._parameters: Floats = np.zeros(0)  # with the reactive exchanges that are held
        self._held: Floats = np.zeros(0)
        self._tariff: Floats = np.zeros(0)

    def state(self) -> ServedState | None:
        """Return the start of the next interval; None where exchanges have no prices."""
        copies = self._copies
        if copies is None:
            return None
        return ServedState(copies.price, copies.target, copies.penalties.values)

    def restore(self, state: ServedState | None) -> None:
        """Take what the next interval starts from."""
        self._copies = None
        if state is not None:  # first penalties and typical prices are those of an interval
            penalties = StepPenalties(state.penalty)
            self._copies = _Copies(state.price, state.target, penalties, np.zeros(0))

    @property
    def priced(self) -> bool:
        """Return whether exchanges have prices."""
        return self._copies is not None

    @property
    def price(self) -> dict[str, Floats]:
        """Prices (steps,) in EUR/MW of a step; empty where exchanges have none."""
        if self._copies is None:
            return {}
        return dict(zip(self.names, self._copies.price, strict=True))

    def begin(
        self,
        held: Floats,
        reactive: Floats,
        own_parameters: Floats,
        tariff: Floats,
        later: Later | None,
    ) -> None:
        """Open an interval; `later` sees values of the interval before from it (None: start anew).

        `held` and `reactive` (n, steps) are exchanges without a decision, `tariff` (steps,) the
        import price in EUR/MW of a step; `own_parameters` are the follower's without any exchange.
        """
        self._held, self._own, self._tariff = held, own_parameters, tariff
        total = dict(zip(self.names, self._count[:, None] * reactive, strict=True))
        self._parameters = self.follower.with_reactive(own_parameters, total)
        self._hopeless = False
        before = self._copies
        if before is None or later is None:
            self._copies = self._first() if self.nodal else None
            return
        fresh = self._first()
        fresh.penalties.restart(later(before.penalties.values, fresh.penalties.values))
        fresh.price = later(before.price, fresh.price)
        fresh.target = later(before.target, fresh.target)
        self._copies = fresh

    def terms(self, at: int, *, binding: bool) -> tuple[Floats, Floats, Floats]:
        """Price, target and penalty (steps,) of one agent.

        A binding exchange is held stiffly to what the follower can serve.
        """
        if self._copies is None:
            nothing = np.zeros(self._held.shape[1])
            return nothing, nothing, nothing
        copies = self._copies
        penalty = copies.penalties.values
        if binding:
            penalty = np.maximum(penalty, tolerances.NEGOTIATION_STIFFER * copies.penalties.first)
        return copies.price[at], copies.target[at], penalty

    def serve(self, exchange: Floats, present: Floats) -> Served:
        """Move the copies after answers (n, steps); agents without an answer keep theirs."""
        nothing, opened = Served(*np.zeros((3, exchange.shape[1]))), False
        wanted = dict(zip(self.names, exchange, strict=True))
        if self._copies is None:
            if self._hopeless or self._block.serves(wanted, self._parameters, margin=True):
                return nothing
            self._copies = self._first()
            self._copies.target = exchange.copy()
            opened = True
        copies = self._copies
        possible = self._block.serves(wanted, self._parameters)
        penalty, before = copies.penalties.values, copies.target
        seen = copies.price + penalty * (exchange - before)  # of each agent at its answer
        relaxed = OVER_RELAXATION * exchange + (1.0 - OVER_RELAXATION) * before
        relaxed = np.where(present[:, None] > 0.0, relaxed, exchange)
        wanted = dict(zip(self.names, relaxed + copies.price / penalty, strict=True))
        held = self._block.nearest(wanted, penalty, self._parameters)
        if held is None:  # leave it to the follower's own limits; known prices stay what they are
            self._hopeless = opened
            self._copies = None if opened else copies
            return nothing if opened else replace(nothing, possible=False)
        target = np.array([held[n] for n in self.names])
        copies.price = copies.price + penalty * (relaxed - target)
        copies.target = target
        weights = self._count * present
        weights = weights / max(float(weights.sum()), 1e-300)
        copies.penalties.follow(weights, exchange, seen)
        unit = penalty / copies.typical
        distance = np.abs(exchange - target) * (present[:, None] > 0.0)
        return Served(
            distance.max(axis=0),
            unit * np.sqrt(weights @ distance**2),
            unit * np.sqrt(weights @ (target - before) ** 2),
            possible,
        )

    def forget(self) -> None:
        """Take no curvature from answers so far: the agents' programs have changed."""
        if self._copies is not None:
            self._copies.penalties.forget()

    def cost(self, exchange: Mapping[str, BoundaryProfile]) -> float:
        """The follower's cost in EUR at exchanges (steps,), all copies; NaN where not served."""
        answer = self.follower.solve(self.follower.with_boundaries(self._own, exchange))
        return answer.objective if answer.status == "optimal" else float("nan")

    def lower_bound(self, exchange: Mapping[str, BoundaryProfile]) -> float:
        """The follower's part of the Lagrangian bound in EUR at the prices; zero without prices.

        At the reactive exchanges (steps,), all copies.
        """
        if not self.priced:
            return 0.0
        q_mvar = {name: boundary.q_mvar for name, boundary in exchange.items()}
        return self._block.lower_bound(self.price, self.follower.with_reactive(self._own, q_mvar))

    def _parameters_at(self, exchange: Floats) -> Floats:
        total = dict(zip(self.names, self._count[:, None] * exchange, strict=True))
        return self.follower.with_exchange(self._parameters, total)

    def _first(self) -> _Copies:
        """Copies at what is held, with the follower's prices there if its cost counts.

        A typical price over a typical exchange is the first penalty.
        """
        size = max(float(np.mean(np.abs(self._held))), tolerances.NEGOTIATION_EXCHANGE_MW)
        price, typical = np.zeros_like(self._held), np.abs(self._tariff)
        dt = self.follower.horizon.dt_h
        if self.nodal:
            answer = self.follower.solve(self._parameters_at(self._held))
            if answer.status == "optimal":
                nodal = self.follower.prices(answer)
                price = np.array([nodal[n] for n in self.names]) * dt
                typical = np.full(len(dt), np.abs(price / dt).mean()) * dt
        typical = np.maximum(typical, tolerances.PRICE_SPREAD * dt)
        return _Copies(price, self._held, StepPenalties(typical / size), typical)
