"""Connections of users' simulators in the mosaik world of a scenario."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import mosaik
import numpy as np

from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.profiles.arrays import Floats
from stackelgrid.scenarios.build.simulators import MEASURED, NODE_PRICE, SET_POINT
from stackelgrid.scenarios.build.system import BuiltScenario
from stackelgrid.simulators.attributes import GIVEN
from stackelgrid.simulators.external.wiring import FromWorld

RESULTS = tuple(MEASURED.values())  # of the power flow of the interval before


def used_by_users(built: BuiltScenario, name: str) -> set[str]:
    """Return the quantities of a grid that users' simulators receive."""
    groups = chain.from_iterable(user.groups for user in built.users)
    entities = chain.from_iterable(g.inputs.values() for g in groups)
    sources = chain.from_iterable(chain.from_iterable(entities))
    return {s.quantity for s in sources if isinstance(s, FromWorld) and s.grid == name}


def connect_users(
    world: mosaik.World,
    built: BuiltScenario,
    externals: Any,
    connected: Mapping[str, tuple[Any, Any]],
    grids: Mapping[str, Any],
    recorded: Mapping[str, Mapping[str, Floats]],
) -> None:
    """Create the devices of users' simulators at each grid with any, and connect them.

    world: the world.
    built: the scenario.
    externals: the simulator of these devices.
    connected: agent and fleet of each grid.
    grids: the grids.
    recorded: values recorded last by grid, empty before the first interval.

    They receive set points and nodal prices of the interval, and results of the power flow of the
    interval before: at the start of the run the voltage of the source at all buses, and no loading.
    """
    interval_s = 60 * built.scenario.time.interval_min
    for name, (agent, fleet) in connected.items():
        used = used_by_users(built, name)
        present = any(member.names(Role.GIVEN) for member in built.devices[name])
        if not used and not present:
            continue
        entity = externals.Externals(grid=name)
        # also where no device has set points: it keeps the simulators from running ahead, so that
        # their state belongs to the recorded interval
        world.connect(agent, entity, (SET_POINT, SET_POINT))
        if NODE_PRICE in used:
            above, _ = connected[built.grids[name].section.parent or ""]
            world.connect(above, entity, (NODE_PRICE, NODE_PRICE))
        results = [result for result in RESULTS if result in used]
        if results:
            start = _at_start(built, name) | dict(recorded.get(name, {}))
            world.connect(
                grids[name], entity, *((r, r) for r in results),
                time_shifted=interval_s,
                initial_data={result: start[result] for result in results},
            )  # fmt: skip
        if present:
            world.connect(entity, fleet, *((q.attribute, q.name) for q in GIVEN))


def _at_start(built: BuiltScenario, name: str) -> dict[str, Floats]:
    net = built.grids[name].net
    voltage = np.full(len(net.bus), built.simulated[name].vm_pu)
    return {
        MEASURED["voltage"]: voltage,
        MEASURED["loading"]: np.zeros(len(net.line) + len(net.trafo)),
    }
