"""Voltage limits and ratings of a grid, and their violations by a power flow."""

from dataclasses import dataclass

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.per_unit import (
    line_rating_ka,
    loading_limit_percent,
    trafo_rating_mva,
)
from stackelgrid.controllers.networks.radial import RadialNetwork, voltage_band
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class Violation:
    """Largest violation of a power flow: p.u. of a voltage, or share of a rating; 0 for none.

    `where` names the bus or branch; the amount is NaN where the power flow has no solution.
    """

    amount: float
    where: str


@dataclass(frozen=True)
class GridLimits:
    """Limits by bus and branch; 0 and infinite if missing; the slack bus has none."""

    bus_name: tuple[str, ...]
    vm_min_pu: Floats
    vm_max_pu: Floats
    branch_name: tuple[str, ...]
    loading_max_percent: Floats

    def loading(self, loading_percent: Floats) -> Floats:
        """Return the loading of branches (branches, ...) as share of the limit; NaN without one."""
        shape = (-1,) + (1,) * (loading_percent.ndim - 1)
        limit = self.loading_max_percent.reshape(shape)
        return np.asarray(np.where(np.isfinite(limit), loading_percent / limit, np.nan))

    def violation(self, vm_pu: Floats, loading: Floats) -> Violation:
        """Return the largest violation at voltages (buses,) and loadings (branches,), as shares."""
        if np.isnan(vm_pu).any():
            return Violation(float("nan"), "")
        over = np.maximum(vm_pu - self.vm_max_pu, self.vm_min_pu - vm_pu)
        excess = np.nan_to_num(loading - 1.0, nan=-1.0)
        bus, branch = int(np.argmax(over)), int(np.argmax(excess)) if len(excess) else 0
        if len(excess) and excess[branch] > max(over[bus], 0.0):
            return Violation(float(excess[branch]), self.branch_name[branch])
        if over[bus] > 0.0:
            return Violation(float(over[bus]), self.bus_name[bus])
        return Violation(0.0, "")


def radial_limits(network: RadialNetwork, net: pandapowerNet) -> GridLimits:
    """Limits in the order of a radial network; its head's voltage is given."""
    vm_min, vm_max = network.vm_min.copy(), network.vm_max.copy()
    vm_min[0], vm_max[0] = 0.0, np.inf
    limit = loading_limits(net)
    keys = list(zip(network.branch_table, network.branch_index, strict=True))
    return GridLimits(
        bus_name=tuple(f"bus {b}" for b in network.bus_index),
        vm_min_pu=vm_min,
        vm_max_pu=vm_max,
        branch_name=tuple(f"{table} {index}" for table, index in keys),
        loading_max_percent=np.array([limit[key] for key in keys]),
    )


def net_limits(net: pandapowerNet) -> GridLimits:
    """Limits in the order of a net's buses, its lines and then its transformers."""
    vm_min, vm_max = voltage_band(net)
    slack = net.bus.index.get_indexer(net.ext_grid.bus)
    vm_min[slack], vm_max[slack] = 0.0, np.inf
    limit = loading_limits(net)
    return GridLimits(
        bus_name=tuple(f"bus {b}" for b in net.bus.index),
        vm_min_pu=vm_min,
        vm_max_pu=vm_max,
        branch_name=tuple(f"{table} {index}" for table, index in limit),
        loading_max_percent=np.array(list(limit.values())),
    )


def loading_limits(net: pandapowerNet) -> dict[tuple[str, int], float]:
    """Loading limit in percent of every line, then transformer; infinite without a rating."""
    limits = {}
    for table, rating in (("line", line_rating_ka(net)), ("trafo", trafo_rating_mva(net))):
        percent = np.where(np.isfinite(rating), loading_limit_percent(net[table]), np.inf)
        for index, value in zip(net[table].index, percent, strict=True):
            limits[table, int(index)] = float(value)
    return limits
