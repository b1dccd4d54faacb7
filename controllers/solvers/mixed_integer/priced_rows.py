"""A Lagrangian bound: cones and network rows are priced out, the integers' linear rows are kept.

With multipliers z (dual objective D) and R a set of linear rows, the program min c'x over the rows
R with c = -A_R' z_R and integer columns integral, value V, gives the bound D + V + b_R' z_R: all
other rows stand in the objective with their multipliers, which stationarity has turned into c.
R are the rows with at most one column that is part of a cone: storage, markets and balances of
devices stay, the flows of a network do not, and what is left is far smaller than a master of the
whole program.

Two sets of multipliers are of use. For those of the relaxation V >= -b_R' z_R by weak duality, so
the bound is never below D. Those of the restricted program are stationary in all columns but the
integers, whose own c = q + A_N' z_N (N: all other rows) is taken instead; where the fixed integers
are the best ones at its prices, its own value is the bound.
"""

import numpy as np
from scipy.sparse import csc_array, csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.backends.highs import LinearMaster
from stackelgrid.controllers.solvers.bound_rows import BoundRows
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.quadratics import curved
from stackelgrid.profiles.arrays import Floats, Ints


class PricedRows:
    """Bound to one program; `useful` is false where nothing would be priced out, or all."""

    def __init__(self, program: ConicProgram, bound_rows: BoundRows) -> None:
        self._program, self._bound_rows = program, bound_rows
        linear = program.linear
        matrix = csr_array(program.matrix)
        matrix.eliminate_zeros()
        rows = matrix[:linear, :]
        in_cone = np.zeros(program.variables)
        in_cone[matrix[linear:, :].indices] = 1.0
        pattern = csr_array((np.ones(rows.nnz), rows.indices, rows.indptr), shape=rows.shape)
        kept = (pattern @ in_cone <= 1.0) & (
            pattern @ curved(program.quadratic).astype(float) == 0.0
        )
        kept &= np.diff(rows.indptr) > 0
        self._rows: Ints = np.flatnonzero(kept).astype(np.int64)
        used = np.zeros(program.variables, dtype=bool)
        used[rows[self._rows, :].indices] = True
        self._columns: Ints = np.flatnonzero(used).astype(np.int64)
        self._matrix = csr_array(csc_array(rows[self._rows, :])[:, self._columns])
        self._many = np.diff(self._matrix.indptr) > 1
        self._equal = self._rows < program.zero
        place = np.full(program.variables, -1, dtype=np.int64)
        place[self._columns] = np.arange(len(self._columns))
        integer = place[program.integer]
        self._integer: Ints = integer[integer >= 0]
        self._all_kept = bool((integer >= 0).all())
        outside = csr_array(program.matrix)[:, program.integer[integer >= 0]]
        self._outside = np.setdiff1d(np.arange(program.rows), self._rows)
        self._integer_outside = csr_array(outside[self._outside, :])
        self._integer_columns = program.integer[integer >= 0]
        self.useful = len(self._integer) > 0 and len(self._columns) < program.variables

    def bound(
        self,
        data: ProgramData,
        dual: Floats,
        value: float,
        fixed: Floats | None,
        *,
        absolute_gap: float,
        nodes: int,
        seconds: float | None,
    ) -> tuple[float, int]:
        """Return a lower bound (-inf where HiGHS proved nothing), and the nodes it took.

        data: vectors of the instance.
        dual: multipliers (rows,).
        value: their dual objective.
        fixed: values of the integers with which they were found; None for the relaxation.
        absolute_gap, nodes, seconds: stopping rules of HiGHS.
        """
        if fixed is not None:
            if not self._all_kept:
                return -np.inf, 0
            columns = self._program.integer
            priced = data.q[columns] + self._program.matrix[:, columns].T @ dual
            value -= float(fixed @ priced)
        z: Floats = dual[self._rows].copy()
        z[~self._equal] = np.maximum(z[~self._equal], 0.0)
        cost = -(self._matrix.T @ z)
        own = data.q[self._integer_columns]
        cost[self._integer] = own + self._integer_outside.T @ dual[self._outside]
        unit = float(np.abs(cost).max(initial=0.0)) or 1.0
        right = data.b[self._rows]
        lower, upper = self._bound_rows.bounds(data.b)
        lower = np.minimum(lower, upper)  # bounds that cross by rounding
        many = self._many
        master = LinearMaster(
            cost=cost / unit,
            lower=lower[self._columns],
            upper=upper[self._columns],
            integer=self._integer,
            matrix=csr_array(self._matrix[many, :]),
            row_lower=np.where(self._equal, right, -np.inf)[many],
            row_upper=right[many],
        )
        result = master.solve(
            absolute_gap=absolute_gap / unit,
            node_limit=nodes,
            time_limit_s=seconds,
        )
        if result.status not in ("optimal", "limit"):
            return -np.inf, result.nodes
        gain = unit * result.bound + float(right @ z)
        bound = value + gain
        return bound - tolerances.MASTER_BOUND * max(1.0, abs(bound)), result.nodes
