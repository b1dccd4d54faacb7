"""The single level: leader, follower's rows, stationarity and multipliers, without complementarity.

With the follower's Lagrangian f + nu'(A y + s - b), nu >= 0 for an inequality and in the cone for
a cone, the rows are

    leader rows             A_L [x y w] + s_L = b_L
    follower rows           B x + A y + s = b
    stationarity            P y + Q x + A' nu = -q
    definition of w         w - D nu = 0
    multipliers             nu >= 0, or nu in the cone

The engines add complementarity s_i nu_i = 0, pair by pair (Dempe and Dutta 2012: this is the
bilevel problem itself if the follower is convex and its rows are linear).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import block_array, coo_array, csc_array, csr_array, eye_array, triu

from stackelgrid.controllers.bilevel.problem import BilevelData, BilevelProgram
from stackelgrid.controllers.bilevel.products import product_identities
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.quadratics import convex, offending
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class Layout:
    """Columns [x | y | w | nu]."""

    x: slice
    y: slice
    w: slice
    nu: slice


class KktForm:
    """Matrices of the single level, built once; `data` turns an instance into vectors.

    `slack_rows` and `multipliers` (pairs,) are the row of s_i and the column of nu_i of every
    complementarity pair. `cone_rows` and `cone_multipliers` hold the same for the follower's
    cones, one array a cone. Raises ModelError for an objective that is not convex.
    """

    def __init__(self, program: BilevelProgram) -> None:
        leader, follower = program.leader, program.follower
        self.bilevel = program
        n_x, n_y, n_w, m = program.n_x, program.n_y, program.n_w, follower.rows
        stops = np.cumsum([0, n_x, n_y, n_w, m]).tolist()
        self.layout = Layout(*(slice(a, b) for a, b in pairwise(stops)))
        self.columns = stops[-1]
        self.identities = product_identities(program)
        matrix, kinds = self._parts()
        order = np.argsort(kinds, kind="stable").astype(np.int64)
        self.program = ConicProgram.constant(
            csc_array(matrix[order]),
            np.zeros(len(order)),
            int((kinds == 0).sum()),
            int((kinds == 1).sum()),
            (*leader.cones, *follower.cones, *follower.cones),
            quadratic=self._quadratic(),
            integer=leader.integer,
        )
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        self._order = order
        first = leader.rows
        nu0 = self.layout.nu.start
        zero = follower.zero
        pairs = np.arange(zero, zero + follower.nonneg)
        self.leader_rows: Ints = place[:first]
        self.follower_rows: Ints = place[first : first + m]
        self.stationarity: Ints = place[first + m : first + m + n_y]
        self.multiplier_rows: Ints = place[first + m + n_y + n_w :]
        self.slack_rows: Ints = self.follower_rows[pairs]
        self.multipliers: Ints = nu0 + pairs
        ends = zero + follower.nonneg + np.cumsum([0, *follower.cones])
        cones = [np.arange(a, b) for a, b in pairwise(ends)]
        self.cone_rows = tuple(self.follower_rows[c] for c in cones)
        self.cone_multipliers = tuple(nu0 + c for c in cones)
        self._matrix = csr_array(self.program.matrix)
        self._slack_matrix = csr_array(self._matrix[self.slack_rows])
        empty = np.diff(csr_array(follower.matrix)[pairs].indptr) == 0
        self.without_variable: Ints = np.flatnonzero(empty)

    def data(self, data: BilevelData) -> ProgramData:
        """Vectors of the single level for one instance."""
        program = self.bilevel
        below = program.follower.data(data.follower_parameters)
        q = np.zeros(self.columns)
        q[: self.layout.w.stop] = data.leader.q
        q[self.layout.y] += self.identities.variable_cost(below.q)
        q[self.layout.nu] += self.identities.multiplier_cost(below.b)
        if data.dual_cost is not None:
            q[self.layout.nu] += data.dual_cost
        tail = np.zeros(self.program.rows - program.leader.rows - len(below.b) - program.n_y)
        b = np.concatenate([data.leader.b, below.b, -below.q, tail])
        return ProgramData(q=q, b=b[self._order], offset=data.leader.offset)

    def slacks(self, z: Floats, b: Floats) -> Floats:
        """Slacks of the follower's inequalities (pairs,)."""
        return np.asarray(b[self.slack_rows] - self._slack_matrix @ z)

    def cone_slack(self, cone: int, z: Floats, b: Floats) -> Floats:
        """Slack of one of the follower's cones (size,)."""
        rows = self.cone_rows[cone]
        return np.asarray(b[rows] - self._matrix[rows] @ z)

    def leader_objective(self, z: Floats, data: BilevelData) -> float:
        """Return the leader's objective as given, with its products and not their replacement."""
        head = z[: self.layout.w.stop]
        value = self.bilevel.leader.objective(head, data.leader)
        value += float(head @ (self.bilevel.products @ head))
        if data.dual_cost is not None:
            value += float(data.dual_cost @ z[self.layout.nu])
        return value

    def _parts(self) -> tuple[csr_array, Ints]:
        """Rows in the order in which they are written, and their cone (0, 1, then cones)."""
        program, layout = self.bilevel, self.layout
        leader, follower = program.leader, program.follower
        n_x, n_w, m = program.n_x, program.n_w, follower.rows
        a = csr_array(follower.matrix)
        b_x = follower.b_parameters @ program.link
        q_x = follower.q_parameters @ program.link
        inequality = np.arange(follower.zero, m)
        minus = coo_array(
            (-np.ones(len(inequality)), (np.arange(len(inequality)), inequality)),
            shape=(len(inequality), m),
        )
        above = csr_array(leader.matrix)
        split = [above[:, s] for s in (layout.x, layout.y, layout.w)]
        matrix = block_array(
            [
                [*split, csr_array((leader.rows, m))],
                [b_x, a, csr_array((m, n_w)), csr_array((m, m))],
                [q_x, follower.hessian, None, a.T],
                [csr_array((n_w, n_x)), None, eye_array(n_w), -program.dual_map],
                [csr_array((len(inequality), n_x)), None, None, minus],
            ],
            format="csr",
        )
        kinds = np.concatenate(
            [
                leader.kinds,
                follower.kinds,
                np.zeros(program.n_y + n_w, dtype=np.int64),
                follower.kinds[follower.zero :],
            ]
        )
        return csr_array(matrix), kinds

    def _quadratic(self) -> csc_array:
        program = self.bilevel
        upper = csc_array(program.leader.quadratic)
        n = program.n_x + program.n_y
        added = self.identities.quadratic(program)
        added.eliminate_zeros()
        if added.nnz:
            widened = csc_array(added)
            widened.resize(upper.shape)
            upper = csc_array(upper + widened)
        if not convex(upper):
            with_products = " once the products of duals are replaced" if n and added.nnz else ""
            raise ModelError(
                f"objective: the leader's objective is not convex{with_products}"
                f"{self._why_not_convex(upper)}"
            )
        upper = csc_array(triu(upper))
        upper.resize((self.columns, self.columns))
        return upper

    def _why_not_convex(self, upper: csc_array) -> str:
        """Return the term that makes the objective non-convex, and the accepted alternative."""
        found, names, layout = offending(upper), self.bilevel.names, self.layout
        if found is None:
            return ""
        first, second = (names.column(k) for k in found)
        if found[0] == found[1]:
            return f": {first}**2 has a negative coefficient"
        if not (found[0] < layout.y.start <= found[1]):
            return f": product {first}*{second}"
        return (
            f": product {first}*{second}; a price times {second} is accepted where the price is "
            "the dual of a constraint of the follower (follower_duals)"
        )
