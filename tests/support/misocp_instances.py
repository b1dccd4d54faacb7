"""Small seeded mixed-integer conic programs and the same programs in SCIP."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csc_array, csr_array, triu

from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData


@dataclass
class Rows:
    """Rows `coefficients x + s = b` of a program under construction."""

    n: int

    def __post_init__(self):
        self.parts = {"zero": [], "nonneg": [], "cone": []}
        self.sizes = []

    def equal(self, a, b):
        self.parts["zero"].append((np.asarray(a, float), float(b)))

    def at_most(self, a, b):
        self.parts["nonneg"].append((np.asarray(a, float), float(b)))

    def bounds(self, column, lower, upper):
        unit = np.eye(self.n)[column]
        self.at_most(-unit, -lower)
        self.at_most(unit, upper)

    def cone(self, rows):
        """Rows (f, g): f x + g, the first at least the norm of the others."""
        self.parts["cone"] += [(-np.asarray(f, float), float(g)) for f, g in rows]
        self.sizes.append(len(rows))


def program(rows, q, integer=(), quadratic=None, offset=0.0):
    """Assemble a ConicProgram and its data."""
    n = rows.n
    stacked = rows.parts["zero"] + rows.parts["nonneg"] + rows.parts["cone"]
    q, b = np.asarray(q, float), np.array([v for _, v in stacked], float)
    p = np.zeros((n, n)) if quadratic is None else np.asarray(quadratic, float)
    conic = ConicProgram(
        quadratic=csc_array(triu(csc_array(p))),
        matrix=csc_array(np.array([a for a, _ in stacked]).reshape(len(b), n)),
        zero=len(rows.parts["zero"]),
        nonneg=len(rows.parts["nonneg"]),
        cones=tuple(rows.sizes),
        q0=q,
        q_parameters=csr_array((n, 0)),
        b0=b,
        b_parameters=csr_array((len(b), 0)),
        offset0=offset,
        offset_linear=np.zeros(0),
        offset_quadratic=csr_array((0, 0)),
        integer=np.array(integer, dtype=np.int64),
    )
    return conic, ProgramData(q, b, offset)


def random_instance(seed):
    """A small program; about one in five is infeasible and one in eight unbounded."""
    rng = np.random.default_rng(seed)
    binaries, general, free = rng.integers(2, 7), rng.integers(0, 3), rng.integers(3, 8)
    n = int(binaries + general + free)
    integer = np.arange(binaries + general)
    rows = Rows(n)
    for j in range(binaries):
        rows.bounds(j, 0, 1)
    for j in range(binaries, binaries + general):
        rows.bounds(j, int(rng.integers(-3, 1)), int(rng.integers(1, 5)))
    kind = rng.choice(["plain", "plain", "tight", "tight", "open"])
    anchor = np.zeros(n)  # a point that satisfies the rows unless the instance is made tight
    anchor[:binaries] = rng.integers(0, 2, binaries)
    anchor[integer[-1] + 1 :] = rng.normal(size=free)
    bounded = n - (1 if kind == "open" else 0)
    for j in range(binaries + general, bounded):
        rows.bounds(j, -4, 4)
    for _ in range(rng.integers(1, 4)):
        a = np.round(rng.normal(size=n), 3) * (rng.random(n) < 0.6)
        shift = rng.random() * (1.0 if kind != "tight" else 0.3) - (2.0 if kind == "tight" else 0)
        a[bounded:] = -np.abs(a[bounded:])
        rows.at_most(a, a @ anchor + shift)
    if rng.random() < 0.6:
        a = np.round(rng.normal(size=n), 3)
        a[bounded:] = 0.0
        rows.equal(a, a @ anchor)
    for _ in range(rng.integers(1, 4)):
        size = int(rng.integers(3, 6))
        tails = np.round(rng.normal(size=(size - 1, n)), 3) * (rng.random((size - 1, n)) < 0.5)
        head = np.round(rng.normal(size=n), 3) * (rng.random(n) < 0.4)
        tails[:, bounded:] = 0.0
        head[bounded:] = np.abs(head[bounded:])
        shifts = rng.normal(size=size - 1)
        constant = np.linalg.norm(tails @ anchor + shifts) - head @ anchor
        constant += rng.random() if kind != "tight" else -0.8 * rng.random()
        rows.cone([(head, constant), *zip(tails, shifts, strict=True)])
    for j in range(int(min(binaries, 2))):  # indicator rows on continuous columns
        a = np.zeros(n)
        a[binaries + general + j], a[j] = 1.0, -4.0
        rows.at_most(a, 0.5)
    quadratic = None
    if rng.random() < 0.5:
        factor = rng.normal(size=(n, 2)) * (rng.random((n, 1)) < 0.5)
        factor[bounded:] = 0.0
        quadratic = factor @ factor.T
        if rng.random() < 0.5:
            extra = rng.random(n) * (rng.random(n) < 0.4)
            extra[bounded:] = 0.0
            quadratic += np.diag(extra)
    q = np.round(rng.normal(size=n), 3)
    if kind == "open":
        q[bounded:] = -np.abs(q[bounded:]) - 0.1
    return program(rows, q, integer, quadratic, offset=float(np.round(rng.normal(), 3)))


def solve_with_scip(conic, data, time_limit=4.0):
    """(status, objective) of the program given to SCIP as it stands.

    SCIP cannot tell "infeasible" from "unbounded" where it finds a ray early, and may not stop on
    an unbounded program: such an answer is settled by asking for any point, and the optimum over
    boxes that grow.
    """
    status, objective = _scip(conic, data, time_limit)
    if status in ("inforunbd", "unbounded", "timelimit"):
        flat = ProgramData(np.zeros_like(data.q), data.b, 0.0)
        found, _ = _scip(replace(conic, quadratic=0.0 * conic.quadratic), flat, time_limit)
        if found == "infeasible":
            return found, objective
        small, large = (_scip(conic, data, time_limit, box)[1] for box in (1e3, 1e4))
        falls = large < 5.0 * small < 0.0
        return ("unbounded" if found == "optimal" and falls else "unknown"), objective
    return status, objective


def _scip(conic, data, time_limit, box=None):
    from pyscipopt import Model, quicksum

    model = Model()
    model.hideOutput()
    model.setParam("timing/clocktype", 1)  # processor time: an answer does not depend on the load
    model.setParam("limits/time", time_limit)
    model.setParam("numerics/feastol", 1e-7)
    integer = set(conic.integer.tolist())
    x = [
        model.addVar(
            f"x{j}", vtype="I" if j in integer else "C", lb=None if box is None else -box, ub=box
        )
        for j in range(conic.variables)
    ]
    matrix = csr_array(conic.matrix)

    def slack(row):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        return float(data.b[row]) - quicksum(
            float(a) * x[j] for j, a in zip(matrix.indices[part], matrix.data[part], strict=True)
        )

    for row in range(conic.zero):
        model.addCons(slack(row) == 0)
    for row in range(conic.zero, conic.zero + conic.nonneg):
        model.addCons(slack(row) >= 0)
    at = conic.zero + conic.nonneg
    for size in conic.cones:
        s = [model.addVar(lb=0 if k == 0 else None) for k in range(size)]
        for k in range(size):
            model.addCons(s[k] == slack(at + k))
        model.addCons(quicksum(v * v for v in s[1:]) <= s[0] * s[0])
        at += size
    p = conic.quadratic.tocoo()
    linear = quicksum(float(c) * v for c, v in zip(data.q, x, strict=True)) + data.offset
    if p.nnz:
        t = model.addVar(lb=None)
        terms = (
            float(v) * (0.5 if i == j else 1.0) * x[i] * x[j]
            for i, j, v in zip(p.row, p.col, p.data, strict=True)
        )
        model.addCons(quicksum(terms) <= t)
        linear = linear + t
    model.setObjective(linear, "minimize")
    model.optimize()
    status = model.getStatus()
    objective = model.getObjVal() if status == "optimal" else float("nan")
    return status, objective
