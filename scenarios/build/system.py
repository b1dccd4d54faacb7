"""Build the simulated grids and fleets, and the controller's system, from a scenario."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stackelgrid.controllers.cascade.cascade import Cascade
from stackelgrid.controllers.devices.devices import Devices, read_devices
from stackelgrid.controllers.errors import (
    ImportReferenceError,
    NetworkError,
    ObjectiveTermError,
    SchemeError,
    SolverError,
)
from stackelgrid.controllers.imports import imported
from stackelgrid.controllers.models.active_network import ActiveNetworkOptions
from stackelgrid.controllers.models.objective_term import ObjectiveTerm
from stackelgrid.controllers.models.p2p import TradeOptions
from stackelgrid.controllers.networks.limits import NO_LIMITS, ExchangeLimits, exchange_limits
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.radial import radial_network
from stackelgrid.controllers.networks.sources.shipped import available_cases
from stackelgrid.controllers.protocol import Controller, ControllerSettings
from stackelgrid.controllers.solvers.registry import Choice, choose
from stackelgrid.controllers.system import Boundary, Feeder, System, Transmission
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast import GridSeries
from stackelgrid.profiles.time_axis import Horizon, TimeAxis
from stackelgrid.scenarios.build.communication import communication_seed, communication_settings
from stackelgrid.scenarios.build.forecasts import World, build_world
from stackelgrid.scenarios.build.grids import BuiltGrid, build_grids
from stackelgrid.scenarios.build.measured import check_terms
from stackelgrid.scenarios.build.physical import simulated_grid
from stackelgrid.scenarios.build.series import axis_of, horizon_of
from stackelgrid.scenarios.build.simulators import user_simulators
from stackelgrid.scenarios.build.sizes import check_built_sizes
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.grid import GridSection
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.scenarios.schema.scheme_names import SCHEMES
from stackelgrid.simulators.devices import Fleet
from stackelgrid.simulators.external.host import ExternalHost
from stackelgrid.simulators.external.wiring import UserSimulator
from stackelgrid.simulators.grid import SimulatedGrid
from stackelgrid.simulators.messages.negotiation import NegotiationHost


@dataclass(frozen=True)
class ChosenSolvers:
    """Solvers of a run; with `auto`, the reason why MOSEK is not among them."""

    conic: Choice
    mixed_integer: Choice


@dataclass(frozen=True)
class BuiltScenario:
    """Nets, series, controller and simulated world of one scenario.

    `users` are users' simulators, which `host` drives once they have started.
    """

    scenario: Scenario
    axis: TimeAxis
    horizon: Horizon
    grids: dict[str, BuiltGrid]
    devices: dict[str, Devices]
    series: dict[str, GridSeries]
    system: System
    controller: Controller
    solvers: ChosenSolvers
    simulated: dict[str, SimulatedGrid]
    fleets: dict[str, Fleet]
    users: tuple[UserSimulator, ...] = ()
    host: ExternalHost | None = None


def build_scenario(
    loaded: LoadedScenario, building: Callable[[str], None] = lambda text: None
) -> BuiltScenario:
    """Build nets, series, controller and simulated world; raises a StackelgridError.

    `building` is called with the name of the part that is built next.
    """
    try:
        return _build(loaded, building)
    except (ScenarioError, ProfileError, NetworkError, ObjectiveTermError) as error:
        raise type(error)(f"{loaded.source}: {error}") from error


def _build(loaded: LoadedScenario, building: Callable[[str], None]) -> BuiltScenario:
    scenario = loaded.scenario
    solvers = _choose(scenario)
    horizon = horizon_of(scenario)
    axis = axis_of(scenario, horizon)
    grids = build_grids(loaded, building)
    devices = {name: _devices(grid, scenario) for name, grid in grids.items()}
    check_built_sizes(scenario, horizon.length, horizon.intervals_covered, grids, devices)
    building("profiles and forecasts")
    world = build_world(scenario, axis, horizon, grids, devices, loaded.folder)
    terms = {
        section.name: ObjectiveTerm(section.name, section.objective, loaded.folder.resolve(), axis)
        for section in scenario.grids
        if section.objective is not None
    }
    system = _system(scenario, horizon, grids, devices, world, terms)
    built = BuiltScenario(
        scenario=scenario,
        axis=axis,
        horizon=horizon,
        grids=grids,
        devices=devices,
        series=dict(world.realised),
        system=system,
        controller=build_controller(scenario, system, loaded.folder, solvers, axis, building),
        solvers=solvers,
        simulated={n: simulated_grid(g, grids, scenario) for n, g in grids.items()},
        fleets={n: fleet_of(g, devices[n], world.realised[n]) for n, g in grids.items()},
        users=user_simulators(scenario, grids, devices, world.realised, world.outdoor_c),
    )
    check_terms(built, terms)
    return built


def _choose(scenario: Scenario) -> ChosenSolvers:
    chosen = []
    for mixed, key in ((False, "conic"), (True, "mixed_integer")):
        wanted = getattr(scenario.solver, key)
        try:
            chosen.append(choose(mixed, None if wanted == "auto" else wanted))
        except SolverError as error:
            raise ScenarioError(f"solver.{key}: {error}") from error
    return ChosenSolvers(*chosen)


def _devices(grid: BuiltGrid, scenario: Scenario) -> Devices:
    root = grid.section.level == "transmission"
    factor = scenario.costs.generation_factor if root else 1.0
    if not root and len(grid.net.gen):
        raise NetworkError(
            f"grid {grid.section.name}: gen elements "
            f"({', '.join(str(i) for i in grid.net.gen.index[:6])}) hold a voltage and are "
            "accepted on transmission grids; in a feeder an sgen with controllable = True and a "
            "poly_cost, or units of the scenario, are accepted"
        )
    devices = read_devices(grid.net, grid.section.name, slack_is_unit=root, cost_factor=factor)
    for member in devices:
        if root and member.index and not member.transmission:
            where = named(grid.section.name, member.table[0], member.index)
            raise NetworkError(
                f"{where} ({member.label}) is accepted on mv and lv grids; here an element of "
                "constant power is accepted: not controllable, and of another type"
            )
    return devices


def _system(
    scenario: Scenario,
    horizon: Horizon,
    grids: dict[str, BuiltGrid],
    devices: dict[str, Devices],
    world: World,
    terms: Mapping[str, ObjectiveTerm],
) -> System:
    costs = scenario.costs
    options = ActiveNetworkOptions(
        curtailment_eur_per_mwh=costs.curtailment_eur_per_mwh,
        loss_eur_per_mwh=costs.loss_eur_per_mwh,
        terminal=costs.terminal,
        terminal_value_eur_per_mwh=costs.terminal_value_eur_per_mwh,
    )
    transmission, feeders = None, []
    day_ahead = scenario.horizon.mode == "day_ahead"
    for name, grid in grids.items():
        section = grid.section
        forecast = world.forecasts[name]
        if section.level == "transmission":
            network = meshed_network(grid.net, name)
            transmission = Transmission(
                name, grid.net, network, devices[name], forecast, terms.get(name)
            )
            continue
        boundary = Boundary(
            kind=section.boundary.kind,
            parent=section.parent,
            bus=section.bus if section.bus is not None else -1,
            multiplicity=section.multiplicity,
            trafo=grid.trafo,
            taps=grid.taps,
        )
        feeders.append(
            Feeder(
                name=name,
                level=section.level,
                net=grid.net,
                network=radial_network(grid.net, name),
                devices=devices[name],
                boundary=boundary,
                options=replace(
                    options,
                    trade=_trade(section),
                    capacity_eur_per_mw=section.capacity_eur_per_mw,
                    emission_eur_per_t=section.emission_eur_per_t,
                    objective=terms.get(name),
                    exchange=import_limits(grid),
                ),
                forecast=forecast,
                load_peak_mw=world.load_peak_mw[name],
                three_phase_view=scenario.certificate.three_phase and section.level == "lv",
            )
        )
    return System(transmission, tuple(feeders), horizon, day_ahead, scenario.horizon.resolve_every)


def import_limits(grid: BuiltGrid) -> ExchangeLimits:
    """Return limits of the source of a user's feeder without parent; none elsewhere.

    The source of a shipped case has the limits of MATPOWER's generator, which are not the feeder's.
    """
    section = grid.section
    if section.parent is not None or section.case in available_cases():
        return NO_LIMITS
    return exchange_limits(grid.net, section.name)


def _trade(section: GridSection) -> TradeOptions | None:
    if section.trade is None:
        return None
    t = section.trade
    return TradeOptions(
        retail_margin=t.retail_margin_eur_per_mwh,
        fee_inside=t.fee_inside_eur_per_mwh,
        fee_across=t.fee_across_eur_per_mwh or 0.0,
        across=t.fee_across_eur_per_mwh is not None and section.parent is not None,
    )


def controller_settings(scenario: Scenario, solvers: ChosenSolvers) -> ControllerSettings:
    """Return the settings of a controller: pricing, limits and solvers, but not the system."""
    solver = scenario.solver
    return ControllerSettings(
        threads=solver.threads,
        conic=solvers.conic,
        mixed_integer=solvers.mixed_integer,
        gap=solver.gap,
        node_limit=solver.node_limit,
        round_limit=solver.round_limit,
        scheme=scenario.controller,
        pricing=scenario.pricing,
        recovery=scenario.certificate.recovery,
    )


def build_controller(
    scenario: Scenario,
    system: System,
    folder: Path,
    solvers: ChosenSolvers,
    axis: TimeAxis,
    building: Callable[[str], None] = lambda text: None,
) -> Controller:
    """Build the scenario's controller for a system; raises ScenarioError.

    A controller has a state and belongs to one run; a system has none.

    scenario: its sections `controller`, `coordination`, `communication` and `solver` are used.
    folder: searched for the module of a user's controller.
    axis: time of the run, for outages given as times.
    building: called with the name of the part that is built next.
    """
    settings = controller_settings(scenario, solvers)
    name = scenario.controller
    if name in SCHEMES:
        try:
            if scenario.coordination == "central":
                return Cascade(system, settings, building=building)
            host = NegotiationHost(
                communication_settings(scenario, axis),
                tuple(grid.name for grid in scenario.grids),
                60.0 * scenario.time.interval_min,
                communication_seed(scenario),
            )
            return Cascade(system, settings, host.scheme, host, building)
        except SchemeError as error:
            raise ScenarioError(f"controller: {error}") from error
    module_name, colon, class_name = name.partition(":")
    if not colon:
        raise ScenarioError(
            f"controller: {name!r} unknown; accepted: {', '.join(SCHEMES)} or "
            "'package.module:Class'"
        )
    try:
        kind = imported(name, folder)
    except ImportReferenceError as error:
        raise ScenarioError(f"controller: {error}") from error
    if not callable(getattr(kind, "decide", None)):
        raise ScenarioError(
            f"controller: {module_name!r} has no class {class_name!r} with a method decide"
        )
    controller: Controller = kind(system, settings)
    return controller


def fleet_of(grid: BuiltGrid, devices: Devices, series: GridSeries) -> Fleet:
    """Return the devices of a grid in the simulated world, at their start."""
    index = [i for member in devices for i in member.index]
    where = {key: k for k, key in enumerate(zip(devices.tables, index, strict=True))}
    gens = [where["gen", int(index)] for index in grid.net.gen.index]
    return Fleet(
        name=grid.section.name,
        devices=devices,
        bus_index=tuple(int(b) for b in grid.net.bus.index),
        gens=np.array(gens, dtype=np.int64),
        series=series,
    )
