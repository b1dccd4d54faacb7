"""Boundary of a grid to the one above: tap-changing or fixed transformer, or an ideal tie.

The transformer belongs to the lower grid, whose slack bus is the upstream bus.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandapower as pp
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.net_record import NetRecord, replace_values
from stackelgrid.controllers.networks.taps import TapChanger, fixed_tap, on_load_taps

BoundaryKind = Literal["oltc", "fixed_tap", "ideal"]


@dataclass(frozen=True)
class TransformerData:
    """Nameplate of a boundary transformer; taps on the upstream side, a higher tap lowers v."""

    sn_mva: float
    vk_percent: float
    vkr_percent: float
    tap_min: int = -8
    tap_max: int = 8
    tap_step_percent: float = 1.25
    shift_degree: float = 0.0
    tap_pos: int = 0


def attach_transformer(net: pandapowerNet, data: TransformerData, name: str) -> None:
    """Put a transformer between the slack bus and a new upstream slack bus, in place.

    Its zero-sequence impedance is the positive one, without a magnetising branch; it is Dyn where
    the shift is an odd multiple of 30 degrees and YNyn otherwise, neutrals solidly earthed.
    """
    if len(boundary_trafos(net)):
        raise NetworkError(
            f"grid {name}: already has trafo {boundary_trafos(net)[0]} at its slack bus; "
            "leave sn_mva, vk_percent and vkr_percent out to use it"
        )
    slack = net.ext_grid.index[0]
    low = int(net.ext_grid.at[slack, "bus"])
    vn_kv = float(net.bus.at[low, "vn_kv"])
    high = pp.create_bus(net, vn_kv=vn_kv, name="upstream")
    net.ext_grid.at[slack, "bus"] = high
    pp.create_transformer_from_parameters(
        net,
        hv_bus=high,
        lv_bus=low,
        sn_mva=data.sn_mva,
        vn_hv_kv=vn_kv,
        vn_lv_kv=vn_kv,
        vk_percent=data.vk_percent,
        vkr_percent=data.vkr_percent,
        pfe_kw=0.0,
        i0_percent=0.0,
        shift_degree=data.shift_degree,
        tap_side="hv",
        tap_neutral=0,
        tap_min=data.tap_min,
        tap_max=data.tap_max,
        tap_step_percent=data.tap_step_percent,
        tap_step_degree=0.0,
        tap_pos=data.tap_pos,
        tap_changer_type="Ratio",
        vector_group="Dyn" if round(data.shift_degree / 30.0) % 2 else "YNyn",
        vk0_percent=data.vk_percent,
        vkr0_percent=data.vkr_percent,
        name="boundary",
    )


def boundary_trafos(net: pandapowerNet) -> list[int]:
    """Indices of transformers at the slack bus."""
    slack = int(net.ext_grid.bus.iloc[0])
    return [int(i) for i in net.trafo.index[net.trafo.hv_bus == slack]]


def follow_upstream_voltage(
    net: pandapowerNet, upstream_vn_kv: float, record: NetRecord | None = None
) -> None:
    """Set the upstream side of a grid to the upstream nominal voltage; per-unit ratios are kept.

    The slack bus gets that voltage, and `vn_hv_kv` of the transformers there is scaled alike. A
    grid whose slack bus has other branches is not changed, as only per-unit voltages cross the
    boundary. `record` takes the changes.
    """
    trafos = boundary_trafos(net)
    slack = int(net.ext_grid.bus.iloc[0])
    own_kv = float(net.bus.vn_kv.at[slack])
    if not trafos or _others_at_slack(net) or own_kv == upstream_vn_kv:
        return
    rated = net.trafo.vn_hv_kv.loc[trafos].astype(float)
    scaled = rated * upstream_vn_kv / own_kv
    scaled[rated == own_kv] = upstream_vn_kv
    changes = NetRecord() if record is None else record
    for table, column, values, index in (
        ("bus", "vn_kv", upstream_vn_kv, [slack]),
        ("trafo", "vn_hv_kv", scaled, trafos),
    ):
        net[table][column] = net[table][column].astype(float)
        replace_values(net, changes, table, column, values, "parent", index)


def boundary_trafo(net: pandapowerNet, name: str) -> int:
    """Index of the one transformer at the slack bus.

    Raises NetworkError when there is none or several, or another branch at the slack bus.
    """
    trafos, others = boundary_trafos(net), _others_at_slack(net)
    if len(trafos) != 1 or others:
        raise NetworkError(
            f"grid {name}: a boundary with taps needs exactly one branch at the slack bus, a "
            f"transformer with its hv_bus there; found {len(trafos)} such transformers and "
            f"{others} other branches (kind ideal accepts any, their taps as in the net)"
        )
    return trafos[0]


def tap_changer(
    net: pandapowerNet, name: str, kind: BoundaryKind = "oltc"
) -> tuple[int, TapChanger]:
    """Position in net.trafo and tap changer of the one transformer at the slack bus.

    Raises NetworkError when there is none or several, and as `on_load_taps` and `fixed_tap` do.
    """
    trafo = boundary_trafo(net, name)
    read = on_load_taps if kind == "oltc" else fixed_tap
    return int(net.trafo.index.get_loc(trafo)), read(net, trafo, name)


def _others_at_slack(net: pandapowerNet) -> int:
    slack = int(net.ext_grid.bus.iloc[0])
    ends = (net.line.from_bus, net.line.to_bus, net.trafo.lv_bus)
    return int(sum(np.count_nonzero(end == slack) for end in ends))
