"""Input of power-grid-model for a pandapower net: every branch with its sequence impedances.

Columns of the zero sequence and their meaning are pandapower's (`runpp_3ph`).
"""

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
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
from stackelgrid.controllers.networks.cells import column_of, number
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.per_unit import PerUnitBranches, tapped_kv, trafo_rating_mva
from stackelgrid.profiles.arrays import Floats

VectorGroup = Literal["Dyn", "YNyn", "Yzn", "Dzn"]
# groups with an earthed neutral on the lower side, which single-phase customers need, and whether
# their clock number is odd
_GROUPS: dict[VectorGroup, bool] = {"Dyn": True, "YNyn": False, "Yzn": True, "Dzn": False}
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


@dataclass(frozen=True)
class ZeroSequenceLines:
    """Zero-sequence resistance, reactance (ohm) and capacitance (F) of every line."""

    r_ohm: Floats
    x_ohm: Floats
    c_f: Floats


@dataclass(frozen=True)
class ZeroSequenceTrafo:
    """Winding connection and zero-sequence equivalent of one transformer, p.u. of `sn_mva` of net.

    `z` is the impedance from the lower terminal to earth (YNyn: between both terminals), with
    `y_shunt` half at each terminal of a YNyn transformer. Referred to the lower bus's voltage.
    """

    group: VectorGroup
    clock: int
    z: complex
    y_shunt: complex


def zero_sequence_lines(net: pandapowerNet, name: str) -> ZeroSequenceLines:
    """Read r0_ohm_per_km, x0_ohm_per_km and c0_nf_per_km; raises NetworkError naming lines."""
    line = net.line
    columns: list[Floats] = []
    for column in ("r0_ohm_per_km", "x0_ohm_per_km", "c0_nf_per_km"):
        values = column_of(line, column, np.nan)
        bad = ~(np.isfinite(values) & (values >= 0.0))
        if bad.any():
            raise NetworkError(
                f"{named(name, 'line', line.index[bad])} has {column} {_shown(values[bad][0])}; a "
                "three-phase view needs the zero-sequence data of every line, finite and >= 0"
            )
        columns.append(values)
    r, x, c = columns
    short = line.index[r + x == 0.0]
    if len(short):
        raise NetworkError(
            f"{named(name, 'line', short)} has r0_ohm_per_km = x0_ohm_per_km = 0; values that are "
            "not both 0 are accepted"
        )
    length = line.length_km.to_numpy(dtype=float)
    parallel = line.parallel.to_numpy(dtype=float)
    return ZeroSequenceLines(
        r_ohm=r * length / parallel, x_ohm=x * length / parallel, c_f=c * 1e-9 * length * parallel
    )


def zero_sequence_trafo(net: pandapowerNet, index: int, name: str) -> ZeroSequenceTrafo:
    """Read one transformer of `net.trafo`; the neutral on the lower side is solidly earthed.

    Dyn and YNyn have pandapower's T equivalent: leakage of vk0_percent and vkr0_percent, a share
    si0_hv_partial of it before the magnetising branch of mag0_percent and mag0_rx, which is left
    out where mag0_percent is empty. The zero-sequence flux of a zigzag winding (Yzn, Dzn)
    cancels in the core: vk0_percent alone counts. Raises NetworkError for another or no vector
    group, a shift that does not fit it, missing or impossible data, and an earthing impedance.
    """
    row = net.trafo.loc[index]
    label = named(name, "trafo", [index])
    group, clock = _vector_group(row, label)
    vk0, vkr0 = number(row, "vk0_percent"), number(row, "vkr0_percent")
    if not (0.0 < vk0 < np.inf and 0.0 <= vkr0 <= vk0):
        raise NetworkError(
            f"{label} has vk0_percent {_shown(vk0)}, vkr0_percent {_shown(vkr0)}; a three-phase "
            "view needs vk0_percent > 0 and 0 <= vkr0_percent <= vk0_percent"
        )
    for column in ("xn_ohm", "rn_ohm"):
        value = number(row, column)
        if value not in (0.0,) and not np.isnan(value):
            raise NetworkError(
                f"{label} has {column} = {value:g}; a solidly earthed neutral (0) is accepted"
            )
    lower = float(net.bus.vn_kv.at[int(row.lv_bus)])
    tapped = tapped_kv(net)[1][net.trafo.index.get_loc(index)]
    base = float(tapped / lower) ** 2 * float(net.sn_mva)
    base /= float(row.sn_mva) * float(row.parallel)
    leakage = complex(vkr0, math.sqrt(vk0**2 - vkr0**2)) / 100.0 * base
    relative = _magnetising(row, label)
    if group in ("Yzn", "Dzn") or relative is None:
        return ZeroSequenceTrafo(group, clock, leakage, 0.0j)
    share = number(row, "si0_hv_partial")
    if not 0.0 <= share <= 1.0:
        raise NetworkError(
            f"{label} has si0_hv_partial {_shown(share)}; with mag0_percent, 0 to 1 is accepted"
        )
    magnetising = relative * vk0 / 100.0 * base
    before, behind = share * leakage, (1.0 - share) * leakage
    if group == "Dyn":
        z = behind + before * magnetising / (before + magnetising)
        return ZeroSequenceTrafo(group, clock, z, 0.0j)
    if share != 0.5:
        raise NetworkError(
            f"{label} has si0_hv_partial = {share:g}; 0.5 is accepted for the vector group YNyn"
        )
    through = leakage + before * behind / magnetising  # star to delta
    return ZeroSequenceTrafo(group, clock, through, 2.0 * before / (magnetising * through))


def _vector_group(row: pd.Series, label: str) -> tuple[VectorGroup, int]:
    accepted = f"accepted: {', '.join(_GROUPS)}, with or without the clock number"
    value = row.get("vector_group")
    found = re.fullmatch(r"([A-Za-z]+?)(\d*)", value) if isinstance(value, str) else None
    match = [g for g in _GROUPS if found and g.lower() == found.group(1).lower()]
    if found is None or not match:
        shown = repr(value) if isinstance(value, str) and value else "not given"
        raise NetworkError(
            f"{label} has vector_group {shown}, which a three-phase view needs; {accepted}"
        )
    group, number = match[0], found.group(2)
    shift = float(row.shift_degree)
    clock = round(shift / 30.0)
    if not np.isclose(shift, 30.0 * clock) or bool(clock % 2) != _GROUPS[group]:
        raise NetworkError(
            f"{label} has vector_group {value} and shift_degree = {shift:g}; an "
            f"{'odd' if _GROUPS[group] else 'even'} multiple of 30 is accepted"
        )
    if number and int(number) % 12 != clock % 12:
        raise NetworkError(
            f"{label} has vector_group {value} and shift_degree = {shift:g}; "
            f"{30 * int(number)} is accepted"
        )
    return group, clock % 12


def _magnetising(row: pd.Series, label: str) -> complex | None:
    """Zero-sequence magnetising impedance relative to vk0, None where it is not given."""
    percent = number(row, "mag0_percent")
    if np.isnan(percent):
        return None
    ratio = number(row, "mag0_rx")
    if not (percent > 0.0 and ratio >= 0.0):
        raise NetworkError(
            f"{label} has mag0_percent = {percent:g}, mag0_rx {_shown(ratio)}; mag0_percent > 0 "
            "and mag0_rx >= 0 are accepted (or leave both empty)"
        )
    return complex(ratio, 1.0) / math.hypot(ratio, 1.0) * percent / 100.0


def _shown(value: float) -> str:
    return "not given" if np.isnan(value) else f"= {value:g}"
