"""MOSEK through its own API: native mixed-integer conic programs with affine conic constraints.

Written against the MOSEK Optimizer API for Python 11.2. A task can be built, written and read
back without a licence; only `solve` needs one.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers.backends.backend import (
    CheckedBackend,
    Claim,
    LicenceState,
    answer_within,
    installed_version,
)
from stackelgrid.controllers.solvers.backends.mosek_task import (
    fill_task,
    library,
    reason,
    short_name,
)
from stackelgrid.controllers.solvers.checks import check_data, check_program, contradiction
from stackelgrid.controllers.solvers.conic import (
    ConicProgram,
    ProgramData,
    SearchStatus,
    Solution,
    SolverStatus,
)


def version() -> str:
    """Version of the installed package; raises SolverError where there is none."""
    found = installed_version("mosek")
    if found is None:
        raise SolverError("mosek is not installed: pip install mosek")
    return found


@cache
def licence_state(wait_s: float = 0.9) -> LicenceState:
    """Try to check out a licence; never raises, never prints, answers within `wait_s` seconds.

    The answer is kept for the life of the process. Environment variable MOSEKLM_LICENSE_FILE or
    ~/mosek/mosek.lic say where the licence is (MOSEK licensing guide, "Client setup").
    """
    try:
        mosek = library()
    except SolverError as error:
        return LicenceState(False, str(error))
    state = answer_within(wait_s, lambda: _check_out(mosek))
    silent = LicenceState(False, f"the MOSEK licence server did not answer within {wait_s:g} s")
    return silent if state is None else state


class MosekSolver(CheckedBackend):
    """Mixed-integer conic backend; a program without integer columns is solved as it is.

    Without a licence `solve` returns "failed" and says so.
    """

    name = "mosek"

    def __init__(
        self, program: ConicProgram, row_names: Sequence[str] | None = None, threads: int = 1
    ) -> None:
        super().__init__(program, row_names)
        self.version = version()
        self._threads = threads

    def describe(self, error: Exception) -> str:
        """Return one line about an exception, with MOSEK's response code."""
        return f"mosek: {reason(error)}"

    def claim(self, data: ProgramData, gap: float, time_limit_s: float | None) -> Claim:
        """Run the mixed-integer optimiser."""
        mosek = library()
        with mosek.Env() as env, env.Task() as task:
            fill_task(task, self.program, data)
            _parameters(mosek, task, self._threads, time_limit_s)
            task.putdouparam(mosek.dparam.mio_tol_rel_gap, gap)
            task.putdouparam(mosek.dparam.mio_tol_abs_gap, gap)
            ended = task.optimize()
            claim = read_mixed_integer(task, self.program, str(ended))
            if claim is None:  # infeasible or unbounded: feasible without objective?
                task.putcslice(0, self.program.variables, np.zeros(self.program.variables))
                task.optimize()
                again = read_mixed_integer(task, self.program, "")
                feasible = again is not None and again.x is not None
                status: SearchStatus = "unbounded" if feasible else "infeasible"
                claim = Claim(status, None, float("nan"), 0, f"{status}, by a solve without cost")
            return claim


class MosekConicSolver:
    """MOSEK's interior point method for the conic relaxation, with duals; needs a licence."""

    name = "mosek"

    def __init__(self, program: ConicProgram) -> None:
        check_program(program)
        self.program = program
        self.version = version()

    def solve(self, data: ProgramData, tolerance: float | None = None) -> Solution:
        """Solve one instance and check point, duals and rays independently.

        MOSEK solves to its own tolerances, whatever `tolerance` is.
        """
        check_data(self.program, data, None)
        started, program = time.perf_counter(), self.program.at(data)
        mosek = library()
        try:
            with mosek.Env() as env, env.Task() as task:
                fill_task(task, program, data)
                _parameters(mosek, task, 1, None)
                task.putintparam(mosek.iparam.mio_mode, mosek.miomode.ignored)
                task.optimize()
                return read_conic(task, program, data, started)
        except Exception as error:  # a foreign library may raise anything
            return Solution.without_values("failed", f"mosek: {reason(error)}")


def read_mixed_integer(task: Any, program: ConicProgram, ended: str) -> Claim | None:
    """Read what MOSEK found; None where it could not tell infeasible from unbounded."""
    mosek = library()
    integer = len(program.integer) > 0
    which = mosek.soltype.itg if integer else mosek.soltype.itr
    if not task.solutiondef(which):
        return Claim("failed", None, float("nan"), 0, f"MOSEK returned no solution {ended}".strip())
    problem, solution = task.getprosta(which), task.getsolsta(which)
    message = f"{short_name(solution)}, {short_name(problem)}"
    nodes = task.getintinf(mosek.iinfitem.mio_num_solved_nodes) if integer else 0
    if problem == mosek.prosta.prim_infeas:
        return Claim("infeasible", None, float("nan"), nodes, message)
    if problem == mosek.prosta.dual_infeas:
        return Claim("unbounded", None, float("nan"), nodes, message)
    if problem == mosek.prosta.prim_infeas_or_unbounded:
        return None
    found = solution in (
        mosek.solsta.integer_optimal,
        mosek.solsta.optimal,
        mosek.solsta.prim_feas,
        mosek.solsta.prim_and_dual_feas,
    )
    best = solution in (mosek.solsta.integer_optimal, mosek.solsta.optimal)
    late = "max_time" in ended
    if not found and not late:
        return Claim("failed", None, float("nan"), nodes, f"{message} {ended}".strip())
    x = np.array(task.getxxslice(which, 0, program.variables)) if found else None
    if integer:
        bound = float(task.getdouinf(mosek.dinfitem.mio_obj_bound))
    else:
        bound = float(task.getdualobj(which)) if best else -np.inf
    return Claim("optimal" if best else "limit", x, bound, nodes, message)


def read_conic(task: Any, program: ConicProgram, data: ProgramData, started: float) -> Solution:
    """Read an interior point solution and its duals; started is a perf_counter time.

    MOSEK's stationarity is c - A'y - F'z = 0 with F = -A and constraints A x <= b, so ours, with
    the Lagrangian f + dual'(A x + s - b), is dual = (-y, z). It is checked, not assumed. An
    infeasible or unbounded program keeps its ray in `dual` or `x`.
    """
    mosek = library()
    which, nan = mosek.soltype.itr, float("nan")
    if not task.solutiondef(which):
        return Solution.without_values("failed", "MOSEK returned no solution")
    known: dict[Any, SolverStatus] = {
        mosek.solsta.optimal: "optimal",
        mosek.solsta.prim_infeas_cer: "infeasible",
        mosek.solsta.dual_infeas_cer: "unbounded",
    }
    status = known.get(task.getsolsta(which), "failed")
    message = short_name(task.getsolsta(which))
    x = np.array(task.getxxslice(which, 0, program.variables))
    z = np.array(task.getaccdotys(which))[: sum(program.cones)]
    solved = status == "optimal"
    solution = Solution(
        status=status,
        x=x,
        dual=np.concatenate([-np.array(task.gety(which)), z]),
        objective=program.objective(x, data) if solved else nan,
        bound=float(task.getdualobj(which)) if solved else nan,
        violation=program.violation(x, data.b)[0] if solved else nan,
        iterations=int(task.getintinf(mosek.iinfitem.intpnt_iter)),
        solve_s=time.perf_counter() - started,
        message=message,
    )
    lie = contradiction(solution, program, data)
    if lie is None:
        return solution
    return replace(
        solution, status="failed", objective=nan, bound=nan, message=f"{message}, but {lie}"
    )


def _check_out(mosek: Any) -> LicenceState:
    try:
        with mosek.Env() as env:
            env.putlicensewait(0)
            env.putlicensedebug(0)
            env.checkoutlicense(mosek.feature.pts)
            env.checkoutlicense(mosek.feature.pton)
            env.checkinall()
    except Exception as error:  # whatever the licence library raises means: no licence
        return LicenceState(False, f"no MOSEK licence: {reason(error)}")
    return LicenceState(True, "licence answers")


def _parameters(mosek: Any, task: Any, threads: int, time_limit_s: float | None) -> None:
    double, integer = mosek.dparam, mosek.iparam
    task.putintparam(integer.num_threads, threads)
    task.putintparam(integer.license_wait, mosek.onoffkey.off)
    task.putdouparam(double.intpnt_co_tol_pfeas, tolerances.SOLVER_FEASIBILITY)
    task.putdouparam(double.intpnt_co_tol_dfeas, tolerances.SOLVER_FEASIBILITY)
    task.putdouparam(double.intpnt_co_tol_rel_gap, tolerances.SOLVER_GAP)
    task.putdouparam(double.mio_tol_feas, tolerances.SOLVER_FEASIBILITY)
    task.putdouparam(double.mio_tol_abs_relax_int, tolerances.INTEGRALITY)
    task.putdouparam(double.mio_rel_gap_const, 1.0)  # the gap is relative to max(1, |objective|)
    if time_limit_s is not None:
        task.putdouparam(double.optimizer_max_time, time_limit_s)
        task.putdouparam(double.mio_max_time, time_limit_s)
