"""Radial network for the DistFlow equations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_radial
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.per_unit import per_unit_branches
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class RadialNetwork:
    """Tree of n buses in an order that puts parents before children; bus 0 is the head.

    Branch k joins bus `parent[k]` to bus k + 1, so there are n - 1 branches. All arrays are per
    unit on `base_mva`. With l the squared series current, P and Q the power entering the series
    element on the parent's side and v squared voltages, branch k = (i, j) obeys

        v_j = down[k] (up[k] v_i - 2 (r P + x Q) + (r^2 + x^2) l),    P^2 + Q^2 <= l up[k] v_i

    where up and down carry the ratio of an ideal transformer on either side. The ratio of a single
    transformer at the head is taken out of the model (`head_ratio`, at the tap of the net read):
    the head voltage to use is then vm / ratio, so that a moving tap changes data only.
    `i_max` and the voltage limits are infinite (or 0) where there is no limit.
    """

    name: str
    base_mva: float
    bus_index: tuple[int, ...]
    branch_table: tuple[str, ...]
    branch_index: tuple[int, ...]
    branch_reversed: NDArray[np.bool_]
    parent: Ints
    r: Floats
    x: Floats
    up: Floats
    down: Floats
    i_max: Floats
    vm_min: Floats
    vm_max: Floats
    shunt_g: Floats
    shunt_b: Floats
    head_ratio: float

    @property
    def buses(self) -> int:
        """Number of buses n."""
        return len(self.bus_index)

    @property
    def branches(self) -> int:
        """Number of branches n - 1."""
        return len(self.parent)

    def positions(self, bus_index: Sequence[int] | Ints) -> Ints:
        """Positions of pandapower bus indices in `bus_index`."""
        where = {b: i for i, b in enumerate(self.bus_index)}
        return np.array([where[int(b)] for b in bus_index], dtype=np.int64)


def radial_network(net: pandapowerNet, name: str) -> RadialNetwork:
    """Read a normalised pandapower net; raises NetworkError where it is not radial."""
    check_radial(net, name)
    data = per_unit_branches(net)
    head = data.bus_index.index(int(net.ext_grid.bus.iloc[0]))
    n = len(data.bus_index)

    incident: list[list[int]] = [[] for _ in range(n)]
    for k, (f, t) in enumerate(zip(data.from_bus, data.to_bus, strict=True)):
        incident[f].append(k)
        incident[t].append(k)
    order, via, parent_of = [head], [-1], {head: -1}
    for bus in order:  # grows while it is read: breadth first from the head
        for k in incident[bus]:
            other = int(data.to_bus[k] + data.from_bus[k] - bus)
            if other not in parent_of:
                parent_of[other] = bus
                order.append(other)
                via.append(k)
    if len(order) != n:
        lost = sorted(set(range(n)) - set(order))
        raise NetworkError(f"grid {name}: bus {data.bus_index[lost[0]]} is isolated from the head")

    rank = {bus: i for i, bus in enumerate(order)}
    branch = np.array(via[1:], dtype=np.int64)
    parent = np.array([rank[parent_of[bus]] for bus in order[1:]], dtype=np.int64)
    reverse = data.from_bus[branch] != np.array([parent_of[bus] for bus in order[1:]])
    ratio2 = data.ratio[branch] ** 2
    head_ratio = 1.0
    if np.count_nonzero(parent == 0) == 1 and not reverse[0]:
        head_ratio = float(data.ratio[branch[0]])
        ratio2[0] = 1.0
    up = np.where(reverse, 1.0, 1.0 / ratio2)
    down = np.where(reverse, ratio2, 1.0)

    negative = branch[data.r[branch] < 0.0]
    if len(negative):
        table = data.table[negative[0]]
        same = [data.index[k] for k in negative if data.table[k] == table]
        raise NetworkError(
            f"{named(name, table, same)} has a negative resistance (as the star of a three-winding "
            "transformer may have); in a feeder r >= 0 is accepted: losses would be gains"
        )
    buses = np.array(order)
    shunt_g, shunt_b = data.bus_g[buses], data.bus_b[buses]
    child = np.arange(1, n)
    # both shunts of a pi section stand behind its ideal transformer
    for ends, scale, g, b in (
        (parent, up, _pick(reverse, data.g_to, data.g_from, branch),
         _pick(reverse, data.b_to, data.b_from, branch)),
        (child, 1.0 / down, _pick(reverse, data.g_from, data.g_to, branch),
         _pick(reverse, data.b_from, data.b_to, branch)),
    ):  # fmt: skip
        np.add.at(shunt_g, ends, g * scale)
        np.add.at(shunt_b, ends, b * scale)
    vm_min, vm_max = voltage_band(net)
    return RadialNetwork(
        name=name,
        base_mva=data.base_mva,
        bus_index=tuple(data.bus_index[i] for i in order),
        branch_table=tuple(data.table[k] for k in branch),
        branch_index=tuple(data.index[k] for k in branch),
        branch_reversed=reverse,
        parent=parent,
        r=data.r[branch],
        x=data.x[branch],
        up=up,
        down=down,
        i_max=data.i_max_pu[branch],
        vm_min=vm_min[buses],
        vm_max=vm_max[buses],
        shunt_g=shunt_g,
        shunt_b=shunt_b,
        head_ratio=head_ratio,
    )


def voltage_band(net: pandapowerNet) -> tuple[Floats, Floats]:
    """Voltage limits of all buses in p.u.; 0 and infinity where the net states none."""
    bands = []
    for column, missing in (("min_vm_pu", 0.0), ("max_vm_pu", np.inf)):
        if column in net.bus:
            values = net.bus[column].to_numpy(dtype=float)
            bands.append(np.where(np.isnan(values), missing, values))
        else:
            bands.append(np.full(len(net.bus), missing))
    return bands[0], bands[1]


def _pick(reverse: NDArray[np.bool_], yes: Floats, no: Floats, branch: Ints) -> Floats:
    return np.where(reverse, yes[branch], no[branch])
