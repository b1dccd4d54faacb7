"""Key figures of the whole system of a run: energy, exchange at the boundary, costs, limits.

A quantity joins the tables by one line in `_declared`; what a run does not have is left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stackelgrid.analysis.kpis.indicators import (
    CONSUMERS,
    CONTROLLED,
    CURTAILED,
    STORES,
    TOTAL,
    UNITS,
)
from stackelgrid.analysis.kpis.runs import run_indicators
from stackelgrid.analysis.results.axes import copies, outer_feeders, root_of
from stackelgrid.analysis.results.findings import beyond_in_reality
from stackelgrid.analysis.results.needs import lacked, lacked_quantities, rounding, unit_of
from stackelgrid.analysis.results.record import RunRecord
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Quantity
from stackelgrid.controllers.devices.registry import kinds

ENERGY, EXCHANGE, COST, NEEDS, LIMITS = "Energy", "Exchange", "Cost", "Needs", "Limits"
CORRECTED = "system, corrected by stored energy"
LEADERS = "leaders, corrected by stored energy"
_NOTHING = 1e-6  # MWh that rounding leaves


@dataclass(frozen=True)
class KeyFigure:
    """A key figure: heading, name, unit (empty for counts) and value."""

    heading: str
    name: str
    unit: str
    value: float


class _Indicators:
    """Indicators of a run by grid, and sums over grids."""

    def __init__(self, run: RunRecord) -> None:
        self.run = run
        frame = run_indicators(run, "", "")
        keys = zip(frame["grid"], frame["indicator"], strict=True)
        self._values = dict(zip(keys, frame["value"], strict=True))
        root = root_of(run)
        # grid whose exchange is that of all feeders with the grid above them
        self.outer = TOTAL if root.level == "transmission" else root.name

    def of(self, grid: str, indicator: str) -> float:
        """Return the value of a grid or of the total, NaN without one."""
        return float(self._values.get((grid, indicator), np.nan))

    def everywhere(self, indicator: str) -> float:
        """Return the sum over all grids, the root included."""
        own = [v for (g, name), v in self._values.items() if name == indicator and g != TOTAL]
        return float(np.sum(own))

    def energy(self, kind: type[DeviceKind]) -> float:
        """Return the energy of a kind in MWh in its own sign, all copies."""
        column, rows = kind.filling("p_mw"), self.run.interval
        if column not in rows:
            return 0.0
        count = rows["grid"].map(copies(self.run))
        return float(self.run.dt_h * (rows[column] * count).sum())

    def generated(self) -> float:
        """Return the energy of all generators, those of constant power included, in MWh."""
        constant = self.everywhere("consumption") - sum(self.energy(k) for k in CONSUMERS)
        return sum(self.energy(k) for k in kinds() if k.injects) + max(constant, 0.0)

    def stored(self, kind: type[DeviceKind]) -> float:
        """Return the change of the energy that a kind stores, in MWh."""
        grids = self.run.summary["stored_energy"]["grids"].values()
        split = [grid["kinds"].get(kind.kind) for grid in grids if "kinds" in grid]
        if not split and kind in STORES[:1]:  # earlier versions wrote that of batteries alone
            return self.of(TOTAL, "stored_energy")
        return sum((own["end_mwh"] - own["start_mwh"] for own in split if own), 0.0)

    def in_storage(self) -> float:
        """Return the change of the energy that is given back later, in MWh."""
        return sum(self.stored(kind) for kind in STORES)

    def lost_in_storage(self) -> float:
        """Return the energy charged less that discharged and that left in storage, in MWh."""
        return sum(self.energy(k) for k in STORES) - self.in_storage()

    def emissions(self) -> float:
        """Return the emissions of what the feeders import in kg, all copies; NaN if not known."""
        rows, count = self.run.interval, copies(self.run)
        mine = rows[rows["grid"].isin(outer_feeders(self.run))]
        return float((mine["emissions_kg"] * mine["grid"].map(count)).sum(min_count=1))

    def follower_cost(self) -> float:
        """Return the cost of the follower in EUR, NaN without leaders."""
        return self.of(TOTAL, "follower_cost") if len(self.run.grids) > 1 else np.nan

    def beyond_limits(self) -> float:
        """Return the number of intervals in which reality is beyond a limit."""
        rows = self.run.interval
        return float(rows.loc[beyond_in_reality(rows), "interval"].nunique())


class _Declared(NamedTuple):
    """A key figure; with `always` it is shown where it is zero, too."""

    heading: str
    name: str
    unit: str
    value: Callable[[_Indicators], float]
    always: bool = False


def _everywhere(heading: str, name: str, indicator: str, *, always: bool = False) -> _Declared:
    return _Declared(
        heading, name, UNITS[indicator], lambda found: found.everywhere(indicator), always
    )


def _outer(name: str, indicator: str) -> _Declared:
    return _Declared(
        EXCHANGE, name, UNITS[indicator], lambda found: found.of(found.outer, indicator), True
    )


def _share(name: str, indicator: str) -> _Declared:
    """A share in percent; losses and charging that are imported do not make it negative."""

    def value(found: _Indicators) -> float:
        return 100.0 * max(found.of(found.outer, indicator), 0.0)

    return _Declared(EXCHANGE, name, "%", value)


def _total(heading: str, name: str, indicator: str) -> _Declared:
    return _Declared(heading, name, UNITS[indicator], lambda found: found.of(TOTAL, indicator))


def _of_kind(kind: type[DeviceKind]) -> _Declared:
    return _Declared(ENERGY, f"generated by {kind.label}", "MWh", lambda found: found.energy(kind))


def _used(kind: type[DeviceKind]) -> _Declared:
    def value(found: _Indicators) -> float:
        return max(found.energy(kind), 0.0)  # what is shed is a need that was not met

    return _Declared(ENERGY, f"used by {kind.label}", "MWh", value)


def _held(kind: type[DeviceKind]) -> _Declared:
    name = f"change of energy kept by {kind.label}"
    return _Declared(ENERGY, name, "MWh", lambda found: found.stored(kind))


def _needs(quantity: Quantity) -> _Declared:
    unit = unit_of(quantity)

    def value(found: _Indicators) -> float:
        amount = lacked(found.run, quantity)
        return amount if amount > rounding(unit) else 0.0

    return _Declared(NEEDS, quantity.lacked, unit, value)


def _declared() -> Iterator[_Declared]:
    yield _everywhere(ENERGY, "used", "consumption", always=True)
    yield from (_used(kind) for kind in CONTROLLED)
    yield _Declared(ENERGY, "generated", "MWh", _Indicators.generated, True)
    yield from (_of_kind(kind) for kind in kinds() if kind.injects)
    for kind in CURTAILED:
        what = "curtailed" if kind.injects else "not served"
        yield _everywhere(ENERGY, f"{kind.label} {what}", f"{kind.kind}_curtailed", always=True)
    yield _everywhere(ENERGY, "lost in lines and transformers", "losses", always=True)
    yield _Declared(ENERGY, "lost in storage", "MWh", _Indicators.lost_in_storage)
    yield _Declared(ENERGY, "change of stored energy", "MWh", _Indicators.in_storage)
    for kind in kinds():
        if kind.consumes and kind.stored():
            yield _held(kind)
    yield _outer("imported", "import")
    yield _outer("exported", "export")
    yield _outer("peak exchange", "peak_exchange")
    yield _Declared(EXCHANGE, "emissions of imports", "kg", _Indicators.emissions)
    yield _share("self-consumption", "self_consumption")
    yield _share("self-sufficiency", "self_sufficiency")
    yield _total(COST, "system", "total_cost")
    yield _total(COST, CORRECTED, "total_cost_corrected")
    yield _total(COST, LEADERS, "leader_cost_corrected")
    yield _Declared(COST, "follower", "EUR", _Indicators.follower_cost)
    yield from (_needs(quantity) for _, quantity in lacked_quantities())
    yield _Declared(LIMITS, "intervals beyond a limit", "", _Indicators.beyond_limits, True)
    yield _Declared(LIMITS, "lowest voltage", "p.u.", lambda f: f.run.interval["min_vm_pu"].min())
    yield _Declared(LIMITS, "highest voltage", "p.u.", lambda f: f.run.interval["max_vm_pu"].max())
    yield _Declared(
        LIMITS, "highest loading", "%", lambda f: f.run.interval["max_loading_percent"].max()
    )


def figure_names() -> list[str]:
    """Return the names of all key figures, in the order of tables."""
    return [declared.name for declared in _declared()]


def key_figures(run: RunRecord) -> list[KeyFigure]:
    """Return the key figures of a run, all grids with all their copies, in the order of tables."""
    found = _Indicators(run)
    figures = []
    for heading, name, unit, value, always in _declared():
        number = float(value(found))
        if np.isfinite(number) and (always or abs(number) > _NOTHING):
            figures.append(KeyFigure(heading, name, unit, number))
    return figures
