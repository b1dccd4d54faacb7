"""Products of duals and primal variables in the leader's objective, replaced exactly.

At every point that satisfies the follower's optimality conditions these identities hold:

    row i          nu_i (b_i(x) - A_i y) = 0                     (a cone: summed over its rows)
    variable j     y_j ((P y)_j + q_j(x) + (A' nu)_j) = 0

Multiples alpha_i and beta_j of them are added so that every product of a multiplier with a
variable cancels; what remains is quadratic in (x, y) and linear in nu (for a market: the payment
as cost plus capacity rents, docs/formulation.md).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import block_array, coo_array, csc_array, csr_array, diags_array, triu
from scipy.sparse.csgraph import connected_components

from stackelgrid.controllers.bilevel.problem import BilevelProgram
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.quadratics import convex, entries_at
from stackelgrid.profiles.arrays import Floats, Ints

_EQUAL = 1e-9  # two values of one multiple of an identity are the same (relative)


@dataclass(frozen=True)
class ProductIdentities:
    """Multiples of the identities: `row` (follower.rows,) and `column` (follower.variables,)."""

    row: Floats
    column: Floats

    def quadratic(self, program: BilevelProgram) -> csc_array:
        """Quadratic terms in [x | y] that the identities add: upper triangle, z'Pz/2."""
        follower = program.follower
        scaled = diags_array(self.column) @ follower.hessian
        cross = diags_array(self.column) @ follower.q_parameters @ program.link
        zero = csr_array((program.n_x, program.n_x))
        return csc_array(
            triu(block_array([[zero, cross.T], [cross, scaled + scaled.T]], format="csc"))
        )

    def multiplier_cost(self, b: Floats) -> Floats:
        """Linear cost of nu that the identities add, at the follower's right-hand sides."""
        return np.asarray(self.row * b)

    def variable_cost(self, q: Floats) -> Floats:
        """Linear cost of y that the identities add, at the follower's linear cost."""
        return np.asarray(self.column * q)


def product_identities(program: BilevelProgram) -> ProductIdentities:
    """Return multiples of the identities that cancel `program.products`.

    Every entry of A requires alpha_i - beta_j = G_ij / A_ij (G: coefficient of nu_i y_j), every
    entry of the follower's x-columns alpha_i = G_ik / B_ik: potentials on a graph. Raises
    ModelError, naming the row and the variable, if they do not exist or leave a non-convex
    objective.
    """
    follower = program.follower
    n_x, m, n_y = program.n_x, follower.rows, program.n_y
    none = ProductIdentities(np.zeros(m), np.zeros(n_y))
    if not program.products.nnz:
        return none
    wanted = _products_with_multipliers(program)
    graph = _Graph(program)
    graph.anchor(graph.x_entries, wanted[:, :n_x], "the leader's variable")
    graph.measure(wanted[:, n_x:])
    row, column = graph.potentials()
    return _shifted(program, graph, row, column)


def _products_with_multipliers(program: BilevelProgram) -> csr_array:
    """Coefficients G of nu_i times [x | y] in the leader's objective."""
    both = csr_array(program.products + program.products.T)
    first_w = program.n_x + program.n_y
    if csr_array(program.products[first_w:, first_w:]).nnz:
        raise ModelError("objective: a dual times a dual is not accepted among the products")
    if csr_array(program.products[:first_w, :first_w]).nnz:
        raise ModelError("objective: products hold duals times variables only")
    return csr_array(program.dual_map.T @ both[first_w:, :first_w])


class _Graph:
    """Nodes: identities of rows (a cone's rows are one) and of variables; edges: entries of A."""

    def __init__(self, program: BilevelProgram) -> None:
        follower = program.follower
        self.program = program
        group = np.arange(follower.rows, dtype=np.int64)
        group[follower.linear :] = np.repeat(follower.heads, follower.cones)
        self.group: Ints = group
        self.x_entries = csr_array(follower.b_parameters @ program.link)
        self.y_entries = csr_array(follower.matrix)
        self.x_entries.eliminate_zeros()
        self.y_entries.eliminate_zeros()
        self.fixed: dict[int, float] = {}
        self.edges = np.zeros(0)

    def _quotients(self, entries: csr_array, wanted: csr_array, what: str, first: int) -> Floats:
        """Return G / entries on the pattern of `entries`; G must have no other entries."""
        pattern = csr_array(entries)
        pattern.data = np.ones_like(pattern.data)
        wanted = csr_array(wanted)
        wanted.eliminate_zeros()
        outside = coo_array(wanted - wanted * pattern)
        outside.eliminate_zeros()
        if outside.nnz:
            names = self.program.names
            raise ModelError(
                f"objective: the dual of {names.follower_row(int(outside.row[0]))} times "
                f"{names.column(first + int(outside.col[0]))} cannot be replaced exactly; accepted "
                f"is a dual times {what} of its own constraint"
            )
        flat = coo_array(entries)
        return np.asarray(entries_at(wanted, flat.row, flat.col) / flat.data)

    def anchor(self, entries: csr_array, wanted: csr_array, what: str) -> None:
        """Set the known multiples of the rows that contain an x."""
        values = self._quotients(entries, wanted, what, 0)
        flat = coo_array(entries)
        for row, column, value in zip(flat.row, flat.col, values, strict=True):
            node = int(self.group[row])
            known = self.fixed.setdefault(node, float(value))
            if not _same(known, float(value)):
                self._refuse(int(row), int(column))

    def measure(self, wanted: csr_array) -> None:
        """Compute the differences that the entries of A require."""
        self.edges = self._quotients(self.y_entries, wanted, "a variable", self.program.n_x)

    def potentials(self) -> tuple[Floats, Floats]:
        """Return multiples along a spanning forest, checked on every edge."""
        m, n = self.y_entries.shape
        flat = coo_array(self.y_entries)
        self.row_node = self.group[flat.row]
        self.column_node = m + flat.col.astype(np.int64)
        adjacency = csr_array(
            (np.ones(flat.nnz), (self.row_node, self.column_node)), shape=(m + n, m + n)
        )
        self.components, self.label = connected_components(adjacency, directed=False)
        self.anchored = np.zeros(self.components, dtype=bool)
        value = np.full(m + n, np.nan)
        neighbours: list[list[tuple[int, float]]] = [[] for _ in range(m + n)]
        for i, j, d in zip(self.row_node, self.column_node, self.edges, strict=True):
            neighbours[i].append((int(j), -float(d)))
            neighbours[j].append((int(i), float(d)))
        self.anchored[self.label[list(self.fixed)]] = True
        starts = [*self.fixed.items(), *((node, 0.0) for node in range(m + n))]
        for node, start in starts:
            if not np.isnan(value[node]):
                continue
            value[node] = start
            stack = [node]
            while stack:
                at = stack.pop()
                for other, step in neighbours[at]:
                    if np.isnan(value[other]):
                        value[other] = value[at] + step
                        stack.append(other)
        wrong = ~np.isclose(value[self.row_node] - value[self.column_node], self.edges,
                            rtol=_EQUAL, atol=_EQUAL)  # fmt: skip
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            self._refuse(int(flat.row[at]), self.program.n_x + int(flat.col[at]))
        for node, start in self.fixed.items():
            if not _same(value[node], start):
                self._refuse(node, int(self.x_entries[[node]].indices[0]))
        return value[self.group], value[m:]

    def _refuse(self, row: int, column: int) -> None:
        names = self.program.names
        raise ModelError(
            f"objective: the dual of {names.follower_row(row)} times {names.column(column)} stays "
            "bilinear; no combination of the complementarity identities removes it"
        )


def _shifted(
    program: BilevelProgram, graph: _Graph, row: Floats, column: Floats
) -> ProductIdentities:
    """Choose free constants of components without an anchor so that the objective is convex."""
    m = len(row)
    priced = np.diff(csr_array(program.follower.q_parameters @ program.link).indptr) > 0
    curved = np.diff(program.follower.hessian.indptr) > 0
    for component in np.flatnonzero(~graph.anchored):
        columns = np.flatnonzero(graph.label[m:] == component)
        rows = graph.label[graph.group] == component
        if not ((priced | curved)[columns].any() and rows.any() and column[columns].any()):
            continue
        among = np.unique(column[columns[priced[columns]]])
        candidates = [0.0, float(column[columns].min()), *among.tolist()]
        for shift in candidates:
            tried = ProductIdentities(row - shift * rows, column.copy())
            tried.column[columns] -= shift
            if convex(_only(tried, columns).quadratic(program)):
                row, column = tried.row, tried.column
                break
    return ProductIdentities(row, column)


def _only(identities: ProductIdentities, columns: Ints) -> ProductIdentities:
    part = np.zeros_like(identities.column)
    part[columns] = identities.column[columns]
    return ProductIdentities(identities.row, part)


def _same(a: float, b: float) -> bool:
    return bool(np.isclose(a, b, rtol=_EQUAL, atol=_EQUAL))
