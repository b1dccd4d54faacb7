"""Search of the worst mixture of the possible schedules of the grids below another one."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.certification.mixture_choices import Choices, StepChoices
from stackelgrid.profiles.arrays import Floats, Ints

Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class MixtureVerdict:
    """Verdict on all mixtures of schedules: whether a grid stays within its limits.

    `holds`: no mixture violates a limit by more than its step allows. `mixtures` exist over the
    horizon, `checked` AC power flows were solved. `exhaustive`: all different mixtures of every
    step were covered, else the worst cases of the linearised network. Violations are the largest
    in p.u. of a voltage or power or as share of a rating, infinite where a power flow diverges
    (this ends the search): over the steps, by step, and over the steps where every grid keeps its
    held profile (the first one). `worst` names step, mixture and element, "" for none.
    """

    holds: bool
    mixtures: int
    checked: int
    exhaustive: bool
    violation_pu: float
    step_violation_pu: tuple[float, ...]
    held_violation_pu: float
    worst: str


@dataclass(frozen=True)
class AcMixtures:
    """AC solutions of mixtures, one a column.

    `beyond` (limits, columns) is the excess over each voltage or power limit in p.u., negative
    inside; `loading` (rated branches, columns) is a share of the rating, times e^(j angle) with
    the direction of the current. `excess` (columns,) is the largest of `beyond` and |loading| - 1,
    infinite where a power flow diverged; columns after one that did may be left out.
    """

    beyond: Floats
    loading: Complexes
    excess: Floats

    @property
    def diverged(self) -> bool:
        """Return whether a power flow has no solution."""
        return not np.isfinite(self.excess).all()


@dataclass(frozen=True)
class MixtureNetwork:
    """Grid at its own consumption and dispatch, for exchanges of the grids below.

    `solve` runs AC power flows of exchanges (grids below, columns) at a step; `describe` names the
    element with the largest violation at exchanges (grids below,) of a step.
    """

    solve: Callable[[int, Floats, Floats], AcMixtures]
    describe: Callable[[int, Floats, Floats], str]


def check_mixtures(
    network: MixtureNetwork, choices: Choices, steps: int, before_pu: Floats | None = None
) -> MixtureVerdict:
    """Return the verdict on all mixtures at all steps.

    network: grid with its own consumption and dispatch.
    choices: different profiles of the grids below.
    steps: number of steps.
    before_pu: violation (steps,) without a new profile, at the dispatch of that case; infinite
        where that power flow diverged, None if it is not known.

    A step allows AC_LIMIT_PU or, if that is more, the violation before. Where the power flow before
    diverged or nothing is known, it allows AC_LIMIT_PU; in the former case the mixture of all held
    profiles does not count, because no commit causes it.

    A step with at most MIXTURES_EXHAUSTIVE different mixtures has them all solved. Otherwise the
    changes by each grid's possibilities, one grid at a time, are added up for every limit: the
    worst mixture takes the worst possibility of each grid, as every voltage and current is nearly
    affine in the exchanges (Baran and Wu's linearised DistFlow). These mixtures are solved, worst
    prediction first, and the worst one is improved grid by grid.
    """
    before = np.full(steps, -np.inf) if before_pu is None else before_pu
    searches = [_StepSearch(network, choices, step, float(before[step])) for step in range(steps)]
    few = [search.at.mixtures <= tolerances.MIXTURES_EXHAUSTIVE for search in searches]
    if not any(search.excess == np.inf for search in searches):
        for search, all_of_them in zip(searches, few, strict=True):
            if all_of_them:
                search.solve(search.at.every()[1:])
            else:
                search.worst_cases()
            if search.excess == np.inf:
                break
    violations = tuple(max(search.excess, 0.0) for search in searches)
    worst = max(searches, key=lambda search: search.excess - search.allowed, default=None)
    return MixtureVerdict(
        holds=all(search.excess <= search.allowed for search in searches),
        mixtures=choices.mixtures,
        checked=sum(search.solved for search in searches),
        exhaustive=all(few),
        violation_pu=max(violations, default=0.0),
        step_violation_pu=violations,
        held_violation_pu=max((search.held_excess for search in searches), default=0.0),
        worst=worst.describe() if worst is not None and worst.excess > 0.0 else "",
    )


class _StepSearch:
    """Search of one step; starts with the held mixture. `worst` (free,) is the worst so far.

    `excess` is its violation and `allowed` the largest one that holds; see `check_mixtures` for
    the violation `before`, at which the held mixture does not count if it is infinite.
    """

    def __init__(self, network: MixtureNetwork, choices: Choices, step: int, before: float) -> None:
        self._network, self._choices, self._step = network, choices, step
        self.at: StepChoices = choices.at(step)
        self.worst = self.at.held[0]
        self.excess, self.solved = -np.inf, 0
        self._seen: set[bytes] = set()
        self._held = self.solve(self.at.held)
        self.held_excess = max(float(self._held.excess[0]), 0.0)
        self.allowed = tolerances.AC_LIMIT_PU
        if before == np.inf:
            self.excess = -np.inf
        else:
            self.allowed = max(self.allowed, before + tolerances.HELD_VIOLATION_PU)

    def solve(self, mixtures: Ints) -> AcMixtures:
        """Solve mixtures (columns, free) and keep the worst."""
        if not len(mixtures):
            return AcMixtures(np.zeros((0, 0)), np.zeros((0, 0), np.complex128), np.zeros(0))
        found = self._network.solve(self._step, *self.at.powers(mixtures))
        self.solved += len(found.excess)
        self._seen.update(row.tobytes() for row in mixtures)
        at = int(np.argmax(found.excess))
        if found.excess[at] > self.excess:
            self.excess, self.worst = float(found.excess[at]), mixtures[at]
        return found

    def worst_cases(self) -> None:
        """Solve the mixtures that are worst for a limit in the linearised network."""
        start, at_start = self.at.held[0], self._held
        if at_start.diverged:  # and does not count: linearise where all have changed
            start = self.at.newest[0]
            at_start = self.solve(start[None, :])
        if at_start.diverged:
            return
        single = self.at.changes(start)
        found = self.solve(single)
        if found.diverged:
            return
        shape = self.at.p_mw.shape
        beyond = np.zeros((len(found.beyond), *shape))
        loading = np.zeros((len(found.loading), *shape), dtype=np.complex128)
        for column, mixture in enumerate(single):
            at = int(np.flatnonzero(mixture != start)[0])
            beyond[:, at, mixture[at]] = found.beyond[:, column] - at_start.beyond[:, 0]
            loading[:, at, mixture[at]] = found.loading[:, column] - at_start.loading[:, 0]
        largest, longest = beyond.argmax(axis=2), _longest_sum(at_start.loading[:, 0], loading)
        predicted = np.concatenate(
            [
                at_start.beyond[:, 0] + beyond.max(axis=2).sum(axis=1),
                np.abs(at_start.loading[:, 0] + _picked(loading, longest)) - 1.0,
            ]
        )
        cases = np.concatenate([largest, longest])[np.argsort(-predicted, kind="stable")]
        if self.solve(self._unseen(cases)[: tolerances.MIXTURE_CASES]).diverged:
            return
        before = -np.inf
        while self.excess > before:
            before = self.excess
            self.solve(self._unseen(self.at.changes(self.worst)))

    def describe(self) -> str:
        """Return step, mixture and place of the largest violation in one line."""
        p, q = self.at.powers(self.worst[None, :])
        where = self._network.describe(self._step, p[:, 0], q[:, 0])
        return f"step {self._step}, {self._choices.name(self.at, self.worst)}: {where}"

    def _unseen(self, mixtures: Ints) -> Ints:
        """Leave out mixtures that were solved, and repetitions."""
        first: dict[bytes, int] = {}
        for row, mixture in enumerate(mixtures):
            key = mixture.tobytes()
            if key not in self._seen:
                first.setdefault(key, row)
        return mixtures[list(first.values())]


def _picked(effect: Complexes, pick: Ints) -> Complexes:
    """Sum the changes by the picked possibilities (rows, grids) over the grids."""
    sums: Complexes = np.take_along_axis(effect, pick[:, :, None], axis=2).sum(axis=(1, 2))
    return sums


def _longest_sum(start: Complexes, effect: Complexes) -> Ints:
    """Return possibilities (rows, grids) that make |start + sum of effects| largest in every row.

    The sums of one vector (rows, grids, possibilities) of each grid have as many corners as there
    are directions at which a grid's best possibility changes; the longest sum is one of them.
    """
    rows, grids, possibilities = effect.shape
    first, second = np.triu_indices(possibilities, 1)
    between = effect[:, :, first] - effect[:, :, second]
    turn = np.angle(between).reshape(rows, grids * len(first)) + np.pi / 2.0
    turn = np.sort(np.concatenate([turn, turn + np.pi], axis=1) % (2.0 * np.pi), axis=1)
    middle = (turn + np.concatenate([turn[:, 1:], turn[:, :1] + 2.0 * np.pi], axis=1)) / 2.0
    best, longest = np.zeros(effect.shape[:2], dtype=np.int64), np.full(rows, -np.inf)
    for direction in np.exp(-1j * middle.T):
        pick = (direction[:, None, None] * effect).real.argmax(axis=2)
        length = np.abs(start + _picked(effect, pick))
        longer = length > longest
        best[longer], longest[longer] = pick[longer], length[longer]
    return best
