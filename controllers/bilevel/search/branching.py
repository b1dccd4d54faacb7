"""Complementarity of a point: its violation by pairs and cones, its pattern, children of a cone."""

from dataclasses import dataclass

import numpy as np

from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.search.node import (
    BOUNDARY,
    MULTIPLIER_ZERO,
    OPEN,
    SLACK_ZERO,
    ConeState,
    NodeState,
    cone_side,
)
from stackelgrid.controllers.solvers.conic import ProgramData
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class PairValues:
    """Slacks and multipliers of a point, each relative to its usual size."""

    slack: Floats
    multiplier: Floats

    @classmethod
    def at(cls, form: KktForm, data: ProgramData, z: Floats) -> "PairValues":
        """Values of the single level's pairs at a point z."""
        multiplier = z[form.multipliers]
        size = max(1.0, float(np.abs(multiplier).max(initial=0.0)) * 1e-3)
        slack = form.slacks(z, data.b) / (1.0 + np.abs(data.b[form.slack_rows]))
        return cls(slack, multiplier / size)

    @property
    def product(self) -> Floats:
        """Violation of complementarity (pairs,)."""
        return np.maximum(self.slack, 0.0) * np.maximum(self.multiplier, 0.0)

    @property
    def smaller(self) -> Floats:
        """Smaller of slack and multiplier (pairs,)."""
        return np.maximum(np.minimum(self.slack, self.multiplier), 0.0)


def pattern(
    form: KktForm, data: ProgramData, state: NodeState, z: Floats, values: Floats
) -> NodeState:
    """Return the node in which every pair and cone is on its side at a complementary point.

    form, data: the single level and one instance.
    state: node with the sides decided before, which are kept.
    z: the point, in the columns of the single level.
    values: values of the integers.
    """
    pairs = PairValues.at(form, data, z)
    sides = np.where(pairs.slack <= pairs.multiplier, SLACK_ZERO, MULTIPLIER_ZERO)
    cones = tuple(
        now
        if now.side in (SLACK_ZERO, MULTIPLIER_ZERO)
        else cone_side(form.cone_slack(k, z, data.b), z[form.cone_multipliers[k]])
        for k, now in enumerate(state.cones)
    )
    return NodeState(np.where(state.sides == OPEN, sides, state.sides), values, values, cones)


def cone_widths(state: NodeState) -> Floats:
    """Return the widest side of every cone's box of directions; zero if decided (cones,)."""
    widths = [
        4.0 if c.side == OPEN else max(np.subtract(c.upper, c.lower).tolist(), default=0.0)
        for c in state.cones
    ]
    return np.array(widths)


def cone_children(now: ConeState, slack: Floats) -> list[ConeState]:
    """Return the children of a cone: slack zero, multiplier zero, or both on the boundary.

    A boundary's box is cut in two. The first child is explored first: it contains the direction of
    `slack` (size,).
    """
    k = len(slack) - 1
    if now.side == OPEN and not k:  # a cone of one row is an inequality
        return [ConeState(MULTIPLIER_ZERO), ConeState(SLACK_ZERO)]
    if now.side == OPEN:
        whole = ConeState(BOUNDARY, (-1.0,) * k, (1.0,) * k)
        return [whole, ConeState(SLACK_ZERO), ConeState(MULTIPLIER_ZERO)]
    low, high = np.array(now.lower), np.array(now.upper)
    direction = slack[1:] / max(float(slack[0]), 1e-12)
    at = int(np.argmax(high - low))
    width = high[at] - low[at]
    inside = low[at] + np.clip((direction[at] - low[at]) / width, 0.25, 0.75) * width
    left, right = high.copy(), low.copy()
    left[at] = right[at] = inside
    children = [
        ConeState(BOUNDARY, now.lower, tuple(left.tolist())),
        ConeState(BOUNDARY, tuple(right.tolist()), now.upper),
    ]
    return children[::-1] if direction[at] > inside else children
