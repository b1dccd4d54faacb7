"""Place devices in a pandapower net by the rules of a scenario."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.devices.elements import controllable, is_photovoltaic
from stackelgrid.controllers.devices.photovoltaics import PV_TYPE
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.scenarios.build.random import generator
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.devices import Placement, PvPlane
from stackelgrid.scenarios.schema.scenario import GridSection, Scenario


@dataclass(frozen=True)
class PlacedPv:
    """PV systems of one section, or of the net: positions among the grid's PV systems.

    `key` identifies the section in messages and random streams.
    """

    key: str
    section: PvPlane
    first: int
    count: int


def place_devices(
    net: pandapowerNet, section: GridSection, scenario: Scenario, record: NetRecord
) -> tuple[PlacedPv, ...]:
    """Add the PV systems, batteries and units of a section to its net; raises ScenarioError."""
    existing = int(is_photovoltaic(net.sgen).sum())
    placed: list[PlacedPv] = []
    if existing:
        placed.append(PlacedPv("net_pv", section.net_pv or PvPlane(), 0, existing))
    elif section.net_pv is not None:
        raise ScenarioError(
            f"grids.{section.name}.net_pv: {section.case} brings no PV system (an sgen of type "
            "PV); pv places new ones"
        )
    # placed storages are controllable; the net's own keep their value
    net.storage["controllable"] = controllable(net.storage, "storage")
    for k, pv in enumerate(section.pv):
        buses = _buses(net, pv, section, scenario, f"pv.{k}", record)
        index = pp.create_sgen(
            net, buses[0], p_mw=pv.p_mw, sn_mva=pv.sn_mva or pv.p_mw, type=PV_TYPE,
            controllable=True, name="", min_power_factor=pv.min_power_factor, phase="",
        )  # fmt: skip
        phases = _phases(net, pv.phase, f"grids.{section.name}.pv.{k}", buses)
        for placed_at in _repeat(net, "sgen", index, "pv", buses, phases):
            record.note("added", "sgen", [placed_at], "PV system", key="pv")
        first = sum(p.count for p in placed)
        placed.append(PlacedPv(f"pv.{k}", pv, first, len(buses)))
    for k, battery in enumerate(section.batteries):
        buses = _buses(net, battery, section, scenario, f"batteries.{k}", record)
        index = pp.create_storage(
            net, buses[0], p_mw=0.0, max_e_mwh=battery.e_mwh, min_e_mwh=battery.e_min_mwh,
            soc_percent=battery.soc_percent, max_p_mw=battery.p_mw, min_p_mw=-battery.p_mw,
            name="", controllable=True, efficiency_charge=battery.efficiency_charge,
            efficiency_discharge=battery.efficiency_discharge,
            wear_eur_per_mwh=battery.wear_eur_per_mwh, phase="",
        )  # fmt: skip
        phases = _phases(net, battery.phase, f"grids.{section.name}.batteries.{k}", buses)
        for placed_at in _repeat(net, "storage", index, "battery", buses, phases):
            record.note("added", "storage", [placed_at], "battery", key="batteries")
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


def _repeat(
    net: pandapowerNet,
    table: str,
    first: int,
    name: str,
    buses: Sequence[int],
    phases: Sequence[str],
) -> list[int]:
    """Copy the last element of a table to several buses; return all indices.

    Copies are faster: pandapower takes milliseconds to create an element.
    """
    last, count = len(net[table]) - 1, len(buses)
    index = [int(first) + i for i in range(count)]
    grown = net[table].iloc[[*range(last), *count * [last]]]
    grown = grown.set_axis([*grown.index[:last], *index])
    names = [f"{name} {bus}" for bus in buses]
    for column, new in (("bus", buses), ("name", names), ("phase", phases)):
        values = grown[column].to_numpy(copy=True)
        values[last:] = new
        grown[column] = values
    net[table] = grown
    return index


def _phases(net: pandapowerNet, stated: str | None, key: str, buses: Sequence[int]) -> list[str]:
    """Return the phases of devices at some buses: the stated one, or the customers'.

    A phase is empty at a bus without customers or with customers of unknown phase.
    """
    if stated:
        return [stated] * len(buses)
    if "phase" not in net.load:
        return [""] * len(buses)
    customers: dict[int, set[str]] = {}
    for bus, phase in zip(net.load.bus, net.load.phase, strict=True):
        if not pd.isna(phase) and str(phase):
            customers.setdefault(int(bus), set()).add(str(phase))
    found = [sorted(customers.get(bus, ())) for bus in buses]
    for bus, phases in zip(buses, found, strict=True):
        if len(phases) > 1:
            raise ScenarioError(
                f"{key}: bus {bus} has customers on phases "
                f"{' and '.join(phases)}; state the `phase` of the devices there: a, b, c or abc"
            )
    return [phases[0] if phases else "" for phases in found]


def _buses(
    net: pandapowerNet,
    rule: Placement,
    section: GridSection,
    scenario: Scenario,
    key: str,
    record: NetRecord,
) -> list[int]:
    """Return the buses of a placement; a random choice depends on seed, grid and key only."""
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
    """Return the bus of the net for a bus number of the scenario."""
    found = record.bus(bus)
    if found not in net.bus.index:
        raise ScenarioError(
            f"grids.{section.name}.{key}: bus {bus} {absence(record, 'bus', found)} in "
            f"{section.case}; accepted: {accepted_range(net.bus.index)}"
        )
    return found


def absence(record: NetRecord, table: str, index: int) -> str:
    """Return the reason why a grid has no element with an index."""
    lost = record.loss_of(table, index)
    return f"is not in the grid ({lost})" if lost else "does not exist"


def accepted_range(index: "np.typing.ArrayLike") -> str:
    """Return the accepted indices as text for messages."""
    values = sorted(int(i) for i in np.asarray(index))
    if values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    shown = ", ".join(str(v) for v in values[:8])
    return shown + (f", ... {values[-1]}" if len(values) > 8 else "")
