"""Application of switches, elements out of service and joined buses to a user's net."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.conversion.impedances import add_shunts
from stackelgrid.controllers.networks.conversion.rows import drop_elements, in_service
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.net_columns import refused_tables
from stackelgrid.controllers.networks.net_elements import (
    BRANCH_ENDS,
    BUS_COLUMNS,
    SWITCHED,
    UNLIMITED_KA,
)
from stackelgrid.controllers.networks.net_record import NetRecord

# columns of a shunt admittance, through which a branch open at one end still draws power
_SHUNTS = {"line": ("c_nf_per_km", "g_us_per_km"), "trafo": ("pfe_kw", "i0_percent")}


@dataclass(frozen=True)
class _OpenEnd:
    table: str
    index: int
    column: str
    reason: str


def apply_topology(net: pandapowerNet, name: str, record: NetRecord) -> None:
    """Reduce a net, in place, to buses and branches in service, without switches.

    As in pandapower, closed bus-bus switches between buses in service join them; a branch that is
    open at one end stays connected at the other, where its charging or iron losses are drawn. Buses
    joined by a line of negligible impedance (tolerances.JOINED_IMPEDANCE_PU) become one, too.
    Elements out of service must have been dropped. Raises NetworkError.
    """
    open_ends = _open_ends(net, name, record)
    pairs = _closed_switches(net, name, record)
    net.switch = net.switch.drop(net.switch.index)
    _cut(net, open_ends, record)
    _join(net, name, pairs, record, surprising=False)
    _join(net, name, _tiny_lines(net, name), record, surprising=True)


def drop_out_of_service(net: pandapowerNet, record: NetRecord) -> None:
    """Drop elements, in place, out of service or at such buses; lines at one of them stay."""
    alive = set(net.bus.index[in_service(net, "bus")])
    for table in sorted({*BUS_COLUMNS, *refused_tables()} - {"switch"}):
        if table not in net or not len(net[table]):
            continue
        if "in_service" in net[table]:
            gone = net[table].index[~in_service(net, table)]
            drop_elements(net, table, gone, "out of service", record)
        ends = net[table][list(BUS_COLUMNS.get(table, ()))]
        dead = ~ends.isin(alive)
        gone = ends.index[dead.all(axis=1) if table == "line" else dead.any(axis=1)]
        drop_elements(
            net, table, gone, "its bus is out of service", record, surprising=table != "line"
        )


def _open_ends(net: pandapowerNet, name: str, record: NetRecord) -> list[_OpenEnd]:
    """Ends of branches that an open switch or a bus out of service leaves open."""
    ends: dict[tuple[str, int, str], str] = {}
    alive = set(net.bus.index[in_service(net, "bus")])
    for column in BRANCH_ENDS["line"]:
        for i in net.line.index[~net.line[column].isin(alive)]:
            ends["line", int(i), column] = "its bus is out of service"
    open_ = ~net.switch.closed.to_numpy(dtype=np.bool_)
    for row in net.switch[(net.switch.et != "b").to_numpy() & open_].itertuples():
        table = SWITCHED[str(row.et)]
        if row.element not in net[table].index:
            continue  # out of service
        at = [c for c in BRANCH_ENDS[table] if net[table].at[row.element, c] == row.bus]
        if not at:
            raise NetworkError(
                f"{named(name, 'switch', [row.Index])} sits on bus {row.bus}, not an end of "
                f"{table} {row.element}"
            )
        ends.setdefault((table, int(row.element), at[0]), f"switch {row.Index} is open")
    return [_OpenEnd(*end, reason) for end, reason in ends.items()]


def _closed_switches(
    net: pandapowerNet, name: str, record: NetRecord
) -> list[tuple[int, int, str]]:
    """Pairs of buses in service that a closed switch joins."""
    alive = set(net.bus.index[in_service(net, "bus")])
    closed = net.switch[net.switch.closed.to_numpy(dtype=np.bool_)]
    closed = closed[(closed.et == "b").to_numpy()]
    live = closed.bus.isin(alive) & closed.element.isin(alive)
    record.note("ignored", "switch", closed.index[~live], "closed at a bus out of service")
    closed = closed[live]
    for row in closed.itertuples():
        one, other = (float(net.bus.vn_kv.at[bus]) for bus in (row.bus, row.element))
        if one != other:
            raise NetworkError(
                f"{named(name, 'switch', [row.Index])} joins buses of {one:g} and {other:g} kV; "
                "buses of one nominal voltage are accepted"
            )
    return [(int(r.bus), int(r.element), f"closed switch {r.Index}") for r in closed.itertuples()]


def _cut(net: pandapowerNet, ends: list[_OpenEnd], record: NetRecord) -> None:
    """Give open ends a bus of their own if the branch draws power, else drop the branch."""
    at: dict[tuple[str, int], list[_OpenEnd]] = {}
    for end in ends:
        at.setdefault((end.table, end.index), []).append(end)
    slacks = set(net.ext_grid.bus)
    for (table, index), open_at in at.items():
        row = net[table].loc[index]
        draws = [c for c in _SHUNTS[table] if c in row.index and row[c] != 0.0 and row[c] == row[c]]
        reason = " and ".join(end.reason for end in open_at)
        if len(open_at) == 2 or not draws:
            drop_elements(net, table, [index], reason, record)
            continue
        end = open_at[0]
        column, other = end.column, next(c for c in BRANCH_ENDS[table] if c != end.column)
        if table == "trafo" and row[other] in slacks:
            lost = f"{reason}; its {row.pfe_kw:g} kW of iron losses belong to the grid above"
            drop_elements(net, table, [index], lost, record, surprising=True)
            continue
        bus = net.bus.loc[[row[column]]].copy()
        bus.index = [int(net.bus.index.max()) + 1]
        bus["name"], bus["in_service"] = f"open end of {table} {index}", True
        for limit in ("min_vm_pu", "max_vm_pu"):
            if limit in bus:
                bus[limit] = np.nan
        net.bus = pd.concat([net.bus, bus])
        net[table].loc[index, column] = bus.index[0]
        kept = f"open at {column} ({reason}): draws power from its other end"
        record.note("kept", table, [index], f"{kept}, bus {bus.index[0]} added")
    dead = net.bus.index[~net.bus.in_service.to_numpy(dtype=bool)]
    drop_elements(net, "bus", dead, "out of service", record)


def _tiny_lines(net: pandapowerNet, name: str) -> list[tuple[int, int, str]]:
    """Return pairs of buses that a line of negligible impedance joins."""
    line = net.line
    r, x = (line[c] * line.length_km / line.parallel for c in ("r_ohm_per_km", "x_ohm_per_km"))
    base = net.bus.vn_kv.reindex(line.from_bus).to_numpy(dtype=float) ** 2 / float(net.sn_mva)
    size = np.hypot(r, x) / base
    tiny = line[((size > 0.0) & (size < tolerances.JOINED_IMPEDANCE_PU)).to_numpy()]
    if not len(tiny):
        return []
    ratings = tiny.max_i_ka.to_numpy(dtype=float)
    rated = tiny.index[ratings < UNLIMITED_KA]
    if len(rated):
        raise NetworkError(
            f"{named(name, 'line', rated)} has an impedance of {size.at[rated[0]]:.1e} p.u., too "
            f"small to compute the flow that its max_i_ka limits; at least "
            f"{tolerances.JOINED_IMPEDANCE_PU:g} p.u. of {net.sn_mva:g} MVA are accepted, or no "
            "max_i_ka (its buses then become one)"
        )
    return [
        (int(r.from_bus), int(r.to_bus), f"line {r.Index} of {size.at[r.Index]:.1e} p.u.")
        for r in tiny.itertuples()
    ]


def _join(
    net: pandapowerNet,
    name: str,
    pairs: list[tuple[int, int, str]],
    record: NetRecord,
    *,
    surprising: bool,
) -> None:
    """Merge each group of joined buses into one with the tightest of their voltage bands."""
    bus_of: dict[int, int] = {}

    def survivor(bus: int) -> int:
        while bus in bus_of:
            bus = bus_of[bus]
        return bus

    for first, second, reason in pairs:
        keep, gone = survivor(first), survivor(second)
        if keep == gone:
            continue
        bus_of[gone] = keep
        text = f"one bus with {keep} by {reason}"
        record.note("joined", "bus", [gone], text, surprising=surprising)
    if not bus_of:
        return
    bus_of = {bus: survivor(bus) for bus in bus_of}
    record.join(bus_of)
    for table, columns in BUS_COLUMNS.items():
        if table in net and len(net[table]) and table != "bus":
            for column in columns:
                net[table][column] = net[table][column].map(lambda b: bus_of.get(b, b))
    for column, tightest in (("min_vm_pu", "max"), ("max_vm_pu", "min")):
        if column in net.bus:
            group = net.bus[column].groupby([bus_of.get(b, b) for b in net.bus.index])
            net.bus[column] = group.agg(tightest).reindex(net.bus.index)
    net.bus = net.bus.drop(list(bus_of))
    loops = (net.line.from_bus == net.line.to_bus).to_numpy()
    inner = net.line.index[loops]
    _keep_charging(net, inner, record)
    drop_elements(net, "line", inner, "between buses that are one", record)


def _keep_charging(net: pandapowerNet, inner: pd.Index, record: NetRecord) -> None:
    """Add a shunt for the charging of each line whose ends are one bus, unless it is negligible."""
    line = net.line.loc[inner]
    size = line.length_km * line.parallel
    siemens = {
        "p_mw": 1e-6 * line.g_us_per_km * size,
        "q_mvar": -2e-9 * np.pi * float(net.f_hz) * line.c_nf_per_km * size,
    }
    kv = net.bus.vn_kv.reindex(line.from_bus).to_numpy(dtype=float)
    p, q = (values.to_numpy(dtype=float) * kv**2 for values in siemens.values())
    charged = np.hypot(p, q) >= tolerances.JOINED_IMPEDANCE_PU * float(net.sn_mva)
    if charged.any():
        add_shunts(net, line.from_bus.to_numpy()[charged], p[charged], q[charged])
        text = "its ends are one bus: its charging is a shunt there"
        record.note("converted", "line", inner[charged], text)
