"""State of trade across that a coordinator keeps between intervals (docs/negotiation.md)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stackelgrid.controllers.fallback import shifted
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.profiles.time_axis import Horizon

# fixed rounds begin with the price of the relaxed ones where these have moved it by more than this
# share of its range
NEWS_SHARE = 0.05


@dataclass(frozen=True)
class TradeState:
    """Final state of rounds on trade: price and penalty (steps,), targets (n, steps)."""

    price: Floats
    penalty: Floats
    target: Floats


class TradeMemory(Carrying):
    """Ends of relaxed (False) and fixed (True) rounds seen from the present, and past prices."""

    carried: ClassVar[tuple[str, ...]] = ("_interval", "_ends", "_paid")

    def __init__(self, horizon: Horizon) -> None:
        self._horizon = horizon
        self._day = round(24.0 / (horizon.dt_h[0] / horizon.intervals_per_step[0]))  # intervals
        self._begins = np.cumsum([0, *horizon.intervals_per_step[:-1]])  # first interval of steps
        self._interval: int | None = None
        self._age = 0
        # steps that the horizon of the interval before did not cover
        self._uncovered = np.ones(horizon.length, dtype=bool)
        self._ends: dict[bool, TradeState] = {}
        # what trade was last thought to cost in EUR/MWh, by interval
        self._paid: dict[int, float] = {}

    @property
    def warm(self) -> bool:
        """Return whether there is an earlier state to start from."""
        return bool(self._ends)

    def advance(self, interval: int) -> None:
        """Look from another interval; `see` then takes the ends of rounds there."""
        self._age = 0 if self._interval is None else interval - self._interval
        self._interval = interval
        covered = self._horizon.intervals_covered - self._age
        self._uncovered = np.cumsum(self._horizon.intervals_per_step) > covered

    def see(self, first: TradeState) -> None:
        """Ends of rounds as seen from the present, with a first guess where nothing was known."""
        self._ends = {
            fixed: TradeState(
                self.later(end.price, first.price),
                self.later(end.penalty, first.penalty),
                self.later(end.target, first.target),
            )
            for fixed, end in self._ends.items()
        }

    def later(self, values: Floats, fresh: Floats) -> Floats:
        """Values (..., steps) of the interval before; fresh ones where nothing was known."""
        if not self._age:
            return values.copy()
        old = shifted(np.atleast_2d(values), self._horizon, self._age)
        seen = np.where(self._uncovered, np.atleast_2d(fresh), old)
        return np.asarray(seen.reshape(values.shape))

    def guess(self, price: Floats) -> Floats:
        """A price (steps,) in EUR/MW of a step, or what the hour a day before has cost."""
        assert self._interval is not None
        before = (self._interval - self._day + self._begins).tolist()
        paid = [self._paid.get(interval, np.nan) for interval in before] * self._horizon.dt_h
        return np.where(np.isnan(paid), price, paid)

    def remember(self, end: TradeState, *, fixed: bool) -> None:
        """Keep where rounds ended as a start for the next interval."""
        assert self._interval is not None
        self._ends[fixed] = end
        steps = (self._interval + self._begins).tolist()
        prices = dict(zip(steps, (end.price / self._horizon.dt_h).tolist(), strict=True))
        since = self._interval - self._day
        self._paid = {k: price for k, price in (self._paid | prices).items() if k >= since}

    def start(self) -> TradeState | None:
        """Return the start of this interval's relaxed rounds."""
        return self._ends.get(False)

    def fixed_start(self, began: TradeState, now: TradeState, span: Floats) -> TradeState | None:
        """Return the start of fixed rounds after relaxed ones from `began` to `now`.

        Where fixed rounds ended in the interval before; where the relaxed ones are now in steps
        that it did not cover or whose price has moved a lot (`span`: its range).
        """
        end = self._ends.get(True)
        if end is None:
            return None
        moved: NDArray[np.bool_] = np.abs(now.price - began.price) > NEWS_SHARE * span
        new = self._uncovered | moved
        return TradeState(
            np.where(new, now.price, end.price),
            np.where(new, now.penalty, end.penalty),
            np.where(new, now.target, end.target),
        )
