"""Tree of grids that a controller decides for."""

from dataclasses import dataclass

from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.models.active_network import ActiveNetworkOptions
from stackelgrid.controllers.models.objective_term import ObjectiveTerm
from stackelgrid.controllers.networks.boundary import BoundaryKind
from stackelgrid.controllers.networks.meshed import MeshedNetwork
from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.controllers.networks.taps import TapChanger
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import ForecastSource
from stackelgrid.profiles.time_axis import Horizon


@dataclass(frozen=True)
class Boundary:
    """Boundary of a feeder to the grid above: bus of the parent, kind, multiplicity.

    `parent` is None for a feeder fed by a source that is not simulated. `trafo` is the position
    of the boundary transformer in the feeder's net.trafo, None for an ideal tie.
    """

    kind: BoundaryKind
    parent: str | None
    bus: int
    multiplicity: int
    trafo: int | None
    taps: TapChanger | None


@dataclass(frozen=True)
class Feeder:
    """A radial grid with devices: an MV feeder or an LV community.

    name: name of the grid.
    level: mv or lv.
    net: its pandapower net.
    network: the same as arrays for DistFlow.
    devices: its devices by kind.
    boundary: connection to the grid above.
    options: prices and rules of the scenario.
    forecast: source of forecasts; `forecast.at(interval)` has arrays (steps, devices).
    load_peak_mw: no less than any forecast of a load, (loads,).
    three_phase_view: whether there are certificates phase by phase besides the balanced one.
    """

    name: str
    level: str
    net: pandapowerNet
    network: RadialNetwork
    devices: Devices
    boundary: Boundary
    options: ActiveNetworkOptions
    forecast: ForecastSource
    load_peak_mw: Floats
    three_phase_view: bool = False


@dataclass(frozen=True)
class Transmission:
    """A meshed grid with generators; `objective` is a user's term of its operator."""

    name: str
    net: pandapowerNet
    network: MeshedNetwork
    devices: Devices
    forecast: ForecastSource
    objective: ObjectiveTerm | None = None


@dataclass(frozen=True)
class System:
    """At most one transmission network and its feeders, parents before children.

    transmission: the transmission network; None without one.
    feeders: MV feeders and LV communities.
    horizon: steps of a plan.
    day_ahead: one decision at interval 0 for the whole horizon, executed step by step.
    resolve_every: else intervals between two decisions; the next steps are executed in between.
    """

    transmission: Transmission | None
    feeders: tuple[Feeder, ...]
    horizon: Horizon
    day_ahead: bool = False
    resolve_every: int = 1

    @property
    def applied_steps(self) -> int:
        """Number of executed steps of a decision."""
        return self.horizon.length if self.day_ahead else self.resolve_every

    def forecast(self, name: str) -> ForecastSource:
        """Return the forecast source of one grid."""
        if self.transmission is not None and self.transmission.name == name:
            return self.transmission.forecast
        return next(f.forecast for f in self.feeders if f.name == name)

    def children(self, name: str) -> tuple[Feeder, ...]:
        """Return the feeders directly below a grid."""
        return tuple(f for f in self.feeders if f.boundary.parent == name)

    def copies(self, name: str) -> int:
        """Return the number of identical grids in the system that one simulated feeder models."""
        by_name = {f.name: f for f in self.feeders}
        count, at = 1, by_name.get(name)
        while at is not None:
            count *= at.boundary.multiplicity
            at = by_name.get(at.boundary.parent or "")
        return count
