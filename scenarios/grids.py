"""From a scenario to pandapower nets with everything connected: grids, boundaries, devices."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandapower as pp
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.cases import available_cases, load_case
from stackelgrid.controllers.networks.checks import check_net
from stackelgrid.controllers.networks.devices import PV_TYPE, controllable, is_photovoltaic
from stackelgrid.controllers.networks.merging import merge_parallel_transformers
from stackelgrid.controllers.networks.net_record import NetRecord, replace_values
from stackelgrid.controllers.networks.taps import TapChanger
from stackelgrid.scenarios.boundaries import apply_boundary, boundary_taps, follow_parent
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.load import LoadedScenario
from stackelgrid.scenarios.random import generator
from stackelgrid.scenarios.schema import GridSection, Scenario
from stackelgrid.scenarios.schema_devices import BatterySection, Placement, PvPlane

# MVA: base of the optimisation and of the power flow, so that flows are of order one
_BASE_MVA = {"transmission": 100.0, "mv": 1.0, "lv": 0.1}
# MW and MVAr that a replaced load may lack
_ROUNDING = 1e-9


@dataclass(frozen=True)
class PlacedPv:
    """PV systems of one section, or of the net: positions among the grid's PV systems.

    `key` names the section in messages and random streams.
    """

    key: str
    section: PvPlane
    first: int
    count: int


@dataclass(frozen=True)
class BuiltGrid:
    """A grid section and its net; `pv` tells which systems came from which section.

    The section's `bus` is the one of the parent's net, where switches may have joined several to
    one. `record` holds the changes to the user's net. `trafo` is the position of the boundary
    transformer in `net.trafo`, None with `taps` where the boundary is ideal.
    """

    section: GridSection
    net: pandapowerNet
    pv: tuple[PlacedPv, ...]
    record: NetRecord
    trafo: int | None
    taps: TapChanger | None


def build_grids(
    loaded: LoadedScenario, building: Callable[[str], None] = lambda text: None
) -> dict[str, BuiltGrid]:
    """Build the nets of all grids, parents first; raises ScenarioError or NetworkError."""
    scenario = loaded.scenario
    cases: dict[tuple[str, float], tuple[pandapowerNet, NetRecord]] = {}
    built: dict[str, BuiltGrid] = {}
    for n, section in enumerate(scenario.top_down, start=1):
        building(f"grids: {section.name}, {n} of {len(scenario.grids)}")
        key = (section.case, _BASE_MVA[section.level])
        if key not in cases:
            cases[key] = _case(section, loaded.folder)
        net, record = copy.deepcopy(cases[key])
        net.name = section.name
        _apply_limits(net, section, record)
        if section.level != "transmission":
            merge_parallel_transformers(net, section.name, record)
        apply_boundary(net, section, record)
        section = _connect(net, section, built, record)
        trafo, taps = boundary_taps(net, section)
        _scale_loads(net, section, record)
        pv = _place_devices(net, section, scenario, record)
        built[section.name] = BuiltGrid(section, net, pv, record, trafo, taps)
    _replace_loads(built)
    for grid in built.values():
        check_net(grid.net, grid.section.name)
    return built


def _case(section: GridSection, folder: Path) -> tuple[pandapowerNet, NetRecord]:
    case, record = section.case, NetRecord(transmission=section.level == "transmission")
    if case not in available_cases() and not Path(case).is_absolute():
        case = str(folder / case) if case.endswith(".json") else case
    return load_case(case, section.name, record, _BASE_MVA[section.level]), record


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
                f"{_absence(record, 'line', unknown[0])}; accepted are the lines "
                f"{_range(net.line.index)} of {section.case}"
            )
        replace_values(net, record, "line", "max_i_ka", rating.max_i_ka, "ratings", rating.lines)
    if section.vm_pu is not None:
        replace_values(net, record, "ext_grid", "vm_pu", section.vm_pu, "vm_pu")


def _absence(record: NetRecord, table: str, index: int) -> str:
    """Why a grid has no element of an index."""
    lost = record.loss_of(table, index)
    return f"is not in the grid ({lost})" if lost else "does not exist"


def _connect(
    net: pandapowerNet, section: GridSection, built: Mapping[str, BuiltGrid], record: NetRecord
) -> GridSection:
    """Connect a net to its parent's; returns the section with the bus of the parent's net."""
    if section.parent is None or section.bus is None:
        return section
    parent = built[section.parent]
    bus = parent.record.bus(section.bus)
    if bus not in parent.net.bus.index:
        raise ScenarioError(
            f"grids.{section.name}.bus: {section.bus} {_absence(parent.record, 'bus', bus)} in "
            f"{section.parent}; accepted: {_range(parent.net.bus.index)}"
        )
    follow_parent(net, parent.net, bus, record)
    return section.model_copy(update={"bus": bus})


def _scale_loads(net: pandapowerNet, section: GridSection, record: NetRecord) -> None:
    if not len(net.load):
        return
    if section.loads.equal:
        for column in ("p_mw", "q_mvar"):
            mean = net.load[column].sum() / len(net.load)
            replace_values(net, record, "load", column, mean, "loads.equal")
    scaling = net.load["scaling"].fillna(1.0) * section.loads.scale
    replace_values(net, record, "load", "scaling", scaling, "loads.scale")


def _place_devices(
    net: pandapowerNet, section: GridSection, scenario: Scenario, record: NetRecord
) -> tuple[PlacedPv, ...]:
    existing = int(is_photovoltaic(net.sgen).sum())
    placed: list[PlacedPv] = []
    if existing:
        placed.append(PlacedPv("net_pv", section.net_pv or PvPlane(), 0, existing))
    elif section.net_pv is not None:
        raise ScenarioError(
            f"grids.{section.name}.net_pv: {section.case} brings no PV system (an sgen of type "
            "PV); pv places new ones"
        )
    # what is placed may be controlled, and leaves what the net says of its own as it is
    net.storage["controllable"] = controllable(net, "storage")
    for k, pv in enumerate(section.pv):
        buses = _buses(net, pv, section, scenario, f"pv.{k}", record)
        for bus in buses:
            index = pp.create_sgen(
                net, bus, p_mw=pv.p_mw, sn_mva=pv.sn_mva or pv.p_mw, type=PV_TYPE,
                controllable=True, name=f"pv {bus}", min_power_factor=pv.min_power_factor,
                phase=pv.phase or _customer_phase(net, section, f"pv.{k}", bus),
            )  # fmt: skip
            record.note("added", "sgen", [index], "PV system", key="pv")
        first = sum(p.count for p in placed)
        placed.append(PlacedPv(f"pv.{k}", pv, first, len(buses)))
    for k, battery in enumerate(section.batteries):
        for bus in _buses(net, battery, section, scenario, f"batteries.{k}", record):
            phase = battery.phase or _customer_phase(net, section, f"batteries.{k}", bus)
            index = _create_battery(net, bus, battery, phase)
            record.note("added", "storage", [index], "battery", key="batteries")
    for k, unit in enumerate(section.units):
        bus = _bus(net, section, f"units.{k}", unit.bus, record)
        index = pp.create_sgen(
            net, bus, p_mw=0.0, min_p_mw=unit.p_min_mw, max_p_mw=unit.p_max_mw,
            type="unit", name=f"unit {bus}", controllable=True,
        )  # fmt: skip
        pp.create_poly_cost(
            net, index, "sgen", cp1_eur_per_mw=unit.c1_eur_per_mwh,
            cp2_eur_per_mw2=unit.c2_eur_per_mw2h,
        )  # fmt: skip
        record.note("added", "sgen", [index], "dispatchable unit", key="units")
    return tuple(placed)


def _create_battery(net: pandapowerNet, bus: int, battery: BatterySection, phase: str) -> int:
    index = pp.create_storage(
        net,
        bus,
        p_mw=0.0,
        max_e_mwh=battery.e_mwh,
        min_e_mwh=battery.e_min_mwh,
        soc_percent=battery.soc_percent,
        max_p_mw=battery.p_mw,
        min_p_mw=-battery.p_mw,
        name=f"battery {bus}",
        controllable=True,
        efficiency_charge=battery.efficiency_charge,
        efficiency_discharge=battery.efficiency_discharge,
        wear_eur_per_mwh=battery.wear_eur_per_mwh,
        phase=phase,
    )
    return int(index)


def _customer_phase(net: pandapowerNet, section: GridSection, key: str, bus: int) -> str:
    """Phase of the loads at a bus; empty where there is none or it is not stated."""
    if "phase" not in net.load:
        return ""
    at_bus = net.load.phase[net.load.bus == bus].dropna()
    phases = sorted({str(phase) for phase in at_bus} - {""})
    if len(phases) > 1:
        raise ScenarioError(
            f"grids.{section.name}.{key}: bus {bus} has customers on phases "
            f"{' and '.join(phases)}; state the `phase` of the devices there: a, b, c or abc"
        )
    return phases[0] if phases else ""


def _buses(
    net: pandapowerNet,
    rule: Placement,
    section: GridSection,
    scenario: Scenario,
    key: str,
    record: NetRecord,
) -> list[int]:
    """Buses of a placement; a seeded choice depends on the scenario's seed, grid and key only."""
    if rule.buses is not None:
        return [_bus(net, section, key, bus, record) for bus in rule.buses]
    table = net.load if rule.among == "loads" else net.sgen[is_photovoltaic(net.sgen)]
    candidates = sorted({int(b) for b in table.bus})
    count = rule.count if rule.count is not None else round((rule.share or 0.0) * len(candidates))
    if not candidates:
        raise ScenarioError(
            f"grids.{section.name}.{key}: among = {rule.among!r} and no bus has any; "
            "buses are accepted"
        )
    if count > len(candidates) or count == 0:
        raise ScenarioError(
            f"grids.{section.name}.{key}: {count} devices asked for among {len(candidates)} buses "
            f"with {rule.among}; 1 to {len(candidates)} are accepted"
        )
    rng = generator(scenario.seed, section.name, "placement", key)
    return sorted(int(b) for b in rng.choice(candidates, size=count, replace=False))


def _bus(net: pandapowerNet, section: GridSection, key: str, bus: int, record: NetRecord) -> int:
    """Bus of the net for one that a scenario names."""
    found = record.bus(bus)
    if found not in net.bus.index:
        raise ScenarioError(
            f"grids.{section.name}.{key}: bus {bus} {_absence(record, 'bus', found)} in "
            f"{section.case}; accepted: {_range(net.bus.index)}"
        )
    return found


def _replace_loads(built: Mapping[str, BuiltGrid]) -> None:
    """Take the nominal power of lower grids out of the loads of their buses.

    Where a bus has no reactive load, none is taken: the lower grid draws its own.
    """
    for lower in built.values():
        section = lower.section
        if section.parent is None or not section.replaces_load:
            continue
        upper = built[section.parent].net
        at_bus = upper.load.index[upper.load.bus == section.bus]
        copies = section.multiplicity
        powers = []
        for column, unit in (("p_mw", "MW"), ("q_mvar", "MVAr")):
            nominal = float((lower.net.load[column] * lower.net.load.scaling).sum())
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
    """What is accepted where a grid has more nominal load than it replaces."""
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


def _range(index: "np.typing.ArrayLike") -> str:
    values = sorted(int(i) for i in np.asarray(index))
    if values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    shown = ", ".join(str(v) for v in values[:8])
    return shown + (f", ... {values[-1]}" if len(values) > 8 else "")
