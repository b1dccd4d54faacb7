"""How a grid meets the one above it: tap-changing or fixed transformer, or an ideal tie.

The transformer belongs to the lower grid, whose slack bus is the upstream bus.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandapower as pp
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError

BoundaryKind = Literal["oltc", "fixed_tap", "ideal"]


@dataclass(frozen=True)
class TransformerData:
    """Nameplate of a boundary transformer; taps on the upstream side, a higher tap lowers v."""

    sn_mva: float
    vk_percent: float
    vkr_percent: float
    tap_min: int
    tap_max: int
    tap_step_percent: float
    shift_degree: float = 0.0


@dataclass(frozen=True)
class TapChanger:
    """Positions and ratios of a tap changer on the upstream side of a boundary transformer."""

    tap_min: int
    tap_max: int
    tap_step_percent: float
    tap_neutral: int
    neutral_ratio: float

    def ratio(self, tap_pos: int) -> float:
        """Per-unit turns ratio at a tap position."""
        step = self.tap_step_percent / 100.0
        return self.neutral_ratio * (1.0 + (tap_pos - self.tap_neutral) * step)


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
        tap_pos=0,
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


def follow_upstream_voltage(net: pandapowerNet, upstream_vn_kv: float) -> None:
    """Give the slack bus and the upstream side of its transformers the upstream nominal voltage.

    A grid without a transformer keeps its own: per-unit voltages pass through an ideal tie.
    """
    trafos = boundary_trafos(net)
    if trafos:
        net.bus.loc[net.ext_grid.bus, "vn_kv"] = upstream_vn_kv
        net.trafo.loc[trafos, "vn_hv_kv"] = upstream_vn_kv


def tap_changer(net: pandapowerNet, name: str) -> tuple[int, TapChanger]:
    """Position in net.trafo and tap data of the one transformer at the slack bus.

    Raises NetworkError when there is none or several, or its taps are not on the upstream side.
    """
    trafos = boundary_trafos(net)
    if len(trafos) != 1 or np.count_nonzero(_lines_at_slack(net)):
        raise NetworkError(
            f"grid {name}: a boundary with taps needs exactly one branch at the slack bus, a "
            f"transformer; found {len(trafos)} transformers and "
            f"{np.count_nonzero(_lines_at_slack(net))} lines"
        )
    row = net.trafo.loc[trafos[0]]
    if row.tap_side is None or row.tap_side != row.tap_side:
        raise NetworkError(
            f"grid {name}: trafo {trafos[0]} has no tap_side; a transformer without taps is "
            "accepted with tap_side 'hv' and tap_min, tap_max, tap_neutral, tap_step_percent 0"
        )
    if row.tap_side != "hv":
        raise NetworkError(
            f"grid {name}: trafo {trafos[0]} has tap_side {row.tap_side!r}; 'hv' is accepted "
            "(taps on the other side change the impedance too)"
        )
    for column in ("tap_min", "tap_max", "tap_neutral", "tap_step_percent"):
        if np.isnan(row[column]):
            raise NetworkError(
                f"grid {name}: trafo {trafos[0]} has {column} NaN; a transformer without taps at "
                "the boundary is accepted with all of them 0"
            )
    nominal = row.vn_hv_kv / net.bus.at[int(row.hv_bus), "vn_kv"]
    nominal *= net.bus.at[int(row.lv_bus), "vn_kv"] / row.vn_lv_kv
    changer = TapChanger(
        tap_min=int(row.tap_min),
        tap_max=int(row.tap_max),
        tap_step_percent=float(row.tap_step_percent),
        tap_neutral=int(row.tap_neutral),
        neutral_ratio=float(nominal),
    )
    return int(net.trafo.index.get_loc(trafos[0])), changer


def _lines_at_slack(net: pandapowerNet) -> "np.typing.NDArray[np.bool_]":
    slack = int(net.ext_grid.bus.iloc[0])
    at_slack: np.typing.NDArray[np.bool_] = (
        (net.line.from_bus == slack) | (net.line.to_bus == slack)
    ).to_numpy()
    return at_slack
