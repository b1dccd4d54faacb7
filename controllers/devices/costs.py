"""Generation costs of a net by element: checked, each used exactly once."""

from collections.abc import Set

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import named

_COEFFICIENTS = ("cp0_eur", "cp1_eur_per_mw", "cp2_eur_per_mw2")
# reason why a cost of these tables cannot be used, and the alternative
_NO_USE = {
    "sgen": "photovoltaics have no cost; curtailment_eur_per_mwh of the scenario is accepted",
    "storage": "storages have no cost here; a column wear_eur_per_mwh is accepted",
    "load": "loads that are shed at a price are loads of their own (column shed_percent)",
}


class ElementCosts:
    """Poly_costs of a net, multiplied by a factor; unused ones are refused.

    Raises NetworkError for pwl_costs, several costs of one element, coefficients that are missing
    or not convex.
    """

    def __init__(self, net: pandapowerNet, name: str, factor: float) -> None:
        if len(net.pwl_cost):
            raise NetworkError(
                f"{named(name, 'pwl_cost', net.pwl_cost.index)} not supported; poly_cost is "
                "accepted"
            )
        self._name, self._factor = name, factor
        self._left: dict[tuple[str, int], tuple[float, float, float]] = {}
        self.fixed_eur_per_h = 0.0
        for i, row in net.poly_cost.iterrows():
            key = (str(row.et), int(row.element))
            if key in self._left:
                raise NetworkError(f"{named(name, key[0], [key[1]])} has several poly_costs")
            values = [float(row[column]) for column in _COEFFICIENTS]
            if not np.isfinite(values).all():
                raise NetworkError(
                    f"{named(name, 'poly_cost', [i])} has {', '.join(_COEFFICIENTS)} = "
                    f"{', '.join(f'{v:g}' for v in values)}; finite numbers are accepted"
                )
            if values[2] < 0.0:
                raise NetworkError(
                    f"{named(name, *_element(key))} has cp2_eur_per_mw2 = {values[2]:g}; a convex "
                    "cost (>= 0) is accepted"
                )
            self._left[key] = (values[0], values[1], values[2])

    def take(self, table: str, index: int, *, required: bool) -> tuple[float, float, float]:
        """Return coefficients c0, c1, c2 of one element times the factor; zeros if optional."""
        key = (table, index)
        if key not in self._left:
            if required:
                raise NetworkError(
                    f"{named(self._name, *_element(key))} has no poly_cost; one is needed for what "
                    "is dispatched (0 EUR/MW is accepted)"
                )
            return 0.0, 0.0, 0.0
        c0, c1, c2 = self._left.pop(key)
        return self._factor * c0, self._factor * c1, self._factor * c2

    def count(self, table: str, index: int, p_mw: float) -> None:
        """Add the cost of an element of fixed power to `fixed_eur_per_h`."""
        c0, c1, c2 = self.take(table, index, required=False)
        self.fixed_eur_per_h += c2 * p_mw**2 + c1 * p_mw + c0

    def refuse_unused(self, replaced: Set[str]) -> None:
        """Raise NetworkError for unused costs, except in tables that the scenario replaces."""
        for table, index in self._left:
            if table not in replaced:
                reason = _NO_USE.get(table, "elements of this kind have no cost here")
                raise NetworkError(f"{named(self._name, table, [index])} has a poly_cost; {reason}")


def _element(key: tuple[str, int]) -> tuple[str, list[int]]:
    return key[0], [key[1]]
