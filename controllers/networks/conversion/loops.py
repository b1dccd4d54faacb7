"""Loops of a feeder opened so that a tree of little loss remains."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import networkx as nx
import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import NetworkError, PowerFlowError
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.power_flow import AcPowerFlow, AcState, bus_power
from stackelgrid.profiles.arrays import Floats


def open_loops(net: pandapowerNet, name: str, record: NetRecord) -> None:
    """Open lines of a meshed feeder, in place, until a tree of little loss remains.

    At the powers that the net holds: of the lines in loops, the one with the least current is
    opened, and the power flow solved again, until there is no loop. Then each open line is closed
    and the best line of the loop opened in its place, as long as that lowers the loss. An opened
    line is dead. Raises NetworkError for a loop of transformers and for a power flow without
    solution.

    Source: Shirmohammadi and Hong 1989 (doi 10.1109/61.25637), after Merlin and Back 1975; branch
    exchange of Civanlar et al. 1988 (doi 10.1109/61.193906) over whole loops.
    """
    tree = _Tree(net, name)
    if not tree.loops:
        return
    before = tree.solved().loss_mw
    while tree.loops:
        tree.open(tree.weakest())
    after = tree.exchange()
    opened = [int(net.line.index[k]) for k in sorted(tree.opened)]
    them = "it" if len(opened) == 1 else "them"
    text = (
        f'open_loops = "minimum_loss" opens {them}: losses of {1e3 * before:.6g} kW in the meshed '
        f"grid, {1e3 * after:.6g} kW in the radial one, at the powers of the net"
    )
    record.note("dropped", "line", opened, text, surprising=True)
    net.line = net.line.drop(opened)


class _Tree:
    """A net with opened lines, by their positions in net.line, and its power flow."""

    def __init__(self, net: pandapowerNet, name: str) -> None:
        self.opened: set[int] = set()
        self._name, self._net = name, net
        self._ends = list(zip(net.line.from_bus.tolist(), net.line.to_bus.tolist(), strict=True))
        self._fixed = list(zip(net.trafo.hv_bus.tolist(), net.trafo.lv_bus.tolist(), strict=True))
        self._flow = AcPowerFlow(net, name)
        self._p, self._q = _nominal(net)
        gens = net.gen.p_mw * net.gen.scaling.fillna(1.0)
        self._gens = gens.to_numpy(dtype=float) if len(gens) else None
        self._last: AcState | None = None

    @property
    def loops(self) -> int:
        """Number of independent loops."""
        return len(self._ends) - len(self.opened) + len(self._fixed) - (len(self._net.bus) - 1)

    def open(self, line: int) -> None:
        self.opened.add(line)
        self._flow.set_line(line, in_service=False)

    def close(self, line: int) -> None:
        self.opened.remove(line)
        self._flow.set_line(line, in_service=True)

    def solved(self) -> AcState:
        """Power flow with the lines that are open now."""
        start = None if self._last is None else self._last.voltage
        vm = self._flow.slack_vm_pu
        try:
            self._last = self._flow.solve(self._p, self._q, vm, self._gens, start)
        except PowerFlowError as error:
            raise NetworkError(f"{error}, so that its loops cannot be opened by a rule") from error
        return self._last

    def loss(self) -> float:
        """Loss in MW with the lines that are open now; infinite without a power flow."""
        try:
            return self.solved().loss_mw
        except NetworkError:
            return float("inf")

    def weakest(self) -> int:
        """Return the line of least current among those in loops."""
        current = self.solved().i_ka
        inside = self._inside()
        if not inside:
            raise NetworkError(
                f"{named(self._name, 'trafo', self._net.trafo.index)} form a loop without lines; "
                "open a switch of one"
            )
        return min(inside, key=lambda line: (current[line] * self._kv(line), line))

    def exchange(self) -> float:
        """Exchange open lines while that lowers the loss; return it in MW."""
        best = self.loss()
        improved = True
        while improved:
            improved = False
            for line in sorted(self.opened):
                self.close(line)
                found = {other: self._loss_without(other) for other in self._loop(line)}
                better = min(found, key=lambda other: (found[other], other))
                if found[better] < best * (1.0 - tolerances.LESS_LOSS):
                    best, improved = found[better], True
                    self.open(better)
                else:
                    self.open(line)
        return best

    def _loss_without(self, line: int) -> float:
        self.open(line)
        loss = self.loss()
        self.close(line)
        return loss

    def _kv(self, line: int) -> float:
        return float(self._net.bus.vn_kv.at[self._ends[line][0]])

    def _graph(self, without: Iterable[int] = ()) -> "nx.MultiGraph[int]":
        graph: nx.MultiGraph[int] = nx.MultiGraph()
        for k, (a, b) in enumerate(self._ends):
            if k not in self.opened and k not in without:
                graph.add_edge(a, b, line=k)
        for a, b in self._fixed:
            graph.add_edge(a, b, line=None)
        return graph

    def _inside(self) -> list[int]:
        """Return the lines in loops."""
        graph = self._graph()
        bridges = {frozenset(edge) for edge in nx.bridges(nx.Graph(graph))}
        return [
            k
            for a, b, k in graph.edges(data="line")
            if k is not None
            and (frozenset((a, b)) not in bridges or graph.number_of_edges(a, b) > 1)
        ]

    def _loop(self, line: int) -> Sequence[int]:
        """Return the lines of the loop that a line closes in the tree of the others."""
        graph = self._graph(without=[line])
        path = nx.shortest_path(graph, *self._ends[line])
        found = [graph.edges[a, b, 0]["line"] for a, b in pairwise(path)]
        return [line, *(k for k in found if k is not None)]


def _nominal(net: pandapowerNet) -> tuple[Floats, Floats]:
    """Return the consumption at the buses at the powers that a net holds, MW and MVAr."""
    n = len(net.bus)
    p, q = np.zeros((2, n))
    for table, sign in (("load", 1.0), ("sgen", -1.0), ("storage", 1.0)):
        frame = net[table]
        at = net.bus.index.get_indexer(frame.bus)
        scaling = sign * frame.scaling.fillna(1.0).to_numpy(dtype=float)
        p += bus_power(n, at, scaling * frame.p_mw.to_numpy(dtype=float))
        q += bus_power(n, at, scaling * frame.q_mvar.to_numpy(dtype=float))
    return p, q
