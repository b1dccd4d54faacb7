"""Every active network alone at the tariff, without trade across; the upstream grid follows."""

from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.leaders.feeder_records import Variant
from stackelgrid.controllers.stage.stage import Stage, StageInstance

_ALONE = Variant(tariff=True, across=False)


class Uncoordinated:
    """The reference without any coordination; nodal prices are unknown when it decides."""

    name = "uncoordinated"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def begin(self, instance: StageInstance) -> None:
        """Begin with the decisions of the active networks."""
        self.stage.begin_groups(instance, _ALONE)

    def decide(self, instance: StageInstance) -> SchemeDecision:
        """Decide for one instance."""
        return self.stage.decide_groups(instance, _ALONE)
