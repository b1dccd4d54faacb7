"""Consensus on what parties exchange: ADMM with a price for every step (docs/formulation.md).

Exchange ADMM (Boyd et al. 2011, Distributed optimization and statistical learning via ADMM, section
7.3) with over-relaxation, prices kept within known limits, and a penalty for each step that follows
the parties' curvature (after Xu, Figueiredo and Goldstein 2017, Adaptive ADMM with spectral
penalty parameter selection): a step in which everybody is elastic needs a far smaller one than a
step in which prices meet kinks.
"""

from dataclasses import dataclass

import numpy as np

from stackelgrid.profiles.arrays import Floats

OVER_RELAXATION = 1.6
# a penalty stays within these multiples of the first one; share of the estimate that it takes over,
# falling with the square of the rounds after the given ones: ADMM converges where changes of the
# penalty are summable (He, Yang and Wang 2000), and keeps circling where they go on
PENALTY_RANGE = (1e-3, 50.0)
PENALTY_SHARE = 0.7
PENALTY_ROUNDS = 8


@dataclass(frozen=True)
class Residuals:
    """Residuals of a round's agreement, each (steps,).

    `open`: what does not clear, by copy, in MW; `apart`: mean distance of a party from its target,
    in EUR/MW of a step (penalty times MW); `moved`: mean movement of the targets, likewise.
    """

    open: Floats
    apart: Floats
    moved: Floats


class StepPenalties:
    """A penalty for every step that follows the parties' curvature; starts from `first`."""

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
        """Take no curvature from answers so far: the parties' programs have changed."""
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

    `copies` (n,) weigh the parties; a party takes `s` (steps,) of the good (negative: gives), and
    copies @ s is to vanish in every step. `price` (steps,) in EUR/MW of a step, `penalty` (the
    first one) in EUR/MW^2; prices stay within `low` and `high`.
    """

    def __init__(
        self, copies: Floats, price: Floats, penalty: Floats, low: Floats, high: Floats
    ) -> None:
        self.copies = copies
        self.low, self.high = low, high
        self.price = np.clip(price, low, high)
        self.penalties = StepPenalties(penalty)
        self.target = np.zeros((len(copies), len(price)))
        self._rounds = 1

    @property
    def penalty(self) -> Floats:
        """Present penalty of each step."""
        return self.penalties.values

    def restart(self, price: Floats, penalty: Floats, target: Floats) -> None:
        """Continue from another state, for example that of the interval before."""
        self.price = np.clip(price, self.low, self.high)
        self.penalties.restart(penalty)
        self.target = target - (self.copies / max(float(self.copies.sum()), 1e-300)) @ target

    def update(self, answers: Floats, present: Floats | None = None) -> Residuals:
        """Take the answers (n, steps) of a round; `present` (n,) is zero where there is none."""
        weights = self.copies if present is None else self.copies * present
        weights = weights / max(float(weights.sum()), 1e-300)
        penalty, before = self.penalty, self.target - weights @ self.target
        mean = weights @ answers
        prices = self.price + penalty * (answers - self.target)  # of each party at its answer
        self.target = OVER_RELAXATION * (answers - mean) + (1.0 - OVER_RELAXATION) * before
        self.price = np.clip(self.price + OVER_RELAXATION * penalty * mean, self.low, self.high)
        apart = penalty * np.sqrt(weights @ (answers - self.target) ** 2)
        moved = penalty * np.sqrt(weights @ (self.target - before) ** 2)
        self.penalties.follow(weights, answers, prices)
        return Residuals(mean, apart, moved)


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
        """Move the prices by what does not clear, less from round to round (square summable)."""
        weights = self.copies if present is None else self.copies * present
        weights = weights / max(float(weights.sum()), 1e-300)
        mean = weights @ answers
        self.penalties.values = self.penalties.values * self._rounds / (self._rounds + 1)
        self._rounds += 1
        before = self.price
        self.price = np.clip(before + self.penalties.values * mean, self.low, self.high)
        return Residuals(mean, np.zeros_like(mean), np.abs(self.price - before))
