"""The mosaik world of a scenario: simulators and their connections."""

import asyncio
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mosaik

from stackelgrid.controllers.decision import Decision
from stackelgrid.controllers.networks.limits import net_limits
from stackelgrid.controllers.networks.meshed import MeshedNetwork
from stackelgrid.controllers.networks.order import net_order
from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.scenarios.build.system import BuiltScenario
from stackelgrid.scenarios.remote.start import AGENT_KIND
from stackelgrid.scenarios.run.users import RESULTS, connect_users, used_by_users
from stackelgrid.simulators.attributes import AGENT, FLEET, Flow, names
from stackelgrid.simulators.grid import boundary_eid
from stackelgrid.simulators.remote.grids import GridElsewhere
from stackelgrid.simulators.results.recorded_grid import RecordedGrid
from stackelgrid.simulators.results.recorder import (
    RECORDED_AGENT,
    RECORDED_BOUNDARY,
    RECORDED_FLEET,
    RECORDED_GRID,
)
from stackelgrid.simulators.results.tables import RunTables
from stackelgrid.simulators.timings import Timings

_SIMULATORS: Any = {
    "Agents": {"python": "stackelgrid.simulators.agents:AgentSimulator"},
    "Externals": {"python": "stackelgrid.simulators.external.simulator:ExternalSimulator"},
    "Devices": {"python": "stackelgrid.simulators.devices:DeviceSimulator"},
    "Grids": {"python": "stackelgrid.simulators.grid:GridSimulator"},
    "AllGrids": {"python": "stackelgrid.simulators.remote.grids:GridProxy"},
    "Recorder": {"python": "stackelgrid.simulators.results.recorder:Recorder"},
}
# limit of mosaik on the rounds of the interface loop
_MAX_ROUNDS = 100


def run_world(
    built: BuiltScenario,
    tables: RunTables,
    timings: Timings,
    progress: Callable[[int, Sequence[Mapping[str, Any]]], None],
    observe: Callable[[int, Decision], None] = lambda interval, decision: None,
) -> None:
    """Connect all simulators and run the intervals that are left.

    `observe` receives every decision; `progress` receives the number of recorded intervals and the
    rows of `interval` of the last one.

    Order within an interval: agents decide on the measurements of the previous interval
    (time-shifted) after that interval is recorded; users' simulators run; devices apply the set
    points; grids exchange
    powers (upwards) and voltages (downwards, weak) until they converge; the recorder writes. A
    resumed run begins after the recorded intervals; mosaik's clock starts there at zero. Raises
    what a simulator raises.
    """
    first_interval = tables.intervals_done
    left = built.scenario.time.intervals - first_interval
    if not left:  # all intervals are recorded
        return
    interval_s = 60 * built.scenario.time.interval_min
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="mosaik")
        world = mosaik.World(
            _SIMULATORS,
            cache=False,
            max_loop_iterations=_MAX_ROUNDS,
            skip_greetings=True,
            configure_logging=False,
        )
        with world:
            clock = {"interval_s": interval_s, "first_interval": first_interval}
            agents = world.start(
                "Agents", controller=built.controller, timings=timings, observe=observe,
                peaks_mw=tables.highest_imports_mw(), **clock,
            )  # fmt: skip
            devices = world.start("Devices", fleets=list(built.fleets.values()), **clock)
            grids, boundaries = _start_grids(world, built, timings, clock)
            recorder = world.start(
                "Recorder", grids=[_recorded(built, name) for name in built.grids],
                tables=tables, timings=timings, progress=progress, **clock,
            )  # fmt: skip
            connected = {
                name: _connect(
                    world, built, name, (agents, devices, recorder), grids, boundaries, clock
                )
                for name in built.grids
            }
            if built.host is not None:
                externals = world.start("Externals", host=built.host, **clock)
                connect_users(world, built, externals, connected, grids, tables.states)
            try:
                world.run(until=left * interval_s, print_progress=False)
            except BaseException:
                _cancel_tasks(world.loop)
                raise


def _cancel_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel tasks that mosaik leaves pending after a failure; asyncio would print warnings."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def _start_grids(
    world: mosaik.World, built: BuiltScenario, timings: Timings, clock: Mapping[str, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Start a simulator for each level; return grids by name and boundaries by id."""
    times = {k: f"{t:%Y-%m-%d %H:%M}" for k, t in enumerate(built.axis.index)}
    grids: dict[str, Any] = {}
    boundaries: dict[str, Any] = {}
    with world.group():
        for level in ("lv", "mv", "transmission"):
            members = [
                built.simulated[n] for n, g in built.grids.items() if g.section.level == level
            ]
            if not members:
                continue
            elsewhere = any(isinstance(grid, GridElsewhere) for grid in members)
            simulator = world.start(
                "AllGrids" if elsewhere else "Grids",
                grids=members, timings=timings, clock=times, **clock,
            )  # fmt: skip
            for grid in members:
                grids[grid.name] = simulator.Grid(grid=grid.name)
                boundaries.update({child.eid: child for child in grids[grid.name].children})
    return grids, boundaries


def _connect(
    world: mosaik.World,
    built: BuiltScenario,
    name: str,
    simulators: tuple[Any, Any, Any],
    grids: Mapping[str, Any],
    boundaries: Mapping[str, Any],
    clock: Mapping[str, int],
) -> tuple[Any, Any]:
    """Create and connect agent, fleet and log of a grid in `simulators`; return agent and fleet."""
    agents, devices, recorder = simulators
    interval_s, section = clock["interval_s"], built.grids[name].section
    kind = getattr(agents, AGENT_KIND[section.level])
    forecast = built.system.forecast(name)
    agent = kind(grid=name, devices=built.devices[name], forecast=forecast)
    fleet, log, grid = devices.Fleet(grid=name), recorder.Log(grid=name), grids[name]
    simulated = built.simulated[name]

    # measurements of the previous interval
    world.connect(
        grid, agent, ("slack_vm_pu", "vm_pu"), ("tap_pos", "tap_pos"),
        ("slack_p_mw", "p_import_mw"),
        time_shifted=interval_s,
        initial_data={
            "slack_vm_pu": simulated.vm_pu, "tap_pos": simulated.tap_pos, "slack_p_mw": 0.0,
        },
    )  # fmt: skip
    world.connect(
        fleet, agent, *((state, state) for state in built.fleets[name].states),
        time_shifted=interval_s,
        initial_data=built.fleets[name].states,
    )  # fmt: skip
    world.connect(
        log, agent, ("recorded", "recorded"),
        time_shifted=interval_s,
        initial_data={"recorded": clock["first_interval"]},
    )  # fmt: skip
    # set points, and the resulting powers of the devices
    set_points = set(names(AGENT, Flow.OUTPUT)) & set(names(FLEET, Flow.INPUT))
    world.connect(agent, fleet, *((a, a) for a in sorted(set_points)))
    powers = ["bus_p_mw", "bus_q_mvar"]
    if len(built.grids[name].net.gen):
        powers.append("gen_p_mw")
    world.connect(fleet, grid, *((a, a) for a in powers))
    # recorded results
    world.connect(grid, log, *((a, a) for a in RECORDED_GRID))
    world.connect(fleet, log, *((a, a) for a in RECORDED_FLEET))
    world.connect(agent, log, *((a, a) for a in RECORDED_AGENT))
    if section.parent is not None:
        boundary = boundaries[boundary_eid(section.parent, name)]
        world.connect(grid, boundary, ("p_mw", "p_mw"), ("q_mvar", "q_mvar"))
        world.connect(boundary, grid, ("vm_pu", "vm_pu"), ("va_degree", "va_degree"), weak=True)
        world.connect(boundary, log, *((a, a) for a in RECORDED_BOUNDARY))
    return agent, fleet


def _recorded(built: BuiltScenario, name: str) -> RecordedGrid:
    section, net = built.grids[name].section, built.grids[name].net
    parent = built.grids[section.parent] if section.parent is not None else None
    feeder = next((f for f in built.system.feeders if f.name == name), None)
    transmission = built.system.transmission
    network: RadialNetwork | MeshedNetwork | None = feeder.network if feeder else None
    if network is None:
        assert transmission is not None
        network = transmission.network
    position = 0
    if parent is not None:
        position = int(parent.net.bus.index.get_loc(section.bus))
    return RecordedGrid(
        name=name,
        level=section.level,
        copies=built.system.copies(name),
        parent=section.parent or "",
        parent_bus=section.bus if section.bus is not None else -1,
        parent_bus_position=position,
        multiplicity=section.multiplicity,
        boundary_kind=section.boundary.kind,
        base_mva=float(net.sn_mva),
        bus_index=tuple(int(b) for b in net.bus.index),
        branches=tuple(
            [("line", int(i)) for i in net.line.index]
            + [("trafo", int(i)) for i in net.trafo.index]
        ),
        network_bus_index=network.bus_index,
        order=net_order(network, net),
        limits=net_limits(net),
        devices=built.devices[name],
        series=built.series[name],
        options=built.scenario.costs,
        trade=feeder.options.trade if feeder is not None else None,
        capacity_eur_per_mw=feeder.options.capacity_eur_per_mw if feeder is not None else 0.0,
        emission_eur_per_t=feeder.options.emission_eur_per_t if feeder is not None else 0.0,
        nodal_pricing=built.scenario.pricing == "lmp",
        measured=tuple(sorted(used_by_users(built, name) & set(RESULTS))),
    )
