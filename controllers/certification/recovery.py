"""Rungs of the recovery ladder: amendments of a program that make its schedule exact.

Each is a function from a schedule that was not exact to prices and bounds; the order of the rungs
and the repeated decisions are in stage/recovery.py.
"""

from dataclasses import dataclass

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.devices.terms import Arrays
from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.controllers.networks.reduction import FlowState, Reduction
from stackelgrid.controllers.schedule import Schedule
from stackelgrid.controllers.solvers.amendment import Amendment
from stackelgrid.controllers.verdict import Certificate
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import GridForecast


def loss_price(network: RadialNetwork, dt_h: Floats, eur_per_mwh: float) -> Amendment:
    """Return the price r l of every branch, at which fictitious losses do not pay.

    The price must exceed the saving by 1 MWh of fictitious loss, the largest negative price.
    """
    energy = network.base_mva * network.r[:, None] * dt_h[None, :]
    return Amendment(price={"current2": (eur_per_mwh * energy).ravel()})


def largest_reward(prices_eur_per_mwh: Floats, curtailment_eur_per_mwh: float) -> float:
    """Return the largest saving by 1 MWh of fictitious loss: a negative price plus curtailment."""
    lowest = float(np.min(prices_eur_per_mwh, initial=0.0))
    return max(-lowest, 0.0) + curtailment_eur_per_mwh


@dataclass(frozen=True)
class Excess:
    """AC results of a plan: highest and lowest voltage of any view (buses, steps), loading."""

    high_pu: Floats
    low_pu: Floats
    loading: Floats

    @classmethod
    def of(cls, certificate: Certificate) -> "Excess":
        """Return the excess over both views of a certificate."""
        high = low = certificate.vm_pu
        loading = certificate.loading
        if certificate.phases is not None:
            loading = np.fmax(loading, certificate.phases.loading)
            high = np.fmax(high, certificate.phases.vm_pu.max(axis=0))
            low = np.fmin(low, certificate.phases.vm_pu.min(axis=0))
        return cls(high, low, loading)


def tightened_limits(reduction: Reduction, flows: FlowState, excess: Excess) -> Amendment:
    """Return limits tightened by the excess of AC over the plan, at steps with a violation.

    Voltage limits move by the difference between AC and plan at each bus (and by the excess of the
    worst bus that the reduced network lacks over the others), a current limit by the share in which
    AC exceeds it.
    """
    full, reduced = reduction.full, reduction.network
    kept = full.positions(reduced.bus_index)
    planned = np.sqrt(flows.v)
    margin = tolerances.RECOVERY_MARGIN_PU
    upper = np.full((reduced.buses, planned.shape[1]), np.inf)
    lower = np.full_like(upper, -np.inf)
    over = excess.high_pu - full.vm_max[:, None]
    under = full.vm_min[:, None] - excess.low_pu
    over[0], under[0] = -np.inf, -np.inf  # the head voltage is given
    limit = tolerances.AC_LIMIT_PU / 2.0
    for k in np.flatnonzero(np.max(over, axis=0, initial=-np.inf) > limit):
        hidden = max(float(over[:, k].max() - max(over[kept, k].max(), 0.0)), 0.0)
        shift = np.maximum(excess.high_pu[kept, k] - planned[kept, k], 0.0) + hidden + margin
        upper[:, k] = np.maximum(full.vm_max[kept] - shift, 0.0) ** 2
    for k in np.flatnonzero(np.max(under, axis=0, initial=-np.inf) > limit):
        hidden = max(float(under[:, k].max() - max(under[kept, k].max(), 0.0)), 0.0)
        shift = np.maximum(planned[kept, k] - excess.low_pu[kept, k], 0.0) + hidden + margin
        lower[:, k] = (full.vm_min[kept] + shift) ** 2
    upper[0], lower[0] = np.inf, -np.inf
    current2 = np.full((reduced.branches, planned.shape[1]), np.inf)
    loading = np.nan_to_num(excess.loading, nan=0.0)
    for branch, step in zip(*np.nonzero(loading > 1.0 + limit), strict=True):
        at = reduction.branch_of[branch]
        allowed = flows.current2[branch, step] / (loading[branch, step] + margin) ** 2
        current2[at, step] = min(current2[at, step], allowed)
    return Amendment(
        upper={"v": upper.ravel(), "current2": current2.ravel()}, lower={"v": lower.ravel()}
    )


def convex_concave(
    network: RadialNetwork, dt_h: Floats, flows: FlowState, eur_per_mwh: float
) -> Amendment:
    """Price the gap l - (P^2 + Q^2) / v above its tangent at the flows of a schedule.

    network: the reduced network.
    dt_h: lengths of the steps (T,) in h.
    flows: flows of the schedule in that network.
    eur_per_mwh: price of the impedance times the excess.

    The fraction is convex and homogeneous, so the tangent passes through the origin and lies
    below it: the priced excess is never less than the gap, and equal to it where it is already
    closed. Lipp and Boyd 2016 (doi 10.1007/s11081-015-9294-x), penalty convex-concave procedure.
    """
    v_up = network.up[:, None] * flows.v[network.parent]
    weight = (
        eur_per_mwh * network.base_mva * np.hypot(network.r, network.x)[:, None] * dt_h[None, :]
    )
    by_v = np.zeros_like(flows.v)
    slope = (flows.p**2 + flows.q**2) / v_up**2 * network.up[:, None]
    np.add.at(by_v, network.parent, weight * slope)
    return Amendment(
        price={
            "current2": weight.ravel(),
            "p_branch": (-weight * 2.0 * flows.p / v_up).ravel(),
            "q_branch": (-weight * 2.0 * flows.q / v_up).ravel(),
            "v": by_v.ravel(),
        }
    )


def feed_in_cap(base_mva: float, schedule: Schedule, share: Floats) -> Amendment:
    """Limit curtailable feed-in to a share (steps,) of a schedule's; infinite for no cap."""
    caps = [kind.feed_in_caps(schedule.devices, share) for kind in kinds()]
    upper = {name: (mw / base_mva).ravel() for cap in caps for name, mw in cap.items() if mw.size}
    return Amendment(upper=upper)


def curtailed(schedule: Schedule, share: Floats) -> Schedule:
    """Schedule with a share (steps,) of its feed-in; the import grows by the power left out."""
    plan = dict(schedule.devices)
    p_import, q_import = schedule.p_import_mw, schedule.q_import_mvar
    for kind in kinds():
        found = kind.curtailed(schedule.devices, share)
        if found is not None:
            plan |= found.plan
            p_import, q_import = p_import + found.lost_p_mw, q_import + found.lost_q_mvar
    return Schedule(schedule.interval, schedule.dt_h, p_import, q_import, plan)


def load_cap(base_mva: float, devices: Devices, schedule: Schedule, share: Floats) -> Amendment:
    """Limit controllable consumption to a share of a schedule's, kind after kind.

    base_mva: base of the per-unit values.
    devices: devices of the feeder.
    schedule: schedule whose consumption is reduced.
    share: share (steps,) as of `turned_down`; infinite for no cap.
    """
    upper: dict[str, Floats] = {}
    members = devices.turned_down_first
    for rank, member in enumerate(members):
        caps = member.load_caps(schedule.devices, _in_order(share, rank, len(members)))
        upper |= {name: (mw / base_mva).ravel() for name, mw in caps.items()}
    return Amendment(upper=upper)


def turned_down(
    devices: Devices, schedule: Schedule, share: Floats, forecast: GridForecast, states: Arrays
) -> Schedule:
    """Schedule with less controllable consumption; the import falls by what is left out.

    devices: devices of the feeder.
    schedule: schedule whose consumption is reduced.
    share: 1 (steps,) for all consumption, 0 for none; between them one kind after another is
        reduced, in the order of DeviceKind.turn_down.
    forecast: forecast over the horizon.
    states: states at its start.
    """
    plan, dt_h = dict(schedule.devices), schedule.dt_h
    p_import, q_import = schedule.p_import_mw, schedule.q_import_mvar
    members = devices.turned_down_first
    for rank, member in enumerate(members):
        own = _in_order(share, rank, len(members))
        less = member.turned_down(plan, own, forecast, member.within(states), dt_h)
        before, after = member.consumption(plan), member.consumption({**plan, **less})
        p_import = p_import + (after[0] - before[0]).sum(axis=0)
        if before[1] is not None and after[1] is not None:
            q_import = q_import + (after[1] - before[1]).sum(axis=0)
        plan |= less
    return Schedule(schedule.interval, dt_h, p_import, q_import, plan)


def _in_order(share: Floats, rank: int, count: int) -> Floats:
    """Return the share of the kind at a rank: the first ones are reduced before the others."""
    own: Floats = np.clip(count * share - (count - 1 - rank), 0.0, 1.0)
    return np.where(np.isinf(share), np.inf, own)
