"""Protocol of controllers: shipped and user's ones have the same two methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from stackelgrid.controllers.decision import Decision, Pricing
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.solvers.registry import OPEN_CONIC, OPEN_MIXED_INTEGER, Choice
from stackelgrid.controllers.system import System


@dataclass(frozen=True)
class ControllerSettings:
    """Settings of a controller besides the system.

    threads: threads that solve programs at the same time.
    conic: solver of conic programs.
    mixed_integer: solver of mixed-integer conic programs.
    gap: relative gap to reach.
    node_limit: reproducible limit of a search, nodes of the master.
    round_limit: the same in rounds.
    scheme: order of decision.
    pricing: payment at the boundary, the tariff or the nodal price.
    recovery: whether schedules that are not exact or not AC feasible are amended.
    """

    threads: int = 2
    conic: Choice = OPEN_CONIC
    mixed_integer: Choice = OPEN_MIXED_INTEGER
    gap: float = 1e-3
    node_limit: int = 500
    round_limit: int = 20
    scheme: str = "bottom_up"
    pricing: Pricing = "tariff"
    recovery: bool = True


class Controller(Protocol):
    """Decides for all grids at the start of every interval.

    A scenario's `controller = "package.module:Class"` names a class with this constructor and
    method. A decision must hold a plan for every grid whose devices it wants to steer; devices of
    grids without one keep their last set points.
    """

    def __init__(self, system: System, settings: ControllerSettings) -> None: ...

    def decide(self, interval: int, measured: Mapping[str, Measurement]) -> Decision:
        """Return plans by grid name for the interval that begins now.

        interval: number of the interval, from 0.
        measured: measurements of every grid by name, at the end of the last interval.
        """
        ...
