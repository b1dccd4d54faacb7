"""Refuse scenarios whose grids exceed the limits of `profiles/size_limits.py`, before series."""

from collections.abc import Mapping

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.profiles.size_limits import PLANNED_CELLS, PROGRAM_CELLS, SERIES_CELLS
from stackelgrid.scenarios.build.grids import BuiltGrid
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.scenario import Scenario


def check_built_sizes(
    scenario: Scenario,
    steps: int,
    covered: int,
    grids: Mapping[str, BuiltGrid],
    devices: Mapping[str, Devices],
) -> None:
    """Refuse series and programs that would not fit into memory.

    The horizon has `steps` steps over `covered` intervals. Raises ScenarioError.
    """
    intervals = scenario.time.intervals
    length = intervals + covered - 1
    columns = all_devices = 0
    for name, grid in grids.items():
        buses = len(grid.net.bus)
        if steps * buses > PROGRAM_CELLS:
            raise ScenarioError(
                f"horizon.steps: {steps:,} steps x {buses:,} buses of {name} = {steps * buses:,}; "
                f"at most {PROGRAM_CELLS:,} are accepted in one program (fewer, longer steps)"
            )
        d = devices[name]
        columns += 2 + sum(len(m.index) * len(m.names(Role.SERIES)) for m in d)
        all_devices += sum(len(member.index) for member in d)
    if length * columns > SERIES_CELLS:
        raise ScenarioError(
            f"time.intervals: {length:,} intervals (with the horizon behind the last) x "
            f"{columns:,} series of devices and prices = {length * columns:,} values; at most "
            f"{SERIES_CELLS:,} are accepted"
        )
    planned = intervals * steps * all_devices
    if planned > PLANNED_CELLS:
        raise ScenarioError(
            f"time.intervals: {intervals:,} intervals x {steps:,} steps x {all_devices:,} devices "
            f"= {planned:,} planned values; at most {PLANNED_CELLS:,} are accepted"
        )
