"""Peer-to-peer trade of prosumers, inside a feeder and across feeders (docs/formulation.md).

A prosumer is a bus with a device that may trade (DeviceKind.prosumer). Trades are contracts: the
power flows follow the injections, the trades determine payments between prosumers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.solvers.step_constraint import every_step
from stackelgrid.profiles.arrays import Floats, Ints

# columns that settle trade and payments once all injections and roles are fixed
SETTLING = (
    "buy", "sell", "grid_buy", "grid_sell", "inside",
    "across_buy", "across_sell", "across_net", "bought", "sold",
)  # fmt: skip


@dataclass(frozen=True)
class TradeOptions:
    """Prices of trade in EUR/MWh.

    `retail_margin` is the network charge on energy bought from or sold to the grid, which trade
    avoids; the buyer pays the fees once. `across` states whether trade between feeders is possible.
    """

    retail_margin: float
    fee_inside: float
    fee_across: float
    across: bool


@dataclass(frozen=True)
class Prosumers:
    """Prosumers: pandapower buses, with the largest purchase and sale of each in MW.

    The caps bound what a prosumer can need or offer (its devices at full power and the largest
    load of the whole series), so they never cut off a solution.
    """

    bus: tuple[int, ...]
    buy_cap_mw: Floats
    sell_cap_mw: Floats

    def own_load(self, bus: Sequence[int] | Ints, load_mw: Floats) -> Floats:
        """Return the load of each prosumer (prosumers, steps).

        bus: pandapower buses of all loads of the grid.
        load_mw: their power (loads, steps).
        """
        where = {b: i for i, b in enumerate(self.bus)}
        at = np.array([where.get(int(b), -1) for b in bus], dtype=np.int64)
        own = np.zeros((len(self.bus), load_mw.shape[1]))
        np.add.at(own, at[at >= 0], load_mw[at >= 0])
        return own


def prosumers_of(devices: Devices, load_peak_mw: Floats) -> Prosumers:
    """Prosumers of a grid; `load_peak_mw` (loads,) is the largest power of each load."""
    own = [member for member in devices.consumers_first if member.trading.any()]
    buses = sorted({int(b) for member in own for b in member.bus[member.trading]})
    where = {b: i for i, b in enumerate(buses)}
    buy, sell = np.zeros(len(buses)), np.zeros(len(buses))
    for member in own:
        own_caps = zip(member.bus, member.trading, *member.trade_caps(), strict=True)
        for bus, trades, most_bought, most_sold in own_caps:
            if trades:
                buy[where[int(bus)]] += most_bought
                sell[where[int(bus)]] += most_sold
    loads = devices.loads
    for bus, power in zip(loads.bus, load_peak_mw, strict=True):
        if int(bus) in where:
            buy[where[int(bus)]] += max(power, 0.0)
            sell[where[int(bus)]] += max(-power, 0.0)
    return Prosumers(tuple(buses), buy, sell)


def add_trade(
    m: Any,
    prosumers: Prosumers,
    owned: Sequence[tuple[Ints, Callable[[int, int], Any]]],
    base_mva: float,
    options: TradeOptions,
) -> None:
    """Add each prosumer's purchase, sale and role, and the feeder's trade by market; p.u.

    m: Pyomo model with the variables of the devices; `m.prosumer_load` contains the loads at the
        buses of the prosumers as data.
    prosumers: prosumers of the feeder.
    owned: buses of their devices of each kind, and consumption by device and step, p.u.
    base_mva: base of the per-unit values.
    options: margin and fees.

    The pairing of prosumers has no cost, so only the feeder's sums over its prosumers are
    variables: bought from and sold to the grid, traded inside, bought and sold across. Any split
    of the sums over buyers (sellers) in proportion to their purchases (sales) fits them. `m.role`
    is 1 for a buyer.
    """
    m.prosumers = pyo.RangeSet(0, len(prosumers.bus) - 1)
    buy_cap = prosumers.buy_cap_mw / base_mva
    sell_cap = prosumers.sell_cap_mw / base_mva
    m.prosumer_load = pyo.Var(m.prosumers, m.steps)  # data
    m.buy = pyo.Var(m.prosumers, m.steps, bounds=(0.0, None))
    m.sell = pyo.Var(m.prosumers, m.steps, bounds=(0.0, None))
    across = ("across_buy", "across_sell") if options.across else ()
    for name in ("grid_buy", "grid_sell", "inside", *across):
        m.add_component(name, pyo.Var(m.steps, bounds=(0.0, None)))
    m.role = pyo.Var(m.prosumers, m.steps, domain=pyo.Binary)

    members = [(_members(bus, prosumers.bus), consumption) for bus, consumption in owned]

    @every_step(m, m.prosumers)
    def prosumer_balance(m: Any, n: int, t: int) -> Any:
        surplus = -m.prosumer_load[n, t]
        for at, consumption in members:
            surplus -= sum(consumption(i, t) for i in at[n])
        return surplus - m.sell[n, t] + m.buy[n, t] == 0.0

    @every_step(m, m.prosumers)
    def buyer(m: Any, n: int, t: int) -> Any:
        return m.buy[n, t] <= buy_cap[n] * m.role[n, t]

    @every_step(m, m.prosumers)
    def seller(m: Any, n: int, t: int) -> Any:
        return m.sell[n, t] <= sell_cap[n] * (1 - m.role[n, t])

    @every_step(m)
    def purchases(m: Any, t: int) -> Any:
        parts = m.grid_buy[t] + m.inside[t] + (m.across_buy[t] if options.across else 0.0)
        return sum(m.buy[n, t] for n in m.prosumers) - parts == 0.0

    @every_step(m)
    def sales(m: Any, t: int) -> Any:
        parts = m.grid_sell[t] + m.inside[t] + (m.across_sell[t] if options.across else 0.0)
        return sum(m.sell[n, t] for n in m.prosumers) - parts == 0.0

    if options.across:
        m.across_net = pyo.Var(m.steps)  # bought across less sold across, p.u.

        @every_step(m)
        def across_balance(m: Any, t: int) -> Any:
            return m.across_net[t] - m.across_buy[t] + m.across_sell[t] == 0.0


def trade_cost(m: Any, options: TradeOptions, base_mva: float, dt_h: Floats) -> Any:
    """Retail margin and fees in EUR."""
    cost = sum(
        dt_h[t]
        * base_mva
        * (
            options.retail_margin * (m.grid_buy[t] + m.grid_sell[t])
            + options.fee_inside * m.inside[t]
        )
        for t in m.steps
    )
    if options.across:
        cost += sum(dt_h[t] * base_mva * options.fee_across * m.across_buy[t] for t in m.steps)
    return cost


def _members(device_bus: Ints, buses: tuple[int, ...]) -> list[list[int]]:
    """Positions of the devices at each of the buses."""
    return [[i for i, b in enumerate(device_bus) if int(b) == bus] for bus in buses]
