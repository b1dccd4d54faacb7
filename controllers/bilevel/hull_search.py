"""Bilevel programs whose follower splits into blocks: hull of disjunctions, refined and branched.

A relaxation is solved; if a copy violates complementarity its disjunct is split, and the tighter
relaxation is solved again. The leader's point with the follower's response gives the active
pattern, and the program restricted to that pattern an upper bound. When no disjunct is left to
split, the search branches on the disjuncts of a block whose weights are fractional.
"""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import csc_array, csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.follower import active_pairs
from stackelgrid.controllers.bilevel.hull import (
    CopyState,
    Disjunct,
    DisjunctiveHull,
    Disjuncts,
    FollowerCost,
    HullInstance,
    HullProgram,
)
from stackelgrid.controllers.solvers.checks import contradiction
from stackelgrid.controllers.solvers.clarabel import RefinedClarabelSolver
from stackelgrid.controllers.solvers.conic import ConicProgram, ConicSolver, ProgramData, Solution
from stackelgrid.controllers.solvers.misocp import MixedIntegerConicSolver
from stackelgrid.controllers.solvers.mixed_search import LogEntry, MixedOptions, MixedStatus, Snap
from stackelgrid.profiles.arrays import Floats

_MOST_SPLIT = 4  # pairs of one copy that are split at once
_ALIKE = 1e-3  # multipliers that are closer (relative to the largest) count as equal
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
    `relaxation` is the last root relaxation's solution, `log` holds (phase, seconds, bound,
    objective).
    """

    status: MixedStatus
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
        """Solve one instance; `follower_parameters` hold the data without the leader's share."""
        instance = HullInstance(leader, self.follower.data(follower_parameters), cost)
        return _Search(self, instance, follower_parameters, options or HullOptions()).run()


@dataclass(order=True)
class _Node:
    bound: float
    number: int
    disjuncts: Disjuncts = field(compare=False)


@dataclass
class _Search:
    parent: HullSearch
    instance: HullInstance
    parameters: Floats
    options: HullOptions
    objective: float = np.inf
    best: tuple[Floats, Floats, Floats] | None = None
    kept_bound: float = np.inf  # lowest bound of nodes that were closed without being solved out
    relaxations: int = 0
    conic_solves: int = 0
    iterations: int = 0
    message: str = ""

    def __post_init__(self) -> None:
        self.started = time.perf_counter()
        self.log: list[LogEntry] = []
        self.tried: set[bytes] = set()
        self.open: list[_Node] = [_Node(-np.inf, 0, {})]
        self.numbered = 0
        self.current = np.inf  # bound of the node that is being explored

    def run(self) -> HullSolution:
        while self.open:
            if self._closed():
                return self._end("optimal", "closed")
            node = heapq.heappop(self.open)
            self.current = node.bound
            failed = self._explore(node)
            self.current = np.inf
            if failed is not None:
                return self._end(failed, self.message)
            if self._exhausted():
                return self._end("optimal" if self._closed() else "limit", "stopped by a limit")
        if self.best is None:
            if self.kept_bound < np.inf:
                return self._end("limit", "no point was found")
            return self._end("infeasible", "no disjunct has a point")
        return self._end("optimal" if self._closed() else "limit", "every disjunct was explored")

    def _explore(self, node: _Node) -> MixedStatus | None:
        """Solve a node, refining it until nothing is left to split, then branch."""
        disjuncts = dict(node.disjuncts)
        floor = node.bound
        while True:
            hull = self.parent.hull.program(self.instance, disjuncts)
            solution = self._relax(hull)
            if solution.status == "infeasible":
                return None
            if solution.status == "unbounded" and not self._has_point(hull):
                return None  # the multipliers have a ray, but there is no exchange to be served
            if solution.status != "optimal":
                self.message = f"a relaxation ended {solution.status} ({solution.message})"
                if solution.status == "unbounded" or not np.isfinite(floor):
                    return "unbounded" if solution.status == "unbounded" else "failed"
                self.kept_bound = min(self.kept_bound, floor)
                return None
            floor = max(floor, solution.bound)
            self.current = floor
            self._note("relaxation")
            if floor >= self.objective - self._slack():
                self.kept_bound = min(self.kept_bound, floor)
                return None
            states = self.parent.hull.states(hull, self.instance, solution.x)
            self._upper(solution.x)
            if self._closed() or self._exhausted():
                self._push(floor, disjuncts)
                return None
            refined = self._refined(disjuncts, states)
            if refined is None and _whole(states) and len(hull.program.integer):
                # complementary everywhere: what is left open are the integers
                floor, point = self._integral(hull, floor)
                if point is not None:
                    states = self.parent.hull.states(hull, self.instance, point)
                    refined = self._refined(disjuncts, states)
            if refined is None:
                self._branch(floor, disjuncts, states)
                return None
            disjuncts = refined

    def _refined(
        self, disjuncts: Disjuncts, states: tuple[CopyState, ...]
    ) -> dict[int, tuple[Disjunct, ...]] | None:
        """Split every copy in use that violates complementarity; None where none does."""
        violated = [self._violated(state) for state in states]
        # blocks of one shape (periods) that are split for the first time are split alike: what one
        # relaxation violates in some of them, the next would violate in others
        known = [disjuncts.get(s.block, (Disjunct(),))[s.position] for s in states]
        common: dict[tuple[int, ...], list[int]] = {}
        for state, places, disjunct in zip(states, violated, known, strict=True):
            if disjunct == Disjunct():
                shared = common.setdefault(self._shape(state.block), [])
                shared += [k for k in places if k not in shared]
        refined: dict[int, tuple[Disjunct, ...]] = {}
        for state, places, disjunct in zip(states, violated, known, strict=True):
            parts: tuple[Disjunct, ...] = (disjunct,)
            if places:
                shared = common[self._shape(state.block)] if disjunct == Disjunct() else []
                places = [*places, *(k for k in shared if k not in places)][:_MOST_SPLIT]
                parts = self._split(state, disjunct, places)
            if len(parts) > 1 or parts[0] != Disjunct() or state.block in refined:
                refined[state.block] = (*refined.get(state.block, ()), *parts)
        return refined if any(violated) else None

    def _violated(self, state: CopyState) -> list[int]:
        """Rows of a copy, as places in its block, that violate complementarity, worst first."""
        if state.weight <= tolerances.DISJUNCT_WEIGHT:
            return []
        allowed = tolerances.COMPLEMENTARITY * max(1.0, abs(self.objective_or_bound()))
        product = np.maximum(state.slack, 0.0) * state.multiplier / state.weight
        product[: self.parent.hull.blocks[state.block].equations] = 0.0
        worst = np.argsort(-product, kind="stable")[:_MOST_SPLIT]
        return [int(k) for k in worst if product[k] > allowed]

    def _shape(self, k: int) -> tuple[int, ...]:
        block = self.parent.hull.blocks[k]
        return (len(block.rows), len(block.columns), block.equations)

    def _split(
        self, state: CopyState, disjunct: Disjunct, places: list[int]
    ) -> tuple[Disjunct, ...]:
        """Split at some rows, the largest multiplier first: the pair that is last to change sides.

        Rows with nearly equal multipliers, such as limits of equal units, change sides together.
        """
        multiplier = state.multiplier[places]
        order = np.argsort(-multiplier, kind="stable")
        apart = -np.diff(multiplier[order]) > _ALIKE * multiplier[order][0]
        rows = self.parent.hull.blocks[state.block].rows[np.array(places)[order]]
        return disjunct.split(
            [int(r) for r in rows], np.concatenate([[0], np.cumsum(apart)]).tolist()
        )

    def _branch(self, floor: float, disjuncts: Disjuncts, states: tuple[CopyState, ...]) -> None:
        """Branch on the block whose largest weight is smallest: that disjunct, or the others."""
        by_block: dict[int, list[CopyState]] = {}
        for state in states:
            by_block.setdefault(state.block, []).append(state)
        largest = {k: max(s.weight for s in group) for k, group in by_block.items()}
        k = min(largest, key=lambda block: (largest[block], block))
        if _whole(states):
            self.kept_bound = min(self.kept_bound, floor)
            return
        chosen = max(by_block[k], key=lambda s: s.weight).position
        options = disjuncts[k]
        others = tuple(d for j, d in enumerate(options) if j != chosen)
        for part in ((options[chosen],), others):
            self._push(floor, {**disjuncts, k: part})

    def _push(self, bound: float, disjuncts: Disjuncts) -> None:
        self.numbered += 1
        heapq.heappush(self.open, _Node(bound, self.numbered, disjuncts))

    def _relax(self, hull: HullProgram) -> Solution:
        self.relaxations += 1
        return self._conic(hull.program, hull.data, tolerances.HULL_SHARE * self.options.gap)

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
        return Solution("failed", solution.x, solution.dual, np.nan, np.nan, np.nan,
                        solution.iterations, solution.solve_s, lie)  # fmt: skip

    def _has_point(self, hull: HullProgram) -> bool:
        """Return whether a relaxation has a point at all."""
        n = hull.program.variables
        program = replace(hull.program, quadratic=csc_array((n, n)))
        data = ProgramData(np.zeros(n), hull.data.b, 0.0)
        return self._conic(program, data).status != "infeasible"

    def _integral(self, hull: HullProgram, floor: float) -> tuple[float, Floats | None]:
        """The relaxation with its integers: a better bound, and a point (None for none)."""
        driver = MixedIntegerConicSolver(
            hull.program, self._snap(), conic_solver=self.parent.conic_solver
        )
        limit = self.options.time_limit_s
        left = None if limit is None else limit - (time.perf_counter() - self.started)
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

    def _snap(self) -> Snap | None:
        """The leader's snap on points that hold more columns than the leader's."""
        own, n = self.parent.snap, self.parent.leader.variables
        return None if own is None else (lambda x: own(x[:n]))

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
            pattern[k] = (
                Disjunct(
                    tuple(int(r) for r in rows[~on]),
                    tuple(int(r) for r in rows[on]),
                ),
            )
        hull = parent.hull.program(self.instance, pattern)
        driver = MixedIntegerConicSolver(
            hull.program, self._snap(), conic_solver=parent.conic_solver
        )
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

    def objective_or_bound(self) -> float:
        """Size of the objective, as far as it is known."""
        return self.objective if np.isfinite(self.objective) else self._bound()

    def _bound(self) -> float:
        waiting = min((node.bound for node in self.open), default=np.inf)
        return min(waiting, self.kept_bound, self.current)

    def _slack(self) -> float:
        """Absolute gap that is wanted; zero before there is a point."""
        if not np.isfinite(self.objective):
            return 0.0
        return self.options.gap * max(1.0, abs(self.objective))

    def _closed(self) -> bool:
        return self.best is not None and self._bound() >= self.objective - self._slack()

    def _exhausted(self) -> bool:
        limit = self.options.time_limit_s
        late = limit is not None and time.perf_counter() - self.started > limit
        return late or self.relaxations >= self.options.relaxation_limit

    def _note(self, phase: str) -> None:
        objective = self.objective if np.isfinite(self.objective) else float("nan")
        self.log.append((phase, time.perf_counter() - self.started, self._bound(), objective))

    def _end(self, status: MixedStatus, message: str) -> HullSolution:
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
            solve_s=time.perf_counter() - self.started,
        )


def _whole(states: tuple[CopyState, ...]) -> bool:
    """Return whether every block is in one of its copies."""
    largest: dict[int, float] = {}
    for state in states:
        largest[state.block] = max(largest.get(state.block, 0.0), state.weight)
    return min(largest.values(), default=1.0) > 1.0 - tolerances.DISJUNCT_WEIGHT
