"""SCIP as native mixed-integer conic solver, through PySCIPOpt; an optional extra for cross-checks.

SCIP measures its feasibility on squared cones, which near a cone's tip is much looser than the
cone itself. A point that fails the independent check is therefore polished: its integers are
fixed and the conic program that remains is solved by Clarabel. SCIP's bound stays SCIP's, so a
gap of a few 1e-5 may remain; it is reported, and the status is then "limit".
"""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers.backends.backend import (
    CheckedBackend,
    Claim,
    installed_version,
)
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, SearchStatus
from stackelgrid.controllers.solvers.reduce.restricted import RestrictedProgram
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.extras import install_command

_STATUS: dict[str, SearchStatus] = {
    "optimal": "optimal",
    "gaplimit": "optimal",
    "timelimit": "limit",
    "infeasible": "infeasible",
    "unbounded": "unbounded",
}
_FEASIBILITY = 1e-7  # numerics/feastol, on squares; SoPlex warns on the console below this


def version() -> str:
    """Version of the installed PySCIPOpt; raises SolverError where there is none."""
    found = installed_version("pyscipopt")
    if found is None:
        raise SolverError(f"scip is not installed: {install_command('scip')}")
    return found


class ScipSolver(CheckedBackend):
    """Mixed-integer conic backend; each solve builds the model anew, on one thread."""

    name = "scip"

    def __init__(self, program: ConicProgram, row_names: Sequence[str] | None = None) -> None:
        super().__init__(program, row_names)
        self.version = version()
        self._scip = _pyscipopt()

    def claim(self, data: ProgramData, gap: float, time_limit_s: float | None) -> Claim:
        """Run SCIP."""
        scip = self._scip
        model, x = _build(scip, self.program, data)
        # SCIP's gap is relative to min(|primal|, |dual|): either test implies ours
        for name, value in {"limits/gap": gap, "limits/absgap": gap}.items():
            model.setParam(name, value)
        if time_limit_s is not None:
            model.setParam("limits/time", time_limit_s)
        model.optimize()
        ended = model.getStatus()
        nodes = int(model.getNTotalNodes())
        if ended in ("inforunbd", "unbounded"):
            return self._without_bound(scip, data, ended, nodes, time_limit_s)
        status = _STATUS.get(ended, "failed")
        point: Floats | None = None
        if status in ("optimal", "limit") and model.getNSols():
            best = model.getBestSol()
            point = np.array([model.getSolVal(best, v) for v in x])
        infinity = model.infinity()
        bound = float(model.getDualbound())
        return Claim(
            status, point, bound if abs(bound) < infinity else -np.inf, nodes, f"SCIP: {ended}"
        )

    def _without_bound(
        self, scip: Any, data: ProgramData, ended: str, nodes: int, time_limit_s: float | None
    ) -> Claim:
        """Tell infeasible from unbounded; SCIP's word on either is not taken.

        With bounded integers a feasible program is unbounded exactly if its relaxation is.
        """
        relaxation = ClarabelSolver(self.program).solve(data)
        message = f"SCIP: {ended}; relaxation: {relaxation.status}"
        status: SearchStatus = "failed"
        if relaxation.status == "infeasible":
            status = "infeasible"
        elif relaxation.status == "unbounded":
            still = ProgramData(q=np.zeros(self.program.variables), b=data.b, offset=0.0)
            model, _ = _build(scip, self.program, still, quadratic=False)
            if time_limit_s is not None:
                model.setParam("limits/time", time_limit_s)
            model.optimize()
            if model.getStatus() == "infeasible":
                status = "infeasible"
            elif model.getNSols():
                status = "unbounded"
            message = f"{message}; without cost: {model.getStatus()}"
        return Claim(status, None, float("nan"), nodes, message)

    def repaired(self, data: ProgramData, claim: Claim) -> Claim | None:
        """Return the claim with its integers fixed and the other columns solved for by Clarabel."""
        if claim.x is None or not np.isfinite(claim.x).all():
            return None
        values = np.round(claim.x[self.program.integer])
        if np.abs(claim.x[self.program.integer] - values).max(initial=0.0) > tolerances.INTEGRALITY:
            return None
        rest = RestrictedProgram(self.program)
        if not rest.admits(data, values):
            return None
        solution = ClarabelSolver(rest.program).solve(rest.data(data, values))
        if solution.status != "optimal":
            return None
        message = f"{claim.message}, continuous part by Clarabel"
        return Claim(claim.status, rest.join(solution.x, values), claim.bound, claim.nodes, message)


def _pyscipopt() -> Any:
    try:
        return importlib.import_module("pyscipopt")
    except Exception as error:  # a broken shared library raises what it likes
        message = f"scip cannot be imported ({error}): {install_command('scip')}"
        raise SolverError(message) from error


def _build(
    scip: Any, program: ConicProgram, data: ProgramData, quadratic: bool = True
) -> tuple[Any, list[Any]]:
    """Model in SCIP: rows as they are, a cone as sum of u^2 <= t^2 with t >= 0."""
    model = scip.Model()
    model.hideOutput()
    model.setParam("numerics/feastol", _FEASIBILITY)
    kinds = np.full(program.variables, "C", dtype=object)
    kinds[program.integer] = "I"
    x = [model.addVar(vtype=kind, lb=None, ub=None) for kind in kinds]
    rows = csr_array(program.matrix)

    def affine(row: int, sign: float = 1.0) -> Any:
        """Sign times (A x) of a row."""
        entries = range(rows.indptr[row], rows.indptr[row + 1])
        return scip.quicksum(sign * rows.data[k] * x[rows.indices[k]] for k in entries)

    linear = program.zero + program.nonneg
    for row in range(linear):
        if rows.indptr[row] == rows.indptr[row + 1]:
            _constant_row(model, data.b[row], equation=row < program.zero)
        elif row < program.zero:
            model.addCons(affine(row) == float(data.b[row]))
        else:
            model.addCons(affine(row) <= float(data.b[row]))
    at = linear
    for size in program.cones:
        head = model.addVar(lb=0.0, ub=None)
        model.addCons(head + affine(at) == float(data.b[at]))
        parts, constant = [], 0.0
        for row in range(at + 1, at + size):
            if rows.indptr[row] == rows.indptr[row + 1]:
                constant += float(data.b[row]) ** 2
                continue
            part = model.addVar(lb=None, ub=None)
            model.addCons(part + affine(row) == float(data.b[row]))
            parts.append(part)
        model.addCons(scip.quicksum(u * u for u in parts) - head * head <= -constant)
        at += size
    cost = scip.quicksum(float(c) * x[j] for j, c in enumerate(data.q) if c != 0.0)
    upper = coo_array(program.quadratic)
    if quadratic and upper.nnz:
        epigraph = model.addVar(lb=0.0, ub=None)
        entries = zip(upper.row.tolist(), upper.col.tolist(), upper.data.tolist(), strict=True)
        squares = scip.quicksum((0.5 * v if i == j else v) * x[i] * x[j] for i, j, v in entries)
        model.addCons(squares <= epigraph)
        cost += epigraph
    model.setObjective(cost + float(data.offset), "minimize")
    return model, x


def _constant_row(model: Any, b: float, equation: bool) -> None:
    """Write a row without variables, 0 (+ s) = b: true, or the whole program is infeasible."""
    violated = abs(b) if equation else max(-b, 0.0)
    if violated > tolerances.POINT_VIOLATION * (1.0 + abs(b)):
        never = model.addVar(lb=0.0, ub=0.0)
        model.addCons(never >= 1.0)
