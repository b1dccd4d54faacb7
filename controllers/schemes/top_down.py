"""The conventional order: upstream first, the active networks follow the exchange it fixed."""

from dataclasses import replace

from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.leaders.feeder_records import TARIFF, UNPRICED
from stackelgrid.controllers.leaders.leader_group import decide_together
from stackelgrid.controllers.stage.stage import Stage, StageInstance

# the active networks' costs only break upstream's ties
_TIE_BREAK = 0.01
# price of leaving the exchange that upstream fixed, EUR/MWh
_DEVIATION_EUR_PER_MWH = 1000.0


class TopDown:
    """Upstream minimises its cost over the active networks' flexibility, binaries relaxed.

    The exchange that results is also the follower's independent optimum. The active networks then
    dispatch again with binaries; a deviation from the exchange costs 1000 EUR/MWh. Where that
    program cannot be solved the leaders decide without upstream, and the reports say so.
    """

    name = "top_down"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def decide(self, instance: StageInstance) -> SchemeDecision:
        """Decide for one instance."""
        stage = self.stage
        if stage.follower is None:
            return stage.decide_groups(instance)
        first = stage.program(UNPRICED, follower=True, weights=(_TIE_BREAK, 1.0))
        data = first.data(instance.leaders, instance.parameters)
        wanted = stage.relaxation(first).solve(data)
        if wanted.status != "optimal":
            found = stage.decide_groups(instance)
            note = f"upstream found no exchange ({wanted.status}: {wanted.message}); leaders alone"
            return replace(found, messages=(note,))
        target = {
            name: agent.exchange(first.part(name, wanted.x), UNPRICED)
            for name, agent in stage.leaders.items()
        }
        variant = TARIFF if stage.pricing == "tariff" else UNPRICED
        second = stage.program(variant, deviation_eur_per_mwh=_DEVIATION_EUR_PER_MWH)
        return decide_together(second, instance.leaders, targets=target)
