"""Indicators of plans: the decisions of each scheme over the horizon."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from stackelgrid.analysis.kpis.indicators import (
    CONSUMERS,
    CONTROLLED,
    CURTAILED,
    GENERATORS,
    STORES,
    TOTAL,
    GridRecord,
    Row,
    cost_rows,
    energy_rows,
    frame_of,
)
from stackelgrid.controllers.decision import Outcome
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.schedule import Plan, Schedule
from stackelgrid.controllers.system import Feeder, System
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.profiles.forecast import GridForecast


def plan_indicators(system: System, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return the indicators of a scheme's outcomes, one for each follower (docs/results.md).

    Columns scheme, pricing, grid, indicator, unit, value; grid `total` sums all active networks.
    Costs and plan of a network are taken from the outcome in which it leads. Raises
    StackelgridError if a grid of the system has no plan or leads in two outcomes.
    """
    _check_leaders(outcomes)
    parents = _parents(system)
    payment = {n: v for o in outcomes for n, v in o.payment_eur.items()}
    own = {n: v - payment[n] for o in outcomes for n, v in o.leader_cost_eur.items()}
    follower = {o.follower: o.follower_cost_eur for o in outcomes}
    rows = cost_rows(parents, own, payment, follower)
    rows += energy_rows(_records(system, outcomes), system.horizon.dt_h)
    rows += _solver_rows(outcomes, parents)
    return frame_of(rows, outcomes[0].scheme, outcomes[0].pricing)


def plan_exchange(system: System, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Return the planned exchange of active networks: scheme, grid, start_h, dt_h, p_mw."""
    dt_h = system.horizon.dt_h
    start = np.cumsum(dt_h) - dt_h
    frames = [
        pd.DataFrame({
            "scheme": outcomes[0].scheme,
            "grid": name,
            "start_h": start,
            "dt_h": dt_h,
            "p_mw": r.exchange_mw,
        })
        for name, r in _records(system, outcomes).items()
        if r.parent
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def _parents(system: System) -> dict[str, str]:
    names = [system.transmission.name] if system.transmission else []
    parents = dict.fromkeys(names, "")
    return parents | {f.name: f.boundary.parent or "" for f in system.feeders}


def _check_leaders(outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        raise StackelgridError("the scheme returned no outcome; one for each follower is accepted")
    leaders = [n for o in outcomes for n in o.leader_cost_eur]
    twice = sorted({n for n in leaders if leaders.count(n) > 1})
    if twice:
        raise StackelgridError(
            f"scheme {outcomes[0].scheme}: grid {twice[0]} leads in two outcomes; one is accepted"
        )


def _plan_of(outcomes: Sequence[Outcome], name: str) -> Plan:
    led = [o for o in outcomes if name in o.leader_cost_eur and name in o.plans]
    for outcome in (*led, *outcomes):
        if name in outcome.plans:
            return outcome.plans[name]
    raise StackelgridError(
        f"scheme {outcomes[0].scheme}: grid {name} has no plan; a plan for every grid is accepted"
    )


def _records(system: System, outcomes: Sequence[Outcome]) -> dict[str, GridRecord]:
    records: dict[str, GridRecord] = {}
    steps = system.horizon.length
    unknown = np.full(steps, np.nan)
    if system.transmission is not None:
        t = system.transmission
        schedule = _plan_of(outcomes, t.name).schedule
        records[t.name] = GridRecord(
            grid=t.name,
            parent="",
            exchange_mw=None,
            consumption_mw=_consumption(schedule, t.forecast.at(schedule.interval)),
            generation_mw=_generation(schedule),
            loss_mw=unknown,  # a DC plan has none
            inside_mw=unknown,
            across_mw=unknown,
        )
    for f in system.feeders:
        records[f.name] = _feeder_record(
            f, _plan_of(outcomes, f.name).schedule, system.copies(f.name)
        )
    return records


def _feeder_record(feeder: Feeder, s: Schedule, copies: int) -> GridRecord:
    forecast = feeder.forecast.at(s.interval)
    unknown = np.full(len(s.dt_h), np.nan)
    return GridRecord(
        grid=feeder.name,
        parent=feeder.boundary.parent or "",
        exchange_mw=copies * s.p_import_mw,
        consumption_mw=copies * _consumption(s, forecast),
        generation_mw=copies * _generation(s),
        loss_mw=copies * _losses(feeder, s),
        inside_mw=unknown if s.trade is None else copies * s.trade.inside_buy_mw.sum(axis=0),
        across_mw=unknown if s.trade is None else copies * s.trade.across_buy_mw.sum(axis=0),
        fed_in_mw={k.kind: copies * _planned(s, k).sum(axis=0) for k in CURTAILED},
        available_mw={
            k.kind: copies * forecast.devices[k.filling("available_mw")].sum(axis=1)
            for k in CURTAILED
        },
        throughput_mw={k.kind: copies * _throughput(s, k).sum(axis=0) for k in STORES},
    )


def _planned(s: Schedule, kind: type[DeviceKind]) -> Floats:
    """Return the planned power (devices, steps) of a kind; no rows where the plan has none."""
    return s.devices.get(kind.filling("p_mw"), np.zeros((0, len(s.dt_h))))


def _consumption(s: Schedule, forecast: GridForecast) -> Floats:
    """Return the planned power (steps,) of consumers; negative loads are constant generators."""
    total = np.zeros(len(s.dt_h))
    for kind in CONSUMERS:
        name, power = kind.filling("p_mw"), _planned(s, kind).T
        if name not in s.devices and name in forecast.devices:
            power = forecast.devices[name]
        used = power if kind in CONTROLLED else np.maximum(power, 0.0)
        total = total + used.sum(axis=1)
    return total


def _generation(s: Schedule) -> Floats:
    """Return the planned power (steps,) of generators."""
    powers = [_planned(s, kind).sum(axis=0) for kind in GENERATORS]
    total: Floats = np.sum([np.zeros(len(s.dt_h)), *powers], axis=0)
    return total


def _throughput(s: Schedule, kind: type[DeviceKind]) -> Floats:
    """Return charging plus discharging power (devices, steps): plans beside the net power."""
    parts = [s.devices[q.name] for q in kind.quantities if q.roles == Role.PLAN]
    power: Floats = np.sum(np.stack(parts), axis=0)
    return power


def _losses(feeder: Feeder, s: Schedule) -> Floats:
    """Return the series losses (steps,) of one copy in MW; NaN for a plan without flows."""
    if s.flows is None:
        return np.full(len(s.dt_h), np.nan)
    network = feeder.network
    losses: Floats = network.base_mva * (network.r @ s.flows.current2)
    return losses


def _solver_rows(outcomes: Sequence[Outcome], parents: Mapping[str, str]) -> Iterator[Row]:
    for o in outcomes:
        yield from (Row(o.follower, k, v) for k, v in _outcome_values(o).items())
        yield from (Row(n, "remaining_gain", v) for n, v in o.remaining_gain_eur.items())
    values = pd.DataFrame([_outcome_values(o) for o in outcomes])
    for indicator in ("gap", "follower_gap", "rounds"):
        yield Row(TOTAL, indicator, float(values[indicator].max(skipna=False)))
    for indicator in ("gap_eur", "solve_s"):
        yield Row(TOTAL, indicator, float(values[indicator].sum(skipna=False)))
    plans = {n: _plan_of(outcomes, n) for n in parents}
    yield Row(TOTAL, "fallbacks", float(sum(bool(p.report.fallback) for p in plans.values())))
    gains = [v for o in outcomes for v in o.remaining_gain_eur.values()]
    yield Row(TOTAL, "remaining_gain", float(np.max(gains)) if gains else np.nan)
    for o in outcomes:
        if not parents.get(o.follower, "?"):
            for indicator in ("follower_returned", "follower_min", "follower_max"):
                yield Row(TOTAL, indicator, _outcome_values(o)[indicator])
            if len(outcomes) == 1:  # with several followers no program holds the whole system
                yield Row(TOTAL, "objective", o.objective)
                yield Row(TOTAL, "bound", o.bound)


def _outcome_values(o: Outcome) -> dict[str, float]:
    return {
        "follower_returned": o.follower_returned_eur,
        "follower_min": o.follower_min_eur,
        "follower_max": o.follower_max_eur,
        "objective": o.objective,
        "bound": o.bound,
        "gap": o.gap,
        "gap_eur": o.objective - o.bound,
        "follower_gap": o.follower_gap,
        "rounds": float(o.rounds),
        "solve_s": o.solve_s,
    }
