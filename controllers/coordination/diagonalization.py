"""Every active network its own leader, best responses in turn (placeholder until built)."""

from stackelgrid.controllers.coordination.stage import SchemeDecision, Stage, StageInstance


class Diagonalization:
    name = "diagonalization"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def decide(self, instance: StageInstance) -> SchemeDecision:
        raise NotImplementedError
