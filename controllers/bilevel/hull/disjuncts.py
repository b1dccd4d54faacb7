"""Disjuncts of a follower's blocks: pairs with a zero slack or multiplier, and their refinement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.hull.blocks import FollowerBlock
from stackelgrid.profiles.arrays import Floats

_MOST_SPLIT = 4  # pairs of one copy that are split at once
_ALIKE = 1e-3  # multipliers that are closer (relative to the largest) count as equal


@dataclass(frozen=True)
class Disjunct:
    """Rows of the follower whose multiplier is zero, and rows whose slack is zero."""

    multiplier_zero: tuple[int, ...] = ()
    slack_zero: tuple[int, ...] = ()

    def split(self, rows: Sequence[int], alike: Sequence[int] = ()) -> tuple["Disjunct", ...]:
        """Disjuncts that cover this one: the first row without multiplier, else its slack zero ...

        Either all slacks of `rows` are zero, or a first one is not and its multiplier is. Rows with
        the same number in `alike` (by row) change sides together: of them every combination is one.
        """
        groups = groupby(range(len(rows)), lambda k: alike[k] if len(alike) else k)
        parts: list[Disjunct] = []
        tight = self.slack_zero
        for _, members in groups:
            group = [rows[k] for k in members]
            for sides in product((False, True), repeat=len(group)):
                if not all(sides):
                    off = tuple(r for r, zero in zip(group, sides, strict=True) if not zero)
                    on = tuple(r for r, zero in zip(group, sides, strict=True) if zero)
                    parts.append(Disjunct((*self.multiplier_zero, *off), (*tight, *on)))
            tight = (*tight, *group)
        return (*parts, Disjunct(self.multiplier_zero, tight))


Disjuncts = Mapping[int, tuple[Disjunct, ...]]
ANY = Disjunct()


@dataclass(frozen=True)
class CopyState:
    """A copy at a point: its weight, and by row of the block slack and multiplier."""

    block: int
    position: int
    weight: float
    slack: Floats
    multiplier: Floats

    def violated(self, equations: int, size: float) -> list[int]:
        """Rows, as places in the block, that violate complementarity, worst first.

        The block's first rows are `equations`; `size` is that of the leader's objective.
        """
        if self.weight <= tolerances.DISJUNCT_WEIGHT:
            return []
        allowed = tolerances.COMPLEMENTARITY * max(1.0, abs(size))
        product = np.maximum(self.slack, 0.0) * self.multiplier / self.weight
        product[:equations] = 0.0
        worst = np.argsort(-product, kind="stable")[:_MOST_SPLIT]
        return [int(k) for k in worst if product[k] > allowed]


def refined(
    blocks: Sequence[FollowerBlock],
    disjuncts: Disjuncts,
    states: Sequence[CopyState],
    size: float,
) -> dict[int, tuple[Disjunct, ...]] | None:
    """Split every copy in use that violates complementarity; None where none does.

    blocks: those of the follower.
    disjuncts: alternatives of the blocks.
    states: the copies at a point of the relaxation.
    size: size of the leader's objective.
    """
    violated = [state.violated(blocks[state.block].equations, size) for state in states]
    # blocks of one shape (periods) that are split for the first time are split alike: what one
    # relaxation violates in some of them, the next would violate in others
    known = [disjuncts.get(s.block, (ANY,))[s.position] for s in states]
    common: dict[tuple[int, ...], list[int]] = {}
    for state, places, disjunct in zip(states, violated, known, strict=True):
        if disjunct == ANY:
            shared = common.setdefault(_shape(blocks[state.block]), [])
            shared += [k for k in places if k not in shared]
    found: dict[int, tuple[Disjunct, ...]] = {}
    for state, places, disjunct in zip(states, violated, known, strict=True):
        block = blocks[state.block]
        parts: tuple[Disjunct, ...] = (disjunct,)
        if places:
            shared = common[_shape(block)] if disjunct == ANY else []
            places = [*places, *(k for k in shared if k not in places)][:_MOST_SPLIT]
            parts = _split(block, state.multiplier, disjunct, places)
        if len(parts) > 1 or parts[0] != ANY or state.block in found:
            found[state.block] = (*found.get(state.block, ()), *parts)
    return found if any(violated) else None


def _shape(block: FollowerBlock) -> tuple[int, ...]:
    return (len(block.rows), len(block.columns), block.equations)


def _split(
    block: FollowerBlock, multipliers: Floats, disjunct: Disjunct, places: Sequence[int]
) -> tuple[Disjunct, ...]:
    """Split at some rows, the largest multiplier first: the pair that is last to change sides.

    Rows with nearly equal multipliers, such as limits of equal units, change sides together.
    """
    multiplier = multipliers[places]
    order = np.argsort(-multiplier, kind="stable")
    apart = -np.diff(multiplier[order]) > _ALIKE * multiplier[order][0]
    rows = block.rows[np.array(places)[order]].tolist()
    return disjunct.split(rows, np.concatenate([[0], np.cumsum(apart)]).tolist())


def whole(states: Sequence[CopyState]) -> bool:
    """Return whether every block is in one of its copies."""
    largest: dict[int, float] = {}
    for state in states:
        largest[state.block] = max(largest.get(state.block, 0.0), state.weight)
    return min(largest.values(), default=1.0) > 1.0 - tolerances.DISJUNCT_WEIGHT
