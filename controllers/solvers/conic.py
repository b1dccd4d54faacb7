"""Conic standard form with named parameters, and its solution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from scipy.sparse import csc_array, csr_array, vstack

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers.quadratics import product, symmetric
from stackelgrid.controllers.solvers.varying import Varying
from stackelgrid.profiles.arrays import Floats, Ints

NO_ROWS: Ints = np.zeros(0, dtype=np.int64)

SolverStatus = Literal["optimal", "infeasible", "unbounded", "failed"]
Rows = tuple[csr_array, Floats]
"""Rows of a program and their right-hand sides."""
SearchStatus = Literal["optimal", "infeasible", "unbounded", "limit", "failed"]


@dataclass(frozen=True)
class ConicProgram:
    """min 1/2 x'P x + q'x + offset  subject to  A x + s = b,  s in K, with data affine in p.

    K is `zero` equations, then `nonneg` inequalities, then second-order cones of the sizes in
    `cones` (first entry bounds the norm of the others). P is the upper triangle. The parameters
    p enter as q = q0 + Q p, b = b0 - B p, offset = c0 + c'p + p'C p. The columns in `integer`
    must take integer values; their bounds are among the inequalities. A conic solver ignores them
    (then the program is its own relaxation), `misocp.py` does not. The inequalities in `rare`
    seldom bind: a solver may leave them out, check its solution and solve again with them.
    `steps` holds for each step the columns that the next one depends on, such as stored energies: a
    solver that eliminates the rest of each step first has less to factorise. Parameters may be
    coefficients of linear rows, too: `varying` holds these entries, A their values at hand when the
    program was compiled; `at(data)` is the program with those of `data`.
    """

    quadratic: csc_array
    matrix: csc_array
    zero: int
    nonneg: int
    cones: tuple[int, ...]
    q0: Floats
    q_parameters: csr_array
    b0: Floats
    b_parameters: csr_array
    offset0: float
    offset_linear: Floats
    offset_quadratic: csr_array
    integer: Ints
    rare: Ints = field(default_factory=lambda: NO_ROWS)
    varying: "Varying | None" = None
    steps: tuple[Ints, ...] = ()

    @classmethod
    def constant(
        cls,
        matrix: csc_array,
        b: Floats,
        zero: int,
        nonneg: int,
        cones: tuple[int, ...] = (),
        *,
        quadratic: csc_array | None = None,
        q: Floats | None = None,
        offset: float = 0.0,
        integer: Ints = NO_ROWS,
        rare: Ints = NO_ROWS,
    ) -> "ConicProgram":
        """Return a program without parameters; without P and q if none are given."""
        m, n = matrix.shape
        return cls(
            quadratic=csc_array((n, n)) if quadratic is None else quadratic,
            matrix=matrix,
            zero=zero,
            nonneg=nonneg,
            cones=cones,
            q0=np.zeros(n) if q is None else q,
            q_parameters=csr_array((n, 0)),
            b0=b,
            b_parameters=csr_array((m, 0)),
            offset0=offset,
            offset_linear=np.zeros(0),
            offset_quadratic=csr_array((0, 0)),
            integer=integer,
            rare=rare,
        )

    @cached_property
    def magnitudes(self) -> csc_array:
        """Absolute values of A."""
        return abs(self.matrix)

    @cached_property
    def hessian(self) -> csr_array:
        """The full matrix P."""
        return symmetric(self.quadratic)

    @property
    def kinds(self) -> Ints:
        """Kind of every row: 0 for equations, 1 for inequalities, 2 for rows of cones."""
        counts = (self.zero, self.nonneg, self.rows - self.linear)
        return np.repeat(np.arange(3, dtype=np.int64), counts)

    @cached_property
    def heads(self) -> Ints:
        """First row of every cone."""
        sizes = np.array(self.cones, dtype=np.int64)
        return np.asarray(self.linear + np.cumsum(sizes) - sizes)

    @property
    def variables(self) -> int:
        """Number of variables."""
        return len(self.q0)

    @property
    def rows(self) -> int:
        """Number of rows of A."""
        return len(self.b0)

    @property
    def linear(self) -> int:
        """Number of linear rows, which come before those of cones."""
        return self.zero + self.nonneg

    def without_objective(self) -> "ConicProgram":
        """Return the program without P: with no linear cost any point of it is optimal."""
        return replace(self, quadratic=csc_array((self.variables, self.variables)))

    def only(self, rows: Ints) -> "ConicProgram":
        """Return the program with some of its rows (ascending, cones as a whole), no parameters."""
        kept = np.isin(self.heads, rows)
        return ConicProgram.constant(
            csc_array(csr_array(self.matrix)[rows]),
            np.zeros(len(rows)),
            int((rows < self.zero).sum()),
            int(((rows >= self.zero) & (rows < self.linear)).sum()),
            tuple(size for size, keep in zip(self.cones, kept, strict=True) if keep),
            quadratic=self.quadratic,
            integer=self.integer,
        )

    def extended(
        self, b: Floats, added: Sequence["Rows"], integer: Ints = NO_ROWS
    ) -> tuple["ConicProgram", Floats]:
        """Return the program with further rows and columns, without parameters, and all sides.

        b: right-hand sides of this program.
        added: equations, inequalities and rows of one cone, each a matrix with its sides; they go
            behind the program's own of their kind. Further columns of the matrices are new.
        integer: new integer columns.
        """
        n = added[0][0].shape[1]
        wide, quadratic = csr_array(self.matrix), csc_array(self.quadratic)
        wide.resize((self.rows, n))
        quadratic.resize((n, n))
        edges = (0, self.zero, self.linear, self.rows)
        matrices, sides = [], []
        for (matrix, side), first, last in zip(added, edges[:-1], edges[1:], strict=True):
            matrices += [wide[first:last], matrix]
            sides += [b[first:last], side]
        right, cone = np.concatenate(sides), len(added[2][1])
        program = ConicProgram.constant(
            csc_array(vstack(matrices, format="csc")),
            right,
            self.zero + len(added[0][1]),
            self.nonneg + len(added[1][1]),
            (*self.cones, cone) if cone else self.cones,
            quadratic=quadratic,
            integer=np.concatenate([self.integer, integer]),
        )
        return program, right

    def data(self, p: Floats) -> "ProgramData":
        """Vectors of one instance; `p` holds a value for every parameter."""
        offset = self.offset0 + self.offset_linear @ p + p @ (self.offset_quadratic @ p)
        return ProgramData(
            q=self.q0 + self.q_parameters @ p,
            b=self.b0 - self.b_parameters @ p,
            offset=float(offset),
            coefficients=None if self.varying is None else self.varying.values(p),
        )

    def at(self, data: "ProgramData") -> "ConicProgram":
        """Return the program with the coefficients of an instance, constant."""
        if data.coefficients is None:
            return self
        assert self.varying is not None
        return replace(
            self, matrix=self.varying.placed(self.matrix, data.coefficients), varying=None
        )

    def objective(self, x: Floats, data: "ProgramData") -> float:
        """Objective at x."""
        return float(0.5 * x @ product(self.quadratic, x) + data.q @ x + data.offset)

    def violation(self, x: Floats, b: Floats) -> tuple[float, int]:
        """Largest violation of a row at x, relative to the size of its terms, and that row.

        For a cone the row is its first. An independent check: nothing of a solver is used.
        """
        worst = self.violations(x, b)
        row = int(np.argmax(worst)) if self.rows else 0
        return (float(worst[row]) if self.rows else 0.0), row

    def binding(self, x: Floats, b: Floats) -> Ints:
        """Rows of `rare` that hold at x with next to no slack, relative to their limit."""
        slack = (b - self.matrix @ x)[self.rare]
        limit = tolerances.POINT_VIOLATION * (1.0 + np.abs(b[self.rare]))
        return np.asarray(self.rare[slack <= limit])

    def violations(self, x: Floats, b: Floats) -> Floats:
        """Violation of every row at x, relative to the size of its terms; a cone's at its first."""
        slack = b - self.matrix @ x
        size = 1.0 + np.abs(b) + self.magnitudes @ np.abs(x)
        worst = np.zeros(self.rows)
        worst[: self.zero] = np.abs(slack[: self.zero])
        worst[self.zero : self.linear] = np.maximum(-slack[self.zero : self.linear], 0.0)
        if self.cones:
            squares = np.add.reduceat(slack[self.linear :] ** 2, self.heads - self.linear)
            head = slack[self.heads]
            norm = np.sqrt(np.maximum(squares - head**2, 0.0))
            worst[self.heads] = np.maximum(norm - head, 0.0)
        return np.asarray(worst / size)


@dataclass(frozen=True)
class ProgramData:
    """The vectors of a program that change from one instance to the next.

    `binding` are rows of `rare` that are expected to bind; a solver may then begin with all rows.
    `coefficients` are the values of the program's `varying` entries, None without such.
    """

    q: Floats
    b: Floats
    offset: float
    binding: Ints = field(default_factory=lambda: NO_ROWS)
    coefficients: Floats | None = None

    @classmethod
    def without_objective(cls, b: Floats, variables: int) -> "ProgramData":
        """Return vectors in which any point of the rows is optimal."""
        return cls(np.zeros(variables), b, 0.0)

    def binding_among(self, rows: Ints) -> Ints:
        """Positions in `rows` of those that are expected to bind."""
        return np.flatnonzero(np.isin(rows, self.binding)).astype(np.int64)


@dataclass(frozen=True)
class Solution:
    """Solution of one instance, after an independent check of the point.

    `dual` belongs to A x + s = b with the Lagrangian f + dual'(A x + s - b), so the derivative of
    the optimal value with respect to b is -dual. `bound` is the dual objective; `gap` is
    |objective - bound| relative to max(1, |objective|). Infeasible and unbounded instances have
    NaN values. `violation` is relative (see ConicProgram.violation).
    """

    status: SolverStatus
    x: Floats
    dual: Floats
    objective: float
    bound: float
    violation: float
    iterations: int
    solve_s: float
    message: str

    @classmethod
    def without_values(cls, status: SolverStatus, message: str) -> "Solution":
        """Return a solution without point, multipliers and values."""
        nan, none = float("nan"), np.zeros(0)
        return cls(status, none, none, nan, nan, nan, 0, 0.0, message)

    @property
    def gap(self) -> float:
        """Relative gap between objective and bound."""
        return abs(self.objective - self.bound) / max(1.0, abs(self.objective))


class ConicSolver(Protocol):
    """A solver bound to one program; solve may be called many times with new data."""

    name: str
    version: str

    def solve(self, data: ProgramData, tolerance: float | None = None) -> Solution:
        """Solve one instance to rounding, or faster to a relative `tolerance`.

        The bound of a faster solve is a weaker one, never a wrong one.
        """
        ...


def stacked_rows(programs: Sequence[ConicProgram]) -> tuple[Ints, list[Ints]]:
    """Order of the rows of programs side by side, kind by kind, and places of each one's rows."""
    order = np.argsort(np.concatenate([p.kinds for p in programs]), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return order, np.split(place, np.cumsum([p.rows for p in programs])[:-1])


def parameter_vector(layout: Mapping[str, Ints], values: Mapping[str, Floats | float]) -> Floats:
    """Assemble p from arrays by parameter name; refuses missing, unknown, misshaped or NaN data."""
    missing, unknown = sorted(set(layout) - set(values)), sorted(set(values) - set(layout))
    if missing or unknown:
        raise SolverError(f"parameters missing: {missing or 'none'}, unknown: {unknown or 'none'}")
    p = np.empty(sum(len(columns) for columns in layout.values()))
    for name, columns in layout.items():
        given = np.asarray(values[name], dtype=float).ravel()
        if given.size not in (1, columns.size):
            raise SolverError(
                f"parameter {name} has {given.size} values; {columns.size}, or one for all, "
                "are accepted"
            )
        flat = np.broadcast_to(given, columns.shape)
        if not np.isfinite(flat).all():
            at = int(np.flatnonzero(~np.isfinite(flat))[0])
            raise SolverError(f"parameter {name}[{at}] is {flat[at]}; a finite value is accepted")
        p[columns] = flat
    return p
