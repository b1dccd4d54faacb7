"""The system without control: devices at rest, no trade, the transmission grid dispatched.

A controller (controllers/protocol.py) for the baseline of a run. Every device keeps what
`DeviceKind.held` returns without a last plan: storage idles, available power is fed in, units give
as little as they may. The exchanges of the feeders are added up from the lowest level, and the
operator of the transmission grid dispatches its generators for them at least cost, by the DC
optimal power flow that it also solves for controlled feeders. Schedules of feeders leave out their
losses, which the slack unit covers in AC.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from stackelgrid.controllers.decision import Decision
from stackelgrid.controllers.fallback import held_trade, hold_schedule
from stackelgrid.controllers.followers.tso import TsoAgent
from stackelgrid.controllers.leaders.feeder_schedule import middle_price
from stackelgrid.controllers.models.p2p import Prosumers, prosumers_of
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.schedule import (
    BoundaryProfile,
    Measurement,
    Plan,
    Schedule,
    SolveReport,
)
from stackelgrid.controllers.solvers.registry import conic_solver
from stackelgrid.controllers.system import Feeder, System
from stackelgrid.profiles.stateful import Carrying

_NAN = float("nan")
_REPORT = SolveReport(
    solver="at rest", status="at rest", objective_eur=_NAN, gap=_NAN, violation=_NAN, iterations=0,
    solve_s=0.0, gap_eur=_NAN, flexible_gap=_NAN, conic_solves=0,
)  # fmt: skip


class AtRest(Carrying):
    """Keeps the devices of all feeders at rest; plans have no certificate.

    Prosumers buy from the grid and sell to it. A feeder's own price, for the grids below it, is
    that of its exchange: the import price of its tariff, or the export price where it feeds back.
    """

    carried = ("_tso",)

    def __init__(self, system: System, settings: ControllerSettings) -> None:
        self._system = system
        self._resting = {f.name: _Resting(f) for f in system.feeders}
        self._tso: TsoAgent | None = None
        if system.transmission is not None:
            lower = {f.name: f.boundary.bus for f in system.children(system.transmission.name)}
            solver = conic_solver(settings.conic)
            self._tso = TsoAgent(system.transmission, system.horizon, lower, solver)

    def decide(self, interval: int, measured: Mapping[str, Measurement]) -> Decision:
        """Return the plans of all grids, feeders without control."""
        plans: dict[str, Plan] = {}
        exchange: dict[str, BoundaryProfile] = {}
        for feeder in reversed(self._system.feeders):  # children before their parents
            name = feeder.name
            lower = [exchange[f.name] for f in self._system.children(name)]
            schedule = self._resting[name].schedule(self._system, interval, measured[name], lower)
            plans[name] = Plan(schedule, schedule.set_points(), _REPORT)
            exchange[name] = schedule.boundary(feeder.boundary.multiplicity)
        if self._tso is not None:
            plans[self._tso.grid_name] = self._tso.decide(interval, exchange)
        return Decision(plans)


class _Resting:
    """One feeder at rest, and its prosumers where it has trade."""

    def __init__(self, feeder: Feeder) -> None:
        self._feeder = feeder
        self._prosumers: Prosumers | None = None
        if feeder.options.trade is not None:
            self._prosumers = prosumers_of(feeder.devices, feeder.load_peak_mw)

    def schedule(
        self,
        system: System,
        interval: int,
        measured: Measurement,
        lower: list[BoundaryProfile],
    ) -> Schedule:
        """Schedule over the horizon; `lower` are the exchanges of the grids below, all copies."""
        feeder, horizon = self._feeder, system.horizon
        forecast = feeder.forecast.at(interval)
        load_p, load_q = forecast.load_p_mw.sum(axis=1), forecast.load_q_mvar.sum(axis=1)
        for below in lower:
            load_p, load_q = load_p + below.p_mw, load_q + below.q_mvar
        states = feeder.devices.within(measured.devices)
        held = hold_schedule(feeder, horizon, interval, forecast, states, None, load_p, load_q)
        buys = held.p_import_mw >= 0.0
        price = np.where(buys, forecast.import_eur_per_mwh, forecast.export_eur_per_mwh)
        priced = replace(held, price_eur_per_mwh=np.tile(price, (feeder.network.buses, 1)))
        if self._prosumers is None:
            return priced
        own_load = self._prosumers.own_load(feeder.devices.loads.bus, forecast.load_p_mw.T)
        trade = held_trade(feeder, held, self._prosumers, own_load, middle_price(forecast))
        return replace(priced, trade=trade)
