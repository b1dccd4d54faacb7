"""Tariff control from the bottom up: communities first, then feeders, then the TSO.

Every feeder minimises its own cost under its tariff, with the imports of the grids below it as
loads; the TSO dispatches over what results. Under a tariff no leader's decision depends on the
followers, so one pass is an equilibrium (FORMULATION section 5.4), except for the head voltage of
an ideal tie, which is iterated.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from stackelgrid.controllers.agents import FeederAgent, TsoAgent
from stackelgrid.controllers.coordination.protocol import ControllerSettings
from stackelgrid.controllers.models.active_network import ActiveNetworkLibrary
from stackelgrid.controllers.schedule import BoundaryProfile, Decision, Measurement, Plan
from stackelgrid.controllers.system import Feeder, System
from stackelgrid.profiles.arrays import Floats

# head voltages of ideal ties: p.u. below which a decision is stable, and most rounds
_TIE_TOLERANCE_PU = 1e-4
_TIE_ROUNDS = 6


class BottomUpTariff:
    """Feeders of one level are solved on threads; a level waits for those below it."""

    def __init__(self, system: System, settings: ControllerSettings) -> None:
        self.system = system
        self.library = ActiveNetworkLibrary()
        self._pool = ThreadPoolExecutor(max_workers=settings.threads)
        self.agents = {
            f.name: FeederAgent(f, system.horizon, self.library, self._lower_buses(f.name))
            for f in system.feeders
        }
        self.tso = (
            TsoAgent(
                system.transmission, system.horizon, self._lower_buses(system.transmission.name)
            )
            if system.transmission
            else None
        )

    def decide(self, interval: int, measured: Mapping[str, Measurement]) -> Decision:
        """One pass from the lowest level up; repeated while head voltages of ideal ties move."""
        heads: dict[str, Floats] = {}
        rounds = 0
        while rounds < _TIE_ROUNDS:
            rounds += 1
            plans = self._pass(interval, measured, heads)
            moved = self._tie_voltages(plans)
            change = max(
                (float(np.max(np.abs(v - heads[n]))) if n in heads else np.inf)
                for n, v in moved.items()
            ) if moved else 0.0  # fmt: skip
            if change <= _TIE_TOLERANCE_PU:
                break
            heads = moved
        if self.tso is not None:
            name = self.tso.grid.name
            plans[name] = self.tso.decide(interval, self._imports(name, plans))
        return Decision(plans, rounds)

    def _pass(
        self, interval: int, measured: Mapping[str, Measurement], heads: Mapping[str, Floats]
    ) -> dict[str, Plan]:
        plans: dict[str, Plan] = {}
        waiting = list(reversed(self.system.feeders))
        while waiting:
            ready = [f for f in waiting if all(c.name in plans for c in self._children(f))]
            futures = {
                f.name: self._pool.submit(
                    self.agents[f.name].decide,
                    interval,
                    measured[f.name],
                    self._imports(f.name, plans),
                    heads.get(f.name),
                )
                for f in ready
            }
            plans.update({name: future.result() for name, future in futures.items()})
            waiting = [f for f in waiting if f.name not in plans]
        return plans

    def _children(self, feeder: Feeder) -> tuple[Feeder, ...]:
        return self.system.children(feeder.name)

    def _lower_buses(self, name: str) -> dict[str, int]:
        return {f.name: f.boundary.bus for f in self.system.children(name)}

    def _imports(self, name: str, plans: Mapping[str, Plan]) -> dict[str, BoundaryProfile]:
        """Exchanges of the grids directly below."""
        return {
            f.name: plans[f.name].schedule.boundary(f.boundary.multiplicity)
            for f in self.system.children(name)
        }

    def _tie_voltages(self, plans: Mapping[str, Plan]) -> dict[str, Floats]:
        """Planned voltages at the buses where ideal ties leave a feeder."""
        voltages = {}
        for f in self.system.feeders:
            parent = self.agents.get(f.boundary.parent or "")
            if f.boundary.kind == "ideal" and parent is not None:
                plan = plans[parent.feeder.name]
                if plan.schedule.flows is not None:
                    voltages[f.name] = parent.head_voltage_of(plan.schedule, f.boundary.bus)
        return voltages
