"""Needs of consumers that a run did not meet: energy, or degrees over time, by quantity."""

from collections.abc import Iterator
from dataclasses import dataclass

from stackelgrid.analysis.results.axes import copies
from stackelgrid.analysis.results.record import RunRecord
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Quantity
from stackelgrid.controllers.devices.registry import kinds

# by unit: amounts up to this are rounding of a solver
_ROUNDING = {"MWh": 1e-6, "K h": 1e-3}
_SMALL_MWH = 0.1  # below, in kWh


@dataclass(frozen=True)
class Need:
    """A need that was not met: kind of device, quantity, and amount in MWh or K h, all copies."""

    kind: type[DeviceKind]
    quantity: Quantity
    amount: float

    @property
    def unit(self) -> str:
        """Unit of the amount."""
        return unit_of(self.quantity)

    @property
    def text(self) -> str:
        """Amount with its unit and the need in words."""
        return f"{amount_text(self.amount, self.unit)} {self.quantity.lacked}"


def lacked_quantities() -> Iterator[tuple[type[DeviceKind], Quantity]]:
    """Yield the recorded quantities of what consumers did not get, with their kinds."""
    for kind in kinds():
        for quantity in kind.quantities:
            if quantity.lacked and quantity.total:
                yield kind, quantity


def unmet_needs(run: RunRecord) -> list[Need]:
    """Return the needs that were not met, above rounding, all copies."""
    found = (Need(kind, q, lacked(run, q)) for kind, q in lacked_quantities())
    return [need for need in found if need.amount > rounding(need.unit)]


def lacked(run: RunRecord, quantity: Quantity) -> float:
    """Return the sum of a quantity over the run, in MWh or K h, all copies."""
    rows = run.interval
    return float(run.dt_h * (rows[quantity.name] * rows["grid"].map(copies(run))).sum())


def unit_of(quantity: Quantity) -> str:
    """Return the unit of a quantity summed over time."""
    return {"MW": "MWh"}.get(quantity.unit, f"{quantity.unit} h")


def rounding(unit: str) -> float:
    """Return the amount of a unit up to which it is rounding."""
    return _ROUNDING.get(unit, 0.0)


def amount_text(amount: float, unit: str) -> str:
    """Return an amount with its unit, small energies in kWh."""
    if unit == "MWh" and amount < _SMALL_MWH:
        amount, unit = 1000.0 * amount, "kWh"
    return f"{amount:,.3g} {unit}" if amount < 100.0 else f"{amount:,.0f} {unit}"
