"""Largest value of a separable convex quadratic over linear rows, by branch and bound.

Every square is replaced by its secant over the node's range, an over-estimator that is exact at the
ends (Falk and Soland 1969); nodes are linear programs of HiGHS, warm started. Gives the
largest cost of a follower without optimality.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from scipy.sparse import triu

from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers.backends.highs import run_highs
from stackelgrid.controllers.solvers.backends.highs_qp import load_block
from stackelgrid.controllers.solvers.backends.polyhedron import Block, Splitting
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, SearchStatus
from stackelgrid.controllers.solvers.search import OpenNodes
from stackelgrid.profiles.arrays import Floats, Ints

_ASCENTS = 20  # most steps of the ascent from a point of the root
_EDGE = 0.1  # a range is split no nearer to its ends than this share of it
_TERMINAL: dict[Any, SearchStatus] = {
    highspy.HighsModelStatus.kInfeasible: "infeasible",
    highspy.HighsModelStatus.kUnbounded: "unbounded",
    highspy.HighsModelStatus.kUnboundedOrInfeasible: "unbounded",
}


@dataclass(frozen=True)
class Exclusive:
    """Two columns >= 0, opposite in every row, of which one has to be zero."""

    first: int
    second: int


@dataclass(frozen=True)
class Maximum:
    """Largest `value` found, at the feasible point x, and a proven upper `bound`.

    "limit": the gap is still open after the stated nodes. Infeasible and failed instances have
    NaN values; unbounded ones are infinite.
    """

    status: SearchStatus
    value: float
    bound: float
    x: Floats
    nodes: int
    seconds: float

    @property
    def gap(self) -> float:
        """Relative gap between value and bound."""
        return (self.bound - self.value) / max(1.0, abs(self.value))


def convex_maximum(
    program: ConicProgram,
    data: ProgramData,
    exclusive: Sequence[Exclusive] = (),
    gap: float = 1e-6,
    node_limit: int = 2000,
) -> Maximum:
    """Maximise the program's objective over its rows; blocks are solved one by one.

    `gap` is relative and holds for every block, `node_limit` counts nodes of one block. Raises
    SolverError for cones, integers, products of two variables, or pairs that are not opposite.
    """
    started = time.perf_counter()
    if triu(program.quadratic, 1).nnz:
        raise SolverError("the objective has products of two variables; squares are accepted")
    _check_pairs(program, exclusive)
    blocks, consistent = Splitting(program).blocks(data)
    x = np.full(program.variables, np.nan)
    status: SearchStatus = "optimal" if consistent else "infeasible"
    value, bound, nodes = data.offset, data.offset, 0
    for block in blocks:
        if status not in ("optimal", "limit"):
            break
        at = {int(c): i for i, c in enumerate(block.columns)}
        pairs = [(at[e.first], at[e.second]) for e in exclusive if e.first in at]
        tree = _Tree(block, pairs, gap, node_limit)
        found = tree.solve()
        status = found if found != "optimal" else status
        x[block.columns] = tree.best_x
        value, bound, nodes = value + tree.best, bound + tree.bound, nodes + tree.nodes
    if status == "unbounded":
        value = bound = np.inf
    elif status not in ("optimal", "limit"):
        value = bound = np.nan
    return Maximum(status, float(value), float(bound), x, nodes, time.perf_counter() - started)


def _check_pairs(program: ConicProgram, exclusive: Sequence[Exclusive]) -> None:
    for pair in exclusive:
        both = program.matrix[:, [pair.first, pair.second]].toarray()
        coupled = np.count_nonzero(both, axis=1) == 2
        alone = (both != 0.0).any(axis=1) & ~coupled  # their bounds
        bounds = (alone & (np.arange(len(both)) < program.zero)).any()
        if not coupled.any() or bounds or (both[coupled].sum(axis=1) != 0.0).any():
            raise SolverError(
                f"columns {pair.first} and {pair.second} are no exclusive pair; columns that are "
                "opposite in every row and >= 0 are accepted"
            )


class _Tree:
    """Branch and bound on one block; after `solve`, best <= maximum <= bound."""

    def __init__(
        self, block: Block, pairs: Sequence[tuple[int, int]], gap: float, node_limit: int
    ) -> None:
        self.block, self.pairs, self.gap, self.node_limit = block, list(pairs), gap, node_limit
        self.half = 0.5 * block.quadratic.diagonal()
        self.curved: Ints = np.flatnonzero(self.half).astype(np.int64)
        paired = np.array(self.pairs, dtype=np.int64).ravel()
        self.watched = np.union1d(self.curved, paired).astype(np.int32)
        self.highs = load_block(block, quadratic=False)
        self.all = np.arange(len(block.q), dtype=np.int32)
        self.best, self.bound, self.nodes = -np.inf, np.inf, 0
        self.best_x = np.full(len(block.q), np.nan)

    def solve(self) -> SearchStatus:
        lower, upper = self.block.lower.copy(), self.block.upper.copy()
        status = self._tighten(lower, upper)
        if status is not None:
            return status
        root = self._node(lower, upper)
        if isinstance(root, str):
            return root
        self._ascend(lower, upper, root[1])
        nodes = OpenNodes[tuple[Floats, Floats, Floats]]()
        nodes.push(-root[0], (root[1], lower, upper))
        while nodes:
            self.bound = -nodes.bound
            if self.bound - self.best <= self.gap * max(1.0, abs(self.best)):
                break
            if self.nodes >= self.node_limit:
                return "limit"
            _, (x, lower, upper) = nodes.pop()
            for low, high in self._children(x, lower, upper):
                node = self._node(low, high)
                if node == "infeasible":
                    continue
                if isinstance(node, str):
                    return node
                if node[0] > self.best:
                    nodes.push(-node[0], (node[1], low, high))
        else:
            self.bound = self.best
        self.bound = max(self.bound, self.best)
        return "optimal"

    def _tighten(self, lower: Floats, upper: Floats) -> SearchStatus | None:
        """Give every column with a square, and every pair, the range that the rows leave it."""
        for first, second in self.pairs:
            for a, b in ((first, second), (second, first)):
                direction = np.zeros(len(self.all))
                direction[a], direction[b] = 1.0, -1.0
                reach = self._maximise(direction)
                if isinstance(reach, str):
                    return reach
                lower[a] = max(lower[a], 0.0)
                upper[a] = min(upper[a], max(reach[0], 0.0))
        for i in self.curved.tolist():
            direction = np.zeros(len(self.all))
            for sign in (1.0, -1.0):
                direction[i] = sign
                reach = self._maximise(direction)
                if isinstance(reach, str):
                    return reach
                if sign > 0.0:
                    upper[i] = min(upper[i], reach[0])
                else:
                    lower[i] = max(lower[i], -reach[0])
            lower[i] = min(lower[i], upper[i])
        return None

    def _maximise(self, direction: Floats) -> tuple[float, Floats] | SearchStatus:
        """Largest direction'y over the rows and the ranges that HiGHS holds now."""
        self.highs.changeColsCost(len(self.all), self.all, -direction)
        run_highs(self.highs)
        model = self.highs.getModelStatus()
        if model == highspy.HighsModelStatus.kOptimal:
            x = np.array(self.highs.getSolution().col_value)
            return -float(self.highs.getInfo().objective_function_value), x
        return _TERMINAL.get(model, "failed")

    def _node(self, lower: Floats, upper: Floats) -> tuple[float, Floats] | SearchStatus:
        """Bound of a node and its point; the point is a candidate."""
        self.nodes += 1
        w = self.watched
        if len(w):
            self.highs.changeColsBounds(len(w), w, lower[w], upper[w])
        slope, intercept = self.block.q.copy(), 0.0
        c = self.curved
        slope[c] += self.half[c] * (lower[c] + upper[c])
        intercept = -float(self.half[c] @ (lower[c] * upper[c]))
        found = self._maximise(slope)
        if isinstance(found, str):
            return found
        self._candidate(found[1])
        return found[0] + intercept, found[1]

    def _candidate(self, x: Floats) -> float:
        """Value at x with its pairs netted; kept if it is the best so far."""
        x = x.copy()
        for a, b in self.pairs:
            netted = min(x[a], x[b])
            x[a], x[b] = x[a] - netted, x[b] - netted
        value = self.block.cost(x)
        if value > self.best:
            self.best, self.best_x = value, x
        return value

    def _ascend(self, lower: Floats, upper: Floats, x: Floats) -> None:
        """Follow the gradient from vertex to vertex while the value grows."""
        value = self._candidate(x)
        for _ in range(_ASCENTS):
            found = self._maximise(self.block.q + 2.0 * self.half * x)
            if isinstance(found, str):
                return
            x = found[1]
            after = self._candidate(x)
            if after <= value:
                return
            value = after

    def _children(self, x: Floats, lower: Floats, upper: Floats) -> list[tuple[Floats, Floats]]:
        """Split where the over-estimate is worst: a pair, or the range of a square."""
        c = self.curved
        error = self.half[c] * (x[c] - lower[c]) * (upper[c] - x[c])
        worst = int(np.argmax(error)) if len(c) else -1
        most = float(error[worst]) if len(c) else 0.0
        q = self.block.q
        open_pairs = [(abs(q[a] + q[b]) * min(x[a], x[b]), a, b) for a, b in self.pairs]
        pair = max(open_pairs, default=(0.0, -1, -1))
        if pair[0] > most:
            children = []
            for column in pair[1:]:
                high = upper.copy()
                high[column] = lower[column]
                children.append((lower, high))
            return children
        if worst < 0:
            return []
        i = int(c[worst])
        margin = _EDGE * (upper[i] - lower[i])
        split = float(np.clip(x[i], lower[i] + margin, upper[i] - margin))
        high, low = upper.copy(), lower.copy()
        high[i], low[i] = split, split
        return [(lower, high), (low, upper)]
