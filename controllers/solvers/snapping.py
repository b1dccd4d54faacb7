"""Integers from a relaxed point by the direction in which continuous variables already go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class SnapRule:
    """Binaries that are 1 where the sum of the `up` columns is at least that of the `down` ones.

    All arrays are columns of one program, of the same length as `binary`.
    """

    binary: Ints
    up: tuple[Ints, ...]
    down: tuple[Ints, ...]

    def shifted(self, first: int) -> "SnapRule":
        """Return the same rule in a program where the model's columns begin at `first`."""
        return SnapRule(
            first + self.binary,
            tuple(first + c for c in self.up),
            tuple(first + c for c in self.down),
        )


def snap_by_direction(integer: Ints, rules: Sequence[SnapRule]) -> Callable[[Floats], Floats]:
    """Return a function from a relaxed point to values of the `integer` columns.

    Columns without a rule take the nearest integer.
    """

    def snap(x: Floats) -> Floats:
        point = np.round(x)
        for rule in rules:
            up = sum((x[c] for c in rule.up), np.zeros(len(rule.binary)))
            down = sum((x[c] for c in rule.down), np.zeros(len(rule.binary)))
            point[rule.binary] = (up >= down).astype(float)
        snapped: Floats = point[integer]
        return snapped

    return snap
