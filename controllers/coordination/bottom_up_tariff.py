"""Tariff control from the bottom up: communities first, then feeders, then the TSO.

Feeders minimise their cost under their tariff, with the imports of the grids below as loads;
those below one parent that may trade with each other decide together. The TSO dispatches over
what results. Under a tariff no leader's decision depends on the followers, so one pass is an
equilibrium (docs/model.md), except for the head voltage of an ideal tie, which is
iterated.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from stackelgrid.controllers.agents import FeederAgent, GroupInputs, LeaderGroup, TsoAgent
from stackelgrid.controllers.coordination.protocol import ControllerSettings
from stackelgrid.controllers.models.active_network import ActiveNetworkLibrary
from stackelgrid.controllers.schedule import BoundaryProfile, Decision, Measurement, Plan
from stackelgrid.controllers.solvers.misocp import MixedOptions
from stackelgrid.controllers.solvers.registry import conic_solver
from stackelgrid.controllers.system import Feeder, System
from stackelgrid.profiles.arrays import Floats

# head voltages of ideal ties: p.u. below which a decision is stable, and most rounds
_TIE_TOLERANCE_PU = 1e-4
_TIE_ROUNDS = 12
_TIE_FULL_STEPS = 3


class BottomUpTariff:
    """Groups of feeders are solved on threads; a group waits for the grids below its members."""

    def __init__(self, system: System, settings: ControllerSettings) -> None:
        self.system = system
        self.library = ActiveNetworkLibrary()
        self._pool = ThreadPoolExecutor(max_workers=settings.threads)
        self.agents = {
            f.name: FeederAgent(f, system.horizon, self.library, self._lower_buses(f.name))
            for f in system.feeders
        }
        options = MixedOptions(
            gap=settings.gap, node_limit=settings.node_limit, round_limit=settings.round_limit
        )
        self.groups = tuple(
            LeaderGroup({n: self.agents[n] for n in names}, options, settings.mixed_integer)
            for names in trading_groups(system)
        )
        self.tso = (
            TsoAgent(
                system.transmission,
                system.horizon,
                self._lower_buses(system.transmission.name),
                conic_solver(settings.conic),
            )
            if system.transmission
            else None
        )
        self._day: Decision | None = None

    def decide(self, interval: int, measured: Mapping[str, Measurement]) -> Decision:
        """One pass from the lowest level up; repeated while head voltages of ideal ties move.

        A day-ahead system decides once and then steps through its plan.
        """
        if self._day is not None:
            return self._later(self._day, interval)
        heads: dict[str, Floats] = {}
        rounds, change = 0, 0.0
        messages: tuple[str, ...] = ()
        while rounds < _TIE_ROUNDS:
            rounds += 1
            plans = self._pass(interval, measured, heads)
            moved = self._tie_voltages(plans)
            change = (
                max(
                    (float(np.max(np.abs(v - heads[n]))) if n in heads else np.inf)
                    for n, v in moved.items()
                )
                if moved
                else 0.0
            )
            if change <= _TIE_TOLERANCE_PU:
                break
            # later rounds go half the way only: full steps can run in a cycle
            share = 1.0 if rounds < _TIE_FULL_STEPS else 0.5
            heads = {n: share * v + (1.0 - share) * heads.get(n, v) for n, v in moved.items()}
        else:
            messages = (
                f"head voltages behind ideal ties still moved by {change:.1e} p.u. after "
                f"{rounds} rounds",
            )
        if self.tso is not None:
            name = self.tso.grid.name
            plans[name] = self.tso.decide(interval, self._imports(name, plans))
        decision = Decision(plans, rounds, messages)
        if self.system.day_ahead:
            self._day = decision
        return decision

    def _later(self, day: Decision, interval: int) -> Decision:
        plans = {}
        for name, plan in day.plans.items():
            step = interval - plan.schedule.interval
            if name in self.agents:
                plans[name] = self.agents[name].later(plan, step)
            else:
                plans[name] = replace(plan, set_points=plan.schedule.set_points(step), step=step)
        return Decision(plans, day.rounds)

    def _pass(
        self, interval: int, measured: Mapping[str, Measurement], heads: Mapping[str, Floats]
    ) -> dict[str, Plan]:
        plans: dict[str, Plan] = {}
        waiting = list(self.groups)
        while waiting:
            ready = [g for g in waiting if all(self._below(n) <= set(plans) for n in g.names)]
            futures = [
                self._pool.submit(g.decide, interval, self._inputs(g, measured, plans, heads))
                for g in ready
            ]
            for future in futures:
                plans.update(future.result())
            waiting = [g for g in waiting if g not in ready]
        return plans

    def _inputs(
        self,
        group: LeaderGroup,
        measured: Mapping[str, Measurement],
        plans: Mapping[str, Plan],
        heads: Mapping[str, Floats],
    ) -> GroupInputs:
        return GroupInputs(
            measured={n: measured[n] for n in group.names},
            lower={n: self._imports(n, plans) for n in group.names},
            heads={n: heads[n] for n in group.names if n in heads},
        )

    def _below(self, name: str) -> set[str]:
        return {f.name for f in self.system.children(name)}

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


def trading_groups(system: System) -> list[list[str]]:
    """Feeders that decide together: those below one parent that may trade across; lowest first."""

    def trades(feeder: Feeder) -> bool:
        return feeder.options.trade is not None and feeder.options.trade.across

    groups: list[list[str]] = []
    shared: dict[str, list[str]] = {}
    for feeder in reversed(system.feeders):
        parent = feeder.boundary.parent
        if parent is None or not trades(feeder):
            groups.append([feeder.name])
        elif parent in shared:
            shared[parent].append(feeder.name)
        else:
            shared[parent] = [feeder.name]
            groups.append(shared[parent])
    return [list(reversed(names)) for names in groups]
