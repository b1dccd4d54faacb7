"""Evaluate one feeder at many operating points: a priori conditions, solution, certificate."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from stackelgrid.analysis.exactness.points import Finding, Point
from stackelgrid.analysis.exactness.tables import SCHEMAS, table_of
from stackelgrid.controllers.certification.a_priori import (
    APrioriCondition,
    a_priori,
    largest_injections,
    not_covered,
)
from stackelgrid.controllers.certification.certificate import FeederCertifier
from stackelgrid.controllers.certification.conditions import Conditions
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.leaders.feeder_records import FeederInstance
from stackelgrid.controllers.leaders.leader_group import LeaderGroup
from stackelgrid.controllers.models.active_network import ActiveNetworkLibrary
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.solvers.amendment import Amendment
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.controllers.solvers.registry import Choice
from stackelgrid.controllers.system import Feeder
from stackelgrid.profiles.arrays import Bools, Floats
from stackelgrid.profiles.forecast import GridForecast
from stackelgrid.profiles.time_axis import Horizon


@dataclass(frozen=True)
class Study:
    """Data shared by all points: a feeder without trade, its forecast, and the solvers.

    `priced` (steps,) marks the steps whose export price a point replaces; `ceiling_pu` is the
    highest voltage ceiling of all points (None: the feeder's own).
    """

    feeder: Feeder
    horizon: Horizon
    measured: Measurement
    forecast: GridForecast
    priced: Bools
    ceiling_pu: float | None
    options: MixedOptions
    choice: Choice


@dataclass(frozen=True)
class PointForecasts:
    """Forecast source that returns the forecast of point k at interval k."""

    study: Study
    points: Mapping[int, Point]

    def at(self, interval: int) -> GridForecast:
        """Return the scaled series of devices, and the replaced export price."""
        base, point = self.study.forecast, self.points[interval]
        price, export = point.export_price_eur_per_mwh, base.export_eur_per_mwh
        if price is not None:
            export = np.where(self.study.priced, price, export)
        series: dict[str, Floats] = {}
        for member in self.study.feeder.devices:
            series |= member.scaled_series(base.devices, point.scale(member.kind))
        return GridForecast(
            base.import_eur_per_mwh, export, series, emission_kg_per_mwh=base.emission_kg_per_mwh
        )


class Evaluator:
    """Evaluates chunks of the points of a study; keeps the last model.

    The result of a chunk depends neither on the process nor on earlier chunks.
    """

    def __init__(self, study: Study, points: Sequence[Point]) -> None:
        self.study, self.points = study, {p.number: p for p in points}
        self._structure: tuple[float, ...] | None = None
        self._kept: FeederAgent | None = None

    def evaluate(self, points: Sequence[Point]) -> dict[str, pa.Table]:
        """Return the tables of some points."""
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in SCHEMAS}
        for _, grouped in groupby(points, key=lambda p: p.structure):
            started, members = time.perf_counter(), list(grouped)
            agent = self._agent(members[0])
            # a new solver for every chunk: the state of a used one could change last digits
            group = LeaderGroup({agent.feeder.name: agent}, self.study.options, self.study.choice)
            certifiers: dict[float | None, FeederCertifier] = {}
            build_s = time.perf_counter() - started
            for point in members:
                if point.vm_max_pu not in certifiers:
                    judged = _with_ceiling(agent.feeder, point.vm_max_pu)
                    certifiers[point.vm_max_pu] = FeederCertifier(judged)
                certifier = certifiers[point.vm_max_pu]
                found = _solve(self.study, agent, group, certifier, point)
                for table, more in found.rows(build_s).items():
                    rows[table] += more
                build_s = 0.0
        return {name: table_of(name, found) for name, found in rows.items()}

    def conditions_before(self, point: Point) -> APrioriCondition | None:
        """Return the a priori conditions of a point; None if the theorem does not apply.

        Raises NetworkError for devices without finite largest injections.
        """
        agent = self._agent(point)
        feeder = _with_ceiling(agent.feeder, point.vm_max_pu)
        instance = agent.prepare(point.number, _measured(self.study, point), {})
        return _known_before(feeder, instance, agent.conditions(instance))

    def _agent(self, point: Point) -> FeederAgent:
        """Build the agent of the feeder, without trade and grids below."""
        if self._kept is None or self._structure != point.structure:
            feeder = _with_ceiling(self.study.feeder, self.study.ceiling_pu)
            term = feeder.options.objective  # all points are at the start of the scenario
            feeder = replace(
                feeder,
                devices=feeder.devices.scaled(point.scale),
                boundary=replace(feeder.boundary, multiplicity=1),
                options=replace(
                    feeder.options, tariff=True, trade=None, objective=term and term.at(0)
                ),
                forecast=PointForecasts(self.study, self.points),
                three_phase_view=False,
            )
            library = ActiveNetworkLibrary()
            self._kept = FeederAgent(feeder, self.study.horizon, library, {})
            self._structure = point.structure
        return self._kept


def _with_ceiling(feeder: Feeder, vm_max_pu: float | None) -> Feeder:
    if vm_max_pu is None:
        return feeder
    ceiling = np.full(feeder.network.buses, vm_max_pu)
    return replace(feeder, network=replace(feeder.network, vm_max=ceiling))


def _measured(study: Study, point: Point) -> Measurement:
    states: dict[str, Floats] = {}
    for member in study.feeder.devices:
        states |= member.scaled_states(study.measured.devices, point.scale(member.kind))
    return replace(study.measured, devices=states)


def _known_before(
    feeder: Feeder, instance: FeederInstance, at: Conditions
) -> APrioriCondition | None:
    if not_covered(feeder.network):
        return None
    p_max, q_max = largest_injections(
        feeder.network,
        feeder.devices,
        at.bus_p_mw,
        at.bus_q_mvar,
        instance.forecast,
    )
    values = instance.values
    positive = (values["import_price"] > 0.0) & (values["export_price"] > 0.0)
    return a_priori(feeder.network, p_max, q_max, instance.head_vm_pu, positive)


def _solve(
    study: Study,
    agent: FeederAgent,
    group: LeaderGroup,
    certifier: FeederCertifier,
    point: Point,
) -> Finding:
    feeder = certifier.feeder
    instance = agent.prepare(point.number, _measured(study, point), {})
    if point.vm_max_pu is not None:
        squared = np.full(len(agent.compiled.columns["v"]), point.vm_max_pu**2)
        instance = replace(instance, amendment=Amendment(upper={"v": squared}))
    solved, _ = group.solve({feeder.name: instance})
    decided = solved.points[feeder.name]
    started = time.perf_counter()
    at = agent.conditions(instance)
    known = _known_before(feeder, instance, at)
    schedule, certificate = None, None
    if decided.x is not None:
        schedule = agent.schedule(instance, decided)
        certificate = certifier.certify(schedule, at)
    seconds = time.perf_counter() - started
    network = feeder.network
    return Finding(point, network, instance, decided, at, known, schedule, certificate, seconds)
