"""Replace complementarity by the row: primal objective <= dual objective.

    y'P y + q(x)'y + b(x)'nu <= 0,    q(x) = q + Q x,  b(x) = b - B x

With the follower's rows and stationarity this is strong duality, for cones too. It is convex
unless the row multiplies the leader's variables with y or nu; a product is accepted only if it
linearises exactly: one factor has a single possible value, or x is an integer and the other
factor has proven bounds (McCormick's envelope of binary times bounded is exact).
"""

import time
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_array, csr_array

from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.presolve.bounds import (
    Ranges,
    leader_sees_duals,
    vertex_bounds,
)
from stackelgrid.controllers.bilevel.problem import (
    BilevelData,
    BilevelOptions,
    Outcome,
)
from stackelgrid.controllers.bilevel.search.branching import pattern
from stackelgrid.controllers.bilevel.search.node import (
    root_state,
)
from stackelgrid.controllers.bilevel.search.restriction import proven, restrict
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, Rows
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.controllers.solvers.mixed_integer.misocp import MixedIntegerConicSolver
from stackelgrid.controllers.solvers.quadratics import factor
from stackelgrid.profiles.arrays import Floats

_SINGLE = 1e-5  # bounds closer than this (relative) are one value; they carry a margin of 1e-6


def solve_strong_duality(form: KktForm, data: BilevelData, options: BilevelOptions) -> Outcome:
    """Solve with strong duality as a row; raises ModelError for products that do not linearise.

    For a follower that is not linear the row is a curved function whose minimum is zero: no point
    is interior and no multiplier supports a bound. Its point is then a start, and branching on
    the pairs proves or improves it, as it does where the solver of the row failed.
    """
    started = time.perf_counter()
    outcome = _by_row(form, data, options)
    curved = form.bilevel.follower.quadratic.nnz or form.cone_rows
    if outcome is not None and not curved:
        return outcome
    outcome = outcome or Outcome("limit", message="strong duality: the solver failed")
    return proven(form, data, options.after(started, outcome.nodes), outcome)


def _by_row(form: KktForm, data: BilevelData, options: BilevelOptions) -> Outcome | None:
    """Solve the single level with the row, and make its point exact; None if that failed."""
    started = time.perf_counter()
    single, state = form.data(data), root_state(form, form.data(data))
    row = _Linearised(form, data).row()
    if row is None:
        return Outcome("infeasible", bound=np.inf, message="the rows have no common point")
    program, vectors = _with_row(form, single, row)
    n_own = len(form.program.integer)
    snap = options.snap

    def own_and_digits(z: Floats) -> Floats:
        x = z[form.layout.x]
        own = np.round(x[form.program.integer] if snap is None else snap(x))
        return np.concatenate([own, np.round(z[row.binary])])

    found = MixedIntegerConicSolver(program, own_and_digits).solve(
        vectors, MixedOptions(options.gap, options.time_limit_s, options.node_limit)
    )
    if found.status == "failed":
        return None
    if not len(found.x):
        return Outcome(found.status, bound=found.bound, nodes=found.nodes, message="strong duality")
    z = found.x[: form.columns]
    values = np.round(found.x[program.integer])[:n_own]
    outcome = Outcome(
        status="optimal" if found.status == "optimal" else "limit",
        z=z,
        objective=found.objective,
        bound=found.bound,
        nodes=found.nodes + found.conic_solves,
        message="strong duality",
    )
    fixed = pattern(form, single, state, z, values)
    return restrict(form, data, fixed, outcome, options.after(started, outcome.nodes))


@dataclass
class _Row:
    """Strong duality |factor y|^2 + sum of coefficients + constant <= 0, with its new columns.

    Columns from `form.columns` on are new; `binary` are those that are 0 or 1. Each entry of
    `rows` is (coefficients, right-hand side, equation).
    """

    columns: int
    coefficients: dict[int, float] = field(default_factory=dict)
    constant: float = 0.0
    binary: list[int] = field(default_factory=list)
    rows: list[tuple[dict[int, float], float, bool]] = field(default_factory=list)

    def add(self, column: int, value: float) -> None:
        self.coefficients[column] = self.coefficients.get(column, 0.0) + value

    def new_column(self) -> int:
        self.columns += 1
        return self.columns - 1


class _Linearised:
    """Builds the row, one product of the leader's variables after the other."""

    def __init__(self, form: KktForm, data: BilevelData) -> None:
        self.form, self.data = form, data
        self.single = form.data(data)
        self.ranges = Ranges(form.program, self.single.b)
        self.vertices: Floats | None = None
        self.known: dict[int, tuple[float, float]] = {}
        self.digits: dict[int, tuple[float, list[tuple[int, float]]]] = {}
        self.integers = set(form.program.integer.tolist())

    def row(self) -> _Row | None:
        """Return the row, or None if the single level has no point even without it."""
        form, program = self.form, self.form.bilevel
        below = program.follower.data(self.data.follower_parameters)
        result = _Row(form.columns)
        for j, value in enumerate(below.q.tolist()):
            result.add(form.layout.y.start + j, value)
        for i, value in enumerate(below.b.tolist()):
            result.add(form.layout.nu.start + i, value)
        products = [
            (program.follower.q_parameters @ program.link, 1.0, form.layout.y.start),
            (program.follower.b_parameters @ program.link, -1.0, form.layout.nu.start),
        ]
        for matrix, sign, first in products:
            entries = coo_array(matrix)
            for i, k, value in zip(entries.row, entries.col, entries.data, strict=True):
                if value != 0.0 and not self._product(
                    result, int(k), first + int(i), sign * float(value)
                ):
                    return None
        return result

    def _product(self, row: _Row, x: int, column: int, value: float) -> bool:
        """Add value * z[x] * z[column]; return False if the rows have no common point."""
        low, high = self._range(x)
        if low > high + _SINGLE * max(1.0, abs(low)):
            return False
        if _one_value(low, high):
            row.add(column, value * 0.5 * (low + high))
            return True
        below, above = self._range(column)
        if below > above + _SINGLE * max(1.0, abs(below)):
            return False
        if _one_value(below, above):
            if self.vertices is not None:  # then only the vertices have one value
                row.rows.append(({column: 1.0}, above, False))
            row.add(x, value * 0.5 * (below + above))
            return True
        if x not in self.integers or not np.isfinite([below, above]).all():
            self._refuse(x, column)
        lowest, digits = self._digits(row, x)
        row.add(column, value * lowest)
        for digit, weight in digits:
            row.add(self._binary_times(row, digit, column, below, above), value * weight)
        return True

    def _range(self, column: int) -> tuple[float, float]:
        """Return proven bounds of a column, multipliers by vertices of the duals if possible."""
        if column not in self.known:
            cost = np.zeros(self.form.columns)
            cost[column] = 1.0
            low, high = -self.ranges.largest(-cost), self.ranges.largest(cost)
            pairs = np.flatnonzero(self.form.multipliers == column)
            if high == np.inf and len(pairs) and not leader_sees_duals(self.form, self.data):
                if self.vertices is None:
                    self.vertices = vertex_bounds(self.form, self.data)
                high = float(self.vertices[pairs[0]])
            self.known[column] = low, high
        return self.known[column]

    def _digits(self, row: _Row, x: int) -> tuple[float, list[tuple[int, float]]]:
        """Return binary digits of an integer above its lower bound; a binary is its own digit."""
        if x not in self.digits:
            state = root_state(self.form, self.single)
            at = int(np.flatnonzero(self.form.program.integer == x)[0])
            low, high = float(state.lower[at]), float(state.upper[at])
            if (low, high) == (0.0, 1.0):
                self.digits[x] = 0.0, [(x, 1.0)]
            else:
                digits = [
                    (row.new_column(), float(2**t))
                    for t in range(max(int(high - low), 1).bit_length())
                ]
                row.binary += [column for column, _ in digits]
                row.rows.append(({x: 1.0, **{c: -w for c, w in digits}}, low, True))
                self.digits[x] = low, digits
        return self.digits[x]

    def _binary_times(self, row: _Row, digit: int, column: int, below: float, above: float) -> int:
        """Return a column equal to a binary times a bounded column."""
        product = row.new_column()
        row.rows += [
            ({product: -1.0, digit: below}, 0.0, False),
            ({product: 1.0, digit: -above}, 0.0, False),
            ({product: 1.0, column: -1.0, digit: -below}, -below, False),
            ({product: -1.0, column: 1.0, digit: above}, above, False),
        ]
        return product

    def _refuse(self, x: int, column: int) -> None:
        names, first = self.form.bilevel.names, self.form.layout.nu.start
        other = (
            f"the dual of {names.follower_row(column - first)}"
            if column >= first
            else names.column(column)
        )
        raise ModelError(
            f"{names.column(x)}: its product with {other} in strong duality cannot be linearised "
            "exactly; methods kkt_disjunctive and branch need no product"
        )


def _one_value(low: float, high: float) -> bool:
    return bool(np.isfinite([low, high]).all() and high - low <= _SINGLE * max(1.0, abs(low)))


def _with_row(form: KktForm, single: ProgramData, row: _Row) -> tuple[ConicProgram, ProgramData]:
    """Return the single level with the new columns and rows; leader's integers, then digits."""
    n = row.columns
    equations = [(c, b) for c, b, equation in row.rows if equation]
    inequalities = [(c, b) for c, b, equation in row.rows if not equation]
    inequalities += [({d: s}, max(s, 0.0)) for d in row.binary for s in (1.0, -1.0)]
    cone: list[tuple[dict[int, float], float]] = []
    squares = factor(form.bilevel.follower.quadratic)
    if squares.shape[0]:  # |F y|^2 <= t as the cone (t + 1, t - 1, 2 F y), t = -constant - linear
        y = form.layout.y.start
        cone = [(row.coefficients, 1.0 - row.constant), (row.coefficients, -1.0 - row.constant)]
        for line in squares:
            flat = coo_array(line)
            places = flat.coords[-1]
            cone.append(
                ({y + int(c): -2.0 * float(v) for c, v in zip(places, flat.data, strict=True)}, 0.0)
            )
    else:
        inequalities.append((row.coefficients, -row.constant))
    joined, b = form.program.extended(
        single.b,
        [_sparse(equations, n), _sparse(inequalities, n), _sparse(cone, n)],
        np.array(row.binary, dtype=np.int64),
    )
    q = np.concatenate([single.q, np.zeros(n - form.columns)])
    return joined, ProgramData(q, b, single.offset)


def _sparse(rows: list[tuple[dict[int, float], float]], n: int) -> Rows:
    entries = [(k, c, v) for k, (row, _) in enumerate(rows) for c, v in row.items()]
    data = np.array(entries, dtype=float).reshape(len(entries), 3).T
    places = (data[0].astype(int), data[1].astype(int))
    return csr_array((data[2], places), shape=(len(rows), n)), np.array([b for _, b in rows])
