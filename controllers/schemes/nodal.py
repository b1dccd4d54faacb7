"""Leaders who foresee the nodal prices that their exchange leads to: search over active sets."""

from scipy.sparse import csr_array, triu

from stackelgrid.controllers.bilevel.hull import FollowerCost, HullOptions, HullSearch, HullSolution
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.schedule import SolveReport
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.mixed_integer.incumbent import Snap
from stackelgrid.controllers.solvers.registry import Choice, multiplier_solver
from stackelgrid.profiles.arrays import Floats


class NodalSearch:
    """The payment is a convex function of the follower's solution and multipliers (hull.py).

    `link` (follower's parameters, leaders' columns) makes exchanges loads of the follower.
    """

    def __init__(
        self,
        leaders: ConicProgram,
        follower: UpstreamAgent,
        link: csr_array,
        snap: Snap,
        choice: Choice,
    ) -> None:
        self._below, self._name = follower.compiled.program, choice.name
        upper = csr_array(self._below.quadratic)
        payment = csr_array(upper + triu(upper, 1).T)
        self._search = HullSearch(
            leaders, self._below, link, payment, snap, conic_solver=multiplier_solver(choice)
        )

    def solve(
        self, data: ProgramData, parameters: Floats, gap: float, relaxations: int
    ) -> HullSolution:
        """Solve for data of the leaders and parameters of the follower without their exchange."""
        cost = self._below.data(parameters)
        options = HullOptions(gap=gap, relaxation_limit=relaxations)
        return self._search.solve(data, parameters, FollowerCost(cost.q, cost.b), options)

    def report(self, solution: HullSolution, objective_eur: float) -> SolveReport:
        """Report of a solve; the objective is one leader's own."""
        failed = f"nodal pricing: {solution.status} ({solution.message})"
        return SolveReport(
            solver=f"hull of disjunctions on {self._name}",
            status=solution.status,
            objective_eur=objective_eur,
            gap=solution.gap,
            violation=float("nan"),
            iterations=solution.iterations,
            solve_s=solution.solve_s,
            fallback="" if len(solution.x) else failed,
            nodes=solution.relaxations,
            conic_solves=solution.conic_solves,
        )
