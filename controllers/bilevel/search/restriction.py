"""Exact points from an engine with tolerances, with a proof where its bound does not suffice."""

from dataclasses import replace

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.audit import audit
from stackelgrid.controllers.bilevel.kkt import KktForm
from stackelgrid.controllers.bilevel.problem import BilevelData, BilevelOptions, Outcome
from stackelgrid.controllers.bilevel.search.follower import FollowerResponse
from stackelgrid.controllers.bilevel.search.linear_nodes import LinearNodes, is_linear
from stackelgrid.controllers.bilevel.search.node import NodeProgram, NodeSolver, NodeState
from stackelgrid.controllers.bilevel.search.tree import Tree
from stackelgrid.controllers.solvers.conic import ProgramData


def node_solver(form: KktForm, single: ProgramData) -> NodeSolver:
    """Return a simplex solver if the single level is linear, else conic nodes."""
    return LinearNodes(form, single) if is_linear(form) else NodeProgram(form, single)


def restrict(
    form: KktForm,
    data: BilevelData,
    state: NodeState,
    outcome: Outcome,
    options: BilevelOptions,
) -> Outcome:
    """Replace the outcome's point by the optimum of the fully fixed node.

    form, data: the single level and one instance.
    state: sides of all pairs at the point.
    outcome: result of the engine.
    options: remaining limits.

    A point that is complementary up to a tolerance may be better than every exact one: if the exact
    point does not confirm an "optimal" within the gap, branching continues from it.
    """
    single = form.data(data)
    result = node_solver(form, single).solve(state)
    if result.status != "optimal":
        return outcome
    exact = replace(outcome, z=result.x, objective=result.objective)
    excess = result.objective - outcome.bound
    if outcome.status == "optimal" and excess > options.gap * max(1.0, abs(result.objective)):
        return proven(form, data, options, exact)
    return exact


def proven(form: KktForm, data: BilevelData, options: BilevelOptions, outcome: Outcome) -> Outcome:
    """Branch on the pairs to prove the bound of an outcome.

    form, data: the single level and one instance.
    options: remaining limits.
    outcome: result of an engine; its point, if it has one, is the incumbent.
    """
    single = form.data(data)
    response = FollowerResponse(form.bilevel, data)
    tree = Tree(form, single, node_solver(form, single), options, response.pattern)
    if len(outcome.z) and audit(form, data, outcome.z).follower_gap <= tolerances.FOLLOWER_GAP:
        tree.start(outcome.z, outcome.objective)
    found = tree.run()
    message = f"{outcome.message}, then {found.message}"
    return replace(found, nodes=outcome.nodes + found.nodes, message=message)
