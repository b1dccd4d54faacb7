"""Warm starts of a group's later intervals: prices that cleared trade, rows that bound."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.fallback import shifted
from stackelgrid.controllers.solvers.conic import NO_ROWS
from stackelgrid.profiles.arrays import Floats, Ints
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.profiles.time_axis import Horizon

# a change of prices above this (relative, with the largest volume in every step) leaves more than
# LINK_PRICES open; what solvers leave of unchanged prices is below
_TRUSTED = 10.0 * tolerances.LINK_PRICES


@dataclass(frozen=True)
class WarmStart:
    """Rare rows that bound in an interval, and prices (steps,) in EUR/MW of a step that cleared it.

    `prices` are None where no trade was cleared by prices. `weight` in MW/EUR is the largest volume
    traded in a step over the size of all costs.
    """

    interval: int
    binding: Ints
    prices: Floats | None = None
    weight: float = 0.0


class WarmStarts(Carrying):
    """Warm starts of the latest intervals, one for each position within the longest step.

    Where steps grow, a step of the present horizon is one of an earlier horizon only if the longest
    step divides the time between the two: then tariffs and loads are averaged over the same hours,
    and prices hardly move. In between they jump by up to the spread of the tariff. Where they move
    in spite of that (trade comes into the horizon at its end), they do so for some intervals, and
    none are expected until they would have been right again: at wrong prices feeders trade in other
    steps than at the right ones, so the change counts in all steps with the largest volume.
    """

    carried: ClassVar[tuple[str, ...]] = ("_known", "_trusted", "_binding")

    def __init__(self, horizon: Horizon) -> None:
        self._horizon = horizon
        self._period = int(horizon.intervals_per_step.max())
        self._known: dict[int, tuple[int, Floats]] = {}
        self._trusted = True
        self._binding: dict[int, Ints] = {}

    def binding(self, interval: int) -> Ints:
        """Rare rows that bound when steps of the horizon last covered the same hours."""
        return self._binding.get(interval % self._period, NO_ROWS)

    def prices(self, interval: int) -> Floats | None:
        """Prices (steps,) in EUR/MW of a step; None where none are known or trusted.

        Steps that the earlier horizon did not cover get the price of its last one. Prices of the
        same interval are always trusted.
        """
        since, _ = self._known.get(interval % self._period, (None, None))
        return self._later(interval) if self._trusted or since == interval else None

    def keep(self, found: WarmStart) -> None:
        """Store the prices of an interval."""
        position = found.interval % self._period
        self._binding = {**self._binding, position: found.binding}
        if found.prices is None:
            return
        before = self._later(found.interval)
        if before is not None:
            change = found.weight * float(np.abs(before - found.prices).sum())
            self._trusted = change <= _TRUSTED
        rates = found.prices / self._horizon.dt_h
        self._known = {**self._known, position: (found.interval, rates)}

    def _later(self, interval: int) -> Floats | None:
        known = self._known.get(interval % self._period)
        if known is None:
            return None
        since, rates = known
        age = interval - since
        return np.asarray(shifted(rates[None, :], self._horizon, age)[0] * self._horizon.dt_h)
