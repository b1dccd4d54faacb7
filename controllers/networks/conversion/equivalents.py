"""Wards, extended wards and motors as loads, static generators, shunts and generators."""

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.conversion.impedances import add_shunts
from stackelgrid.controllers.networks.conversion.rows import append_rows, labels, remove_rows
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.net_record import NetRecord


def convert_wards(net: pandapowerNet, name: str, record: NetRecord) -> None:
    """Replace wards, in place, by a static generator of constant power and a shunt each."""
    if len(net.ward):
        _constant_and_shunt(net, "ward", record, ["" for _ in net.ward.index])


def convert_extended_wards(net: pandapowerNet, name: str, record: NetRecord) -> None:
    """Replace extended wards, in place: a ward each, and a voltage source behind its impedance.

    The source is a generator without active power at a bus of its own behind a line. Raises
    NetworkError in a feeder, where no element holds a voltage.
    """
    table = net.xward
    if not len(table):
        return
    if not record.transmission:
        raise NetworkError(
            f"{named(name, 'xward', table.index)} holds a voltage; xward is accepted on "
            "transmission grids, in a feeder a ward is"
        )
    kv = net.bus.vn_kv.loc[table.bus].to_numpy(dtype=float)
    labels = [f"source of xward {i}" for i in table.index]
    inner = append_rows(net, "bus", {"vn_kv": kv, "name": labels})
    lines = append_rows(
        net,
        "line",
        {
            "name": labels,
            "from_bus": table.bus.tolist(),
            "to_bus": inner,
            "length_km": np.ones(len(table)),
            "r_ohm_per_km": table.r_ohm.to_numpy(dtype=float),
            "x_ohm_per_km": table.x_ohm.to_numpy(dtype=float),
        },
    )
    if "controllable" not in net.gen:
        net.gen["controllable"] = True
    gens = append_rows(
        net,
        "gen",
        {
            "name": labels,
            "bus": inner,
            "p_mw": np.zeros(len(table)),
            "vm_pu": table.vm_pu.to_numpy(dtype=float),
            "controllable": [False] * len(table),
        },
    )
    beside = [f", and gen {gen} behind line {line}" for gen, line in zip(gens, lines, strict=True)]
    _constant_and_shunt(net, "xward", record, beside)


def _constant_and_shunt(
    net: pandapowerNet, table: str, record: NetRecord, beside: list[str]
) -> None:
    frame = net[table]
    p, q = (frame[column].to_numpy(dtype=float) for column in ("ps_mw", "qs_mvar"))
    new = append_rows(
        net,
        "sgen",
        {
            "name": [f"{table} {i}" for i in frame.index],
            "bus": frame.bus.tolist(),
            "p_mw": -p,
            "q_mvar": -q,
            "type": [table] * len(frame),
        },
    )
    shunt = (frame[column].to_numpy(dtype=float) for column in ("pz_mw", "qz_mvar"))
    add_shunts(net, frame.bus.to_numpy(), *shunt)
    for k, i in enumerate(frame.index):
        text = f"sgen {new[k]} of constant power and a shunt at bus {frame.bus.at[i]}{beside[k]}"
        record.note("converted", table, [i], text)
    remove_rows(net, table, frame.index)


def convert_motors(net: pandapowerNet, name: str, record: NetRecord) -> None:
    """Replace motors, in place, by loads of their electrical power; raises NetworkError."""
    motor = net.motor
    if not len(motor):
        return
    values = {
        column: motor[column].to_numpy(dtype=float)
        for column in ("pn_mech_mw", "loading_percent", "efficiency_percent", "cos_phi")
    }
    for column, most in (("efficiency_percent", 100.0), ("cos_phi", 1.0)):
        bad = ~((values[column] > 0.0) & (values[column] <= most))
        if bad.any():
            raise NetworkError(
                f"{named(name, 'motor', motor.index[bad])} has {column} = "
                f"{values[column][bad][0]:g}; above 0 and at most {most:g} is accepted"
            )
    p = values["pn_mech_mw"] / values["efficiency_percent"] * values["loading_percent"]
    scaling = motor.scaling.fillna(1.0).to_numpy(dtype=float)
    new = append_rows(
        net,
        "load",
        {
            "name": labels(motor, "motor"),
            "bus": motor.bus.tolist(),
            "p_mw": p,
            "q_mvar": p * np.sqrt(1.0 / values["cos_phi"] ** 2 - 1.0),
            "scaling": scaling,
        },
    )
    for i, load in zip(motor.index, new, strict=True):
        record.note("converted", "motor", [i], f"load {load} of its electrical power")
    remove_rows(net, "motor", motor.index)
