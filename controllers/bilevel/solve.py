"""Solve a bilevel program by one of the methods, audit the point, and say what was found."""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.sparse import csc_array, csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.audit import Audit, audit
from stackelgrid.controllers.bilevel.big_m import solve_big_m
from stackelgrid.controllers.bilevel.follower import FollowerResponse
from stackelgrid.controllers.bilevel.hull_method import solve_hull, suits_hull
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.linear_nodes import LinearNodes, is_linear
from stackelgrid.controllers.bilevel.node import NodeProgram, NodeSolver, conic
from stackelgrid.controllers.bilevel.problem import (
    METHODS,
    BilevelData,
    BilevelOptions,
    BilevelProgram,
    BilevelSolution,
    Flags,
    Method,
    Outcome,
)
from stackelgrid.controllers.bilevel.separable import is_separable, solve_separable
from stackelgrid.controllers.bilevel.strong_duality import solve_strong_duality
from stackelgrid.controllers.bilevel.tree import Tree
from stackelgrid.controllers.errors import ModelError, SolverError
from stackelgrid.controllers.solvers.checks import check_data, check_program
from stackelgrid.controllers.solvers.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.conic import ProgramData


def solve_program(
    program: BilevelProgram, data: BilevelData, options: BilevelOptions | None = None
) -> BilevelSolution:
    """Solve one instance; see BilevelSolver."""
    return BilevelSolver(program).solve(data, options)


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
        problem = ""
        for method, outcome in self._outcomes(data, options):
            if outcome.status == "infeasible":
                self._refuse_unbounded_follower(data)
            if not len(outcome.z):
                return self._solution(data, outcome, None, method, started)
            verdict = audit(self.form, data, outcome.z)
            if verdict.follower_gap > tolerances.FOLLOWER_GAP:
                outcome = self._polished(data, outcome)
                verdict = audit(self.form, data, outcome.z)
            if abs(verdict.follower_gap) <= tolerances.FOLLOWER_GAP:
                return self._solution(data, outcome, verdict, method, started)
            problem = (
                f"{method}: the follower's gap is {verdict.follower_gap:.1e} by {verdict.judge}, "
                f"at most {tolerances.FOLLOWER_GAP:.0e} is accepted"
            )
        raise SolverError(f"{self.program.names.follower}: {problem}")

    # ------------------------------------------------------------------ methods

    def _outcomes(
        self, data: BilevelData, options: BilevelOptions
    ) -> Iterator[tuple[Method, Outcome]]:
        """Outcomes in the order in which they are tried; the first that the audit confirms wins."""
        if options.method != "auto":
            yield options.method, self._engine(options.method, data, options)
            return
        if is_separable(self.form, data):
            outcome = solve_separable(self.form, data, options)
            if outcome is not None:
                yield "auto", outcome
        if suits_hull(self.form):
            outcome = solve_hull(self.form, data, options)
            if outcome is not None:
                yield "auto", outcome
        first: Method = "kkt_disjunctive" if is_linear(self.form) else "branch"
        yield first, self._engine(first, data, options)
        if first != "branch":
            yield "branch", self._engine("branch", data, options)

    def _engine(self, method: Method, data: BilevelData, options: BilevelOptions) -> Outcome:
        if method == "kkt_big_m":
            return solve_big_m(self.form, data, options)
        if method == "strong_duality":
            return solve_strong_duality(self.form, data, options)
        single = self.form.data(data)
        nodes = self._nodes(method, single)
        response = FollowerResponse(self.program, data)
        return Tree(self.form, single, nodes, options, response.pattern).run()

    def _nodes(self, method: Method, single: ProgramData) -> NodeSolver:
        if method == "kkt_disjunctive" and is_linear(self.form):
            return LinearNodes(self.form, single)
        return NodeProgram(self.form, single)

    # ------------------------------------------------------------------ ends

    def _polished(self, data: BilevelData, outcome: Outcome) -> Outcome:
        """The leader solved again with the pattern of the follower's own answer fixed."""
        form, single = self.form, self.form.data(data)
        tree = Tree(form, single, NodeProgram(form, single), BilevelOptions(),
                    FollowerResponse(self.program, data).pattern)  # fmt: skip
        z, objective = tree.polish(outcome.z)
        if not len(z) or objective > outcome.objective + 1e-5 * max(1.0, abs(outcome.objective)):
            return outcome
        return replace(outcome, z=z, objective=objective)

    def _refuse_unbounded_follower(self, data: BilevelData) -> None:
        """Tell an infeasible problem from a follower that is unbounded whatever the leader does."""
        form, single = self.form, self.form.data(data)
        layout, whole = form.layout, form.program
        keep = np.zeros(whole.rows, dtype=bool)
        keep[form.stationarity] = keep[form.multiplier_rows] = True
        matrix = csr_array(whole.matrix)[form.leader_rows][:, layout.x.stop :]
        own = form.leader_rows[np.diff(matrix.indptr) == 0]
        keep[own[own < whole.zero + whole.nonneg]] = True
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
        whole, n = self.form.program, self.form.columns
        linear = whole.zero + whole.nonneg
        sizes, first = [], linear
        for count in whole.cones:
            if keep[first]:
                sizes.append(count)
            first += count
        rows = np.flatnonzero(keep)
        program = conic(
            csc_array(csr_array(whole.matrix)[rows]),
            single.b[rows],
            csc_array((n, n)),
            int(keep[: whole.zero].sum()),
            int(keep[whole.zero : linear].sum()),
            tuple(sizes),
        )
        if not len(rows):
            return True
        solution = ClarabelSolver(program).solve(ProgramData(np.zeros(n), single.b[rows], 0.0))
        return solution.status != "infeasible"

    def _solution(
        self,
        data: BilevelData,
        outcome: Outcome,
        verdict: Audit | None,
        method: Method,
        started: float,
    ) -> BilevelSolution:
        layout, z, nan = self.form.layout, outcome.z, float("nan")
        found = bool(len(z))
        objective = self.form.leader_objective(z, data) if found else nan
        bound = min(outcome.bound, objective) if found else outcome.bound
        none = np.zeros(0)
        return BilevelSolution(
            status=outcome.status,
            x=z[layout.x] if found else none,
            y=z[layout.y] if found else none,
            w=z[layout.w] if found else none,
            nu=z[layout.nu] if found else none,
            objective=objective,
            bound=bound,
            gap=(objective - bound) / max(1.0, abs(objective)) if found else nan,
            follower_gap=verdict.follower_gap if verdict else nan,
            kkt_residual=verdict.residual if verdict else nan,
            nodes=outcome.nodes,
            solve_s=time.perf_counter() - started,
            method=method,
            message=outcome.message,
            big_m_active=outcome.big_m_active,
            log=outcome.log,
        )
