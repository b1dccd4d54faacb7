"""Build the pandapower nets of a scenario: grids, boundaries and devices."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.devices.devices import plain_loads
from stackelgrid.controllers.devices.placement import Placed
from stackelgrid.controllers.networks.checks import check_net
from stackelgrid.controllers.networks.conversion.loops import open_loops
from stackelgrid.controllers.networks.conversion.parallel import (
    merge_parallel_lines,
    merge_parallel_transformers,
)
from stackelgrid.controllers.networks.net_record import NetRecord, replace_values
from stackelgrid.controllers.networks.sources.cases import load_case, located, read_case
from stackelgrid.controllers.networks.taps import TapChanger
from stackelgrid.profiles.simbench_source import NetProfiles
from stackelgrid.scenarios.build.boundaries import apply_boundary, boundary_taps, follow_parent
from stackelgrid.scenarios.build.placement import absence, accepted_range, place_devices
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.grid import GridSection
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.schema.scenario import Scenario

# MVA: base of the optimisation and of the power flow, chosen so that flows are of order one
_BASE_MVA = {"transmission": 100.0, "mv": 1.0, "lv": 0.1}
# MW and MVAr: rounding in the comparison of a replaced load
_ROUNDING = 1e-9


@dataclass(frozen=True)
class BuiltGrid:
    """A grid section and its net; `placed` holds the devices by kind and section.

    The section's `bus` is a bus of the parent's net after switches have merged buses. `record`
    holds the changes to the user's net. `trafo` is the position of the boundary transformer in
    `net.trafo`; `trafo` and `taps` are None for an ideal boundary.
    `profiles` came with the net.
    """

    section: GridSection
    net: pandapowerNet
    placed: Mapping[str, tuple[Placed, ...]]
    record: NetRecord
    trafo: int | None
    taps: TapChanger | None
    profiles: NetProfiles | None = None


def build_grids(
    loaded: LoadedScenario, building: Callable[[str], None] = lambda text: None
) -> dict[str, BuiltGrid]:
    """Build the nets of all grids, parents first; raises ScenarioError or NetworkError."""
    scenario = loaded.scenario
    cases: dict[Any, tuple[pandapowerNet, NetRecord, NetProfiles | None]] = {}
    built: dict[str, BuiltGrid] = {}
    nominal: dict[str, dict[str, float]] = {}  # loads of each net, without placed devices
    for n, section in enumerate(scenario.top_down, start=1):
        building(f"grids: {section.name}, {n} of {len(scenario.grids)}")
        without = _cut_off(section, scenario)
        key = (section.case, section.level, section.part, without)
        if key not in cases:
            cases[key] = _case(section, without, loaded.folder)
        as_read, changes, profiles = cases[key]
        net, record = copy.deepcopy((as_read, changes))
        net.name = section.name
        _apply_limits(net, section, record)
        if section.level != "transmission":
            merge_parallel_transformers(net, section.name, record)
            merge_parallel_lines(net, record)
            if section.open_loops is not None:
                open_loops(net, section.name, record)
        apply_boundary(net, section, record)
        section = _connect(net, section, built, record)
        trafo, taps = boundary_taps(net, section)
        _scale_loads(net, section, record)
        nominal[section.name] = {
            column: float((net.load[column] * net.load.scaling).sum())
            for column in ("p_mw", "q_mvar")
        }
        placed = place_devices(net, section, scenario, record, profiles)
        built[section.name] = BuiltGrid(section, net, placed, record, trafo, taps, profiles)
    _replace_loads(built, nominal)
    for grid in built.values():
        check_net(grid.net, grid.section.name)
    return built


def _case(
    section: GridSection, without: Sequence[int], folder: Path
) -> tuple[pandapowerNet, NetRecord, NetProfiles | None]:
    """Return the net of a grid's case, its changes, and the profiles that came with it."""
    record = NetRecord(transmission=section.level == "transmission")
    case, base_mva = located(section.case, folder), _BASE_MVA[section.level]
    net = load_case(case, section.name, record, base_mva, section.part, without)
    return net, record, read_case(case, section.name).profiles


def _cut_off(section: GridSection, scenario: Scenario) -> tuple[int, ...]:
    """Return the transformers of a grid's net at which grids below it begin."""
    found: dict[int, str] = {}
    for lower in scenario.grids:
        if lower.parent != section.name or not _is_cut_from(lower, section):
            continue
        assert lower.part is not None
        trafo = int(lower.part.split()[1])
        if trafo in found:
            raise ScenarioError(
                f"grids.{lower.name}.part: {lower.part} is the part of {found[trafo]}, too; one "
                "grid is accepted"
            )
        found[trafo] = lower.name
    return tuple(found)


def _is_cut_from(lower: GridSection, upper: GridSection) -> bool:
    """Return whether a grid is a part of the net of the grid above."""
    return lower.case == upper.case and (lower.part or "").startswith("trafo")


def _apply_limits(net: pandapowerNet, section: GridSection, record: NetRecord) -> None:
    for column, value, key in (
        ("min_vm_pu", section.vm_min_pu, "vm_min_pu"),
        ("max_vm_pu", section.vm_max_pu, "vm_max_pu"),
    ):
        if value is not None:
            replace_values(net, record, "bus", column, value, key)
    if section.line_max_i_ka is not None:
        replace_values(net, record, "line", "max_i_ka", section.line_max_i_ka, "line_max_i_ka")
    for rating in section.ratings:
        unknown = sorted(set(rating.lines) - set(net.line.index))
        if unknown:
            raise ScenarioError(
                f"grids.{section.name}.ratings: line {unknown[0]} "
                f"{absence(record, 'line', unknown[0])}; accepted are the lines "
                f"{accepted_range(net.line.index)} of {section.case}"
            )
        replace_values(net, record, "line", "max_i_ka", rating.max_i_ka, "ratings", rating.lines)
    if section.vm_pu is not None:
        replace_values(net, record, "ext_grid", "vm_pu", section.vm_pu, "vm_pu")


def _connect(
    net: pandapowerNet, section: GridSection, built: Mapping[str, BuiltGrid], record: NetRecord
) -> GridSection:
    """Connect a net to its parent's; return the section with the bus of the parent's net."""
    if section.parent is None or section.bus is None:
        return section
    parent = built[section.parent]
    bus = parent.record.bus(section.bus)
    if bus not in parent.net.bus.index:
        raise ScenarioError(
            f"grids.{section.name}.bus: {section.bus} {absence(parent.record, 'bus', bus)} in "
            f"{section.parent}; accepted: {accepted_range(parent.net.bus.index)}"
        )
    if _is_cut_from(section, parent.section) and bus != parent.record.bus(_upper_bus(net)):
        raise ScenarioError(
            f"grids.{section.name}.bus: {section.bus} is not at {section.part}; {_upper_bus(net)} "
            "is accepted"
        )
    follow_parent(net, parent.net, bus, record)
    return section.model_copy(update={"bus": bus})


def _upper_bus(net: pandapowerNet) -> int:
    return int(net.ext_grid.bus.iloc[0])


def _scale_loads(net: pandapowerNet, section: GridSection, record: NetRecord) -> None:
    at = plain_loads(net, section.name)
    if not at:
        return
    loads = net.load.loc[at]
    if section.loads.equal:
        for column in ("p_mw", "q_mvar"):
            mean = loads[column].sum() / len(at)
            replace_values(net, record, "load", column, mean, "loads.equal", at)
    scaling = loads["scaling"].fillna(1.0) * section.loads.scale
    replace_values(net, record, "load", "scaling", scaling, "loads.scale", at)


def _replace_loads(
    built: Mapping[str, BuiltGrid], nominals: Mapping[str, Mapping[str, float]]
) -> None:
    """Subtract the nominal power of lower grids from the loads at their buses.

    At a bus without reactive load none is subtracted: the lower grid draws its own.
    """
    for lower in built.values():
        section = lower.section
        if section.parent is None or not section.replaces_load:
            continue
        if _is_cut_from(section, built[section.parent].section):
            continue  # its loads were never in the net above
        upper = built[section.parent].net
        at_bus = upper.load.index[upper.load.bus == section.bus]
        copies = section.multiplicity
        powers = []
        for column, unit in (("p_mw", "MW"), ("q_mvar", "MVAr")):
            nominal = nominals[section.name][column]
            there = float((upper.load[column] * upper.load.scaling).loc[at_bus].sum())
            if column == "p_mw" or there > 0.0:
                powers.append((column, unit, nominal, there))
        for column, unit, nominal, there in powers:
            left = there - copies * nominal
            if left < -_ROUNDING:
                raise ScenarioError(
                    f"grids.{section.name}: replaces {copies * nominal:.4g} {unit} of the load of "
                    f"{there:.4g} {unit} at bus {section.bus} of {section.parent}, which would "
                    f"leave {left:.3g}; {_ways_out(section, powers)}"
                )
            if there != 0.0:
                rest = upper.load.loc[at_bus, column] * (max(left, 0.0) / there)
                key = f"grids.{section.name}"
                record = built[section.parent].record
                replace_values(upper, record, "load", column, rest, key, at_bus)


def _ways_out(section: GridSection, powers: Sequence[tuple[str, str, float, float]]) -> str:
    """Describe the accepted settings for a grid with more nominal load than its bus has."""
    room = [(there + _ROUNDING) / nominal for _, _, nominal, there in powers if nominal > 0.0]
    most = max(min(room, default=0.0), 0.0)
    beside = "replaces_load = false (the load stays, the grid is added to it)"
    scale = section.loads.scale * most / section.multiplicity
    if scale < 1e-6:
        return f"{beside} is accepted"
    smaller = f"loads.scale of at most {scale:.4g}, or {beside}"
    if most < 1.0:
        return f"{smaller}, is accepted"
    return f"a multiplicity of at most {int(most)} is accepted, or {smaller}"
