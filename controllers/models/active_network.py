"""An active distribution network (ADN): DistFlow, devices and tariff boundary in one model."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyomo.environ as pyo
from pyomo.common.gc_manager import PauseGC

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.kind import Controllable
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.models.boundary import (
    BOUNDARY_DATA,
    add_emitting_import,
    add_exchange_limits,
    add_peak,
    add_tariff_boundary,
    emission_cost,
    peak_cost,
    tariff_payment,
)
from stackelgrid.controllers.models.distflow import (
    add_distflow,
    add_injections,
    add_power_balance,
)
from stackelgrid.controllers.models.objective_term import ObjectiveTerm, compile_with_term
from stackelgrid.controllers.models.p2p import Prosumers, TradeOptions, add_trade, trade_cost
from stackelgrid.controllers.networks.limits import NO_LIMITS, ExchangeLimits
from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.controllers.solvers import CompiledModel
from stackelgrid.profiles.arrays import Floats, Ints

TerminalRule = Literal["initial", "value"]


@dataclass(frozen=True)
class ActiveNetworkOptions:
    """Constants of the model: prices in EUR/MWh, the rule for the last energy, limits.

    `capacity_eur_per_mw` is paid for the highest import of a run, `emission_eur_per_t` for the
    emissions of imported energy; `exchange` limits the exchange at the boundary. `objective` is a
    user's term.

    Without `tariff` the exchange at the boundary has no cost in the model: the caller adds its
    price (a nodal price, or no price where costs are minimised together).
    """

    tariff: bool = True
    curtailment_eur_per_mwh: float = 0.0
    loss_eur_per_mwh: float = 0.0
    terminal: TerminalRule = "initial"
    terminal_value_eur_per_mwh: float = 0.0
    trade: TradeOptions | None = None
    capacity_eur_per_mw: float = 0.0
    emission_eur_per_t: float = 0.0
    objective: ObjectiveTerm | None = None
    exchange: ExchangeLimits = NO_LIMITS


def active_network_model(
    network: RadialNetwork,
    devices: Devices,
    load_bus: Ints,
    prosumers: Prosumers,
    dt_h: Floats,
    options: ActiveNetworkOptions,
) -> Any:
    """Build the Pyomo model of a feeder.

    network: radial network, per unit.
    devices: its devices.
    load_bus: positions of the buses with uncontrolled load (rows of the load data).
    prosumers: buses that may trade.
    dt_h: lengths of the steps (T,) in h.
    options: prices and terminal rule.
    """
    base = network.base_mva
    m = pyo.ConcreteModel(name=network.name)

    add_distflow(m, network, len(dt_h))
    add_loads(m, load_bus)
    owned = []  # devices of prosumers: their buses and consumption
    controllable = []
    for member in devices:
        injection = member.equations(m, base, dt_h, options)
        if injection is not None:
            add_injections(m, network.positions(member.bus), injection.p, injection.q)
            if member.trading.any():
                owned.append((np.where(member.trading, member.bus, -1), injection.p))
            if member.capped:
                controllable.append(Controllable(member, injection.p))
    for member in devices:
        member.restrict(m, base, dt_h, controllable)
    add_power_balance(m, network)
    add_exchange_limits(m, options.exchange, base)
    trade = options.trade
    if trade is not None:
        add_trade(m, prosumers, owned, base, trade)
    cost = 0.0
    if options.tariff:
        add_tariff_boundary(m, traded_across=trade is not None and trade.across)
        cost += tariff_payment(m, base, dt_h)
    if options.capacity_eur_per_mw:
        add_peak(m)
        cost += peak_cost(m, base, options.capacity_eur_per_mw)
    if options.emission_eur_per_t:
        add_emitting_import(m)
        cost += emission_cost(m, base, dt_h)
    for member in devices:
        cost += member.cost(m, base, dt_h, options)
    cost += loss_cost(m, network, options.loss_eur_per_mwh, dt_h)
    if trade is not None:
        cost += trade_cost(m, trade, base, dt_h)
    m.cost = pyo.Objective(expr=cost)
    return m


def add_loads(m: Any, load_bus: Ints) -> None:
    """Add uncontrolled consumption at the given buses as data, p.u."""
    m.load_rows = pyo.RangeSet(0, len(load_bus) - 1)
    m.load_p = pyo.Var(m.load_rows, m.steps)  # data
    m.load_q = pyo.Var(m.load_rows, m.steps)  # data
    add_injections(m, load_bus, lambda i, t: m.load_p[i, t], lambda i, t: m.load_q[i, t])


def loss_cost(m: Any, network: RadialNetwork, price_eur_per_mwh: float, dt_h: Floats) -> Any:
    """Return losses in EUR at a price per MWh (in addition to their cost at the boundary)."""
    if price_eur_per_mwh == 0.0:
        return 0.0
    return sum(
        dt_h[t] * network.base_mva * price_eur_per_mwh * network.r[k] * m.current2[k, t]
        for k in m.branches
        for t in m.steps
    )


def active_network_data(m: Any) -> list[Any]:
    """Variable components of the model that hold data."""
    names = [name for kind in kinds() for name in kind.data]
    data = [m.v_head, m.load_p, m.load_q]
    data += [m.component(name) for name in names if m.component(name) is not None]
    if m.component("import_price") is not None:
        data += [m.import_price, m.export_price]
    data += [m.component(n) for n in BOUNDARY_DATA if m.component(n) is not None]
    if m.component("prosumer_load") is not None:
        data.append(m.prosumer_load)
    return data


class ActiveNetworkLibrary:
    """Compiled models by content, so that identical feeders share one structure."""

    def __init__(self) -> None:
        self.models: dict[tuple[object, ...], CompiledModel] = {}

    def compiled(
        self,
        network: RadialNetwork,
        devices: Devices,
        load_bus: Ints,
        prosumers: Prosumers,
        dt_h: Floats,
        options: ActiveNetworkOptions,
    ) -> CompiledModel:
        """Return the compiled model, shared by electrically identical feeders.

        network: the reduced network.
        devices: devices of the feeder.
        load_bus: positions of buses with loads.
        prosumers: prosumers of the feeder.
        dt_h: lengths of the steps in h.
        options: prices and rules of the model.
        """
        key = content_of(network, devices, load_bus, prosumers, dt_h, options)
        if key not in self.models:
            with PauseGC():  # a model consists of many objects that refer to each other
                m = active_network_model(network, devices, load_bus, prosumers, dt_h, options)
                compiled = compile_with_term(
                    m, active_network_data(m), options.objective, "leader", network, devices,
                    dt_h, data_coefficients=True,
                )  # fmt: skip
            chained = [name for member in devices for name in member.chained]
            compiled = compiled.with_steps(chained, len(dt_h))
            limits = tuple(options.exchange.stated)
            self.models[key] = compiled.with_rare(("current2", "v"), limits)
        return self.models[key]

    def __len__(self) -> int:
        return len(self.models)


def content_of(
    network: RadialNetwork,
    devices: Devices,
    load_bus: Ints,
    prosumers: Prosumers,
    dt_h: Floats,
    options: ActiveNetworkOptions,
) -> tuple[object, ...]:
    """Return all data that the structure depends on; not names, profiles and initial energies."""
    if options.trade is None:
        prosumers = Prosumers((), np.zeros(0), np.zeros(0))
    arrays: tuple[Any, ...] = (
        network.parent, network.r, network.x, network.up, network.down, network.i_max,
        network.vm_min, network.vm_max, network.shunt_g, network.shunt_b, load_bus, dt_h,
        network.positions(prosumers.bus), prosumers.buy_cap_mw, prosumers.sell_cap_mw,
    )  # fmt: skip
    with_equations = []
    for member in devices:
        if content := member.content():
            with_equations.append(member.kind)
            arrays += (network.positions(member.bus), *content)
    data = (np.ascontiguousarray(a).tobytes() for a in arrays)
    return (network.base_mva, options, *with_equations, *data)
