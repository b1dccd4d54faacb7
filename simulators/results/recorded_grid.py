"""Static data of a grid that the recorder needs."""

from dataclasses import dataclass

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.terms import DeviceOptions
from stackelgrid.controllers.models.p2p import TradeOptions
from stackelgrid.controllers.networks.limits import GridLimits
from stackelgrid.controllers.networks.order import NetOrder
from stackelgrid.profiles.forecast import GridSeries


@dataclass(frozen=True)
class RecordedGrid:
    """Static data of a grid; `branches` are (table, index) in order.

    `network_bus_index` and `order` map the order of the controller's network to the net's.
    `measured` are results that users' simulators receive in the next interval.
    """

    name: str
    level: str
    copies: int
    parent: str
    parent_bus: int
    parent_bus_position: int
    multiplicity: int
    boundary_kind: str
    base_mva: float
    bus_index: tuple[int, ...]
    branches: tuple[tuple[str, int], ...]
    network_bus_index: tuple[int, ...]
    order: NetOrder
    limits: GridLimits
    devices: Devices
    series: GridSeries
    options: DeviceOptions
    trade: TradeOptions | None
    nodal_pricing: bool = False
    capacity_eur_per_mw: float = 0.0
    emission_eur_per_t: float = 0.0
    measured: tuple[str, ...] = ()
