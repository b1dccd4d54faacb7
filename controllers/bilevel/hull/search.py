"""Bilevel programs whose follower splits into blocks: hull of disjunctions, refined and branched.

A relaxation is solved; if a copy violates complementarity its disjunct is split, and the tighter
relaxation is solved again. The leader's point with the follower's response gives the active
pattern, and the program restricted to that pattern an upper bound. When no disjunct is left to
split, the search branches on the disjuncts of a block whose weights are fractional.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.hull.disjuncts import (
    CopyState,
    Disjunct,
    Disjuncts,
    refined,
    whole,
)
from stackelgrid.controllers.bilevel.hull.relaxation import (
    DisjunctiveHull,
    FollowerCost,
    HullInstance,
    HullProgram,
)
from stackelgrid.controllers.bilevel.search.follower import active_pairs
from stackelgrid.controllers.solvers.backends.clarabel import RefinedClarabelSolver
from stackelgrid.controllers.solvers.checks import contradiction
from stackelgrid.controllers.solvers.conic import (
    ConicProgram,
    ConicSolver,
    ProgramData,
    SearchStatus,
    Solution,
)
from stackelgrid.controllers.solvers.mixed_integer.incumbent import LogEntry, MixedOptions, Snap
from stackelgrid.controllers.solvers.mixed_integer.misocp import MixedIntegerConicSolver
from stackelgrid.controllers.solvers.search import Deadline, OpenNodes
from stackelgrid.profiles.arrays import Floats

# limits of a search for integers inside one relaxation
_INTEGER_NODES = 500
_INTEGER_ROUNDS = 20


@dataclass(frozen=True)
class HullOptions:
    """Stopping rules: relative `gap`, conic solves of relaxations, wall-clock seconds."""

    gap: float = 1e-3
    relaxation_limit: int = 200
    time_limit_s: float | None = None


@dataclass(frozen=True)
class HullSolution:
    """Leader's point, follower's response and multipliers with a proven bound.

    Status "limit" still holds a point if one was found; `gap` is relative to max(1, |objective|).
    `log` holds (phase, seconds, bound, objective).
    """

    status: SearchStatus
    x: Floats
    y: Floats
    nu: Floats
    objective: float
    bound: float
    gap: float
    relaxations: int
    conic_solves: int
    iterations: int
    log: tuple[LogEntry, ...]
    message: str
    solve_s: float


class HullSearch:
    """Bound to one leader, follower and link; solved again for new data.

    `paid` is the symmetric quadratic in y of the leader's objective, `snap` maps a relaxed x to
    values of the leader's integer columns.
    """

    def __init__(
        self,
        leader: ConicProgram,
        follower: ConicProgram,
        link: csr_array,
        paid: csr_array,
        snap: Snap | None = None,
        *,
        conic_solver: Callable[[ConicProgram], ConicSolver] = RefinedClarabelSolver,
    ) -> None:
        self.hull = DisjunctiveHull(leader, follower, link, paid)
        self.leader, self.follower, self.link = leader, follower, self.hull.link
        self.snap, self.conic_solver = snap, conic_solver
        self.response = conic_solver(follower)

    def solve(
        self,
        leader: ProgramData,
        follower_parameters: Floats,
        cost: FollowerCost,
        options: HullOptions | None = None,
    ) -> HullSolution:
        """Solve one instance.

        leader: vectors of the leader's program.
        follower_parameters: parameters of the follower without the leader's share.
        cost: share of the follower's solution in the leader's objective.
        options: stopping rules.
        """
        instance = HullInstance(leader, self.follower.data(follower_parameters), cost)
        return _Search(self, instance, follower_parameters, options or HullOptions()).run()


@dataclass
class _Search:
    parent: HullSearch
    instance: HullInstance
    parameters: Floats
    options: HullOptions
    objective: float = np.inf
    best: tuple[Floats, Floats, Floats] | None = None
    relaxations: int = 0
    conic_solves: int = 0
    iterations: int = 0
    message: str = ""

    def __post_init__(self) -> None:
        self.deadline = Deadline(self.options.time_limit_s)
        self.log: list[LogEntry] = []
        self.tried: set[bytes] = set()
        self.open = OpenNodes[Disjuncts]()
        self.open.push(-np.inf, {})
        self.current = np.inf  # bound of the node that is being explored

    def run(self) -> HullSolution:
        while self.open:
            if self._closed():
                return self._end("optimal", "closed")
            self.current, disjuncts = self.open.pop()
            failed = self._explore(self.current, disjuncts)
            self.current = np.inf
            if failed is not None:
                return self._end(failed, self.message)
            if self._exhausted():
                return self._end("optimal" if self._closed() else "limit", "stopped by a limit")
        if self.best is None:
            if self.open.closed < np.inf:
                return self._end("limit", "no point was found")
            return self._end("infeasible", "no disjunct has a point")
        return self._end("optimal" if self._closed() else "limit", "every disjunct was explored")

    def _explore(self, floor: float, disjuncts: Disjuncts) -> SearchStatus | None:
        """Solve a node, refining it until nothing is left to split, then branch."""
        disjuncts, blocks = dict(disjuncts), self.parent.hull.blocks
        while True:
            hull = self.parent.hull.program(self.instance, disjuncts)
            self.relaxations += 1
            tolerance = tolerances.HULL_SHARE * self.options.gap
            solution = self._conic(hull.program, hull.data, tolerance)
            if solution.status == "infeasible":
                return None
            if solution.status == "unbounded" and not self._has_point(hull):
                return None  # the multipliers have a ray, but there is no exchange to be served
            if solution.status != "optimal":
                self.message = f"a relaxation ended {solution.status} ({solution.message})"
                if solution.status == "unbounded" or not np.isfinite(floor):
                    return "unbounded" if solution.status == "unbounded" else "failed"
                self.open.close(floor)
                return None
            floor = max(floor, solution.bound)
            self.current = floor
            self._note("relaxation")
            if floor >= self.objective - self._slack():
                self.open.close(floor)
                return None
            states = self.parent.hull.states(hull, self.instance, solution.x)
            self._upper(solution.x)
            if self._closed() or self._exhausted():
                self.open.push(floor, disjuncts)
                return None
            finer = refined(blocks, disjuncts, states, self.size)
            if finer is None and whole(states) and len(hull.program.integer):
                # complementary everywhere: what is left open are the integers
                floor, point = self._integral(hull, floor)
                if point is not None:
                    states = self.parent.hull.states(hull, self.instance, point)
                    finer = refined(blocks, disjuncts, states, self.size)
            if finer is None:
                self._branch(floor, disjuncts, states)
                return None
            disjuncts = finer

    def _branch(self, floor: float, disjuncts: Disjuncts, states: tuple[CopyState, ...]) -> None:
        """Branch on the block whose largest weight is smallest: that disjunct, or the others."""
        by_block: dict[int, list[CopyState]] = {}
        for state in states:
            by_block.setdefault(state.block, []).append(state)
        largest = {k: max(s.weight for s in group) for k, group in by_block.items()}
        k = min(largest, key=lambda block: (largest[block], block))
        if whole(states):
            self.open.close(floor)
            return
        chosen = max(by_block[k], key=lambda s: s.weight).position
        options = disjuncts[k]
        others = tuple(d for j, d in enumerate(options) if j != chosen)
        for part in ((options[chosen],), others):
            self.open.push(floor, {**disjuncts, k: part})

    def _conic(
        self, program: ConicProgram, data: ProgramData, tolerance: float | None = None
    ) -> Solution:
        """Solve to a tolerance, or to rounding; to rounding as well where a check fails."""
        solution = self.parent.conic_solver(program).solve(data, tolerance)
        self.conic_solves += 1
        self.iterations += solution.iterations
        lie = contradiction(solution, program, data)
        if lie is None:
            return solution
        if tolerance is not None:
            return self._conic(program, data)
        return replace(solution, status="failed", message=lie)

    def _has_point(self, hull: HullProgram) -> bool:
        """Return whether a relaxation has a point at all."""
        data = ProgramData.without_objective(hull.data.b, hull.program.variables)
        return self._conic(hull.program.without_objective(), data).status != "infeasible"

    def _integral(self, hull: HullProgram, floor: float) -> tuple[float, Floats | None]:
        """The relaxation with its integers: a better bound, and a point (None for none)."""
        driver = self._driver(hull)
        left = self.deadline.left
        found = driver.solve(
            hull.data,
            MixedOptions(self.options.gap / 4, left, _INTEGER_NODES, _INTEGER_ROUNDS),
        )
        self.conic_solves += found.conic_solves
        if found.status == "infeasible":
            return np.inf, None
        floor = max(floor, found.bound)
        self.current = floor
        if len(found.x):
            self._upper(found.x)
        self._note("integers")
        return floor, found.x if len(found.x) else None

    def _driver(self, hull: HullProgram) -> MixedIntegerConicSolver:
        """Solver of a relaxation with its integers, snapped as those of the leader."""
        own, n = self.parent.snap, self.parent.leader.variables
        snap: Snap | None = None if own is None else (lambda x: own(x[:n]))
        return MixedIntegerConicSolver(hull.program, snap, conic_solver=self.parent.conic_solver)

    # ------------------------------------------------------------------ upper bounds

    def _upper(self, point: Floats) -> None:
        """Restrict the program to the active pattern of the follower's answer; offer its point."""
        parent = self.parent
        x = point[: parent.leader.variables]
        data = parent.follower.data(self.parameters + parent.link @ x)
        answer = parent.response.solve(data)
        self.conic_solves += 1
        if answer.status != "optimal":
            return
        active = np.zeros(parent.follower.rows, dtype=bool)
        active[parent.follower.zero :] = active_pairs(parent.follower, answer, data.b)
        key = np.packbits(active).tobytes()
        if key in self.tried:
            return
        self.tried.add(key)
        pattern: dict[int, tuple[Disjunct, ...]] = {}
        for k, block in enumerate(parent.hull.blocks):
            rows = block.rows[block.equations :]
            on = active[rows]
            pattern[k] = (Disjunct(tuple(rows[~on].tolist()), tuple(rows[on].tolist())),)
        hull = parent.hull.program(self.instance, pattern)
        driver = self._driver(hull)
        gap = self.options.gap / 4
        options = MixedOptions(gap, round_limit=0, price_restricted=False)
        found = driver.solve(hull.data, options)
        self.conic_solves += found.conic_solves
        if len(found.x) and found.objective < self.objective:
            self.objective = found.objective
            self.best = self._joined(hull, found.x)
        self._note("restricted")

    def _joined(self, hull: HullProgram, point: Floats) -> tuple[Floats, Floats, Floats]:
        y = np.zeros(self.parent.follower.variables)
        nu = np.zeros(self.parent.follower.rows)
        for copy in hull.copies:
            block = self.parent.hull.blocks[copy.block]
            y[block.columns] += point[copy.y : copy.y + len(block.columns)]
            rows = block.rows[copy.nu_rows]
            nu[rows] += hull.price * point[copy.nu : copy.nu + len(rows)]
        return point[: self.parent.leader.variables], y, nu

    # ------------------------------------------------------------------ bounds and ends

    @property
    def size(self) -> float:
        """Objective, or its bound without a point."""
        return self.objective if np.isfinite(self.objective) else self._bound()

    def _bound(self) -> float:
        return min(self.open.bound, self.current)

    def _slack(self) -> float:
        """Absolute gap that is wanted; zero before there is a point."""
        if not np.isfinite(self.objective):
            return 0.0
        return self.options.gap * max(1.0, abs(self.objective))

    def _closed(self) -> bool:
        return self.best is not None and self._bound() >= self.objective - self._slack()

    def _exhausted(self) -> bool:
        return self.deadline.passed or self.relaxations >= self.options.relaxation_limit

    def _note(self, phase: str) -> None:
        objective = self.objective if np.isfinite(self.objective) else float("nan")
        self.log.append((phase, self.deadline.seconds, self._bound(), objective))

    def _end(self, status: SearchStatus, message: str) -> HullSolution:
        nan, none = float("nan"), np.zeros(0)
        found = self.best is not None
        bound = min(self._bound(), self.objective)
        size = max(1.0, abs(self.objective))
        x, y, nu = self.best or (none, none, none)
        return HullSolution(
            status=status,
            x=x,
            y=y,
            nu=nu,
            objective=self.objective if found else nan,
            bound=bound,
            gap=max(self.objective - bound, 0.0) / size if found else nan,
            relaxations=self.relaxations,
            conic_solves=self.conic_solves,
            iterations=self.iterations,
            log=tuple(self.log),
            message=message,
            solve_s=self.deadline.seconds,
        )
