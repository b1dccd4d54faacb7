"""The conic program that remains when every integer column is fixed, and integer snapping."""

import numpy as np
from scipy.sparse import csc_array, csr_array, hstack, triu

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.varying import Varying
from stackelgrid.profiles.arrays import Floats, Ints


class RestrictedProgram:
    """Continuous columns only; a fixing of the integer columns enters through q, b and offset.

    Rows that hold integer columns only do not constrain what remains: they are checks.
    """

    def __init__(self, program: ConicProgram) -> None:
        n, m, linear = program.variables, program.rows, program.linear
        self.full = program
        self.integer = program.integer
        self.free: Ints = np.setdiff1d(np.arange(n, dtype=np.int64), program.integer)
        columns = csc_array(program.matrix)
        self._a_integer = csr_array(columns[:, self.integer])
        a_free = csr_array(columns[:, self.free])
        a_free.eliminate_zeros()
        used = np.diff(a_free.indptr) > 0
        sizes = np.array(program.cones, dtype=np.int64)
        kept = np.ones(len(sizes), dtype=bool)
        if len(sizes):  # a cone stays or goes as a whole
            kept = np.add.reduceat(used[linear:].astype(int), program.heads - linear) > 0
            used[linear:] = np.repeat(kept, sizes)
        self.rows: Ints = np.flatnonzero(used).astype(np.int64)
        symmetric = csc_array(program.hessian)
        self._p_cross = csr_array(symmetric[self.free, :][:, self.integer])
        self._p_integer = csr_array(symmetric[self.integer, :][:, self.integer])
        # its parameters are the program's and, behind them, the values of the integers
        self.program = ConicProgram(
            quadratic=csc_array(triu(symmetric[self.free, :][:, self.free])),
            matrix=csc_array(a_free[self.rows, :]),
            zero=int(used[: program.zero].sum()),
            nonneg=int(used[program.zero : linear].sum()),
            cones=tuple(sizes[kept].tolist()),
            q0=program.q0[self.free],
            q_parameters=csr_array(
                hstack([csr_array(program.q_parameters)[self.free, :], self._p_cross])
            ),
            b0=program.b0[self.rows],
            b_parameters=csr_array(
                hstack(
                    [
                        csr_array(program.b_parameters)[self.rows, :],
                        self._a_integer[self.rows, :],
                    ]
                )
            ),
            offset0=0.0,
            offset_linear=np.zeros(0),
            offset_quadratic=csr_array((0, 0)),
            integer=np.zeros(0, dtype=np.int64),
            rare=np.flatnonzero(np.isin(self.rows, program.rare)).astype(np.int64),
            varying=self._varying(program),
            steps=tuple(np.searchsorted(self.free, columns) for columns in program.steps),
        )
        self._m = m

    def _varying(self, program: ConicProgram) -> Varying | None:
        """Return the entries that depend on data; none of them is in an integer column."""
        if program.varying is None:
            return None
        found = program.varying
        parameters = found.of_parameters.shape[1] + len(self.integer)
        of_parameters = csr_array(
            (found.of_parameters.data, found.of_parameters.indices, found.of_parameters.indptr),
            shape=(len(found.rows), parameters),
        )
        return Varying(
            np.searchsorted(self.rows, found.rows),
            np.searchsorted(self.free, found.columns),
            found.constant,
            of_parameters,
        )

    def data(self, data: ProgramData, values: Floats) -> ProgramData:
        """Vectors of the restricted program at integer `values`."""
        b = data.b - self._a_integer @ values
        squares = 0.5 * values @ (self._p_integer @ values)
        return ProgramData(
            q=data.q[self.free] + self._p_cross @ values,
            b=b[self.rows],
            offset=float(data.offset + data.q[self.integer] @ values + squares),
            binding=data.binding_among(self.rows),
            coefficients=data.coefficients,
        )

    def join(self, x_free: Floats, values: Floats) -> Floats:
        """A point of the full program."""
        x = np.empty(self.full.variables)
        x[self.free], x[self.integer] = x_free, values
        return x

    def join_dual(self, dual: Floats) -> Floats:
        """Multipliers of the full program's rows; check rows carry none."""
        z = np.zeros(self._m)
        z[self.rows] = dual
        return z

    def admits(self, data: ProgramData, values: Floats) -> bool:
        """Return whether the rows that hold integer columns only are satisfied."""
        x = self.join(np.zeros(len(self.free)), values)
        worst = self.full.violations(x, data.b)
        worst[self.rows] = 0.0
        return bool(worst.max(initial=0.0) <= tolerances.POINT_VIOLATION)


def least_violation(program: ConicProgram, data: ProgramData, x: Floats) -> Floats:
    """Round each integer column up or down, whichever breaks its linear rows less; ties: nearest.

    For `ch <= pmax u, dis <= pmax (1 - u)` this is the direction of the net flow.
    """
    linear = program.linear
    columns = csc_array(program.matrix[:linear, :][:, program.integer])
    slack = data.b[:linear] - program.matrix[:linear, :] @ x
    size = 1.0 + np.abs(data.b[:linear])
    relaxed = x[program.integer]
    owner = np.repeat(np.arange(len(relaxed)), np.diff(columns.indptr))
    equal = columns.indices < program.zero
    near = np.round(relaxed)
    other = np.where(relaxed >= near, near + 1.0, near - 1.0)

    def cost(values: Floats) -> Floats:
        moved = slack[columns.indices] - columns.data * (values - relaxed)[owner]
        broken = np.where(equal, np.abs(moved), np.maximum(-moved, 0.0)) / size[columns.indices]
        return np.bincount(owner, weights=broken, minlength=len(relaxed)).astype(np.float64)

    integral = np.abs(relaxed - near) <= tolerances.INTEGRALITY
    better = cost(other) < cost(near) - tolerances.POINT_VIOLATION
    return np.where(better & ~integral, other, near)
