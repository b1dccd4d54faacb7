"""Total cost of leaders and follower minimised together: the lower bound of every scheme."""

from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.leaders.feeder_records import UNPRICED
from stackelgrid.controllers.leaders.leader_group import decide_together
from stackelgrid.controllers.stage.stage import Stage, StageInstance


class Integrated:
    """One decision maker for both levels; the boundary payment is a transfer and drops out."""

    name = "integrated"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def decide(self, instance: StageInstance) -> SchemeDecision:
        """Decide for one instance."""
        if self.stage.follower is None:  # there is no upper cost: what is paid is the tariff
            return self.stage.decide_groups(instance)
        program = self.stage.program(UNPRICED, follower=True, weights=(1.0, 1.0))
        return decide_together(program, instance.leaders, instance.parameters)
