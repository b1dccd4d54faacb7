"""Input of power-grid-model for a pandapower net: every branch with its sequence impedances."""

from typing import Any

import numpy as np
from pandapower.auxiliary import pandapowerNet
from power_grid_model import (
    BranchSide,
    ComponentType,
    DatasetType,
    LoadGenType,
    WindingType,
    initialize_array,
)

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.per_unit import PerUnitBranches, trafo_rating_mva
from stackelgrid.controllers.networks.zero_sequence import (
    VectorGroup,
    zero_sequence_lines,
    zero_sequence_trafo,
)
from stackelgrid.profiles.arrays import Floats

# VA; power-grid-model's default of 1e10 costs 3e-4 p.u. in an LV feeder
_STIFF = 1e16
# share of the positive-sequence impedance that power-grid-model gives a zigzag winding to earth
_ZIGZAG = 0.1
_WINDINGS: dict[VectorGroup, tuple[WindingType, WindingType]] = {
    "Dyn": (WindingType.delta, WindingType.wye_n),
    "YNyn": (WindingType.wye_n, WindingType.wye_n),
    "Yzn": (WindingType.wye, WindingType.zigzag_n),
    "Dzn": (WindingType.delta, WindingType.zigzag_n),
}


def three_phase_data(
    net: pandapowerNet, branches: PerUnitBranches, name: str
) -> dict[ComponentType, Any]:
    """Return nodes, lines, transformers, a stiff source and a load at every bus, in net order.

    Positive-sequence data are those of `branches`. Raises NetworkError for elements that the
    three-phase view cannot represent.
    """
    for table in ("gen", "shunt"):
        if len(net[table]):
            raise NetworkError(
                f"{named(name, table, net[table].index)} not supported in a three-phase view; "
                "loads, static generators and storages are accepted"
            )
    for table in ("load", "sgen"):
        delta = net[table].index[net[table]["type"].astype(str).str.lower() == "delta"]
        if len(delta):
            raise NetworkError(
                f"{named(name, table, delta)} connected in delta; a three-phase view accepts "
                "type wye"
            )
    buses, lines = len(net.bus), len(net.line)
    volt = 1e3 * net.bus.vn_kv.to_numpy(dtype=float)
    node = _empty(ComponentType.node, buses, 0)
    node["u_rated"] = volt
    source = _empty(ComponentType.source, 1, 0)
    source["id"] = buses + len(branches.r)
    source["node"] = list(net.bus.index).index(net.ext_grid.bus.iloc[0])
    source["status"] = 1
    source["u_ref"] = float(net.ext_grid.vm_pu.iloc[0])
    source["sk"] = _STIFF
    load = _empty(ComponentType.asym_load, buses, buses + len(branches.r) + 1)
    load["node"] = np.arange(buses)
    load["status"] = 1
    load["type"] = LoadGenType.const_power
    load["p_specified"] = load["q_specified"] = 0.0
    data = {
        ComponentType.node: node,
        ComponentType.source: source,
        ComponentType.asym_load: load,
    }
    if lines:
        data[ComponentType.line] = _lines(net, branches, volt, name)
    if len(net.trafo):
        data[ComponentType.transformer] = _trafos(net, branches, volt, name)
    return data


def _lines(net: pandapowerNet, branches: PerUnitBranches, volt: Floats, name: str) -> Any:
    count = len(net.line)
    here = slice(0, count)
    zero = zero_sequence_lines(net, name)
    ohm = volt[branches.from_bus[here]] ** 2 / (1e6 * branches.base_mva)
    omega = 2.0 * np.pi * float(net.f_hz)
    g = (branches.g_from + branches.g_to)[here] / ohm
    c = (branches.b_from + branches.b_to)[here] / ohm / omega
    leaking = net.line.index[(g != 0.0) & (c == 0.0)]
    if len(leaking):
        raise NetworkError(
            f"{named(name, 'line', leaking)} has g_us_per_km without c_nf_per_km; a three-phase "
            "view accepts a conductance beside a capacitance only"
        )
    line = _branch(ComponentType.line, branches, here, len(volt))
    line["r1"], line["x1"] = branches.r[here] * ohm, branches.x[here] * ohm
    line["c1"] = c
    line["tan1"] = np.divide(g, omega * c, out=np.zeros(count), where=c != 0.0)
    line["r0"], line["x0"], line["c0"] = zero.r_ohm, zero.x_ohm, zero.c_f
    line["tan0"] = 0.0
    return line


def _trafos(net: pandapowerNet, branches: PerUnitBranches, volt: Floats, name: str) -> Any:
    here = slice(len(net.line), len(branches.r))
    base = 1e6 * branches.base_mva
    sn = 1e6 * trafo_rating_mva(net)
    z = branches.r[here] + 1j * branches.x[here]
    y = (branches.g_from + branches.g_to)[here] + 1j * (branches.b_from + branches.b_to)[here]
    trafo = _branch(ComponentType.transformer, branches, here, len(volt))
    # a tap position is fully described by a ratio on the bus voltages and an impedance behind it
    trafo["u1"] = branches.ratio[here] * volt[branches.from_bus[here]]
    trafo["u2"] = volt[branches.to_bus[here]]
    trafo["tap_side"] = BranchSide.from_side
    for column in ("tap_pos", "tap_min", "tap_max", "tap_nom", "tap_size"):
        trafo[column] = 0
    trafo["sn"] = sn
    trafo["uk"] = np.abs(z) * sn / base
    trafo["pk"] = z.real * sn**2 / base
    trafo["i0"] = np.abs(y) * base / sn
    trafo["p0"] = y.real * base
    for k, index in enumerate(net.trafo.index):
        zero = zero_sequence_trafo(net, int(index), name)
        trafo["winding_from"][k], trafo["winding_to"][k] = _WINDINGS[zero.group]
        trafo["clock"][k] = zero.clock
        # the zero-sequence impedance of power-grid-model follows from the positive one; three times
        # the earthing impedance makes up the difference
        own = z[k] * (_ZIGZAG if zero.group in ("Yzn", "Dzn") else 1.0)
        earthing = (zero.z - own) / 3.0 * trafo["u2"][k] ** 2 / base
        trafo["r_grounding_to"][k], trafo["x_grounding_to"][k] = earthing.real, earthing.imag
        trafo["i0_zero_sequence"][k] = abs(zero.y_shunt) * base / sn[k]
        trafo["p0_zero_sequence"][k] = zero.y_shunt.real * base
    return trafo


def _empty(kind: ComponentType, count: int, first: int) -> Any:
    array = initialize_array(DatasetType.input, kind, count)
    array["id"] = first + np.arange(count)
    return array


def _branch(kind: ComponentType, branches: PerUnitBranches, here: slice, buses: int) -> Any:
    array = _empty(kind, here.stop - here.start, buses + here.start)
    array["from_node"], array["to_node"] = branches.from_bus[here], branches.to_bus[here]
    array["from_status"] = array["to_status"] = 1
    return array
