"""Parts of a net: below an external grid or a transformer, without the parts of other grids.

The part below a transformer has the buses that only it supplies, the transformer itself and the bus
at its upper side, which becomes the slack. Switches count as in pandapower.
"""

import copy
from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import networkx as nx
import pandapower as pp
import pandas as pd
from pandapower.auxiliary import pandapowerNet
from pandapower.topology import create_nxgraph

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.conversion.rows import drop_orphaned_costs
from stackelgrid.controllers.networks.levels import Level, level_of, lower_limit_kv
from stackelgrid.controllers.networks.naming import listed
from stackelgrid.controllers.networks.net_elements import BRANCH_ENDS, BUS_COLUMNS, SWITCHED
from stackelgrid.controllers.networks.net_record import NetRecord


@dataclass(frozen=True)
class LowerPart:
    """Part below a transformer: the bus at its upper side, and the level of the lower one."""

    trafo: int
    bus: int
    level: Level


class Parts:
    """Parts of one net, whose tables have been checked (`net_tables`, `checks.check_indices`)."""

    def __init__(self, net: pandapowerNet) -> None:
        self._net = net
        self._graph = create_nxgraph(net)
        ties = nx.Graph()
        ties.add_nodes_from(self._graph)
        ties.add_edges_from((a, b) for a, b, key in self._graph.edges(keys=True) if _ties(key))
        # buses that closed switches join, by each of them
        self._joined = {b: frozenset(c) for c in nx.connected_components(ties) for b in c}

    def lower(self, part: str | None, level: Level, name: str) -> list[LowerPart]:
        """Return the parts below the transformers from a level to lower ones, by transformer.

        part: part of the net that is cut; None: the whole.
        level: level of the upper grid.
        name: its name, for messages.

        Raises NetworkError for a part that other branches supply, too.
        """
        limit = lower_limit_kv(level)
        kv, area = self._net.bus.vn_kv, self._area(part, name)
        found: dict[tuple[frozenset[int], ...], LowerPart] = {}
        for trafo, high, low in self._transformers:
            if high in area and kv[high] > limit >= kv[low] and self._ends(trafo) not in found:
                self._below(trafo, name)
                found[self._ends(trafo)] = LowerPart(trafo, high, level_of(float(kv[low])))
        return list(found.values())

    def cut(
        self, part: str | None, without: Collection[int], name: str, record: NetRecord
    ) -> pandapowerNet:
        """Return a part of the net without the parts below some transformers.

        part: `"ext_grid N"`, `"trafo N"`, or None for the whole net.
        without: transformers that belong to grids below, with everything that they supply.
        name: name of the grid, for messages.
        record: receives the elements that are left out.

        Raises NetworkError for an element that does not exist or supplies nothing.
        """
        inner, kept = set(self._area(part, name)), set[int]()
        if part is None:  # buses out of service and islands stay, to be judged later
            inner |= set(self._net.bus.index)
        for trafo in without:
            self._known("trafo", trafo, name)
            if self._net.trafo.hv_bus[trafo] not in inner:
                raise NetworkError(f"grid {name}: trafo {trafo} is not in this part of the net")
            inner -= self._below(trafo, name)
        gone = {other for trafo in without for other in self._parallel(trafo)}
        net = copy.copy(self._net)  # its tables are replaced, not changed
        if part is not None and part.startswith("trafo"):
            trafo = int(part.split()[1])
            kept = set(self._parallel(trafo))
            self._slack_above(net, trafo)
        self._keep(net, inner, kept, gone, record)
        return net

    def _area(self, part: str | None, name: str) -> Set[int]:
        """Return the buses of a part that are in service."""
        if part is None:
            return set(self._graph)
        table, index = part.split()
        row = self._known(table, int(index), name)
        if table == "trafo":
            return self._below(int(index), name)
        if not row.in_service or row.bus not in self._graph:
            raise NetworkError(f"grid {name}: ext_grid {index} is out of service")
        return set(nx.node_connected_component(self._graph, row.bus))

    def _known(self, table: str, index: int, name: str) -> Any:
        frame = self._net[table]
        if index not in frame.index:
            raise NetworkError(
                f"grid {name}: {table} {index} does not exist; accepted: "
                f"{listed(frame.index, 12) or 'none'}"
            )
        return frame.loc[index]

    @cached_property
    def _transformers(self) -> list[tuple[int, int, int]]:
        """Return index, upper and lower bus of the transformers in service, switches closed."""
        keys = {key[1] for *_, key in self._graph.edges(keys=True) if key[0] == "trafo"}
        rows = self._net.trafo[self._net.trafo.index.isin(keys)]
        return [(int(r.Index), int(r.hv_bus), int(r.lv_bus)) for r in rows.itertuples()]

    def _parallel(self, trafo: int) -> list[int]:
        """Return the transformers between the same joined buses as one, with it."""
        ends = self._ends(trafo)
        return [i for i, *_ in self._transformers if self._ends(i) == ends]

    def _ends(self, trafo: int) -> tuple[frozenset[int], frozenset[int]]:
        row = self._net.trafo.loc[trafo]
        return self._joined[int(row.hv_bus)], self._joined[int(row.lv_bus)]

    def _below(self, trafo: int, name: str) -> set[int]:
        """Return the buses that only a transformer, and those parallel to it, supply."""
        row = self._known("trafo", trafo, name)
        if trafo not in [i for i, *_ in self._transformers]:
            raise NetworkError(
                f"grid {name}: trafo {trafo} supplies nothing: it is out of service, or a "
                "switch at it is open"
            )
        ends = self._net.trafo.loc[self._parallel(trafo), ["hv_bus", "lv_bus"]]
        edges = [(r.hv_bus, r.lv_bus, ("trafo", r.Index)) for r in ends.itertuples()]
        rest = nx.restricted_view(self._graph, [], edges)
        inner = set(nx.node_connected_component(rest, row.lv_bus))
        if row.hv_bus in inner:
            path = nx.shortest_path(rest, row.lv_bus, row.hv_bus)
            keys = [next(iter(rest[a][b])) for a, b in pairwise(path)]
            other = next((key for key in keys if key[0] == "trafo"), keys[0])
            raise NetworkError(
                f"grid {name}: the part below trafo {trafo} is also connected to the upper "
                f"side by {other[0]} {other[1]}; a part that one transformer supplies (or equal "
                "ones in parallel) is accepted: open a switch"
            )
        sources = self._net.ext_grid
        there = sources.index[sources.bus.isin(inner) & sources.in_service.astype(bool)]
        if len(there):
            raise NetworkError(
                f"grid {name}: the part below trafo {trafo} holds ext_grid "
                f"{listed(there)}; a part without a source of its own is accepted"
            )
        return inner

    def _slack_above(self, net: pandapowerNet, trafo: int) -> None:
        """Put the slack of a net at the upper side of a transformer."""
        net.ext_grid = net.ext_grid.drop(net.ext_grid.index)
        pp.create_ext_grid(net, int(net.trafo.hv_bus[trafo]), name=f"upper side of trafo {trafo}")

    def _keep(
        self,
        net: pandapowerNet,
        inner: set[int],
        kept: set[int],
        gone: set[int],
        record: NetRecord,
    ) -> None:
        """Drop everything but some buses and what is at them, in place.

        net: net to change.
        inner: buses with their elements.
        kept, gone: transformers that stay and go, wherever their buses are.
        record: receives the dropped elements.
        """
        trafo = self._net.trafo
        upper = {b for i in kept for b in self._joined[int(trafo.hv_bus[i])]}
        opened = self._opened_ends(inner)
        everything = inner | upper | opened
        for table, columns in BUS_COLUMNS.items():
            if table in ("switch", "ext_grid") or table not in net or not len(net[table]):
                continue
            ends = net[table][list(columns)]
            stays = ends.isin(inner).all(axis=1)
            if table in ("line", "trafo"):
                stays |= ends.isin(inner).any(axis=1) & ends.isin(inner | opened).all(axis=1)
            if table == "trafo":
                stays = (stays | ends.index.isin(kept)) & ~ends.index.isin(gone)
            self._drop(net, table, ends.index[~stays], record)
        sources = net.ext_grid.index[~net.ext_grid.bus.isin(everything)]
        self._drop(net, "ext_grid", sources, record)
        self._drop(net, "bus", [b for b in net.bus.index if b not in everything], record)
        self._drop(net, "switch", _idle_switches(net, inner, upper), record)
        _drop_orphans(net)

    def _opened_ends(self, inner: set[int]) -> set[int]:
        """Return the buses outside at which an open switch ends a branch of the part."""
        switch = self._net.switch
        found = set()
        for kind in ("l", "t"):
            table = SWITCHED[kind]
            for row in switch[(switch.et == kind) & ~switch.closed.astype(bool)].itertuples():
                ends = {int(self._net[table].at[row.element, c]) for c in BRANCH_ENDS[table]}
                if row.bus not in inner and ends - {row.bus} <= inner:
                    found.add(int(row.bus))
        return found

    def _drop(
        self, net: pandapowerNet, table: str, index: Iterable[object], record: NetRecord
    ) -> None:
        rows = pd.Index(list(index))
        record.note("dropped", table, rows, "in another part of the net")
        net[table] = net[table].drop(rows)


def _ties(key: Any) -> bool:
    return bool(key[0] == "switch")


def _idle_switches(net: pandapowerNet, inner: set[int], upper: set[int]) -> list[object]:
    """Return the switches of branches that are gone, and those between buses of other parts."""
    idle = []
    for row in net.switch.itertuples():
        if row.et == "b":
            ends = {row.bus, row.element}
            stays = ends <= inner or ends <= upper
        else:
            stays = row.element in net[SWITCHED[str(row.et)]].index
        if not stays:
            idle.append(row.Index)
    return idle


def _drop_orphans(net: pandapowerNet) -> None:
    """Drop costs and controllers of elements that are gone, in place."""
    drop_orphaned_costs(net)
    idle = [i for i, row in net.controller.iterrows() if not _controls(row.object, net)]
    net.controller = net.controller.drop(idle)


def _controls(controller: Any, net: pandapowerNet) -> bool:
    """Return whether an element of a controller is in the net, or unknown."""
    table = getattr(controller, "element", None)
    index = getattr(controller, "element_index", None)
    if not isinstance(table, str) or table not in net or index is None:
        return True
    return any(i in net[table].index for i in (index if hasattr(index, "__iter__") else [index]))
