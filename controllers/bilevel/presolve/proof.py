"""Proof, before any search, that complementarity pairs cannot switch (docs/formulation.md).

The follower splits into independent blocks (for example one a period). Samples of the leader's
decision give candidates of a block: rows C that were never active, rows E that always were. The
reduced follower is the block without C and with E as equations. If all points that satisfy its
optimality conditions for x in the box have positive slacks of C and positive multipliers of E, then
its optimum is one of the whole block, and C has no multiplier and E no slack anywhere. Each minimum
is a small search in which few pairs are left; a row that fails leaves its set and the sweep starts
again. A limited search that does not finish proves nothing.
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.sparse import block_array, coo_array, csc_array, csr_array, vstack

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.presolve.parts import (
    FollowerPart,
    decision_box,
    equations_first,
    follower_parts,
    sampled_pairs,
)
from stackelgrid.controllers.bilevel.problem import (
    BilevelData,
    BilevelOptions,
    BilevelProgram,
    Flags,
    ProgramNames,
)
from stackelgrid.controllers.bilevel.search.linear_nodes import LinearNodes
from stackelgrid.controllers.bilevel.search.tree import Tree
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.conic import NO_ROWS, ConicProgram, ProgramData
from stackelgrid.controllers.solvers.search import Deadline
from stackelgrid.profiles.arrays import Floats, Ints

_SAMPLED = 1e-6  # a sampled slack or multiplier below this (relative) is zero
_POSITIVE = 1e-6  # a proven minimum above this (relative) is positive
_CORNERS = 8  # most of the leader's columns of a block whose box's corners are visited


@dataclass(frozen=True)
class ProvenPairs:
    """Pairs that cannot switch (pairs,): their slack, or their multiplier, is always zero.

    Both are inputs of BilevelOptions. `problems` counts the small problems that were solved.
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
    """Samples of x, and limits of a small problem."""

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
    """Prove pairs inactive for all x in a box.

    program, data: the bilevel program and one instance.
    rng: generator of the samples.
    box: lower and upper bounds (n_x,) of x; without it those that the leader's rows imply. Columns
        without effect on the follower need no bounds.
    limits: samples and limits of the small problems.

    Blocks with cones are left as they are. Raises ModelError for a box of the wrong shape or an
    empty one.
    """
    limits = limits or PresolveLimits()
    deadline = Deadline(limits.time_limit_s)
    lower, upper = decision_box(program, data, box)
    blocks = follower_parts(program.follower)
    slack, multiplier = sampled_pairs(program, data, lower, upper, rng, limits.samples)
    proof = _Proof(program, data, lower, upper, limits, deadline)
    if slack is not None and multiplier is not None:
        for block in blocks:
            proof.block(block, slack, multiplier)
    return ProvenPairs(proof.slack_zero, proof.multiplier_zero, proof.problems, deadline.seconds)


@dataclass(frozen=True)
class _Question:
    """Test whether q'(x, y) + constant, or a multiplier of the block, is always above a floor."""

    place: int
    q: Floats
    multiplier: int | None
    constant: float
    floor: float


class _Proof:
    """Proof of the candidates, block by block."""

    def __init__(
        self,
        program: BilevelProgram,
        data: BilevelData,
        lower: Floats,
        upper: Floats,
        limits: PresolveLimits,
        deadline: Deadline,
    ) -> None:
        self.program, self.data, self.limits, self.deadline = program, data, limits, deadline
        self.lower, self.upper = lower, upper
        self.below = program.follower.data(data.follower_parameters)
        self.slack_zero = np.zeros(program.pairs, dtype=bool)
        self.multiplier_zero = np.zeros(program.pairs, dtype=bool)
        self.problems = 0

    def block(self, block: FollowerPart, slack: Floats, multiplier: Floats) -> None:
        """Prove candidates of one block."""
        follower = self.program.follower
        if (block.rows >= follower.linear).any() or not len(block.columns):
            return
        pairs = block.rows[block.rows >= follower.zero] - follower.zero
        size = max(1.0, float(multiplier.max(initial=0.0)))
        small = _SAMPLED * size
        never = pairs[(multiplier[:, pairs] <= small).all(axis=0)]
        always = pairs[(slack[:, pairs] <= _SAMPLED).all(axis=0)]
        always = np.setdiff1d(always, never)
        used = self._seen(block)
        while len(never) or len(always):
            reduced = FollowerPart(np.setdiff1d(block.rows, follower.zero + never), block.columns)
            form, part = self._part(reduced, always, used)
            if len(always) and not self._answered(form, part, used):
                always = always[:0]
                continue
            if not self._bounded(form, part):
                return
            failed = self._sweep(form, part, used, reduced, never, always, size)
            if failed is None:
                return
            if not len(failed):
                self.multiplier_zero[never], self.slack_zero[always] = True, True
                return
            never, always = np.setdiff1d(never, failed), np.setdiff1d(always, failed)

    def _sweep(
        self,
        form: KktForm,
        part: BilevelData,
        used: Ints,
        reduced: FollowerPart,
        never: Ints,
        always: Ints,
        size: float,
    ) -> Ints | None:
        """Return pairs whose slack or multiplier is not always positive; None when time is up."""
        follower, n_x = self.program.follower, len(used)
        rows = follower.zero + never
        b_x = csr_array(follower.b_parameters @ self.program.link)[rows][:, used]
        a = csr_array(follower.matrix)[rows][:, reduced.columns]
        inside = np.concatenate([b_x.toarray(), a.toarray()], axis=1)  # slack = b - inside z
        right = self.below.b[rows]
        order = equations_first(reduced, always, follower.zero).tolist()
        floors = _POSITIVE * (1.0 + np.abs(right))
        questions = [
            _Question(k, -inside[k], None, float(right[k]), float(floors[k]))
            for k in range(len(never))
        ] + [
            _Question(len(never) + k, np.zeros(inside.shape[1]),
                      order.index(follower.zero + int(e)), 0.0, _POSITIVE * size)
            for k, e in enumerate(always)
        ]  # fmt: skip
        nodes: LinearNodes | None = None
        for asked in questions:
            if self.deadline.passed:
                return None
            self.problems += 1
            dual = np.zeros(form.bilevel.follower.rows)
            if asked.multiplier is not None:
                dual[asked.multiplier] = 1.0
            leader = ProgramData(asked.q, part.leader.b, asked.constant)
            single = form.data(replace(part, leader=leader, dual_cost=dual))
            nodes = nodes or LinearNodes(form, single)
            nodes.recost(single)
            options = BilevelOptions(
                gap=tolerances.MASTER_BOUND,
                node_limit=self.limits.node_limit,
                time_limit_s=self.deadline.left,
            )
            tree = Tree(form, single, nodes, options)
            tree.start(np.zeros(form.columns), asked.floor)
            found = tree.run()
            if found.status == "optimal" and found.objective >= asked.floor:
                continue
            failed = np.zeros(len(never) + len(always), dtype=bool)
            failed[asked.place] = True
            if found.status == "optimal":  # all candidates that this point contradicts
                z = found.z[: n_x + len(reduced.columns)]
                failed[: len(never)] |= right - inside @ z < floors
            return np.concatenate([never, always])[failed]
        return np.zeros(0, dtype=np.int64)

    def _answered(self, form: KktForm, part: BilevelData, used: Ints) -> bool:
        """Return whether the reduced follower has a point for all x in the box: at its corners."""
        lower, upper = self.lower[used], self.upper[used]
        if len(used) > _CORNERS or not np.isfinite([lower, upper]).all():
            return False
        feasible = form.bilevel.follower.without_objective()
        for corner in product(*zip(lower, upper, strict=True)):
            data = part.follower_data(form.bilevel, np.array(corner))
            point = ProgramData.without_objective(data.b, feasible.variables)
            answer = ClarabelSolver(feasible).solve(point)
            if answer.status != "optimal":
                return False
        return True

    def _bounded(self, form: KktForm, part: BilevelData) -> bool:
        """Return whether the reduced follower is bounded for all x: its duals are free of x."""
        program = form.bilevel
        follower = program.follower
        priced = csr_array(follower.q_parameters @ program.link)
        if priced.count_nonzero():
            return False
        m, n = follower.rows, follower.variables
        pairs = np.arange(follower.nonneg)
        minus = csr_array(
            (-np.ones(follower.nonneg), (pairs, follower.zero + pairs)),
            shape=(follower.nonneg, m),
        )
        matrix = block_array(
            [
                [follower.hessian, csr_array(follower.matrix).T],
                [csr_array((follower.nonneg, n)), minus],
            ],
            format="csc",
        )
        q = follower.data(part.follower_parameters).q
        b = np.concatenate([-q, np.zeros(follower.nonneg)])
        dual = ConicProgram.constant(csc_array(matrix), b, n, follower.nonneg)
        answer = ClarabelSolver(dual).solve(ProgramData.without_objective(b, n + m))
        return answer.status == "optimal"

    def _seen(self, block: FollowerPart) -> Ints:
        """Return the leader's columns that occur in the whole block, C included."""
        follower, link = self.program.follower, self.program.link
        b_x = csr_array(follower.b_parameters @ link)[block.rows]
        q_x = csr_array(follower.q_parameters @ link)[block.columns]
        return np.unique(np.concatenate([b_x.indices, q_x.indices])).astype(np.int64)

    def _part(self, block: FollowerPart, always: Ints, used: Ints) -> tuple[KktForm, BilevelData]:
        """Return the reduced block as a bilevel program; rows `always` are equations.

        The leader has the columns `used`, with box rows and its rows in these columns only.
        """
        program, below = self.program, self.below
        follower = program.follower
        rows = equations_first(block, always, follower.zero)
        equations = int((block.rows < follower.zero).sum()) + len(always)
        b_x = csr_array(follower.b_parameters @ program.link)[rows]
        q_x = csr_array(follower.q_parameters @ program.link)[block.columns]
        n_x, n_y, m = len(used), len(block.columns), len(block.rows)
        part = replace(
            follower,
            quadratic=csc_array(follower.quadratic[block.columns, :][:, block.columns]),
            matrix=csc_array(csr_array(follower.matrix)[rows][:, block.columns]),
            zero=equations,
            nonneg=len(rows) - equations,
            rare=NO_ROWS,
            cones=(),
            q0=below.q[block.columns],
            q_parameters=csr_array(q_x[:, used]),
            b0=below.b[rows],
            b_parameters=csr_array(b_x[:, used]),
            offset0=0.0,
            offset_linear=np.zeros(n_x),
            offset_quadratic=csr_array((n_x, n_x)),
        )
        leader, b = self._leader(used, len(block.columns))
        local = BilevelProgram(
            leader=leader,
            follower=part,
            link=csr_array((np.ones(n_x), (np.arange(n_x), np.arange(n_x))), shape=(n_x, n_x)),
            dual_map=csr_array((0, m)),
            products=csr_array((n_x + n_y, n_x + n_y)),
            names=ProgramNames(program.names.follower),
        )
        nothing = ProgramData(np.zeros(n_x + n_y), b, 0.0)
        return KktForm(local), BilevelData(nothing, np.zeros(n_x))

    def _leader(self, used: Ints, n_y: int) -> tuple[ConicProgram, Floats]:
        """Return box rows, and the linear rows of the leader that contain only these columns of x.

        Rows with the follower's variables are left out: the reduced follower's solution may violate
        them where the follower's own does not.
        """
        leader = self.program.leader
        matrix = csr_array(leader.matrix)[: leader.linear]
        inside = csr_array(matrix[:, used])
        inside.eliminate_zeros()
        whole = np.diff(csr_array(matrix).indptr) == np.diff(inside.indptr)
        rows = np.flatnonzero(whole & (np.diff(inside.indptr) > 0))
        zero = rows[rows < leader.zero]
        nonneg = rows[rows >= leader.zero]
        at = np.arange(len(used))
        n = len(used) + n_y
        inside.resize((inside.shape[0], n))
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
        return ConicProgram.constant(csc_array(stacked), right, len(zero), rest), right
