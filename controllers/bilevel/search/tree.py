"""Branch and bound on complementarity pairs, integers and cones (Bard and Moore 1990).

Every node's bound is the optimum of its relaxation. A point becomes the incumbent only with every
pair fixed to one side, so it satisfies complementarity exactly. An unbounded relaxation is
branched on along its ray; it proves the problem unbounded only where the ray respects every pair.
"""

from collections.abc import Callable

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.problem import BilevelOptions, EngineStatus, Outcome
from stackelgrid.controllers.bilevel.search.branching import (
    PairValues,
    cone_children,
    cone_widths,
    pattern,
)
from stackelgrid.controllers.bilevel.search.node import (
    BOUNDARY,
    MULTIPLIER_ZERO,
    OPEN,
    SLACK_ZERO,
    ConeState,
    NodeSolver,
    NodeState,
    root_state,
)
from stackelgrid.controllers.bilevel.search.propagation import Propagation
from stackelgrid.controllers.solvers.conic import ProgramData, Solution
from stackelgrid.controllers.solvers.search import Deadline, OpenNodes
from stackelgrid.profiles.arrays import Floats, Ints

# x with rounded integers -> sides of all pairs and states of the cones by the follower's response
Complete = Callable[[Floats], "tuple[Ints, tuple[ConeState, ...]] | None"]


class Tree:
    """Best-bound search with plunging; deterministic without a time limit."""

    def __init__(
        self,
        form: KktForm,
        data: ProgramData,
        nodes: NodeSolver,
        options: BilevelOptions,
        complete: Complete | None = None,
    ) -> None:
        self.form, self.data, self.solver, self.options = form, data, nodes, options
        self.complete = complete
        self.propagation = Propagation(form, data)
        self.integer = form.program.integer
        self.root = root_state(form, data).with_proven(options.slack_zero, options.multiplier_zero)
        self.z = np.zeros(0)
        self.objective = np.inf
        self.nodes = 0
        self.open = OpenNodes[NodeState]()
        self.seen: set[bytes] = set()
        self.log: list[tuple[float, int, float, float]] = []
        self.undecided = ""
        self.deadline = Deadline(options.time_limit_s)

    def run(self) -> Outcome:
        """Search until the gap is closed, the tree is empty or a limit is reached."""
        state: NodeState | None = self.root
        bound = -np.inf
        while True:
            if state is None:
                if not len(self.open):
                    return self._end()
                bound, state = self.open.pop()
                if self._cut(bound):
                    return self._end()
            if self._exhausted():
                self.open.push(bound, state)
                return self._end(limit=True)
            self.nodes += 1
            step = self._visit(state, bound)
            if step == "unbounded":
                return Outcome(
                    "unbounded", nodes=self.nodes, message="branching: a ray respects every pair"
                )
            state, bound = step if isinstance(step, tuple) else (None, bound)

    def start(self, z: Floats, objective: float) -> None:
        """Start from an incumbent, which must be a bilevel point."""
        self._offer(z, objective)

    def polish(self, z: Floats) -> tuple[Floats, float]:
        """Solve with the pattern of the follower's response to this point's x fixed."""
        self._heuristic(z)
        return self.z, self.objective

    # ------------------------------------------------------------------ nodes

    def _visit(self, state: NodeState, bound: float) -> "tuple[NodeState, float] | str | None":
        """Solve one node; return the child to continue with, and queue the other."""
        tightened = self.propagation.tighten(state)
        if tightened is None:
            return None
        state = tightened
        result = self.solver.solve(state)
        if result.status == "infeasible":
            return None
        if result.status == "unbounded":
            return self._along_ray(state, bound, result.x)
        if result.status == "failed":
            return self._blindly(state, bound, result.message)
        bound = max(bound, result.bound)
        if self._cut(bound):
            self.open.close(bound)
            return None
        pairs = PairValues.at(self.form, self.data, result.x)
        fraction = self._fraction(result.x)
        opening = self._cone_violation(state, result.x)
        complementary = bool(
            pairs.smaller[state.sides == OPEN].max(initial=0.0) <= tolerances.COMPLEMENTARY_PAIR
            and opening.max(initial=0.0) <= tolerances.COMPLEMENTARY_PAIR
        )
        if complementary and fraction.max(initial=0.0) <= tolerances.INTEGRALITY:
            self._restrict(self._pattern(state, result.x))
            if state.cones:
                self._heuristic(result.x)
        if self.nodes % self.options.heuristic_interval == 1 or self.nodes == 1:
            self._heuristic(result.x)
        if self._cut(bound):
            self.open.close(bound)
            return None
        return self._branch(state, bound, result, pairs, fraction, opening)

    def _branch(
        self,
        state: NodeState,
        bound: float,
        result: Solution,
        pairs: PairValues,
        fraction: Floats,
        opening: Floats,
    ) -> "tuple[NodeState, float] | None":
        """Create two children: the most violated pair, else a fractional integer, else a cone."""
        open_pairs = state.sides == OPEN
        product = np.where(open_pairs, pairs.product, 0.0)
        smaller = np.where(open_pairs, pairs.smaller, 0.0)
        if smaller.max(initial=0.0) > tolerances.COMPLEMENTARY_PAIR:
            violated = np.where(smaller > tolerances.COMPLEMENTARY_PAIR, product, -1.0)
            return self._split_pair(state, bound, int(np.argmax(violated)), pairs)
        if fraction.max(initial=0.0) > tolerances.INTEGRALITY:
            return self._split_integer(state, bound, int(np.argmax(fraction)), result.x)
        undecided = cone_widths(state)
        if undecided.max(initial=0.0) > tolerances.CONE_DIRECTION:
            # the leader gains to first order in a box's width: split until the bound is reached
            split = np.where(undecided > tolerances.CONE_DIRECTION, undecided + opening, -1.0)
            return self._split_cone(state, bound, int(np.argmax(split)), result.x)
        # complementary up to rounding, yet completing it did not reach the bound
        if smaller.max(initial=0.0) > 0.0:
            return self._split_pair(state, bound, int(np.argmax(smaller)), pairs)
        self._offer(result.x, result.objective)
        self.open.close(bound)
        return None

    def _split_pair(
        self, state: NodeState, bound: float, pair: int, pairs: PairValues
    ) -> tuple[NodeState, float]:
        slack_first = pairs.slack[pair] <= pairs.multiplier[pair]
        sides = (SLACK_ZERO, MULTIPLIER_ZERO) if slack_first else (MULTIPLIER_ZERO, SLACK_ZERO)
        self.open.push(bound, state.with_side(pair, sides[1]))
        return state.with_side(pair, sides[0]), bound

    def _split_integer(
        self, state: NodeState, bound: float, at: int, z: Floats
    ) -> tuple[NodeState, float]:
        value, low, high = z[self.integer[at]], state.lower[at], state.upper[at]
        down = state.with_bounds(at, low, float(np.floor(value)))
        up = state.with_bounds(at, float(np.floor(value)) + 1.0, high)
        first, second = (down, up) if value - np.floor(value) <= 0.5 else (up, down)
        self.open.push(bound, second)
        return first, bound

    def _split_cone(
        self, state: NodeState, bound: float, cone: int, z: Floats
    ) -> tuple[NodeState, float]:
        slack = self.form.cone_slack(cone, z, self.data.b)
        first, *others = cone_children(state.cones[cone], slack)
        for other in others:
            self.open.push(bound, state.with_cone(cone, other))
        return state.with_cone(cone, first), bound

    def _along_ray(
        self, state: NodeState, bound: float, ray: Floats
    ) -> "tuple[NodeState, float] | str | None":
        """Branch if an unbounded relaxation's ray violates complementarity, or prove it real."""
        ray = ray / max(float(np.abs(ray).max(initial=0.0)), 1e-300)
        still = np.zeros_like(self.data.b)
        slack = np.maximum(self.form.slacks(ray, still), 0.0)
        multiplier = np.maximum(ray[self.form.multipliers], 0.0)
        open_pairs = state.sides == OPEN
        moved = PairValues(slack, multiplier)
        along = np.where(open_pairs, np.minimum(slack, multiplier), 0.0)
        if along.max(initial=0.0) > tolerances.RAY:
            return self._split_pair(state, bound, int(np.argmax(along)), moved)
        either = np.where(open_pairs, np.maximum(slack, multiplier), 0.0)
        if either.max(initial=0.0) > tolerances.RAY:
            return self._split_pair(state, bound, int(np.argmax(either)), moved)
        for cone, now in enumerate(state.cones):
            if now.side == OPEN:
                return self._split_cone(state, bound, cone, ray)
        found = self.solver.solve(state, feasibility=True)
        if found.status == "infeasible":
            return None
        if found.status != "optimal":
            return self._blindly(state, bound, found.message)
        pairs = PairValues.at(self.form, self.data, found.x)
        fraction = self._fraction(found.x)
        smaller = np.where(open_pairs, pairs.smaller, 0.0)
        if smaller.max(initial=0.0) > tolerances.COMPLEMENTARY_PAIR:
            return self._split_pair(state, bound, int(np.argmax(smaller)), pairs)
        if fraction.max(initial=0.0) > tolerances.INTEGRALITY:
            return self._split_integer(state, bound, int(np.argmax(fraction)), found.x)
        completed = self._pattern(state, found.x)
        if self.solver.solve(completed, feasibility=True).status == "optimal":
            return "unbounded"
        if open_pairs.any():
            return self._split_pair(state, bound, int(np.flatnonzero(open_pairs)[0]), pairs)
        return "unbounded"

    def _blindly(
        self, state: NodeState, bound: float, message: str
    ) -> "tuple[NodeState, float] | None":
        """Branch on any open pair after a solver failure; a leaf stays undecided."""
        open_pairs = np.flatnonzero(state.sides == OPEN)
        wide = np.flatnonzero(state.upper > state.lower)
        if len(open_pairs):
            pair = int(open_pairs[0])
            self.open.push(bound, state.with_side(pair, MULTIPLIER_ZERO))
            return state.with_side(pair, SLACK_ZERO), bound
        if len(wide):
            at = int(wide[0])
            middle = float(np.floor(0.5 * (state.lower[at] + state.upper[at])))
            self.open.push(bound, state.with_bounds(at, middle + 1.0, state.upper[at]))
            return state.with_bounds(at, state.lower[at], middle), bound
        self.open.close(bound)
        self.undecided = message
        return None

    # ------------------------------------------------------------------ points

    def _pattern(self, state: NodeState, z: Floats) -> NodeState:
        """Return the node with every pair on its side at a complementary point."""
        values = np.clip(np.round(z[self.integer]), state.lower, state.upper)
        return pattern(self.form, self.data, state, z, values)

    def _heuristic(self, z: Floats) -> None:
        """Round the integers, take the follower's response to x, and restrict to its pattern."""
        if self.complete is None:
            return
        snap, root = self.options.snap, self.root
        x = z[self.form.layout.x].copy()
        values = np.round(x[self.integer] if snap is None else snap(x))
        values = np.clip(values, root.lower, root.upper)
        x[self.integer] = values
        completed = self.complete(x)
        if completed is None:
            return
        sides, cones = completed
        sides = np.where(root.sides == OPEN, sides, root.sides)
        self._restrict(NodeState(sides, values, values, cones))

    def _restrict(self, state: NodeState) -> None:
        key = state.sides.tobytes() + state.lower.tobytes() + repr(state.cones).encode()
        if key in self.seen:
            return
        self.seen.add(key)
        result = self.solver.solve(state)
        self.nodes += 1
        if result.status == "optimal" and not cone_widths(state).any():
            self._offer(result.x, result.objective)

    def _offer(self, z: Floats, objective: float) -> None:
        if objective < self.objective:
            self.z, self.objective = z, objective
            self._note()

    def _fraction(self, z: Floats) -> Floats:
        values = z[self.integer]
        return np.abs(values - np.round(values))

    def _cone_violation(self, state: NodeState, z: Floats) -> Floats:
        """Return s'nu of every undecided cone, relative to the sizes (cones,)."""
        violation = np.zeros(len(state.cones))
        for cone, now in enumerate(state.cones):
            if now.side in (OPEN, BOUNDARY):
                slack = self.form.cone_slack(cone, z, self.data.b)
                multiplier = z[self.form.cone_multipliers[cone]]
                size = max(1.0, abs(slack[0])) * max(1.0, abs(multiplier[0]))
                violation[cone] = max(float(slack @ multiplier) / size, 0.0)
        return violation

    # ------------------------------------------------------------------ bookkeeping

    def _cut(self, bound: float) -> bool:
        """Return whether a node with this bound cannot improve the incumbent beyond the gap."""
        if not np.isfinite(self.objective):
            return False
        return bound >= self.objective - self.options.gap * max(1.0, abs(self.objective))

    def _exhausted(self) -> bool:
        limit = self.options.node_limit
        return self.deadline.passed or (limit is not None and self.nodes >= limit)

    def _bound(self) -> float:
        return float(min(self.objective, self.open.bound))

    def _note(self) -> None:
        self.log.append((self.deadline.seconds, self.nodes, self._bound(), self.objective))

    def _end(self, limit: bool = False) -> Outcome:
        found, bound, message = bool(len(self.z)), self._bound(), "branching"
        if self.undecided:
            limit = limit or not found
            message = f"branching; a node could not be decided: {self.undecided}"
        closed = found and self._cut(bound)
        status: EngineStatus = "optimal" if closed else "limit" if limit or found else "infeasible"
        return Outcome(
            status=status,
            z=self.z,
            objective=self.objective,
            bound=bound if found or limit else np.inf,
            nodes=self.nodes,
            message=message,
            log=tuple(self.log),
        )
