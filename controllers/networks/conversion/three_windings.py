"""Three-winding transformers as stars of three two-winding transformers, as pandapower has them."""

import copy

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet
from pandapower.build_branch import _trafo_df_from_trafo3w

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.cells import column_of
from stackelgrid.controllers.networks.conversion.rows import (
    append_rows,
    drop_elements,
    in_service,
    labels,
    remove_rows,
)
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.net_record import NetRecord

_SIDES = ("hv", "mv", "lv")
# columns of a star's legs that pandapower's conversion gives
_LEG = (
    "hv_bus", "lv_bus", "sn_mva", "vn_hv_kv", "vn_lv_kv", "vk_percent", "vkr_percent", "pfe_kw",
    "i0_percent", "shift_degree", "max_loading_percent", "tap_side", "tap_neutral", "tap_min",
    "tap_max", "tap_step_percent", "tap_step_degree", "tap_pos", "tap_changer_type",
)  # fmt: skip


def star_transformers(net: pandapowerNet, name: str, record: NetRecord) -> None:
    """Replace three-winding transformers, in place, by stars with a bus at their centre.

    Switches at a winding become switches of the transformer of that winding. Raises NetworkError
    for impossible data, and for impedances that a table gives by tap position.
    """
    if not len(net.trafo3w):
        return
    _drop_idle(net, record)
    t3 = net.trafo3w
    if not len(t3):
        return
    _check(net, name)
    centres = append_rows(
        net,
        "bus",
        {
            "vn_kv": net.bus.vn_kv.loc[t3.hv_bus].to_numpy(dtype=float),
            "name": [f"star point of trafo3w {i}" for i in t3.index],
        },
    )
    losses = str((net.get("user_pf_options") or {}).get("trafo3w_losses", "hv")).lower()
    shadow = copy.copy(net)  # pandapower's conversion reads options and lookups of a net
    shadow["_options"] = {"mode": "pf", "trafo3w_losses": losses}
    shadow["_pd2ppc_lookups"] = {"aux": {"trafo3w": np.array(centres)}}
    star = pd.DataFrame(_trafo_df_from_trafo3w(shadow))
    legs = {column: star[column].tolist() for column in _LEG if column in star}
    tapped = [isinstance(side, str) for side in legs["tap_side"]]
    legs["tap_changer_type"] = [
        kind if has and isinstance(kind, str) else None
        for kind, has in zip(legs["tap_changer_type"], tapped, strict=True)
    ]
    legs["name"] = [f"{label} {side}" for side in _SIDES for label in labels(t3, "trafo3w")]
    new = append_rows(net, "trafo", legs)
    count = len(t3)
    leg_of = {
        (int(i), side): new[count * s + k]
        for s, side in enumerate(_SIDES)
        for k, i in enumerate(t3.index)
    }
    if losses == "star":
        _add_losses(net, centres)
    _move_switches(net, name, leg_of)
    for k, i in enumerate(t3.index):
        mine = ", ".join(str(leg_of[int(i), side]) for side in _SIDES)
        text = f"trafo {mine} (hv, mv, lv) from bus {centres[k]}, the centre of its star"
        record.note("converted", "trafo3w", [i], text)
    remove_rows(net, "trafo3w", t3.index)


def _drop_idle(net: pandapowerNet, record: NetRecord) -> None:
    gone = net.trafo3w.index[~in_service(net, "trafo3w")]
    net.switch = net.switch[~((net.switch.et == "t3") & net.switch.element.isin(gone))]
    drop_elements(net, "trafo3w", gone, "out of service", record)


def _check(net: pandapowerNet, name: str) -> None:
    t3 = net.trafo3w
    for column in (f"{kind}_{side}_{unit}" for kind, unit in (("sn", "mva"), ("vn", "kv"),
                   ("vk", "percent")) for side in _SIDES):  # fmt: skip
        bad = t3.index[~(t3[column].to_numpy(dtype=float) > 0.0)]
        if len(bad):
            raise NetworkError(
                f"{named(name, 'trafo3w', bad)} has {column} = {t3.at[bad[0], column]:g}; a "
                "number > 0 is accepted"
            )
    for side in _SIDES:
        copper, whole = (t3[f"{k}_{side}_percent"].to_numpy(dtype=float) for k in ("vkr", "vk"))
        bad = t3.index[~((copper >= 0.0) & (copper <= whole))]
        if len(bad):
            raise NetworkError(
                f"{named(name, 'trafo3w', bad)} has an impossible impedance; 0 <= "
                f"vkr_{side}_percent <= vk_{side}_percent is accepted"
            )
    table = t3.get("tap_dependency_table")
    by_table = [] if table is None else t3.index[table.fillna(False).astype(bool)]
    if len(by_table):
        raise NetworkError(
            f"{named(name, 'trafo3w', by_table)} has tap_dependency_table; a constant impedance "
            "is accepted (three two-winding transformers with tables are, too)"
        )
    legacy = column_of(t3, "tap_phase_shifter", 0.0) if "tap_phase_shifter" in t3 else np.zeros(0)
    if np.any(np.nan_to_num(legacy)):
        raise NetworkError(
            f"{named(name, 'trafo3w', t3.index[np.nan_to_num(legacy) != 0.0])} has "
            "tap_phase_shifter; tap_changer_type 'Ideal' is accepted"
        )


def _add_losses(net: pandapowerNet, centres: list[int]) -> None:
    """Add iron losses at the centres, as pandapower's option trafo3w_losses = 'star' does."""
    t3 = net.trafo3w
    iron = t3.pfe_kw.to_numpy(dtype=float) / 1e3
    apparent = (t3.sn_hv_mva * t3.i0_percent).to_numpy(dtype=float) / 100.0
    reactive = np.sqrt(np.maximum(apparent**2 - iron**2, 0.0))
    shunts = {"bus": centres, "p_mw": iron, "q_mvar": reactive,
              "vn_kv": t3.vn_hv_kv.to_numpy(dtype=float)}  # fmt: skip
    append_rows(net, "shunt", shunts)


def _move_switches(net: pandapowerNet, name: str, leg_of: dict[tuple[int, str], int]) -> None:
    element, et = net.switch.element.copy(), net.switch.et.copy()
    for i, row in net.switch[net.switch.et == "t3"].iterrows():
        at = [s for s in _SIDES if net.trafo3w.at[row.element, f"{s}_bus"] == row.bus]
        if not at:
            raise NetworkError(
                f"{named(name, 'switch', [i])} sits on bus {row.bus}, not an end of trafo3w "
                f"{row.element}"
            )
        element.at[i], et.at[i] = leg_of[int(row.element), at[0]], "t"
    net.switch["element"], net.switch["et"] = element, et
