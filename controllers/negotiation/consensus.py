"""Consensus on traded quantities: ADMM with a price for every step (docs/formulation.md).

Exchange ADMM (Boyd et al. 2011, Distributed optimization and statistical learning via ADMM, section
7.3) with over-relaxation, prices kept within known limits, and a penalty for each step that follows
the parties' curvature (after Xu, Figueiredo and Goldstein 2017, Adaptive ADMM with spectral
penalty parameter selection): a step in which everybody is elastic needs a far smaller one than a
step in which prices meet kinks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackelgrid.controllers.fallback import shifted
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.profiles.time_axis import Horizon

OVER_RELAXATION = 1.6
# a penalty stays within these multiples of the first one; share of the estimate that it takes over,
# falling with the square of the rounds after the given ones: ADMM converges where changes of the
# penalty are summable (He, Yang and Wang 2000), and keeps circling where they go on
PENALTY_RANGE = (1e-3, 50.0)
PENALTY_SHARE = 0.7
PENALTY_ROUNDS = 8
# fixed rounds begin with the price of the relaxed ones where these have moved it by more than this
# share of its range
NEWS_SHARE = 0.05


@dataclass(frozen=True)
class AdmmState:
    """State after a round: price and target (steps,) or (n, steps), penalty (steps,)."""

    price: Floats
    penalty: Floats
    target: Floats


@dataclass(frozen=True)
class Residuals:
    """Residuals of a round, each (steps,).

    `open`: power that does not clear, by copy, in MW; `apart`: mean distance of a party from its
    target, in EUR/MW of a step (penalty times MW); `moved`: mean movement of the targets, likewise.
    """

    open: Floats
    apart: Floats
    moved: Floats


class StepPenalties:
    """A penalty for every step that follows the parties' curvature, from a first one on."""

    def __init__(self, first: Floats) -> None:
        self.first = first
        self.values = first.copy()
        self._seen: tuple[Floats, Floats] | None = None
        self._changes = 0

    def restart(self, values: Floats) -> None:
        """Continue from other values, kept within their range."""
        low, high = PENALTY_RANGE
        self.values = np.clip(values, low * self.first, high * self.first)
        self.forget()

    def forget(self) -> None:
        """Ignore the curvature of earlier answers, as the parties' programs have changed."""
        self._seen = None
        self._changes = min(self._changes, PENALTY_ROUNDS)

    def follow(self, weights: Floats, answers: Floats, prices: Floats) -> None:
        """Move towards change of price over change of quantity, both (n, steps)."""
        if self._seen is not None:
            quantity = np.sqrt(weights @ (answers - self._seen[0]) ** 2)
            price = np.sqrt(weights @ (prices - self._seen[1]) ** 2)
            low, high = (factor * self.first for factor in PENALTY_RANGE)
            estimate = np.divide(price, quantity, out=high.copy(), where=quantity > 0.0)
            estimate = np.clip(estimate, low, high)
            self._changes += 1
            share = PENALTY_SHARE * min(1.0, (PENALTY_ROUNDS / self._changes) ** 2)
            self.values = self.values ** (1.0 - share) * estimate**share
        self._seen = (answers.copy(), prices.copy())


class Consensus:
    """Price of one good and target of each party; state of the rounds.

    `multiplicity` (n,) weighs the parties. A party takes `s` (steps,) of the good (negative:
    gives), and multiplicity @ s is to vanish in every step. `price` (steps,) in EUR/MW of a step,
    `penalty` (the first one) in EUR/MW^2; prices stay within `low` and `high`.
    """

    def __init__(
        self, multiplicity: Floats, price: Floats, penalty: Floats, low: Floats, high: Floats
    ) -> None:
        self.multiplicity = multiplicity
        self.low, self.high = low, high
        self.price = np.clip(price, low, high)
        self.penalties = StepPenalties(penalty)
        self.target = np.zeros((len(multiplicity), len(price)))
        self._rounds = 1

    @property
    def penalty(self) -> Floats:
        """Present penalty of each step."""
        return self.penalties.values

    @property
    def state(self) -> AdmmState:
        """Present state."""
        return AdmmState(self.price, self.penalty, self.target)

    def restart(self, state: AdmmState) -> None:
        """Continue from another state, for example that of the interval before."""
        self.price = np.clip(state.price, self.low, self.high)
        self.penalties.restart(state.penalty)
        self.target = state.target - normalised(self.multiplicity) @ state.target

    def update(self, answers: Floats, present: Floats | None = None) -> Residuals:
        """Take the answers (n, steps) of a round; `present` (n,) is zero where there is none."""
        weights = self._weights(present)
        penalty, before = self.penalty, self.target - weights @ self.target
        mean = weights @ answers
        prices = self.price + penalty * (answers - self.target)  # of each party at its answer
        self.target = OVER_RELAXATION * (answers - mean) + (1.0 - OVER_RELAXATION) * before
        self.price = np.clip(self.price + OVER_RELAXATION * penalty * mean, self.low, self.high)
        apart = penalty * np.sqrt(weights @ (answers - self.target) ** 2)
        moved = penalty * np.sqrt(weights @ (self.target - before) ** 2)
        self.penalties.follow(weights, answers, prices)
        return Residuals(mean, apart, moved)

    def _weights(self, present: Floats | None) -> Floats:
        return normalised(self.multiplicity if present is None else self.multiplicity * present)


class DualAscent(Consensus):
    """Plain dual ascent on linear prices, for comparison; penalties are step sizes, not sent.

    A party that is indifferent at the clearing price jumps from nothing to everything, so the
    trade of the parties does not settle (docs/negotiation.md).
    """

    @property
    def penalty(self) -> Floats:
        """No penalty."""
        return np.zeros_like(self.price)

    def update(self, answers: Floats, present: Floats | None = None) -> Residuals:
        """Move the prices by the uncleared trade, less from round to round (square summable)."""
        weights = self._weights(present)
        mean = weights @ answers
        self.penalties.values = self.penalties.values * self._rounds / (self._rounds + 1)
        self._rounds += 1
        before = self.price
        self.price = np.clip(before + self.penalties.values * mean, self.low, self.high)
        return Residuals(mean, np.zeros_like(mean), np.abs(self.price - before))


class TradeMemory(Carrying):
    """Last states of relaxed (False) and fixed (True) rounds, as seen now, and past prices."""

    carried = ("_interval", "_ends", "_paid")

    def __init__(self, horizon: Horizon) -> None:
        self._horizon = horizon
        self._day = round(24.0 / (horizon.dt_h[0] / horizon.intervals_per_step[0]))  # intervals
        self._begins = np.cumsum([0, *horizon.intervals_per_step[:-1]])  # first interval of steps
        self._interval: int | None = None
        self._age = 0
        # steps that the horizon of the interval before did not cover
        self._uncovered = np.ones(horizon.length, dtype=bool)
        self._ends: dict[bool, AdmmState] = {}
        # what trade was last thought to cost in EUR/MWh, by interval
        self._paid: dict[int, float] = {}

    @property
    def warm(self) -> bool:
        """Return whether there is an earlier state to start from."""
        return bool(self._ends)

    def advance(self, interval: int) -> None:
        """Set the present interval; `see` then shifts the last states of rounds to it."""
        self._age = 0 if self._interval is None else interval - self._interval
        self._interval = interval
        covered = self._horizon.intervals_covered - self._age
        self._uncovered = np.cumsum(self._horizon.intervals_per_step) > covered

    def see(self, first: AdmmState) -> None:
        """Shift the last states of rounds to the present, with a first guess for new steps."""
        self._ends = {
            fixed: AdmmState(
                self.later(end.price, first.price),
                self.later(end.penalty, first.penalty),
                self.later(end.target, first.target),
            )
            for fixed, end in self._ends.items()
        }

    def later(self, values: Floats, fresh: Floats) -> Floats:
        """Return values (..., steps) of the interval before, fresh ones in new steps."""
        if not self._age:
            return values.copy()
        old = shifted(np.atleast_2d(values), self._horizon, self._age)
        seen = np.where(self._uncovered, np.atleast_2d(fresh), old)
        return np.asarray(seen.reshape(values.shape))

    def guess(self, price: Floats) -> Floats:
        """Return a price (steps,) in EUR/MW of a step, that of a day before where it is known."""
        assert self._interval is not None
        before = (self._interval - self._day + self._begins).tolist()
        paid = [self._paid.get(interval, np.nan) for interval in before] * self._horizon.dt_h
        return np.where(np.isnan(paid), price, paid)

    def remember(self, end: AdmmState, *, fixed: bool) -> None:
        """Keep the last state of rounds as a start for the next interval."""
        assert self._interval is not None
        self._ends[fixed] = end
        steps = (self._interval + self._begins).tolist()
        prices = dict(zip(steps, (end.price / self._horizon.dt_h).tolist(), strict=True))
        since = self._interval - self._day
        self._paid = {k: price for k, price in (self._paid | prices).items() if k >= since}

    def start(self) -> AdmmState | None:
        """Return the start of this interval's relaxed rounds."""
        return self._ends.get(False)

    def fixed_start(self, began: AdmmState, now: AdmmState, span: Floats) -> AdmmState | None:
        """Return the start of fixed rounds after relaxed ones from `began` to `now`.

        It is the end of the fixed rounds of the interval before, and `now` in steps that this did
        not cover or whose price has moved a lot (`span`: its range).
        """
        end = self._ends.get(True)
        if end is None:
            return None
        moved: NDArray[np.bool_] = np.abs(now.price - began.price) > NEWS_SHARE * span
        new = self._uncovered | moved
        return AdmmState(
            np.where(new, now.price, end.price),
            np.where(new, now.penalty, end.penalty),
            np.where(new, now.target, end.target),
        )


def normalised(weights: Floats) -> Floats:
    """Return weights that sum to one; zeros if all are zero."""
    return weights / max(float(weights.sum()), 1e-300)
