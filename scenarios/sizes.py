"""Refuse scenarios whose total size exceeds the limits of `profiles/size_limits.py`.

Checked before memory is allocated: first the scenario alone, then with the sizes of its grids.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stackelgrid.profiles.size_limits import (
    ENSEMBLE_RUNS,
    GRIDS,
    HORIZON_INTERVALS,
    PLANNED_CELLS,
    PROGRAM_CELLS,
    SERIES_CELLS,
)
from stackelgrid.scenarios.errors import ScenarioError

if TYPE_CHECKING:  # heavy to import, and a schema is read by every verb
    from stackelgrid.controllers.networks.devices import Devices
    from stackelgrid.scenarios.grids import BuiltGrid
    from stackelgrid.scenarios.schema import Scenario


def check_scenario_sizes(scenario: "Scenario") -> None:
    """Refuse too many grids and a horizon that covers too many intervals; raises ValueError."""
    if len(scenario.grids) > GRIDS:
        raise ValueError(f"{len(scenario.grids):,} grids; at most {GRIDS:,} are accepted")
    minutes = sum(step.count * step.minutes for step in scenario.horizon.steps)
    covered = minutes // scenario.time.interval_min
    if covered > HORIZON_INTERVALS:
        raise ValueError(
            f"horizon.steps: covers {minutes:,} min / {scenario.time.interval_min} min = "
            f"{covered:,} intervals; at most {HORIZON_INTERVALS:,} are accepted"
        )


def check_ensemble_runs(members: int, levels: int, schemes: int, variants: int) -> None:
    """Refuse an ensemble of too many runs; raises ValueError."""
    runs = members * levels * schemes * variants
    if runs > ENSEMBLE_RUNS:
        raise ValueError(
            f"{members:,} members x {levels:,} error levels x {schemes:,} schemes x {variants:,} "
            f"horizons = {runs:,} runs; at most {ENSEMBLE_RUNS:,} are accepted"
        )


def check_built_sizes(
    scenario: "Scenario",
    steps: int,
    covered: int,
    grids: "Mapping[str, BuiltGrid]",
    devices: "Mapping[str, Devices]",
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
        columns += 2 * len(d.loads.index) + len(d.photovoltaics.index) + 2
        kinds = (d.loads, d.photovoltaics, d.batteries, d.units)
        all_devices += sum(len(kind.index) for kind in kinds)
    if length * columns > SERIES_CELLS:
        raise ScenarioError(
            f"time.intervals: {length:,} intervals (with the horizon behind the last) x "
            f"{columns:,} series of loads, PV and prices = {length * columns:,} values; at most "
            f"{SERIES_CELLS:,} are accepted"
        )
    planned = intervals * steps * all_devices
    if planned > PLANNED_CELLS:
        raise ScenarioError(
            f"time.intervals: {intervals:,} intervals x {steps:,} steps x {all_devices:,} devices "
            f"= {planned:,} planned values; at most {PLANNED_CELLS:,} are accepted"
        )
