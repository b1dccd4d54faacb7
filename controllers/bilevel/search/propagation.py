"""Sides of pairs that follow from the sides already chosen, by the activity of linear rows.

Bounds of the columns are tightened row by row (Savelsbergh 1994). A slack that cannot be zero
implies a zero multiplier, and a multiplier that cannot be zero a zero slack: a generator at its
minimum is not at its maximum, one in between sets the price of its bus, and the price decides its
neighbours.
"""

from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array, csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.problem import Flags
from stackelgrid.controllers.bilevel.search.node import MULTIPLIER_ZERO, OPEN, SLACK_ZERO, NodeState
from stackelgrid.controllers.solvers.conic import ProgramData
from stackelgrid.controllers.solvers.reduce.column_boxes import Sums
from stackelgrid.profiles.arrays import Floats, Ints

_ROUNDS = 20  # most rounds of propagation in one node
_SWEEPS = 3  # most sweeps over all rows between two of them
_ROOT_SWEEPS = 50
_PROGRESS = 1e-3  # a bound that moves by less of its range starts no further sweep
_ROUNDING = 1e-9  # bounds are moved outwards by this, relative to their size
_CANCELLATION = 1e-13  # and by this share of the terms whose sum they come from


class Propagation:
    """Linear rows of one instance's single level; arrays are built once."""

    def __init__(self, form: KktForm, data: ProgramData) -> None:
        self._form = form
        program = form.program
        self._rows = program.zero + program.nonneg
        entries = coo_array(csr_array(program.matrix)[: self._rows])
        kept = entries.data != 0.0
        self._row: Ints = entries.coords[0][kept].astype(np.int64)
        self._column: Ints = entries.coords[1][kept].astype(np.int64)
        self._value: Floats = entries.data[kept]
        self._b = data.b[: self._rows]
        self._size = 1.0 + np.abs(self._b)
        self._equation: Flags = np.arange(self._rows) < program.zero
        free = np.full(program.variables, np.inf)
        self._root = self._swept(-free, free, self._equation, _ROOT_SWEEPS)

    def tighten(self, state: NodeState) -> NodeState | None:
        """Return the state with all implied sides, or None if rows contradict each other."""
        if self._root is None:
            return None
        form, integer = self._form, self._form.program.integer
        low, high = self._root[0].copy(), self._root[1].copy()
        low[integer] = np.maximum(low[integer], state.lower)
        high[integer] = np.minimum(high[integer], state.upper)
        sides = state.sides
        for _ in range(_ROUNDS):
            equation = self._equation.copy()
            equation[form.slack_rows[sides == SLACK_ZERO]] = True
            without = form.multipliers[sides == MULTIPLIER_ZERO]
            high[without] = np.minimum(high[without], 0.0)
            swept = self._swept(low, high, equation, _SWEEPS)
            if swept is None:
                return None
            low, high = swept
            slack = self._smallest_slacks(low, high)
            open_slack = slack > tolerances.COMPLEMENTARY_PAIR * self._size[form.slack_rows]
            priced = low[form.multipliers] > tolerances.COMPLEMENTARY_PAIR
            if (open_slack & priced).any():
                return None
            implied = np.where(open_slack, MULTIPLIER_ZERO, np.where(priced, SLACK_ZERO, OPEN))
            new = np.where(sides == OPEN, implied, sides)
            if (new == sides).all():
                break
            sides = new
        return replace(state, sides=sides)

    def _smallest_slacks(self, low: Floats, high: Floats) -> Floats:
        """Return lower bounds of the slacks of all pairs; minus infinity where there is none."""
        most = np.where(self._value > 0.0, high[self._column], low[self._column]) * self._value
        sums = np.bincount(self._row, most, self._rows)
        size = np.bincount(self._row, np.abs(most), self._rows)
        slack = self._b - sums - np.where(np.isinf(size), 0.0, _CANCELLATION * size)
        return np.asarray(slack[self._form.slack_rows])

    def _swept(
        self, low: Floats, high: Floats, equation: Flags, sweeps: int
    ) -> tuple[Floats, Floats] | None:
        """Return tighter bounds of all columns, or None if a row or a column has no value left."""
        for _ in range(sweeps):
            least, most, size = self._activities(low, high)
            if self._contradicted(least, most, size, equation):
                return None
            below, above = self._implied(least, most, size, equation)
            new_low, new_high = low.copy(), high.copy()
            np.maximum.at(new_low, self._column, below)
            np.minimum.at(new_high, self._column, above)
            if (new_low > new_high + tolerances.POINT_VIOLATION * (1.0 + np.abs(new_low))).any():
                return None
            moved = _moved(low, high, new_low, new_high)
            low, high = np.minimum(new_low, new_high), np.maximum(new_low, new_high)
            if not moved:
                break
        return low, high

    def _activities(self, low: Floats, high: Floats) -> tuple[Sums, Sums, Floats]:
        """Smallest and largest values of the rows, and the size of their finite terms."""
        up = self._value > 0.0
        at_low, at_high = self._value * low[self._column], self._value * high[self._column]
        least = Sums(np.where(up, at_low, at_high), self._row, self._rows)
        most = Sums(np.where(up, at_high, at_low), self._row, self._rows)
        terms = np.maximum(np.abs(least.terms), np.abs(most.terms))
        return least, most, np.asarray(np.bincount(self._row, terms, self._rows), dtype=float)

    def _contradicted(self, least: Sums, most: Sums, size: Floats, equation: Flags) -> bool:
        allowed = tolerances.POINT_VIOLATION * self._size + _CANCELLATION * size
        over = (least.missing == 0) & (least.sums > self._b + allowed)
        under = equation & (most.missing == 0) & (most.sums < self._b - allowed)
        return bool(over.any() or under.any())

    def _implied(
        self, least: Sums, most: Sums, size: Floats, equation: Flags
    ) -> tuple[Floats, Floats]:
        """Bounds of the column of every entry by its row and the row's other entries."""
        row, value, b = self._row, self._value, self._b[self._row]
        up, tight = value > 0.0, equation[row]
        from_least = (b - least.others(row, -np.inf)) / value
        from_most = (b - most.others(row, np.inf)) / value
        above = np.where(up, from_least, np.where(tight, from_most, np.inf))
        below = np.where(up, np.where(tight, from_most, -np.inf), from_least)
        cancelled = _CANCELLATION * size[row] / np.abs(value)
        return below - _margin(below, cancelled), above + _margin(above, cancelled)


def _margin(bounds: Floats, cancelled: Floats) -> Floats:
    size = np.where(np.isfinite(bounds), np.abs(bounds), 0.0)
    return np.asarray(_ROUNDING * (1.0 + size) + cancelled)


def _moved(low: Floats, high: Floats, new_low: Floats, new_high: Floats) -> bool:
    """Return whether a bound moved enough for others to follow."""
    found = (np.isinf(low) & np.isfinite(new_low)) | (np.isinf(high) & np.isfinite(new_high))
    bounded = np.isfinite(low) & np.isfinite(high)
    width = np.where(bounded, high, 1.0) - np.where(bounded, low, 0.0)
    step = _PROGRESS * np.maximum(width, _PROGRESS)
    return bool((found | (new_low > low + step) | (new_high < high - step)).any())
