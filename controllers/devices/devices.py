"""All devices of one grid, and their reader."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.devices.elements import NetElements
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.devices.registry import claimants, kinds
from stackelgrid.controllers.devices.terms import Arrays
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import GridForecast


@dataclass(frozen=True)
class Devices:
    """All devices of one grid, one member for each kind in the order of the registry.

    A kind's devices are read by its plural: `devices.batteries`. Iteration leaves out kinds without
    devices, so schedules, forecasts and set points need no entries for them.
    """

    members: tuple[DeviceKind, ...]

    def __getattr__(self, plural: str) -> Any:
        """Return the devices of a kind by its plural."""
        for member in self.__dict__.get("members", ()):
            if member.plural == plural:
                return member
        raise AttributeError(f"no kind of device is called {plural!r}")

    def __iter__(self) -> Iterator[DeviceKind]:
        return iter(self.present)

    @cached_property
    def present(self) -> tuple[DeviceKind, ...]:
        """The kinds with devices."""
        return tuple(member for member in self.members if len(member.index))

    def scaled(self, factor: Callable[[str], float]) -> "Devices":
        """Return devices of `factor(kind)` times the size, for sweeps."""
        return Devices(tuple(member.scaled(factor(member.kind)) for member in self.members))

    def of(self, kind: str) -> DeviceKind | None:
        """Return the devices of a kind by its name; None for a name that is no kind's."""
        return next((member for member in self.members if member.kind == kind), None)

    @property
    def capped(self) -> tuple[DeviceKind, ...]:
        """The kinds whose consumption a cap of a customer counts."""
        return tuple(member for member in self.present if member.capped)

    @property
    def turned_down_first(self) -> tuple[DeviceKind, ...]:
        """The kinds whose consumption recovery reduces, in that order."""
        found = (member for member in self.present if member.turn_down)
        return tuple(sorted(found, key=lambda member: member.turn_down))

    @property
    def consumers_first(self) -> tuple[DeviceKind, ...]:
        """The kinds in the order in which powers are summed: consumers, then generators."""
        return tuple(sorted(self.present, key=lambda member: member.injects))

    def held(
        self, last: Arrays | None, forecast: GridForecast, states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Return the plans of all kinds that continue the last ones, or idle (DeviceKind.held)."""
        plan = self.without_devices(len(dt_h))
        for member in self.present:
            own = None
            if last is not None:
                own = {n: last[n] for n in member.names(Role.PLAN) if n in last}
            plan |= member.held(own, forecast, member.within(states), dt_h)
        return plan

    def without_devices(self, steps: int) -> dict[str, Floats]:
        """Return the plan (0, steps) of the kinds without devices."""
        absent = (member for member in self.members if not len(member.index))
        return {n: np.zeros((0, steps)) for member in absent for n in member.names(Role.PLAN)}

    def within(self, states: Arrays) -> dict[str, Floats]:
        """Return the states of the devices, kept within their limits."""
        return {name: v for member in self.present for name, v in member.within(states).items()}

    @property
    def initial(self) -> dict[str, Floats]:
        """States of all kinds before the first interval."""
        return {name: v for member in self.members for name, v in member.initial.items()}

    @cached_property
    def tables(self) -> NDArray[np.object_]:
        """Tables of pandapower of all devices (devices,)."""
        return np.array([t for member in self.members for t in member.table], dtype=object)

    def column(self, outputs: Arrays, name: str, missing: float = np.nan) -> Floats:
        """Return a column of the table `device` (devices,); `missing` for kinds without it."""
        return np.concatenate([
            member.device_columns(outputs).get(name, np.full(len(member.index), missing))
            for member in self.members
        ])  # fmt: skip

    @property
    def occupied_buses(self) -> set[int]:
        """Pandapower indices of all buses with a device."""
        return {int(b) for member in self.members for b in member.bus}


def read_devices(
    net: pandapowerNet, name: str, *, slack_is_unit: bool, cost_factor: float = 1.0
) -> Devices:
    """Read the devices of a normalised and checked net; costs are multiplied by `cost_factor`.

    `slack_is_unit` states whether the ext_grid is a generator (a transmission network) or the
    boundary to the grid above (a feeder). net_columns.py declares the treatment of each column.
    Raises NetworkError for dispatched elements without limits or cost, empty limits, costs that
    are not convex or belong to no dispatched element, or an unknown phase.
    """
    elements = NetElements(net, name, slack_is_unit, cost_factor, claimants())
    costs = elements.costs
    devices = Devices(tuple(kind.read(elements) for kind in kinds()))
    costs.refuse_unused({"ext_grid"})
    return devices


def plain_loads(net: pandapowerNet, name: str) -> list[int]:
    """Return the indices of the loads of a net that are no devices."""
    elements = NetElements(net, name, False, 1.0, claimants())
    return [int(i) for i in elements.unclaimed("load").index]
