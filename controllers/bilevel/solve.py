"""Solve a bilevel program by one of the methods and audit the point."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.audit import Audit, audit
from stackelgrid.controllers.bilevel.hull.method import solve_hull, suits_hull
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.methods.big_m import solve_big_m
from stackelgrid.controllers.bilevel.methods.separable import is_separable, solve_separable
from stackelgrid.controllers.bilevel.methods.strong_duality import solve_strong_duality
from stackelgrid.controllers.bilevel.problem import (
    METHODS,
    BilevelData,
    BilevelOptions,
    BilevelProgram,
    BilevelSolution,
    BilevelStatus,
    Flags,
    Method,
    Outcome,
)
from stackelgrid.controllers.bilevel.search.follower import FollowerResponse
from stackelgrid.controllers.bilevel.search.linear_nodes import LinearNodes, is_linear
from stackelgrid.controllers.bilevel.search.node import NodeProgram, NodeSolver
from stackelgrid.controllers.bilevel.search.tree import Tree
from stackelgrid.controllers.errors import ModelError, SolverError
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.checks import check_data, check_program
from stackelgrid.controllers.solvers.conic import ProgramData


class BilevelSolver:
    """Bound to one bilevel program; the single level is built once and takes new data.

    Raises ModelError for programs that are not accepted (a leader's objective that is not convex,
    a follower that is not, integers without bounds).
    """

    def __init__(self, program: BilevelProgram) -> None:
        check_program(program.follower, program.names.follower_rows or None)
        self.program = program
        self.form = KktForm(program)
        check_program(self.form.program)

    def solve(self, data: BilevelData, options: BilevelOptions | None = None) -> BilevelSolution:
        """Solve one instance and audit the point.

        Raises ModelError where the method does not accept the program or the follower is
        unbounded for every decision, SolverError where no method gives a point that the audit
        confirms.
        """
        options = options or BilevelOptions()
        if options.method not in METHODS:
            raise ModelError(f"method {options.method}: {', '.join(METHODS)} are accepted")
        started = time.perf_counter()
        check_data(self.form.program, self.form.data(data), None)
        best, problem = _Audited(Outcome("limit"), None), ""
        for engine in self._engines(options.method, data):
            found = engine(data, options.after(started, best.outcome.nodes), best.outcome)
            if found is None:  # the method found nothing
                continue
            if found.status == "infeasible":
                self._refuse_unbounded_follower(data)
            audited, refused = self._audited(data, found, best)
            problem = problem or refused
            best = best if audited is None else audited
            seconds = time.perf_counter() - started
            ended, _, _ = _judged(self._measured(data, best.outcome), options, seconds)
            if (audited is not None and ended != "open") or ended in ("time_limit", "node_limit"):
                break
        if problem and best.verdict is None:
            raise SolverError(f"{self.program.names.follower}: {problem}")
        return self._solution(data, best, options, started)

    def _audited(
        self, data: BilevelData, found: Outcome, best: "_Audited"
    ) -> "tuple[_Audited | None, str]":
        """Return an outcome with its audit, or None and why its point is refused."""
        if not len(found.z):
            if len(best.outcome.z):
                return None, ""
            return _Audited(found, None), ""
        verdict = audit(self.form, data, found.z)
        if verdict.follower_gap > tolerances.FOLLOWER_GAP:
            found = self._polished(data, found)
            verdict = audit(self.form, data, found.z)
        if abs(verdict.follower_gap) > tolerances.FOLLOWER_GAP:
            return None, (
                f"{found.message}: the follower's gap is {verdict.follower_gap:.1e} by "
                f"{verdict.judge}, at most {tolerances.FOLLOWER_GAP:.0e} is accepted"
            )
        bound = max(found.bound, best.outcome.bound) if best.verdict else found.bound
        nodes = found.nodes + best.outcome.nodes
        log = (*best.outcome.log, *found.log)
        return _Audited(replace(found, bound=bound, nodes=nodes, log=log), verdict), ""

    # ------------------------------------------------------------------ methods

    def _engines(self, method: Method, data: BilevelData) -> "Iterator[_Engine]":
        """Yield engines of a method in the order in which they are tried, each from the best point.

        Branching on a simplex settles linear leaders; curved ones over many blocks begin with the
        hull of blocks, whose relaxations are fewer and tighter than the tree's.
        """
        form, linear = self.form, is_linear(self.form)
        if method == "kkt_big_m":
            yield lambda data, options, best: solve_big_m(form, data, options)
        elif method == "strong_duality":
            yield lambda data, options, best: solve_strong_duality(form, data, options)
        elif method == "auto":
            if is_separable(form, data):
                yield lambda data, options, best: solve_separable(form, data, options)
            if suits_hull(form) and not linear:
                yield lambda data, options, best: solve_hull(form, data, _half(options))
            if linear:
                yield self._simplex
            yield self._conic
        else:
            yield self._simplex if method == "kkt_disjunctive" and linear else self._conic

    def _simplex(self, data: BilevelData, options: BilevelOptions, best: Outcome) -> Outcome:
        return self._searched(LinearNodes(self.form, self.form.data(data)), data, options, best)

    def _conic(self, data: BilevelData, options: BilevelOptions, best: Outcome) -> Outcome:
        return self._searched(NodeProgram(self.form, self.form.data(data)), data, options, best)

    def _searched(
        self, nodes: NodeSolver, data: BilevelData, options: BilevelOptions, best: Outcome
    ) -> Outcome:
        response = FollowerResponse(self.program, data)
        tree = Tree(self.form, self.form.data(data), nodes, options, response.pattern)
        if len(best.z):
            tree.start(best.z, best.objective)
        return tree.run()

    # ------------------------------------------------------------------ ends

    def _polished(self, data: BilevelData, outcome: Outcome) -> Outcome:
        """Solve the leader again with the pattern of the follower's own response fixed."""
        form, single = self.form, self.form.data(data)
        tree = Tree(form, single, NodeProgram(form, single), BilevelOptions(),
                    FollowerResponse(self.program, data).pattern)  # fmt: skip
        z, objective = tree.polish(outcome.z)
        if not len(z) or objective > outcome.objective + 1e-5 * max(1.0, abs(outcome.objective)):
            return outcome
        return replace(outcome, z=z, objective=objective)

    def _refuse_unbounded_follower(self, data: BilevelData) -> None:
        """Raise ModelError if the problem has no point because the follower is unbounded."""
        form, single = self.form, self.form.data(data)
        layout, whole = form.layout, form.program
        keep = np.zeros(whole.rows, dtype=bool)
        keep[form.stationarity] = keep[form.multiplier_rows] = True
        matrix = csr_array(whole.matrix)[form.leader_rows][:, layout.x.stop :]
        own = form.leader_rows[np.diff(matrix.indptr) == 0]
        keep[own[own < whole.linear]] = True
        if self._has_point(keep, single):
            return
        primal = np.zeros(whole.rows, dtype=bool)
        primal[form.leader_rows] = primal[form.follower_rows] = True
        if self._has_point(primal, single):
            raise ModelError(
                f"follower {self.program.names.follower}: is unbounded for every decision of the "
                "leader; a follower with an optimum is accepted"
            )

    def _has_point(self, keep: Flags, single: ProgramData) -> bool:
        rows = np.flatnonzero(keep)
        if not len(rows):
            return True
        program = self.form.program.only(rows).without_objective()
        point = ProgramData.without_objective(single.b[rows], program.variables)
        return ClarabelSolver(program).solve(point).status != "infeasible"

    def _measured(self, data: BilevelData, outcome: Outcome) -> Outcome:
        """Return the outcome with the leader's objective as written, and a bound not above it."""
        if not len(outcome.z):
            return outcome
        objective = self.form.leader_objective(outcome.z, data)
        return replace(outcome, objective=objective, bound=min(outcome.bound, objective))

    def _solution(
        self, data: BilevelData, best: "_Audited", options: BilevelOptions, started: float
    ) -> BilevelSolution:
        seconds = time.perf_counter() - started
        outcome, layout = self._measured(data, best.outcome), self.form.layout
        status, gap, message = _judged(outcome, options, seconds)
        z, found, nan, none = outcome.z, bool(len(outcome.z)), float("nan"), np.zeros(0)
        return BilevelSolution(
            status=status,
            x=z[layout.x] if found else none,
            y=z[layout.y] if found else none,
            w=z[layout.w] if found else none,
            nu=z[layout.nu] if found else none,
            objective=outcome.objective if found else nan,
            bound=outcome.bound,
            gap=gap,
            follower_gap=best.verdict.follower_gap if best.verdict else nan,
            kkt_residual=best.verdict.residual if best.verdict else nan,
            nodes=outcome.nodes,
            solve_s=seconds,
            method=options.method,
            message=message,
            big_m_active=outcome.big_m_active,
            log=outcome.log,
        )


@dataclass(frozen=True)
class _Audited:
    """Best outcome so far; `verdict` is that of its point."""

    outcome: Outcome
    verdict: Audit | None


def _judged(
    outcome: Outcome, options: BilevelOptions, seconds: float
) -> tuple[BilevelStatus, float, str]:
    """Return status, gap and message of an outcome whose point, if any, passed the audit.

    The gap is (objective - bound) / max(1, |objective|).
    """
    by = f" ({outcome.message})" if outcome.message else ""
    wanted = f"{options.gap:g} was requested"
    found = bool(len(outcome.z))
    gap = float("nan")
    if found:
        size = max(1.0, abs(outcome.objective))
        gap = max(outcome.objective - outcome.bound, 0.0) / size
    if found and gap <= options.gap:
        return "optimal", gap, f"a gap of {gap:.1e} is proven, {wanted}{by}"
    if not found and outcome.status == "infeasible":
        return "infeasible", gap, f"no point meets the rows of leader and follower{by}"
    if not found and outcome.status == "unbounded":
        return "unbounded", gap, f"the leader's objective has no bound{by}"
    proven = f"a gap of {gap:.1e} is proven, {wanted}{by}" if found else f"no point was found{by}"
    if options.time_limit_s is not None and seconds >= options.time_limit_s:
        text = f"time limit of {options.time_limit_s:g} s reached: {proven}"
        return "time_limit", gap, text
    if options.node_limit is not None and outcome.nodes >= options.node_limit:
        text = f"limit of {options.node_limit} nodes reached: {proven}"
        return "node_limit", gap, text
    return "open", gap, f"the search ended before the requested gap: {proven}"


def _half(options: BilevelOptions) -> BilevelOptions:
    """Return options with half of the time; the other half is for branching from the point."""
    limit = options.time_limit_s
    return options if limit is None else replace(options, time_limit_s=0.5 * limit)


_Engine = Callable[[BilevelData, BilevelOptions, Outcome], Outcome | None]
