"""Generation costs of a net by element: checked, each used exactly once."""

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import named
from stackelgrid.profiles.errors import shown

_COEFFICIENTS = ("cp0_eur", "cp1_eur_per_mw", "cp2_eur_per_mw2")
# reason why a cost of these tables cannot be used, and the alternative
_NO_USE = {
    "sgen": "photovoltaics have no cost; curtailment_eur_per_mwh of the scenario is accepted",
    "storage": "storages have no cost here; a column wear_eur_per_mwh is accepted",
    "load": "loads that are shed at a price are loads of their own (column shed_percent)",
}
_POINTS = "points [[from MW, to MW, EUR/MWh], ...] that follow each other are accepted"


@dataclass(frozen=True)
class Cost:
    """Convex cost of an element in EUR/h at p in MW: c2 p^2 + c1 p + c0, or a maximum of lines.

    `pieces` are the slope (EUR/MWh) and intercept (EUR/h) of each line; empty for a polynomial.
    """

    c0: float = 0.0
    c1: float = 0.0
    c2: float = 0.0
    pieces: tuple[tuple[float, float], ...] = ()

    def times(self, factor: float) -> "Cost":
        """Return the cost multiplied by a factor."""
        pieces = tuple((factor * slope, factor * start) for slope, start in self.pieces)
        return Cost(factor * self.c0, factor * self.c1, factor * self.c2, pieces)

    def eur_per_h(self, p_mw: float) -> float:
        """Return the cost at a power."""
        if self.pieces:
            return max(slope * p_mw + start for slope, start in self.pieces)
        return self.c2 * p_mw**2 + self.c1 * p_mw + self.c0


class ElementCosts:
    """Costs of a net, multiplied by a factor; unused ones are refused.

    Raises NetworkError for several costs of one element, coefficients that are missing, and costs
    that are not convex.
    """

    def __init__(self, net: pandapowerNet, name: str, factor: float) -> None:
        self._name, self._factor = name, factor
        self._left: dict[tuple[str, int], tuple[str, Cost]] = {}
        self.fixed_eur_per_h = 0.0
        for table, read in (("poly_cost", _polynomial), ("pwl_cost", _piecewise)):
            for i, row in net[table].iterrows():
                key = (str(row.et), int(row.element))
                if key in self._left:
                    kinds = f"{table}s" if self._left[key][0] == table else "costs"
                    raise NetworkError(f"{named(name, key[0], [key[1]])} has several {kinds}")
                where = named(name, table, [i])
                self._left[key] = (table, read(row, where, named(name, *_element(key))))

    def take(self, table: str, index: int, *, required: bool) -> Cost:
        """Return the cost of one element times the factor; zero if there is none."""
        key = (table, index)
        if key not in self._left:
            if required:
                raise NetworkError(
                    f"{named(self._name, *_element(key))} has no poly_cost; one is needed for what "
                    "is dispatched (0 EUR/MW is accepted)"
                )
            return Cost()
        return self._left.pop(key)[1].times(self._factor)

    def count(self, table: str, index: int, p_mw: float) -> None:
        """Add the cost of an element of fixed power to `fixed_eur_per_h`."""
        self.fixed_eur_per_h += self.take(table, index, required=False).eur_per_h(p_mw)

    def refuse_unused(self, replaced: Set[str]) -> None:
        """Raise NetworkError for unused costs, except in tables that the scenario replaces."""
        for (table, index), (kind, _) in self._left.items():
            if table not in replaced:
                reason = _NO_USE.get(table, "elements of this kind have no cost here")
                raise NetworkError(f"{named(self._name, table, [index])} has a {kind}; {reason}")


def _element(key: tuple[str, int]) -> tuple[str, list[int]]:
    return key[0], [key[1]]


def _polynomial(row: Any, where: str, element: str) -> Cost:
    values = [float(row[column]) for column in _COEFFICIENTS]
    if not np.isfinite(values).all():
        raise NetworkError(
            f"{where} has {', '.join(_COEFFICIENTS)} = {', '.join(f'{v:g}' for v in values)}; "
            "finite numbers are accepted"
        )
    if values[2] < 0.0:
        raise NetworkError(
            f"{element} has cp2_eur_per_mw2 = {values[2]:g}; a convex cost (>= 0) is accepted"
        )
    return Cost(values[0], values[1], values[2])


def _piecewise(row: Any, where: str, element: str) -> Cost:
    """Read a piecewise linear cost as pandapower does: its first line passes through the origin.

    The last line continues beyond the last point.
    """
    if str(row.get("power_type") or "p") != "p":
        raise NetworkError(
            f"{where} has power_type = {shown(row.power_type)}; 'p' is accepted (reactive power "
            "has no price here)"
        )
    try:
        points = np.array(row.points, dtype=float).reshape(-1, 3)
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{where} has points = {shown(row.points)}; {_POINTS}") from error
    starts, ends, slopes = points.T
    good = np.isfinite(points).all() and (starts < ends).all()
    if not (len(points) and good and np.array_equal(starts[1:], ends[:-1])):
        raise NetworkError(f"{where} has points = {shown(row.points)}; {_POINTS}")
    falling = np.flatnonzero(np.diff(slopes) < 0.0)
    if len(falling):
        k = int(falling[0])
        raise NetworkError(
            f"{element} has a pwl_cost whose slope falls from {slopes[k]:g} to {slopes[k + 1]:g} "
            f"EUR/MWh at {starts[k + 1]:g} MW; a convex cost (rising slopes) is accepted"
        )
    intercepts = np.concatenate([[0.0], np.cumsum(-np.diff(slopes) * starts[1:])])
    lines = dict(zip(slopes.tolist(), intercepts.tolist(), strict=True))
    if len(lines) == 1:
        return Cost(c1=float(slopes[0]))
    return Cost(pieces=tuple(lines.items()))
