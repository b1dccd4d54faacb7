"""Phases of a three-phase view."""

from collections.abc import Sequence

import numpy as np

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.profiles.arrays import Floats

PHASES = ("a", "b", "c")
CONNECTIONS = (*PHASES, "abc")  # abc is a balanced three-phase connection


def phase_shares(phase: Sequence[str]) -> Floats:
    """Return the share of each phase in the power of elements, (3, n) with columns that sum to one.

    An element on a, b or c has its whole power there, one on abc a third on each. Raises
    NetworkError for other phases.
    """
    unknown = sorted({p for p in phase if p not in CONNECTIONS})
    if unknown:
        raise NetworkError(
            f"phase {unknown[0]!r} has no share of the phases; accepted: {', '.join(CONNECTIONS)}"
        )
    one = {p: np.eye(3)[k] for k, p in enumerate(PHASES)} | {"abc": np.full(3, 1.0 / 3.0)}
    return np.array([one[p] for p in phase], dtype=float).reshape(len(phase), 3).T
