"""A priori condition for an exact relaxation of a radial network, checked before solving.

Gan, Li, Topcu and Low 2015, "Exact convex relaxation of optimal power flow in radial networks"
(IEEE Transactions on Automatic Control, doi 10.1109/TAC.2014.2332712, arXiv 1311.7170): theorem 1
with condition C1. The theorem bounds injections from above and voltages from below, without ratings
of branches or limits on the exchange at the head. As the relaxation is convex, it extends to every
solution at which no such limit binds.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.profiles.arrays import Bools, Floats, Ints
from stackelgrid.profiles.forecast import GridForecast


@dataclass(frozen=True)
class LineFailure:
    """One line at which C1 fails in one step: losses saved there may be lost again upstream.

    `line` and `cause`, the line upstream, are branch positions; `direction` is the component that
    is not positive: active power (resistance) or reactive power (reactance). `margin` is the
    smallest one relative to the line's impedance.
    """

    line: int
    cause: int
    direction: Literal["active", "reactive"]
    margin: float


@dataclass(frozen=True)
class APrioriCondition:
    """The conditions of theorem 1 for every step (T,); with all of them every optimum is exact.

    `price`: the import at the head has a positive price. `voltage`: the linear estimate of every
    voltage at the largest injections is within its upper limit; `highest_bus` (pandapower index)
    is the bus with the least room, the highest one without limits, and `highest_vm_pu` its
    estimate. `lines`: C1 holds, `margin` > 0.
    `line_margin` (branches, T) is the smallest component of the products of C1 that end at a line,
    relative to that line's own r and x; 1 without reverse flow. `cause` (branches, T) is the
    nearest line upstream at which such a product is not positive, -1 for none, and `reactive`
    (branches, T) states whether its reactance is the smaller component.
    """

    network: RadialNetwork
    price: Bools
    voltage: Bools
    highest_bus: Ints
    highest_vm_pu: Floats
    line_margin: Floats
    cause: Ints
    reactive: Bools

    @property
    def lines(self) -> Bools:
        """Return whether C1 holds (T,)."""
        holds: Bools = np.all(self.cause < 0, axis=0)
        return holds

    @property
    def margin(self) -> Floats:
        """Smallest margin of any line (T,); C1 holds where it is positive."""
        smallest: Floats = np.min(self.line_margin, axis=0, initial=np.inf)
        return smallest

    @property
    def holds(self) -> Bools:
        """Return whether every condition holds (T,)."""
        holds: Bools = self.price & self.voltage & self.lines
        return holds

    def failures(self, step: int) -> tuple[LineFailure, ...]:
        """Lines at which C1 fails in one step, the smallest margin first."""
        margin = self.line_margin[:, step]
        failing = np.flatnonzero(self.cause[:, step] >= 0)
        return tuple(
            LineFailure(
                line=int(k),
                cause=int(self.cause[k, step]),
                direction="reactive" if self.reactive[k, step] else "active",
                margin=float(margin[k]),
            )
            for k in failing[np.argsort(margin[failing], kind="stable")]
        )

    def failing_lines(self, step: int) -> tuple[str, ...]:
        """Names of the lines at which C1 fails in one step, like "line 17 (active)"."""
        return tuple(
            f"{self._branch(failure.line)} ({failure.direction})" for failure in self.failures(step)
        )

    def reason(self, step: int) -> str:
        """Return in one line why the conditions fail in one step; empty where they hold."""
        reasons = []
        if not self.price[step]:
            reasons.append("price at the head not positive")
        if not self.voltage[step]:
            estimate = self.highest_vm_pu[step]
            reasons.append(f"bus {self.highest_bus[step]} may reach {estimate:.4f} p.u.")
        if names := self.failing_lines(step):
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            reasons.append(f"reverse flow at {names[0]}{more}")
        return "; ".join(reasons)

    def _branch(self, k: int) -> str:
        return f"{self.network.branch_table[k]} {self.network.branch_index[k]}"


def a_priori(
    network: RadialNetwork,
    p_max: Floats,
    q_max: Floats,
    vm_head_pu: Floats,
    head_price_positive: Bools,
) -> APrioriCondition:
    """Check theorem 1 of Gan, Li, Topcu and Low for the largest net injections at every bus.

    network: the feeder; ratios inside it are removed exactly by scaling the voltages below them.
    p_max, q_max: largest injections (n, T) in p.u., positive when injecting, the head's row
        ignored; see `largest_injections`.
    vm_head_pu: voltage (T,) of bus 0 in the model, behind the ratio at the head.
    head_price_positive: whether both import and export have a price > 0 (T,).

    A bus without lower voltage limit makes the matrix of its line unbounded: C1 then fails (margin
    -inf) as soon as that line may carry reverse flow. Raises NetworkError for a network that the
    theorem does not cover (`not_covered`), and for injections of the wrong shape or not finite.
    """
    _check(network, p_max, q_max)
    steps, up_line = p_max.shape[1], network.parent - 1
    scale = _ratio_scale(network)
    seen = network.up * scale[network.parent]  # impedances as seen from the head
    u = np.stack([network.r / seen, network.x / seen])[:, :, None]

    flow = np.stack([p_max[1:], q_max[1:]])  # towards the head, without losses
    for k in range(network.branches - 1, -1, -1):
        if up_line[k] >= 0:
            flow[:, up_line[k]] += flow[:, k]
    v = np.empty((network.buses, steps))
    v[0] = vm_head_pu**2
    for k, drop in enumerate(2.0 * np.sum(u * flow, axis=0)):
        v[k + 1] = v[network.parent[k]] + drop
    vm = np.sqrt(np.maximum(v * scale[:, None], 0.0))
    room = network.vm_max[:, None] - vm
    room[0] = np.inf  # the head voltage is given
    nearest = np.argmin(room if np.isfinite(room).any() else -vm, axis=0)
    at = (nearest, np.arange(steps))

    margin, cause, reactive = _products(network, u, np.maximum(flow, 0.0), scale)
    return APrioriCondition(
        network=network,
        price=np.array(head_price_positive, dtype=bool),
        voltage=np.all(room >= 0.0, axis=0),
        highest_bus=np.array(network.bus_index)[nearest],
        highest_vm_pu=vm[at],
        line_margin=margin,
        cause=cause,
        reactive=reactive,
    )


def largest_injections(
    network: RadialNetwork,
    devices: Devices,
    load_p_mw: Floats,
    load_q_mvar: Floats,
    forecast: GridForecast,
) -> tuple[Floats, Floats]:
    """Return upper bounds (n, T) of the net injections at every bus in p.u. for all decisions.

    network: the feeder.
    devices: its devices, each kind at its largest injection (DeviceKind.largest_injection).
    load_p_mw, load_q_mvar: fixed loads (n, T) at the buses of `network` in MW and MVAr.
    forecast: forecast over the steps (T, ...).

    Raises NetworkError for a unit without an upper limit.
    """
    p, q = -load_p_mw.astype(float), -load_q_mvar.astype(float)
    for member in devices:
        if not member.names(Role.PLAN):
            continue
        try:
            most_p, most_q = member.largest_injection(forecast)
        except NetworkError as error:
            raise NetworkError(f"grid {network.name}: {error}") from error
        at = network.positions(member.bus)
        np.add.at(p, at, most_p)
        if most_q is not None:
            np.add.at(q, at, most_q)
    return p / network.base_mva, q / network.base_mva


def not_covered(network: RadialNetwork) -> str:
    """Return why the theorem does not cover a network: shunts, charging, iron losses; else empty.

    A shunt at the head is harmless.
    """
    shunts = np.flatnonzero((network.shunt_g[1:] != 0.0) | (network.shunt_b[1:] != 0.0)) + 1
    if not len(shunts):
        return ""
    at = int(shunts[0])
    branch = f"{network.branch_table[at - 1]} {network.branch_index[at - 1]}"
    return (
        f"grid {network.name}: bus {network.bus_index[at]} (below {branch}) has the shunt "
        f"{network.shunt_g[at]:g} + {network.shunt_b[at]:g}j p.u. (charging, iron losses), which "
        "the a priori conditions do not cover"
    )


def _check(network: RadialNetwork, p_max: Floats, q_max: Floats) -> None:
    if reason := not_covered(network):
        raise NetworkError(reason)
    for name, values in (("p_max", p_max), ("q_max", q_max)):
        if values.ndim != 2 or values.shape != p_max.shape or len(values) != network.buses:
            raise NetworkError(
                f"grid {network.name}: {name} has the shape {values.shape}; "
                f"({network.buses} buses, steps) is accepted"
            )
        bad = np.flatnonzero(~np.isfinite(values[1:]).all(axis=1)) + 1
        if len(bad):
            raise NetworkError(
                f"grid {network.name}: {name} at bus {network.bus_index[bad[0]]} is NaN or "
                "infinite; a finite largest injection is accepted"
            )


def _ratio_scale(network: RadialNetwork) -> Floats:
    """Factor (n,) from the squared voltages of the same network without ratios to the real ones."""
    scale = np.ones(network.buses)
    ratio = network.up * network.down
    for k in range(network.branches):
        scale[k + 1] = ratio[k] * scale[network.parent[k]]
    return scale


def _products(
    network: RadialNetwork, u: Floats, reverse: Floats, scale: Floats
) -> tuple[Floats, Ints, Bools]:
    """Margins, causes and directions (branches, T) of the products A_s ... A_(t-1) u_t of C1.

    All lines t walk towards the head at once, so the number of rounds is the depth of the tree;
    lines without reverse flow in any step have the identity as matrix and are skipped.
    """
    branches, steps = network.branches, reverse.shape[2]
    v_min = network.vm_min[1:] ** 2 / scale[1:]
    factor = np.divide(2.0, v_min, out=np.zeros(branches), where=v_min > 0.0)[:, None]
    reversed_flow = np.any(reverse > 0.0, axis=0)
    boundless = reversed_flow & (v_min <= 0.0)[:, None]
    above = np.full(branches, -1, dtype=np.int64)
    for k in range(branches):
        if (line := network.parent[k] - 1) >= 0:
            above[k] = line if reversed_flow[line].any() else above[line]

    largest = np.max(u, axis=0)
    size = np.where(u > 0.0, u, np.where(largest > 0.0, largest, 1.0))
    margin = np.full((branches, steps), np.inf)
    cause = np.full((branches, steps), -1, dtype=np.int64)
    reactive = np.zeros((branches, steps), dtype=bool)
    rows = at = np.arange(branches)
    w = np.broadcast_to(u, (2, branches, steps)).copy()
    lost = np.zeros((branches, steps), dtype=bool)
    while len(rows):
        relative = np.where(lost, -np.inf, w / size[:, rows])
        smallest = np.min(relative, axis=0)
        margin[rows] = np.minimum(margin[rows], smallest)
        new = (smallest <= 0.0) & (cause[rows] < 0)
        cause[rows] = np.where(new, at[:, None], cause[rows])
        reactive[rows] = np.where(new, relative[1] < relative[0], reactive[rows])
        further = above[at] >= 0
        rows, at, w, lost = rows[further], above[at[further]], w[:, further], lost[further]
        w = w - u[:, at] * (factor[at] * np.sum(reverse[:, at] * w, axis=0))
        lost = lost | boundless[at]
    return margin, cause, reactive
