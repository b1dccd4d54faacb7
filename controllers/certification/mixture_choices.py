"""Possible boundary profiles of the grids below another one, and their mixtures."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.controllers.tolerances import EQUAL_PROFILES
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class StepChoices:
    """Distinct possibilities at one step.

    `free` are the positions of the grids that have several, `count` (free,) how many. The first is
    the held one; powers (free, possibilities) are padded with it, and so is `profile`, the position
    of a possibility among a grid's profiles. `held_p_mw` and `held_q_mvar` are of all grids.
    """

    free: Ints
    count: Ints
    profile: Ints
    p_mw: Floats
    q_mvar: Floats
    held_p_mw: Floats
    held_q_mvar: Floats

    @property
    def mixtures(self) -> int:
        """Number of different mixtures."""
        return math.prod(self.count.tolist())

    @property
    def held(self) -> Ints:
        """The mixture (1, free) in which every grid keeps its held profile."""
        return np.zeros((1, len(self.free)), dtype=np.int64)

    @property
    def newest(self) -> Ints:
        """The mixture (1, free) in which every grid takes its last profile."""
        return self.count[None, :] - 1

    def every(self) -> Ints:
        """All mixtures (mixtures, free) as positions of possibilities, the held one first."""
        positions = np.indices(self.count.tolist(), dtype=np.int64)
        return positions.reshape(len(self.free), self.mixtures).T

    def changes(self, mixture: Ints) -> Ints:
        """Mixtures (changes, free) in which one grid has another possibility than in this one."""
        others = [
            (at, possibility)
            for at, count in enumerate(self.count.tolist())
            for possibility in range(count)
            if possibility != mixture[at]
        ]
        changed = np.tile(mixture, (len(others), 1))
        for row, (at, possibility) in enumerate(others):
            changed[row, at] = possibility
        return changed

    def powers(self, mixtures: Ints) -> tuple[Floats, Floats]:
        """Exchanges (grids, mixtures) in MW and MVAr of mixtures (mixtures, free)."""
        at = np.arange(len(self.free))
        powers = []
        for held, values in ((self.held_p_mw, self.p_mw), (self.held_q_mvar, self.q_mvar)):
            power = np.repeat(held[:, None], len(mixtures), axis=1)
            power[self.free] = values[at, mixtures].T
            powers.append(power)
        return powers[0], powers[1]


@dataclass(frozen=True)
class Choices:
    """Different profiles of the grids below; arrays (profiles, steps) a grid, the held one first.

    `profile` are their positions in the given profiles.
    """

    names: tuple[str, ...]
    p_mw: tuple[Floats, ...]
    q_mvar: tuple[Floats, ...]
    profile: tuple[Ints, ...]

    @property
    def mixtures(self) -> int:
        """Number of mixtures, one profile of each grid."""
        return math.prod(len(p) for p in self.p_mw)

    def at(self, step: int) -> StepChoices:
        """Return the distinct possibilities at one step."""
        different = [
            _different(p[:, [step]], q[:, [step]])
            for p, q in zip(self.p_mw, self.q_mvar, strict=True)
        ]
        free = [g for g, rows in enumerate(different) if len(rows) > 1]
        count = np.array([len(different[g]) for g in free], dtype=np.int64)
        shape = (len(free), int(np.max(count, initial=1)))
        rows = np.zeros(shape, dtype=np.int64)
        p, q, profile = np.empty(shape), np.empty(shape), np.empty(shape, dtype=np.int64)
        for at, g in enumerate(free):
            rows[at, : count[at]] = different[g]
            p[at], q[at] = self.p_mw[g][rows[at], step], self.q_mvar[g][rows[at], step]
            profile[at] = self.profile[g][rows[at]]
        return StepChoices(
            free=np.array(free, dtype=np.int64),
            count=count,
            profile=profile,
            p_mw=p,
            q_mvar=q,
            held_p_mw=np.array([p[0, step] for p in self.p_mw]),
            held_q_mvar=np.array([q[0, step] for q in self.q_mvar]),
        )

    def name(self, step: StepChoices, mixture: Ints) -> str:
        """Describe a mixture (free,) of a step by the profiles of its grids."""
        moved: dict[int, list[str]] = {}
        for at in np.flatnonzero(mixture):
            profile = int(step.profile[at, mixture[at]])
            moved.setdefault(profile, []).append(self.names[step.free[at]])
        if not moved:
            return "all held"
        parts = [f"profile {k} of {', '.join(moved[k])}" for k in sorted(moved)]
        if np.count_nonzero(mixture) < len(self.names):
            parts.append("others held")
        return "; ".join(parts)


def read_choices(
    grid: str,
    below: Sequence[str],
    given: Mapping[str, Sequence[BoundaryProfile]],
    steps: int,
) -> Choices:
    """Different profiles (to EQUAL_PROFILES) of every grid below, in the order of `below`.

    grid: name of the grid, for messages.
    below: names of the grids below.
    given: possible profiles of each of them, the held one first.
    steps: number of steps.

    Raises NetworkError where a grid is unknown or missing, or a profile is not (steps,) numbers.
    """
    for name in given:
        if name not in below:
            known = ", ".join(below) or "none"
            raise NetworkError(f"grid {grid}: grid {name} is not below it; accepted: {known}")
    all_p, all_q, kept = [], [], []
    for name in below:
        if not given.get(name):
            raise NetworkError(
                f"grid {grid}: grid {name} has no profile; at least one, the held one, is needed"
            )
        for k, profile in enumerate(given[name]):
            for column, power in (("p_mw", profile.p_mw), ("q_mvar", profile.q_mvar)):
                what = f"{column} of profile {k} of grid {name}"
                check_values(grid, what, power, (steps,))
        p = np.array([profile.p_mw for profile in given[name]], dtype=np.float64)
        q = np.array([profile.q_mvar for profile in given[name]], dtype=np.float64)
        rows = _different(p, q)
        all_p.append(p[rows])
        all_q.append(q[rows])
        kept.append(rows)
    return Choices(tuple(below), tuple(all_p), tuple(all_q), tuple(kept))


def check_values(grid: str, what: str, values: Floats, shape: tuple[int, ...]) -> None:
    """Raise NetworkError unless values have a shape and are finite.

    grid, what: names of the grid and of the values, for the message.
    values: the values to check.
    shape: accepted shape.
    """
    if np.shape(values) != shape:
        raise NetworkError(f"grid {grid}: {what} has shape {np.shape(values)}; accepted: {shape}")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        raise NetworkError(
            f"grid {grid}: {what} is {values[tuple(bad[0])]} at step {bad[0][-1]}; "
            "accepted: finite numbers"
        )


def bus_positions(grid: str, index: Sequence[int], below: Mapping[str, int]) -> Ints:
    """Positions of the buses of the grids below; raises NetworkError where one is unknown."""
    where = {int(bus): i for i, bus in enumerate(index)}
    for name, bus in below.items():
        if bus not in where:
            raise NetworkError(
                f"grid {grid}: grid {name} is at bus {bus}, which does not exist; accepted: "
                f"one of its {len(where)} buses, {min(where)} to {max(where)}"
            )
    return np.array([where[bus] for bus in below.values()], dtype=np.int64)


def _different(p: Floats, q: Floats) -> Ints:
    """Rows of (rows, steps) that differ from all rows kept before; the first is kept."""
    kept: list[int] = [0]
    for k in range(1, len(p)):
        gap = np.maximum(np.abs(p[kept] - p[k]), np.abs(q[kept] - q[k]))
        if (gap.max(axis=1, initial=0.0) > EQUAL_PROFILES).all():
            kept.append(k)
    return np.array(kept, dtype=np.int64)
