"""Electrically exact reduction of a radial network before optimising, and expansion of results."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class Reduction:
    """Smaller network with the same power flow, and the data to expand its results.

    `branch_of[k]` is the branch of `network` that carries branch k of `full`, -1 for a branch
    without flow (an unloaded end).
    """

    full: RadialNetwork
    network: RadialNetwork
    branch_of: Ints

    def expand(self, p: Floats, q: Floats, current2: Floats, v: Floats) -> "FlowState":
        """Expand results of the reduced network to all branches and buses.

        p, q: per-unit flows (n', T) on the parent's side of the branches.
        current2: squared currents (n', T).
        v: squared voltages (m', T).
        """
        full, steps = self.full, p.shape[1]
        carried = self.branch_of >= 0
        squared = np.zeros((full.branches, steps))
        squared[carried] = current2[self.branch_of[carried]]
        flow_p, flow_q = np.zeros((2, full.branches, steps))
        voltage = np.empty((full.buses, steps))
        voltage[0] = v[0]
        started = np.zeros(self.network.branches, dtype=bool)
        for k in range(full.branches):
            parent = full.parent[k]
            if carried[k]:
                reduced = self.branch_of[k]
                if not started[reduced]:
                    started[reduced] = True
                    flow_p[k], flow_q[k] = p[reduced], q[reduced]
                else:  # next segment of a merged chain: the power that the one before delivered
                    before = parent - 1
                    flow_p[k] = flow_p[before] - full.r[before] * squared[before]
                    flow_q[k] = flow_q[before] - full.x[before] * squared[before]
            voltage[k + 1] = full.down[k] * (
                full.up[k] * voltage[parent]
                - 2.0 * (full.r[k] * flow_p[k] + full.x[k] * flow_q[k])
                + (full.r[k] ** 2 + full.x[k] ** 2) * squared[k]
            )
        return FlowState(flow_p, flow_q, squared, voltage)


@dataclass(frozen=True)
class FlowState:
    """Branch flows on the parent's side, squared currents (n - 1, T), squared voltages (n, T)."""

    p: Floats
    q: Floats
    current2: Floats
    v: Floats


def reduce_network(full: RadialNetwork, occupied: Iterable[int]) -> Reduction:
    """Drop branches without flow and merge every unloaded bus of degree two.

    `occupied` are positions of buses with devices or loads. Buses with shunts, transformers with
    a ratio next to them and the head stay. The merged branch takes the tightest rating; between
    two kept buses of one voltage band a merged bus cannot leave the band upwards, because the
    squared voltage along a line is convex (and downwards only by less than |z|^2 l).
    """
    kept = np.zeros(full.buses, dtype=bool)
    kept[list(occupied)] = True
    kept |= (full.shunt_g != 0.0) | (full.shunt_b != 0.0)
    kept[0] = True

    alive = kept.copy()  # carries something: is kept or has a kept descendant
    for k in range(full.branches - 1, -1, -1):
        alive[full.parent[k]] |= alive[k + 1]
    children = np.bincount(full.parent[alive[1:]], minlength=full.buses)
    plain = (full.up == 1.0) & (full.down == 1.0)
    mergeable = alive & ~kept & (children == 1)
    for k in range(full.branches):
        if not plain[k]:  # a transformer's impedance belongs to one side: leave both ends alone
            mergeable[k + 1] = False
            mergeable[full.parent[k]] = False
        elif mergeable[k + 1] and not _same_kind(full, k):
            mergeable[k + 1] = False

    position = np.full(full.buses, -1)
    position[0] = 0
    buses, heads, members = [0], [0], []
    chain: dict[int, list[int]] = {}
    for k in range(full.branches):
        bus, parent = k + 1, int(full.parent[k])
        if not alive[bus]:
            continue
        segments = [*chain.pop(parent, []), k]
        if mergeable[bus]:
            chain[bus] = segments
            continue
        first = int(full.parent[segments[0]])
        heads.append(int(position[first]))
        members.append(segments)
        position[bus] = len(buses)
        buses.append(bus)

    branch_of = np.full(full.branches, -1, dtype=np.int64)
    for reduced, segments in enumerate(members):
        branch_of[segments] = reduced
    first_of = [segments[0] for segments in members]
    network = replace(
        full,
        bus_index=tuple(full.bus_index[b] for b in buses),
        branch_table=tuple(full.branch_table[k] for k in first_of),
        branch_index=tuple(full.branch_index[k] for k in first_of),
        branch_reversed=full.branch_reversed[first_of],
        parent=np.array(heads[1:], dtype=np.int64),
        r=np.array([full.r[s].sum() for s in members]),
        x=np.array([full.x[s].sum() for s in members]),
        up=full.up[first_of],
        down=full.down[first_of],
        i_max=np.array([full.i_max[s].min() for s in members]),
        vm_min=full.vm_min[buses],
        vm_max=full.vm_max[buses],
        shunt_g=full.shunt_g[buses],
        shunt_b=full.shunt_b[buses],
    )
    return Reduction(full=full, network=network, branch_of=branch_of)


def _same_kind(full: RadialNetwork, k: int) -> bool:
    """Return whether the bus below branch k continues in a branch of the same element table.

    A head transformer has ratio 1 in the model but rates another current than the line behind it.
    """
    below = [c for c in range(k + 1, full.branches) if full.parent[c] == k + 1]
    return all(full.branch_table[c] == full.branch_table[k] for c in below)
