"""Leaders with the follower's constraints but not its optimality."""

from dataclasses import replace

import numpy as np

from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.errors import SchemeError
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.leaders.leader_group import decide_together
from stackelgrid.controllers.stage.stage import Stage, StageInstance
from stackelgrid.profiles.arrays import Floats


class FeasibilityOnly:
    """The leaders' cost is that of `bottom_up`; the follower's dispatch is arbitrary.

    Its returned cost is reported with the least and the largest that the exchange leaves open.
    """

    name = "feasibility_only"

    def __init__(self, stage: Stage) -> None:
        if stage.pricing != "tariff":
            raise SchemeError(
                f"feasibility_only with {stage.pricing} pricing: a follower that is not optimal "
                "has no prices; tariff is accepted"
            )
        if stage.follower is not None:
            units = stage.follower.grid.devices.units
            priced = [f"{units.table[u]} {units.index[u]}" for u in units.piecewise]
            if priced:
                raise SchemeError(
                    f"feasibility_only: {', '.join(priced)} of {stage.follower.grid_name} has a "
                    "pwl_cost, whose largest value is not computed; poly_cost is accepted"
                )
        self.stage = stage

    def decide(self, instance: StageInstance) -> SchemeDecision:
        """Decide for one instance."""
        stage, parameters = self.stage, instance.parameters
        if stage.follower is None or parameters is None:
            return stage.decide_groups(instance)
        found = decide_together(stage.program(follower=True), instance.leaders, parameters)
        if found.follower_x is None:
            return found
        p = stage.follower.with_exchange(parameters, stage.exchange(found.points))
        least, most = stage.follower.solve(p), stage.follower.largest_cost(p)
        largest = most.value
        messages: tuple[str, ...] = ()
        if np.isinf(most.bound):  # a variable of the user's term that has no upper limit
            largest = float("nan")
            messages = (f"largest cost of {stage.follower.grid_name}: has no limit",)
        elif most.status != "optimal":
            messages = (
                f"largest cost of {stage.follower.grid_name}: between {most.value:.2f} and "
                f"{most.bound:.2f} EUR ({most.status})",
            )
        return replace(
            found,
            follower_x=_netted(stage.follower, found.follower_x),
            follower_range_eur=(least.objective, largest),
            messages=messages,
        )


def _netted(follower: UpstreamAgent, y: Floats) -> Floats:
    """Return the dispatch without power that is bought and sold at once, which is not billed."""
    netted = y.copy()
    for pair in follower.exclusive():
        both = min(netted[pair.first], netted[pair.second])
        netted[pair.first] -= both
        netted[pair.second] -= both
    return netted
