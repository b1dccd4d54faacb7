"""Merges that keep a power flow as it is: lines in series, equal transformers in parallel."""

import copy
import json

import networkx as nx
from pandapower.auxiliary import pandapowerNet
from pandapower.toolbox import drop_buses, drop_lines

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.net_columns import Treatment, declared
from stackelgrid.controllers.networks.net_record import NetRecord

# what segments of one line share, each where the net states it
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

    graph = nx.MultiGraph()
    graph.add_nodes_from(net.bus.index)
    columns = [column for column in _LINE_CODE if column in net.line]
    codes = net.line.groupby(columns, dropna=False).ngroup()
    for i, row in net.line.iterrows():
        graph.add_edge(row.from_bus, row.to_bus, key=i, code=int(codes.at[i]))

    def passes(bus: int) -> bool:
        edges = list(graph.edges(bus, keys=True, data="code"))
        return len(edges) == 2 and edges[0][3] == edges[1][3] and bus not in occupied

    removed_buses: list[int] = []
    removed_lines: list[int] = []
    for bus in net.bus.index:
        if not passes(bus):
            continue
        (_, left, first, code), (_, right, second, _) = graph.edges(bus, keys=True, data="code")
        if left == right:
            continue
        keep, drop = sorted((first, second))
        ends = {keep: left if keep == first else right, drop: right if keep == first else left}
        net.line.at[keep, "length_km"] += net.line.at[drop, "length_km"]
        _join_paths(net, keep, drop, bus)
        net.line.loc[keep, ["from_bus", "to_bus"]] = (ends[keep], ends[drop])
        graph.remove_node(bus)
        graph.add_edge(left, right, key=keep, code=code)
        removed_lines.append(drop)
        removed_buses.append(bus)
    drop_lines(net, removed_lines)
    drop_buses(net, removed_buses)
    return net


def merge_parallel_transformers(net: pandapowerNet, name: str, record: NetRecord) -> None:
    """Merge equal transformers between the same buses into one of as many `parallel`, in place.

    Two at coupled busbars are equal where every column that touches a calculation is, tap positions
    too; the first one stays and its impedance, losses and rating are those of all. Raises
    NetworkError where they differ.
    """
    columns = [
        column
        for column in net.trafo.columns
        if column not in ("name", "parallel")
        and (row := declared("trafo", column, transmission=False)) is not None
        and row.treatment is Treatment.HONOURED
    ]
    for (high, low), group in net.trafo.groupby(["hv_bus", "lv_bus"], sort=False):
        if len(group) < 2:
            continue
        for column in columns:
            values = group[column]
            if len(set(values.dropna())) + int(values.isna().any()) > 1:
                shown = ", ".join(str(value) for value in values)
                raise NetworkError(
                    f"{named(name, 'trafo', group.index)} are parallel between buses {high} and "
                    f"{low} and differ in {column} ({shown}); equal ones are merged: take all but "
                    "one out of service, open the bus coupler, or state one equivalent transformer"
                )
        keep, others = group.index[0], group.index[1:]
        net.trafo.loc[keep, "parallel"] = group.parallel.sum()
        net.trafo = net.trafo.drop(index=others)
        record.note("joined", "trafo", others, f"equal to trafo {keep} in parallel with it")


def _join_paths(net: pandapowerNet, keep: int, drop: int, bus: int) -> None:
    """Concatenate the drawn paths of two lines that meet at a bus, for maps of the grid."""
    if "geo" not in net.line or "geo" not in net.bus:
        return
    texts = (net.line.at[keep, "geo"], net.line.at[drop, "geo"], net.bus.at[bus, "geo"])
    if not all(isinstance(text, str) for text in texts):
        return
    first, second, point = (json.loads(text)["coordinates"] for text in texts)
    if first[0] == point:
        first = first[::-1]
    if second[-1] == point:
        second = second[::-1]
    joined = {"coordinates": first + second[1:], "type": "LineString"}
    net.line.at[keep, "geo"] = json.dumps(joined)
