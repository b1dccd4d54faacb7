"""Outer approximation: a master proposes integers, conic solves bound them and add cuts."""

from collections.abc import Callable

import numpy as np

from stackelgrid.controllers.solvers.bound_rows import IntegerBounds
from stackelgrid.controllers.solvers.conic import Solution
from stackelgrid.controllers.solvers.mixed_integer.incumbent import Incumbent, MixedSolution
from stackelgrid.controllers.solvers.mixed_integer.master import Master
from stackelgrid.controllers.solvers.reduce.restricted import RestrictedProgram
from stackelgrid.profiles.arrays import Floats


class OuterApproximation:
    """Rounds of one search (Duran and Grossmann 1986).

    `restrict` solves with integers fixed, offers the point and notes the bound in `known`.
    """

    def __init__(
        self,
        search: Incumbent,
        master: Master,
        restricted: RestrictedProgram,
        restrict: Callable[[Floats], Solution | None],
        known: dict[bytes, float],
    ) -> None:
        self.search, self.master = search, master
        self.restricted, self.restrict, self.known = restricted, restrict, known
        self.excluded = np.inf  # lowest bound among assignments the master no longer holds
        self.visits: dict[bytes, int] = {}  # how often the master proposed an assignment

    def run(self, bounds: IntegerBounds, first: Solution | None) -> MixedSolution:
        """Continue from the relaxation and, if there is one, a `first` restricted solution."""
        search, master = self.search, self.master
        self._cut(search.relaxation, search.relaxation.x)
        if first is not None:
            self._cut(first, search.x)
        self._cut_rounds()
        tight = False
        while not search.closed():
            if search.exhausted():
                return search.end("limit", "stopped by a limit")
            search.rounds += 1
            result = master.solve(
                relaxed=False,
                absolute_gap=self._master_gap(tight),
                node_limit=search.nodes_left(),
                time_limit_s=search.deadline.left,
                incumbent=search.x if len(search.x) else None,
            )
            search.nodes += result.nodes
            if result.status == "failed":
                return search.end("limit" if len(search.x) else "failed", result.message)
            if result.status == "infeasible":
                return self._emptied()
            if result.status == "unbounded":
                master.add_floor(search.bound)
                search.note("master")
                continue
            search.raise_bound(min(result.bound, self.excluded))
            search.note("master")
            if search.closed():
                break
            if result.x is None:
                return search.end("limit", f"the master stopped without a point: {result.message}")
            tight = self._follow(result.x, bounds)
        return search.end("optimal", "closed by outer approximation")

    def _follow(self, x: Floats, bounds: IntegerBounds) -> bool:
        """Restrict and cut at the master's point; True asks for a tighter master next."""
        values = np.clip(np.round(x[self.search.program.integer]), bounds.lower, bounds.upper)
        key = values.tobytes()
        visits = self.visits[key] = self.visits.get(key, 0) + 1
        self.master.cut_point(x)
        if key not in self.known:
            solution = self.restrict(values)
            if solution is not None and len(solution.x):
                self._cut(solution, self.restricted.join(solution.x, values))
            return False
        if visits > 2:
            # its cuts are in place and it still returns: it leaves with the bound it has
            self.excluded = min(self.excluded, max(self.known[key], self.search.bound))
            self.master.exclude(values)
        return True

    def _cut(self, solution: Solution, x: Floats) -> None:
        """Add the cuts of a conic solve: they carry its bound, or its infeasibility, over."""
        if solution.status not in ("optimal", "infeasible"):
            return
        dual = solution.dual
        if len(dual) != self.search.program.rows:
            dual = self.restricted.join_dual(dual)
        if solution.status == "optimal":
            self.master.cut_objective(x)
        self.master.cut_multipliers(dual)

    def _cut_rounds(self) -> None:
        """Cut off points of the master's linear relaxation before any branching."""
        for _ in range(self.search.options.cut_rounds):
            if self.search.exhausted():
                return
            result = self.master.solve(relaxed=True, time_limit_s=self.search.deadline.left)
            x = result.x if result.status == "optimal" else None
            if x is None or not self.master.cut_point(x):
                break
        self.search.note("cut rounds")

    def _master_gap(self, tight: bool) -> float:
        """Absolute gap at which a master may stop: coarse while the incumbent is far."""
        objective, bound = self.search.objective, self.search.bound
        found = np.isfinite(objective)
        wanted = 0.25 * self.search.options.gap * max(1.0, abs(objective if found else bound))
        if tight:
            return wanted
        distance = objective - bound if found else max(1.0, abs(bound))
        return float(max(wanted, 0.1 * distance))

    def _emptied(self) -> MixedSolution:
        """End where the master has no assignment left."""
        search = self.search
        if len(search.x):
            if self.excluded < np.inf:
                search.raise_bound(min(self.excluded, search.objective))
            return search.end("optimal" if search.closed() else "limit", "the master is exhausted")
        if self.excluded < np.inf:
            return search.end("failed", "an assignment of the integers could not be decided")
        return search.end("infeasible", "no assignment of the integers satisfies the master")
