"""Zero-sequence data of lines and transformers for a three-phase power flow.

Columns and their meaning are pandapower's (`runpp_3ph`).
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.cells import number
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.per_unit import tapped_kv
from stackelgrid.profiles.arrays import Floats

VectorGroup = Literal["Dyn", "YNyn", "Yzn", "Dzn"]
# groups with an earthed neutral on the lower side, which single-phase customers need, and whether
# their clock number is odd
_GROUPS: dict[VectorGroup, bool] = {"Dyn": True, "YNyn": False, "Yzn": True, "Dzn": False}


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
        values = _column(line, column)
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


def _column(frame: pd.DataFrame, column: str) -> Floats:
    if column not in frame:
        return np.full(len(frame), np.nan)
    values: NDArray[np.float64] = frame[column].to_numpy(dtype=float)
    return values


def _shown(value: float) -> str:
    return "not given" if np.isnan(value) else f"= {value:g}"
