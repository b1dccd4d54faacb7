"""Contracts across feeders: clearing of offered trade, and the part that both sides confirmed."""

from collections.abc import Collection, Mapping

import numpy as np

from stackelgrid.profiles.arrays import Floats


def clear(offered: Mapping[str, Floats], multiplicity: Mapping[str, float]) -> dict[str, Floats]:
    """Return cleared trade (steps,): the long side of each step is cut in proportion."""
    bought, sold = (_volume(offered, multiplicity, sign) for sign in (1.0, -1.0))
    cleared = np.minimum(bought, sold)
    return _scaled(offered, _share(cleared, bought), _share(cleared, sold))


def confirmed(
    cleared: Mapping[str, Floats], by: Collection[str], multiplicity: Mapping[str, float]
) -> dict[str, Floats]:
    """Return the cleared trade (steps,) of contracts whose two sides are among those in `by`.

    Every buyer has a contract with every seller, in proportion to the sales.
    """
    if len(by) == len(cleared):
        return dict(cleared)
    there = {name: trade for name, trade in cleared.items() if name in by}
    bought, sold = (
        _share(_volume(there, multiplicity, sign), _volume(cleared, multiplicity, sign))
        for sign in (1.0, -1.0)
    )
    counted = _scaled(there, sold, bought)
    return {name: counted.get(name, np.zeros_like(trade)) for name, trade in cleared.items()}


def _volume(trade: Mapping[str, Floats], multiplicity: Mapping[str, float], sign: float) -> Floats:
    """Return the power (steps,) in MW that is bought (sign 1) or sold (-1) by all copies."""
    parts = (multiplicity[n] * np.maximum(sign * values, 0.0) for n, values in trade.items())
    return sum(parts, np.zeros(1))


def _scaled(trade: Mapping[str, Floats], of_bought: Floats, of_sold: Floats) -> dict[str, Floats]:
    """Return trade with a share (steps,) of its purchases and one of its sales."""
    return {n: np.where(v > 0.0, of_bought, of_sold) * v for n, v in trade.items()}


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0.0)
