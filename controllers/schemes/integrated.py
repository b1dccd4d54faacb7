"""Total cost of leaders and follower minimised together: the lower bound of every scheme."""

from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.leaders.feeder_agent import UNPRICED
from stackelgrid.controllers.leaders.leader_group import leader_points
from stackelgrid.controllers.stage.stage import Stage, StageInstance


class Integrated:
    """One decision maker for both levels; the boundary payment is a transfer and drops out."""

    name = "integrated"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def decide(self, instance: StageInstance) -> SchemeDecision:
        """Decide for one instance."""
        if self.stage.follower is None:  # there is no upper cost: what is paid is the tariff
            found = self.stage.decide_groups(instance)
            return SchemeDecision(found.points, found.objective, found.bound)
        program = self.stage.program(UNPRICED, follower=True, weights=(1.0, 1.0))
        data = program.data(instance.leaders, instance.parameters)
        solution = program.solve(data)
        note = "" if len(solution.x) else program.conflict(data)
        solver = self.stage.settings.mixed_integer.name
        found = leader_points(program, instance.leaders, solution, solver, note)
        y = program.follower_part(solution.x) if len(solution.x) else None
        return SchemeDecision(found.points, found.objective, found.bound, y)
