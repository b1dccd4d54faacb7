"""Mixed-integer linear master of a mixed-integer conic program: cuts outside the cones.

Every cone cut is a unit vector r in the space of the cone's tail: head >= r'tail is valid for all
of them (Duran and Grossmann 1986 for the scheme; Coey, Lubin, Vielma 2020, doi
10.1007/s12532-020-00178-3, for cuts from conic duals). The multiplier z = (z0, zt) of a conic solve
yields r = -zt / |zt|, which with head >= 0 is at least as strong as z'(b - A x) >= 0, so the
master's bound is at least that solve's dual bound. Cones with three or more tail rows are split,
tail_i^2 <= w_i head with sum_i w_i <= head (Vielma, Dunning, Huchette, Lubin 2017), where the cut
becomes w_i >= 2 r_i tail_i - r_i^2 head. A convex quadratic objective has one epigraph column a
group of coupled variables.
"""

import numpy as np
from scipy.sparse import (
    block_array,
    coo_array,
    csc_array,
    csr_array,
    diags_array,
    eye_array,
    vstack,
)
from scipy.sparse.csgraph import connected_components

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.backends.backend import Claim
from stackelgrid.controllers.solvers.backends.highs import LinearMaster
from stackelgrid.controllers.solvers.bound_rows import BoundRows, IntegerBounds
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.reduce.scaling import Scaling
from stackelgrid.profiles.arrays import Bools, Floats, Ints


class MasterForm:
    """Common data of one program's masters: equilibrated rows, cone blocks, quadratic groups."""

    def __init__(self, program: ConicProgram, scaling: Scaling) -> None:
        self.program = program
        self.column = scaling.column.copy()
        self.column[program.integer] = 1.0  # integers keep their unit
        self.row = scaling.row
        matrix = diags_array(self.row) @ program.matrix @ diags_array(self.column)
        self.linear = program.linear
        full = csr_array(matrix)
        self.cone_rows = full[self.linear :, :]
        self.bound_rows = BoundRows(program)
        many = np.ones(self.linear, dtype=bool)
        many[self.bound_rows.rows] = False
        self.linear_rows: Ints = np.flatnonzero(many).astype(np.int64)
        self.linear_matrix = full[self.linear_rows, :]
        sizes = np.array(program.cones, dtype=np.int64)
        self.heads: Ints = program.heads - program.linear
        self.cone_of_row: Ints = np.repeat(np.arange(len(sizes)), sizes)
        tail = np.ones(int(sizes.sum()), dtype=bool)
        tail[self.heads] = False
        self.tail = tail
        self.split = np.repeat(sizes >= 4, sizes) & tail  # rows with a column w of their own
        self.w_of_row = np.where(self.split, np.cumsum(self.split) - 1, -1)
        self._quadratic(program)

    def _quadratic(self, program: ConicProgram) -> None:
        d = diags_array(self.column)
        self.hessian = csr_array(d @ csc_array(program.hessian) @ d)
        self.hessian.eliminate_zeros()
        curved = np.flatnonzero(np.diff(self.hessian.indptr) > 0)
        _, label = connected_components(self.hessian, directed=False)
        groups, index = np.unique(label[curved], return_inverse=True)
        self.groups = len(groups)  # one epigraph column each
        self.membership = csr_array(
            (np.ones(len(curved)), (index, curved)), shape=(len(groups), program.variables)
        )

    @property
    def splits(self) -> int:
        """Number of split columns w."""
        return int(self.split.sum())


class Master:
    """A master for one instance: cuts are added, solutions come back in the program's units.

    The objective is divided by its largest scaled coefficient; results are multiplied back.
    """

    def __init__(self, form: MasterForm, data: ProgramData, bounds: IntegerBounds) -> None:
        self.form = form
        self._offset = data.offset
        self._b = form.row * data.b
        self._b_cone = self._b[form.linear :]
        cost = form.column * data.q
        self._unit = float(np.abs(cost).max(initial=0.0)) or 1.0
        program = form.program
        lower, upper = form.bound_rows.bounds(data.b)
        lower, upper = lower / form.column, upper / form.column
        lower[program.integer], upper[program.integer] = bounds.lower, bounds.upper
        lower = np.minimum(lower, upper)  # bounds that cross by rounding; others are infeasible
        self.bounds = bounds
        n, extra = program.variables, form.groups + form.splits
        head_rows = self._heads_and_splits(n)
        rows = form.linear_matrix
        right = self._b[form.linear_rows]
        equal = form.linear_rows < program.zero
        self._master = LinearMaster(
            cost=np.concatenate([cost / self._unit, np.ones(form.groups), np.zeros(form.splits)]),
            lower=np.concatenate([lower, np.zeros(extra)]),
            upper=np.concatenate([upper, np.full(extra, np.inf)]),
            integer=program.integer.copy(),
            matrix=csr_array(vstack([_widen(rows, n + extra), head_rows[0]], "csr")),
            row_lower=np.concatenate([np.where(equal, right, -np.inf), head_rows[1]]),
            row_upper=np.concatenate([right, np.full(len(head_rows[1]), np.inf)]),
        )
        self._seen: set[bytes] = set()
        self.cuts = 0

    def _heads_and_splits(self, n: int) -> tuple[csr_array, Floats]:
        """Rows head - sum w >= 0 (w absent for small cones)."""
        form, count = self.form, len(self.form.heads)
        w = np.flatnonzero(form.split)
        sums = coo_array(
            (np.ones(len(w)), (form.cone_of_row[w], form.w_of_row[w])), shape=(count, form.splits)
        )
        heads = -form.cone_rows[form.heads, :]
        blocks = [[heads, csr_array((count, form.groups)), -csr_array(sums)]]
        return csr_array(block_array(blocks, format="csr")), -self._b_cone[form.heads]

    # ------------------------------------------------------------------ cuts

    def cut_multipliers(self, dual: Floats) -> int:
        """Add the cuts of a conic solve's multipliers (or of its infeasibility ray)."""
        if not len(self.form.heads):
            return 0
        scaled = dual[self.form.linear :] / self.form.row[self.form.linear :]
        norm = self._tail_norm(scaled)
        live = norm > tolerances.CUT_DIRECTION * norm.max(initial=0.0)
        return self._cut_directions(-scaled, norm, live & (norm > 0.0))

    def cut_point(self, x: Floats) -> int:
        """Add supporting hyperplanes for the cones that x violates, and the objective's there."""
        added = self.cut_objective(x)
        if not len(self.form.heads):
            return added
        slack = self._cone_slack(x)
        norm, head = self._tail_norm(slack), slack[self.form.heads]
        live = norm - head > tolerances.CUT_VIOLATION * (1.0 + np.abs(head))
        return added + self._cut_directions(slack, norm, live)

    def cut_objective(self, x: Floats) -> int:
        """Add the tangents of the quadratic objective at x, one a group of coupled variables."""
        form = self.form
        if not form.groups:
            return 0
        scaled = x / form.column
        gradient = form.hessian @ scaled / self._unit
        rows = form.membership @ diags_array(gradient)
        right = -0.5 * (form.membership @ (gradient * scaled))
        matrix = block_array(
            [[-rows, eye_array(form.groups), csr_array((form.groups, form.splits))]], format="csr"
        )
        return self._add(csr_array(matrix), right)

    def _cut_directions(self, vector: Floats, norm: Floats, live: Bools) -> int:
        """Cuts along the unit vectors tail / |tail| of `vector` for the `live` cones."""
        form = self.form
        cones = np.flatnonzero(live)
        if not len(cones):
            return 0
        safe = np.where(norm > 0.0, norm, 1.0)
        unit = np.where(form.tail, vector / safe[form.cone_of_row], 0.0)
        whole = cones[~np.isin(cones, form.cone_of_row[form.split])]
        parts = np.flatnonzero(form.split & np.isin(form.cone_of_row, cones) & (unit != 0.0))
        rows, right = [], []
        if len(whole):  # head - r'tail >= 0
            keep = np.isin(form.cone_of_row, whole) & form.tail
            at = np.searchsorted(whole, form.cone_of_row[keep])
            pick = csr_array(
                (
                    np.concatenate([np.ones(len(whole)), -unit[keep]]),
                    (
                        np.concatenate([np.arange(len(whole)), at]),
                        np.concatenate([form.heads[whole], np.flatnonzero(keep)]),
                    ),
                ),
                shape=(len(whole), len(unit)),
            )
            rows.append(_widen(-(pick @ form.cone_rows), self._width))
            right.append(-(pick @ self._b_cone))
        if len(parts):  # w - 2 r tail + r^2 head >= 0
            r, k = unit[parts], np.arange(len(parts))
            pick = csr_array(
                (
                    np.concatenate([-2.0 * r, r**2]),
                    (
                        np.concatenate([k, k]),
                        np.concatenate([parts, form.heads[form.cone_of_row[parts]]]),
                    ),
                ),
                shape=(len(parts), len(unit)),
            )
            w = csr_array(
                (np.ones(len(parts)), (k, form.w_of_row[parts])), shape=(len(parts), form.splits)
            )
            x_part = -(pick @ form.cone_rows)
            blocks = [[x_part, csr_array((len(parts), form.groups)), w]]
            rows.append(csr_array(block_array(blocks, format="csr")))
            right.append(-(pick @ self._b_cone))
        return sum(self._add(a, b) for a, b in zip(rows, right, strict=True))

    def _add(self, matrix: csr_array, lower: Floats) -> int:
        """Add rows that were not added before (compared after rounding to CUT_DIRECTION)."""
        matrix = csr_array(matrix)
        matrix.eliminate_zeros()
        matrix.sort_indices()
        norm = abs(matrix).max(axis=1).toarray().ravel()
        factor = 1.0 / np.where(norm > 0.0, norm, 1.0)
        matrix, lower = csr_array(diags_array(factor) @ matrix), factor * lower
        grid = np.round(matrix.data / tolerances.CUT_DIRECTION).astype(np.int64)
        ends = np.round(lower / tolerances.CUT_DIRECTION).astype(np.int64)
        fresh = []
        for row in range(matrix.shape[0]):
            part = slice(matrix.indptr[row], matrix.indptr[row + 1])
            key = matrix.indices[part].tobytes() + grid[part].tobytes() + ends[row].tobytes()
            if norm[row] > 0.0 and key not in self._seen:
                self._seen.add(key)
                fresh.append(row)
        self._master.add_rows(csr_array(matrix[fresh, :]), lower[fresh])
        self.cuts += len(fresh)
        return len(fresh)

    def exclude(self, values: Floats) -> None:
        """Forbid one assignment of the integer columns."""
        integer, bounds = self.form.program.integer, self.bounds
        at_lower, at_upper = values <= bounds.lower, values >= bounds.upper
        inner = np.flatnonzero(~at_lower & ~at_upper)
        moved = self._master.add_binaries(2 * len(inner))
        width = len(self._master.cost)
        pick = csr_array((1, width))
        pick = pick.tolil()
        right = 1.0
        for j in np.flatnonzero(at_lower ^ at_upper):  # at a bound: the distance is the literal
            sign = 1.0 if at_lower[j] else -1.0
            pick[0, integer[j]] = sign
            right += sign * values[j]
        rows, lower = [], []
        for position, j in enumerate(inner):
            above, below = moved[2 * position], moved[2 * position + 1]
            pick[0, above] = pick[0, below] = 1.0
            up = values[j] + 1.0 - bounds.lower[j]
            down = bounds.upper[j] - values[j] + 1.0
            rows.append(_row(width, {int(integer[j]): 1.0, int(above): -up}))
            lower.append(bounds.lower[j])
            rows.append(_row(width, {int(integer[j]): -1.0, int(below): -down}))
            lower.append(-bounds.upper[j])
        self._master.add_rows(csr_array(pick.tocsr()), np.array([right]))
        for row, low in zip(rows, lower, strict=True):
            self._master.add_rows(row, np.array([low]))

    def add_floor(self, bound: float) -> None:
        """State a proven lower bound of the objective as a row (when the master is unbounded)."""
        row = csr_array(self._master.cost[np.newaxis, :])
        self._master.add_rows(row, np.array([(bound - self._offset) / self._unit]))

    # ------------------------------------------------------------------ solves

    def solve(
        self,
        *,
        relaxed: bool,
        absolute_gap: float = 0.0,
        node_limit: int | None = None,
        time_limit_s: float | None = None,
        incumbent: Floats | None = None,
    ) -> Claim:
        """Solve the master; x and bound are in the program's units."""
        result = self._master.solve(
            relaxed=relaxed,
            absolute_gap=absolute_gap / self._unit,
            node_limit=node_limit,
            time_limit_s=time_limit_s,
            start=self._lift(incumbent) if incumbent is not None else None,
        )
        n = self.form.program.variables
        bound = self._unit * result.bound + self._offset
        if not relaxed:
            bound -= tolerances.MASTER_BOUND * max(1.0, abs(bound))
        return Claim(
            status=result.status,
            x=None if result.x is None else self.form.column * result.x[:n],
            bound=bound,
            nodes=result.nodes,
            message=result.message,
        )

    def _lift(self, x: Floats) -> Floats | None:
        """A point of the program as a point of the master."""
        form, extra = self.form, len(self._master.cost) - self._width
        if extra:  # binaries of excluded assignments: HiGHS would have to complete the point
            return None
        scaled = x / form.column
        curved = 0.5 * scaled * (form.hessian @ scaled) / self._unit
        slack = self._cone_slack(x)
        rows = np.flatnonzero(form.split)
        head = slack[form.heads[form.cone_of_row[rows]]] if len(rows) else np.zeros(0)
        w = np.where(head > 0.0, slack[rows] ** 2 / np.where(head > 0.0, head, 1.0), 0.0)
        return np.concatenate([scaled, form.membership @ curved, w])

    @property
    def _width(self) -> int:
        return self.form.program.variables + self.form.groups + self.form.splits

    def _cone_slack(self, x: Floats) -> Floats:
        return np.asarray(self._b_cone - self.form.cone_rows @ (x / self.form.column))

    def _tail_norm(self, vector: Floats) -> Floats:
        tail = np.where(self.form.tail, vector, 0.0)
        return np.asarray(np.sqrt(np.add.reduceat(tail**2, self.form.heads)))


def _widen(matrix: csr_array, width: int) -> csr_array:
    wide = csr_array(matrix).copy()
    wide.resize((matrix.shape[0], width))
    return wide


def _row(width: int, entries: dict[int, float]) -> csr_array:
    at = (np.zeros(len(entries), int), list(entries))
    return csr_array((list(entries.values()), at), shape=(1, width))
