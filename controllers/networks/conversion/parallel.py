"""Branches in parallel as one, in feeders: exact in power flow, and its rating protects each."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.net_columns import Treatment, declared
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.per_unit import (
    line_rating_ka,
    loading_limit_percent,
    trafo_rating_mva,
)
from stackelgrid.profiles.arrays import Floats

# p.u.: voltage at which currents of shunts of the branches are counted against their ratings
_HIGH_VM_PU = 1.1
_ZERO_SEQUENCE = ("r0_ohm_per_km", "x0_ohm_per_km", "c0_nf_per_km", "g0_us_per_km")
# plate data by which parallel transformers may differ
_PLATE = frozenset(
    {"name", "sn_mva", "vk_percent", "vkr_percent", "pfe_kw", "i0_percent", "parallel", "df"}
    | {"max_loading_percent", "vector_group", "vk0_percent", "vkr0_percent", "mag0_percent"}
    | {"mag0_rx", "si0_hv_partial", "xn_ohm"}
)
_Complex = NDArray[np.complex128]


def merge_parallel_lines(net: pandapowerNet, record: NetRecord) -> None:
    """Merge lines between the same two buses into one, in place; the first one stays.

    Equal lines are counted in `parallel`. Others become one pi section with their series admittance
    and charging; its rating is the largest current at which no line exceeds its own.
    """
    for group in _groups(net, "line", ("from_bus", "to_bus")):
        kv = {float(net.bus.vn_kv.at[b]) for b in (group.from_bus.iloc[0], group.to_bus.iloc[0])}
        if len(kv) > 1:
            continue  # the per-unit base of each is that of its own from_bus
        keep, others = group.index[0], group.index[1:]
        columns = _honoured(net, "line", {"name", "geo", "parallel", "from_bus", "to_bus"})
        if all(_alike(group[column]) for column in columns):
            net.line.loc[keep, "parallel"] = group.parallel.sum()
            text = f"equal to line {keep} in parallel with it"
            record.note("joined", "line", others, text)
        else:
            limit = _merge_lines(net, group, kv.pop())
            rated = f"its rating of {limit:.4g} kA protects each" if limit < np.inf else "no rating"
            text = f"in parallel with line {keep}, which stands for all: {rated}"
            record.note("joined", "line", others, text, surprising=True)
        net.line = net.line.drop(others)


def _merge_lines(net: pandapowerNet, group: pd.DataFrame, kv: float) -> float:
    """Write the equivalent of parallel lines into the first one; return its rating in kA."""
    keep = group.index[0]
    km, count = (group[c].to_numpy(dtype=float) for c in ("length_km", "parallel"))
    r, x = (group[f"{c}_ohm_per_km"].to_numpy(dtype=float) * km / count for c in "rx")
    c, g = (
        group[column].to_numpy(dtype=float) * km * count
        for column in ("c_nf_per_km", "g_us_per_km")
    )
    z = r + 1j * x
    y = g * 1e-6 + 2e-9j * np.pi * float(net.f_hz) * c
    whole = 1.0 / np.sum(1.0 / z)
    rows = net.line.index.get_indexer(group.index)
    loading = loading_limit_percent(net.line)[rows]
    rating = line_rating_ka(net)[rows] * loading / 100.0
    limit = _protecting(rating, whole / z, y / 2.0, _HIGH_VM_PU * kv / np.sqrt(3.0))
    length = km[0]
    values: dict[str, Any] = {
        "r_ohm_per_km": whole.real / length,
        "x_ohm_per_km": whole.imag / length,
        "c_nf_per_km": c.sum() / length,
        "g_us_per_km": g.sum() / length,
        "parallel": 1,
        "df": 1.0,
        "max_i_ka": np.nan if limit == np.inf else limit * 100.0 / _common(loading),
    }
    values |= {column: np.nan for column in _ZERO_SEQUENCE if column in net.line}
    if "max_loading_percent" in net.line:
        values["max_loading_percent"] = _common(loading)
    if {"r0_ohm_per_km", "x0_ohm_per_km"} <= set(net.line):
        r0, x0 = (group[f"{c}0_ohm_per_km"].to_numpy(dtype=float) * km / count for c in "rx")
        zero = 1.0 / np.sum(1.0 / (r0 + 1j * x0))
        values |= {"r0_ohm_per_km": zero.real / length, "x0_ohm_per_km": zero.imag / length}
    for column in ("c0_nf_per_km", "g0_us_per_km"):
        if column in net.line:
            values[column] = float((group[column] * km * count).sum(skipna=False)) / length
    for column, value in values.items():
        net.line.loc[keep, column] = value
    return limit


def merge_parallel_transformers(net: pandapowerNet, name: str, record: NetRecord) -> None:
    """Merge transformers between the same buses into one, in place; the first one stays.

    Transformers at coupled busbars are equal if every column that affects a calculation is, tap
    positions included; they are counted in `parallel`. Those that differ in impedance, losses or
    rating only become one with the same power flow and a rating that protects each. Raises
    NetworkError if they differ in ratio, phase shift or tap changer: a current would circulate.
    """
    columns = _honoured(net, "trafo", {"name", "parallel"})
    for group in _groups(net, "trafo", ("hv_bus", "lv_bus")):
        differ = [column for column in columns if not _alike(group[column])]
        high, low = group.hv_bus.iloc[0], group.lv_bus.iloc[0]
        for column in differ:
            if column not in _PLATE:
                shown = ", ".join(str(value) for value in group[column])
                raise NetworkError(
                    f"{named(name, 'trafo', group.index)} are parallel between buses {high} and "
                    f"{low} and differ in {column} ({shown}); those of one ratio, shift and tap "
                    "changer are merged: take all but one out of service, open the bus coupler, or "
                    "state one equivalent transformer"
                )
        keep, others = group.index[0], group.index[1:]
        if not differ:
            net.trafo.loc[keep, "parallel"] = group.parallel.sum()
            record.note("joined", "trafo", others, f"equal to trafo {keep} in parallel with it")
        else:
            limit = _merge_transformers(net, group)
            text = (
                f"in parallel with trafo {keep}, which stands for all: its rating of {limit:.4g} "
                "MVA protects each"
            )
            record.note("joined", "trafo", others, text, surprising=True)
        net.trafo = net.trafo.drop(index=others)


def _merge_transformers(net: pandapowerNet, group: pd.DataFrame) -> float:
    """Write the equivalent of parallel transformers into the first one; return its rating in MVA.

    Impedances are those of pandapower's T circuits in 1/MVA at rated voltage, admittances in MVA.
    """
    keep = group.index[0]
    sn, count = (group[c].to_numpy(dtype=float) for c in ("sn_mva", "parallel"))
    vk, vkr = (group[c].to_numpy(dtype=float) for c in ("vk_percent", "vkr_percent"))
    z = (vkr + 1j * np.sign(vk) * np.sqrt(vk**2 - vkr**2)) / (100.0 * sn * count)
    iron = group.pfe_kw.to_numpy(dtype=float) / 1e3 * count
    apparent = group.i0_percent.to_numpy(dtype=float) / 100.0 * sn * count
    y = iron - 1j * np.sqrt(np.maximum(apparent**2 - iron**2, 0.0))
    series, shunt = z + z**2 * y / 4.0, y / 2.0 / (1.0 + z * y / 4.0)  # T to pi
    whole, side = 1.0 / np.sum(1.0 / series), np.sum(shunt)
    rows = net.trafo.index.get_indexer(group.index)
    loading = loading_limit_percent(net.trafo)[rows]
    rating = trafo_rating_mva(net)[rows] * loading / 100.0
    limit = _protecting(rating, whole / series, shunt, _HIGH_VM_PU)
    size = limit * 100.0 / _common(loading)
    magnetising = side * (whole * side + 2.0)  # pi to T
    impedance = 2.0 * whole / (whole * side + 2.0)
    values: dict[str, Any] = {
        "sn_mva": size,
        "parallel": 1,
        "df": 1.0,
        "vk_percent": 100.0 * size * np.copysign(np.abs(impedance), impedance.imag),
        "vkr_percent": 100.0 * size * impedance.real,
        "pfe_kw": 1e3 * magnetising.real,
        "i0_percent": 100.0 * np.abs(magnetising) / size,
    }
    if "max_loading_percent" in net.trafo:
        values["max_loading_percent"] = _common(loading)
    values |= {c: np.nan for c in _PLATE if "0_" in c and c in net.trafo and c not in values}
    for column, value in values.items():
        net.trafo.loc[keep, column] = value
    return float(limit)


def _protecting(rating: Floats, share: _Complex, shunt: _Complex, voltage: float) -> float:
    """Return the largest current of a group at which no member exceeds its rating.

    rating: of each member, infinite for none.
    share: of each member in the current of the series impedances.
    shunt: admittance of each member at one end.
    voltage: at which the current of the shunts is counted.
    """
    beside = np.abs(shunt - share * shunt.sum()) * voltage
    beside[beside < tolerances.NO_CURRENT * voltage * np.abs(shunt).sum()] = 0.0
    return float(np.min((rating - beside) / np.abs(share)))


def _common(loading: Floats) -> float:
    """Return the loading limit of a group in percent, 100 if its members differ."""
    return float(loading[0]) if np.ptp(loading) == 0.0 else 100.0


def _groups(net: pandapowerNet, table: str, ends: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Yield the branches of each pair of buses with several; lines in either direction."""
    frame = net[table]
    pairs = frame[list(ends)].to_numpy(dtype=np.int64)
    if table == "line":
        pairs = np.sort(pairs, axis=1)
    keys = pd.DataFrame(pairs, index=frame.index)
    for _, group in keys[keys.duplicated(keep=False)].groupby([0, 1], sort=False):
        yield frame.loc[group.index]


def _honoured(net: pandapowerNet, table: str, without: set[str]) -> list[str]:
    """Return the columns of a table that affect a calculation, except some."""
    return [
        column
        for column in net[table].columns
        if column not in without
        and (row := declared(table, column, transmission=False)) is not None
        and row.treatment is Treatment.HONOURED
    ]


def _alike(values: pd.Series) -> bool:
    return len(set(values.dropna())) + int(values.isna().any()) == 1
