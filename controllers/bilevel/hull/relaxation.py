"""Relaxation of a bilevel program by the convex hull of disjunctions, block by block.

A follower that splits into blocks (its periods) is replaced, in every block that needs it, by
weighted copies of its optimality conditions. Each copy belongs to one disjunct: pairs of a row's
slack and multiplier of which one side is zero. The weights of a block sum to one, a weighted point
is the sum of its copies, and a quadratic term is taken in perspective. As long as the disjuncts of
a block cover all its bilevel feasible points this is a relaxation, and far tighter than dropping
complementarity (Balas 1979; Ceria and Soares 1999 for convex sets).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import block_diag, coo_array, csc_array, csr_array, eye_array, triu

from stackelgrid.controllers.bilevel.hull.blocks import FollowerBlock, follower_blocks
from stackelgrid.controllers.bilevel.hull.disjuncts import ANY, CopyState, Disjunct, Disjuncts
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class FollowerCost:
    """Share of the follower's solution in the leader's objective: linear'y + dual'nu (+ y'Qy)."""

    linear: Floats
    dual: Floats


@dataclass(frozen=True)
class HullInstance:
    """Vectors of one instance: the leader's, the follower's q and b without the leader, costs."""

    leader: ProgramData
    follower: ProgramData
    cost: FollowerCost

    @property
    def price(self) -> float:
        """Size of the follower's multipliers: its largest linear cost."""
        return float(np.abs(self.follower.q).max(initial=0.0)) or 1.0


@dataclass(frozen=True)
class Copy:
    """Columns of one copy of a block's conditions in the program."""

    block: int
    position: int
    y: int
    nu: int
    nu_rows: Ints
    p: int
    weight: int


@dataclass(frozen=True)
class HullProgram:
    """The relaxation for some disjuncts; the leader's columns come first.

    Columns of multipliers are in units of `price`, so that they are of order one.
    """

    program: ConicProgram
    data: ProgramData
    copies: tuple[Copy, ...]
    price: float


class DisjunctiveHull:
    """Builds relaxations for one leader and follower.

    `leader` has the columns x only; the follower's parameters are p = data + link x. `paid` is the
    symmetric, positive semidefinite Q of y'Qy in the leader's objective. Raises ModelError for a
    follower with cones.
    """

    def __init__(
        self, leader: ConicProgram, follower: ConicProgram, link: csr_array, paid: csr_array
    ) -> None:
        if follower.cones:
            raise ModelError("follower: second-order cones are not accepted by the hull of blocks")
        self.leader, self.follower, self.link = leader, follower, csr_array(link)
        linked = np.flatnonzero(np.diff(self.link.indptr)).astype(np.int64)
        self.blocks = follower_blocks(follower, linked, paid)

    def program(self, instance: HullInstance, disjuncts: Disjuncts) -> HullProgram:
        """Assemble the relaxation; a block without disjuncts keeps all its pairs open.

        A block with one disjunct needs no copies: its sides are fixed in place.
        """
        rows = _Rows(self.leader, instance.leader)
        costs = _Costs(self.leader, instance.leader)
        copies = []
        for k, block in enumerate(self.blocks):
            alternatives = disjuncts.get(k, (ANY,))
            if len(alternatives) == 1:
                copies.append(self._plain(rows, costs, instance, k, alternatives[0]))
            else:
                placed = [
                    self._weighted(rows, costs, instance, k, j, alternative)
                    for j, alternative in enumerate(alternatives)
                ]
                self._tie(rows, block, placed)
                copies += placed
        matrix, b, zero, nonneg, cones = rows.assembled(costs.columns)
        program = ConicProgram.constant(
            matrix,
            b,
            zero,
            nonneg,
            cones,
            quadratic=costs.quadratic(),
            q=costs.linear(),
            offset=instance.leader.offset,
            integer=self.leader.integer,
            rare=self.leader.rare - self.leader.zero + zero,  # leader's inequalities come first
        )
        data = ProgramData(program.q0, b, program.offset0)
        return HullProgram(program, data, tuple(copies), instance.price)

    def states(self, hull: HullProgram, instance: HullInstance, x: Floats) -> tuple[CopyState, ...]:
        """Weight, slacks and multipliers of every copy at a point of the relaxation."""
        found = []
        exchange = self.link @ x[: self.leader.variables]
        for copy in hull.copies:
            block = self.blocks[copy.block]
            weighted = copy.weight >= 0
            weight = float(x[copy.weight]) if weighted else 1.0
            size = len(block.parameters)
            p = x[copy.p : copy.p + size] if weighted else exchange[block.parameters]
            y = x[copy.y : copy.y + len(block.columns)]
            multiplier = np.zeros(len(block.rows))
            multiplier[copy.nu_rows] = hull.price * x[copy.nu : copy.nu + len(copy.nu_rows)]
            b = instance.follower.b[block.rows]
            slack = b * weight - block.matrix @ y - block.coupling @ p
            found.append(CopyState(copy.block, copy.position, weight, slack, multiplier))
        return tuple(found)

    # ------------------------------------------------------------------ parts

    def _plain(
        self, rows: "_Rows", costs: "_Costs", instance: HullInstance, k: int, chosen: Disjunct
    ) -> Copy:
        block = self.blocks[k]
        kept, tight = _sides(block, chosen)
        y = costs.add(instance.cost.linear[block.columns], block.factor)
        nu = costs.add(instance.price * instance.cost.dual[block.rows[kept]])
        b = instance.follower.b[block.rows]
        link = csr_array(self.link[block.parameters])
        for kind, at in (("zero", tight), ("nonneg", ~tight)):
            entries = [(0, block.coupling[at] @ link), (y, block.matrix[at])]
            rows.add(kind, entries, b[at])
        q = instance.follower.q[block.columns] / instance.price
        curvature = block.curvature / instance.price
        rows.add("zero", [(y, curvature), (nu, block.transposed[:, kept])], -q)
        rows.add_nonnegative(nu + np.flatnonzero(kept >= block.equations))
        return Copy(k, 0, y, nu, kept, -1, -1)

    def _weighted(
        self,
        rows: "_Rows",
        costs: "_Costs",
        instance: HullInstance,
        k: int,
        position: int,
        chosen: Disjunct,
    ) -> Copy:
        block = self.blocks[k]
        kept, tight = _sides(block, chosen)
        y = costs.add(instance.cost.linear[block.columns])
        nu = costs.add(instance.price * instance.cost.dual[block.rows[kept]])
        p = costs.add(np.zeros(len(block.parameters)))
        curved = block.factor.shape[0] > 0
        scale = float((block.factor.data**2).max()) if curved else 1.0
        weight = costs.add(np.zeros(1))
        above = costs.add(np.array([scale])) if curved else -1
        b = instance.follower.b[block.rows]
        for kind, at in (("zero", tight), ("nonneg", ~tight)):
            entries = [(y, block.matrix[at]), (p, block.coupling[at]), (weight, _column(-b[at]))]
            rows.add(kind, entries, np.zeros(int(at.sum())))
        q = instance.follower.q[block.columns] / instance.price
        curvature = block.curvature / instance.price
        rows.add(
            "zero",
            [(y, curvature), (nu, block.transposed[:, kept]), (weight, _column(q))],
            np.zeros(len(q)),
        )
        rows.add_nonnegative(np.array([weight, *(nu + np.flatnonzero(kept >= block.equations))]))
        if curved:  # |F y|^2 <= above * weight, the perspective of the quadratic
            rows.add_rotated_cone(above, weight, y, block.factor / np.sqrt(scale))
        return Copy(k, position, y, nu, kept, p, weight)

    def _tie(self, rows: "_Rows", block: FollowerBlock, copies: Sequence[Copy]) -> None:
        """Weights sum to one, the copies' parameters to those that the leader decides."""
        size = len(block.parameters)
        entries = [(0, csr_array(self.link[block.parameters]))]
        entries += [(copy.p, -eye_array(size, format="csr")) for copy in copies]
        rows.add("zero", entries, np.zeros(size))
        rows.add("zero", [(copy.weight, _column(np.ones(1))) for copy in copies], np.ones(1))


def _sides(block: FollowerBlock, chosen: Disjunct) -> tuple[Ints, "np.typing.NDArray[np.bool_]"]:
    """Rows of a block that keep a multiplier, and which of its rows are equations."""
    kept = np.flatnonzero(~np.isin(block.rows, chosen.multiplier_zero)).astype(np.int64)
    tight = np.isin(block.rows, chosen.slack_zero)
    tight[: block.equations] = True
    return kept, tight


def _column(values: Floats) -> csr_array:
    return csr_array(values.reshape(-1, 1))


class _Rows:
    """Rows under construction: entries are (first column, matrix)."""

    def __init__(self, leader: ConicProgram, data: ProgramData) -> None:
        self._kinds: dict[str, tuple[list[tuple[int, int, csr_array]], list[Floats]]] = {
            "zero": ([], []), "nonneg": ([], []), "cone": ([], []),
        }  # fmt: skip
        self._count = {"zero": 0, "nonneg": 0, "cone": 0}
        self._cones = list(leader.cones)
        matrix, linear = csr_array(leader.matrix), leader.linear
        self.add("zero", [(0, matrix[: leader.zero])], data.b[: leader.zero])
        self.add("nonneg", [(0, matrix[leader.zero : linear])], data.b[leader.zero : linear])
        self.add("cone", [(0, matrix[linear:])], data.b[linear:])

    def add(self, kind: str, entries: Sequence[tuple[int, csr_array]], b: Floats) -> None:
        """Append rows sum of entries + s = b."""
        parts, sides = self._kinds[kind]
        parts += [(self._count[kind], column, matrix) for column, matrix in entries]
        sides.append(b)
        self._count[kind] += len(b)

    def add_nonnegative(self, columns: Ints) -> None:
        """Append column >= 0 for each column."""
        size = len(columns)
        if size:
            selection = csr_array((-np.ones(size), (np.arange(size), columns)))
            self.add("nonneg", [(0, selection)], np.zeros(size))

    def add_rotated_cone(self, above: int, weight: int, y: int, factor: csr_array) -> None:
        """Append |factor y|^2 <= above * weight."""
        size = 2 + factor.shape[0]
        ends = csr_array(([-1.0, -1.0], ([0, 1], [0, 0])), shape=(size, 1))
        other = csr_array(([-1.0, 1.0], ([0, 1], [0, 0])), shape=(size, 1))
        stretched = coo_array(-2.0 * factor)
        body = csr_array(
            (stretched.data, (stretched.coords[0] + 2, stretched.coords[1])),
            shape=(size, factor.shape[1]),
        )
        self.add("cone", [(above, ends), (weight, other), (y, body)], np.zeros(size))
        self._cones.append(size)

    def assembled(self, columns: int) -> tuple[csc_array, Floats, int, int, tuple[int, ...]]:
        """Matrix, right-hand sides and the sizes of the three kinds of rows."""
        rows, cols, values, sides, first = [], [], [], [], 0
        for kind in ("zero", "nonneg", "cone"):
            parts, b = self._kinds[kind]
            for row, column, matrix in parts:
                entries = coo_array(matrix)
                rows.append(first + row + entries.coords[0])
                cols.append(column + entries.coords[1])
                values.append(entries.data)
            sides += b
            first += self._count[kind]
        matrix = csc_array(
            coo_array(
                (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols))),
                shape=(first, columns),
            )
        )
        return (
            matrix,
            np.concatenate(sides),
            self._count["zero"],
            self._count["nonneg"],
            tuple(self._cones),
        )


class _Costs:
    """Columns under construction with their costs; `factor` F adds y'F'Fy."""

    def __init__(self, leader: ConicProgram, data: ProgramData) -> None:
        self._linear = [data.q]
        self._quadratic = [csr_array(leader.quadratic)]
        self.columns = leader.variables

    def add(self, linear: Floats, factor: csr_array | None = None) -> int:
        """Append columns and return the first."""
        first, size = self.columns, len(linear)
        self._linear.append(linear)
        square = csr_array((size, size))
        if factor is not None and factor.shape[0]:
            square = csr_array(triu(2.0 * (factor.T @ factor)))
        self._quadratic.append(square)
        self.columns += size
        return first

    def linear(self) -> Floats:
        """Linear costs of all columns."""
        return np.concatenate(self._linear)

    def quadratic(self) -> csc_array:
        """Upper triangle of the quadratic costs (1/2 x'Px)."""
        return csc_array(block_diag(self._quadratic))
