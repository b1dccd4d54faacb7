"""Branches of a pandapower net as per-unit pi equivalents, by pandapower's own conversion."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandapower.auxiliary import _add_ppc_options, pandapowerNet
from pandapower.build_branch import _calc_tap_from_dataframe
from pandapower.pd2ppc import _pd2ppc
from pandapower.pypower.idx_brch import (
    BR_B,
    BR_B_ASYM,
    BR_G,
    BR_G_ASYM,
    BR_R,
    BR_X,
    F_BUS,
    SHIFT,
    T_BUS,
    TAP,
)
from pandapower.pypower.idx_bus import BS, GS

from stackelgrid.controllers.networks.cells import column_of
from stackelgrid.controllers.networks.net_elements import UNLIMITED_KA
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class PerUnitBranches:
    """Pi equivalents of all lines, then all transformers, on `base_mva`.

    `from_bus` and `to_bus` are positions in `bus_index`. An ideal transformer of `ratio`
    (and `shift_degree`) stands at the from end; series impedance and both shunts are behind it.
    `i_max_pu` is the rating of the series current, infinite if the net has none.
    `bus_g`, `bus_b` are shunt elements at buses (consumption g v, generation b v).
    """

    base_mva: float
    bus_index: tuple[int, ...]
    table: tuple[str, ...]
    index: tuple[int, ...]
    from_bus: Ints
    to_bus: Ints
    r: Floats
    x: Floats
    g_from: Floats
    b_from: Floats
    g_to: Floats
    b_to: Floats
    ratio: Floats
    shift_degree: Floats
    i_max_pu: Floats
    bus_g: Floats
    bus_b: Floats


def per_unit_branches(net: pandapowerNet) -> PerUnitBranches:
    """Convert a normalised and checked pandapower net."""
    # pandapower's public to_ppc renumbers the buses and drops the shunt conductances
    _set_options(net)
    ppc, _ = _pd2ppc(net)
    lookup = net._pd2ppc_lookups["bus"]
    bus_index = tuple(int(b) for b in net.bus.index)
    position = {int(lookup[b]): i for i, b in enumerate(bus_index)}
    branch = np.real(ppc["branch"])
    b = np.where(np.isnan(branch[:, BR_B]), 0.0, branch[:, BR_B])
    ratio = np.where(branch[:, TAP] == 0.0, 1.0, branch[:, TAP])
    base = float(net.sn_mva)
    rows = np.array([lookup[i] for i in bus_index])
    return PerUnitBranches(
        base_mva=base,
        bus_index=bus_index,
        table=("line",) * len(net.line) + ("trafo",) * len(net.trafo),
        index=tuple(int(i) for i in (*net.line.index, *net.trafo.index)),
        from_bus=np.array([position[int(i)] for i in branch[:, F_BUS]], dtype=np.int64),
        to_bus=np.array([position[int(i)] for i in branch[:, T_BUS]], dtype=np.int64),
        r=branch[:, BR_R].copy(),
        x=branch[:, BR_X].copy(),
        g_from=branch[:, BR_G] / 2,
        b_from=b / 2,
        g_to=(branch[:, BR_G] + branch[:, BR_G_ASYM]) / 2,
        b_to=(b + branch[:, BR_B_ASYM]) / 2,
        ratio=ratio,
        shift_degree=branch[:, SHIFT].copy(),
        i_max_pu=np.concatenate([_line_rating_pu(net), _trafo_rating_pu(net)]),
        bus_g=np.real(ppc["bus"][rows, GS]) / base,
        bus_b=np.real(ppc["bus"][rows, BS]) / base,
    )


def tapped_kv(net: pandapowerNet) -> tuple[Floats, Floats]:
    """Rated voltages (hv, lv) of all transformers at their tap positions, kV."""
    _set_options(net)
    hv, lv, _ = _calc_tap_from_dataframe(net, net.trafo)
    return hv, lv


def _set_options(net: pandapowerNet) -> None:
    net["_options"] = {}
    _add_ppc_options(
        net,
        calculate_voltage_angles=True,
        trafo_model="t",
        check_connectivity=False,
        mode="pf",
        switch_rx_ratio=2,
        init_vm_pu="flat",
        init_va_degree="flat",
        enforce_q_lims=False,
        enforce_p_lims=False,
        recycle=None,
        voltage_depend_loads=False,
    )


def _column(frame: pd.DataFrame, name: str, default: float) -> Floats:
    values = column_of(frame, name, default)
    return np.where(np.isnan(values), default, values)


def line_rating_ka(net: pandapowerNet) -> Floats:
    """Return the rating of every line in kA at 100 % loading; infinite if the net has none."""
    rating = _column(net.line, "max_i_ka", np.inf)
    rating = np.where(rating >= UNLIMITED_KA, np.inf, rating)
    return rating * _column(net.line, "df", 1.0) * _column(net.line, "parallel", 1.0)


def trafo_rating_mva(net: pandapowerNet) -> Floats:
    """Return the rating of every transformer in MVA at 100 % loading."""
    sn = net.trafo.sn_mva.to_numpy(dtype=float)
    rating: Floats = sn * _column(net.trafo, "df", 1.0) * _column(net.trafo, "parallel", 1.0)
    return rating


def loading_limit_percent(frame: pd.DataFrame) -> Floats:
    """Return the loading limit of lines or transformers in percent, 100 if the net has none."""
    return _column(frame, "max_loading_percent", 100.0)


def _line_rating_pu(net: pandapowerNet) -> Floats:
    limit = line_rating_ka(net) * loading_limit_percent(net.line) / 100.0
    vn_kv = net.bus.vn_kv.loc[net.line.from_bus].to_numpy(dtype=float)
    rating: Floats = limit * np.sqrt(3.0) * vn_kv / float(net.sn_mva)
    return rating


def _trafo_rating_pu(net: pandapowerNet) -> Floats:
    limit = trafo_rating_mva(net) * loading_limit_percent(net.trafo) / 100.0
    return limit / float(net.sn_mva)
