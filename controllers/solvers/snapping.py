"""Integers from a relaxed point by the direction in which continuous variables already go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class SnapRule:
    """Binaries that are 1 where the sum of the `up` columns is at least that of the `down` ones.

    All arrays are columns of one program, of the same length as `binary`; `threshold` of that
    length is added to the `down` side. With `steps` the binaries (members, steps) are events: their
    sums over the steps up to each one are rounded.
    """

    binary: Ints
    up: tuple[Ints, ...]
    down: tuple[Ints, ...]
    threshold: Floats | None = None
    steps: int = 0

    def shifted(self, first: int) -> "SnapRule":
        """Return the same rule in a program where the model's columns begin at `first`."""
        return SnapRule(
            first + self.binary,
            tuple(first + c for c in self.up),
            tuple(first + c for c in self.down),
            self.threshold,
            self.steps,
        )


def snap_by_direction(integer: Ints, rules: Sequence[SnapRule]) -> Callable[[Floats], Floats]:
    """Return a function from a relaxed point to values of the `integer` columns.

    Columns without a rule take the nearest integer.
    """

    def snap(x: Floats) -> Floats:
        point = np.round(x)
        for rule in rules:
            if rule.steps:
                total = np.round(np.cumsum(x[rule.binary].reshape(-1, rule.steps), axis=1))
                point[rule.binary] = np.diff(total, axis=1, prepend=0.0).ravel()
                continue
            up = sum((x[c] for c in rule.up), np.zeros(len(rule.binary)))
            least = np.zeros(len(rule.binary)) if rule.threshold is None else rule.threshold
            down = sum((x[c] for c in rule.down), least)
            point[rule.binary] = (up >= down).astype(float)
        snapped: Floats = point[integer]
        return snapped

    return snap
