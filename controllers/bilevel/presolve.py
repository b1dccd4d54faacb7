"""Which complementarity pairs cannot switch, proven before any search (docs/model.md).

The follower falls apart into independent blocks (for example one a period). Samples of the
leader's decision name candidates: rows whose multiplier, or whose slack, was always zero. For the
candidates of a block one small bilevel problem maximises their sum over everything that satisfies
the block's optimality conditions for x in the box; a zero maximum proves them all, a point with a
positive sum drops those that are positive in it. What a limited search cannot settle is not proved.
"""

import time
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import block_array, coo_array, csc_array, csr_array, vstack
from scipy.sparse.csgraph import connected_components

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.bounds import Ranges
from stackelgrid.controllers.bilevel.follower import FollowerResponse
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.linear_nodes import LinearNodes
from stackelgrid.controllers.bilevel.node import conic
from stackelgrid.controllers.bilevel.problem import (
    BilevelData,
    BilevelOptions,
    BilevelProgram,
    Flags,
    ProgramNames,
)
from stackelgrid.controllers.bilevel.quadratics import symmetric
from stackelgrid.controllers.bilevel.tree import Tree
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.restricted import BoundRows
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class ProvenPairs:
    """Pairs that cannot switch (pairs,): their slack, or their multiplier, is zero everywhere.

    Both are what BilevelOptions takes. `problems` counts the small problems that were solved.
    """

    slack_zero: Flags
    multiplier_zero: Flags
    problems: int
    solve_s: float

    @property
    def live(self) -> int:
        """Number of pairs that may still be on either side."""
        return int((~(self.slack_zero | self.multiplier_zero)).sum())


@dataclass(frozen=True)
class PresolveLimits:
    """Samples of x, and when a small problem is given up."""

    samples: int = 24
    node_limit: int = 200
    time_limit_s: float | None = None


def prove_inactive(
    program: BilevelProgram,
    data: BilevelData,
    rng: np.random.Generator,
    box: tuple[Floats, Floats] | None = None,
    limits: PresolveLimits | None = None,
) -> ProvenPairs:
    """Prove pairs inactive for all x in the box (n_x, n_x), or in the leader's own rows.

    Columns that the follower does not see need no bounds. Blocks with cones are left as they are.
    Raises ModelError for a box of the wrong shape or an empty one.
    """
    started = time.perf_counter()
    limits = limits or PresolveLimits()
    lower, upper = _box(program, data, box)
    blocks = _blocks(program)
    slack, multiplier = _samples(program, data, lower, upper, rng, limits.samples)
    proof = _Proof(program, data, lower, upper, limits, started)
    if slack is not None and multiplier is not None:
        for block in blocks:
            proof.block(block, slack, multiplier)
    return ProvenPairs(
        proof.slack_zero, proof.multiplier_zero, proof.problems, time.perf_counter() - started
    )


@dataclass(frozen=True)
class _Block:
    """Rows and columns of one connected component of the follower."""

    rows: Ints
    columns: Ints


class _Proof:
    """Candidates of one block after the other."""

    def __init__(
        self,
        program: BilevelProgram,
        data: BilevelData,
        lower: Floats,
        upper: Floats,
        limits: PresolveLimits,
        started: float,
    ) -> None:
        self.program, self.data, self.limits, self.started = program, data, limits, started
        self.lower, self.upper = lower, upper
        self.below = program.follower.data(data.follower_parameters)
        self.slack_zero = np.zeros(program.pairs, dtype=bool)
        self.multiplier_zero = np.zeros(program.pairs, dtype=bool)
        self.problems = 0

    def block(self, block: _Block, slack: Floats, multiplier: Floats) -> None:
        """Prove what can be proved of one block."""
        follower = self.program.follower
        linear = follower.zero + follower.nonneg
        if (block.rows >= linear).any() or not len(block.columns):
            return
        form, part = self._part(block)
        pairs = block.rows[block.rows >= follower.zero] - follower.zero
        size = np.maximum(1.0, multiplier.max(initial=0.0))
        small = tolerances.COMPLEMENTARY_PAIR
        never = (multiplier[:, pairs] <= small * size).all(axis=0)
        always = (slack[:, pairs] <= small).all(axis=0) & ~never
        self._prove(form, part, pairs, np.flatnonzero(never), True, float(size))
        self._prove(form, part, pairs, np.flatnonzero(always), False, float(size))

    def _prove(
        self,
        form: KktForm,
        part: BilevelData,
        pairs: Ints,
        candidates: Ints,
        multipliers: bool,
        size: float,
    ) -> None:
        """Largest sum of the candidates; halves are tried where the search was not finished."""
        waiting = [candidates]
        target = self.multiplier_zero if multipliers else self.slack_zero
        while waiting:
            chosen = waiting.pop()
            if not len(chosen) or self._late():
                continue
            positive = self._largest(form, part, pairs, chosen, multipliers, size)
            if positive is None:
                if len(chosen) > 1:
                    half = len(chosen) // 2
                    waiting += [chosen[:half], chosen[half:]]
            elif positive.any():
                waiting.append(chosen[~positive])
            else:
                target[pairs[chosen]] = True

    def _largest(
        self,
        form: KktForm,
        part: BilevelData,
        pairs: Ints,
        chosen: Ints,
        multipliers: bool,
        size: float,
    ) -> Flags | None:
        """Which of the chosen can be positive; none: proved; None: not settled."""
        self.problems += 1
        program = form.bilevel
        q = np.zeros(program.n_x + program.n_y)
        cost = np.zeros(program.follower.rows)
        rows = program.follower.zero + chosen
        if multipliers:
            cost[rows] = -1.0 / size
            part = replace(part, dual_cost=cost)
        else:  # -(b - B x - A y), the constant aside
            b_x = csr_array(program.follower.b_parameters @ program.link)
            q = np.concatenate(
                [
                    np.asarray(b_x[rows].sum(axis=0)).ravel(),
                    np.asarray(csr_array(program.follower.matrix)[rows].sum(axis=0)).ravel(),
                ]
            )
        constant = 0.0 if multipliers else -float(part_b(program, part)[rows].sum())
        part = replace(part, leader=ProgramData(q, part.leader.b, constant))
        single = form.data(part)
        known = self._fixed(pairs)
        options = BilevelOptions(
            gap=tolerances.COMPLEMENTARY_PAIR,
            node_limit=self.limits.node_limit,
            time_limit_s=self._seconds_left(),
            slack_zero=known[0],
            multiplier_zero=known[1],
        )
        tree = Tree(form, single, LinearNodes(form, single), options)
        tree.start(np.zeros(form.columns), 0.0)  # the samples': nothing below it, then proved
        found = tree.run()
        if found.status == "unbounded":
            return None
        if found.objective < -tolerances.COMPLEMENTARY_PAIR:
            values = (
                found.z[form.multipliers[chosen]] / size
                if multipliers
                else form.slacks(found.z, single.b)[chosen]
            )
            positive = np.asarray(values > 0.1 * tolerances.COMPLEMENTARY_PAIR)
            return positive if positive.any() else None
        return np.zeros(len(chosen), dtype=bool) if found.status == "optimal" else None

    def _fixed(self, pairs: Ints) -> tuple[Flags, Flags]:
        return self.slack_zero[pairs], self.multiplier_zero[pairs]

    def _part(self, block: _Block) -> tuple[KktForm, BilevelData]:
        """The block as a bilevel program: x in the box and the leader's rows that are its own."""
        program, below = self.program, self.below
        follower = program.follower
        b_x = csr_array(follower.b_parameters @ program.link)[block.rows]
        q_x = csr_array(follower.q_parameters @ program.link)[block.columns]
        used = np.unique(np.concatenate([b_x.indices, q_x.indices])).astype(np.int64)
        n_x, n_y, m = len(used), len(block.columns), len(block.rows)
        part = replace(
            follower,
            quadratic=csc_array(follower.quadratic[block.columns, :][:, block.columns]),
            matrix=csc_array(csr_array(follower.matrix)[block.rows][:, block.columns]),
            zero=int((block.rows < follower.zero).sum()),
            nonneg=int((block.rows >= follower.zero).sum()),
            cones=(),
            q0=below.q[block.columns],
            q_parameters=csr_array(q_x[:, used]),
            b0=below.b[block.rows],
            b_parameters=csr_array(b_x[:, used]),
            offset0=0.0,
            offset_linear=np.zeros(n_x),
            offset_quadratic=csr_array((n_x, n_x)),
        )
        leader, b = self._leader(used, block.columns)
        local = BilevelProgram(
            leader=leader,
            follower=part,
            link=csr_array((np.ones(n_x), (np.arange(n_x), np.arange(n_x))), shape=(n_x, n_x)),
            dual_map=csr_array((0, m)),
            products=csr_array((n_x + n_y, n_x + n_y)),
            names=ProgramNames(program.names.follower),
        )
        return KktForm(local), BilevelData(ProgramData(np.zeros(n_x + n_y), b, 0.0), np.zeros(n_x))

    def _leader(self, used: Ints, columns: Ints) -> tuple[ConicProgram, Floats]:
        """Box rows, and the linear rows of the leader that hold nothing but these columns."""
        program, leader = self.program, self.program.leader
        linear = leader.zero + leader.nonneg
        mine = np.concatenate([used, program.n_x + columns])
        matrix = csr_array(leader.matrix)[:linear]
        inside = csr_array(matrix[:, mine])
        inside.eliminate_zeros()
        whole = np.diff(csr_array(matrix).indptr) == np.diff(inside.indptr)
        rows = np.flatnonzero(whole & (np.diff(inside.indptr) > 0))
        zero = rows[rows < leader.zero]
        nonneg = rows[rows >= leader.zero]
        at = np.arange(len(used))
        n = len(mine)
        unit = coo_array((np.ones(len(used)), (at, at)), shape=(len(used), n)).tocsr()
        above, under = np.isfinite(self.upper[used]), np.isfinite(self.lower[used])
        stacked = vstack([inside[zero], inside[nonneg], unit[above], -unit[under]], format="csc")
        right = np.concatenate(
            [
                self.data.leader.b[zero],
                self.data.leader.b[nonneg],
                self.upper[used][above],
                -self.lower[used][under],
            ]
        )
        rest = stacked.shape[0] - len(zero)
        return conic(csc_array(stacked), right, csc_array((n, n)), len(zero), rest), right

    def _late(self) -> bool:
        left = self._seconds_left()
        return left is not None and left <= 0.0

    def _seconds_left(self) -> float | None:
        limit = self.limits.time_limit_s
        return None if limit is None else limit - (time.perf_counter() - self.started)


def part_b(program: BilevelProgram, data: BilevelData) -> Floats:
    """Right-hand sides of the follower at x = 0."""
    return program.follower.data(data.follower_parameters).b


def _blocks(program: BilevelProgram) -> list[_Block]:
    """Connected components of the follower's rows and columns; rows of a cone stay together."""
    follower = program.follower
    m, n = follower.rows, follower.variables
    a = csr_array(follower.matrix)
    linear = follower.zero + follower.nonneg
    heads, first = [], linear
    for size in follower.cones:
        heads += [(first, first + k) for k in range(1, size)]
        first += size
    tied = np.array(heads, dtype=np.int64).reshape(len(heads), 2)
    rows = csr_array((np.ones(len(tied)), (tied[:, 0], tied[:, 1])), shape=(m, m))
    graph = block_array([[rows, abs(a)], [None, abs(symmetric(follower.quadratic))]])
    _, label = connected_components(csr_array(graph), directed=False)
    blocks = []
    for k in np.unique(label[m:]).tolist():
        blocks.append(_Block(np.flatnonzero(label[:m] == k), np.flatnonzero(label[m : m + n] == k)))
    return blocks


def _box(
    program: BilevelProgram, data: BilevelData, box: tuple[Floats, Floats] | None
) -> tuple[Floats, Floats]:
    n_x = program.n_x
    if box is not None:
        lower, upper = (np.asarray(side, dtype=float) for side in box)
        if lower.shape != (n_x,) or upper.shape != (n_x,):
            raise ModelError(f"box of shape {lower.shape}, {upper.shape}; ({n_x},) is accepted")
    else:
        lower, upper = (s[:n_x] for s in BoundRows(program.leader).bounds(data.leader.b))
        seen = csr_array(program.link).indices
        ranges = None
        for column in np.unique(seen).tolist():
            for sign, side in ((1.0, upper), (-1.0, lower)):
                if np.isfinite(side[column]):
                    continue
                ranges = ranges or Ranges(program.leader, data.leader.b)
                cost = np.zeros(program.leader.variables)
                cost[column] = sign
                side[column] = sign * ranges.largest(cost)
    if (lower > upper).any():
        column = int(np.flatnonzero(lower > upper)[0])
        raise ModelError(
            f"{program.names.column(column)}: the box is empty, "
            f"[{lower[column]:g}, {upper[column]:g}]"
        )
    return lower, upper


def _samples(
    program: BilevelProgram,
    data: BilevelData,
    lower: Floats,
    upper: Floats,
    rng: np.random.Generator,
    count: int,
) -> tuple[Floats | None, Floats | None]:
    """Slacks and multipliers of the follower at sampled x (answered samples, pairs)."""
    low = np.where(np.isfinite(lower), lower, np.where(np.isfinite(upper), upper - 1.0, -1.0))
    high = np.where(np.isfinite(upper), upper, low + 1.0)
    follower, response = program.follower, FollowerResponse(program, data)
    pairs = slice(follower.zero, follower.zero + follower.nonneg)
    slacks, multipliers = [], []
    for _ in range(count):
        x = rng.uniform(low, high)
        answer = response.solve(x)
        if answer is None:
            continue
        b = data.follower_data(program, x).b[pairs]
        slack = b - (csr_array(follower.matrix)[pairs] @ answer.x)
        slacks.append(slack / (1.0 + np.abs(b)))
        multipliers.append(answer.dual[pairs])
    if not slacks:
        return None, None
    return np.array(slacks), np.array(multipliers)
