"""The optimisation horizon of a scenario, and the interval between decisions."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stackelgrid.profiles.section import Section
from stackelgrid.profiles.size_limits import HORIZON_STEPS

_YEAR_MIN = 366 * 24 * 60


class HorizonStep(Section):
    """`count` steps of `minutes`."""

    count: Annotated[int, Field(ge=1)]
    """Number of steps."""
    minutes: Annotated[int, Field(ge=1, le=_YEAR_MIN)]
    """Their length."""


def check_steps(steps: tuple[HorizonStep, ...]) -> None:
    """Refuse too many steps; raises ValueError."""
    total = sum(step.count for step in steps)
    if total > HORIZON_STEPS:
        raise ValueError(f"steps: {total:,} steps; at most {HORIZON_STEPS:,} are accepted")


class HorizonSection(Section):
    """Optimisation horizon; steps may become longer towards its end.

    A rolling horizon is optimised every `resolve_every` intervals. In between, the next steps of
    the last schedule are applied; these steps must be single intervals.
    """

    mode: Literal["rolling", "day_ahead"] = "rolling"
    """A new plan in every interval, or one plan for all."""
    steps: Annotated[tuple[HorizonStep, ...], Field(min_length=1)]
    """Steps `{ count, minutes }`; the first is one interval."""
    resolve_every: Annotated[int, Field(ge=1)] = 1
    """Intervals between two decisions; in between the next steps are applied."""

    @model_validator(mode="after")
    def _resolvable(self) -> Self:
        check_steps(self.steps)
        every = self.resolve_every
        if every == 1:
            return self
        if self.mode == "day_ahead":
            raise ValueError("resolve_every belongs to a rolling horizon; a day is decided once")
        first = self.steps[0].minutes
        equal = 0
        for step in self.steps:
            if step.minutes != first:
                break
            equal += step.count
        if equal < every:
            raise ValueError(
                f"resolve_every = {every} needs {every} steps of one interval at the beginning, "
                f"found {equal}"
            )
        return self
