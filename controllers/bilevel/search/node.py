"""Nodes of the search: the fixed sides of pairs, and the remaining relaxation.

A node's relaxation is the single level with s_i = 0 or nu_i = 0 for the fixed pairs and narrower
bounds for the integers. Two solvers solve nodes: NodeProgram (Clarabel, any leader) here and
LinearNodes (simplex, everything linear) in linear_nodes.py.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy.sparse import csc_array, csr_array, triu, vstack

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.problem import Flags
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.bound_rows import BoundRows
from stackelgrid.controllers.solvers.checks import contradiction
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, Solution
from stackelgrid.profiles.arrays import Floats, Ints

OPEN, SLACK_ZERO, MULTIPLIER_ZERO = 0, 1, 2
_CANCELLED = 100.0  # terms of an objective that exceed it by this are worth a second solve
BOUNDARY = 3  # cones only: slack and multiplier on opposite sides of the boundary


@dataclass(frozen=True)
class ConeState:
    """Fixed state of one cone; a boundary state has a box for the direction of the slack."""

    side: int = OPEN
    lower: tuple[float, ...] = ()
    upper: tuple[float, ...] = ()


@dataclass(frozen=True)
class NodeState:
    """Sides of the pairs (pairs,), bounds of the integers (integers,), states of the cones."""

    sides: Ints
    lower: Floats
    upper: Floats
    cones: tuple[ConeState, ...] = ()

    def with_proven(self, slack_zero: Flags | None, multiplier_zero: Flags | None) -> "NodeState":
        """Return the node with open pairs (pairs,) fixed to sides that are proven."""
        sides = self.sides
        for flags, side in ((slack_zero, SLACK_ZERO), (multiplier_zero, MULTIPLIER_ZERO)):
            if flags is None:
                continue
            if flags.shape != sides.shape:
                raise ValueError(f"proven pairs of shape {flags.shape}; {sides.shape} is accepted")
            sides = np.where(flags & (sides == OPEN), side, sides)
        return replace(self, sides=sides)

    def with_side(self, pair: int, side: int) -> "NodeState":
        """Return the node with one pair fixed."""
        sides = self.sides.copy()
        sides[pair] = side
        return replace(self, sides=sides)

    def with_bounds(self, integer: int, lower: float, upper: float) -> "NodeState":
        """Return the node with new bounds of one integer."""
        low, high = self.lower.copy(), self.upper.copy()
        low[integer], high[integer] = lower, upper
        return replace(self, lower=low, upper=high)

    def with_cone(self, cone: int, state: ConeState) -> "NodeState":
        """Return the node with one cone narrowed."""
        cones = list(self.cones)
        cones[cone] = state
        return replace(self, cones=tuple(cones))


class NodeSolver(Protocol):
    """Solves the relaxations of one instance's nodes: x are columns of the single level.

    `bound` is a lower bound; "unbounded" carries a ray in x. There are no multipliers.
    """

    def solve(self, state: NodeState, *, feasibility: bool = False) -> Solution:
        """Solve a node; with `feasibility` only find a point of it."""
        ...


def root_state(form: KktForm, data: ProgramData) -> NodeState:
    """Return the root, with zero multipliers of rows without a follower's variable."""
    sides = np.zeros(len(form.slack_rows), dtype=np.int64)
    sides[form.without_variable] = MULTIPLIER_ZERO
    bounds = BoundRows(form.program).integer_bounds(form.program.integer, data.b)
    cones = tuple(ConeState() for _ in form.cone_rows)
    return NodeState(sides, bounds.lower, bounds.upper, cones)


class NodeProgram:
    """Conic relaxations: fixed columns are substituted, rows s_i = 0 become equations."""

    def __init__(self, form: KktForm, data: ProgramData) -> None:
        self.form, self.full_data = form, data
        program = form.program
        self._a = csr_array(program.matrix)
        self._kinds = program.kinds
        rows = BoundRows(program)
        self._bound_rows = rows
        self._is_integer = np.zeros(program.variables, dtype=bool)
        self._is_integer[program.integer] = True
        self._place = np.zeros(program.variables, dtype=np.int64)
        self._place[program.integer] = np.arange(len(program.integer))

    def solve(self, state: NodeState, *, feasibility: bool = False) -> Solution:
        """Solve a node with Clarabel; its solution is checked independently."""
        reduced = self._reduce(state, feasibility)
        if reduced is None:
            return Solution.without_values("infeasible", "a row without free columns is violated")
        program, data, free, z = reduced
        if not program.variables:
            fixed = Solution.without_values("optimal", "every column is fixed")
            return replace(fixed, x=z, objective=data.offset, bound=data.offset)
        try:
            solution = ClarabelSolver(program).solve(data)
        except Exception as error:  # a foreign solver may raise anything; the search goes on
            return Solution.without_values("failed", f"{type(error).__name__}: {error}")
        lie = contradiction(solution, program, data)
        if solution.status == "optimal":
            if lie is None:
                solution = _recentred(program, data, solution)
            z[free] = solution.x
            bound = solution.bound if lie is None else -np.inf  # then the parent's bound holds
            return replace(solution, x=z, bound=bound, message=lie or solution.message)
        if solution.status == "failed" or lie is not None:
            return Solution.without_values("failed", lie or solution.message)
        if solution.status == "infeasible":
            return Solution.without_values("infeasible", solution.message)
        ray = np.zeros_like(z)
        ray[free] = solution.x
        return replace(solution, x=ray)

    def _reduce(
        self, state: NodeState, feasibility: bool
    ) -> tuple[ConicProgram, ProgramData, Ints, Floats] | None:
        """Return the program in the columns that are not fixed, or None if a row cannot be met."""
        form, program = self.form, self.form.program
        b = self._bounded(state)
        kinds = self._kinds.copy()
        fixed = np.zeros(program.variables, dtype=bool)
        z = np.zeros(program.variables)
        kinds[form.slack_rows[state.sides == SLACK_ZERO]] = 0
        fixed[form.multipliers[state.sides == MULTIPLIER_ZERO]] = True
        single = program.integer[state.lower == state.upper]
        fixed[single], z[single] = True, state.lower[state.lower == state.upper]
        extra: list[_ExtraRows] = []
        for cone, now in enumerate(state.cones):
            if now.side == SLACK_ZERO:
                kinds[form.cone_rows[cone]] = 0
            elif now.side == MULTIPLIER_ZERO:
                fixed[form.cone_multipliers[cone]] = True
            elif now.side == BOUNDARY:
                extra += self._boundary(cone, now, b)
        a = self._a
        if extra:
            a = csr_array(vstack([a, *(rows.matrix for rows in extra)], format="csr"))
            b = np.concatenate([b, *(rows.b for rows in extra)])
            kinds = np.concatenate([kinds, *(np.full(len(r.b), r.kind) for r in extra)])
        if not self._propagate(a, b, kinds, fixed, z):
            return None
        return self._remaining(a, b, kinds, fixed, z, feasibility)

    def _bounded(self, state: NodeState) -> Floats:
        """Right-hand sides with the node's bounds of the integers."""
        b = self.full_data.b.copy()
        rows = self._bound_rows
        owned = self._is_integer[rows.columns]
        at, column, value = rows.rows[owned], rows.columns[owned], rows.values[owned]
        place = self._place[column]
        limit = np.where(value > 0.0, state.upper[place], state.lower[place])
        b[at] = np.minimum(b[at], value * limit)
        return b

    def _propagate(self, a: csr_array, b: Floats, kinds: Ints, fixed: Flags, z: Floats) -> bool:
        """Fix columns that an equation of one column decides; False if rows contradict."""
        owner = np.repeat(np.arange(a.shape[0]), np.diff(a.indptr))
        while True:
            live = ~fixed[a.indices] & (a.data != 0.0)
            count = np.bincount(owner[live], minlength=a.shape[0])
            rows = (kinds == 0) & (count == 1)
            if not rows.any():
                return True
            entries = np.flatnonzero(live & rows[owner])
            right = b - a @ z
            values = right[owner[entries]] / a.data[entries]
            columns = a.indices[entries]
            fixed[columns] = True
            z[columns] = values

    def _remaining(
        self, a: csr_array, b: Floats, kinds: Ints, fixed: Flags, z: Floats, feasibility: bool
    ) -> tuple[ConicProgram, ProgramData, Ints, Floats] | None:
        program = self.form.program
        free = np.flatnonzero(~fixed)
        right = b - a @ z
        inside = csc_array(a[:, free])
        inside.eliminate_zeros()
        inside = csr_array(inside)
        used = np.diff(inside.indptr) > 0
        size = 1.0 + np.abs(b) + abs(a) @ np.abs(z)
        kept, sizes = used.copy(), []
        linear = program.zero + program.nonneg
        first = linear
        for count in program.cones:
            rows = slice(first, first + count)
            first += count
            if kinds[rows.start] == 0:
                continue
            kept[rows] = used[rows].any()
            if kept[rows.start]:
                sizes.append(count)
            elif right[rows.start] + tolerances.POINT_VIOLATION * size[rows.start] < np.linalg.norm(
                right[rows.start + 1 : rows.stop]
            ):
                return None
        empty = ~used & (kinds < 2)
        kept &= ~empty
        missed = np.where(kinds == 0, np.abs(right), -right)
        if (missed[empty] > tolerances.POINT_VIOLATION * size[empty]).any():
            return None
        order = np.concatenate([np.flatnonzero(kept & (kinds == k)) for k in range(3)])
        n = len(free)
        quadratic = csc_array(triu(self.form.program.hessian[free, :][:, free]))
        moved = self.form.program.hessian @ z
        q = self.full_data.q[free] + moved[free]
        offset = float(self.full_data.offset + self.full_data.q @ z + 0.5 * z @ moved)
        if feasibility:
            quadratic, q, offset = csc_array((n, n)), np.zeros(n), 0.0
        matrix, rhs = csc_array(inside[order]), right[order]
        zero, nonneg = int((kept & (kinds == 0)).sum()), int((kept & (kinds == 1)).sum())
        if n and not len(order):  # a solver wants a row
            matrix, rhs, nonneg = csc_array((1, n)), np.ones(1), 1
        reduced = ConicProgram.constant(
            matrix, rhs, zero, nonneg, tuple(sizes), quadratic=quadratic
        )
        return reduced, ProgramData(q=q, b=rhs, offset=offset), free.astype(np.int64), z

    def _boundary(self, cone: int, now: ConeState, b: Floats) -> list["_ExtraRows"]:
        """Rows of a boundary state: slack direction in the box, multiplier opposite to it.

        With s = s_0 (1, d) and nu = nu_0 (1, -d): l s_0 <= s_k <= u s_0, and, because |d| = 1,
        the secants of d_k^2 over the box sum to at least 1. A box of one point gives equations.
        """
        form = self.form
        rows, columns = form.cone_rows[cone], form.cone_multipliers[cone]
        a = self._a[rows]
        pick = csr_array(
            (np.ones(len(columns)), (np.arange(len(columns)), columns)),
            shape=(len(columns), a.shape[1]),
        )
        low, high = np.array(now.lower), np.array(now.upper)
        k = len(low)
        tail = np.concatenate([np.zeros((k, 1)), np.eye(k)], axis=1)
        head = np.zeros((k, k + 1))
        head[:, 0] = 1.0
        exact = now.lower == now.upper
        if exact:
            wanted = tail - low[:, None] * head
        else:
            secant = np.concatenate([[-1.0 - low @ high], low + high])[None, :]
            wanted = np.concatenate(
                [tail - low[:, None] * head, high[:, None] * head - tail, secant]
            )  # wanted @ s >= 0 where s = b - a z
        mirror = wanted.copy()
        mirror[:, 1:] *= -1.0
        kind = 0 if exact else 1
        return [
            _ExtraRows(csr_array(wanted @ a), np.asarray(wanted @ b[rows]), kind),
            _ExtraRows(csr_array(-(mirror @ pick)), np.zeros(len(mirror)), kind),
        ]


@dataclass(frozen=True)
class _ExtraRows:
    """Rows that a node adds: equations (kind 0) or inequalities (kind 1)."""

    matrix: csr_array
    b: Floats
    kind: int


def cone_side(slack: Floats, multiplier: Floats) -> ConeState:
    """Return the state of a complementary cone: one of the two is zero, or the direction."""
    s, nu = max(float(slack[0]), 0.0), max(float(multiplier[0]), 0.0)
    inside_s = s - float(np.linalg.norm(slack[1:]))
    inside_nu = nu - float(np.linalg.norm(multiplier[1:]))
    if nu <= tolerances.COMPLEMENTARY_PAIR or inside_s > inside_nu + 1e-3 * s:
        return ConeState(MULTIPLIER_ZERO)
    if s <= tolerances.COMPLEMENTARY_PAIR or inside_nu > inside_s + 1e-3 * nu:
        return ConeState(SLACK_ZERO)
    direction = slack[1:] / np.linalg.norm(slack[1:])
    if nu > s:  # the larger of the two carries the direction more precisely
        direction = -multiplier[1:] / np.linalg.norm(multiplier[1:])
    exact = tuple(direction.tolist())
    return ConeState(BOUNDARY, exact, exact)


def _recentred(program: ConicProgram, data: ProgramData, solution: Solution) -> Solution:
    """Solve again for a step from the solution, where the objective's terms cancel.

    A solver's gap is relative to terms such as K^2 in (x - K)^2; around the solution they are gone
    (iterative refinement). The first solution is returned where nothing cancels or a check fails.
    """
    x, curved = solution.x, program.hessian
    terms = float(np.abs(data.q) @ np.abs(x) + 0.5 * np.abs(x) @ (abs(curved) @ np.abs(x)))
    if terms <= _CANCELLED * max(1.0, abs(solution.objective)):
        return solution
    step_data = ProgramData(
        q=data.q + curved @ x, b=data.b - program.matrix @ x, offset=program.objective(x, data)
    )
    try:
        step = ClarabelSolver(program).solve(step_data)
    except Exception:  # a foreign solver may raise anything; the first solution stands
        return solution
    if step.status != "optimal" or contradiction(step, program, step_data) is not None:
        return solution
    if not program.violation(x + step.x, data.b)[0] <= tolerances.POINT_VIOLATION:
        return solution
    return replace(step, x=x + step.x)
