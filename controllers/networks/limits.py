"""Voltage limits and ratings of a grid, and their violations by a power flow."""

from dataclasses import dataclass

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.cells import number
from stackelgrid.controllers.networks.naming import named
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


@dataclass(frozen=True)
class ExchangeLimits:
    """Limits of the exchange of a grid with its source in MW and MVAr, import positive.

    Infinite for none; from `min_p_mw`, `max_p_mw`, `min_q_mvar`, `max_q_mvar` of the ext_grid.
    """

    min_p_mw: float = -np.inf
    max_p_mw: float = np.inf
    min_q_mvar: float = -np.inf
    max_q_mvar: float = np.inf

    @property
    def stated(self) -> dict[str, float]:
        """Finite limits by name."""
        return {name: value for name, value in vars(self).items() if np.isfinite(value)}

    def violation(self, p_mw: float, q_mvar: float, base_mva: float) -> Violation:
        """Return the largest violation by an exchange, p.u.; 0 for an exchange of NaN."""
        p_over = max(p_mw - self.max_p_mw, self.min_p_mw - p_mw)
        q_over = max(q_mvar - self.max_q_mvar, self.min_q_mvar - q_mvar)
        over = {f"ext_grid at {p_mw:.4g} MW": p_over, f"ext_grid at {q_mvar:.4g} MVAr": q_over}
        where = max(over, key=lambda name: over[name])
        amount = over[where] / base_mva
        return Violation(amount, where) if amount > 0.0 else Violation(0.0, "")


NO_LIMITS = ExchangeLimits()


def exchange_limits(net: pandapowerNet, name: str) -> ExchangeLimits:
    """Read the limits of the source of a feeder; raises NetworkError for an empty range."""
    source = net.ext_grid.iloc[0]
    values = {}
    for limit, missing in vars(NO_LIMITS).items():
        value = number(source, limit)
        values[limit] = missing if np.isnan(value) else value
    for quantity in ("p_mw", "q_mvar"):
        low, high = values[f"min_{quantity}"], values[f"max_{quantity}"]
        if low > high:
            raise NetworkError(
                f"{named(name, 'ext_grid', net.ext_grid.index)} has the empty range [{low:g}, "
                f"{high:g}]; min_{quantity} <= max_{quantity} is accepted"
            )
    return ExchangeLimits(**values)


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
