"""Tree of grids that a cascade decides: operators, stages, and groups that decide together."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.followers.mv_operator import MvOperator
from stackelgrid.controllers.followers.tso import TsoAgent
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.models.active_network import ActiveNetworkLibrary
from stackelgrid.controllers.networks.radial import voltage_band
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.solvers.registry import conic_solver
from stackelgrid.controllers.stage.stage import Scheme, Stage
from stackelgrid.controllers.stage.threads import Threads
from stackelgrid.controllers.system import Feeder, System


def trading_groups(feeders: list[Feeder]) -> tuple[tuple[str, ...], ...]:
    """Feeders of a stage that decide together: those that may trade across; the others alone."""
    trading = [
        f.name
        for f in feeders
        if f.boundary.parent is not None and f.options.trade is not None and f.options.trade.across
    ]
    groups: list[tuple[str, ...]] = []
    for f in feeders:
        if f.name not in trading:
            groups.append((f.name,))
        elif f.name == trading[0]:
            groups.append(tuple(trading))
    return tuple(groups)


def check_tree(system: System) -> None:
    """Refuse a boundary at a bus that does not exist, and a feeder that is connected twice."""
    seen: set[str] = set()
    transmission = system.transmission
    buses = {f.name: f.network.bus_index for f in system.feeders}
    if transmission is not None:
        buses[transmission.name] = transmission.network.bus_index
    for f in system.feeders:
        if f.name in seen:
            raise NetworkError(f"grid {f.name} is connected twice; one boundary is accepted")
        seen.add(f.name)
        parent = f.boundary.parent
        if parent is None:
            continue
        if parent not in buses:
            raise NetworkError(f"grid {f.name}: its parent {parent!r} is not part of the system")
        if f.boundary.bus not in buses[parent]:
            raise NetworkError(
                f"grid {f.name}: bus {f.boundary.bus} of {parent} does not exist; accepted are "
                f"{min(buses[parent])} to {max(buses[parent])}"
            )


def stage_parents(system: System) -> list[str]:
    """Grids with leaders below them, lowest first; "" stands for a source outside."""
    root = "" if system.transmission is None else system.transmission.name
    above = [f.boundary.parent or "" for f in reversed(system.feeders)]
    if system.transmission is not None:
        above.append(root)
    depth = {"": -1} if system.transmission is None else {"": -1, root: 0}
    for f in system.feeders:
        depth[f.name] = depth.get(f.boundary.parent or "", -1) + 1
    return sorted(dict.fromkeys(above), key=lambda p: -depth[p])


class Tree:
    """Operators of all grids and the stages between them, built once.

    `agents` by feeder; `stages` from the lowest up; `tso` is the follower of the highest one.
    """

    def __init__(
        self,
        system: System,
        settings: ControllerSettings,
        make_scheme: Callable[[Stage], Scheme],
        building: Callable[[str], None],
    ) -> None:
        check_tree(system)
        self.system, self.settings, self._make_scheme = system, settings, make_scheme
        self.library = ActiveNetworkLibrary()
        self.pool = Threads(settings.threads)
        self.agents: dict[str, FeederAgent] = {}
        for n, f in enumerate(system.feeders, start=1):
            building(f"programs: {f.name}, {n} of {len(system.feeders)}")
            lower = self._lower_buses(f.name)
            self.agents[f.name] = FeederAgent(f, system.horizon, self.library, lower)
        self.bands_above = {f.name: self._band_above(f) for f in system.feeders}
        self.tso: TsoAgent | None = None
        parents, stages = stage_parents(system), []
        for n, parent in enumerate(parents, start=1):
            building(f"leaders below {parent or 'the source'}, {n} of {len(parents)}")
            stages.append(self.stage(parent))
        self.stages = tuple(stages)

    def stage(self, parent: str, rating_off: float = 0.0, band_off_pu: float = 0.0) -> Stage:
        """Stage below a grid, with tightened limits of a feeder's dispatch.

        rating_off: share of the ratings taken off.
        band_off_pu: p.u. taken off both ends of the voltage band.
        """
        feeders = [f for f in self.system.feeders if (f.boundary.parent or "") == parent]
        return Stage(
            parent,
            {f.name: self.agents[f.name] for f in feeders},
            self._follower(parent, rating_off, band_off_pu),
            trading_groups(feeders),
            self.settings,
            self.pool,
            self._make_scheme,
            tuple(range(self.system.applied_steps)),
        )

    def _follower(self, parent: str, rating_off: float, band_off_pu: float) -> UpstreamAgent | None:
        solver, horizon = conic_solver(self.settings.conic), self.system.horizon
        transmission = self.system.transmission
        if transmission is not None and parent == transmission.name:
            self.tso = TsoAgent(transmission, horizon, self._lower_buses(parent), solver)
            return self.tso
        if parent not in self.agents:
            return None
        feeder = self.agents[parent].feeder
        network = feeder.network
        tightened = replace(
            network,
            i_max=(1.0 - rating_off) * network.i_max,
            vm_min=network.vm_min + band_off_pu,
            vm_max=network.vm_max - band_off_pu,
        )
        feeder = replace(feeder, network=tightened)
        return MvOperator(feeder, horizon, self._lower_buses(parent), solver)

    def _lower_buses(self, name: str) -> dict[str, int]:
        return {f.name: f.boundary.bus for f in self.system.children(name)}

    def _band_above(self, feeder: Feeder) -> tuple[float, float]:
        """Voltage limits of the bus that feeds a feeder, p.u."""
        parent, bus = feeder.boundary.parent, feeder.boundary.bus
        if parent in self.agents:
            network = self.agents[parent].feeder.network
            at = network.positions([bus])[0]
            return float(network.vm_min[at]), float(network.vm_max[at])
        transmission = self.system.transmission
        if parent is None or transmission is None:
            return 0.0, np.inf
        low, high = voltage_band(transmission.net)
        at = transmission.net.bus.index.get_loc(bus)
        return float(low[at]), float(high[at])
