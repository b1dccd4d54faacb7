"""Static data of a grid as one table: elements with their buses, limits and ratings."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.limits import loading_limits

# (element of pandapower, column of its first bus, column of its second bus)
_BRANCHES = (("line", "from_bus", "to_bus"), ("trafo", "hv_bus", "lv_bus"))
_DEVICES = ("load", "sgen", "storage", "gen", "ext_grid")
# columns of the table by the pandapower columns that they are read from
_NUMBERS = {
    "vn_kv": "vn_kv",
    "min_vm_pu": "min_vm_pu",
    "max_vm_pu": "max_vm_pu",
    "length_km": "length_km",
    "max_i_ka": "max_i_ka",
    "sn_mva": "sn_mva",
    "p_mw": "p_mw",
    "max_p_mw": "max_p_mw",
    "max_e_mwh": "max_e_mwh",
}
_LIMIT = "max_loading_percent"
ELEMENT_COLUMNS = ("element", "index", "name", "bus", "to_bus", "x", "y", *_NUMBERS, _LIMIT)


def element_table(net: pandapowerNet) -> pd.DataFrame:
    """Buses, branches and devices of a net, one row each, columns ELEMENT_COLUMNS.

    `bus` is the bus of a device, the first bus of a branch (a transformer's upper side) or the bus
    itself; `to_bus` a branch's second, -1 elsewhere. `x`, `y` are the coordinates of a bus in the
    unit of the net (degrees, metres; NaN: none). `max_loading_percent` is the loading limit of a
    branch, NaN without a rating. Units of pandapower: kV, p.u., km, kA, MVA, MW, MWh, percent; NaN
    where an element has no such quantity.
    """
    parts = [_part(net, "bus", net.bus.index.to_numpy(), None)]
    parts += [_part(net, e, net[e][a].to_numpy(), net[e][b].to_numpy()) for e, a, b in _BRANCHES]
    parts += [_part(net, e, net[e]["bus"].to_numpy(), None) for e in _DEVICES]
    table = pd.concat([p for p in parts if len(p)], ignore_index=True)
    limit = pd.Series(loading_limits(net), dtype=np.float64).replace(np.inf, np.nan)
    table[_LIMIT] = limit.reindex(pd.MultiIndex.from_frame(table[["element", "index"]])).to_numpy()
    return table[list(ELEMENT_COLUMNS)]


def _part(
    net: pandapowerNet,
    element: str,
    bus: "np.typing.ArrayLike",
    to_bus: "np.typing.ArrayLike | None",
) -> pd.DataFrame:
    frame = net[element]
    n = len(frame)
    second = [-1] * n if to_bus is None else to_bus
    x, y = _coordinates(frame["geo"]) if element == "bus" and "geo" in frame else (np.nan, np.nan)
    part = pd.DataFrame(
        {
            "element": [element] * n,
            "index": frame.index.astype("int32"),
            "name": _names(frame),
            "bus": np.asarray(bus, dtype=np.int32),
            "to_bus": np.asarray(second, dtype=np.int32),
            "x": x,
            "y": y,
        }
    )
    for column, source in _NUMBERS.items():
        known = source in frame
        values = pd.to_numeric(frame[source], errors="coerce").to_numpy() if known else np.nan
        part[column] = np.asarray(values, dtype=np.float64) if n else np.empty(0)
    return part


def _names(frame: pd.DataFrame) -> list[str]:
    return ["" if pd.isna(name) else str(name) for name in frame["name"]]


def _coordinates(geo: Sequence[object]) -> tuple[list[float], list[float]]:
    """Coordinates of GeoJSON points; NaN for a bus without."""
    points = [
        json.loads(g)["coordinates"][:2] if isinstance(g, str) and g else [np.nan, np.nan]
        for g in geo
    ]
    return [float(p[0]) for p in points], [float(p[1]) for p in points]
