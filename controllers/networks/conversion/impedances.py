"""Impedances and closed switches with an impedance as lines."""

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.conversion.rows import (
    append_rows,
    in_service,
    labels,
    remove_rows,
)
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.profiles.arrays import Floats

# pandapower's ratio of resistance to reactance of a switch
_SWITCH_RX = 2.0


def impedances_as_lines(net: pandapowerNet, name: str, record: NetRecord) -> None:
    """Replace impedances, in place, by lines of 1 km without a rating, on the base of `from_bus`.

    Equal admittances at both ends become charging of the line, others shunts at the buses. Raises
    NetworkError for an impedance that differs between the directions, which no line has.
    """
    table = net.impedance
    if not len(table):
        return
    values = {c: table[c].to_numpy(dtype=float) for c in table.columns if c.endswith("_pu")}
    for part in ("r", "x"):
        there, back = values[f"{part}ft_pu"], values[f"{part}tf_pu"]
        bad = np.flatnonzero(there != back)
        if len(bad):
            raise NetworkError(
                f"{named(name, 'impedance', table.index[bad])} has {part}ft_pu = "
                f"{there[bad[0]]:g} and {part}tf_pu = {back[bad[0]]:g}; equal ones are accepted "
                "(a branch that is different in each direction has no equivalent line)"
            )
    sn = table.sn_mva.to_numpy(dtype=float)
    if not (sn > 0.0).all():
        raise NetworkError(
            f"{named(name, 'impedance', table.index[~(sn > 0.0)])} has sn_mva <= 0; MVA > 0 is "
            "accepted"
        )
    kv = net.bus.vn_kv.loc[table.from_bus].to_numpy(dtype=float)
    ohm = kv**2 / sn
    ends = [np.nan_to_num(values[f"{part}{end}_pu"]) for end in "ft" for part in "gb"]
    g_from, b_from, g_to, b_to = ends
    even = (g_from == g_to) & (b_from == b_to) & (g_from >= 0.0) & (b_from >= 0.0)
    omega = 2.0 * np.pi * float(net.f_hz)
    new = append_rows(
        net,
        "line",
        {
            "name": labels(table, "impedance"),
            "from_bus": table.from_bus.tolist(),
            "to_bus": table.to_bus.tolist(),
            "length_km": np.ones(len(table)),
            "r_ohm_per_km": values["rft_pu"] * ohm,
            "x_ohm_per_km": values["xft_pu"] * ohm,
            "g_us_per_km": np.where(even, 2e6 * g_from / ohm, 0.0),
            "c_nf_per_km": np.where(even, 2e9 * b_from / (ohm * omega), 0.0),
            "in_service": in_service(net, "impedance"),
        },
    )
    buses = np.concatenate([table.from_bus.to_numpy(), table.to_bus.to_numpy()])
    power = np.concatenate([g_from * sn, g_to * sn]), np.concatenate([b_from * sn, b_to * sn])
    beside = np.tile(~even & in_service(net, "impedance"), 2)
    add_shunts(net, buses[beside], power[0][beside], -power[1][beside])
    for k, i in enumerate(table.index):
        shunts = "" if even[k] else " with shunts at its buses"
        record.note("converted", "impedance", [i], f"line {new[k]}{shunts}")
    remove_rows(net, "impedance", table.index)


def switches_as_lines(net: pandapowerNet, name: str, record: NetRecord) -> None:
    """Replace closed bus-bus switches with z_ohm > 0, in place, by lines, as pandapower has them.

    A switch at a bus out of service joins nothing.
    """
    alive = net.bus.index[in_service(net, "bus")]
    switch = net.switch
    chosen = (
        switch.closed.astype(bool)
        & (switch.et == "b")
        & (switch.z_ohm.fillna(0.0) > 0.0)
        & switch.bus.isin(alive)
        & switch.element.isin(alive)
    )
    found = switch[chosen.to_numpy(dtype=bool)]
    if not len(found):
        return
    z = found.z_ohm.to_numpy(dtype=float) / np.hypot(1.0, _SWITCH_RX)
    new = append_rows(
        net,
        "line",
        {
            "name": labels(found, "switch"),
            "from_bus": found.bus.tolist(),
            "to_bus": found.element.tolist(),
            "length_km": np.ones(len(found)),
            "r_ohm_per_km": _SWITCH_RX * z,
            "x_ohm_per_km": z,
        },
    )
    for i, line in zip(found.index, new, strict=True):
        record.note("converted", "switch", [i], f"line {line} of its z_ohm")
    net.switch = switch.drop(found.index)


def add_shunts(
    net: pandapowerNet, buses: "np.typing.ArrayLike", p_mw: Floats, q_mvar: Floats
) -> None:
    """Add shunts to a net, in place; none of zero power.

    net: the net.
    buses: bus of each.
    p_mw, q_mvar: power of each at nominal voltage, consumption positive.
    """
    used = (p_mw != 0.0) | (q_mvar != 0.0)
    at = np.asarray(buses)[used]
    if len(at):
        kv = net.bus.vn_kv.loc[at].to_numpy(dtype=float)
        append_rows(
            net,
            "shunt",
            {"bus": at.tolist(), "p_mw": p_mw[used], "q_mvar": q_mvar[used], "vn_kv": kv},
        )
