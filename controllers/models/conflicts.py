"""Limits in conflict in the terms of a net: element, quantity, limit, amount and step."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.networks.limits import NO_LIMITS
from stackelgrid.controllers.networks.meshed import MeshedNetwork
from stackelgrid.controllers.networks.radial import RadialNetwork

_ROW = re.compile(r"^(?:(?P<grid>[^\[]+)\.)?(?P<part>\w+)\[(?P<index>[\d, ]+)\]$")
_EXCHANGE = frozenset(vars(NO_LIMITS))


@dataclass(frozen=True)
class RowWords:
    """Names of the elements of the rows of one grid's model, and its per-unit base."""

    grid: str
    network: RadialNetwork | MeshedNetwork
    devices: Devices

    def describe(self, part: str, index: Sequence[int], amount: float) -> str | None:
        """`line 3: rating of 100 MW exceeded by 88 MW in step 0`; None for a row without words."""
        found = self._network(part, index, amount) or self._device(part, index, amount)
        if found is None:
            return None
        step = f" in step {index[-1]}" if len(index) > 1 else ""
        return f"{self.grid}.{found}{step}"

    def _network(self, part: str, index: Sequence[int], amount: float) -> str | None:
        base, network = self.network.base_mva, self.network
        if part in ("balance", "active_balance", "reactive_balance"):
            unit = "MVAr" if part == "reactive_balance" else "MW"
            bus = network.bus_index[index[0]]
            return f"bus {bus}: balance not met by {base * amount:.4g} {unit}"
        if part == "flow" and isinstance(network, MeshedNetwork):
            branch = f"{network.branch_table[index[0]]} {network.branch_index[index[0]]}"
            rating = base * network.rating[index[0]]
            return f"{branch}: rating of {rating:.4g} MW exceeded by {base * amount:.4g} MW"
        if isinstance(network, MeshedNetwork):
            return None
        if part in ("current2", "line_limit"):
            branch = f"{network.branch_table[index[0]]} {network.branch_index[index[0]]}"
            limit = float(network.i_max[index[0]])
            over = amount / limit if part == "line_limit" else np.sqrt(1.0 + amount / limit**2) - 1
            return f"{branch}: rating exceeded by {100.0 * over:.3g} %"
        if part in _EXCHANGE:
            unit = "MW" if part.endswith("p_mw") else "MVAr"
            missed = f"missed by {base * amount:.4g} {unit} in step {index[0]}"
            return f"ext_grid: {part} {missed}"
        if part == "v":
            low, high = network.vm_min[index[0]], network.vm_max[index[0]]
            return (
                f"bus {network.bus_index[index[0]]}: voltage outside [{low:g}, {high:g}] p.u. by "
                f"{amount / 2.0:.3g} p.u."
            )
        return None

    def _device(self, part: str, index: Sequence[int], amount: float) -> str | None:
        missed = f"missed by {self.network.base_mva * amount:.4g}"
        found = (m.describe(part, index[0], lambda unit: f"{missed} {unit}") for m in self.devices)
        return next((text for text in found if text is not None), None)


def conflict_words(
    rows: Sequence[tuple[str, float]], words: Mapping[str, RowWords], most: int
) -> str:
    """Text of the first `most` rows of a conflict, names as in a program of several grids.

    `words` by the prefix of the rows' names, "" for those without one. A row without words keeps
    its name.
    """
    return ", ".join(_words(name, amount, words) for name, amount in rows[:most])


def _words(name: str, amount: float, words: Mapping[str, RowWords]) -> str:
    match = _ROW.match(name)
    if match is not None and (match["grid"] or "") in words:
        index = [int(i) for i in match["index"].split(",")]
        text = words[match["grid"] or ""].describe(match["part"], index, amount)
        if text is not None:
            return text
    return f"{name} by {amount:.3g}"
