"""Merge of lines in series, which does not change a power flow."""

import copy
import json

import networkx as nx
import numpy as np
from pandapower.auxiliary import pandapowerNet
from pandapower.toolbox import drop_buses, drop_lines

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import named

# data that the segments of one line share, if the net states them
_LINE_CODE = (
    "std_type", "r_ohm_per_km", "x_ohm_per_km", "r0_ohm_per_km", "x0_ohm_per_km",
    "max_i_ka", "max_loading_percent", "df", "parallel",
)  # fmt: skip
_CHARGING = ("c_nf_per_km", "g_us_per_km", "c0_nf_per_km")


def merge_series_lines(net: pandapowerNet) -> pandapowerNet:
    """Merge consecutive lines of one line code where nothing is connected in between.

    One line code is one type with one rating and one impedance per length in every sequence.
    Lengths add up, so the merged line has exactly the series impedances of its segments; a line
    with charging is refused (NetworkError), because chained pi sections do not merge exactly. The
    surviving line keeps the index of the segment with the smallest index, and the drawn path of
    all its segments where the net holds one.
    """
    net = copy.deepcopy(net)
    stated = [column for column in _CHARGING if column in net.line]
    charged = net.line.index[(net.line[stated].fillna(0.0) != 0.0).any(axis=1)]
    if len(charged):
        raise NetworkError(f"{named(net.name, 'line', charged)} has charging; cannot be merged")
    occupied = set(net.trafo.hv_bus) | set(net.trafo.lv_bus)
    for table in ("ext_grid", "load", "sgen", "gen", "storage", "shunt"):
        occupied |= set(net[table].bus)

    line = net.line
    columns = [column for column in _LINE_CODE if column in line]
    codes = line.groupby(columns, dropna=False).ngroup()
    # tables are written once, at the end, because writing a cell takes as long as a hundred steps
    length = dict(zip(line.index, line["length_km"], strict=True))
    ends = dict(zip(line.index, zip(line["from_bus"], line["to_bus"], strict=True), strict=True))
    paths = _Paths(net)
    graph = nx.MultiGraph()
    graph.add_nodes_from(net.bus.index)
    for i, (start, end) in ends.items():
        graph.add_edge(start, end, key=i, code=int(codes.at[i]))

    removed_buses: list[int] = []
    removed_lines: list[int] = []
    for bus in net.bus.index:
        edges = list(graph.edges(bus, keys=True, data="code"))
        if len(edges) != 2 or edges[0][3] != edges[1][3] or bus in occupied:
            continue
        (_, left, first, code), (_, right, second, _) = edges
        if left == right:
            continue
        keep, drop = sorted((first, second))
        length[keep] += length[drop]
        ends[keep] = (left, right) if keep == first else (right, left)
        paths.join(keep, drop, bus)
        graph.remove_node(bus)
        graph.add_edge(left, right, key=keep, code=code)
        removed_lines.append(drop)
        removed_buses.append(bus)
    line["length_km"] = [length[i] for i in line.index]
    for column, side in (("from_bus", 0), ("to_bus", 1)):
        line[column] = np.array([ends[i][side] for i in line.index], dtype=line[column].dtype)
    paths.write(net)
    drop_lines(net, removed_lines)
    drop_buses(net, removed_buses)
    return net


class _Paths:
    """Drawn paths of lines, for maps of the grid; empty if a net has none."""

    def __init__(self, net: pandapowerNet) -> None:
        drawn = "geo" in net.line and "geo" in net.bus
        self._line = dict(net.line["geo"].items()) if drawn else {}
        self._bus = dict(net.bus["geo"].items()) if drawn else {}
        self._joined: dict[int, list[object]] = {}

    def join(self, keep: int, drop: int, bus: int) -> None:
        """Concatenate the paths of two lines that meet at a bus, where all three are drawn."""
        point = self._bus.get(bus)
        if not isinstance(point, str):
            return
        first, second = self._coordinates(keep), self._coordinates(drop)
        if first is None or second is None:
            return
        at = json.loads(point)["coordinates"]
        if first[0] == at:
            first = first[::-1]
        if second[-1] == at:
            second = second[::-1]
        self._joined[keep] = first + second[1:]

    def _coordinates(self, line: int) -> list[object] | None:
        if line in self._joined:
            return self._joined[line]
        text = self._line[line]
        return json.loads(text)["coordinates"] if isinstance(text, str) else None

    def write(self, net: pandapowerNet) -> None:
        """Write the joined paths into the net."""
        for line, coordinates in self._joined.items():
            self._line[line] = json.dumps({"coordinates": coordinates, "type": "LineString"})
        if self._joined:
            net.line["geo"] = [self._line[i] for i in net.line.index]
