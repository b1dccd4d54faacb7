"""Split costs between leaders and follower: one definition for runs, plans and comparisons."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from stackelgrid.profiles.arrays import Floats

Amount = TypeVar("Amount", float, Floats)


@dataclass(frozen=True)
class CostSides(Generic[Amount]):
    """Costs in EUR of all copies.

    `leaders` are the grids below the root with what they pay to it, `follower` is the root,
    `system` is both without that payment, which is a transfer. NaN where a cost is not known.
    """

    leaders: Amount
    follower: Amount
    system: Amount
    paid_to_root: Amount


def cost_sides(
    parents: Mapping[str, str],
    own_eur: Mapping[str, Amount],
    payment_eur: Mapping[str, Amount],
    follower_eur: Amount,
) -> CostSides[Amount]:
    """Split the cost of a system between its leaders and the follower.

    `parents` maps every grid to the one above it, "" for the root. `own_eur` and `payment_eur` are
    those of the grids below the root: their cost without the payment at their boundary, and that
    payment; payments between grids below the root cancel. `follower_eur` is the cost of the root,
    that of a root feeder with its payment to the source outside.
    """
    root = next(name for name, parent in parents.items() if not parent)
    own: Any = sum(own_eur.values(), 0.0)
    paid: Any = sum((v for n, v in payment_eur.items() if parents[n] == root), 0.0)
    return CostSides(own + paid, follower_eur, follower_eur + own, paid)
