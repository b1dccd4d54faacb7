"""A point made exact: the leader solved again with every pair on the side the point takes."""

from dataclasses import replace

from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.linear_nodes import LinearNodes, is_linear
from stackelgrid.controllers.bilevel.node import NodeProgram, NodeState
from stackelgrid.controllers.bilevel.problem import Outcome
from stackelgrid.controllers.solvers.conic import ProgramData


def restrict(
    form: KktForm, single: ProgramData, state: NodeState, outcome: Outcome, gap: float
) -> Outcome:
    """Replace the outcome's point by the optimum of the fully fixed node.

    A point of an engine with tolerances on complementarity may be better than any exact one; an
    "optimal" that the exact point does not confirm within the gap becomes "time_limit".
    """
    solver = LinearNodes(form, single) if is_linear(form) else NodeProgram(form, single)
    result = solver.solve(state)
    if result.status != "optimal":
        return outcome
    worse = result.objective - outcome.bound > 10.0 * gap * max(1.0, abs(result.objective))
    status = outcome.status
    message = outcome.message
    if worse and status == "optimal":
        status = "time_limit"
        message = f"{message}; the exact point's objective is {result.objective:.8g}"
    return replace(outcome, z=result.z, objective=result.objective, status=status, message=message)
